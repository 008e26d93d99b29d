"""The mobile operator's ledger of one evening, against play: what the network gave, and to whom."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Interval = tuple[float, float]  # seconds since the epoch

_NEVER = float("inf")
_SESSIONS = "SELECT x_correlator, available_at, ended_at, released_at, cause FROM sessions"
_EVENTS = "SELECT bay, kind, payload, wall_ms FROM events ORDER BY seq"


@dataclass(frozen=True, slots=True)
class NetworkBook:
    known: int  # sessions whose id the journal has
    created: int  # … and the operator
    deleted: int  # by us, and no longer there
    network_s: float  # for which the operator may ask money
    played_s: float  # at bays with a screen in the mobile network
    outside_s: float  # network time while nobody played there


def read_network(journal: Path, operator: Path) -> NetworkBook:
    plays, bays, known = _read_journal(journal)
    sessions = _rows(operator, _SESSIONS)
    network_s = outside_s = 0.0
    deleted = 0
    for correlator, available_at, ended_at, released_at, cause in sessions:
        deleted += released_at is not None and cause == "DELETE_REQUESTED"
        if available_at is None:
            continue
        given = (available_at, _NEVER if ended_at is None else ended_at)
        network_s += given[1] - given[0]
        outside_s += given[1] - given[0] - _shared_s(given, plays.get(bays.get(correlator, ""), []))
    played_s = sum(end - start for bay in set(bays.values()) for start, end in plays.get(bay, []))
    return NetworkBook(len(known), len(sessions), deleted, network_s, played_s, outside_s)


def _read_journal(path: Path) -> tuple[Mapping[str, list[Interval]], Mapping[str, str], set[str]]:
    plays: dict[str, list[Interval]] = {}
    begun: dict[str, float] = {}
    bays: dict[str, str] = {}
    known: set[str] = set()
    for bay, kind, payload, wall_ms in _rows(path, _EVENTS):
        event: dict[str, Any] = json.loads(payload)
        match kind:
            case "SessionStarted":
                begun[bay] = wall_ms / 1000
            case "SessionEnded":
                plays.setdefault(bay, []).append((begun.pop(bay), wall_ms / 1000))
            case "QosCreateIntended":
                bays[event["x_correlator"]] = bay
            case "QosCreated":
                known.add(event["qos_id"])
            case _:
                pass
    for bay, start in begun.items():
        plays.setdefault(bay, []).append((start, _NEVER))
    return plays, bays, known


def _shared_s(given: Interval, plays: list[Interval]) -> float:
    return sum(max(0.0, min(given[1], end) - max(given[0], start)) for start, end in plays)


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
