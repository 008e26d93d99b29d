"""The 0xA0 driver against the simulated reader, on virtual time over a link in memory."""

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise

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
    RoundEnded,
    TagBatch,
)
from hardware.rfid.r2000_commands import FastSwitchForm
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import PowerMode, R2000Settings
from hardware.sim.r2000 import R2000Sim
from tests.hardware.rfid.rigs import Events, MemoryRig, epc, one_tag_each, plan, running

pytestmark = pytest.mark.virtual_time


class Bench:
    """One simulated reader with its driver."""

    def __init__(self, ports: int = 8, settings: R2000Settings | None = None, **sim: object) -> None:
        self.rig = MemoryRig()
        self.events = Events()
        self.listened: list[tuple[int, float, float]] = []
        self.powers: dict[int, set[int]] = {}
        self.sim = R2000Sim(
            self.rig.deliver,
            ports=ports,
            field=one_tag_each,
            on_listen=self._listened,
            rng=random.Random(7),
            **sim,  # type: ignore[arg-type]
        )
        self.rig.device = self.sim
        settings = settings or R2000Settings(port_count=ports)
        self.reader = R2000Reader(self.rig.opener, self.events, settings, jitter=lambda: 0.5)

    def _listened(self, port: int, started: float, ended: float) -> None:
        self.listened.append((port, started, ended))
        self.powers.setdefault(port, set()).add(self.sim.power_dbm(port))

    @property
    def ports_listened(self) -> set[int]:
        return {port for port, _, _ in self.listened}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.rig.close()


def check_type(reader: R2000Reader) -> RfidReader:
    return reader


async def test_it_comes_online_with_its_identity_and_reads_what_lies_there(bench: Bench) -> None:
    bench.reader.set_plan(plan(8))
    async with running(check_type(bench.reader)):
        await asyncio.sleep(1)
    (online,) = bench.events.of(ReaderOnline)
    assert online.identity.family == "r2000_a0"
    assert online.identity.firmware == "1.9"
    assert online.identity.port_count == 8
    assert online.identity.details["identifier"] == "SIM-R2000-01"
    assert {(read.port, read.epc, read.rssi_dbm) for read in bench.events.reads} == {(8, epc(8), -58)}
    assert len(bench.events.reads) > 15
    assert bench.events.all.index(online) == 0


async def test_two_reads_confirm_an_epc_under_an_eight_bit_checksum(bench: Bench) -> None:
    assert bench.reader.reads_to_confirm == 2


@pytest.mark.parametrize("ports", [4, 8, 16])
async def test_every_tag_is_credited_to_the_port_that_heard_it(ports: int) -> None:
    bench = Bench(ports)
    bench.reader.set_plan(plan(*range(1, ports + 1)))
    async with running(bench.reader):
        await asyncio.sleep(5)
    bench.rig.close()
    assert {(read.port, read.epc) for read in bench.events.reads} == {
        (port, epc(port)) for port in range(1, ports + 1)
    }
    assert bench.sim.ignored == 0


async def test_only_planned_ports_cost_air_time(bench: Bench) -> None:
    bench.reader.set_plan(plan(2, 6))
    async with running(bench.reader):
        await asyncio.sleep(3)
    assert bench.ports_listened == {2, 6}
    assert set(bench.events.rounds) == {2, 6}


async def test_each_visit_is_proven_by_a_round_and_no_round_is_invented(bench: Bench) -> None:
    bench.reader.set_plan(plan(1, 5))
    async with running(bench.reader):
        await asyncio.sleep(10)
    visits = {port: sum(1 for heard, _, _ in bench.listened if heard == port) for port in (1, 5)}
    for port in (1, 5):
        assert visits[port] - 1 <= bench.events.rounds[port] <= visits[port]
        assert visits[port] > 100


async def test_a_longer_stay_gives_a_bay_in_play_more_reads(bench: Bench) -> None:
    bench.reader.set_plan(AntennaPlan({1: PortPlan(20, 3), 2: PortPlan(20, 1)}))
    async with running(bench.reader):
        await asyncio.sleep(5)
    reads = [read.port for read in bench.events.reads]
    assert reads.count(1) == pytest.approx(3 * reads.count(2), rel=0.1)


