"""The commands, each a thin door to the module that does the work."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

import bayd

EX_UNAVAILABLE = 69
EX_CONFIG = 78

_CONFIG = click.Path(dir_okay=False, path_type=Path)
_CONFIG_DEFAULT = Path("/etc/bayd/bayd.toml")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bayd.__version__, prog_name="bayd")
def main() -> None:
    """bayd, the bay controller of RFID golf ranges."""


@main.command()
@click.option("--config", type=_CONFIG, default=_CONFIG_DEFAULT, envvar="BAYD_CONFIG", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def run(config: Path, log_level: str) -> None:
    """Run the daemon."""
    from bayd.journal import JournalError
    from bayd.runtime import logs
    from bayd.settings import ConfigurationError
    from bayd.web.app import ListenRefusedError
    from bayd.wiring import run as run_daemon

    logs.configure(log_level)
    try:
        asyncio.run(run_daemon(config))
    except* (ConfigurationError, ListenRefusedError) as group:
        _complain(group)
        sys.exit(EX_CONFIG)
    except* (JournalError, OSError) as group:
        _complain(group)
        sys.exit(1)


@main.command("check-config")
@click.argument("file", type=_CONFIG, default=_CONFIG_DEFAULT)
@click.option("--json", "as_json", is_flag=True, help="The complaints as a JSON list.")
def check_config(file: Path, as_json: bool) -> None:
    """Say all that is wrong with a configuration; exit 78 if anything is."""
    from bayd.credentials import load_credentials
    from bayd.settings import Complaint, ConfigurationError, load
    from bayd.web.app import ListenRefusedError, check_listen

    complaints: list[Complaint] = []
    try:
        settings = load(file).settings
        check_listen(settings.http.listen, trusted_lan=settings.http.allow_plain_http == "trusted-lan")
    except ConfigurationError as error:
        complaints += error.complaints
    except ListenRefusedError as error:
        complaints.append(Complaint("http.listen", str(error).removeprefix("http.listen: ")))
    try:
        load_credentials()
    except ConfigurationError as error:
        complaints += error.complaints
    if as_json:
        click.echo(json.dumps([{"path": c.path, "text": c.text} for c in complaints]))
    else:
        for complaint in complaints:
            click.echo(str(complaint), err=True)
        if not complaints:
            click.echo(f"{file}: good")
    if complaints:
        sys.exit(EX_CONFIG)


@main.command()
@click.option("--url", default="http://127.0.0.1:8470", envvar="BAYD_URL", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The daemon's own document.")
def status(url: str, as_json: bool) -> None:
    """What the daemon says of its bays; exit 69 when it does not answer."""
    from bayd.cli.status import StatusUnavailableError, fetch_status, print_status

    try:
        document = asyncio.run(fetch_status(url))
    except StatusUnavailableError as error:
        click.echo(f"no answer from {url}: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        print_status(document)


@main.command("version")
@click.option("--json", "as_json", is_flag=True)
def show_version(as_json: bool) -> None:
    """Print the version."""
    click.echo(json.dumps({"version": bayd.__version__}) if as_json else bayd.__version__)


@main.group()
def reference() -> None:
    """Reference services on loopback, for the demo, tests and integrators."""


_DB = click.option("--db", type=click.Path(dir_okay=False, path_type=Path), required=True)
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
@click.option("--clients", type=_CONFIG, help="JSON: client id -> secret and public key.")
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


def _announce(address: str) -> None:
    click.echo(f"listening on {address}")
    sys.stdout.flush()


def _serve(service: Any) -> None:
    from bayd.runtime import logs

    logs.configure("warning")
    try:
        asyncio.run(_until_signalled(service))
    except OSError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_UNAVAILABLE)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


async def _until_signalled(service: Any) -> None:
    import signal

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(service, name="service")
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _complain(group: BaseExceptionGroup) -> None:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _complain(error)
        else:
            click.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
