"""`bayd doctor`: looks at everything that a bay PC needs, and says of each fault what to do next."""

import asyncio
import grp
import json
import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayd.cli.config import (
    environment_with_credentials,
    may_read_credentials,
    take_service_environment,
)
from bayd.cli.options import CONFIG, JSON

if TYPE_CHECKING:
    from bayd.tools.doctor import Finding

_USER = "bayd"  # systemd/bayd.sysusers
_PAGES = Path("/usr/share/doc/bayd/docs")  # systemd/deb/nfpm.yaml
_MARKS = {"good": ("ok", "green"), "look": ("look", "yellow"), "bad": ("BAD", "red")}


@click.command(short_help="Look at everything; say what to do next.")
@CONFIG
@click.option("--url", envvar="BAYD_URL", help="Of the daemon. [default: as configured]")
@click.option(
    "--udev", is_flag=True, help="Only print udev rules for the serial adapters that are plugged in."
)
@JSON
def doctor(config: Path, url: str | None, udev: bool, as_json: bool) -> None:
    """Look at configuration, ports, clock, disk, servers and daemon. Exit 1 if anything is bad."""
    from bayd.devices.serial_ports import find_ports
    from bayd.settings.local_socket import url_of
    from bayd.tools.doctor import Grade, udev_page, udev_rules

    take_service_environment(config)
    if udev:
        click.echo(udev_page(udev_rules(find_ports())))
        return
    findings = asyncio.run(_look_at_all(config, url or url_of(config)))
    if as_json:
        rows = [
            {"subject": f.subject, "grade": f.grade.value, "text": f.text, "next_step": f.next_step}
            for f in findings
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.grade]
            click.echo(f"{click.style(f'{mark:>4}', fg=colour)}  {finding.subject}: {finding.text}")
            if finding.next_step:
                click.echo(f"      -> {finding.next_step}")
    if any(finding.grade is Grade.BAD for finding in findings):
        sys.exit(1)


async def _look_at_all(config: Path, url: str) -> "list[Finding]":
    from bayd.clients.transport import AiohttpTransport
    from bayd.credentials import load_credentials
    from bayd.devices.serial_ports import find_ports
    from bayd.runtime.clock import sync_problem
    from bayd.settings import ConfigurationError, load
    from bayd.tools.doctor import (
        bad,
        check_central,
        check_clock,
        check_credentials,
        check_disk,
        check_links,
        check_operator,
        check_owners,
        check_socket_links,
        good,
        held_links,
        look,
    )

    found = check_clock(sync_problem())
    may_read = may_read_credentials(config)
    if not may_read:
        found += look("credentials", "not looked into: only root may", "sudo bayd doctor")
    credentials = load_credentials(environment_with_credentials(config) if may_read else {})
    for wrong in credentials.complaints:
        found += bad("credentials", str(wrong), f"correct it, then: bayd check-config {config}")
    try:
        settings = load(config).settings
    except ConfigurationError as error:
        step = f"correct it, then: bayd check-config {config}"
        return [
            *found,
            *(f for complaint in error.complaints for f in bad("configuration", str(complaint), step)),
        ]
    found += good("configuration", f"{config} is good")
    if may_read:
        found += check_credentials(settings, credentials)
    found += await asyncio.to_thread(check_disk, settings.state.dir)
    found += check_owners(settings.state.dir)
    links = {f"readers.{name}.link": reader.link for name, reader in settings.readers.items()}
    links |= {f"dispensers.{name}.link": machine.link for name, machine in settings.dispensers.items()}
    status, of_daemon = await _check_daemon(url)
    held = held_links(status)
    found += check_links(links, groups=_groups(), ports=find_ports(), held=held)
    found += await check_socket_links({key: link for key, link in links.items() if key not in held})
    transport = AiohttpTransport()
    try:
        found += await check_central(transport, settings.central.url, credentials.central_token)
        if settings.qod is not None:
            found += await check_operator(transport, settings.qod.base_url)
    finally:
        await transport.aclose()
    return found + of_daemon


async def _check_daemon(url: str) -> "tuple[dict[str, Any], list[Finding]]":
    from bayd.tools.doctor import bad, good, look
    from bayd.tools.terminal import StatusUnavailableError, fetch_status

    try:
        document = await fetch_status(url)
    except StatusUnavailableError as error:
        return {}, bad("daemon", f"{url}: {error}", "systemctl status bayd; journalctl -u bayd -n 50")
    bays = len(document["bays"])
    found = good("daemon", f"version {document.get('version')} runs {bays} {'bay' if bays == 1 else 'bays'}")
    for warning in document.get("warnings", ()):
        where = "daemon" if warning.get("bay") is None else f"bay {warning['bay']}"
        found += look(where, warning["text"], f"{_page('operations.md')}, `{warning['code']}`")
    return document, found


def _page(name: str) -> Path:
    """Where it can be read on this machine; as a checkout names it elsewhere."""
    packaged = _PAGES / name
    return packaged if packaged.is_file() else Path("docs") / name


def _groups() -> frozenset[str]:
    """Those of the daemon's user; without one, of whoever asks."""
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return frozenset(_name_of(gid) for gid in os.getgroups())
    return frozenset(_name_of(gid) for gid in os.getgrouplist(user.pw_name, user.pw_gid))


def _name_of(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