async def test_without_a_plan_nothing_is_read_and_the_reader_is_still_watched(bench: Bench) -> None:
    async with running(bench.reader):
        await asyncio.sleep(60)
        assert bench.sim.rounds == 0
        assert bench.sim.commands[0x72] >= 10
        bench.sim.faults.dead = True
        await asyncio.sleep(15)
    assert len(bench.events.of(ReaderLost)) == 1


async def test_a_new_plan_counts_from_the_next_round(bench: Bench) -> None:
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(1)
        bench.reader.set_plan(plan(2))
        changed = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        bench.reader.set_plan(plan())
        await asyncio.sleep(0.2)
        rounds = bench.sim.rounds
        await asyncio.sleep(10)
        assert bench.sim.rounds == rounds
        bench.reader.set_plan(plan(3))  # from rest it starts at once, not at the next supervision
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
    assert all(start < changed + 0.2 for port, start, _ in bench.listened if port == 1)
    assert min(start for port, start, _ in bench.listened if port == 3) < started + 0.2


async def test_a_plan_set_while_the_reader_is_away_is_followed_when_it_comes(bench: Bench) -> None:
    bench.rig.unplug()
    async with running(bench.reader):
        await asyncio.sleep(5)
        bench.reader.set_plan(plan(4))
        bench.rig.plug()
        await asyncio.sleep(5)
    assert bench.ports_listened == {4}
    (lost,) = bench.events.of(ReaderLost)
    assert "nothing is plugged in" in lost.reason


# Antennas.


async def test_a_missing_antenna_is_told_once_and_left_out_of_the_rounds(bench: Bench) -> None:
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3))
    async with running(bench.reader):
        await asyncio.sleep(30)
    assert bench.events.of(AntennaMissing) == [AntennaMissing(3)]
    assert bench.events.rounds[3] == 0
    # Port 1 alone takes 30 ms and the exchange a few more: it is visited as if port 3 did not exist.
    assert bench.events.rounds[1] > 700


async def test_an_antenna_that_comes_back_is_found_within_the_probe_interval(bench: Bench) -> None:
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3, stay=10))
    async with running(bench.reader):
        await asyncio.sleep(130)
        assert bench.sim.commands[0x7E] == 2
        bench.sim.plug_antenna(3)
        await asyncio.sleep(61)
        assert bench.events.of(AntennaRestored) == [AntennaRestored(3)]
        bench.events.forget()
        await asyncio.sleep(5)
        assert bench.events.rounds[3] > 5
        bench.sim.unplug_antenna(3)
        await asyncio.sleep(1)
    assert bench.events.of(AntennaMissing) == [AntennaMissing(3)]


async def test_a_reader_that_cannot_measure_gets_a_trial_round() -> None:
    bench = Bench(settings=R2000Settings(probe_interval_s=5))
    bench.sim.faults.silent_commands = frozenset({0x7E})
    bench.sim.unplug_antenna(3)
    bench.reader.set_plan(plan(1, 3))
    async with running(bench.reader):
        await asyncio.sleep(12)
        assert bench.events.of(AntennaMissing) == [AntennaMissing(3)]
        assert bench.events.of(AntennaRestored) == []
        bench.sim.plug_antenna(3)
        await asyncio.sleep(7)
    bench.rig.close()
    assert bench.events.of(AntennaRestored) == [AntennaRestored(3)]


async def test_all_antennas_missing_is_no_lost_reader(bench: Bench) -> None:
    for port in (1, 2):
        bench.sim.unplug_antenna(port)
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(100)
    assert bench.events.of(AntennaMissing) == [AntennaMissing(1), AntennaMissing(2)]
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.rounds < 5


async def test_a_port_that_the_reader_does_not_have_is_missing(bench: Bench) -> None:
    bench.reader.set_plan(plan(1, 9, stay=10))
    async with running(bench.reader):
        await asyncio.sleep(70)
    assert bench.events.of(AntennaMissing) == [AntennaMissing(9)]
    assert bench.ports_listened == {1}


async def test_a_mute_antenna_is_listened_to_like_any_other(bench: Bench) -> None:
    bench.sim.mute_antenna(2)
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(2)
    assert bench.events.rounds[2] > 10
    assert {read.port for read in bench.events.reads} == {1}


