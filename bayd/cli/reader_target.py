"""Which reader a command is about, and how the command ends where it cannot be talked to."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bayd.devices.reader_talk import Identity
    from bayd.settings.readers import Region

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Which reader is meant, and what is known of it before it is asked."""

    link: str
    driver: str | None
    baudrate: int | None
    address: int
    region: "Region"
    antenna_gain_dbi: float
    cable_loss_db: float


def find_target(
    name: str,
    config: Path,
    driver: str | None,
    baudrate: int | None,
    region: str | None = None,
    antenna_gain_dbi: float | None = None,
    cable_loss_db: float | None = None,
) -> Target:
    """`name`: a link, or a reader of the configuration. Ends the process when it is neither."""
    from bayd.settings import ConfigurationError, load
    from bayd.settings.readers import Reader, Region, device_link

    if "/" in name:
        try:
            known = Reader(link=device_link(name), ports={})
        except ValueError as error:
            raise click.UsageError(f"{name}: {error}") from error
        driver_there, baudrate_there = None, None
    else:
        try:
            readers = load(config).settings.readers
        except ConfigurationError as error:
            click.echo(str(error), err=True)
            sys.exit(os.EX_CONFIG)
        if name not in readers:
            raise click.UsageError(
                f"there is no reader {name!r} in {config}; it has {', '.join(readers) or 'none'}. A link is "
                "written as /dev/serial/by-id/… or socket://HOST:PORT"
            )
        known = readers[name]
        driver_there, baudrate_there = known.driver, known.baudrate
    return Target(
        known.link,
        driver or driver_there,
        baudrate or baudrate_there,
        known.address,
        known.region if region is None else Region(region),
        known.antenna_gain_dbi if antenna_gain_dbi is None else antenna_gain_dbi,
        known.cable_loss_db if cable_loss_db is None else cable_loss_db,
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    """Ends the process with a message where the reader cannot be talked to."""
    from bayd.devices.reader_talk import ReaderTalkError

    try:
        return asyncio.run(work)
    except ReaderTalkError as error:
        click.echo(str(error), err=True)
        sys.exit(os.EX_UNAVAILABLE)


async def identified(target: Target) -> "Identity":
    """Raises ReaderTalkError, also when nothing answers."""
    from bayd.devices.reader_talk import ReaderTalkError, identify

    found = await identify(
        target.link,
        driver=target.driver,
        baudrate=target.baudrate,
        address=target.address,
        region=target.region,
    )
    if found is None:
        raise ReaderTalkError(
            f"{target.link}: nothing answers as a reader (tried both families at their usual baud rates, or "
            "what --driver and --baudrate say). Is it powered, are the wires right, is it a dispenser?"
        )
    return found
