"""`bayd balls …`: the list of the range's own balls. Only what is on it is counted when it is read.

Nothing is written unless the whole list is right, and then the file is replaced at once. A running daemon
takes the list over with SIGHUP.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bayd.cli.options import FILE, JSON, config_option
from bayd.cli.reader_target import find_target, identified, run

if TYPE_CHECKING:
    from bayd.core.balls import Ball
    from bayd.tools.ball_book import Change

_READS = 3  # of one EPC at one port: noise that passes an 8-bit checksum is not seen twice, let alone thrice


@click.group(short_help="The list of the range's own balls.")
def balls() -> None:
    """The list of the range's own balls: import, export, learn, retire."""


_CONFIG = config_option("Its `balls.registry` is the list, unless --registry says otherwise.")
_REGISTRY = click.option("--registry", type=FILE, help="The list to work on.")


@balls.command("import")
@click.argument("file", type=FILE)
@_CONFIG
@_REGISTRY
@click.option("--replace", "replace_all", is_flag=True, help="FILE becomes the whole list.")
@JSON
def import_balls(file: Path, config: Path, registry: Path | None, replace_all: bool, as_json: bool) -> None:
    """Take over the balls of a CSV file: epc,label,added_at,retired_at.

    Balls that are on the list already get the values of FILE; the others stay.
    """
    from bayd.tools.ball_book import merged, read_book

    def change(book: "tuple[Ball, ...]") -> "tuple[tuple[Ball, ...], Change]":
        more = read_book(file)
        balls_then, changes = merged(book, more)
        return (more if replace_all else balls_then), changes

    _change(_registry(config, registry), change, as_json=as_json)


@balls.command()
@click.argument("file", type=FILE, required=False)
@_CONFIG
@_REGISTRY
@click.option("--in-use", is_flag=True, help="Without those that are retired.")
@JSON
def export(file: Path | None, config: Path, registry: Path | None, in_use: bool, as_json: bool) -> None:
    """Write the list to FILE, or show it."""
    from bayd.core.balls import encode_balls
    from bayd.tools.ball_book import BallBookError, read_book, write_book

    try:
        book = [ball for ball in read_book(_registry(config, registry)) if ball.in_use or not in_use]
        if file is not None:
            write_book(file, book)
    except BallBookError as error:
        _end(str(error))
    if as_json:
        rows = [
            {"epc": b.epc, "label": b.label, "added_at": b.added_at, "retired_at": b.retired_at} for b in book
        ]
        click.echo(json.dumps(rows, indent=2))
    elif file is None:
        click.echo(encode_balls(book), nl=False)
    else:
        click.echo(f"{len(book)} balls in {file}")


@balls.command()
@click.argument("name", metavar="READER")
@_CONFIG
@_REGISTRY
@click.option("--driver", type=click.Choice(["r2000_a0", "uhfreader288"]), help="Try this one only.")
@click.option("--baudrate", type=click.IntRange(1), help="Try this one only.")
@click.option(
    "--port", "ports", type=click.IntRange(1, 16), multiple=True, help="Only here. May be repeated."
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option("--label", default="", help="For the new ones: the batch, the colour.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
@JSON
def learn(
    name: str,
    config: Path,
    registry: Path | None,
    driver: str | None,
    baudrate: int | None,
    ports: tuple[int, ...],
    seconds: float,
    label: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Listen at a reader, and add the tags that are not on the list.

    Lay nothing but new balls before its antennas. One that is retired stays so.
    """
    from bayd.tools.ball_book import learned

    path = _registry(config, registry)
    target = find_target(name, config, driver, baudrate)

    async def listen() -> list[str]:
        from bayd.runtime.randomness import SystemRandomness
        from bayd.tools.reader_watch import watch

        found = await identified(target)
        tallies = await watch(
            target.link,
            found,
            ports or found.ports_to_read,
            seconds=seconds,
            address=target.address,
            on_event=lambda _event: None,
            randomness=SystemRandomness(),
        )
        epcs = dict.fromkeys(tally.epc for tally in tallies.sorted())
        return [epc for epc in epcs if tallies.reads_of(epc) >= _READS]

    heard = run(listen())
    at = _now()
    _change(path, lambda book: learned(book, heard, label, at), as_json=as_json, dry_run=dry_run)


@balls.command()
@click.argument("epcs", nargs=-1, required=True, metavar="EPC...")
@_CONFIG
@_REGISTRY
@JSON
def retire(epcs: tuple[str, ...], config: Path, registry: Path | None, as_json: bool) -> None:
    """Take balls out of use: they are not counted any more. Exit 1 if one is not on the list."""
    from bayd.tools.ball_book import retired

    at = _now()
    wanted = list(dict.fromkeys(epc.strip().upper() for epc in epcs))
    change = _change(_registry(config, registry), lambda book: retired(book, wanted, at), as_json=as_json)
    if change.unknown:
        sys.exit(1)


def _change(
    path: Path,
    change: "Callable[[tuple[Ball, ...]], tuple[tuple[Ball, ...], Change]]",
    *,
    as_json: bool,
    dry_run: bool = False,
) -> "Change":
    """Read, change, write under one lock, and say what became of it."""
    from bayd.core.balls import BallListError
    from bayd.tools.ball_book import BallBookError, changing, read_book, write_book

    try:
        with changing(path):
            before = read_book(path, missing_ok=True)
            after, changes = change(before)
            if after != before and not dry_run:
                write_book(path, after)
    except (BallBookError, BallListError) as error:
        _end(str(error))
    written = after != before and not dry_run
    shown = {
        name: list(epcs)
        for name, epcs in (
            ("added", changes.added),
            ("changed", changes.changed),
            ("unchanged", changes.unchanged),
            ("retired", changes.retired),
            ("unknown", changes.unknown),
        )
    }
    if as_json:
        document: dict[str, Any] = {"registry": str(path), "balls": len(after), "written": written, **shown}
        click.echo(json.dumps(document, indent=2))
        return changes
    for name, epcs in shown.items():
        if epcs:
            click.echo(f"{name}: {len(epcs)}")
            for epc in epcs if name in ("added", "retired", "unknown") else ():
                click.echo(f"    {epc}")
    if written:
        click.echo(
            f"{path}: {len(after)} balls; bayd takes the list over with SIGHUP (systemctl reload bayd)"
        )
    else:
        click.echo(f"{path}: not changed")
    return changes


def _registry(config: Path, registry: Path | None) -> Path:
    from bayd.settings import ConfigurationError, load

    if registry is not None:
        return registry
    try:
        configured = load(config).settings.balls.registry
    except ConfigurationError as error:
        click.echo(f"{error}\n(--registry FILE works on a list without the configuration)", err=True)
        sys.exit(os.EX_CONFIG)
    if configured is None:
        raise click.UsageError(f"{config} names no balls.registry: set it, or say --registry FILE")
    return configured


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _end(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(1)