async def test_ports_of_the_second_group_are_probed_in_their_group() -> None:
    bench = Bench(16, R2000Settings(port_count=16, probe_interval_s=5))
    bench.sim.unplug_antenna(11)
    bench.reader.set_plan(plan(3, 11))
    async with running(bench.reader):
        await asyncio.sleep(7)
        assert bench.events.of(AntennaMissing) == [AntennaMissing(11)]
        assert bench.events.of(AntennaRestored) == []
        bench.sim.plug_antenna(11)
        await asyncio.sleep(6)
    bench.rig.close()
    assert bench.events.of(AntennaRestored) == [AntennaRestored(11)]


# Power.


async def test_power_is_written_to_flash_only_when_it_differs(bench: Bench) -> None:
    bench.reader.set_plan(plan(1, 2, power_dbm=20))
    async with running(bench.reader):
        await asyncio.sleep(1)
        bench.reader.set_plan(plan(1, 2, power_dbm=20, stay=2))
        await asyncio.sleep(1)
        bench.rig.unplug()
        bench.rig.plug()
        await asyncio.sleep(3)
        assert bench.sim.flash_writes == 1
        bench.reader.set_plan(plan(1, power_dbm=25))
        await asyncio.sleep(1)
    assert bench.sim.flash_writes == 2
    assert bench.sim.flash_dbm == [25, 20, 30, 30, 30, 30, 30, 30]
    assert bench.events.of(PowerRefused) == []


async def test_each_of_sixteen_ports_has_its_own_power() -> None:
    bench = Bench(16)
    bench.reader.set_plan(AntennaPlan({port: PortPlan(10 + port) for port in range(1, 17)}))
    async with running(bench.reader):
        await asyncio.sleep(3)
    bench.rig.close()
    assert bench.sim.flash_dbm == [10 + port for port in range(1, 17)]
    assert bench.powers == {port: {10 + port} for port in range(1, 17)}


async def test_an_impossible_power_is_refused_once_and_the_others_are_set(bench: Bench) -> None:
    wanted = AntennaPlan({1: PortPlan(100), 2: PortPlan(20)})
    bench.reader.set_plan(wanted)
    async with running(bench.reader):
        await asyncio.sleep(1)
        bench.rig.unplug()
        bench.rig.plug()
        await asyncio.sleep(3)
    (refused,) = bench.events.of(PowerRefused)
    assert (refused.port, refused.power_dbm) == (1, 100)
    assert "0 to 33 dBm" in refused.reason
    assert bench.sim.flash_dbm[:2] == [30, 20]
    assert bench.ports_listened == {1, 2}


async def test_a_reader_that_refuses_one_of_several_powers_gets_the_others(bench: Bench) -> None:
    bench.sim.highest_dbm = 26
    bench.sim.flash_dbm = [20] * 8
    bench.reader.set_plan(AntennaPlan({1: PortPlan(25), 2: PortPlan(30), 3: PortPlan(26)}))
    async with running(bench.reader):
        await asyncio.sleep(2)
    (refused,) = bench.events.of(PowerRefused)
    assert (refused.port, refused.power_dbm) == (2, 30)
    assert "output power out of range" in refused.reason
    assert bench.sim.flash_dbm[:4] == [25, 20, 26, 20]


async def test_a_reader_that_does_not_tell_its_power_keeps_it(bench: Bench) -> None:
    bench.sim.faults.silent_commands = frozenset({0x97, 0x77})
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(10)
    (refused,) = bench.events.of(PowerRefused)
    assert "does not tell" in refused.reason
    assert bench.sim.flash_writes == 0
    assert bench.events.rounds[1] > 100


async def test_older_firmware_tells_its_power_only_by_the_short_command(bench: Bench) -> None:
    bench.sim.faults.silent_commands = frozenset({0x97})
    bench.reader.set_plan(plan(*range(1, 9), power_dbm=22))
    async with running(bench.reader):
        await asyncio.sleep(6)
    assert bench.events.of(PowerRefused) == []
    assert bench.sim.flash_dbm == [22] * 8


