"""A bay is taken out of the configuration in mid-play, and put back: its guest has what was left to him.

Bay 102 goes, bay 101 stays: the PC's own mark of life goes on without 102.
"""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.evolve import REDUCER_VERSION
from bayd.core.model import EndReason, Phase, PlaySession
from bayd.core.qos_lease import Idle
from bayd.core.rules import DowntimePolicy, Rules
from bayd.journal import InlineJournalExecutor, Journal
from bayd.journal.event_codec import NAMES, encode_bay
from bayd.journal.records import Loaded
from tests.simulation.world import CODEC, World

pytestmark = pytest.mark.virtual_time

STAFF = i.Actor(i.Role.STAFF, "anna")
HOUR_S = 3_600
MARK_MS = 10_500  # the mark is so old at most
BOTH = {"101": Rules(), "102": Rules()}
WITHOUT = {"101": Rules()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db", BOTH)


async def pass_by(world: World, seconds: float) -> None:
    """While the daemon runs; the last seconds in full, so that there is a new mark."""
    world.clock.go_on(round((seconds - 11) * 1000))
    await asyncio.sleep(11)


async def played(world: World, seconds: float = 600) -> None:
    """An hour was sold at bay 102, and so much of it is over. Then the daemon dies."""
    async with world.up():
        await world.play("102", "7", minutes=60)
        await pass_by(world, seconds)


async def run_without(world: World, seconds: float, *, reboot: bool = False) -> None:
    """Bay 101 is served, and 102 is not."""
    world.rules = WITHOUT
    if reboot:
        world.clock.reboot()
    async with world.up():
        await pass_by(world, seconds)
    world.rules = BOTH


def session_of(world: World) -> PlaySession:
    session = world.range.get("102").session
    assert session is not None
    return session


def left_ms(world: World) -> int:
    return session_of(world).remaining_ms(world.clock.now().boot_ms)


async def outages(world: World, number: str = "102") -> list[e.OutageSeen]:
    records = await world.journal.read(0, bay=number)
    return [record.event for record in records if isinstance(record.event, e.OutageSeen)]


async def test_two_reboots_and_an_hour_without_power(world: World) -> None:
    await played(world)
    await run_without(world, 300, reboot=True)
    await asyncio.sleep(HOUR_S)
    world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PAUSED, "longer than any credit: the guest's PIN goes on"
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)
        (outage,) = await outages(world)
        assert outage.alone
        assert outage.outage_ms == pytest.approx((HOUR_S + 300) * 1000, abs=MARK_MS)
        assert await outages(world, "101") == []


async def test_a_reboot_within_the_credit_goes_on_playing(world: World) -> None:
    await played(world)
    await run_without(world, 200, reboot=True)
    await run_without(world, 200, reboot=True)
    world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)


async def test_no_reboot_at_all(world: World) -> None:
    """The mark of the PC is a second old, the bay's an hour."""
    await played(world)
    await run_without(world, HOUR_S)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PAUSED
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)


async def test_back_within_a_minute_it_was_play(world: World) -> None:
    await played(world)
    await run_without(world, 30)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(2_970_000, abs=1_000)


@pytest.mark.parametrize("reboot", [False, True])
async def test_what_is_counted_is_subtracted(world: World, reboot: bool) -> None:
    world.rules = both = {"101": Rules(), "102": Rules(downtime=DowntimePolicy.COUNTED)}
    await played(world)
    await run_without(world, 900, reboot=reboot)
    world.rules = both
    if reboot:
        world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000 - 900_000, abs=1_000)
    await run_without(world, HOUR_S, reboot=reboot)
    world.rules = both
    async with world.up() as bays:
        last = bays.get("102").last
        assert last is not None
        assert last.reason is EndReason.TIME


@pytest.mark.parametrize("step_s", [-7_200, 40 * 86_400])
async def test_a_wall_clock_that_was_set_tells_no_outage(world: World, step_s: int) -> None:
    await played(world)
    await run_without(world, 300, reboot=True)
    world.clock.wall_step_ms += step_s * 1000
    world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)
        (outage,) = await outages(world)
        assert (outage.outage_ms, outage.flagged, outage.credited) == (None, True, True)


async def test_within_a_boot_no_wall_clock_is_asked(world: World) -> None:
    await played(world)
    world.clock.wall_step_ms += 7_200_000
    world.clock.synchronised = False
    await run_without(world, 900)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)
        (outage,) = await outages(world)
        assert outage.outage_ms == pytest.approx(900_000, abs=MARK_MS)


