"""The UHFReader288 driver over a pty, on real time."""

import random
from pathlib import Path

from hardware.rfid import AntennaPlan, PortPlan, ReaderLost, ReaderOnline
from hardware.rfid.uhf288_reader import Uhf288Reader
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.sim.uhf288 import Uhf288Sim
from tests.hardware.rfid.rigs import Events, PtyRig, running, until

TAG = "E2801170000002DC00000001"
BRISK = Uhf288Settings(reply_timeout_s=0.3, poll_grace_s=0.2, attempts=2)


async def test_over_a_noisy_pty_through_unplugging_and_plugging(tmp_path: Path) -> None:
    rig = PtyRig(tmp_path, baudrate=57600)
    sim = Uhf288Sim(rig.deliver, field=lambda port, now: [(TAG, -55)], rng=random.Random(3))
    sim.line.faults.junk_rate, sim.line.faults.junk = 0.2, b"\xff"
    rig.device = sim
    events = Events()
    reader = Uhf288Reader(rig.opener, events, BRISK, jitter=lambda: 0.0)
    reader.set_plan(AntennaPlan({5: PortPlan(20)}))
    rig.plug()
    async with running(reader):
        await until(lambda: len(events.reads) > 5)
        assert rig.port.baudrate == 57600
        rig.unplug()
        await until(lambda: events.of(ReaderLost))
        events.forget()
        rig.plug()
        await until(lambda: len(events.reads) > 5)
        assert len(events.of(ReaderOnline)) == 1
    rig.close()
    assert {(read.port, read.epc) for read in events.reads} == {(5, TAG)}
    assert sim.ignored == 0


async def test_a_wrong_baud_rate_is_told(tmp_path: Path) -> None:
    rig = PtyRig(tmp_path, baudrate=57600, device_baudrate=115200)
    sim = Uhf288Sim(rig.deliver)
    rig.device = sim
    events = Events()
    rig.plug()
    async with running(Uhf288Reader(rig.opener, events, BRISK, jitter=lambda: 0.0)):
        await until(lambda: events.of(ReaderLost))
    rig.close()
    assert "baud rate (57600 is usual)" in events.of(ReaderLost)[0].reason
