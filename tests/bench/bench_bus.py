"""How long a poll takes on a shared line, with all devices alive and with one of them dead.

ccTalk: simulated hoppers at 9600 baud on a virtual clock, so that the figures are the wire's own and the same
on every machine. Modbus: 4 PLCs on pymodbus' serial server behind ptys that take the time of 19200 baud, in
real time; this driver's bus beside pymodbus' own client, as it comes and with the same time-out. Every device
is read 10 times a second; the dead one is asked by its owner in the same rhythm.

Run: `python -m tests.bench.bench_bus [--json] [--seconds N]`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from pymodbus import pymodbus_apply_logging_config
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hardware.dispenser.cctalk import STATUS
from hardware.dispenser.line import ExchangeError
from hardware.dispenser.modbus import read_registers
from hardware.dispenser.modbus_bus import REPLY_WITHIN_S, ModbusBus
from hardware.link import opener_for
from hardware.sim.hopper import HopperSettings
from hardware.sim.ptys import PtyPort
from tests.conftest import VirtualTimeLoop
from tests.hardware.dispenser.hopper_rig import HopperRig

PERIOD_S = 0.1
WARM_UP_S = 3.0  # a driver may need a while to find out who is dead
BYTE_S = 11 / 19_200
DEAD = 9

Poll = Callable[[int], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Figure:
    case: str
    living: int
    dead: bool
    polls_per_s: float  # answered, of each living device
    median_ms: float
    p99_ms: float
    worst_ms: float


async def measure(case: str, devices: list[int], dead: int | None, poll: Poll, seconds: float) -> Figure:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begins = loop.time() + WARM_UP_S
    ends = begins + seconds

    async def own(device: int) -> None:
        due = loop.time()
        while loop.time() < ends:
            began = loop.time()
            if await poll(device) and device != dead and began >= begins:
                latencies.append(loop.time() - began)
            due = max(due + PERIOD_S, loop.time())
            await asyncio.sleep(due - loop.time())

    async with asyncio.TaskGroup() as tasks:
        for device in devices if dead is None else [*devices, dead]:
            tasks.create_task(own(device))
    answered = len(latencies)
    # A line that answered nothing in all that time shows the time itself.
    latencies = sorted(latencies) or [seconds]
    return Figure(
        case,
        len(devices),
        dead is not None,
        answered / seconds / len(devices),
        statistics.median(latencies) * 1000,
        latencies[int(len(latencies) * 0.99)] * 1000,
        latencies[-1] * 1000,
    )


async def hoppers(count: int, dead: bool, seconds: float) -> Figure:
    addresses = list(range(3, 3 + count))
    last = 3 + count if dead else None
    rig = HopperRig(*(HopperSettings(address=address) for address in [*addresses, *([last] if last else [])]))
    if dead:
        rig.sims[-1].power_off()

    async def poll(address: int) -> bool:
        try:
            await rig.bus.ask(address, STATUS)
        except ExchangeError:
            return False
        return True

    figure = await measure("cctalk, this bus", addresses, last, poll, seconds)
    await rig.aclose()
    return figure


class Wire:
    """Two ptys with the time of 19200 baud between them, and pymodbus' server at the far end."""

    def __init__(self, directory: Path) -> None:
        self.near = PtyPort(directory / "master", self._from_master)
        self.far = PtyPort(directory / "server", lambda data: self._pass(data, self.near.send))
        self._free_at = 0.0

    async def open(self) -> None:
        self.near.plug()
        self.far.plug()
        devices = [SimDevice(unit, SimData(0, count=32, datatype=DataType.REGISTERS)) for unit in range(1, 5)]
        self._server = ModbusSerialServer(devices, port=str(self.far.path), baudrate=19_200)
        await self._server.serve_forever(background=True)

    async def aclose(self) -> None:
        await self._server.shutdown()  # type: ignore[no-untyped-call]
        self.near.unplug()
        self.far.unplug()

    def _from_master(self, data: bytes) -> None:
        if data[0] != DEAD:
            self._pass(data, self.far.send)

    def _pass(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + len(data) * BYTE_S
        loop.call_at(self._free_at, deliver, data)


async def plcs_by_this_bus(port: str, dead: bool, seconds: float) -> Figure:
    bus, owner = ModbusBus(opener_for(port, baudrate=19_200), baudrate=19_200), object()
    bus.claim(1, owner)

    async def poll(unit: int) -> bool:
        try:
            await bus.ask(unit, read_registers(10, 5))
        except ExchangeError:
            return False
        return True

    figure = await measure("modbus, this bus", [1, 2, 3, 4], DEAD if dead else None, poll, seconds)
    await bus.release(1, owner)
    return figure


async def plcs_by_pymodbus(port: str, dead: bool, seconds: float, timeout_s: float | None) -> Figure:
    name = "modbus, pymodbus client" + ("" if timeout_s is None else ", same time-out")
    options = {} if timeout_s is None else {"timeout": timeout_s}
    client = AsyncModbusSerialClient(port, baudrate=19_200, **options)  # type: ignore[arg-type]
    await client.connect()

    async def poll(unit: int) -> bool:
        try:
            reply = await client.read_holding_registers(10, count=5, device_id=unit)
        except ModbusException:
            if not client.connected:
                await client.connect()
            return False
        return not reply.isError()

    figure = await measure(name, [1, 2, 3, 4], DEAD if dead else None, poll, seconds)
    client.close()
    return figure


async def plcs(seconds: float) -> list[Figure]:
    figures = []
    for dead in (False, True):
        for measured in (
            plcs_by_this_bus,
            lambda port, dead, seconds: plcs_by_pymodbus(port, dead, seconds, REPLY_WITHIN_S + 0.06),
            lambda port, dead, seconds: plcs_by_pymodbus(port, dead, seconds, None),
        ):
            with tempfile.TemporaryDirectory() as directory:
                wire = Wire(Path(directory))
                await wire.open()
                figures.append(await measured(str(wire.near.path), dead, seconds))
                await wire.aclose()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured, for each line")
    arguments = parser.parse_args()
    pymodbus_apply_logging_config("CRITICAL")
    figures: list[Figure] = []
    for count in (1, 4, 7):
        for dead in (False, True):
            loop = VirtualTimeLoop()
            figures.append(loop.run_until_complete(hoppers(count, dead, 60.0)))
            loop.close()
    figures += asyncio.run(plcs(arguments.seconds))
    if arguments.json:
        rows = [{name: getattr(figure, name) for name in Figure.__slots__} for figure in figures]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    sys.stdout.write(f"{'':40} living dead  polls/s  median    p99   worst (ms)\n")
    for f in figures:
        sys.stdout.write(
            f"{f.case:40} {f.living:6} {'yes' if f.dead else 'no':4} {f.polls_per_s:8.1f} {f.median_ms:7.1f}"
            f" {f.p99_ms:6.1f} {f.worst_ms:7.1f}\n"
        )


if __name__ == "__main__":
    main()