async def test_without_a_time_service_the_outage_is_unknown(world: World) -> None:
    world.clock.synchronised = False
    await played(world)
    await run_without(world, 300, reboot=True)
    world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)
        (outage,) = await outages(world)
        assert outage.flagged


async def test_a_pause_stays_one(world: World) -> None:
    async with world.up() as bays:
        await world.play("102", "7", minutes=60)
        await pass_by(world, 600)
        await bays.submit("102", i.Pause(STAFF, "telephone"))
        await asyncio.sleep(120)
    await run_without(world, 300, reboot=True)
    await asyncio.sleep(HOUR_S)
    world.clock.reboot()
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PAUSED
        assert left_ms(world) == 3_000_000
        await bays.submit("102", i.Resume(STAFF))
        await asyncio.sleep(60)
        assert left_ms(world) == 2_940_000


async def test_grace_has_its_rest(world: World) -> None:
    async with world.up() as bays:
        await world.play("102", "7", minutes=10)
        await asyncio.sleep(630)
        assert bays.get("102").phase is Phase.GRACE
    await run_without(world, 300, reboot=True)
    world.clock.reboot()
    async with world.up() as bays:
        grace_ms = bays.get("102").grace_until_ms
        assert grace_ms is not None
        assert grace_ms - world.clock.now().boot_ms == pytest.approx(90_000, abs=MARK_MS)
        await asyncio.sleep(110)
        assert bays.get("102").phase is Phase.FREE


@pytest.mark.parametrize("reboot", [False, True])
async def test_the_second_time_back(world: World, reboot: bool) -> None:
    """What was known of the first absence says nothing of the second."""
    await played(world)
    await run_without(world, 900, reboot=reboot)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        await pass_by(world, 600)
        before_ms = left_ms(world)
        assert before_ms == pytest.approx(2_400_000, abs=MARK_MS)
    await run_without(world, 600, reboot=reboot)
    await run_without(world, 600, reboot=reboot)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(before_ms, abs=MARK_MS)
        assert [outage.alone for outage in await outages(world)] == [True, True]
    async with world.up():
        assert [outage.alone for outage in await outages(world)] == [True, True, False]


async def test_the_marks_ten_seconds_are_no_present(world: World) -> None:
    """It was played on until its last event, though the mark is older."""
    async with world.up() as bays:
        await asyncio.sleep(1)
        await world.play("102", "7", minutes=60)
        await asyncio.sleep(607)
        await bays.submit("102", i.CallHelp(i.Actor(i.Role.SCREEN, "screen")))
    await run_without(world, 900)
    async with world.up():
        assert left_ms(world) == 3_600_000 - 607_000


async def test_what_the_server_says_meanwhile_is_no_sign_of_life_and_ends_nothing(world: World) -> None:
    """Telling it what the bay left may bring facts to light: the bay keeps them, and no time passes."""
    await played(world)
    world.rules = WITHOUT
    async with world.up() as bays:
        await pass_by(world, 2 * HOUR_S)
        await bays.submit("102", i.ServerContradicted("start_doubtful", "7", "odd"))
        assert session_of(world).session_id == "7"
        await pass_by(world, 600)
    await asyncio.sleep(HOUR_S)
    world.clock.reboot(9_000_000)
    async with world.up() as bays:
        await bays.submit("102", i.ServerContradicted("extension_doubtful", "7", "odd"))
        kinds = [type(record.event) for record in await world.journal.read(0, bay="102")]
        assert kinds.count(e.ConflictSeen) == 2
        assert e.SessionEnded not in kinds
        assert e.WarningGiven not in kinds
    world.rules = BOTH
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PAUSED
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)


async def test_a_lock_gets_no_shorter(world: World) -> None:
    async with world.up() as bays:
        await bays.submit("102", i.ServerSaid("7", 60, 0, world.clock.now().wall_ms, False, False, False))
        for tried in range(5):
            await bays.submit("102", i.PinEntered(f"a{tried}", None))
            await bays.submit("102", i.PinWasWrong(f"a{tried}"))
        locked_ms = bays.get("102").pad.locked_until_ms
        assert locked_ms is not None
        rest_ms = locked_ms - world.clock.now().boot_ms
        assert rest_ms > 0
    await run_without(world, 900, reboot=True)
    world.clock.reboot()
    async with world.up() as bays:
        locked_ms = bays.get("102").pad.locked_until_ms
        assert locked_ms is not None
        assert locked_ms - world.clock.now().boot_ms >= rest_ms


