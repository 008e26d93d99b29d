"""One bay under a disk that hangs or refuses: what people get told, and what becomes of their acts."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.desired import Desired
from bayd.core.evolve import REDUCER_VERSION
from bayd.core.model import Bay, Phase, StartedBy
from bayd.core.rules import Rules
from bayd.journal import Answer, AnswerExistsError, NotWrittenError
from bayd.runtime.bay import AnswerMaker, BayBusyError, Outcome, OutcomeUnknownError
from tests.journal.world import Fault, FaultyDisk
from tests.simulation.world import HeldExecutor, World

pytestmark = pytest.mark.virtual_time

SCREEN = i.Actor(i.Role.SCREEN, "screen")
STAFF = i.Actor(i.Role.STAFF, "anna")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db")


@pytest.fixture
def disk(world: World) -> HeldExecutor:
    held = HeldExecutor()
    world.executor = held
    return held


async def kinds(world: World) -> list[str]:
    return [type(r.event).__name__ for r in await world.journal.read(0)]


def answering(key: str) -> AnswerMaker:
    def make(bay: Bay, decision: Decision) -> Answer:
        return Answer(key, "fingerprint", 200, f"{bay.phase.value} {decision.refusal}")

    return make


class Pressing:
    """Presses whose ends are looked at later."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    async def press(self, call: Coroutine[Any, Any, Outcome]) -> "asyncio.Task[Outcome | Exception]":
        async def ending() -> Outcome | Exception:
            try:
                return await call
            except Exception as error:  # noqa: BLE001 # what the press ended in is what is tested
                return error

        task = self._tasks.create_task(ending(), name="press")
        await asyncio.sleep(0.01)
        return task


@pytest.fixture
async def pressing() -> Any:
    async with AsyncExitStack() as stack:
        yield Pressing(await stack.enter_async_context(asyncio.TaskGroup()))


async def test_an_act_that_was_answered_before_ends_there_and_the_bay_goes_on(world: World) -> None:
    """An end is recorded again and again until it is; not so when its key has its answer already."""
    async with world.up() as bays:
        await world.play()
        await bays.submit("109", i.CallHelp(SCREEN), answering("k"))
        with pytest.raises(AnswerExistsError):
            await bays.submit("109", i.End(STAFF, "closing"), answering("k"))
        assert bays.get("109").phase is Phase.PLAYING
        assert world.wishes.last().antennas_on
        await bays.submit("109", i.End(STAFF, "closing"), answering("k2"))
        assert bays.get("109").phase is Phase.GRACE


