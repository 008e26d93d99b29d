"""`bayd staff`: who signs in at the board. It goes through the daemon's unix socket, as root."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import click

from bayd.cli.daemon import Daemon, Door, door_options, in_daemon
from bayd.cli.options import DOCUMENT

_PATH = "/api/v1/staff"


@click.group()
def staff() -> None:
    """People who sign in at the board with a name and a PIN."""


@staff.command("list")
@DOCUMENT
@door_options
def list_people(door: Door, as_json: bool) -> None:
    """Who may sign in."""
    _show(_ask(door, lambda daemon: daemon.get(_PATH)), as_json=as_json)


@staff.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["staff", "technician"]), default="staff", show_default=True)
@click.option("--replace", is_flag=True, help="A new PIN for somebody known, who is locked no more.")
@DOCUMENT
@door_options
def add(door: Door, name: str, role: str, replace: bool, as_json: bool) -> None:
    """Let NAME sign in. The PIN, six digits or more, is asked for; piped in, it is the first line."""
    body = {"name": name, "role": role, "pin": _ask_pin(name), "replace": replace}
    _show(_ask(door, lambda daemon: daemon.post(f"{_PATH}/add", body)), as_json=as_json)


@staff.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is kept with your name.")
@DOCUMENT
@door_options
def lock(door: Door, name: str, reason: str, as_json: bool) -> None:
    """Lock NAME out at once, until `bayd staff add NAME --replace` gives a new PIN."""
    body = {"name": name, "reason": reason}
    _show(_ask(door, lambda daemon: daemon.post(f"{_PATH}/lock", body)), as_json=as_json)


def _ask(door: Door, work: Callable[[Daemon], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """A PIN goes to the daemon's own socket, never to whoever listens at a guessed address."""
    return in_daemon(door, work, guess_url=False)


def _ask_pin(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    pin: str = click.prompt(f"PIN of {name}", hide_input=True, confirmation_prompt="The same again")
    return pin


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    for person in document["staff"]:
        state = "may sign in"
        if person["locked"]:
            state = "locked"
        elif person["locked_for_s"]:
            state = f"wrong PINs: locked for {person['locked_for_s']} s"
        click.echo(f"{person['name']:<20} {person['role']:<12} {state}")
    if not document["staff"]:
        click.echo("nobody: bayd staff add NAME")
