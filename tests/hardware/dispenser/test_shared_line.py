"""A line with several devices: whose turn it is, silence, and one device that is dead."""

import asyncio
import statistics
from dataclasses import dataclass, field

import pytest

from hardware.dispenser import Dispenser, DispenserUnavailableError, Progress
from hardware.dispenser.line import NETWORK_TIMING, SERIAL_TIMING, Turns, hush, timing_for
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc, PlcSettings
from hardware.link import memory_pair
from hardware.sim.hopper import Fault, HopperSettings
from hardware.sim.plc import ModbusLine, PlcProgram, PlcSlave
from tests.hardware.dispenser.hopper_rig import HopperRig
from tests.hardware.dispenser.wires import MemoryWire, nowhere

pytestmark = pytest.mark.virtual_time

POLL_S = 0.1


# ---- turns


async def test_turns_are_taken_in_order_and_urgent_ones_first() -> None:
    turns, order = Turns(), []

    async def take(name: str, *, urgent: bool = False) -> None:
        await turns.acquire(urgent=urgent)
        order.append(name)
        await asyncio.sleep(0.01)
        turns.release()

    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(take(name))
        await asyncio.sleep(0)
        tasks.create_task(take("stop", urgent=True))
    assert order == ["a", "stop", "b", "c"]


async def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    turns = Turns()
    await turns.acquire()
    async with asyncio.TaskGroup() as tasks:
        gives_up = tasks.create_task(turns.acquire())
        waits = tasks.create_task(turns.acquire())
        await asyncio.sleep(0)
        turns.release()  # the turn is handed over …
        gives_up.cancel()  # … to somebody who is gone in the same moment
    assert waits.done() and not waits.cancelled()
    turns.release()
    async with asyncio.timeout(1):
        await turns.acquire()


async def test_one_who_waits_and_leaves_is_forgotten() -> None:
    turns = Turns()
    await turns.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await turns.acquire(urgent=True)
    turns.release()
    async with asyncio.timeout(1):
        await turns.acquire()


# ---- silence


async def test_silence_is_waited_for_but_not_for_ever() -> None:
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    began = loop.time()
    await hush(near, 0.1)
    assert loop.time() - began == pytest.approx(0.1)

    for at in range(5):
        loop.call_later(0.05 * (at + 1), far.write, b"late")
    began = loop.time()
    await hush(near, 0.1)
    assert loop.time() - began == pytest.approx(0.25 + 0.1)
    assert near.discard_input() == 0

    for at in range(1000):
        loop.call_later(0.05 * (at + 1), far.write, b"babble")
    began = loop.time()
    await hush(near, 0.1)
    assert 0.9 < loop.time() - began < 1.2


def test_a_network_is_given_more_time_than_a_cable() -> None:
    assert timing_for("socket://198.51.100.7:4001") is NETWORK_TIMING
    assert timing_for("/dev/ttyUSB0") is SERIAL_TIMING
    assert NETWORK_TIMING.quiet_s >= 1.0


# ---- one dead device


@dataclass
class Polls:
    """What the owner of one dispenser experiences."""

    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0


async def pay_and_poll(driver: Dispenser, balls: int, polls: Polls) -> Progress:
    loop = asyncio.get_running_loop()
    mark = await driver.mark()
    await driver.pay(balls, mark)
    while True:
        began = loop.time()
        progress = await driver.progress(balls, mark)
        if not progress.running:
            return progress
        polls.latencies_s.append(loop.time() - began)
        await asyncio.sleep(POLL_S)


async def poll_for_ever(driver: Dispenser, polls: Polls) -> None:
    """As the daemon asks for a dispenser that it has lost."""
    while True:
        try:
            await driver.connect()
        except DispenserUnavailableError:
            polls.failures += 1
        await asyncio.sleep(POLL_S)


async def neighbours_pay(drivers: list[Dispenser], lost: Dispenser | None) -> tuple[list[float], int]:
    """All of them pay 40 at the same time; the neighbours' latencies, and the failures of the lost one."""
    all_polls, lost_polls = [Polls() for _ in drivers], Polls()
    async with asyncio.TaskGroup() as tasks:
        losing = tasks.create_task(poll_for_ever(lost, lost_polls)) if lost is not None else None
        # The line has learnt that it is dead.
        await asyncio.sleep(5)
        paying = [
            tasks.create_task(pay_and_poll(driver, 40, polls))
            for driver, polls in zip(drivers, all_polls, strict=True)
        ]
        await asyncio.wait(paying)
        if losing is not None:
            losing.cancel()
    assert [task.result() for task in paying] == [Progress(40, running=False)] * len(drivers)
    return [latency for polls in all_polls for latency in polls.latencies_s], lost_polls.failures