async def test_power_in_ram_leaves_the_flash_alone_and_holds_per_port() -> None:
    bench = Bench(settings=R2000Settings(power_mode=PowerMode.RAM))
    bench.reader.set_plan(AntennaPlan({1: PortPlan(21), 2: PortPlan(27), 5: PortPlan(21)}))
    async with running(bench.reader):
        await asyncio.sleep(3)
        bench.sim.power_cycle()
        await asyncio.sleep(8)
    bench.rig.close()
    assert bench.sim.flash_writes == 0
    assert bench.powers == {1: {21}, 2: {27}, 5: {21}}
    assert bench.events.of(ReaderLost) == []


async def test_power_in_ram_has_a_lower_limit() -> None:
    bench = Bench(settings=R2000Settings(power_mode=PowerMode.RAM))
    bench.reader.set_plan(AntennaPlan({1: PortPlan(10)}))
    async with running(bench.reader):
        await asyncio.sleep(3)
    bench.rig.close()
    (refused,) = bench.events.of(PowerRefused)
    assert "20 to 33 dBm" in refused.reason
    assert bench.powers == {1: {30}}


# Requests that the reader understands.


@pytest.mark.parametrize(
    ("ports", "forms", "setting"),
    [
        (8, frozenset({18}), None),
        (8, frozenset({29}), None),
        (8, frozenset({18}), FastSwitchForm.EIGHT_PORT_LONG),
        (4, frozenset({10}), None),
        (4, frozenset({18}), None),
        (8, frozenset(), None),
        (16, frozenset(), None),
    ],
)
async def test_the_form_that_the_reader_understands_is_found(
    ports: int, forms: frozenset[int], setting: FastSwitchForm | None
) -> None:
    bench = Bench(ports, R2000Settings(port_count=ports, form=setting), forms=forms)
    bench.reader.set_plan(plan(*range(1, ports + 1)))
    async with running(bench.reader):
        await asyncio.sleep(10)
        bench.events.forget()
        await asyncio.sleep(5)
    bench.rig.close()
    assert {(read.port, read.epc) for read in bench.events.reads} == {
        (port, epc(port)) for port in range(1, ports + 1)
    }
    assert set(bench.events.rounds) == set(range(1, ports + 1))
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.ignored == 0


async def test_a_missing_antenna_is_found_one_port_at_a_time_too() -> None:
    bench = Bench(forms=frozenset())
    bench.sim.unplug_antenna(2)
    bench.reader.set_plan(plan(1, 2, 3))
    async with running(bench.reader):
        await asyncio.sleep(5)
    bench.rig.close()
    assert bench.events.of(AntennaMissing) == [AntennaMissing(2)]
    assert bench.events.rounds[1] > 20
    assert bench.events.rounds[3] > 20


@pytest.mark.parametrize("forms", [frozenset(), frozenset({18})])
async def test_one_port_that_fails_does_not_keep_the_others_from_being_read(forms: frozenset[int]) -> None:
    bench = Bench(forms=forms)
    bench.sim.failing_ports = {2: 0x54}
    bench.reader.set_plan(plan(1, 2, 3))
    async with running(bench.reader):
        await asyncio.sleep(10)
    bench.rig.close()
    assert {read.port for read in bench.events.reads} == {1, 3}
    assert set(bench.events.rounds) == {1, 3}
    assert bench.events.of(ReaderLost) == []


async def test_a_missing_antenna_that_the_reader_does_not_name_is_found_port_by_port(bench: Bench) -> None:
    bench.sim.names_missing_ports = False
    bench.sim.unplug_antenna(2)
    bench.reader.set_plan(plan(1, 2, 3))
    async with running(bench.reader):
        await asyncio.sleep(5)
    assert bench.events.of(AntennaMissing) == [AntennaMissing(2)]
    assert {read.port for read in bench.events.reads} == {1, 3}
    assert bench.events.of(ReaderLost) == []


# Silence.


async def test_a_hung_reader_is_reset_without_being_lost(bench: Bench) -> None:
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.faults.hung = True
        await asyncio.sleep(5)
        bench.events.forget()
        await asyncio.sleep(1)
    assert bench.sim.resets == 1
    assert bench.events.of(ReaderLost) == []
    assert bench.events.rounds[1] > 10


