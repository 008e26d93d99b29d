"""The commands, each a thin door to the module that does the work."""

import asyncio
import atexit
import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

import bayd
from bayd.cli.balls import balls
from bayd.cli.commission import commission
from bayd.cli.config import (
    config_group,
    environment_with_credentials,
    init,
    may_read_credentials,
    take_service_environment,
)
from bayd.cli.copies import backup, migrate, restore
from bayd.cli.dispenser import dispenser
from bayd.cli.doctor import doctor
from bayd.cli.journal import audit, dump, events
from bayd.cli.options import CONFIG, CONFIG_DEFAULT, DIRECTORY, FILE, JSON
from bayd.cli.outbox import outbox
from bayd.cli.qod import qod
from bayd.cli.reader import reader
from bayd.cli.staff import staff
from bayd.cli.status import health, status
from bayd.cli.upgrade import upgrade

E = TypeVar("E", bound=BaseException)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bayd.__version__, prog_name="bayd")
def main() -> None:
    """bayd, the bay controller of RFID golf ranges."""
    atexit.register(gc.freeze)  # to look for garbage at the exit takes a fifth of a short command


main.add_command(reader)
main.add_command(dispenser)
main.add_command(commission)
main.add_command(balls)
main.add_command(qod)
main.add_command(outbox)
main.add_command(staff)
main.add_command(status)
main.add_command(health)
main.add_command(init)
main.add_command(doctor)
main.add_command(events)
main.add_command(audit)
main.add_command(dump)
main.add_command(config_group)
main.add_command(backup)
main.add_command(restore)
main.add_command(migrate)
main.add_command(upgrade)


@main.command()
@CONFIG
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: log.level]"
)
def run(config: Path, log_level: str | None) -> None:
    """Run the daemon."""
    with _kept_for_good():
        import structlog

        from bayd.journal import JournalError
        from bayd.runtime import logs
        from bayd.settings import ConfigurationError
        from bayd.wiring.daemon import run as run_daemon

    log_pipe = logs.configure(log_level or "info")
    log = structlog.get_logger("bayd")
    code = 0
    try:
        asyncio.run(run_daemon(config, log_pipe, log_level))
    except* ConfigurationError as wrong:
        for complaint in (each for error in _single(wrong) for each in error.complaints):
            log.error("configuration_wrong", setting=complaint.path, reason=complaint.text)
        code = os.EX_CONFIG
    except* (JournalError, OSError) as failed:
        for cause in _single(failed):
            log.error("bayd_failed", reason=str(cause))
        code = code or 1
    except* Exception as defects:  # what ends the daemon is told where people look for it
        for defect in _single(defects):
            log.error("bayd_failed", reason=str(defect), exc_info=defect)
        code = code or 1
    # Not in the handlers: Python 3.11.2 (Debian 12) would wrap the exit into a group, a traceback and a 1.
    sys.exit(code)


@main.command("check-config", short_help="Say all that is wrong with a configuration.")
@click.argument("file", type=FILE, default=CONFIG_DEFAULT, envvar="BAYD_CONFIG")
@click.option("--json", "as_json", is_flag=True, help="The complaints as a JSON list.")
@click.option("--for-start", is_flag=True, help="Only what would keep bayd from starting.")
def check_config(file: Path, as_json: bool, for_start: bool) -> None:
    """Say all that is wrong with a configuration; exit 78 if anything is.

    A missing credential of [qod] is a warning: bays play on without.
    """
    from bayd.credentials import load_credentials
    from bayd.settings import Complaint, ConfigurationError, load_for_start

    take_service_environment(file)
    complaints: list[Complaint] = []
    missing: list[str] = []
    qod = None
    try:
        configuration = load_for_start(file)
        qod = configuration.settings.qod
        if configuration.registry_problem is not None and not for_start:
            complaints.append(Complaint("balls.registry", configuration.registry_problem))
    except ConfigurationError as error:
        complaints += error.complaints
    if for_start:
        pass  # a wrong credential is left out with a warning
    elif may_read_credentials(file):
        credentials = load_credentials(environment_with_credentials(file))
        complaints += credentials.complaints
        if qod is not None and not credentials.complaints:
            from bayd.reconcile.qod_flow import missing_credentials

            missing = missing_credentials(qod, credentials)
    else:
        click.echo("credentials: not looked into: only root may", err=True)
    if as_json:
        click.echo(json.dumps([{"path": c.path, "text": c.text} for c in complaints]))
    else:
        for complaint in complaints:
            click.echo(str(complaint), err=True)
        if not complaints:
            click.echo(f"{file}: good")
    if missing:
        text = f"no credential {', '.join(missing)}: bays play without QoS until it is there"
        click.echo(f"qod: warning: {text}", err=True)
    if complaints:
        sys.exit(os.EX_CONFIG)


@main.command("version")
@JSON
def show_version(as_json: bool) -> None:
    """Print the version."""
    click.echo(json.dumps({"version": bayd.__version__}) if as_json else bayd.__version__)


@main.group(short_help="A central server and an operator, to try with.")
def reference() -> None:
    """Reference services on loopback, for the demo, tests and integrators."""


_DB = click.option("--db", type=FILE, required=True)
_PORT = click.option("--port", type=click.IntRange(0, 65535), required=True)
_FAULTS = click.option("--faults", is_flag=True, help="Take orders for faults at /_faults.")