async def test_an_old_absence_is_not_a_later_outage(world: World) -> None:
    """Where nothing was under way any more when the bay came back."""
    async with world.up() as bays:
        await bays.submit("102", i.CallHelp(i.Actor(i.Role.SCREEN, "screen")))
    world.rules = WITHOUT
    async with world.up() as bays:
        await bays.submit("102", i.AcknowledgeHelp(STAFF))
        await pass_by(world, 2 * HOUR_S)
    world.rules = BOTH
    await played(world)
    async with world.up() as bays:
        assert bays.get("102").phase is Phase.PLAYING
        assert left_ms(world) == pytest.approx(3_000_000, abs=MARK_MS)


async def test_a_bay_where_nothing_happens_is_not_read_from_its_begin_at_every_start(world: World) -> None:
    """After a release that reads events otherwise no snapshot counts, and nothing here makes a new one."""
    async with world.up() as bays:
        for _ in range(110):
            await bays.submit("102", i.Hold(STAFF, "torn net"))
            await bays.submit("102", i.Release(STAFF))
        state = encode_bay(bays.get("102"))
        await world.journal.save_snapshot("102", bays.last_seq("102"), REDUCER_VERSION - 1, state)
    await run_without(world, 60)
    loaded = await read_journal(world)
    assert (loaded.reducer_version, loaded.events) == (REDUCER_VERSION, [])


async def test_who_played_there_is_forgotten_after_30_days_also_in_the_snapshot(world: World) -> None:
    """Nothing happens at the bay any more that would make a new one."""
    async with world.up() as bays:
        booked = i.ServerSaid(
            "7", 60, 0, world.clock.now().wall_ms, False, False, False, player="Guest Example"
        )
        await bays.submit("102", booked)
        await bays.submit("102", i.StartPlay(STAFF, "his PIN is at home", "7"))
        for _ in range(100):
            await bays.submit("102", i.CallHelp(i.Actor(i.Role.SCREEN, "screen")))
            await bays.submit("102", i.AcknowledgeHelp(STAFF))
    for days, player in ((29, "Guest Example"), (31, None)):
        world.rules = WITHOUT
        async with world.up():
            now = world.clock.now()
            then = replace(now, wall_ms=now.wall_ms + days * 86_400_000)
            playing = [("102", 0)]
            await world.journal.prune(then, open_sessions=playing, sinks=(), names=NAMES)
        async with world.up():
            assert session_of(world).player == player
        with sqlite3.connect(world.path) as file:
            (kept,) = file.execute("SELECT instr(state, 'Guest Example') > 0 FROM snapshots").fetchone()
        file.close()
        assert kept == (player is not None)


async def read_journal(world: World) -> Loaded[e.Event]:
    journal = await Journal.open(world.path, InlineJournalExecutor(), CODEC, clock=world.clock)
    try:
        return await journal.load("102", REDUCER_VERSION)
    finally:
        await journal.aclose()


async def test_a_bay_where_no_clock_runs_is_left_in_peace(world: World) -> None:
    async with world.up() as bays:
        await bays.submit("102", i.Hold(STAFF, "torn net"))
        await bays.submit("102", i.Release(STAFF))
        assert bays.get("102").qos == Idle()
        before = await world.journal.read(0, bay="102")
    await run_without(world, 60)
    async with world.up():
        assert await world.journal.read(0, bay="102") == before


async def test_people_are_told_that_somebody_plays_where_no_bay_is(world: World) -> None:
    await played(world)
    await run_without(world, 60)
    assert world.log.lines.count(("warning", "bay_left_out", {"bay": "102", "session": "7"})) == 1
    async with world.up():
        assert world.log.events().count("bay_left_out") == 1


async def test_a_mark_of_another_boot_is_not_the_bays(world: World) -> None:
    """An older bayd never wrote that the bay was left out: its newest event is what is known."""
    await played(world)
    world.clock.reboot()
    async with world.up():
        pass
    world.clock.reboot()
    # So a run without the bay left it: the PC's mark, and nothing at the bay.
    journal = await Journal.open(world.path, InlineJournalExecutor(), CODEC, clock=world.clock)
    await journal.write_alive(world.clock.now())
    await journal.aclose()
    world.clock.reboot()
    async with world.up():
        assert 2_900_000 < left_ms(world) <= 3_000_000
