"""The dispensers as the daemon was started with them, kept for whoever must stop them without it.

A motor that runs was started over these lines, whatever the configuration says by now: it may have been
changed since, or not even be TOML. The file lies in the service's runtime directory, is gone with a reboot as
every motor's order is, and has no secrets: the tables of the dispensers and the name of the configuration.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayd.settings.dispensers import Dispenser
from bayd.settings.local_socket import SERVICE_SOCKET, is_the_service

FILE = "dispensers.json"


def place_of(config: Path, environment: Mapping[str, str]) -> Path | None:
    """Where it is kept; None: no service, nothing is kept."""
    runtime = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return Path(runtime) / FILE
    return SERVICE_SOCKET.with_name(FILE) if is_the_service(config) else None


def keep(place: Path, config: Path, dispensers: Mapping[str, Dispenser]) -> None:
    """Raises OSError."""
    document = {
        "config": os.path.realpath(config),
        "dispensers": {name: one.model_dump(mode="json") for name, one in dispensers.items()},
    }
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_text(json.dumps(document))
    fresh.replace(place)


def find_kept(place: Path, config: Path) -> dict[str, Any]:
    """The tables of the last start with this configuration; none of another's. Raises OSError, ValueError."""
    try:
        document = json.loads(place.read_text())
    except FileNotFoundError:
        return {}
    match document:
        case {"config": str(of), "dispensers": dict(tables)}:
            return tables if of == os.path.realpath(config) else {}
    raise ValueError("it is not what bayd writes there")
