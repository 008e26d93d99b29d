"""The loop around the core: one input at a time, disks that hang, crashes, reboots."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.evolve import REDUCER_VERSION
from bayd.core.instant import Instant
from bayd.core.model import Bay, EndReason, Payment, Phase
from bayd.core.rules import Rules
from bayd.journal import Answer, NotWrittenError, event_codec
from bayd.journal.pruning import KEEP_EVENTS_MS
from bayd.runtime import bay as bay_module
from bayd.runtime.bay import OutcomeUnknownError
from bayd.runtime.range import UnknownBayError
from tests.journal.world import Fault, FaultyDisk
from tests.simulation.world import HeldExecutor, World

pytestmark = pytest.mark.virtual_time

SCREEN = i.Actor(i.Role.SCREEN, "screen")
STAFF = i.Actor(i.Role.STAFF, "anna")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db")


async def kinds(world: World) -> list[str]:
    return [type(r.event).__name__ for r in await world.journal.read(0)]


async def test_two_presses_at_once_never_both_see_the_old_balance(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        first, second = await asyncio.gather(
            bays.submit("109", i.Dispense("p1", 5, SCREEN)), bays.submit("109", i.Dispense("p2", 5, SCREEN))
        )
        assert first.decision.refusal is None
        assert second.decision.refusal is not None
        assert second.decision.refusal.code == "payout_running"


async def test_play_ends_at_its_time_without_anybody_asking(world: World) -> None:
    async with world.up() as bays:
        await world.play(minutes=30)
        await asyncio.sleep(1799.9)
        assert bays.get("109").phase is Phase.PLAYING
        await asyncio.sleep(0.7)
        last = bays.get("109").last
        assert last is not None
        assert (last.reason, last.played_ms) == (EndReason.TIME, 1_800_000)
        assert not world.wishes.last().antennas_on


async def test_a_timer_is_not_fooled_by_a_suspend(world: World) -> None:
    """asyncio's clock stands still in a suspend, the boot clock does not."""
    async with world.up() as bays:
        await world.play(minutes=30)
        world.clock._offset_ms += 1_800_000
        await asyncio.sleep(0.6)
        assert bays.get("109").phase is Phase.GRACE