@reference.command("central")
@_DB
@_PORT
@_FAULTS
@click.option("--minute-s", type=float, default=60.0, help="How long a booked minute lasts.")
@click.option("--bay", "bays", multiple=True, help="A bay's number; may be given again.")
def reference_central(db: Path, port: int, faults: bool, minute_s: float, bays: tuple[str, ...]) -> None:
    """A central server with the whole Session component."""
    from bayd.reference.central import DEFAULT_BAYS, serve

    _serve(serve(db, port, faults=faults, minute_s=minute_s, bays=bays or DEFAULT_BAYS, on_ready=_announce))


@reference.command("qod")
@_DB
@_PORT
@_FAULTS
@click.option("--dialect", type=click.Choice(["tmobile-0.10", "camara-1.1"]), default="tmobile-0.10")
@click.option("--clients", type=FILE, help="JSON: client id -> secret and public key.")
@click.option("--min-duration-s", type=int, default=60)
def reference_qod(
    db: Path, port: int, faults: bool, dialect: str, clients: Path | None, min_duration_s: int
) -> None:
    """A Quality-on-Demand operator."""
    from bayd.reference.qod import serve

    _serve(
        serve(
            db,
            port,
            faults=faults,
            dialect=dialect,
            clients_file=clients,
            min_duration_s=min_duration_s,
            on_ready=_announce,
        )
    )


@main.command()
@click.option("--once", is_flag=True, help="Play the script, compare the books, exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: the comparison as JSON.")
@click.option("--keep", type=DIRECTORY, help="With --once: keep all files of the evening here.")
@click.option("--books", type=DIRECTORY, help="With --once: compare an evening that was kept, play none.")
@click.option("--sabotage", help="With --once: falsify a book first; the comparison must notice.")
def demo(once: bool, as_json: bool, keep: Path | None, books: Path | None, sabotage: str | None) -> None:
    """A simulated range on which real sessions are played."""
    from rich.console import Console

    from bayd.demo.demo import compare_kept, play_once
    from bayd.demo.live import play_live
    from bayd.demo.sabotage import SABOTAGES

    console = Console()
    if sabotage is not None and sabotage not in SABOTAGES:
        raise click.BadParameter(f"one of {', '.join(SABOTAGES)}", param_hint="--sabotage")
    if not once:
        if as_json or keep or books or sabotage:
            raise click.UsageError("--json, --keep, --books and --sabotage go with --once")
        sys.exit(play_live(console))
    if books is not None:
        sys.exit(compare_kept(console, books, as_json=as_json, sabotage=sabotage))
    sys.exit(play_once(console, keep=keep, as_json=as_json, sabotage=sabotage))


@main.group()
@click.option("--socket", type=FILE, help="Of the simulated range; default: the newest demo's.")
@click.pass_context
def sim(context: click.Context, socket: Path | None) -> None:
    """The simulated range: run one, break things by hand."""
    context.obj = socket


@sim.command("range")
@click.option("--plan", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def sim_range(plan: Path) -> None:
    """Run a simulated range from its plan (a JSON file, as the demo writes it)."""
    from bayd.demo.range_process import run as run_range
    from bayd.demo.stage import load_plan

    run_range(load_plan(plan))


def _sim_order(name: str, text: str) -> None:
    @sim.command(name, help=text)
    @click.argument("device")
    @click.pass_obj
    def give(socket: Path | None, device: str) -> None:
        from bayd.demo.stage import StageError, find_socket, order

        try:
            asyncio.run(order(socket or find_socket(), name, name=device))
        except StageError as error:
            raise click.UsageError(str(error)) from error
        except OSError as error:
            click.echo(f"no simulated range: {error}; start one with bayd demo", err=True)
            sys.exit(os.EX_UNAVAILABLE)
        click.echo(f"{name} {device}: done")


for _name, _text in {
    "unplug": "Pull the cable of a reader or hopper.",
    "plug": "Put it back.",
    "jam": "Let a hopper jam at its next payout.",
    "clear": "Clear the jam.",
    "empty": "Leave a hopper without balls.",
    "refill": "Fill it up.",
}.items():
    _sim_order(_name, _text)


@main.command("make-safe")
@CONFIG
def make_safe(config: Path) -> None:
    """Stop every motor. Needs neither secrets nor the journal; for ExecStopPost and emergencies."""
    from bayd.tools.make_safe import make_safe as stop_motors

    sys.exit(stop_motors(config))


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """What is loaded here is never garbage: looking for some in it takes a third of a start and a stop."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _announce(address: str) -> None:
    click.echo(f"listening on {address}")
    sys.stdout.flush()


def _serve(service: Any) -> None:
    from bayd.runtime import logs

    logs.configure("warning")
    try:
        asyncio.run(_until_signalled(service))
    except* Exception as group:  # noqa: BLE001 # whatever keeps it from serving is said in one line
        _complain(group)
    else:
        return
    sys.exit(os.EX_UNAVAILABLE)


async def _until_signalled(service: Any) -> None:
    import signal

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(service, name="service")
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _complain(group: BaseExceptionGroup[Exception]) -> None:
    for error in _single(group):
        click.echo(f"bayd: {error}", err=True)


def _single(group: BaseExceptionGroup[E]) -> Iterator[E]:
    """The errors themselves, out of groups within groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error
