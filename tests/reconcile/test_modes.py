"""Modes by the wall clock of the site; a clock that nobody keeps closes nothing, and frees nothing."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bayd.core import inputs as i
from bayd.core.model import Mode, Scheduled
from bayd.core.rules import OpenSpan, Rules, ScheduleLine, Timetable
from bayd.reconcile.modes import BayModes
from bayd.settings.play import lines_of, spans_of
from tests.core.playbook import STAFF
from tests.simulation.world import WALL_MS, World

pytestmark = pytest.mark.virtual_time

KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime.fromtimestamp(WALL_MS / 1000, KOLKATA)
NEVER_TODAY = Timetable(opening=tuple(OpenSpan(day, 0, 1) for day in range(7)))
FREE_UNTIL_NEXT_HOUR = Timetable(
    mode=None,
    schedule=(
        *(ScheduleLine(OpenSpan(day, 0, 1440), Mode.LOCKED) for day in range(7)),
        ScheduleLine(OpenSpan(NOW.weekday(), 0, (NOW.hour + 1) * 60), Mode.FREE_PLAY),
    ),
)


async def test_bays_close_and_open_and_an_unkept_clock_opens_them(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules(timetable=NEVER_TODAY)})
    async with world.up() as bays:
        modes = BayModes(bays, ZoneInfo("Asia/Kolkata"), world.clock, world.log)
        await modes.look()
        assert bays.get("109").closed
        world.clock.synchronised = False
        await modes.look()
        assert not bays.get("109").closed
        version = bays.get("109").version
        await modes.look()
        assert bays.get("109").version == version
        world.clock.synchronised = True
        await modes.look()
        bays.bays["109"].change_rules(Rules())
        await modes.look()
        assert not bays.get("109").closed


async def test_free_play_by_the_schedule_ends_at_its_hour_and_needs_a_clock(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules(timetable=FREE_UNTIL_NEXT_HOUR)})
    async with world.up() as bays:
        modes = BayModes(bays, ZoneInfo("Asia/Kolkata"), world.clock, world.log)
        world.clock.synchronised = False
        await modes.look()
        assert (bays.get("109").mode, world.wishes.last().antennas_on) == (Mode.LOCKED, False)
        world.clock.synchronised = True
        await modes.look()
        left_ms = ((60 - NOW.minute) * 60 - NOW.second) * 1000
        until_ms = bays.get("109").scheduled.until_wall_ms
        assert until_ms is not None
        assert 0 <= until_ms - WALL_MS - left_ms + 1000 < 2000
        assert (bays.get("109").mode, world.wishes.last().antennas_on) == (Mode.FREE_PLAY, True)
        world.clock.go_on(left_ms)
        await modes.look()
        assert (bays.get("109").mode, world.wishes.last().antennas_on) == (Mode.LOCKED, False)


async def test_what_staff_said_for_today_holds_over_a_crash_until_midnight(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules()})
    async with world.up() as bays:
        await bays.submit("109", i.SetMode(Mode.CLOSED, True, STAFF, "nets"))
    async with world.up() as bays:
        modes = BayModes(bays, ZoneInfo("Asia/Kolkata"), world.clock, world.log)
        await modes.look()
        assert bays.get("109").closed
        midnight = NOW.replace(hour=23, minute=59, second=59)
        world.clock.go_on(round((midnight - NOW).total_seconds() * 1000))
        await modes.look()
        assert bays.get("109").closed
        world.clock.go_on(2_000)
        await modes.look()
        assert (bays.get("109").mode, bays.get("109").scheduled) == (Mode.LOCKED, Scheduled())


def test_lines_of_a_schedule_are_read_as_people_write_them() -> None:
    assert lines_of("Sun 10:00-18:00 free_play") == (ScheduleLine(OpenSpan(6, 600, 1080), Mode.FREE_PLAY),)


@pytest.mark.parametrize("text", ["Sun 10:00-18:00", "locked", "Sun 10:00-18:00 open", "Sun 10-18 locked"])
def test_what_is_no_line_of_a_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|hours"):
        lines_of(text)


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
