"""The hopper driver over a real serial port of this machine (a pty), in real time."""

import asyncio
from pathlib import Path

from hardware.dispenser import DispenserUnavailableError, Mark, Progress
from hardware.dispenser.cctalk_bus import BAUDRATE, CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, HopperSettings
from hardware.dispenser.line import Timing
from hardware.link import opener_for
from hardware.sim.hopper import HopperLine, HopperSim
from hardware.sim.hopper import HopperSettings as SimSettings
from hardware.sim.ptys import PtyPort
from tests.hardware.dispenser.wires import nowhere

# The test machine is shared: patience instead of speed.
PATIENT = Timing(margin_s=0.4, gap_s=0.2, quiet_s=0.2)


async def settled(driver: CctalkHopper, balls: int, mark: Mark) -> Progress:
    while True:
        try:
            progress = await driver.progress(balls, mark)
        except DispenserUnavailableError:
            await asyncio.sleep(0.1)
            continue
        if not progress.running:
            return progress
        await asyncio.sleep(0.05)


async def test_two_hoppers_pay_and_the_plug_is_pulled_in_between(tmp_path: Path) -> None:
    line = HopperLine(nowhere)
    sims = [HopperSim(line, SimSettings(address=address, balls_per_s=20)) for address in (3, 4)]
    port = PtyPort(tmp_path / "hoppers", line.receive)
    line.send = port.send
    port.plug()
    bus = CctalkBus(opener_for(str(port.path), baudrate=BAUDRATE), timing=PATIENT)
    drivers = [CctalkHopper(bus, HopperSettings(address=address)) for address in (3, 4)]
    for driver in drivers:
        await driver.connect()
    marks = [await driver.mark() for driver in drivers]
    for driver, mark in zip(drivers, marks, strict=True):
        await driver.pay(20, mark)
    port.unplug()
    port.plug()
    async with asyncio.TaskGroup() as tasks:
        results = [
            tasks.create_task(settled(driver, 20, mark)) for driver, mark in zip(drivers, marks, strict=True)
        ]
    assert [result.result() for result in results] == [Progress(20, running=False)] * 2
    assert [sim.ejected for sim in sims] == [20, 20]
    for driver in drivers:
        await driver.aclose()
    port.unplug()
