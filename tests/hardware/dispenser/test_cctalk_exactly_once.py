"""Thousands of payouts in which everything goes wrong that can, against the simulator's own truth.

Each dispense is played as the daemon plays it: mark, journal the mark, pay, ask for progress until the motor
stands. A seed orders faults for any of the commands, cuts power, jams, empties, stops, and kills the host at
any moment; after a kill only the journaled mark is left. Whatever `paid` says must be what fell.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from hardware.dispenser import (
    DispenserUnavailableError,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
)
from hardware.sim.hopper import SCH2_NOENCRYPT, Fault, HopperSettings
from tests.hardware.dispenser.hopper_rig import HopperRig

pytestmark = pytest.mark.virtual_time

T = TypeVar("T")

POLL_S = 0.1
JAM_FLAGS = {0, 2}  # over-current, motor reversed
MEMORY_FLAGS = {10, 14}  # counter checksum A, power fail while writing
GIVE_UP_S = 120.0  # virtual; nothing that is ordered here lasts that long


@dataclass(frozen=True, slots=True)
class World:
    """A kind of hopper and of line."""

    name: str
    hopper: HopperSettings
    echo: bool = True
    crc: bool = False
    network: bool = False
    zero_payout: bool = False
    memory_can_fail: bool = False

    @property
    def tells_all(self) -> bool:
        """Whatever happens, something in the hopper still knows."""
        return self.hopper.dispense_count and not self.memory_can_fail


WORLDS = [
    World("flow", HopperSettings()),
    World("sch2", SCH2_NOENCRYPT),
    World("flow, forgets", HopperSettings(keeps_last_payout=False)),
    World(
        "no unpaid, crc, no echo",
        HopperSettings(reports_unpaid=False, slow_reply_s=0.2),
        echo=False,
        crc=True,
    ),
    World("network", HopperSettings(), network=True),
    World("no count", HopperSettings(dispense_count=False)),
    World("no count, zero payout", HopperSettings(dispense_count=False), zero_payout=True),
    World(
        "no count, forgets",
        HopperSettings(dispense_count=False, keeps_last_payout=False),
        zero_payout=True,
    ),
    World("memory fails", HopperSettings(), memory_can_fail=True),
]


class HostKilledError(Exception):
    """The process is gone in the middle of a call."""


class Trial:
    """One host, one hopper, many dispenses."""

    def __init__(self, world: World, seed: str) -> None:
        self.chance = random.Random(seed)
        self.world = world
        self.rig = HopperRig(
            world.hopper,
            echo=world.echo,
            crc=world.crc,
            link_name="socket://198.51.100.7:4001" if world.network else "/dev/hoppers",
            delay_s=(lambda _: self.chance.uniform(0.0, 0.3)) if world.network else None,
            zero_payout=world.zero_payout,
        )
        self.outcomes: Counter[str] = Counter()
        self.kill_within_s: float | None = None

    async def run(self, dispenses: int) -> None:
        await self._until_done(self.rig.driver.connect)
        for _ in range(dispenses):
            await self._dispense()
        await self.rig.aclose()

    async def _dispense(self) -> None:
        sim, chance = self.rig.sim, self.chance
        sim.load = chance.choice([None, None, None, 400, 15, 3, 0])
        balls = chance.choice([1, 2, 7, 12, 20, 20, 20, 60])
        before = sim.ejected
        resets = sim.resets
        self._order_trouble(balls)
        mark = await self._get_mark()
        stop_at = chance.uniform(0, 3) if chance.random() < 0.1 else None
        started = await self._pay(balls, mark)
        progress = await self._follow(balls, mark, stop_at)
        fallen = sim.ejected - before
        self._compare(balls, mark, progress, fallen, started)
        if progress.paid is None:
            self._justify_ignorance(mark, reset=sim.resets > resets)
        sim.forget_faults()
        await asyncio.sleep(5.0)
        assert sim.ejected - before == fallen, "balls fell after the payout was said to be over"
        await self._repair()

    def _order_trouble(self, balls: int) -> None:
        chance, sim = self.chance, self.rig.sim
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            header = chance.choice([167, 167, 167, 166, 166, 168, 164, 163, 242, 160, None])
            sim.order(chance.choice(list(Fault)), header)
        match chance.randrange(8):
            case 0:
                sim.reset_after = chance.randint(1, balls)
            case 1:
                sim.jam_after = chance.randint(0, balls)
            case 2:
                asyncio.get_running_loop().call_later(chance.uniform(0, 4), sim.power_dip)
            case 3 if self.world.memory_can_fail:
                sim.nv_write_fails = True
                sim.reset_after = chance.randint(1, balls)
        # Mark and pay take about 0.15 s, the rest is the motor's.
        self.kill_within_s = chance.choice([None, None, chance.uniform(0, 0.25), chance.uniform(0, 4)])

    async def _get_mark(self) -> Mark:
        """No mark has been journaled: a killed host begins anew."""
        while True:
            try:
                return await self._until_done(self.rig.driver.mark)
            except HostKilledError:
                await self._restart()

    async def _pay(self, balls: int, mark: Mark) -> bool | None:
        """None: the host does not know."""
        for _ in range(3):
            fallen = self.rig.sim.ejected
            try:
                await self._mortal(self.rig.driver.pay(balls, mark))
                self.outcomes["accepted"] += 1
                return True
            except NotStartedError:
                self.outcomes["not started"] += 1
                assert self.rig.sim.ejected == fallen
                # Allowed by the port: the same mark again.
            except OutcomeUnknownError:
                self.outcomes["outcome unknown"] += 1
                return None
            except HostKilledError:
                await self._restart()
                return None
        return False

    async def _follow(self, balls: int, mark: Mark, stop_at: float | None) -> Progress:
        loop = asyncio.get_running_loop()
        stop_at = None if stop_at is None else loop.time() + stop_at
        while True:
            try:
                progress = await self._until_done(lambda: self.rig.driver.progress(balls, mark))
                if not progress.running:
                    return progress
                if stop_at is not None and loop.time() > stop_at:
                    stop_at = None
                    self.outcomes["stopped"] += 1
                    await self._until_done(self.rig.driver.stop)
                await asyncio.sleep(POLL_S)
            except HostKilledError:
                await self._restart()

    def _compare(self, balls: int, mark: Mark, progress: Progress, fallen: int, started: bool | None) -> None:
        if progress.paid is None:
            self.outcomes["unknown"] += 1
            assert progress.fault, self._story(mark)
            return
        self.outcomes[progress.fault or ("complete" if progress.paid == balls else "short")] += 1
        assert progress.paid == fallen, (balls, progress, self._story(mark))
        if started is False:
            assert fallen == 0

    def _justify_ignorance(self, mark: Mark, *, reset: bool) -> None:
        """Unknown is the answer only where the hopper really does not tell."""
        assert not self.world.tells_all, self._story(mark)
        if self.world.memory_can_fail:
            assert self.rig.sim.flags & MEMORY_FLAGS, self._story(mark)
        elif self.world.zero_payout:
            assert reset, self._story(mark)
        else:
            assert reset or self.rig.sim.paid == mark["paid"], self._story(mark)

    def _story(self, mark: Mark) -> str:
        sim = self.rig.sim
        return (
            f"{mark=} event={sim.event} paid={sim.paid} unpaid={sim.unpaid} count={sim.count} {self.outcomes}"
        )

    async def _repair(self) -> None:
        """What staff do after a jam: clear it and reset the hopper. The payout is settled by then."""
        self.kill_within_s = None
        if self.rig.sim.flags & (JAM_FLAGS | MEMORY_FLAGS):
            self.rig.sim.clear_jam()
            await self._until_done(self.rig.driver.clear_faults)

    async def _restart(self) -> None:
        self.outcomes["killed"] += 1
        self.kill_within_s = self.chance.uniform(0, 4) if self.chance.random() < 0.3 else None
        self.rig.restart()
        try:
            await self._until_done(self.rig.driver.connect)
        except HostKilledError:
            await self._restart()

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + GIVE_UP_S
        while True:
            try:
                return await self._mortal(call())
            except DispenserUnavailableError:
                assert asyncio.get_running_loop().time() < deadline, "never available again"
                await self._mortal(asyncio.sleep(0.3))

    async def _mortal(self, call: Awaitable[T]) -> T:
        """Run a call; the host may be killed in the middle of it."""
        if self.kill_within_s is None:
            return await call
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            async with asyncio.timeout(self.kill_within_s):
                result = await call
        except TimeoutError as error:
            self.kill_within_s = None
            raise HostKilledError from error
        self.kill_within_s -= loop.time() - began_at
        return result


async def play(world: World, seed: int, dispenses: int) -> Counter[str]:
    trial = Trial(world, f"{world.name} {seed}")
    await trial.run(dispenses)
    return trial.outcomes


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
async def test_balls_that_fell_are_balls_reported(world: World) -> None:
    outcomes = await play(world, seed=1, dispenses=60)
    assert outcomes["complete"] > 10
    assert outcomes["killed"] > 10


@pytest.mark.soak
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("seed", range(3))
async def test_balls_that_fell_are_balls_reported_2000(world: World, seed: int) -> None:
    outcomes = await play(world, seed=100 + seed, dispenses=2000)
    assert outcomes["complete"] > 300
    assert world.tells_all or outcomes["unknown"] > 0
