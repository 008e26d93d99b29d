"""The UHFReader288 driver against the simulated reader, on virtual time over a link in memory."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hardware.rfid import (
    AntennaMissing,
    AntennaPlan,
    AntennaRestored,
    PortPlan,
    PowerRefused,
    ReaderLost,
    ReaderOnline,
    RfidReader,
)
from hardware.rfid.uhf288_reader import Uhf288Reader
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.rfid.uhfreader288 import PUSHED_TAG, Frame
from hardware.sim.uhf288 import READER18, Uhf288Sim
from tests.hardware.rfid.rigs import Events, MemoryRig, epc, one_tag_each, plan, running

pytestmark = pytest.mark.virtual_time


class Bench:
    """One simulated reader with its driver."""

    def __init__(self, ports: int = 8, settings: Uhf288Settings | None = None, **sim: object) -> None:
        self.rig = MemoryRig()
        self.events = Events()
        self.listened: list[int] = []
        self.sim = Uhf288Sim(
            self.rig.deliver,
            ports=ports,
            field=one_tag_each,
            on_listen=lambda port, started, ended: self.listened.append(port),
            rng=random.Random(7),
            **sim,  # type: ignore[arg-type]
        )
        self.rig.device = self.sim
        settings = settings or Uhf288Settings(port_count=ports)
        self.reader = Uhf288Reader(self.rig.opener, self.events, settings, jitter=lambda: 0.5)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.rig.close()


def check_type(reader: Uhf288Reader) -> RfidReader:
    return reader


async def test_it_comes_online_with_its_identity_and_reads_what_lies_there(bench: Bench) -> None:
    bench.reader.set_plan(plan(8))
    async with running(check_type(bench.reader)):
        await asyncio.sleep(2)
    (online,) = bench.events.of(ReaderOnline)
    assert bench.sim.commands[0x76] == 1  # told to answer, whatever mode it was left in
    assert online.identity.family == "uhfreader288"
    assert (online.identity.firmware, online.identity.model) == ("2.1", "UHFReader288MP")
    assert {(read.port, read.epc, read.rssi_dbm, read.rssi_raw) for read in bench.events.reads} == {
        (8, epc(8), None, Uhf288Sim.raw_rssi(-58))
    }
    assert len(bench.events.reads) > 20


async def test_one_read_of_a_registered_epc_is_enough_under_a_crc_16(bench: Bench) -> None:
    assert bench.reader.reads_to_confirm == 1


@pytest.mark.parametrize("ports", [1, 4, 8, 12, 16])
async def test_every_tag_is_credited_to_the_port_that_heard_it(ports: int) -> None:
    bench = Bench(ports)
    bench.reader.set_plan(plan(*range(1, ports + 1)))
    async with running(bench.reader):
        await asyncio.sleep(5)
    bench.rig.close()
    assert {(read.port, read.epc) for read in bench.events.reads} == {
        (port, epc(port)) for port in range(1, ports + 1)
    }
    assert set(bench.events.rounds) == set(range(1, ports + 1))
    assert bench.sim.ignored == 0


async def test_only_planned_ports_cost_air_time_and_stay_weighs_them(bench: Bench) -> None:
    bench.reader.set_plan(AntennaPlan({2: PortPlan(20, 3), 6: PortPlan(20, 1)}))
    async with running(bench.reader):
        await asyncio.sleep(5)
    assert set(bench.listened) == {2, 6}
    assert bench.listened.count(2) == pytest.approx(3 * bench.listened.count(6), rel=0.1)
    assert bench.events.rounds[2] == pytest.approx(bench.listened.count(2), abs=1)


async def test_an_empty_field_is_a_round_too(bench: Bench) -> None:
    bench.sim.field = lambda port, now: []
    bench.reader.set_plan(plan(3))
    async with running(bench.reader):
        await asyncio.sleep(2)
    assert bench.events.rounds[3] > 20
    assert bench.events.reads == []


async def test_many_tags_come_in_a_chain_of_frames(bench: Bench) -> None:
    many = [f"E28011700000020A{number:08X}" for number in range(30)]
    bench.sim.field = lambda port, now: [(code, -55) for code in many]
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(2)
    assert {read.epc for read in bench.events.reads} == set(many)
    assert bench.sim.ignored == 0


async def test_statistics_frames_do_not_end_the_next_poll(bench: Bench) -> None:
    bench.sim.faults.statistics = True
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(3)
    assert bench.sim.ignored == 0
    assert {(read.port, read.epc) for read in bench.events.reads} == {(1, epc(1)), (2, epc(2))}
    assert bench.events.rounds[1] > 10


async def test_without_a_plan_nothing_is_read_and_the_reader_is_still_watched(bench: Bench) -> None:
    async with running(bench.reader):
        await asyncio.sleep(60)
        assert bench.sim.inventories == 0
        assert bench.sim.commands[0x21] >= 10
        bench.sim.faults.dead = True
        await asyncio.sleep(10)
    assert len(bench.events.of(ReaderLost)) == 1


async def test_a_new_plan_counts_from_the_next_port(bench: Bench) -> None:
    bench.reader.set_plan(plan(*range(1, 9), stay=3))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.reader.set_plan(plan(5))
        await asyncio.sleep(0.4)
        bench.listened.clear()
        await asyncio.sleep(2)
    assert set(bench.listened) == {5}


# Real-time mode.


async def test_a_reader_left_in_real_time_mode_is_told_to_answer() -> None:
    bench = Bench(work_mode=1)
    bench.sim.power_on()
    bench.reader.set_plan(plan(1, 8))
    async with running(bench.reader):
        await asyncio.sleep(3)
    bench.rig.close()
    assert bench.sim.work_mode == 0
    assert {(read.port, read.epc) for read in bench.events.reads} == {(1, epc(1)), (8, epc(8))}
    assert bench.events.of(ReaderLost) == []


async def test_what_a_reader_pushes_is_taken_where_it_cannot_be_changed() -> None:
    bench = Bench(work_mode=1)
    bench.sim.faults.silent_commands = frozenset({0x76})
    bench.sim.power_on()
    bench.reader.set_plan(plan(2, 7))
    async with running(bench.reader):
        await asyncio.sleep(20)
    bench.rig.close()
    assert {(read.port, read.epc) for read in bench.events.reads} == {(2, epc(2)), (7, epc(7))}
    assert set(bench.events.rounds) == {2, 7}
    assert bench.events.of(ReaderLost) == []


async def test_a_pushed_tag_of_no_known_antenna_is_not_given_to_the_polled_one(bench: Bench) -> None:
    bench.reader.set_plan(plan(2))
    pushed = "E28011700000020A00000BAD"
    async with running(bench.reader):
        await asyncio.sleep(1)
        for antenna in (0x00, 0x03, 0x02):  # none, two at once, port 2
            block = bytes((antenna, 12)) + bytes.fromhex(pushed) + bytes((0x45,))
            bench.rig.deliver(Frame(0, PUSHED_TAG, bytes((0,)) + block).encode())
        await asyncio.sleep(1)
    assert [read.port for read in bench.events.reads if read.epc == pushed] == [2]


async def test_a_reader_that_falls_back_into_real_time_mode_is_told_again(bench: Bench) -> None:
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.work_mode = 1
        bench.sim.power_on()
        await asyncio.sleep(3)
        assert bench.sim.work_mode == 0
        bench.events.forget()
        await asyncio.sleep(2)
    assert bench.events.rounds[1] > 10
    assert bench.events.of(ReaderLost) == []


# Types.


@pytest.mark.parametrize("reader_type", [0x0C, 0x62, 0x8B, 0xC7])
async def test_any_type_works_known_or_not(reader_type: int) -> None:
    bench = Bench(reader_type=reader_type)
    bench.reader.set_plan(plan(3))
    async with running(bench.reader):
        await asyncio.sleep(2)
    bench.rig.close()
    (online,) = bench.events.of(ReaderOnline)
    assert online.identity.details["type"] == f"{reader_type:#04x}"
    assert {read.port for read in bench.events.reads} == {3}


async def test_a_reader_that_does_not_tell_what_it_is_works_too(bench: Bench) -> None:
    bench.sim.faults.silent_commands = frozenset({0x76, 0x94, 0x91, 0x6E})
    bench.sim.reader_type = 0xC7
    bench.reader.set_plan(plan(3))
    async with running(bench.reader):
        await asyncio.sleep(5)
    assert {read.port for read in bench.events.reads} == {3}


async def test_a_reader18_has_one_antenna_and_no_rssi() -> None:
    bench = Bench(1, reader_type=READER18, power_per_port=False)
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(3)
    bench.rig.close()
    assert {(read.port, read.epc, read.rssi_dbm) for read in bench.events.reads} == {(1, epc(1), None)}
    assert bench.sim.flash_dbm == [20]
    assert bench.events.of(PowerRefused) == []


@pytest.mark.parametrize("ports", [4, 8, 16])
async def test_a_type_that_refuses_the_long_request_gets_its_antennas_selected(ports: int) -> None:
    bench = Bench(ports, request_lengths=frozenset({6}))
    bench.reader.set_plan(plan(1, ports))
    async with running(bench.reader):
        await asyncio.sleep(4)
    bench.rig.close()
    assert {(read.port, read.epc) for read in bench.events.reads} == {(1, epc(1)), (ports, epc(ports))}
    assert set(bench.listened) == {1, ports}


# Power and antennas.


async def test_power_is_saved_only_when_it_differs(bench: Bench) -> None:
    bench.reader.set_plan(AntennaPlan({1: PortPlan(20), 8: PortPlan(25)}))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.rig.unplug()
        bench.rig.plug()
        await asyncio.sleep(3)
    assert bench.sim.flash_writes == 1
    assert bench.sim.flash_dbm == [20, 30, 30, 30, 30, 30, 30, 25]
    assert bench.events.of(PowerRefused) == []


async def test_an_impossible_power_is_refused_once_and_the_others_are_set(bench: Bench) -> None:
    bench.sim.highest_dbm = 26
    bench.sim.flash_dbm = [20] * 8
    bench.reader.set_plan(AntennaPlan({1: PortPlan(55), 2: PortPlan(30), 3: PortPlan(26)}))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.rig.unplug()
        bench.rig.plug()
        await asyncio.sleep(3)
    refused = {event.port: event.reason for event in bench.events.of(PowerRefused)}
    assert set(refused) == {1, 2}
    assert len(bench.events.of(PowerRefused)) == 2
    assert "0 to 33 dBm" in refused[1]
    assert "invalid parameter; it has 20 dBm" in refused[2]
    assert bench.sim.flash_dbm[:4] == [20, 20, 26, 20]


async def test_a_reader_with_one_power_for_all_gets_it_or_says_so() -> None:
    bench = Bench(4, power_per_port=False)
    bench.reader.set_plan(plan(1, 2, power_dbm=24))
    async with running(bench.reader):
        await asyncio.sleep(2)
        assert bench.sim.flash_dbm == [24] * 4
        assert bench.sim.flash_writes == 1
        bench.reader.set_plan(AntennaPlan({1: PortPlan(20), 2: PortPlan(22)}))
        await asyncio.sleep(2)
    bench.rig.close()
    assert bench.sim.flash_dbm == [24] * 4
    assert {event.port for event in bench.events.of(PowerRefused)} == {1, 2}
    assert "one power for all" in bench.events.of(PowerRefused)[0].reason


async def test_a_power_that_no_reader_has_is_not_written_back(bench: Bench) -> None:
    """An odd value at a port that nobody uses must not end the driver, nor go into flash."""
    bench.sim.flash_dbm[7] = 0xFF
    bench.reader.set_plan(plan(1, power_dbm=25))
    async with running(bench.reader):
        await asyncio.sleep(3)
    (refused,) = bench.events.of(PowerRefused)
    assert (refused.port, refused.power_dbm) == (1, 25)
    assert bench.events.reads
    assert bench.sim.flash_writes == 0


async def test_a_missing_antenna_is_told_once_with_both_numbers_and_found_again(bench: Bench) -> None:
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3))
    async with running(bench.reader):
        await asyncio.sleep(62)
        (missing,) = bench.events.of(AntennaMissing)
        assert missing == AntennaMissing(3)
        assert missing.detail == "return loss 1 dB, and the reader wants 3 dB"
        assert bench.events.of(AntennaRestored) == []
        assert bench.events.rounds[3] == 0
        bench.sim.plug_antenna(3)
        await asyncio.sleep(60)
        assert bench.events.of(AntennaRestored) == [AntennaRestored(3)]
        bench.events.forget()
        await asyncio.sleep(2)
    assert bench.events.rounds[3] > 10


async def test_an_antenna_just_below_the_readers_own_threshold_does_not_flap() -> None:
    bench = Bench(settings=Uhf288Settings(probe_interval_s=5))
    bench.sim.threshold_db, bench.sim.open_loss_db = 10, 8
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3))
    async with running(bench.reader):
        await asyncio.sleep(20)
    bench.rig.close()
    assert bench.events.of(AntennaMissing) == [AntennaMissing(3)]
    assert bench.events.of(AntennaRestored) == []


async def test_a_reader_that_cannot_measure_gets_a_trial_poll() -> None:
    bench = Bench(settings=Uhf288Settings(probe_interval_s=5))
    bench.sim.faults.silent_commands = frozenset({0x91})
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3))
    async with running(bench.reader):
        await asyncio.sleep(14)
        assert bench.events.of(AntennaMissing) == [AntennaMissing(3)]
        assert bench.events.of(AntennaRestored) == []
        bench.sim.plug_antenna(3)
        await asyncio.sleep(7)
    bench.rig.close()
    assert bench.events.of(AntennaRestored) == [AntennaRestored(3)]


async def test_a_port_that_the_reader_does_not_have_is_missing() -> None:
    bench = Bench(4)
    bench.reader.set_plan(plan(1, 5))
    async with running(bench.reader):
        await asyncio.sleep(5)
    bench.rig.close()
    assert bench.events.of(AntennaMissing) == [AntennaMissing(5)]
    assert set(bench.listened) == {1}


# Silence and a bad line.


async def test_a_dead_reader_is_lost_once_and_comes_back_by_itself(bench: Bench) -> None:
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.faults.dead = True
        await asyncio.sleep(60)
        (lost,) = bench.events.of(ReaderLost)
        assert "silent" in lost.reason
        bench.events.forget()
        bench.sim.faults.dead = False
        await asyncio.sleep(8)
    assert len(bench.events.of(ReaderOnline)) == 1
    assert bench.events.rounds[1] > 10


async def test_a_reader_that_only_answers_errors_is_lost_and_not_hammered(bench: Bench) -> None:
    bench.sim.faults.poll_error = 0xF9
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(20)
    assert "command execution failed" in bench.events.of(ReaderLost)[0].reason
    assert bench.sim.commands[0x01] < 40


async def test_slow_replies_are_waited_for(bench: Bench) -> None:
    bench.sim.faults.slow_s = 0.35
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(20)
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.ignored == 0
    assert bench.events.rounds[2] > 10


async def test_unplugged_and_plugged_again_it_reads_on(bench: Bench) -> None:
    bench.reader.set_plan(plan(7))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.rig.unplug()
        await asyncio.sleep(2)
        assert len(bench.events.of(ReaderLost)) == 1
        bench.rig.plug()
        bench.events.forget()
        await asyncio.sleep(4)
    assert isinstance(bench.events.all[0], ReaderOnline)
    assert {read.port for read in bench.events.reads} == {7}


async def test_noise_split_and_lost_bytes_cost_reads_but_never_the_reader(bench: Bench) -> None:
    faults = bench.sim.line.faults
    faults.junk_rate, faults.junk = 0.1, b"\x15\x00\x01\x03"
    faults.lost_byte_rate = 0.001
    faults.split = True
    bench.reader.set_plan(plan(1, 8))
    async with running(bench.reader):
        await asyncio.sleep(60)
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.ignored == 0
    assert {(read.port, read.epc) for read in bench.events.reads} == {(1, epc(1)), (8, epc(8))}
    assert len(bench.events.reads) > 500


async def test_a_wrong_checksum_costs_one_poll(bench: Bench) -> None:
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(1)
        bench.sim.line.faults.wrong_checksums = 2
        await asyncio.sleep(3)
        bench.events.forget()
        await asyncio.sleep(1)
    assert bench.reader.counters.bad_checksum >= 2
    assert bench.events.rounds[1] > 10


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"port_count": 6}, "port_count 6"),
        ({"address": 256}, "address 256"),
        ({"scan_time_ms": 50}, "scan_time_ms 50"),
        ({"q": 16}, "q 16"),
    ],
)
async def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Uhf288Settings(**wrong)