async def test_a_hung_disk_never_lets_a_bay_play_for_ever(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays:
        await world.play(minutes=1)
        assert world.wishes.last().antennas_on
        disk.free.clear()
        pressed = asyncio.get_running_loop().create_task(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        await asyncio.sleep(61)
        assert not world.wishes.last().antennas_on
        assert not world.wishes.last().payout_may_start
        with pytest.raises(OutcomeUnknownError):
            await pressed
        disk.free.set()
        await asyncio.sleep(2)
        assert bays.get("109").phase is Phase.GRACE
        assert bays.get("109").payout is None
        assert "PayoutRequested" not in await kinds(world)


async def test_what_was_answered_unknown_is_never_acted_on(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays:
        await world.play()
        before = bays.get("109")
        disk.free.clear()
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", i.Extend("op1", 15, 100, STAFF, "a gift"))
        disk.free.set()
        await asyncio.sleep(1)
        assert bays.get("109") == replace(before, version=before.version + 1)
        assert "IntentExpired" in await kinds(world)
        assert "SessionExtended" not in await kinds(world)
    async with world.up() as bays:
        session = bays.get("109").session
        assert session is not None
        assert session.granted_ms == 3_600_000


async def test_a_staff_end_counts_however_late_the_disk_is(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", i.End(STAFF, "closing"))
        assert not world.wishes.last().antennas_on
        disk.free.set()
        await asyncio.sleep(1)
        assert bays.get("109").phase is Phase.GRACE
        assert "IntentExpired" not in await kinds(world)


async def test_a_commit_that_failed_and_is_in_the_file_counts(world: World) -> None:
    """An fdatasync error was seen to leave the commit in the file: look, do not guess."""
    disk = FaultyDisk()
    world.connect = disk.connect
    async with world.up() as bays:
        await world.play()
        disk.faults.append(Fault("COMMIT", after=True))
        done = await bays.submit("109", i.Dispense("p1", 5, SCREEN))
        assert done.decision.refusal is None
        assert world.wishes.last().payout_may_start
        assert (await kinds(world)).count("PayoutRequested") == 1


async def test_a_commit_that_failed_and_is_not_in_the_file_is_refused(world: World) -> None:
    disk = FaultyDisk()
    world.connect = disk.connect
    async with world.up() as bays:
        await world.play()
        disk.faults.append(Fault("COMMIT"))
        before = bays.get("109")
        with pytest.raises(NotWrittenError):
            await bays.submit("109", i.Dispense("p1", 5, SCREEN))
        assert bays.get("109") == before
        assert world.wishes.last().payout is None
        assert world.wishes.last().antennas_on
        assert "PayoutRequested" not in await kinds(world)


async def test_the_state_after_a_crash_equals_the_state_before(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        await bays.submit("109", i.Dispense("p1", 12, SCREEN))
        await bays.submit("109", i.PayoutMarkTaken("p1", 12, {"event": 4}))
        await bays.submit("109", i.PayoutProgressed("p1", 5))
        await bays.submit("109", i.Extend("op1", 15, 100, STAFF, "cash"))
        await bays.submit("109", i.BallHeard("E28011700000020A00000001", world.clock.now().boot_ms))
        before = bays.get("109")
    async with world.up() as bays:
        after = bays.get("109")
        outage = [r.event for r in await world.journal.read(0) if isinstance(r.event, e.OutageSeen)]
        assert [event.shift_ms for event in outage] == [0]
        # The outage of no length is the only thing that was added.
        assert after.version == before.version + 2
        assert after.session == before.session
        assert after.payout == before.payout


async def test_snapshots_change_nothing(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        for number in range(450):
            await bays.submit("109", i.BallHeard(f"E2801170{number:08X}", world.clock.now().boot_ms))
        before = bays.get("109")
        loaded = await world.journal.load("109", REDUCER_VERSION)
        assert loaded.snapshot_state is not None
        assert len(loaded.events) < 250
    async with world.up() as bays:
        assert bays.get("109").session == before.session


async def test_what_was_pruned_is_not_lost_to_another_reducer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cut lies within a session that has ended: the events that are left begin in its middle."""
    async with world.up() as bays:
        await world.play(minutes=30)
        await bays.submit("109", i.Extend("x1", 15, 500, STAFF, "paid later", payment=Payment.ON_ACCOUNT))
        for number in range(100):
            await bays.submit("109", i.BallHeard(f"E2801170{number:08X}", world.clock.now().boot_ms))
        await asyncio.sleep(600)
        for number in range(150):
            await bays.submit("109", i.BallHeard(f"E2801171{number:08X}", world.clock.now().boot_ms))
        await asyncio.sleep(3600)
        before = bays.get("109")
        assert before.session is None
        assert before.dues
        in_90_days = world.clock.now().wall_ms + KEEP_EVENTS_MS - 4_000_000
        pruned = await world.journal.prune(Instant(0, in_90_days), open_sessions=(), sinks=())
        assert 100 < pruned.events < 250
    for module in (bay_module, event_codec):
        monkeypatch.setattr(module, "REDUCER_VERSION", REDUCER_VERSION + 1)
    async with world.up() as bays:
        after = bays.get("109")
        assert (after.dues, after.ended_ids, after.last) == (before.dues, before.ended_ids, before.last)


async def test_a_short_outage_is_play_and_a_longer_one_is_credited(world: World) -> None:
    async with world.up() as bays:
        await world.play(minutes=60)
        await asyncio.sleep(600)
    await asyncio.sleep(30)
    async with world.up() as bays:
        session = bays.get("109").session
        assert session is not None
        assert session.remaining_ms(world.clock.now().boot_ms) == pytest.approx(2_970_000, abs=1_000)
    await asyncio.sleep(300)
    async with world.up() as bays:
        session = bays.get("109").session
        assert session is not None
        # The mark is at most ten seconds old when the daemon dies.
        assert session.remaining_ms(world.clock.now().boot_ms) == pytest.approx(2_970_000, abs=10_500)


async def test_a_reboot_keeps_what_was_left(world: World) -> None:
    async with world.up() as bays:
        await world.play(minutes=60)
        await asyncio.sleep(600)
    await asyncio.sleep(45)
    world.clock.reboot()
    async with world.up() as bays:
        session = bays.get("109").session
        assert session is not None
        left_ms = session.remaining_ms(world.clock.now().boot_ms)
        assert left_ms == pytest.approx(3_600_000 - 645_000, abs=1_000)


async def test_what_was_due_meanwhile_happens_once(world: World) -> None:
    async with world.up():
        await world.play(minutes=1)
        await asyncio.sleep(30)
    await asyncio.sleep(45)
    async with world.up() as bays:
        last = bays.get("109").last
        assert last is not None
        assert last.played_ms == 60_000
        assert (await kinds(world)).count("SessionEnded") == 1
    async with world.up():
        assert (await kinds(world)).count("SessionEnded") == 1


async def test_a_defect_costs_one_input_not_the_bay(world: World) -> None:
    async with world.up() as bays:
        await world.play()

        def defect(_bay: Bay, _decision: object) -> Answer:
            raise RuntimeError("a defect")

        with pytest.raises(RuntimeError):
            await bays.submit("109", i.Dispense("p1", 5, SCREEN), defect)
        assert "input_failed" in world.log.events()
        done = await bays.submit("109", i.Dispense("p2", 5, SCREEN))
        assert done.decision.refusal is None


async def test_bays_do_not_wait_for_each_other(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules(), "110": Rules()})
    async with world.up() as bays:
        await world.play("109", "7")
        await world.play("110", "8")
        assert bays.get("109").phase is bays.get("110").phase is Phase.PLAYING
        with pytest.raises(UnknownBayError):
            bays.get("111")


async def test_an_outage_that_outlasts_the_session_is_credited_before_the_end_is_seen(tmp_path: Path) -> None:
    rules = Rules()
    world = World(tmp_path / "journal.db", {"109": rules, "110": rules})
    async with world.up():
        await world.play("109", "7", minutes=10)
        await world.play("110", "8", minutes=10)
        await asyncio.sleep(300)
    await asyncio.sleep(600)
    async with world.up() as bays:
        for number in ("109", "110"):
            session = bays.get(number).session
            assert session is not None
            assert session.remaining_ms(world.clock.now().boot_ms) == pytest.approx(300_000, abs=10_500)


async def test_a_restart_that_is_interrupted_shifts_nothing_twice(tmp_path: Path) -> None:
    """The outage of every bay and the new mark are one commit: it is there or not."""
    rules = Rules()
    world = World(tmp_path / "journal.db", {"109": rules, "110": rules})
    async with world.up():
        await world.play("109", "7")
        await world.play("110", "8")
    await asyncio.sleep(600)
    for _ in range(3):
        async with world.up() as bays:
            left = [
                bays.get(number).session.remaining_ms(world.clock.now().boot_ms)  # type: ignore[union-attr] # plays
                for number in ("109", "110")
            ]
            assert left == pytest.approx([3_600_000, 3_600_000], abs=10_500)
            mark = await world.journal.read_alive()
            assert mark is not None
            assert mark.boot_ms == world.clock.now().boot_ms


async def test_a_session_younger_than_the_mark_gets_no_time_as_a_present(world: World) -> None:
    async with world.up() as bays:
        await asyncio.sleep(8)
        await world.play()
        started = bays.get("109").session
        assert started is not None
    await asyncio.sleep(120)
    async with world.up() as bays:
        session = bays.get("109").session
        assert session is not None
        assert session.remaining_ms(world.clock.now().boot_ms) <= 3_600_000


async def test_a_defect_in_the_bays_own_time_switches_off_and_spins_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be decided any more: the bay says so, its devices are off, the daemon lives."""

    async with world.up():
        await world.play(minutes=1)

        def broken(*_: object) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(bay_module, "decide", broken)
        await asyncio.sleep(65)
        assert not world.wishes.last().antennas_on
        assert 1 < world.log.events().count("bay_broken") < 20
