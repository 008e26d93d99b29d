"""The daemon's status in a terminal: fetched and drawn as a table."""

import json
import math
from collections import defaultdict
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bayd.clients.transport import AiohttpTransport
from bayd.ports import TransportError

_TIMEOUT_S = 5.0


class StatusUnavailableError(Exception):
    """The daemon does not answer, or something else does."""


async def fetch_status(url: str) -> dict[str, Any]:
    """Raises StatusUnavailableError."""
    transport = AiohttpTransport()
    try:
        response = await transport.request("GET", f"{url.rstrip('/')}/status", timeout_s=_TIMEOUT_S)
        document = json.loads(response.body)
    except TransportError as error:
        raise StatusUnavailableError(str(error)) from error
    except ValueError as error:
        raise StatusUnavailableError("the answer is not bayd's") from error
    finally:
        await transport.aclose()
    if response.status != 200 or not isinstance(document, dict) or "bays" not in document:
        raise StatusUnavailableError(f"the answer is not bayd's (HTTP {response.status})")
    return document


def bays_table(document: dict[str, Any]) -> Table:
    """Fits a terminal of 80 columns."""
    columns = ("bay", "phase", "left", "paid", "owed", "read", "reader", "dispenser", "QoS")
    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for number, bay in document["bays"].items():
        session, balls, devices = bay["session"], bay["balls"], bay["devices"]
        table.add_row(
            number,
            bay["phase"],
            "" if session is None else _minutes(session["remaining_s"]),
            str(balls["counted"]),
            str(balls["balance"] + balls["paying"]),
            str(balls["read"]),
            _state(devices["reader"]),
            _state(devices["dispenser"]),
            bay["qod"]["state"],
        )
    return table


def _minutes(seconds: float) -> str:
    """As on a bay's screen: 47:54."""
    return "{}:{:02d}".format(*divmod(math.ceil(seconds), 60))


def _state(device: dict[str, Any]) -> str:
    return "—" if device["state"] == "none" else str(device["state"])


def status_view(document: dict[str, Any]) -> Group:
    """Bays, central server, warnings."""
    central = document["central"]
    online = "online" if central["online"] else f"away ({central['reason']})"
    lines = [f"central server {online}, {central['outbox']} to deliver, {central['parked']} parked"]
    where: defaultdict[str, list[str | None]] = defaultdict(list)
    first: dict[str, str] = {}  # since when, where that is known
    for warning in document["warnings"]:
        text, since = warning["text"], warning.get("since")
        where[text].append(warning.get("bay"))
        if since is not None:
            first[text] = min(since, first.get(text, since))
    warnings = []
    for text, numbers in where.items():
        bays = ", ".join(number for number in numbers if number is not None)
        at = f"bay{'s' * (len(numbers) > 1)} {bays}: " if bays else ""
        since = f" (since {first[text]})" if text in first else ""
        warnings.append(Text(f"! {at}{text}{since}", style="yellow"))
    return Group(bays_table(document), *lines, *warnings)
