"""`bayd dispenser …`: what is on a line, what a machine is, how full it is, and one ball on trial.

A machine that the daemon holds is asked through it. Nothing here starts a motor but `test`, and that is the
daemon's own act: journaled before the first byte (docs/adr/0015-test-payouts.md).
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayd.cli.daemon import Daemon, Door, daemon_options, door_options, in_daemon, leave
from bayd.cli.held import Held, find_held
from bayd.cli.held import in_words as held_in_words
from bayd.cli.options import CONFIG, DIRECTORY, JSON
from bayd.cli.progress import progress

if TYPE_CHECKING:
    from bayd.settings.dispensers import Dispenser
    from hardware.dispenser import Identity, Level

_TEST_S = 60.0
_NAME = click.argument("name", metavar="DISPENSER")
_REASON = click.option("--reason", help="For the record; asked for when it is missing.")
_RELAYS = "(a relay board without Modbus says nothing of itself and cannot be found)"


@click.group()
def dispenser() -> None:
    """Ball dispensers: find, identify, test, level, refill, clear."""


@dispenser.command()
@click.argument("links", nargs=-1, metavar="[LINK]…")
@door_options
@JSON
@click.option("--dev", type=DIRECTORY, default=Path("/dev"), hidden=True)
def scan(links: tuple[str, ...], as_json: bool, door: Door, dev: Path) -> None:
    """Ask each serial port for ccTalk hoppers (addresses 3 to 10) and Modbus units (1 to 4)."""
    from bayd.devices.serial_ports import find_ports

    held = find_held(door)
    wanted = links or tuple(port.link for port in find_ports(dev))
    rows = []
    with progress("Asking", len(wanted)) as done:
        for link in wanted:  # one at a time: adapters share a hub
            rows.append(asyncio.run(_look(link, held)))
            done(len(rows))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no serial port is known here: is the adapter plugged in? (ls -l /dev/serial/by-id)")
    for row in rows:
        click.echo(row["link"])
        if row["held"] is not None:
            click.echo(f"    {held_in_words(row['held'])}")
        elif row["problem"] is not None:
            click.echo(f"    {row['problem']}")
        for one in row["found"]:
            where = "address" if one["protocol"] == "cctalk" else "unit"
            echo = ", echo = false" if one["echo"] is False else ""
            click.echo(f"    {one['protocol']} {where} {one['address']}{echo}: {one['product'] or 'answers'}")
        if row["held"] is None and row["problem"] is None and not row["found"]:
            click.echo(f"    nothing answers {_RELAYS}")


@dispenser.command()
@_NAME
@CONFIG
@JSON
@daemon_options
def identify(name: str, config: Path, as_json: bool, door: Door) -> None:
    """Ask a machine of the configuration what it is. Starts nothing."""
    row = _document(name, config, door)
    if as_json:
        click.echo(json.dumps(row, indent=2))
        return
    click.echo(
        f"{row['driver']}: {row['model'] or 'says nothing of itself'}, {row['firmware'] or 'no version'}"
    )
    click.echo(f"    state: {row['state']}" + (f" ({row['reason']})" if row["reason"] else ""))
    click.echo(f"    level: {row['level']}")
    for key, value in row["details"].items():
        click.echo(f"    {key.replace('_', ' ')}: {value}")


@dispenser.command()
@_NAME
@CONFIG
@JSON
@daemon_options
def level(name: str, config: Path, as_json: bool, door: Door) -> None:
    """How full it is, as far as its sensors tell."""
    row = _document(name, config, door)
    click.echo(json.dumps({"name": name, "level": row["level"]}) if as_json else row["level"])


@dispenser.command()
@_NAME
@click.option("--balls", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--bay", help="Of those that it serves; default: the first at which nobody plays.")
@_REASON
@door_options
@JSON
def test(name: str, balls: int, bay: str | None, reason: str | None, as_json: bool, door: Door) -> None:
    """Pay balls out on trial: nobody's balls, on record as a test. Needs the running daemon."""
    device = _driven(door, name)
    if bay is not None and bay not in device["bays"]:
        raise click.UsageError(f"{name} does not serve bay {bay}; it serves {', '.join(device['bays'])}")
    reason = reason or click.prompt("Reason, for the record")
    body = {"balls": balls, "reason": reason}
    bays = device["bays"] if bay is None else [bay]
    outcome = in_daemon(door, lambda daemon: pay_on_trial(daemon, device, bays, body))
    if as_json:
        click.echo(json.dumps(outcome))
    else:
        click.echo(f"bay {outcome['bay']}, {balls} asked for: {outcome['text']}")
    if not outcome["done"]:
        sys.exit(1)


@dispenser.command()
@_NAME
@click.option("--balls", type=click.IntRange(0, 1_000_000), help="In it now. [default: it is full]")
@_REASON
@door_options
@JSON
def refill(name: str, balls: int | None, reason: str | None, as_json: bool, door: Door) -> None:
    """Say that it was filled, for all its bays: the stock begins anew."""
    device = _driven(door, name)
    body = {"balls": balls, "reason": reason or click.prompt("Reason, for the record")}
    path = f"/api/v1/bays/{device['bays'][0]}/refill"
    document = in_daemon(door, lambda daemon: daemon.post(path, body))
    now = "full" if balls is None else f"{balls} balls in it"
    click.echo(json.dumps(document, indent=2) if as_json else f"{name}: {now} now")


