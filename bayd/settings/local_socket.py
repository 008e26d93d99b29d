"""Where the daemon is found: its own socket, for it and for the tools that look for it, and its address."""

import os
from collections.abc import Mapping
from pathlib import Path

from bayd.settings.loading import read_tables
from bayd.settings.site import OFF, Http, State

SOCKET = "bayd.sock"
SERVICE_SOCKET = Path("/run/bayd") / SOCKET  # of the unit in systemd/bayd.service
SERVICE_CONFIG = Path("/etc/bayd/bayd.toml")
_HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  every address, seen from this machine


def socket_of(http: Http, state: State, environment: Mapping[str, str]) -> Path | None:
    """Where the daemon opens it; None: it is switched off."""
    if http.socket == OFF:
        return None
    if http.socket is not None:
        return Path(http.socket)
    # systemd separates several with colons; the unit has one.
    runtime = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return (Path(runtime) if runtime else state.dir.absolute()) / SOCKET


def sockets_of(config: Path) -> list[Path]:
    """Where a tool looks for it, in this order. A tool may know less than the daemon does.

    A configuration that cannot be read or is wrong does not matter here: the daemon may run with the one
    before.
    """
    tables, _complaints = read_tables(config)
    http, state = _table(tables, "http"), _table(tables, "state")
    written = http.get("socket")
    if written == OFF:
        return []
    if isinstance(written, str):
        return [Path(written)]
    directory = state.get("dir")
    found = [Path(directory).absolute() / SOCKET] if isinstance(directory, str) else []
    if not found or is_the_service(config):
        found.append(SERVICE_SOCKET)
    return found


def url_of(config: Path) -> str:
    """The first address that it listens on, as far as the configuration can be read: for tools."""
    tables, _complaints = read_tables(config)
    written = _table(tables, "http").get("listen")
    if not (isinstance(written, list) and written and isinstance(written[0], str)):
        return f"http://{Http().listen[0]}"
    host, _, port = written[0].rpartition(":")
    return f"http://{_HERE.get(host, host)}:{port}"


def is_the_service(config: Path) -> bool:
    """Whether it is the file that the unit in systemd/bayd.service runs with."""
    return os.path.realpath(config) == os.path.realpath(SERVICE_CONFIG)


def _table(tables: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = tables.get(name)
    return table if isinstance(table, dict) else {}
