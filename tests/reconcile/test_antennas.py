"""The antennas reconciler with the real 0xA0 driver against the simulated reader, on virtual time."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import DeviceState
from bayd.core.presence import BallReturn, Pit, Place, Tee
from bayd.journal.disk import connect
from hardware.sim import r2000
from tests.journal.world import Fault, FaultyDisk
from tests.reconcile.reader_row import BALLS, FOREIGN, POWER_DBM, Row
from tests.simulation.world import HeldExecutor

pytestmark = pytest.mark.virtual_time

UNKNOWN_BALL = "E28011700000020AFFFFFFFF"  # the right prefix, and no ball of the range
STAFF = i.Actor(i.Role.STAFF, "anna")
BAYS = tuple(str(number) for number in range(101, 109))
EIGHT: Mapping[str, Mapping[int, Place]] = {
    "west": {port: Tee(number) for port, number in enumerate(BAYS, start=1)}
}
TWO_READERS: Mapping[str, Mapping[int, Place]] = {
    "west": {1: Tee("101"), 2: Tee("102")},
    "east": {1: Tee("103"), 6: Tee("104"), 7: BallReturn("gutter"), 8: Pit("S1_1")},
}


@pytest.fixture
def eight(tmp_path: Path) -> Iterator[Row]:
    row = Row(tmp_path / "journal.db", EIGHT)
    yield row
    row.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Row]:
    row = Row(tmp_path / "journal.db", TWO_READERS)
    yield row
    row.close()


def now() -> float:
    return asyncio.get_running_loop().time()


# Listening and credits.


async def test_only_antennas_of_playing_bays_are_live(eight: Row) -> None:
    async with eight.open() as bays:
        await asyncio.sleep(2)
        assert eight.listened == []
        await eight.play("103", "106")
        began = now()
        await asyncio.sleep(2)
        assert eight.heard_since(began) == {("west", 3), ("west", 6)}
        await bays.submit("103", i.Pause(STAFF, "rain"))
        await asyncio.sleep(0.3)
        paused = now()
        await asyncio.sleep(2)
        assert eight.heard_since(paused) == {("west", 6)}
        await bays.submit("106", i.End(STAFF, "closing"))
        await asyncio.sleep(0.3)
        ended = now()
        await asyncio.sleep(2)
        assert eight.heard_since(ended) == set()


async def test_returns_and_pits_are_always_live(two: Row) -> None:
    async with two.open():
        await asyncio.sleep(2)
        assert two.heard_since(0) == {("east", 7), ("east", 8)}


async def test_each_ball_is_credited_to_the_bay_under_whose_antenna_it_lies(eight: Row) -> None:
    """Ports 5 to 8 carry their highest bit elsewhere in the frame."""
    async with eight.open():
        await eight.play(*BAYS)
        for port, ball in enumerate(BALLS[:8], start=1):
            eight.lay("west", port, ball)
        await asyncio.sleep(3)
        assert sorted(await eight.credits()) == list(zip(BAYS, BALLS[:8], strict=True))
        for number in BAYS:
            session = eight.world.range.get(number).session
            assert session is not None
            assert session.balls.read == 1


async def test_a_ball_that_lies_there_counts_once_however_long(eight: Row) -> None:
    async with eight.open():
        await eight.play("101")
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(400)
        assert await eight.credits() == [("101", BALLS[0])]


async def test_a_ball_counts_again_after_its_absence_or_a_return(two: Row) -> None:
    async with two.open():
        await two.play("101")
        for seconds_away in (100, 130):
            two.lay("west", 1, BALLS[0])
            await asyncio.sleep(2)
            two.lift(BALLS[0])
            await asyncio.sleep(seconds_away)
        assert len(await two.credits()) == 1
        two.lay("west", 1, BALLS[0])
        await asyncio.sleep(2)
        two.lift(BALLS[0])
        assert len(await two.credits()) == 2
        await asyncio.sleep(3)
        two.lay("east", 7, BALLS[0])  # the gutter
        await asyncio.sleep(2)
        two.lift(BALLS[0])
        await asyncio.sleep(3)
        two.lay("west", 1, BALLS[0])
        await asyncio.sleep(2)
        assert len(await two.credits()) == 3


async def test_a_foreign_tag_is_told_and_not_credited(eight: Row) -> None:
    async with eight.open():
        await eight.play("101")
        eight.lay("west", 1, FOREIGN)
        eight.lay("west", 1, UNKNOWN_BALL)
        await asyncio.sleep(5)
        assert await eight.credits() == []
        told = [facts["epc"] for _, event, facts in eight.world.log.lines if event == "foreign_tag_heard"]
        assert sorted(told) == sorted([FOREIGN, UNKNOWN_BALL])
        assert eight.antennas.strangers == {"101": 2}


@pytest.mark.parametrize("home", [1, 8])
async def test_a_ball_that_two_bays_hear_goes_to_the_stronger(
    eight: Row, monkeypatch: pytest.MonkeyPatch, home: int
) -> None:
    """Whichever the reader visits first, also on a slow one that takes nearly a second for all its ports."""
    monkeypatch.setattr(r2000, "INVENTORY_S", 0.058)
    async with eight.open():
        await eight.play(*BAYS)
        await asyncio.sleep(3)
        for ball in BALLS[:8]:  # at eight moments of the round
            eight.lay("west", home, ball, -48)
            eight.lay("west", 9 - home, ball, -60)
            await asyncio.sleep(0.13)
        await asyncio.sleep(5)
        assert sorted(await eight.credits()) == [(BAYS[home - 1], ball) for ball in BALLS[:8]]
        assert (eight.antennas.view("west").ports[1].revisit_ms or 0) > 900


async def test_a_ball_in_a_target_is_the_shot_of_whom_it_was_counted_for_once(two: Row) -> None:
    async def shots() -> list[tuple[str, str, str]]:
        records = await two.world.journal.read(0, bay="101", limit=1_000)
        return [
            (r.event.epc, r.event.pit, r.event.session_id)
            for r in records
            if isinstance(r.event, e.PitReached)
        ]

    async with two.open():
        await two.play("101")
        two.lay("west", 1, BALLS[0])
        await asyncio.sleep(2)
        two.lift(BALLS[0])
        await asyncio.sleep(3)
        two.lay("east", 8, BALLS[0])
        two.lay("east", 8, BALLS[1])  # nobody is known to have hit this one
        await asyncio.sleep(3)
        assert await shots() == [(BALLS[0], "S1_1", "700")]
        assert "pit_sighting_unattributed" in two.world.log.events()
        assert two.antennas.unattributed == 1
    async with two.open():  # it lies in the target still
        await asyncio.sleep(5)
        assert await shots() == [(BALLS[0], "S1_1", "700")]
        assert "credit_refused" in two.world.log.events()
    two.lift(BALLS[0])


async def test_a_bay_with_two_antennas_counts_a_ball_once_and_misses_either(tmp_path: Path) -> None:
    row = Row(tmp_path / "journal.db", {"west": {1: Tee("101"), 2: Tee("101")}, "east": {5: Tee("101")}})
    async with row.open():
        await row.play("101")
        for reader, port in (("west", 1), ("west", 2), ("east", 5)):
            row.lay(reader, port, BALLS[0])
        await asyncio.sleep(5)
        assert await row.credits() == [("101", BALLS[0])]
        assert row.reader_fact("101") == ("ok", "")
        row.sims["west"].unplug_antenna(2)
        row.rigs["east"].unplug()
        await asyncio.sleep(3)
        state, reason = row.reader_fact("101")
        assert state == "lost"
        assert "no antenna at port 2" in reason
        assert "reader east: " in reason
        row.rigs["east"].plug()
        await asyncio.sleep(10)
        assert row.reader_fact("101") == ("lost", "reader west: no antenna at port 2")
    row.close()


# Lost and found.


async def test_after_a_replug_it_reads_again_and_was_blind_for_exactly_the_gap(eight: Row) -> None:
    async with eight.open():
        await eight.play("102", "107")
        await asyncio.sleep(5)
        assert eight.antennas.view("west").ports[2].blind_ms == 0
        eight.rigs["west"].unplug()
        unplugged = now()
        await asyncio.sleep(25)
        # What comes back may be another reader, or one that has lost its settings.
        eight.sims["west"].power_cycle()
        eight.sims["west"].flash_dbm = [11] * 8
        assert eight.antennas.view("west").ports[2].blind_now
        eight.rigs["west"].plug()
        plugged = now()
        await asyncio.sleep(10)
        first = min(began for _, _, began, _ in eight.listened if began > plugged)
        assert first - plugged < 10
        assert eight.heard_since(plugged) == {("west", 2), ("west", 7)}
        assert [eight.sims["west"].power_dbm(port) for port in (2, 7)] == [POWER_DBM, POWER_DBM]
        ends = [at for at, _, ports in eight.rounds if 2 in ports]
        gap_ms = round(min(at for at in ends if at > plugged) * 1000) - round(
            max(at for at in ends if at <= unplugged) * 1000
        )
        view = eight.antennas.view("west")
        assert view.ports[2].blind_ms == view.ports[7].blind_ms == gap_ms
        assert gap_ms > 25_000
        assert {
            port: shown.blind_ms for port, shown in view.ports.items() if not shown.wanted
        } == dict.fromkeys((1, 3, 4, 5, 6, 8), 0)
        eight.lay("west", 7, BALLS[0])
        await asyncio.sleep(2)
        assert await eight.credits() == [("107", BALLS[0])]


async def test_blindness_counts_while_it_lasts_and_ends_with_play(eight: Row) -> None:
    eight.rigs["west"].unplug()
    async with eight.open() as bays:
        await asyncio.sleep(50)
        assert eight.antennas.view("west").ports[1].blind_ms == 0  # nobody plays
        await eight.play("101")
        await asyncio.sleep(30)
        assert eight.antennas.view("west").ports[1].blind_ms == 30_000
        await bays.submit("101", i.End(STAFF, "closing"))
        await asyncio.sleep(60)
        assert eight.antennas.view("west").ports[1].blind_ms == 30_000


async def test_a_lost_reader_marks_exactly_its_bays(two: Row) -> None:
    async with two.open():
        await two.play("101", "103")
        await asyncio.sleep(2)
        assert [two.reader_fact(n)[0] for n in ("101", "102", "103", "104")] == ["ok"] * 4
        two.rigs["east"].unplug()
        await asyncio.sleep(5)
        assert [two.reader_fact(n)[0] for n in ("101", "102", "103", "104")] == ["ok", "ok", "lost", "lost"]
        assert "reader east" in two.reader_fact("103")[1]
        assert two.antennas.view("east").state is DeviceState.LOST
        assert two.antennas.view("east").lost_ms == pytest.approx(5_000, abs=100)
        two.lay("west", 1, BALLS[0])
        await asyncio.sleep(2)
        assert await two.credits() == [("101", BALLS[0])]
        two.rigs["east"].plug()
        await asyncio.sleep(10)
        assert [two.reader_fact(n)[0] for n in ("101", "102", "103", "104")] == ["ok"] * 4


async def test_a_missing_antenna_is_a_fact_of_its_bay_until_it_is_back(two: Row) -> None:
    async with two.open():
        await two.play("101", "102")
        await asyncio.sleep(1)
        two.sims["west"].unplug_antenna(2)
        await asyncio.sleep(2)
        assert two.reader_fact("101") == ("ok", "")
        assert two.reader_fact("102") == ("lost", "reader west: no antenna at port 2")
        # Neither a lost link nor its return hides it.
        two.rigs["west"].unplug()
        await asyncio.sleep(5)
        assert "no antenna" not in two.reader_fact("101")[1]
        two.rigs["west"].plug()
        await asyncio.sleep(10)
        assert two.reader_fact("101") == ("ok", "")
        assert two.reader_fact("102") == ("lost", "reader west: no antenna at port 2")
        assert two.antennas.view("west").ports[2].blind_now
        two.sims["west"].plug_antenna(2)
        await asyncio.sleep(70)
        assert two.reader_fact("102") == ("ok", "")
        assert not two.antennas.view("west").ports[2].blind_now


async def test_a_flapping_reader_leaves_the_newest_state(two: Row) -> None:
    """Facts wait for a slow disk; of a device only the last one counts."""
    disk = HeldExecutor()
    two.world.executor = disk
    async with two.open():
        await two.play("101")
        await asyncio.sleep(2)
        disk.free.clear()
        for _ in range(5):
            two.rigs["west"].unplug()
            await asyncio.sleep(4)
            two.rigs["west"].plug()
            await asyncio.sleep(6)
        two.rigs["west"].unplug()
        await asyncio.sleep(4)
        before = events_so_far(two)
        disk.free.set()
        await asyncio.sleep(4)
        assert two.reader_fact("101")[0] == two.reader_fact("102")[0] == "lost"
        assert events_so_far(two) - before <= 4  # not one for each of eleven changes at two bays
        two.rigs["west"].plug()
        await asyncio.sleep(10)
        assert two.reader_fact("101")[0] == two.reader_fact("102")[0] == "ok"


def events_so_far(row: Row) -> int:
    """Of the two bays of the west reader."""
    return sum(row.world.range.get(number).version for number in ("101", "102"))


# Outages and restarts: the ball that lies there all the time.


async def test_a_ball_that_lay_there_through_an_outage_counts_once(eight: Row) -> None:
    async with eight.open():
        await eight.play("101")
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(3)
        eight.rigs["west"].unplug()
        await asyncio.sleep(300)
        eight.rigs["west"].plug()
        await asyncio.sleep(60)
        assert await eight.credits() == [("101", BALLS[0])]


async def test_a_ball_that_lay_there_between_two_sessions_counts_once(eight: Row) -> None:
    """While nobody plays nobody listens: silence is no absence."""
    async with eight.open() as bays:
        await eight.play("101")
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(3)
        await bays.submit("101", i.End(STAFF, "over"))
        await asyncio.sleep(600)
        await eight.world.play("101", "801")
        await asyncio.sleep(60)
        assert await eight.credits() == [("101", BALLS[0])]
        eight.lift(BALLS[0])
        await asyncio.sleep(130)
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(3)
        assert len(await eight.credits()) == 2


@pytest.mark.parametrize("away_s", [1, 45, 300])
@pytest.mark.parametrize("reboot", [False, True])
async def test_a_ball_that_lay_there_through_a_restart_counts_once(
    eight: Row, away_s: int, reboot: bool
) -> None:
    async with eight.open():
        await eight.play("101", "102")
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(3)
    await asyncio.sleep(away_s)
    if reboot:
        eight.world.clock.reboot()
    async with eight.open():
        await asyncio.sleep(20)
        eight.lay("west", 2, BALLS[1])
        await asyncio.sleep(3)
        assert await eight.credits() == [("101", BALLS[0]), ("102", BALLS[1])]


async def test_a_restart_while_the_reader_is_away_credits_once(two: Row) -> None:
    """Another reader's tags come first: they start the clock of absence for all balls."""
    async with two.open():
        await two.play("101", "103")
        two.lay("west", 1, BALLS[0])
        await asyncio.sleep(3)
    two.rigs["west"].unplug()
    two.lay("east", 1, BALLS[1])
    async with two.open():
        await asyncio.sleep(400)
        two.rigs["west"].plug()
        await asyncio.sleep(30)
        assert await two.credits() == [("101", BALLS[0]), ("103", BALLS[1])]


