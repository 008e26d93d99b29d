"""A site to start with: 42 bays on three floors, antennas, pit targets, three games.

The identities are made from the numbers, so two demonstrations of the same range agree.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from bayd.reference.central import bays as range_plan
from bayd.reference.central import site
from bayd.reference.central.ledger import Ledger

DEFAULT_BAYS = tuple(f"{floor}{place:02d}" for floor in (1, 2, 3) for place in range(1, 15))
_PORTS = 8  # antennas on one reader
_INTERVALS_MIN = (15, 30, 60)  # Time Interval component
_PIT_TARGETS = 4
_PIT_ANTENNAS = 2  # on each target


@dataclass(frozen=True, slots=True)
class DemoGame:
    name: str
    balls_limit: int  # 0: no limit


DEMO_GAMES = (DemoGame("GAME 1", 0), DemoGame("GAME 2", 20), DemoGame("GAME 3", 30))


def seed_site(
    ledger: Ledger, bays: Sequence[str] = DEFAULT_BAYS, games: Sequence[DemoGame] = DEMO_GAMES
) -> None:
    """Fills an empty database; one that knows any bay is left as it is."""
    if ledger.find("SELECT id FROM bays LIMIT 1") is not None:
        return
    for index, number in enumerate(bays):
        bay_id = range_plan.bay(ledger, number, range_plan.floor(ledger, _floor_of(number)))
        ledger.write(
            "UPDATE bays SET screen_id = :screen, timer_id = :timer WHERE id = :id",
            screen=_hex16(f"screen {number}"),
            timer=str(uuid.uuid5(uuid.NAMESPACE_OID, f"timer {number}")),
            id=bay_id,
        )
        reader = _hex16(f"bay reader {index // _PORTS + 1}")
        range_plan.antenna(ledger, reader, index % _PORTS + 1, "20", number, bay_id=bay_id)
    game_ids = [
        ledger.write(
            "INSERT INTO games (name, balls_limit, created_ms) VALUES (:name, :limit, :now)",
            name=game.name,
            limit=game.balls_limit,
            now=ledger.now_ms,
        )
        for game in games
    ]
    _seed_pits(ledger, game_ids)
    for minutes in _INTERVALS_MIN:
        ledger.write(
            "INSERT INTO time_intervals (interval_min, enable, created_ms) VALUES (:minutes, 1, :now)",
            minutes=minutes,
            now=ledger.now_ms,
        )
    ledger.write(
        "INSERT INTO system_variables (name, details, created_ms) VALUES (:name, :details, :now)",
        name="Game Extention",  # spelt so
        details='{"value": 1}',
        now=ledger.now_ms,
    )


def _seed_pits(ledger: Ledger, game_ids: Sequence[int]) -> None:
    reader = _hex16("pit reader 1")
    for target in range(_PIT_TARGETS):
        pit_id = ledger.write(
            "INSERT INTO pits (name, created_ms) VALUES (:name, :now)",
            name=f"S{target + 1}",
            now=ledger.now_ms,
        )
        for place in range(_PIT_ANTENNAS):
            port = target * _PIT_ANTENNAS + place + 1
            antenna_id = range_plan.antenna(
                ledger, reader, port, "30", f"S{target + 1}_{place + 1}", pit_id=pit_id
            )
            for game_id in game_ids:
                site.set_score(ledger, game_id, antenna_id, 2 * (target + 1))


def _floor_of(number: str) -> str:
    """ "101" and "114" are on floor 1; a number of another form is too."""
    floor = number[:-2]
    return floor if floor.isdigit() and floor != "0" else "1"


def _hex16(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
