"""Moves over two bays: one commit, turns, disks that hang, crashes at every write."""

import asyncio
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.model import Bay, Phase
from bayd.core.rules import Rules
from bayd.journal import Answer, JournalUnavailableError
from bayd.runtime.bay import BayBusyError, OutcomeUnknownError
from tests.reconcile.central_world import Disk
from tests.simulation.world import HeldExecutor, World

pytestmark = pytest.mark.virtual_time

STAFF = i.Actor(i.Role.STAFF, "anna")
SCREEN = i.Actor(i.Role.SCREEN, "screen")
NUMBERS = ("109", "110", "111")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db", {number: Rules(dispenser="east") for number in NUMBERS})


def move(to: str = "110") -> i.Move:
    return i.Move(to, STAFF, "net torn")


def where(world: World, session_id: str = "7") -> list[str]:
    bays = [world.range.get(number) for number in NUMBERS]
    return [bay.number for bay in bays if bay.session is not None and bay.session.session_id == session_id]


async def remaining_ms(world: World, number: str) -> int:
    session = world.range.get(number).session
    assert session is not None
    return session.remaining_ms(world.clock.now().boot_ms)


async def test_a_move_is_one_commit_and_the_wishes_follow(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        await asyncio.sleep(100)
        outcome = await bays.submit("109", move())
        assert outcome.decision.refusal is None
        assert where(world) == ["110"]
        assert await remaining_ms(world, "110") == 3_500_000
        assert not world.wishes.last("109").antennas_on
        assert world.wishes.last("110").antennas_on
        records = await world.journal.read(0)
        assert [type(r.event).__name__ for r in records[-2:]] == ["SessionMovedAway", "SessionMovedIn"]
        await asyncio.sleep(3_501)
        assert bays.get("110").phase is Phase.GRACE


async def test_moves_that_cross_do_not_wait_for_each_other(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        await world.play("110", "8")
        first, second = await asyncio.gather(bays.submit("109", move()), bays.submit("110", move("109")))
        assert [one.decision.refusal is None for one in (first, second)] == [False, False]
        assert (where(world), where(world, "8")) == (["109"], ["110"])
        third, fourth = await asyncio.gather(bays.submit("109", move("111")), bays.submit("110", move("109")))
        assert [one.decision.refusal is None for one in (third, fourth)] == [True, True]
        assert (where(world), where(world, "8")) == (["111"], ["109"])


async def test_presses_at_both_bays_wait_for_the_move(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        await world.play()
        disk.free.clear()
        moving = tasks.create_task(bays.submit("109", move()))
        await asyncio.sleep(0.1)
        late = tasks.create_task(bays.submit("109", i.Dispense("p1", 5, SCREEN)))
        there = tasks.create_task(bays.submit("110", i.Hold(STAFF, "VIP")))
        await asyncio.sleep(0.1)
        assert not late.done()
        disk.free.set()
        assert (await moving).decision.refusal is None
        for pressed in (late, there):
            assert (await pressed).decision.refusal is not None
        assert where(world) == ["110"]


async def test_the_same_key_gives_the_same_answer(world: World) -> None:
    def answer(bay: Bay, decision: Decision) -> Answer:
        return Answer("key", "print", 200, f"{bay.number} {bay.phase} {decision.refusal}")

    async with world.up() as bays:
        await world.play()
        outcome = await bays.submit("109", move(), answer)
        assert outcome.answer == Answer("key", "print", 200, "109 free None")
        assert await world.journal.find_answer("key") == outcome.answer
        refused = await bays.submit("109", move("211"), lambda *_: Answer("other", "print", 422, "no"))
        assert refused.decision.refusal is not None
        assert await world.journal.find_answer("other") == refused.answer


async def test_a_move_that_the_disk_takes_too_late_never_counts(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays:
        await world.play()
        disk.free.clear()
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", move())
        disk.free.set()
        await asyncio.sleep(2)
        assert where(world) == ["109"]
        kinds = [type(r.event).__name__ for r in await world.journal.read(0)]
        assert kinds.count("IntentExpired") == 2
        assert "SessionMovedIn" not in kinds
    async with world.up():
        assert where(world) == ["109"]


async def test_play_ends_on_time_while_a_move_waits_for_the_disk(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays:
        await world.play(minutes=1)
        await asyncio.sleep(58)
        disk.free.clear()
        with pytest.raises(OutcomeUnknownError):
            await bays.submit("109", move())
        assert not world.wishes.last("109").antennas_on
        assert not world.wishes.last("110").antennas_on
        disk.free.set()
        await asyncio.sleep(2)
        assert bays.get("109").phase is Phase.GRACE


async def test_a_move_behind_a_hung_bay_is_turned_away(world: World) -> None:
    disk = HeldExecutor()
    world.executor = disk
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        await world.play()
        disk.free.clear()
        report = i.BallLevelSeen("low")
        held = tasks.create_task(bays.submit("110", report), name="held")
        await asyncio.sleep(0)
        with pytest.raises(BayBusyError):
            await bays.submit("109", move())
        disk.free.set()
        await held
        assert where(world) == ["109"]
        assert (await bays.submit("109", move())).decision.refusal is None


async def test_a_ball_heard_before_the_move_counts_where_its_player_is(world: World) -> None:
    async with world.up() as bays:
        await world.play()
        await asyncio.sleep(10)
        heard_ms = world.clock.now().boot_ms
        await asyncio.sleep(0.3)
        await bays.submit("109", move())
        await bays.submit("109", i.BallHeard("E1", heard_ms))
        session = bays.get("110").session
        assert session is not None
        assert session.balls.read == 1
        outcome = await bays.submit("109", i.BallHeard("E2", world.clock.now().boot_ms + 1))
        assert outcome.decision.refusal is not None


async def test_a_ball_seen_in_a_target_scores_for_the_session_wherever_it_is_now(world: World) -> None:
    """Presence knows the bay that had the ball, and not who played there."""
    async with world.up() as bays:
        await world.play()
        await asyncio.sleep(10)
        heard_ms = world.clock.now().boot_ms
        await bays.submit("109", i.BallHeard("E1", heard_ms))
        await bays.submit("109", i.BallHeard("E0", heard_ms))
        await asyncio.sleep(0.3)
        await bays.submit("109", move())
        await bays.submit("109", i.BallHeard("E2", heard_ms))  # decided about after the move
        await bays.submit("110", move("111"))
        for epc in ("E1", "E2"):
            outcome = await bays.submit("109", i.BallInPit(epc, "S1_1", heard_ms + 900))
            assert outcome.decision.refusal is None
            again = await bays.submit("109", i.BallInPit(epc, "S1_1", heard_ms + 950))
            assert again.decision.refusal is not None
        assert (shots(bays.get("109")), shots(bays.get("111"))) == (0, 2)
        # The next guest of the bay hits the very ball that the other had there before.
        await world.play("109", "8")
        await asyncio.sleep(0.3)
        await bays.submit("109", i.BallHeard("E0", world.clock.now().boot_ms))
        await bays.submit("109", i.BallInPit("E0", "S1_1", world.clock.now().boot_ms))
        assert (shots(bays.get("109")), shots(bays.get("111"))) == (1, 2)


def shots(bay: Bay) -> int:
    return 0 if bay.session is None else bay.session.balls.shots


async def evening(world: World) -> None:
    """Every write of it is a place to crash at."""
    bays = world.range
    await world.play()
    await asyncio.sleep(60)
    await bays.submit("109", i.Dispense("p1", 5, SCREEN))
    await bays.submit("109", i.Extend("op1", 15, 0, STAFF, "a gift"))
    await bays.submit("109", move())
    await bays.submit("110", i.Dispense("p2", 3, SCREEN))
    await bays.submit("110", move("111"))
    await bays.submit("111", i.Extend("op2", 15, 0, STAFF, "a gift"))


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_write_leaves_it_in_one_bay_with_its_time(tmp_path: Path, after: bool) -> None:
    crash_at, survived = 1, False
    seen: set[str] = set()
    while not survived:
        world = World(tmp_path / f"{crash_at}.db", {number: Rules(dispenser="east") for number in NUMBERS})
        disk = Disk()
        world.connect = disk.connect
        try:
            async with world.up(), asyncio.TaskGroup() as tasks:
                await asyncio.sleep(0.1)  # the first sign of life
                disk.after, disk.crash_at = after, disk.commits + crash_at
                life = tasks.create_task(evening(world), name="evening")
                death = tasks.create_task(disk.died.wait(), name="death")
                await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
                survived = not disk.died.is_set()
                life.cancel()
                death.cancel()
        except* JournalUnavailableError:  # the sign of life does not outlive its disk
            assert disk.died.is_set()
        disk.dead, disk.crash_at = False, None
        async with world.up() as bays:
            records = await world.journal.read(0)
            started = next((r.event for r in records if isinstance(r.event, e.SessionStarted)), None)
            if started is not None:
                (number,) = where(world)
                seen.add(number)
                session = bays.get(number).session
                assert session is not None
                more = sum(isinstance(r.event, e.SessionExtended) for r in records)
                assert session.ends_at_ms == started.ends_at_ms + more * 900_000
                assert session.balls.commanded == sum(
                    r.event.balls - r.event.from_balance
                    for r in records
                    if isinstance(r.event, e.PayoutRequested)
                )
        crash_at += 1
    assert seen == set(NUMBERS)
    assert crash_at > 10