class CrashError(BaseException):
    """The process is gone: nothing catches it on the way."""


class MortalDisk:
    """Dies at the n-th commit, before or after it is in the file. Disarmed with None."""

    def __init__(self) -> None:
        self.dies_at: int | None = None
        self.after = False
        self.commits = 0

    def connect(self, uri: str) -> sqlite3.Connection:
        return _Mortal(connect(uri), self)  # type: ignore[return-value]  # it does all that is asked of one

    def commit(self, carry_out: Any) -> Any:
        self.commits += 1
        dies = self.dies_at is not None and self.commits == self.dies_at
        if dies and not self.after:
            raise CrashError
        done = carry_out()
        if dies:
            raise CrashError
        return done


class _Mortal:
    def __init__(self, inner: sqlite3.Connection, disk: MortalDisk) -> None:
        self._inner = inner
        self._disk = disk

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            return self._disk.commit(lambda: self._inner.execute(sql, *values))
        return self._inner.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


LIE_S, PAUSE_S = 1.2, 0.4
# The ball has to be visited (a round takes 0.13 s), then the neighbour has half a second to object.
UNDECIDED_S = 0.13 + 0.5 + 0.05


async def play_and_crash(
    row: Row, disk: MortalDisk, balls: tuple[str, ...], dies_at: int | None
) -> float | None:
    """Balls are hit one after another whatever the daemon does; answers when it crashed."""
    crashed_at: float | None = None
    stays: dict[str, tuple[float, float]] = {}

    async def golf() -> None:
        for ball in balls:
            began = now()
            row.lay("west", 1, ball)
            await asyncio.sleep(LIE_S)
            row.lift(ball)
            stays[ball] = (began, now())
            await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(3)

    async with row.open():
        await row.play("101", "102")
    async with asyncio.TaskGroup() as tasks:
        golfer = tasks.create_task(golf(), name="golfer")
        disk.commits, disk.dies_at = 0, dies_at
        try:
            async with row.open():
                await asyncio.shield(golfer)
        except* CrashError:
            crashed_at = now()
        disk.dies_at = None
        if crashed_at is not None:
            await asyncio.sleep(0.5)
            async with row.open():
                await golfer
    async with row.world.up():
        counted = Counter(epc for _, epc in await row.credits())
    assert set(counted.values()) <= {1}, f"credited twice: {counted}"
    for ball in balls:
        began, ended = stays[ball]
        if counted[ball] == 0:
            assert crashed_at is not None
            # Not decided at the crash, or not long enough there after the restart.
            assert began < crashed_at + 2 and ended > crashed_at - UNDECIDED_S, f"{ball} is lost"
    session = row.world.range.get("101").session
    assert session is not None
    assert session.balls.read == sum(counted.values())
    return crashed_at