@pytest.mark.parametrize("held_s", [0.25, 0.31, 0.49, 0.51, 3.0])
async def test_whoever_waits_is_answered_whenever_the_disk_comes_back(
    tmp_path: Path, pressing: Pressing, held_s: float
) -> None:
    world = World(tmp_path / "journal.db", {"109": Rules(dispenser="east", intent_ttl_ms=300)})
    disk = world.executor = HeldExecutor()
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        began = asyncio.get_running_loop().time()
        press = await pressing.press(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        await asyncio.wait({press}, timeout=held_s - 0.01)
        answered_s = asyncio.get_running_loop().time() - began
        disk.free.set()
        in_time = held_s < 0.3
        assert isinstance(await press, Outcome if in_time else OutcomeUnknownError)
        assert answered_s == pytest.approx(held_s if in_time else 0.3, abs=0.02)
        await asyncio.sleep(1)
        assert (bays.get("109").payout is not None) == in_time


async def test_an_act_that_waits_behind_a_hung_one_is_not_done_later(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        first = await pressing.press(bays.submit("109", i.Extend("op1", 15, 0, STAFF, "a gift")))
        second = await pressing.press(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        await asyncio.sleep(60)
        assert isinstance(first.result(), OutcomeUnknownError)
        assert isinstance(second.result(), BayBusyError)
        disk.free.set()
        await asyncio.sleep(1)
        assert "PayoutRequested" not in await kinds(world)
        done = await bays.submit("109", i.Dispense("p2", 5, SCREEN))
        assert done.decision.refusal is None


async def test_an_act_from_before_a_suspend_is_not_done_after_it(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    """The loop's clock stands still in a suspend, so nobody was told in time."""
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        await pressing.press(bays.submit("109", i.CallHelp(SCREEN)))
        press = await pressing.press(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        world.clock._offset_ms += 60_000
        disk.free.set()
        assert isinstance(await press, BayBusyError)
        assert "PayoutRequested" not in await kinds(world)


@pytest.mark.parametrize(
    "act", [i.End(STAFF, "closing"), i.Pause(STAFF, "rain"), i.StopService(STAFF, "x", True)]
)
async def test_what_staff_switch_off_is_off_at_once_though_it_waits_for_the_disk(
    world: World, disk: HeldExecutor, pressing: Pressing, act: i.Input
) -> None:
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        await pressing.press(bays.submit("109", i.Extend("op1", 15, 0, STAFF, "a gift")))
        assert world.wishes.last().antennas_on
        press = await pressing.press(bays.submit("109", act))
        assert not world.wishes.last().antennas_on
        await asyncio.sleep(60)
        unknown = press.result()
        assert isinstance(unknown, OutcomeUnknownError)
        assert unknown.lasts
        assert not unknown.settled.done()
        disk.free.set()
        await unknown.settled
        assert bays.get("109").phase in (Phase.GRACE, Phase.PAUSED, Phase.OUT_OF_SERVICE)
        assert not any(wish.antennas_on for _, _, wish in world.wishes.seen[-3:])


async def test_a_pause_that_waits_for_the_disk_is_not_lifted_by_a_warning(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    async with world.up() as bays:
        await world.play(minutes=11)
        disk.free.clear()
        await pressing.press(bays.submit("109", i.Pause(STAFF, "rain")))
        assert not world.wishes.last().antennas_on
        await asyncio.sleep(120)  # the warning of ten minutes is due
        assert not world.wishes.last().antennas_on
        disk.free.set()
        await asyncio.sleep(1)
        assert bays.get("109").phase is Phase.PAUSED


async def test_a_report_waits_as_long_as_the_disk_needs(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    """Whoever reports has to know how it ended; an error after five seconds would end its task."""
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        heard = await pressing.press(bays.submit("109", i.BallHeard("E280117000000001", 20_000)))
        cleared = await pressing.press(bays.submit("109", i.ClearFault("dispenser", i.SYSTEM)))
        await asyncio.sleep(120)
        assert not heard.done()
        assert not cleared.done()
        disk.free.set()
        outcome = await heard
        assert isinstance(outcome, Outcome)
        assert outcome.bay.session is not None
        assert outcome.bay.session.balls.read == 1
        assert isinstance(await cleared, Outcome)


async def test_a_right_pin_counts_however_late_the_disk_is(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    """The server has taken it and would not take it again."""
    async with world.up() as bays:
        said = i.ServerSaid("7", 60, 0, world.clock.now().wall_ms, False, False, False)
        await bays.submit("109", said)
        await bays.submit("109", i.PinEntered("a1", "key"))
        disk.free.clear()
        right = i.PinWasRight("a1", "7", StartedBy.PIN_ONLINE)
        press = await pressing.press(bays.submit("109", right, answering("key")))
        await asyncio.sleep(10)
        assert isinstance(press.result(), OutcomeUnknownError)
        disk.free.set()
        await asyncio.sleep(1)
        assert bays.get("109").phase is Phase.PLAYING
        assert await world.journal.find_answer("key") is not None


async def test_a_call_for_help_counts_however_late_the_disk_is(world: World, disk: HeldExecutor) -> None:
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        with pytest.raises(OutcomeUnknownError) as caught:
            await bays.submit("109", i.CallHelp(SCREEN))
        disk.free.set()
        await caught.value.settled
        assert bays.get("109").help_since_ms is not None


async def test_what_must_not_count_is_expired_though_the_disk_refuses_at_first(
    world: World, disk: HeldExecutor
) -> None:
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play()
        before = bays.get("109")
        disk.free.clear()
        faulty.faults.append(Fault("INSERT INTO expired_batches", times=2))
        with pytest.raises(OutcomeUnknownError) as caught:
            await bays.submit("109", i.Extend("op1", 15, 100, STAFF, "a gift"), answering("k"))
        assert not caught.value.lasts
        disk.free.set()
        await caught.value.settled
        assert not faulty.faults
        assert bays.get("109") == replace(before, version=before.version + 1)
        assert await world.journal.find_answer("k") is None
        after = bays.get("109")
    async with world.up() as bays:
        assert bays.get("109").session == after.session


async def test_play_ends_at_its_time_while_the_disk_hangs_in_an_expiry(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play(minutes=1)
        disk.free.clear()
        faulty.faults.append(Fault("INSERT INTO expired_batches"))
        press = await pressing.press(bays.submit("109", i.Extend("op1", 1, 0, STAFF, "a gift")))
        await asyncio.wait({press})
        disk.free.set()
        await asyncio.sleep(0.1)
        assert not faulty.faults  # refused once, and tried again in a second
        disk.free.clear()
        assert world.wishes.last().antennas_on
        await asyncio.sleep(70)
        assert not world.wishes.last().antennas_on
        disk.free.set()
        await asyncio.sleep(2)
        assert bays.get("109").phase is Phase.GRACE
        assert "SessionExtended" not in await kinds(world)


@dataclass
class HangAt:
    """Lets the disk hang as soon as the bay has so many events."""

    disk: HeldExecutor
    version: int

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        if bay.version == self.version:
            self.disk.free.clear()


async def test_play_ends_at_its_time_while_the_disk_hangs_in_a_snapshot(
    world: World, disk: HeldExecutor
) -> None:
    async with world.up(HangAt(disk, 200)) as bays:
        await world.play(minutes=1)
        while bays.get("109").version < 200:
            epc = f"E2801170{bays.get('109').version:08X}"
            await bays.submit("109", i.BallHeard(epc, world.clock.now().boot_ms))
        assert world.wishes.last().antennas_on
        await asyncio.sleep(70)
        assert not world.wishes.last().antennas_on
        disk.free.set()
        await asyncio.sleep(2)
        assert bays.get("109").phase is Phase.GRACE
        assert (await world.journal.load("109", REDUCER_VERSION)).snapshot_seq == 200


async def test_a_journal_that_cannot_tell_is_asked_again_until_it_can(
    world: World, pressing: Pressing
) -> None:
    """The commit failed and is in the file, and the file cannot be opened for a while."""
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play()
        faulty.faults += [Fault("COMMIT", after=True), *(Fault("connect") for _ in range(3))]
        press = await pressing.press(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        assert not press.done()
        outcome = await press
        assert isinstance(outcome, Outcome)
        assert bays.get("109").payout is not None
        assert (await kinds(world)).count("PayoutRequested") == 1


async def test_what_the_journal_cannot_take_costs_one_input_not_the_bay(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        with pytest.raises(ValueError, match="surrogate"):
            await bays.submit("109", i.Pause(STAFF, "half a character: \ud83d"))
        assert "input_failed" in world.log.events()
        assert bays.get("109").phase is Phase.PLAYING
        assert world.wishes.last().antennas_on
        await bays.submit("109", i.Pause(STAFF, "rain"))
        assert bays.get("109").phase is Phase.PAUSED


async def test_too_many_acts_are_turned_away_and_reports_are_not(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        presses = [
            await pressing.press(bays.submit("109", i.Dispense(f"p{n}", 1, SCREEN))) for n in range(80)
        ]
        ends = await pressing.press(bays.submit("109", i.End(STAFF, "closing")))
        heard = await pressing.press(bays.submit("109", i.BallHeard("E280117000000001", 20_000)))
        turned_away = [press for press in presses if press.done()]
        assert len(turned_away) == 15  # one is being committed, 64 wait
        assert all(isinstance(press.result(), BayBusyError) for press in turned_away)
        await asyncio.sleep(20)
        assert isinstance(ends.result(), OutcomeUnknownError)
        disk.free.set()
        await asyncio.wait({heard})
        assert bays.get("109").phase is Phase.GRACE
        assert "PayoutRequested" not in await kinds(world)


async def test_a_refused_disk_refuses_the_report_too(world: World) -> None:
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play()
        faulty.faults.append(Fault("COMMIT"))
        with pytest.raises(NotWrittenError):
            await bays.submit("109", i.BallHeard("E280117000000001", 20_000))
        assert await bays.report("109", i.BallHeard("E280117000000001", 20_000)) is not None


async def test_what_is_switched_off_on_a_full_disk_counts_from_the_press(world: World) -> None:
    """The antennas rested since then: the guest's clock stood still, whenever it could be written."""
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play()
        faulty.faults.append(Fault("COMMIT", times=1_000))
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", i.Pause(STAFF, "rain"))
        pressed_ms = world.clock.now().boot_ms
        assert not world.wishes.last().antennas_on
        await asyncio.sleep(120)
        faulty.faults.clear()
        await asyncio.sleep(2)
        session = bays.get("109").session
        assert session is not None
        assert session.paused_at_ms == pressed_ms


async def test_what_the_desk_ends_stays_off_on_a_full_disk_and_is_recorded_with_it(world: World) -> None:
    """Each look at the server tells it again; the light does not come on again in between."""
    faulty = FaultyDisk()
    world.connect = faulty.connect
    async with world.up() as bays:
        await world.play()
        over = i.ServerSaid("7", 60, 0, 0, cancelled=False, active=False, released=True)
        faulty.faults.append(Fault("COMMIT", times=1_000))
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", over)
        heard = len(world.wishes.seen)
        await asyncio.sleep(20)
        assert not any(wish.antennas_on for _, _, wish in world.wishes.seen[heard - 1 :])
        assert "commit_stalled" not in world.log.events(), "each try was refused at once"
        faulty.faults.clear()
        await asyncio.sleep(2)
        assert bays.get("109").session is None


async def test_a_look_at_the_server_makes_way_for_the_next_one_while_the_disk_hangs(
    world: World, disk: HeldExecutor, pressing: Pressing
) -> None:
    made_ms = world.clock.now().wall_ms
    said = i.ServerSaid("7", 60, 0, made_ms, cancelled=False, active=True, released=False)
    told: list[i.Input] = [
        *(replace(said, as_of_wall_ms=n) for n in range(500)),
        *[i.ServerContradicted("missing_at_server", "7", "It is not known there.")] * 500,
        replace(said, released=True),
        *(replace(said, as_of_wall_ms=n) for n in range(500)),
        replace(said, session_id="8"),
    ]
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        await pressing.press(bays.submit("109", i.BallHeard("E280117000000001", 20_000)))
        for fact in told:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await bays.submit("109", fact)
        assert not world.wishes.last().antennas_on, "the server's word that it is over stays"
        assert len(bays.bays["109"]._waiting) <= 4
        disk.free.set()
        await asyncio.sleep(1)
        assert bays.get("109").session is None
        assert [one.session_id for one in bays.get("109").bookings] == ["8"]
