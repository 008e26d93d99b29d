"""Opening hours by the wall clock of the site; a clock that nobody keeps closes nothing."""

import asyncio
from pathlib import Path

import pytest

from bayd.core.rules import OpenSpan, Rules
from bayd.reconcile.opening import OpeningHours
from bayd.settings.play import spans_of
from tests.simulation.world import World

pytestmark = pytest.mark.virtual_time

NEVER_TODAY = tuple(OpenSpan(day, 0, 1) for day in range(7))


async def test_bays_close_and_open_and_an_unkept_clock_opens_them(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules(opening=NEVER_TODAY)})
    async with world.up() as bays:
        hours = OpeningHours(bays, "Asia/Kolkata", world.clock, world.log)
        await hours.look()
        assert bays.get("109").closed
        world.clock.synchronised = False
        await hours.look()
        assert not bays.get("109").closed
        await hours.look()
        assert not bays.get("109").closed
        world.clock.synchronised = True
        await hours.look()
        bays.bays["109"].change_rules(Rules(), dispenser=None)
        await hours.look()
        assert not bays.get("109").closed
        await asyncio.sleep(0)


def test_hours_are_read_as_people_write_them() -> None:
    assert spans_of("Sun 10:00-18:00") == (OpenSpan(6, 600, 1080),)
    assert [span.weekday for span in spans_of("Sat-Mon 08:00-24:00")] == [5, 6, 0]
    assert spans_of("Sun 22:00-02:00") == (OpenSpan(6, 1320, 1440), OpenSpan(0, 0, 120))


@pytest.mark.parametrize(
    "text", ["8-22", "Mon 8:00-22:00", "Mon-Fry 08:00-22:00", "Mon 08:00-24:30", "Mon 08:00-08:00"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        spans_of(text)
