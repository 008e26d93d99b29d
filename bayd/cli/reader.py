"""`bayd reader …`: what is plugged in, what it is, what it hears, how loud it calls.

A port that the daemon holds is asked through the daemon, between the rounds of its reader; any other one by
the tool itself. Nothing is changed in a reader but by `power --set`.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayd.cli.daemon import Door, daemon_options, door_options, in_daemon
from bayd.cli.held import find_held
from bayd.cli.options import DIRECTORY, FILE, JSON, config_option
from bayd.cli.progress import progress
from bayd.cli.reader_listening import listen_here, listen_there, reader_path, shown
from bayd.cli.reader_target import Target, find_target, identified, run

if TYPE_CHECKING:
    from bayd.devices.reader_talk import Identity

_WATCH_S = 10.0
_IDENTIFY_S = 60.0  # some twenty questions, each behind a round over sixteen ports


@click.group()
def reader() -> None:
    """RFID readers: find, identify, watch, set power."""


_READER = click.argument("name", metavar="READER")
_CONFIG = config_option("Where READER is looked up when it is a name and not a link.")
_DRIVER = click.option("--driver", type=click.Choice(["r2000_a0", "uhfreader288"]), help="Try this one only.")
_BAUDRATE = click.option("--baudrate", type=click.IntRange(1), help="Try this one only.")
_REGION = click.option("--region", type=click.Choice(["etsi", "fcc", "india"]), help="Whose radio law holds.")


@reader.command()
@door_options
@JSON
@click.option("--dev", type=DIRECTORY, default=Path("/dev"), hidden=True)
def scan(as_json: bool, door: Door, dev: Path) -> None:
    """List the serial ports, and say what reader is at each. Ports that bayd holds are not touched."""
    from bayd.cli.held import in_words as held_in_words
    from bayd.cli.reader_views import in_words
    from bayd.devices.reader_documents import summary_of
    from bayd.devices.reader_talk import PortInUseError, ReaderTalkError, identify
    from bayd.devices.serial_ports import SerialPort, find_ports

    async def look(port: SerialPort) -> dict[str, Any]:
        row: dict[str, Any] = {
            "device": port.device, "link": port.link, "reader": None, "held": held.at(port.device),
            "problem": None,
        }  # fmt: skip
        if row["held"] is not None:
            return row
        try:
            found = await identify(port.link)
        except PortInUseError:
            row["problem"] = "in use by another process"
        except ReaderTalkError as error:
            row["problem"] = str(error)
        else:
            row["reader"] = None if found is None else summary_of(found)
        return row

    async def look_at_all(done: Callable[[int], None]) -> list[dict[str, Any]]:
        async with asyncio.TaskGroup() as tasks:
            looks = [tasks.create_task(look(port), name=f"look-{port.device}") for port in ports]
            for task in looks:
                task.add_done_callback(lambda _: done(sum(one.done() for one in looks)))
        return [look.result() for look in looks]

    held = find_held(door)
    ports = find_ports(dev)
    with progress("Asking", len(ports)) as done:
        rows = run(look_at_all(done))
    rows += [
        {"device": None, "link": device["link"], "reader": None, "held": device, "problem": None}
        for device in held.devices
        if device["kind"] == "reader" and not any(held.at(port.device) is device for port in ports)
    ]  # those on the network, and those under names that are not udev's
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no serial port is known here: is the adapter plugged in? (ls -l /dev/serial/by-id)")
    for row in rows:
        what = "no reader answers"
        if row["held"] is not None:
            what = held_in_words(row["held"])
        elif row["problem"] is not None:
            what = row["problem"]
        elif row["reader"] is not None:
            what = in_words(row["reader"])
        click.echo(f"{row['link']}\n    {what}")


@reader.command("identify")
@_READER
@_CONFIG
@_DRIVER
@_BAUDRATE
@_REGION
@JSON
@daemon_options
@click.option("--report", type=FILE, help="Write what the drivers' authors need to see; no personal data.")
def identify_command(
    name: str,
    config: Path,
    driver: str | None,
    baudrate: int | None,
    region: str | None,
    as_json: bool,
    door: Door,
    report: Path | None,
) -> None:
    """Ask a reader what it is. Changes nothing."""
    from bayd.cli.reader_views import in_words, port_in_words, report_of
    from bayd.devices.reader_documents import summary_of
    from bayd.settings.readers import USUAL_BAUD

    target = find_target(name, config, driver, baudrate, region)
    held = _held_reader(door, target)
    found = run(identified(target)) if held is None else _asked_identity(door, held)
    summary = summary_of(found)
    if report is not None:
        try:
            report.write_text(json.dumps(report_of(target, found), indent=2) + "\n")
        except OSError as error:
            click.echo(f"{report}: cannot be written: {error.strerror}", err=True)
            sys.exit(1)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(in_words(summary))
    for key, value in found.facts.items():
        click.echo(f"    {key.replace('_', ' ')}: {value}")
    for port in range(1, max((*found.return_loss_db, len(found.power_dbm)), default=0) + 1):
        click.echo(f"    port {port}: {port_in_words(found, port)}")
    click.echo("\nFor the configuration, with your own ports and bays:\n")
    click.echo(f'[readers.ID]\ndriver = "{found.driver}"\nlink = "{target.link}"')
    if found.baudrate not in (None, USUAL_BAUD[found.driver]):
        click.echo(f"baudrate = {found.baudrate}")
    if found.port_count not in (None, 8):
        click.echo(f"port_count = {found.port_count}")
    if report is not None:
        click.echo(f"\nthe report is in {report}: read it, then send it in")


@reader.command()
@_READER
@_CONFIG
@_DRIVER
@_BAUDRATE
@click.option(
    "--port", "ports", type=click.IntRange(1, 16), multiple=True, help="Default: those with an antenna."
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Default: 10, or until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, a summary at the end.")
@daemon_options
def watch(
    name: str,
    config: Path,
    driver: str | None,
    baudrate: int | None,
    ports: tuple[int, ...],
    seconds: float | None,
    as_json: bool,
    door: Door,
) -> None:
    """Show what a reader hears, with the strength at each port."""
    from rich.console import Console

    from bayd.cli.reader_views import tag_rows, tag_table

    target = find_target(name, config, driver, baudrate)
    console = Console()
    live = console.is_terminal and not as_json
    seconds = seconds if seconds is not None or live else _WATCH_S
    held = _held_reader(door, target)
    show = partial(shown, console=console if live else None, as_json=as_json)
    try:
        if held is None:
            tallies = run(show(partial(listen_here, target, ports, seconds)))
        else:
            tallies = in_daemon(door, lambda d: show(partial(listen_there, d, held, ports, seconds)))
    except KeyboardInterrupt:
        return  # the last picture stays on the screen
    if as_json:
        click.echo(json.dumps({"event": "summary", "tags": tag_rows(tallies)}))
    elif not live:
        console.print(tag_table(tallies))


@reader.command()
@_READER
@_CONFIG
@_DRIVER
@_BAUDRATE
@_REGION
@click.option("--antenna-gain-dbi", type=float, help="With --set: of the antennas; default 8.5.")
@click.option("--cable-loss-db", type=float, help="With --set: between reader and antennas; default 0.")
@click.option("--set", "power_dbm", type=click.IntRange(0, 33), help="Save this power, in dBm.")
@click.option("--port", "ports", type=click.IntRange(1, 16), multiple=True, help="With --set: only here.")
@JSON
@daemon_options
def power(
    name: str,
    config: Path,
    driver: str | None,
    baudrate: int | None,
    region: str | None,
    antenna_gain_dbi: float | None,
    cable_loss_db: float | None,
    power_dbm: int | None,
    ports: tuple[int, ...],
    as_json: bool,
    door: Door,
) -> None:
    """Show the power of each port, or set it.

    bayd sets the powers of its configuration whenever it starts; this is for looking and trying. While it
    runs, a port at which somebody plays keeps its power.
    """
    from bayd.settings.readers import highest_power_dbm

    if ports and power_dbm is None:
        raise click.UsageError("--port goes with --set")
    target = find_target(name, config, driver, baudrate, region, antenna_gain_dbi, cable_loss_db)
    highest = highest_power_dbm(target.region, target.antenna_gain_dbi, target.cable_loss_db)
    if power_dbm is not None and power_dbm > highest:
        raise click.UsageError(
            f"{power_dbm} dBm is more than the {highest} dBm that {target.region.value} allows with an "
            f"antenna of {target.antenna_gain_dbi:g} dBi and {target.cable_loss_db:g} dB of cable; see "
            "--region, --antenna-gain-dbi, --cable-loss-db"
        )
    held = _held_reader(door, target)
    if held is None:
        before, after, problems = run(_power(target, power_dbm, ports))
    else:
        before, after, problems = _asked_power(door, held, power_dbm, ports)
    if as_json:
        shown = {"before_dbm": before, "power_dbm": after, "refused": problems}
        click.echo(json.dumps(shown, indent=2))
    else:
        for port, dbm in enumerate(after, start=1):
            click.echo(f"{'all ports' if len(after) == 1 else f'port {port}'}: {dbm} dBm")
        if not after:
            click.echo("the reader does not tell its power")
        for problem in problems:
            click.echo(f"refused: {problem}", err=True)
    if problems:
        sys.exit(1)


async def _power(
    target: Target, power_dbm: int | None, ports: tuple[int, ...]
) -> tuple[list[int], list[int], list[str]]:
    """Powers before and after, and what was refused. Raises ReaderTalkError."""
    from bayd.devices.reader_talk import ReaderTalkError, open_talk
    from bayd.settings.readers import USUAL_BAUD
    from hardware.rfid.dialogue import NoAnswerError

    found = await identified(target)
    before = list(found.power_dbm)
    if power_dbm is None:
        return before, before, []
    count = found.port_count or 8
    try:
        async with open_talk(
            target.link,
            found.driver,
            found.baudrate or USUAL_BAUD[found.driver],
            port_count=found.port_count,
            address=target.address,
        ) as talk:
            wanted = dict.fromkeys(ports or range(1, count + 1), power_dbm)
            refused = await talk.set_powers(wanted)
            after = list(await talk.powers())
    except NoAnswerError as error:
        raise ReaderTalkError(f"{error}; look at the power again before going on") from error
    return before, after, [f"port {one.port}: {one.power_dbm} dBm: {one.reason}" for one in refused]


def _held_reader(door: Door, target: Target) -> str | None:
    """By which name the daemon drives this reader. Ends the process when a dispenser is at its port."""
    device = find_held(door).at(target.link)
    if device is None:
        return None
    if device["kind"] != "reader":
        raise click.UsageError(f"{target.link} is the port of the {device['kind']} {device['name']}")
    return str(device["name"])


def _asked_identity(door: Door, held: str) -> "Identity":
    from bayd.devices.reader_documents import identity_of

    path = reader_path(held, "identify")
    return identity_of(in_daemon(door, lambda daemon: daemon.get(path, timeout_s=_IDENTIFY_S)))


def _asked_power(
    door: Door, held: str, power_dbm: int | None, ports: tuple[int, ...]
) -> tuple[list[int], list[int], list[str]]:
    path, body = reader_path(held, "power"), {"power_dbm": power_dbm, "ports": list(ports)}
    document = in_daemon(
        door,
        lambda daemon: (
            daemon.get(path, timeout_s=_IDENTIFY_S)
            if power_dbm is None
            else daemon.ask("PUT", path, body, timeout_s=_IDENTIFY_S)
        ),
    )
    if power_dbm is not None:
        click.echo(
            "holds until bayd starts again or reloads; to keep it write it into the configuration", err=True
        )
    return document["before_dbm"], document["power_dbm"], document["refused"]
