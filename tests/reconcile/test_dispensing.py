"""The dispensing reconciler with the real hopper driver against the simulated hopper, on virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Balls, Bay, DeviceState, PayoutEnd
from bayd.core.rules import Rules
from bayd.journal import Recorded
from bayd.reconcile.dispensing import DispenserReconciler
from bayd.runtime.range import Range
from hardware.sim.hopper import Fault
from tests.hardware.dispenser.hopper_rig import HopperRig
from tests.simulation.world import World

pytestmark = pytest.mark.virtual_time

SCREEN = i.Actor(i.Role.SCREEN, "screen")
STAFF = i.Actor(i.Role.STAFF, "anna")
# What the dispense command (167) and the question after it (166) may meet.
FAULTS = [
    Fault.REQUEST_LOST,
    Fault.REPLY_LOST,
    Fault.REPLY_CORRUPT,
    Fault.REPLY_CUT,
    Fault.REPLY_SLOW,
    Fault.COLLISION,
    Fault.ECHO_WRONG,
    Fault.NAK,
    Fault.BUSY,
]


class Hall:
    """Bays 109 and 110 at one hopper. Leaving `open` is a crash: link cut, everything else forgotten."""

    def __init__(self, path: Path) -> None:
        rules = Rules(dispenser="east")
        self.world = World(path, {"109": rules, "110": rules})
        self.rig = HopperRig()
        self._presses = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Range]:
        async with self.world.up() as bays:
            reconciler = DispenserReconciler("east", self.rig.driver, ("109", "110"), bays, self.world.log)
            bays.observe(reconciler)
            for task in bays.bays.values():
                task.announce()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(reconciler.run(), name="east")
                try:
                    yield bays
                finally:
                    self.rig.wire.cut()
                    running.cancel()
        self.rig.restart()

    async def press(self, number: str, balls: int) -> i.Input:
        self._presses += 1
        request = i.Dispense(f"p{self._presses}", balls, SCREEN)
        done = await self.world.range.submit(number, request)
        assert done.decision.refusal is None, done.decision.refusal
        return request

    async def paid_out(self, number: str = "109", within_s: float = 60) -> Bay:
        async with asyncio.timeout(within_s):
            while self.world.range.get(number).payout is not None:  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.05)
        return self.world.range.get(number)

    async def ready(self) -> None:
        async with asyncio.timeout(60):
            while "dispenser" not in self.world.range.get("109").devices:  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.05)


def balls_of(bay: Bay) -> Balls:
    assert bay.session is not None
    return bay.session.balls


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path / "journal.db")


async def test_a_press_pays_and_counts_each_ball(hall: Hall) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 10)
        bay = await hall.paid_out()
        assert (balls_of(bay).counted, balls_of(bay).balance) == (10, 0)
        assert hall.rig.sim.ejected == 10
        kinds = [type(r.event).__name__ for r in await hall.world.journal.read(0, bay="109")]
        first = {
            kind: kinds.index(kind)
            for kind in ("PayoutRequested", "PayoutMarked", "BallsPaid", "PayoutClosed")
        }
        assert list(first.values()) == sorted(first.values())


async def test_more_than_a_hopper_pays_at_once_is_paid_in_parts(hall: Hall) -> None:
    hall.world.rules = {n: Rules(dispenser="east", dispense_max_balls=400) for n in ("109", "110")}
    async with hall.open():
        await hall.world.play("109", "7", minutes=600)
        await hall.press("109", 300)
        bay = await hall.paid_out(within_s=120)
        assert balls_of(bay).counted == hall.rig.sim.ejected == 300


async def test_a_crash_in_mid_payout_is_settled_by_asking(hall: Hall) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        assert 0 < hall.rig.sim.ejected < 20
    await asyncio.sleep(2)
    async with hall.open():
        bay = await hall.paid_out()
        assert balls_of(bay).counted == hall.rig.sim.ejected == 20
        assert hall.rig.sim.payouts == 1


async def test_a_crash_before_the_motor_resumes_only_when_it_was_short(hall: Hall) -> None:
    async with hall.world.up():
        await hall.world.play("109", "7")
        await hall.press("109", 10)
    await asyncio.sleep(5)
    async with hall.open():
        assert balls_of(await hall.paid_out()).counted == 10
    async with hall.world.up():
        await hall.press("109", 10)
    await asyncio.sleep(40)
    async with hall.open():
        bay = await hall.paid_out()
        assert (balls_of(bay).counted, balls_of(bay).balance) == (10, 10)
        assert hall.rig.sim.ejected == 10
        await hall.press("109", 10)
        bay = await hall.paid_out()
        assert (balls_of(bay).commanded, balls_of(bay).counted, balls_of(bay).balance) == (20, 20, 0)


async def test_a_staff_end_stops_the_motor(hall: Hall) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.press("109", 40)
        await asyncio.sleep(2)
        await bays.submit("109", i.End(STAFF, "closing"))
        bay = await hall.paid_out()
        assert bay.last is not None
        assert 0 < hall.rig.sim.ejected < 40
        assert bay.last.balls.counted == hall.rig.sim.ejected
        assert bay.last.balls.balance == 40 - hall.rig.sim.ejected


async def test_the_end_of_time_lets_a_payout_finish(hall: Hall) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7", minutes=1)
        await asyncio.sleep(57)
        await hall.press("109", 40)
        bay = await hall.paid_out()
        assert bay.last is not None
        assert bay.last.balls.counted == hall.rig.sim.ejected == 40
        assert bays.get("109").session is None


async def test_a_jam_wants_staff_at_every_bay_of_the_hopper_and_one_act_clears_it(hall: Hall) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        hall.rig.sim.jam_after = 4
        await hall.press("109", 10)
        bay = await hall.paid_out()
        assert (balls_of(bay).counted, balls_of(bay).balance) == (4, 6)
        await asyncio.sleep(0.1)
        assert bays.get("110").devices["dispenser"].state is DeviceState.FAULT
        refused = await bays.submit("110", i.Dispense("x", 5, SCREEN))
        assert refused.decision.refusal is not None
        await bays.submit("109", i.ClearFault("dispenser", STAFF))
        await asyncio.sleep(6)
        assert bays.get("110").devices["dispenser"].state is DeviceState.OK
        await hall.press("109", 6)
        bay = await hall.paid_out()
        assert balls_of(bay).counted == hall.rig.sim.ejected == 10


async def test_two_bays_share_fairly_and_each_ball_is_credited_to_its_bay_across_a_crash(hall: Hall) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press("110", 12)
        await asyncio.sleep(0.2)
        await hall.press("109", 7)
        await asyncio.sleep(0.8)
    await asyncio.sleep(1)
    async with hall.open():
        counted = {n: balls_of(await hall.paid_out(n)).counted for n in ("109", "110")}
        assert counted == {"110": 12, "109": 7}
        closed = [r.bay for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert closed == ["110", "109"]
        assert hall.rig.sim.ejected == 19


async def test_a_hopper_that_is_away_is_said_and_comes_back(hall: Hall) -> None:
    hall.rig.sim.power_off()
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await asyncio.sleep(5)
        assert bays.get("109").devices["dispenser"].state is DeviceState.LOST
        await hall.press("109", 5)
        await asyncio.sleep(10)
        hall.rig.sim.power_on()
        bay = await hall.paid_out()
        assert balls_of(bay).counted == hall.rig.sim.ejected == 5


async def test_registers_lost_in_a_power_cut_are_settled_by_the_lifetime_count(hall: Hall) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        hall.rig.sim.power_dip()
        bay = await hall.paid_out()
        balls = balls_of(bay)
        assert balls.counted + balls.balance + balls.unknown == 20
        assert balls.unknown == 0
        assert balls.counted == hall.rig.sim.ejected


async def play_with_faults(hall: Hall, dispenses: int, seed: int) -> None:
    """A fault drawn at every dispense, a crash at some: owed = paid + balance, and the hopper agrees."""
    chance = random.Random(seed)
    done = 0
    async with hall.open():
        await hall.world.play("109", "7", minutes=1440)
    while done < dispenses:
        async with hall.open():
            while done < dispenses:
                await hall.ready()
                balance = balls_of(hall.world.range.get("109")).balance
                balls = balance + chance.randint(0, 4) or 1
                if chance.random() < 0.7:
                    fault = chance.choice(FAULTS)
                    hall.rig.sim.order(fault, chance.choice([167, 167, 166, None]))
                if chance.random() < 0.1:
                    hall.rig.sim.jam_after = chance.randint(0, balls)
                await hall.press("109", balls)
                done += 1
                if chance.random() < 0.4:
                    await asyncio.sleep(chance.uniform(0, 0.8))
                    break  # the crash
                await hall.paid_out(within_s=120)
                hall.rig.sim.forget_faults()
                await clear(hall)
        await asyncio.sleep(chance.uniform(0, 3))
        async with hall.open():
            await hall.paid_out(within_s=120)
            hall.rig.sim.forget_faults()
            await clear(hall)
            balls_now = balls_of(hall.world.range.get("109"))
            assert balls_now.commanded == balls_now.counted + balls_now.balance + balls_now.unknown
            assert balls_now.unknown == 0
            assert balls_now.counted == hall.rig.sim.ejected, f"seed {seed}, after {done}"


async def clear(hall: Hall) -> None:
    """Staff see to the hopper when it wants them."""
    await asyncio.sleep(0.2)
    fact = hall.world.range.get("109").devices.get("dispenser")
    if fact is not None and fact.state is DeviceState.FAULT:
        await hall.world.range.submit("109", i.ClearFault("dispenser", STAFF))
        await asyncio.sleep(6)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_owed_is_paid_plus_balance(hall: Hall, seed: int) -> None:
    await play_with_faults(hall, 40, seed)
    closed = [r.event for r in await reopened(hall)]
    assert any(isinstance(event, e.PayoutClosed) and event.end is not PayoutEnd.DONE for event in closed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
async def test_two_thousand_dispenses(hall: Hall, seed: int) -> None:
    await play_with_faults(hall, 200, seed)
    assert hall.rig.sim.ejected > 200


async def reopened(hall: Hall) -> list[Recorded[e.Event]]:
    """All that the journal holds."""
    async with hall.world.up():
        records: list[Recorded[e.Event]] = []
        after = 0
        while page := await hall.world.journal.read(after):
            records += page
            after = page[-1].seq
        return records