@dispenser.command()
@_NAME
@_REASON
@door_options
@JSON
def clear(name: str, reason: str | None, as_json: bool, door: Door) -> None:
    """Say that you have seen to its fault, for all its bays. Starts no motor: guests press again."""
    device = _driven(door, name)
    body = {"device": "dispenser", "reason": reason or click.prompt("Reason, for the record")}

    async def work(daemon: Daemon) -> Any:
        bays = (await daemon.get("/status"))["bays"]
        # Each of them knows of it; one that was told while the machine was away may know it alone.
        faulty = (n for n in device["bays"] if bays[n]["devices"]["dispenser"]["state"] == "fault")
        number = next(faulty, device["bays"][0])
        return await daemon.post(f"/api/v1/bays/{number}/fault/clear", body)

    document = in_daemon(door, work)
    said = f"{name}: taken as seen to; `bayd dispenser identify {name}` says how it is"
    click.echo(json.dumps(document, indent=2) if as_json else said)


def _driven(door: Door, name: str) -> dict[str, Any]:
    """As the daemon tells it, which keeps what is done with the machine on record. It serves some bay."""
    device = next((d for d in find_held(door).devices if (d["kind"], d["name"]) == ("dispenser", name)), None)
    if device is None:
        text = (
            f"bayd does not drive a dispenser {name!r} now. What is done with a machine stands on record, "
            "and the daemon keeps that: start it (systemctl start bayd), then run this again"
        )
        leave(os.EX_UNAVAILABLE, text)
    if not device["bays"]:
        raise click.UsageError(f"no bay has dispenser = {name!r}: give it to one, then try it")
    return device


async def pay_on_trial(
    daemon: Daemon, device: dict[str, Any], bays: list[str], body: dict[str, Any]
) -> dict[str, Any]:
    """Ask for it, at the first of `bays` where nobody plays, and wait for its end.

    Raises DaemonRefusedError, DaemonUnreachableError.
    """
    number = await _free(daemon, bays)
    try:
        async with asyncio.timeout(_TEST_S):
            asked = False
            async for event in daemon.stream(f"/api/v1/events?bay={number}"):
                if not asked:
                    await daemon.post(f"/api/v1/bays/{number}/dispense/test", body)
                    asked = True
                elif (payout := event.json.get("payout")) is not None and payout["test"]:
                    machine = event.json["state"]["devices"]["dispenser"]
                    counts = device["details"].get("counted") != "no"
                    return {"bay": number, **_ended(payout, machine, body["balls"], counts=counts), **body}
    except TimeoutError:
        pass
    text = f"not over after {_TEST_S:g} s: look at the machine and at `bayd status`"
    return {"bay": number, "done": False, "text": text, **body}


def _ended(payout: dict[str, Any], machine: dict[str, Any], balls: int, *, counts: bool) -> dict[str, Any]:
    """What became of a trial: done is only what certainly came out in full."""
    came_out = payout["paid"] + payout["surplus"]
    done = payout["end"] == "done" and came_out >= balls and machine["state"] == "ok"
    text = f"{came_out} counted" if counts else f"{came_out} by its pulses; count the balls"
    if payout["unknown"]:
        text = f"{text}, {payout['unknown']} unknown: count the balls"
    if not done:
        why = f", {machine['state']}: {machine['reason']}" if machine["reason"] else ""
        text = f"{text} ({payout['end'].replace('_', ' ')}{why})"
    return {"done": done, "counted": came_out if counts else None, "text": text}


async def _free(daemon: Daemon, bays: list[str]) -> str:
    status = await daemon.get("/status")
    return next((number for number in bays if status["bays"][number]["session"] is None), bays[0])


async def _look(link: str, held: Held) -> dict[str, Any]:
    from dataclasses import asdict

    from bayd.devices.dispenser_talk import DispenserTalkError, scan_line

    row: dict[str, Any] = {"link": link, "held": held.at(link), "found": [], "problem": None}
    if row["held"] is None:
        try:
            row["found"] = [asdict(one) for one in await scan_line(link)]
        except DispenserTalkError as error:
            row["problem"] = str(error)
    return row


def _document(name: str, config: Path, door: Door) -> dict[str, Any]:
    """As the daemon tells it, or asked on a free port."""
    for device in find_held(door).devices:
        if (device["kind"], device["name"]) == ("dispenser", name):
            return device
    settings = _settings(name, config)
    identity, now = _asked(name, settings)
    return {
        "kind": "dispenser",
        "name": name,
        "driver": settings.driver,
        "link": settings.link,
        "state": "ok",
        "reason": "",
        "model": f"{identity.manufacturer} {identity.product}".strip(),
        "firmware": identity.software,
        "bays": [],
        "level": now.value,
        "details": {k: v for k, v in {**identity.details, "serial": identity.serial}.items() if v},
    }


def _settings(name: str, config: Path) -> "Dispenser":
    from bayd.settings import ConfigurationError, load

    try:
        dispensers = load(config).settings.dispensers
    except ConfigurationError as error:
        leave(os.EX_CONFIG, str(error))
    if name not in dispensers:
        known = ", ".join(dispensers) or "none"
        raise click.UsageError(f"there is no dispenser {name!r} in {config}; it has {known}")
    return dispensers[name]


def _asked(name: str, settings: "Dispenser") -> "tuple[Identity, Level]":
    from bayd.devices.dispensers import make_dispensers
    from hardware.dispenser import DispenserError

    async def ask() -> "tuple[Identity, Level]":
        machine = make_dispensers({name: settings})[name]
        try:
            return await machine.connect(), await machine.level()
        finally:
            await machine.aclose()

    try:
        return asyncio.run(ask())
    except DispenserError as error:
        leave(os.EX_UNAVAILABLE, f"{name}: {error}")
