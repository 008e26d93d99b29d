"""The 0xA0 driver over real file descriptors: a pty and a TCP socket, on real time."""

import asyncio
import random
from pathlib import Path

from hardware.link import opener_for
from hardware.rfid import AntennaPlan, PortPlan, ReaderLost, ReaderOnline
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import R2000Settings
from hardware.sim.r2000 import R2000Sim
from tests.hardware.rfid.rigs import Events, PtyRig, running, until

TAG = "E2801170000002DC00000001"
PLAN = AntennaPlan({5: PortPlan(20)})
BRISK = R2000Settings(reply_timeout_s=0.2, deaf_s=0.05, attempts=2)


def one_tag(port: int, now: float) -> list[tuple[str, int]]:
    return [(TAG, -55)]


def on_pty(directory: Path, *, device_baudrate: int = 115200) -> tuple[PtyRig, R2000Sim, Events, R2000Reader]:
    rig = PtyRig(directory, baudrate=115200, device_baudrate=device_baudrate)
    sim = R2000Sim(rig.deliver, field=one_tag, rng=random.Random(3))
    rig.device = sim
    events = Events()
    reader = R2000Reader(rig.opener, events, BRISK, jitter=lambda: 0.0)
    reader.set_plan(PLAN)
    return rig, sim, events, reader


async def test_over_a_pty_through_unplugging_and_plugging(tmp_path: Path) -> None:
    rig, sim, events, reader = on_pty(tmp_path)
    rig.plug()
    async with running(reader):
        await until(lambda: len(events.reads) > 3)
        assert {(read.port, read.epc) for read in events.reads} == {(5, TAG)}
        for _ in range(2):
            rig.unplug()
            await until(lambda: events.of(ReaderLost))
            events.forget()
            rig.plug()
            await until(lambda: len(events.reads) > 3)
            assert len(events.of(ReaderOnline)) == 1
    rig.close()
    assert sim.ignored == 0


async def test_a_wrong_baud_rate_is_told_and_its_correction_found(tmp_path: Path) -> None:
    rig, _, events, reader = on_pty(tmp_path, device_baudrate=38400)
    rig.plug()
    async with running(reader):
        await until(lambda: events.of(ReaderLost))
        (lost,) = events.of(ReaderLost)
        assert "baud rate" in lost.reason
        assert events.of(ReaderOnline) == []
        rig.port.expected_baudrate = 115200
        await until(lambda: events.reads)
    rig.close()


async def test_split_and_noisy_over_a_pty(tmp_path: Path) -> None:
    rig, sim, events, reader = on_pty(tmp_path)
    sim.line.faults.split = True
    sim.line.faults.junk_rate, sim.line.faults.junk = 0.3, b"\xa0\xff"
    rig.plug()
    async with running(reader):
        await until(lambda: len(events.reads) > 20)
    rig.close()
    assert {(read.port, read.epc) for read in events.reads} == {(5, TAG)}
    assert reader.counters.bytes_skipped > 0


async def test_the_same_bytes_over_tcp() -> None:
    connections: list[asyncio.Transport] = []

    def deliver(data: bytes) -> None:
        connections[-1].write(data)

    sim = R2000Sim(deliver, field=one_tag)

    class Port4001(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            connections.append(transport)

        def data_received(self, data: bytes) -> None:
            sim.receive(data)

    server = await asyncio.get_running_loop().create_server(Port4001, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    events = Events()
    reader = R2000Reader(
        opener_for(f"socket://127.0.0.1:{port}", baudrate=115200), events, BRISK, jitter=lambda: 0.0
    )
    reader.set_plan(PLAN)
    async with running(reader):
        await until(lambda: len(events.reads) > 3)
        connections[-1].abort()
        await until(lambda: events.of(ReaderLost))
        events.forget()
        await until(lambda: len(events.reads) > 3)
    assert {(read.port, read.epc) for read in events.reads} == {(5, TAG)}
    sim.close()
    server.close()
    connections[-1].abort()
    await asyncio.sleep(0)