async def test_a_dead_reader_is_lost_once_and_comes_back_by_itself(bench: Bench) -> None:
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.faults.dead = True
        await asyncio.sleep(120)
        (lost,) = bench.events.of(ReaderLost)
        assert "check the reader's power" in lost.reason
        bench.events.forget()
        bench.sim.faults.dead = False
        await asyncio.sleep(12)
    assert len(bench.events.of(ReaderOnline)) == 1
    assert bench.events.rounds[1] > 10


async def test_a_lost_reader_is_told_within_ten_seconds(bench: Bench) -> None:
    bench.reader.set_plan(plan(*range(1, 9)))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.faults.dead = True
        await asyncio.sleep(10)
    assert len(bench.events.of(ReaderLost)) == 1


async def test_a_reader_that_only_answers_errors_is_reset_then_lost_and_not_hammered(bench: Bench) -> None:
    bench.sim.faults.round_error = 0x53
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(20)
    assert bench.sim.resets >= 1
    assert "radio chip does not answer" in bench.events.of(ReaderLost)[0].reason
    assert bench.sim.commands[0x8A] < 40


async def test_rounds_whose_end_is_lost_are_followed_by_others_and_never_overlap(bench: Bench) -> None:
    bench.reader.set_plan(plan(*range(1, 9)))
    bench.sim.faults.lose_round_ends = 5
    async with running(bench.reader):
        await asyncio.sleep(12)
    assert bench.sim.ignored == 0
    assert bench.sim.resets == 0  # tags came: it is alive
    assert bench.events.rounds[1] > 5
    assert len(bench.events.reads) > 5 * 8


async def test_slow_replies_are_waited_for(bench: Bench) -> None:
    bench.sim.faults.slow_s = 0.4
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(20)
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.resets == 0
    assert bench.sim.ignored == 0
    assert bench.events.rounds[2] > 10


async def test_an_end_of_round_that_comes_just_too_late_is_still_waited_out(bench: Bench) -> None:
    # One port: the watchdog barks after 560 ms, the end frame comes 8 ms later, and until then it listens.
    bench.sim.faults.slow_s = 0.535
    settings = R2000Settings(reply_timeout_s=1.0)
    bench.reader = R2000Reader(bench.rig.opener, bench.events, settings, jitter=lambda: 0.5)
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(20)
    assert bench.sim.rounds > 10
    assert bench.sim.ignored == 0


async def test_replies_later_than_the_time_out_do_not_answer_the_next_question(bench: Bench) -> None:
    bench.reader.set_plan(plan(1, 2))
    async with running(bench.reader):
        await asyncio.sleep(2)
        bench.sim.faults.slow_s = 0.7
        await asyncio.sleep(10)
        bench.sim.faults.slow_s = 0.0
        await asyncio.sleep(10)
        bench.events.forget()
        await asyncio.sleep(2)
    assert bench.events.rounds[1] > 10
    assert {(read.port, read.epc) for read in bench.events.reads} == {(1, epc(1)), (2, epc(2))}


async def test_the_pauses_between_attempts_grow_and_the_loss_is_told_once(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    attempts: list[float] = []
    opener = bench.rig.opener

    class Absent:
        name = opener.name

        async def open(self) -> object:
            attempts.append(loop.time())
            return await opener.open()

        async def returned(self) -> None:
            await opener.returned()

    bench.rig.unplug()
    reader = R2000Reader(Absent(), bench.events, jitter=lambda: 0.5)  # type: ignore[arg-type]
    async with running(reader):
        await asyncio.sleep(13)
    pauses = [round(after - before, 3) for before, after in pairwise(attempts)]
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]
    assert len(bench.events.all) == 1


async def test_the_pauses_can_be_set_and_a_replug_ends_them(bench: Bench) -> None:
    bench.rig.unplug()
    settings = R2000Settings(reopen_s=(7.0, 60.0))
    reader = R2000Reader(bench.rig.opener, bench.events, settings, jitter=lambda: 0.5)
    reader.set_plan(plan(7))
    async with running(reader):
        await asyncio.sleep(20)
        assert bench.rig.opened_at == []
        bench.rig.plug()
        await asyncio.sleep(1)
        assert bench.rig.opened_at == [pytest.approx(20)]
        assert bench.events.reads


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
    assert [type(event) for event in bench.events.all[:1]] == [ReaderOnline]
    assert {read.port for read in bench.events.reads} == {7}


