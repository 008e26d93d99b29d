"""Every driver under the reconciler, with a fault at every step and a crash at every write of the journal.

A machine that counts: owed = paid + balance after each dispense, and paid is what fell. An open-loop machine:
what nobody can tell is flagged, a flag is one pulse, there is none without a fault, and no difference without
a flag.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Balls
from hardware.sim.relay import BoardKind
from tests.reconcile.dispensing_hall import STAFF, Hall
from tests.reconcile.dispensing_machines import HopperMachine, Machine, PlcMachine, RelayMachine

pytestmark = pytest.mark.virtual_time

MACHINES: dict[str, Callable[[], Machine]] = {
    "cctalk": HopperMachine,
    "modbus": PlcMachine,
    "lcus": partial(RelayMachine, BoardKind.LCUS),
    "kmtronic": partial(RelayMachine, BoardKind.KMTRONIC),
    "numato": partial(RelayMachine, BoardKind.NUMATO),
    "waveshare": partial(RelayMachine, None),
    "numato, beam": partial(RelayMachine, BoardKind.NUMATO, beam=True),
}
PULSE = 25
LONG = 1_000_000  # minutes


def owed(balls: Balls) -> int:
    return balls.commanded - balls.counted - balls.unknown


class Torture:
    """Many dispenses at bay 109, some at 110 at the same time."""

    def __init__(self, hall: Hall, chance: random.Random) -> None:
        self.hall = hall
        self.chance = chance
        self.seen: Counter[str] = Counter()

    async def run(self, dispenses: int) -> None:
        async with self.hall.open():
            for number, session in (("109", "7"), ("110", "8")):
                await self.hall.world.play(number, session, minutes=LONG)
        for _ in range(dispenses):
            await self.dispense()

    async def dispense(self) -> None:
        """One press, with whatever happens, until all is settled and compared."""
        hall, chance, machine = self.hall, self.chance, self.hall.machine
        deaths, self._happened = hall.deaths, False
        closed = False
        async with hall.open():
            await hall.ready()
            self._plan_death()
            if chance.random() < 0.7:
                machine.order_trouble(chance, max(machine.sizes))
                self._happened = True
                self.seen["trouble"] += 1
            await self._press("109")
            if chance.random() < 0.25:
                await asyncio.sleep(chance.uniform(0, 0.5))
                await self._press("110")
                self.seen["two bays"] += 1
            if chance.random() < 0.2:
                await asyncio.sleep(chance.uniform(0, 4))
                self.seen["killed by the clock"] += 1
            else:
                await self._close()
                closed = True
        if closed:
            return
        self._happened = True
        while not await self._comes_back():
            pass
        self.seen["killed at a commit"] += hall.deaths - deaths
        async with hall.open():
            await self._close()

    async def _close(self) -> None:
        """All is settled, staff have been there, and the books are compared."""
        hall = self.hall
        await self._settled()
        hall.disk.forgive()
        await hall.see_to_the_machine()
        await hall.stands()
        self._compare(self._happened)
        self.seen["flags"] += await self._settle_unknown()
        await hall.see_to_the_machine()

    def _plan_death(self) -> None:
        writes = 12 if self.hall.machine.counts else 6  # of one payout: ball by ball, or tray by tray
        if self.chance.random() < 0.5:
            self.hall.disk.die_in(self.chance.randint(1, writes), after=self.chance.random() < 0.5)

    async def _press(self, number: str) -> None:
        balance = self.hall.balls(number).balance
        size = self.chance.choice(self.hall.machine.sizes)
        step = self.hall.machine.driver.capabilities.step
        await self.hall.press(number, -(-max(balance, size) // step) * step)

    async def _settled(self) -> None:
        for number in ("109", "110"):
            await self.hall.paid_out(number)

    async def _comes_back(self) -> bool:
        """After a while; it may die again while it settles. True: it did not."""
        await asyncio.sleep(self.chance.choice([0.0, 0.3, 2.0, 40.0]))
        before = self.hall.deaths
        async with self.hall.open():
            if self.chance.random() < 0.3:
                self.hall.disk.die_in(self.chance.randint(1, 8), after=self.chance.random() < 0.5)
            await self._settled()
        return self.hall.deaths == before

    def _compare(self, something_happened: bool) -> None:
        hall = self.hall
        books = [hall.balls(number) for number in ("109", "110")]
        story = f"{books} {hall.machine.story()} {self.seen}"
        for balls in books:
            assert owed(balls) == balls.balance >= 0, story
        fell = hall.machine.ejected
        counted = sum(balls.counted + balls.surplus for balls in books)
        unknown = sum(balls.unknown for balls in books)
        flags = [flag for number in ("109", "110") for flag in hall.bay(number).unsettled]
        assert sum(flag.balls for flag in flags) == unknown, story
        if hall.machine.counts:
            assert counted == fell and not flags, story
            return
        assert all(flag.balls <= PULSE for flag in flags), story
        assert something_happened or not flags, f"a flag without a fault: {story}"
        assert 0 <= fell - counted <= unknown, f"a difference that nobody flagged: {story}"

    async def _settle_unknown(self) -> int:
        """Staff count what is in the baskets, and say so."""
        hall, settled = self.hall, 0
        for number in ("109", "110"):
            for flag in hall.bay(number).unsettled:
                books = [hall.balls(bay) for bay in ("109", "110")]
                missing = hall.machine.ejected - sum(balls.counted + balls.surplus for balls in books)
                came_out = max(0, min(flag.balls, missing))
                request = i.SettleUnknown(flag.payout_id, came_out, STAFF, "counted")
                done = await hall.world.range.submit(number, request)
                assert done.decision.refusal is None
                settled += 1
        books = [hall.balls(bay) for bay in ("109", "110")]
        assert sum(balls.counted + balls.surplus for balls in books) == hall.machine.ejected
        assert all(balls.unknown == 0 and owed(balls) == balls.balance for balls in books)
        return settled


async def tortured(path: Path, name: str, seed: int, dispenses: int) -> Counter[str]:
    torture = Torture(Hall(path / "journal.db", MACHINES[name]()), random.Random(f"{name} {seed}"))
    await torture.run(dispenses)
    return torture.seen


@pytest.mark.parametrize("name", MACHINES)
async def test_owed_is_paid_plus_balance_whatever_happens(tmp_path: Path, name: str) -> None:
    seen = await tortured(tmp_path, name, 1, 15)
    assert seen["killed at a commit"] > 2
    assert seen["trouble"] > 4


@pytest.mark.soak
@pytest.mark.parametrize("name", MACHINES)
async def test_two_thousand_dispenses(tmp_path: Path, name: str) -> None:
    seen = await tortured(tmp_path, name, 2, 2_000)
    sys.stdout.write(
        f"{name}: 2,000 presses, {', '.join(f'{n} {what}' for what, n in sorted(seen.items()))}\n"
    )
    assert seen["killed at a commit"] > 500
    assert seen["two bays"] > 300
    assert (seen["flags"] > 0) == (not MACHINES[name]().counts)


# Without chance: one payout, and death at each of its commits in turn.


async def died_at(path: Path, machine: Machine, commit: int, *, after: bool) -> tuple[Hall, bool]:
    """Whether the process got that far, and what became of its payout."""
    hall = Hall(path / f"{commit}{after}.db", machine)
    async with hall.open():
        await hall.world.play("109", "7", minutes=LONG)
        await hall.ready()
        hall.disk.die_in(commit, after=after)
        await hall.press("109", 2 * machine.driver.capabilities.step)
        await hall.paid_out()
        hall.disk.forgive()
    return hall, bool(hall.deaths)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", MACHINES)
async def test_a_crash_at_each_write_of_one_payout(tmp_path: Path, name: str, after: bool) -> None:
    outcomes: Counter[str] = Counter()
    for commit in range(1, 100):
        hall, died = await died_at(tmp_path, MACHINES[name](), commit, after=after)
        machine = hall.machine
        async with hall.open():
            await hall.ready()
            await hall.paid_out()
            await hall.stands()
            balls = hall.balls()
            assert owed(balls) == balls.balance
            assert 0 <= machine.ejected - balls.counted <= balls.unknown, (commit, balls, machine.story())
            assert balls.unknown <= (0 if machine.counts else PULSE)
            outcomes["unknown"] += balls.unknown > 0
            outcomes["died"] += died
        if not died:
            assert (balls.counted, balls.unknown, balls.balance) == (balls.commanded, 0, 0)
            break
    else:
        pytest.fail("a payout of two steps has no hundred commits")
    # Pressed, marked, closed, and each ball or tray in between.
    assert outcomes["died"] >= 5
    assert (outcomes["unknown"] > 0) == (not machine.counts)


@pytest.mark.parametrize("name", ["cctalk", "modbus"])
async def test_two_bays_keep_their_order_and_their_balls_over_a_crash_at_each_write(
    tmp_path: Path, name: str
) -> None:
    pressed = {"110": 3, "109": 2}
    deaths = 0
    for commit in range(1, 100):
        hall = Hall(tmp_path / f"{commit}.db", MACHINES[name]())
        async with hall.open():
            for number, session in (("109", "7"), ("110", "8")):
                await hall.world.play(number, session, minutes=LONG)
            await hall.ready()
            hall.disk.die_in(commit, after=commit % 2 == 0)
            for number, balls in pressed.items():
                await hall.press(number, balls)
                await asyncio.sleep(0.1)
            for number in pressed:
                await hall.paid_out(number)
            hall.disk.forgive()
        died = bool(hall.deaths)
        async with hall.open():
            for number in pressed:
                await hall.paid_out(number)
            await hall.stands()
            records = await hall.world.journal.read(0)
            asked = [r.bay for r in records if isinstance(r.event, e.PayoutRequested)]
            assert [r.bay for r in records if isinstance(r.event, e.PayoutClosed)] == asked
            paid = {number: hall.balls(number).counted for number in asked}
            owed_to = {number: hall.balls(number).balance for number in asked}
            assert {n: paid[n] + owed_to[n] for n in asked} == {n: pressed[n] for n in asked}
            # Only a payout whose command the crash swallowed is owed, none in part.
            assert all(balls in (0, pressed[number]) for number, balls in owed_to.items())
            assert hall.machine.ejected == sum(paid.values()), hall.machine.story()
        deaths += died
        if not died:
            break
    # Each asked for, marked, paid ball by ball, closed.
    assert deaths >= 10
