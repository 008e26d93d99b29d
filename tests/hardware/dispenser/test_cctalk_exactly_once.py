"""Thousands of ccTalk payouts in which everything goes wrong that can; see `trial`."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from hardware.dispenser import Mark
from hardware.dispenser.cctalk_hopper import CctalkHopper
from hardware.sim.hopper import SCH2_NOENCRYPT, Fault, HopperSettings
from tests.hardware.dispenser.hopper_rig import HopperRig
from tests.hardware.dispenser.trial import Trial, TrialRig

pytestmark = pytest.mark.virtual_time

JAM_FLAGS = {0, 2}  # over-current, motor reversed
MEMORY_FLAGS = {10, 14}  # counter checksum A, power fail while writing
HEADERS = (167, 167, 167, 166, 166, 168, 164, 163, 242, 160, None)


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


class HopperTrialRig(TrialRig):
    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._rig = HopperRig(
            world.hopper,
            echo=world.echo,
            crc=world.crc,
            link_name="socket://198.51.100.7:4001" if world.network else "/dev/hoppers",
            delay_s=(lambda _: chance.uniform(0.0, 0.3)) if world.network else None,
            zero_payout=world.zero_payout,
        )
        self._sim = self._rig.sim

    @property
    def driver(self) -> CctalkHopper:
        return self._rig.driver

    @property
    def ejected(self) -> int:
        return self._sim.ejected

    @property
    def resets(self) -> int:
        return self._sim.resets

    def order_trouble(self, chance: random.Random, balls: int) -> None:
        sim = self._sim
        sim.load = chance.choice([None, None, None, 400, 15, 3, 0])
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            sim.order(chance.choice(list(Fault)), chance.choice(HEADERS))
        match chance.randrange(8):
            case 0:
                sim.reset_after = chance.randint(1, balls)
            case 1:
                sim.jam_after = chance.randint(0, balls)
            case 2:
                asyncio.get_running_loop().call_later(chance.uniform(0, 4), sim.power_dip)
            case 3 if self._world.memory_can_fail:
                sim.nv_write_fails = True
                sim.reset_after = chance.randint(1, balls)

    def forget_trouble(self) -> None:
        self._sim.forget_faults()

    def needs_repair(self) -> bool:
        return bool(self._sim.flags & (JAM_FLAGS | MEMORY_FLAGS))

    async def repair(self) -> None:
        self._sim.clear_jam()
        await self._rig.driver.clear_faults()

    def may_not_know(self, mark: Mark, *, reset: bool) -> bool:
        if self._world.tells_all:
            return False
        if self._world.memory_can_fail:
            return bool(self._sim.flags & MEMORY_FLAGS)
        # Without clean registers a refused command looks like a payout of as many balls as before.
        return reset or (not self._world.zero_payout and self._sim.paid == mark["paid"])

    def story(self) -> str:
        sim = self._sim
        return f"event={sim.event} paid={sim.paid} unpaid={sim.unpaid} count={sim.count}"

    def restart(self) -> None:
        self._rig.restart()


async def play(world: World, seed: int, dispenses: int) -> Counter[str]:
    chance = random.Random(f"{world.name} {seed}")
    trial = Trial(HopperTrialRig(world, chance), chance)
    await trial.run(dispenses)
    return trial.outcomes


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
async def test_balls_that_fell_are_balls_reported(world: World) -> None:
    outcomes = await play(world, seed=1, dispenses=100)
    assert outcomes["complete"] > 10
    assert outcomes["killed"] > 10


@pytest.mark.soak
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("seed", range(3))
async def test_balls_that_fell_are_balls_reported_2000(world: World, seed: int) -> None:
    outcomes = await play(world, seed=100 + seed, dispenses=2000)
    assert outcomes["complete"] > 300
    assert world.tells_all or outcomes["unknown"] > 0