async def test_after_a_time_of_work_the_first_attempt_comes_soon_again(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    bench.reader.set_plan(plan(7))
    async with running(bench.reader):
        for _ in range(4):
            await asyncio.sleep(5)
            bench.rig.drop()
            lost_at = loop.time()
            await asyncio.sleep(1)
            assert bench.rig.opened_at[-1] == pytest.approx(lost_at + 0.5, abs=0.01)


# A bad line.


async def test_noise_split_and_lost_bytes_cost_reads_but_never_the_reader(bench: Bench) -> None:
    faults = bench.sim.line.faults
    faults.junk_rate, faults.junk = 0.1, b"\xa0\xff"
    faults.lost_byte_rate = 0.002
    faults.split = True
    bench.reader.set_plan(plan(1, 8))
    async with running(bench.reader):
        await asyncio.sleep(60)
    assert bench.events.of(ReaderLost) == []
    assert bench.sim.ignored == 0
    heard = {(read.port, read.epc) for read in bench.events.reads}
    assert {(1, epc(1)), (8, epc(8))} <= heard
    assert len(bench.events.reads) > 1000
    assert bench.reader.counters.bytes_skipped > 0


async def test_merged_input_comes_as_one_batch_oldest_first(bench: Bench) -> None:
    bench.sim.line.faults.merge_s = 0.1
    bench.reader.set_plan(plan(1, 2, 3))
    async with running(bench.reader):
        await asyncio.sleep(3)
    batches = [tuple(read.port for read in batch.reads) for batch in bench.events.of(TagBatch)]
    assert (1, 2, 3) in batches


async def test_junk_before_every_frame_keeps_every_tag(bench: Bench) -> None:
    bench.sim.line.faults.junk_rate, bench.sim.line.faults.junk = 1.0, b"\xa0\xff"
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(5)
    assert len(bench.events.reads) >= len(bench.listened) - 1
    assert bench.events.rounds[1] >= len(bench.listened) - 1


async def test_a_tag_of_a_port_that_nobody_reads_is_not_reported(bench: Bench) -> None:
    bench.sim.field = lambda port, now: [(epc(port), -50)]
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(1)
        stray = bytes.fromhex("A013018A1F3000E2801170000002 0A7D001234C5FC".replace(" ", ""))
        bench.sim.line.send(stray)  # port 8, intact
        await asyncio.sleep(1)
    assert {read.port for read in bench.events.reads} == {1}


async def test_any_reply_address_is_taken() -> None:
    bench = Bench(address=0x42)
    bench.reader.set_plan(plan(1))
    async with running(bench.reader):
        await asyncio.sleep(1)
    bench.rig.close()
    assert len(bench.events.reads) > 10


async def test_a_reader_is_addressed_where_several_share_a_line() -> None:
    bench = Bench(settings=R2000Settings(address=0x42), address=0x42)
    other = Bench(settings=R2000Settings(address=0x41), address=0x42)
    async with running(bench.reader), running(other.reader):
        await asyncio.sleep(5)
    bench.rig.close()
    other.rig.close()
    assert len(bench.events.of(ReaderOnline)) == 1
    assert other.events.of(ReaderOnline) == []


async def test_cancelling_closes_the_link(bench: Bench) -> None:
    async with running(bench.reader):
        await asyncio.sleep(1)
    link = await bench.rig.opener.open()  # refused while another link is open
    assert link.name == "memory reader"
    assert len(bench.events.of(RoundEnded)) == 0
    await link.aclose()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"port_count": 17}, "port_count 17"),
        ({"address": 256}, "address 256"),
        ({"gen2_session": 4}, "session 4"),
    ],
)
async def test_wrong_settings_are_refused_by_name(wrong: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        R2000Settings(**wrong)  # type: ignore[arg-type]


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


def test_a_form_without_room_for_all_ports_is_refused() -> None:
    with pytest.raises(ValueError, match="form 4-port: does not reach all of 8 ports"):
        R2000Settings(port_count=8, form=FastSwitchForm.FOUR_PORT)
