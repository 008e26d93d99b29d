"""`bayd status` and `bayd health`: how it is now, by the daemon's socket, or else its URL."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from bayd.cli.daemon import (
    DaemonRefusedError,
    DaemonUnreachableError,
    Door,
    connected,
)
from bayd.cli.options import CONFIG, DOCUMENT

_URL = click.option("--url", envvar="BAYD_URL", help="Over HTTP instead. [default: as configured]")
_WATCH_EVERY_S = 1.0


@click.command(short_help="What the daemon says of its bays.")
@CONFIG
@_URL
@DOCUMENT
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C; --json: a line each.")
def status(config: Path, url: str | None, as_json: bool, watch: bool) -> None:
    """What the daemon says of its bays; exit 69 when it does not answer."""
    from rich.console import Console

    from bayd.tools.terminal import status_view

    door = _door(config, url)
    if watch:
        try:
            asyncio.run(_watch(door, as_json=as_json))
        except KeyboardInterrupt:
            return
    document = _ask(door, "/status")
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        Console().print(status_view(document))


@click.command(short_help="Whether bays may be used, as an exit code.")
@CONFIG
@_URL
@DOCUMENT
def health(config: Path, url: str | None, as_json: bool) -> None:
    """Whether bays may be used: exit 0 they may, 1 not now (and why), 69 no answer. For scripts."""
    try:
        document = asyncio.run(_get(_door(config, url), "/readyz"))
    except DaemonUnreachableError as error:
        _leave(str(error))
    except DaemonRefusedError as error:
        document = error.problem
    click.echo(json.dumps(document) if as_json else ": ".join(str(text) for text in document.values()))
    sys.exit(0 if document.get("status") == "ready" else 1)


def _door(config: Path, url: str | None) -> Door:
    """The socket and, where nobody opens it, the address that is configured."""
    from bayd.settings.local_socket import url_of

    if url:
        return Door((), url, os.environ.get("BAYD_TOKEN"))
    door = Door.of(config)
    return replace(door, url=door.url or url_of(config))


async def _get(door: Door, path: str) -> Any:
    try:
        async with connected(door) as daemon:
            return await daemon.get(path)
    except ValueError as error:  # aiohttp's, of an address that is none
        raise DaemonUnreachableError(f"{door.url}: {error}") from error


def _ask(door: Door, path: str) -> Any:
    try:
        return asyncio.run(_get(door, path))
    except (DaemonUnreachableError, DaemonRefusedError) as error:
        _leave(str(error))


async def _watch(door: Door, *, as_json: bool) -> NoReturn:
    """A daemon that goes away is waited for."""
    from rich.console import Console
    from rich.live import Live

    from bayd.tools.terminal import status_view

    console = Console()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal and not as_json) as live:
        while True:
            try:
                document = await _get(door, "/status")
                shown: Any = status_view(document)
            except (DaemonUnreachableError, DaemonRefusedError) as error:
                document, shown = {"error": str(error)}, str(error)
            if as_json:
                click.echo(json.dumps(document))
            elif console.is_terminal:
                live.update(shown, refresh=True)
            else:
                console.print(shown)
            sys.stdout.flush()
            await asyncio.sleep(_WATCH_EVERY_S)


def _leave(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(os.EX_UNAVAILABLE)
