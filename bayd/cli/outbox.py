"""`bayd outbox`: what the central server has not been told, and what staff decide about it.

It goes through the daemon, which owns the journal: by its unix socket, or over HTTP with a staff token.
"""

import json
import sys
from typing import Any

import click

from bayd.cli.daemon import Daemon, Door, door_options, in_daemon
from bayd.cli.options import DOCUMENT

_PATH = "/api/v1/outbox"
_REASON = click.option("--reason", required=True, help="Why; it is kept with your name.")
_SEQ = click.argument("seq", type=click.IntRange(1))


@click.group()
def outbox() -> None:
    """What waits for the central server, and what was set aside."""


@outbox.command("list")
@click.option("--bay", help="Of this bay alone.")
@click.option("--parked", "only_parked", is_flag=True, help="What was set aside alone.")
@DOCUMENT
@door_options
def list_items(door: Door, bay: str | None, only_parked: bool, as_json: bool) -> None:
    """First what was set aside and waits for you, then what waits its turn."""
    found: list[dict[str, Any]] = in_daemon(door, lambda daemon: daemon.get(_PATH))["items"]
    items = [
        item for item in found if (bay is None or item["bay"] == bay) and (item["parked"] or not only_parked)
    ]
    if as_json:
        click.echo(json.dumps({"items": items}, indent=2))
        return
    for item in items:
        state = "set aside" if item["parked"] else "waits"
        reason = f": {item['reason']}" if item["reason"] else ""
        what = f"{item['kind']} of session {item['session_id']}"
        click.echo(f"{item['seq']:>8}  bay {item['bay']}  {item['since']}  {state}  {what}{reason}")
    if not items:
        click.echo("nothing waits")


@outbox.command()
@_SEQ
@_REASON
@DOCUMENT
@door_options
def retry(door: Door, seq: int, reason: str, as_json: bool) -> None:
    """Deliver what was set aside, and what was set aside behind it."""
    _decide(door, "retry", seq, reason, as_json=as_json)
    if not as_json:
        click.echo(f"item {seq} is tried again when its turn comes: see bayd outbox list, in a moment")


@outbox.command()
@_SEQ
@_REASON
@DOCUMENT
@door_options
def drop(door: Door, seq: int, reason: str, as_json: bool) -> None:
    """Never deliver an item: the desk has entered it, or nobody needs it."""
    behind = _decide(door, "drop", seq, reason, as_json=as_json)
    if not as_json:
        click.echo(f"item {seq} will not be delivered: enter it at the desk, if it is not there")
    if not as_json and behind:
        click.echo(f"what waited for it is tried now: {', '.join(f'item {other}' for other in behind)}")


def _decide(door: Door, what: str, seq: int, reason: str, *, as_json: bool) -> list[int]:
    """What was set aside behind it."""
    behind: list[int] = []

    async def work(daemon: Daemon) -> dict[str, Any] | str:
        items: list[dict[str, Any]] = (await daemon.get(_PATH))["items"]
        item = next((item for item in items if item["seq"] == seq), None)
        if item is None:
            return f"item {seq} is not in the outbox: see bayd outbox list"
        if what == "retry" and not item["parked"]:
            return f"item {seq} is not set aside: it is delivered when its turn comes"
        behind.extend(other["seq"] for other in items if other["waits_for"] == seq)
        path = f"/api/v1/bays/{item['bay']}/delivery/{what}"
        document: dict[str, Any] = await daemon.post(path, {"seq": seq, "reason": reason})
        return document

    done = in_daemon(door, work)
    if isinstance(done, str):
        click.echo(done, err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(done, indent=2))
    return behind