def compare(alive: list[float], beside_dead: list[float], cost_s: float) -> None:
    """The dead one may cost a tenth of the line, and no neighbour more than one of its time-outs."""
    assert statistics.mean(beside_dead) < statistics.mean(alive) * 1.5 + 0.1 * cost_s
    assert max(beside_dead) < max(alive) * 1.5 + cost_s


async def test_a_dead_hopper_does_not_starve_its_neighbours() -> None:
    hoppers = [HopperSettings(address=address) for address in range(3, 8)]
    latencies = []
    for dead in (False, True):
        rig = HopperRig(*hoppers)
        for driver in rig.drivers:
            await driver.connect()
        *living, last = rig.drivers
        if dead:
            rig.sims[-1].power_off()
        seen, failures = await neighbours_pay([*living], last if dead else None)
        latencies.append(seen)
        assert (failures > 1) == dead
        await rig.aclose()
    alive, beside_dead = latencies
    compare(alive, beside_dead, cost_s=0.12 + SERIAL_TIMING.quiet_s)


async def test_a_dead_plc_does_not_starve_its_neighbours() -> None:
    latencies = []
    for dead in (False, True):
        line = ModbusLine(nowhere)
        for unit in range(1, 5):
            line.attach(unit, PlcSlave(PlcProgram()))
        wire = MemoryWire("/dev/plc", line)
        bus = ModbusBus(wire.opener, baudrate=19200)
        living: list[Dispenser] = [ModbusPlc(bus, PlcSettings(unit=unit)) for unit in range(1, 5)]
        absent = ModbusPlc(bus, PlcSettings(unit=9))
        seen, failures = await neighbours_pay(living, absent if dead else None)
        latencies.append(seen)
        assert (failures > 1) == dead
        for driver in (*living, absent):
            await driver.aclose()
    alive, beside_dead = latencies
    compare(alive, beside_dead, cost_s=0.27 + SERIAL_TIMING.quiet_s)


async def test_a_hopper_that_answers_nonsense_does_not_starve_its_neighbours_either() -> None:
    rig = HopperRig(HopperSettings(address=3), HopperSettings(address=4))
    good, bad = rig.drivers
    await good.connect()
    await bad.connect()
    for _ in range(10_000):
        rig.sims[1].order(Fault.REPLY_CORRUPT)
    latencies, failures = await neighbours_pay([good], bad)
    assert failures > 1
    assert statistics.mean(latencies) < 0.1
    assert max(latencies) < 0.5
    await rig.aclose()


async def test_a_hopper_that_comes_back_is_heard_again() -> None:
    rig = HopperRig(HopperSettings())
    await rig.driver.connect()
    rig.sim.power_off()
    for _ in range(20):
        with pytest.raises(DispenserUnavailableError, match="no answer"):
            await rig.driver.connect()
    rig.sim.power_on()
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            await rig.driver.connect()
            break
        except DispenserUnavailableError:
            await asyncio.sleep(POLL_S)
    assert loop.time() - began < 10
    # And is no longer treated as one that is dead.
    began = loop.time()
    await rig.driver.mark()
    assert loop.time() - began < 0.2
    await rig.aclose()


async def test_a_stop_does_not_wait_for_the_share_of_a_dead_hopper() -> None:
    rig = HopperRig(HopperSettings())
    await rig.driver.connect()
    mark = await rig.driver.mark()
    await rig.driver.pay(200, mark)
    for _ in range(12):
        rig.sim.order(Fault.REQUEST_LOST)
    for _ in range(3):
        with pytest.raises(DispenserUnavailableError):
            await rig.driver.progress(200, mark)
    rig.sim.forget_faults()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rig.driver.stop()
    assert loop.time() - began < 0.3
    await asyncio.sleep(1)
    assert not rig.sim.running
    await rig.aclose()