async def test_a_crash_at_any_write_credits_no_ball_twice_and_loses_only_undecided_reads(
    tmp_path: Path,
) -> None:
    bays: Mapping[str, Mapping[int, Place]] = {"west": {1: Tee("101"), 2: Tee("102")}}
    balls = BALLS[:4]
    disk = MortalDisk()
    whole = Row(tmp_path / "whole.db", bays)
    whole.world.connect = disk.connect
    assert await play_and_crash(whole, disk, balls, None) is None
    whole.close()
    writes = disk.commits
    assert writes >= len(balls)
    crashes = 0
    for write in range(1, writes + 1):
        for after in (False, True):
            row = Row(tmp_path / f"{write}-{after}.db", bays)
            disk = MortalDisk()
            row.world.connect = disk.connect
            disk.after = after
            if await play_and_crash(row, disk, balls, write) is not None:
                crashes += 1
            row.close()
    assert crashes >= 2 * (writes - 2)  # the last writes come when the golfer has gone


# What waits.


async def test_what_cannot_be_recorded_waits_and_what_is_too_much_is_counted(tmp_path: Path) -> None:
    row = Row(tmp_path / "journal.db", EIGHT, credits_limit=4)
    disk = HeldExecutor()
    row.world.executor = disk
    async with row.open():
        await row.play("101", "102")
        await asyncio.sleep(1)
        disk.free.clear()
        for ball in BALLS[:8]:
            row.lay("west", 1, ball)
            await asyncio.sleep(2)
            row.lift(ball)
        row.lay("west", 2, BALLS[8])
        await asyncio.sleep(2)
        # One is in its commit, four wait, three had to go; the neighbour's bay has lost nothing.
        assert (row.antennas.mail.shed, row.antennas.mail.waiting) == (3, 4)
        assert "credits_shed" in row.world.log.events()
        disk.free.set()
        await asyncio.sleep(2)
        assert row.antennas.mail.waiting == 0
        assert sorted(await row.credits()) == [
            *(("101", ball) for ball in (BALLS[0], *BALLS[4:8])),
            ("102", BALLS[8]),
        ]
    row.close()


async def test_a_credit_whose_commit_failed_is_recorded_once_when_the_disk_is_well(eight: Row) -> None:
    disk = FaultyDisk()
    eight.world.connect = disk.connect
    async with eight.open():
        await eight.play("101")
        await asyncio.sleep(1)
        disk.faults.append(Fault("INSERT INTO events", times=3))
        eight.lay("west", 1, BALLS[0])
        await asyncio.sleep(1.5)
        eight.lift(BALLS[0])
        assert await eight.credits() == []
        await asyncio.sleep(5)
        assert await eight.credits() == [("101", BALLS[0])]
