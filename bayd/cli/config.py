"""`bayd init` and `bayd config …`: the first files, and what the configuration says."""

import json
import locale
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bayd.cli.options import CONFIG, CONFIG_DEFAULT, JSON

SERVICE_ENVIRONMENT = Path("/etc/default/bayd")  # as in systemd/bayd.service
CREDENTIALS = "credentials"  # the directory beside the configuration that the unit hands over


@click.command(short_help="Write a first configuration and its secrets.")
@CONFIG
@click.option("--name", default="Golf range", show_default=True, help="The range as people know it.")
@click.option("--timezone", help="IANA name. Default: this machine's.")
@click.option("--currency", help="Shown beside amounts, as INR. Default: of this machine's locale.")
@click.option("--central-url", default="http://127.0.0.1:4000", show_default=True)
@JSON
def init(
    config: Path, name: str, timezone: str | None, currency: str | None, central_url: str, as_json: bool
) -> None:
    """Write a commented first configuration, the site key and two tokens. Overwrites nothing."""
    from bayd.devices.serial_ports import find_ports
    from bayd.settings.local_socket import is_the_service
    from bayd.tools.first_files import FirstFilesError, FirstSite, write_first_files

    money = _currency_here() if currency is None else currency
    site = FirstSite(name, timezone or _timezone_here(), central_url, money, find_ports())
    try:
        written = write_first_files(config, config.parent / CREDENTIALS, site)
    except FirstFilesError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    if as_json:
        rows = [{"path": str(each.path), "what": each.what, "made": each.made} for each in written]
        click.echo(json.dumps(rows, indent=2))
        return
    for each in written:
        click.echo(f"{'made ' if each.made else 'kept '} {each.path}  ({each.what})")
    steps = [f"bayd check-config {config}", f"bayd doctor --config {config}"]
    if is_the_service(config):
        steps.append("systemctl start bayd")
    else:
        found_at = shlex.quote(str((config.parent / CREDENTIALS).absolute()))
        steps = [f"export CREDENTIALS_DIRECTORY={found_at}", *steps, f"bayd run --config {config}"]
    click.echo(f"\nNext: name the readers, dispensers and bays in {config}, then")
    for step in steps:
        click.echo(f"  {step}")


@click.group("config")
def config_group() -> None:
    """What the configuration says, and what it may say."""


@config_group.command("show")
@CONFIG
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@JSON
def show(config: Path, changed: bool, as_json: bool) -> None:
    """Every setting with its value and where it comes from. Secrets and devices of screens are masked."""
    from bayd.settings import ConfigurationError, load
    from bayd.tools.effective import DEFAULT, effective_credentials, effective_settings

    take_service_environment(config)
    try:
        rows = effective_settings(load(config), config)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(os.EX_CONFIG)
    rows = [row for row in rows if not changed or row.source != DEFAULT]
    secrets = effective_credentials(environment_with_credentials(config))
    if as_json:
        document = {
            "settings": [{"key": r.path, "value": r.value, "source": r.source} for r in rows],
            "credentials": [
                {"name": r.path, "set": r.value is not None, "source": r.source} for r in secrets
            ],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row.path} = {_written(row.value)}  # {row.source}")
    for row in secrets:
        click.echo(f"credential {row.path}  # {row.source}")


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON schema, for editors."""
    from bayd.cli.config_schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


@config_group.command("reference")
def config_reference() -> None:
    """Print every key with its default and its reason (Markdown)."""
    from bayd.cli.config_schema import reference

    click.echo(reference(), nl=False)


def take_service_environment(config: Path, file: Path | None = None) -> None:
    """For a person at the shell: the settings that the unit reads from /etc/default/bayd hold here, too."""
    file = SERVICE_ENVIRONMENT if file is None else file
    if config != CONFIG_DEFAULT or "INVOCATION_ID" in os.environ:
        return
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith("BAYD_"):
            # systemd.exec(5), EnvironmentFile: one pair of quotes around the value is taken away.
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            os.environ.setdefault(name, value[1:-1] if quoted else value)


def may_read_credentials(config: Path) -> bool:
    directory = environment_with_credentials(config).get("CREDENTIALS_DIRECTORY")
    return (
        directory is None
        or os.access(directory, os.R_OK | os.X_OK, effective_ids=True)
        or not Path(directory).is_dir()
    )


def environment_with_credentials(config: Path) -> Mapping[str, str]:
    """For a person at the shell: where the unit finds the credentials, unless the environment says."""
    directory = config.parent / CREDENTIALS
    if "CREDENTIALS_DIRECTORY" in os.environ or not directory.is_dir():
        return os.environ
    return {**os.environ, "CREDENTIALS_DIRECTORY": str(directory)}


def _timezone_here() -> str:
    target = os.path.realpath("/etc/localtime")
    _, found, name = target.partition("/zoneinfo/")
    return name if found else "UTC"


def _currency_here() -> str:
    """Nothing where the machine's locale names none, as a fresh Debian's does not."""
    try:
        locale.setlocale(locale.LC_MONETARY, "")
    except locale.Error:  # one that was not generated
        return ""
    return str(locale.localeconv()["int_curr_symbol"]).strip()


def _written(value: Any) -> str:
    """As in the file, but for what is not set."""
    match value:
        case None:
            return "(not set)"
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{key} = {_written(inner)}" for key, inner in value.items()) + " }"
        case list():
            return "[" + ", ".join(_written(inner) for inner in value) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)
