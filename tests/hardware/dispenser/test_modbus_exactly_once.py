"""Thousands of payouts by a Modbus PLC in which everything goes wrong that can; see `trial`."""

import asyncio
import random
from collections import Counter

import pytest

from hardware.dispenser import Mark
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc, PlcSettings, RegisterMap
from hardware.sim.plc import ModbusLine, PlcBehaviour, PlcFault, PlcProgram, PlcSlave
from tests.hardware.dispenser.trial import Trial, TrialRig
from tests.hardware.dispenser.wires import MemoryWire, nowhere

pytestmark = pytest.mark.virtual_time

JAM = 1


class PlcTrialRig(TrialRig):
    def __init__(self, *, total: bool, network: bool, chance: random.Random) -> None:
        self._total = total
        self._program = PlcProgram(behaviour=PlcBehaviour(keeps_total=total))
        self._line = ModbusLine(nowhere)
        self._line.attach(1, PlcSlave(self._program))
        self._wire = MemoryWire(
            "socket://198.51.100.7:4001" if network else "/dev/plc",
            self._line,
            delay_s=(lambda _: chance.uniform(0.0, 0.3)) if network else None,
        )
        self._driver = self._build()

    @property
    def driver(self) -> ModbusPlc:
        return self._driver

    @property
    def ejected(self) -> int:
        return self._program.ejected

    @property
    def resets(self) -> int:
        return self._program.resets

    def order_trouble(self, chance: random.Random, balls: int) -> None:
        program = self._program
        program.refill(chance.choice([None, None, None, 400, 15, 3, 0]))
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            self._line.order(chance.choice(list(PlcFault)), chance.choice([16, 16, 3, 6, None]))
        match chance.randrange(8):
            case 0:
                program.reset_after = chance.randint(1, balls)
            case 1:
                program.jam_after = chance.randint(0, balls)
            case 2:
                asyncio.get_running_loop().call_later(chance.uniform(0, 4), program.power_dip)

    def forget_trouble(self) -> None:
        self._line.forget_faults()
        self._program.forget_faults()

    def needs_repair(self) -> bool:
        return self._program.get("fault") == JAM

    async def repair(self) -> None:
        await self._driver.clear_faults()

    def may_not_know(self, mark: Mark, *, reset: bool) -> bool:
        return reset and not self._total

    def story(self) -> str:
        return str(self._program.registers)

    def restart(self) -> None:
        self._wire.cut()
        self._driver = self._build()

    def _build(self) -> ModbusPlc:
        registers = RegisterMap() if self._total else RegisterMap(total=None)
        bus = ModbusBus(self._wire.opener, baudrate=19200)
        return ModbusPlc(bus, PlcSettings(registers=registers))


async def play(*, total: bool, network: bool, seed: int, dispenses: int) -> Counter[str]:
    chance = random.Random(f"{total} {network} {seed}")
    trial = Trial(PlcTrialRig(total=total, network=network, chance=chance), chance)
    await trial.run(dispenses)
    return trial.outcomes


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("total", [False, True])
async def test_balls_that_fell_are_balls_reported(total: bool, network: bool) -> None:
    outcomes = await play(total=total, network=network, seed=1, dispenses=100)
    assert outcomes["complete"] > 10
    assert outcomes["killed"] > 10


@pytest.mark.soak
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("total", [False, True])
async def test_balls_that_fell_are_balls_reported_2000(total: bool, network: bool) -> None:
    outcomes = await play(total=total, network=network, seed=2, dispenses=2000)
    assert outcomes["complete"] > 300
    assert total or outcomes["unknown"] > 0
