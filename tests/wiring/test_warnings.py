"""What the status warns of, when one of those who warn has a defect."""

from pathlib import Path
from typing import Any

from bayd.wiring.warnings import Warnings
from tests.journal.world import opened
from tests.simulation.world import SimClock, SimLog


class Broken:
    def warnings(self) -> list[dict[str, Any]]:
        raise KeyError("bay")


class Well:
    def warnings(self) -> list[dict[str, Any]]:
        return [{"code": "hopper_low", "since": None, "text": "Low."}]


async def test_a_defect_in_one_warning_keeps_the_others(quick_path: Path) -> None:
    log = SimLog()
    async with opened(quick_path / "journal.db") as journal:
        warnings = Warnings((Broken(), Well()), journal, SimClock(), log)
        assert [warning["code"] for warning in warnings.all()] == ["hopper_low"]
    assert log.events() == ["warnings_failed"]
