"""The dispensing reconciler with real drivers against simulated machines, on virtual time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.desired import desired
from bayd.core.model import Bay, DeviceState, PayoutEnd, Phase, PutBack, Stock
from bayd.core.rules import FaultPolicy, Rules
from bayd.journal import InlineJournalExecutor
from bayd.reconcile.ball_level import LevelRules
from bayd.runtime.bay import OutcomeUnknownError
from hardware.dispenser import Level
from hardware.dispenser.line import SERIAL_TIMING
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc, PlcSettings, RegisterMap
from hardware.sim.hopper import Fault
from hardware.sim.relay import BoardKind
from tests.reconcile.dispensing_hall import DISPENSER, SCREEN, STAFF, Hall
from tests.reconcile.dispensing_machines import HopperMachine, Machine, PlcMachine, RelayMachine
from tests.simulation.world import HeldExecutor

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def hopper() -> HopperMachine:
    return HopperMachine()


@pytest.fixture
def hall(tmp_path: Path, hopper: HopperMachine) -> Hall:
    return Hall(tmp_path / "journal.db", hopper)


def trays(tmp_path: Path, kind: BoardKind | None = BoardKind.NUMATO, *, beam: bool = False) -> Hall:
    return Hall(tmp_path / "journal.db", RelayMachine(kind, beam=beam))


async def kinds(hall: Hall, number: str = "109") -> list[str]:
    return [type(record.event).__name__ for record in await hall.world.journal.read(0, bay=number)]


def paid_on_record(hall: Hall) -> int:
    payout = hall.bay().payout
    assert payout is not None
    return payout.paid


async def test_a_press_pays_and_counts_each_ball(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 10)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (10, 0)
        assert hopper.ejected == 10
        seen = await kinds(hall)
        first = {
            kind: seen.index(kind)
            for kind in ("PayoutRequested", "PayoutMarked", "BallsPaid", "PayoutClosed")
        }
        assert list(first.values()) == sorted(first.values())


async def test_more_than_a_hopper_pays_at_once_is_paid_in_parts(hall: Hall, hopper: HopperMachine) -> None:
    hall.world.rules = {n: Rules(dispenser="east", dispense_max_balls=400) for n in ("109", "110")}
    async with hall.open():
        await hall.world.play("109", "7", minutes=600)
        await hall.press("109", 300)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 300


async def test_a_crash_in_mid_payout_is_settled_by_asking(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        assert 0 < hopper.ejected < 20
    await asyncio.sleep(2)
    async with hall.open():
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 20
        assert hopper.sim.payouts == 1


async def test_a_crash_before_the_motor_resumes_only_when_it_was_short(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.world.up():
        await hall.world.play("109", "7")
        await hall.press("109", 10)
    await asyncio.sleep(5)
    async with hall.open():
        await hall.paid_out()
        assert hall.balls().counted == 10
    async with hall.world.up():
        await hall.press("109", 10)
    await asyncio.sleep(40)
    async with hall.open():
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (10, 10)
        assert hopper.ejected == 10
        await hall.press("109", 10)
        await hall.paid_out()
        balls = hall.balls()
        assert (balls.commanded, balls.counted, balls.balance) == (20, 20, 0)


async def test_a_staff_end_stops_the_motor(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.press("109", 40)
        await asyncio.sleep(2)
        await bays.submit("109", i.End(STAFF, "closing"))
        await hall.paid_out()
        assert 0 < hopper.ejected < 40
        assert hall.balls().counted == hopper.ejected
        assert hall.balls().balance == 40 - hopper.ejected


async def test_a_staff_end_waits_for_a_machine_that_cannot_be_stopped(tmp_path: Path) -> None:
    machine = PlcMachine()
    hall = Hall(tmp_path / "journal.db", machine)
    without_stop = PlcSettings(registers=RegisterMap(stop=None))
    machine._rig.driver = ModbusPlc(ModbusBus(machine._rig.wire.opener, baudrate=19200), without_stop)
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        await bays.submit("109", i.End(STAFF, "closing"))
        await hall.paid_out()
        assert hall.balls().counted == machine.ejected == 20
        assert hall.reconciler.view().state is DeviceState.OK


@pytest.mark.parametrize("over", ["cancelled", "released"])
async def test_what_the_desk_ends_while_the_disk_hangs_stands_at_once(
    hall: Hall, hopper: HopperMachine, over: str
) -> None:
    hall.world.executor = HeldExecutor()
    async with hall.open() as bays, asyncio.TaskGroup() as tasks:
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 150)
        await asyncio.sleep(2)
        with hung(hall):
            await asyncio.sleep(1)  # by now a ball waits to be recorded
            said = i.ServerSaid("7", 60, 0, 0, cancelled=False, active=True, released=False)
            ended = replace(said, cancelled=over == "cancelled", released=over == "released")
            for fact in (said, ended):
                tasks.create_task(bays.submit("109", fact))
            await asyncio.sleep(0.5)
            assert not hopper.running
            fell = hopper.ejected
            assert 0 < paid_on_record(hall) < fell < 150
            await asyncio.sleep(60)
            assert hopper.ejected == fell
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (fell, 150 - fell)
        assert hall.reconciler.view().state is DeviceState.OK


async def test_the_end_of_time_lets_a_payout_finish(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7", minutes=1)
        await asyncio.sleep(57)
        await hall.press("109", 40)
        await hall.paid_out()
        assert hall.bay().session is None
        assert hall.balls().counted == hopper.ejected == 40


async def test_the_trays_of_a_payout_are_paid_to_the_end_also_after_the_end(tmp_path: Path) -> None:
    hall = trays(tmp_path)
    async with hall.open():
        await hall.world.play("109", "7", minutes=1)
        await asyncio.sleep(57)
        await hall.press("109", 75)
        await hall.paid_out()
        await hall.stands()
        assert hall.bay().session is None
        assert hall.balls().counted == hall.machine.ejected == 75


async def test_no_payout_starts_after_the_end(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8", minutes=1)
        await asyncio.sleep(58)
        await hall.press("109", 60)
        await asyncio.sleep(0.2)
        await hall.press("110", 20)  # waits behind the other
        await hall.paid_out("110")
        assert hall.bay("110").session is None
        assert (hall.balls("110").counted, hall.balls("110").balance) == (0, 20)
        await hall.paid_out("109")
        assert hopper.ejected == 60


@pytest.mark.parametrize("machine", [HopperMachine, PlcMachine])
async def test_the_daemon_that_goes_stops_the_motor_in_the_midst_of_any_exchange(
    quick_path: Path, machine: type[Machine]
) -> None:
    """Whatever was on the line when it was told to go, the line must fall silent first."""
    broken_off = 0
    for moment in range(12):
        device = machine()
        hall = Hall(quick_path / f"{moment}.db", device)
        async with hall.world.up() as bays:
            reconciler = hall.reconciler = hall.make_reconciler(bays)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(reconciler.run(), name="east")
                await hall.world.play("109", "7")
                await hall.press("109", 40)
                await asyncio.sleep(3 + moment * 0.017)
                running.cancel()
                told_at = asyncio.get_running_loop().time()
            broken_off += asyncio.get_running_loop().time() - told_at > SERIAL_TIMING.quiet_s
        await asyncio.sleep(1)  # the ball that was on its way
        assert not device.running, moment
        assert 0 < device.ejected < 40
    assert broken_off, "no exchange was under way at any of the moments"


async def test_the_daemon_that_goes_stops_the_motor(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.world.up() as bays:
        hall.reconciler = reconciler = hall.make_reconciler(bays)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reconciler.run(), name="east")
            await hall.world.play("109", "7")
            await hall.press("109", 40)
            await asyncio.sleep(3)
            running.cancel()
    assert 0 < hopper.ejected < 40
    fallen = hopper.ejected
    await asyncio.sleep(5)
    assert hopper.ejected <= fallen + 1  # one was on its way
    hopper.revive()
    async with hall.open():
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected
        assert hall.balls().balance == 40 - hopper.ejected


# Faults


async def test_a_jam_wants_staff_at_every_bay_of_the_hopper_and_one_act_clears_it(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        hopper.sim.jam_after = 4
        await hall.press("109", 10)
        await hall.press("110", 10)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (4, 6)
        # The neighbour's turn does not come: no motor starts on a machine that jams.
        await hall.paid_out("110")
        assert (hall.balls("110").counted, hall.balls("110").balance) == (0, 10)
        assert hopper.sim.payouts == 1
        refused = await bays.submit("110", i.Dispense("x", 5, SCREEN))
        assert refused.decision.refusal is not None
        assert hall.reconciler.view().state is DeviceState.FAULT
        await bays.submit("109", i.ClearFault(DISPENSER, STAFF))
        await asyncio.sleep(6)
        assert hall.bay("110").devices[DISPENSER].state is DeviceState.OK
        assert hall.reconciler.view().state is DeviceState.OK
        assert hopper.sim.resets == 1
        for number in ("109", "110"):
            records = await hall.world.journal.read(0, bay=number)
            changes = [r.event.state for r in records if isinstance(r.event, e.DeviceChanged)]
            assert changes.count(DeviceState.FAULT) == 1, changes
        await hall.press("109", 6)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 10


async def test_a_fault_outlives_a_crash(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        hopper.sim.jam_after = 4
        await hall.press("109", 10)
        await hall.paid_out()
    async with hall.open():
        await hall.ready()
        view = hall.reconciler.view()
        assert (view.state, view.reason) == (DeviceState.FAULT, "jam")


async def test_a_fault_that_one_bay_has_on_record_is_everybodys_after_a_crash(
    hall: Hall, hopper: HopperMachine
) -> None:
    """The daemon died between the bay that heard of the jam and its neighbour."""
    async with hall.world.up() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await bays.submit("109", i.DeviceReported(DISPENSER, DeviceState.FAULT, "jam"))
        await hall.press("110", 10)
    async with hall.open() as bays:
        await hall.paid_out("110")
        assert (hall.balls("110").counted, hall.balls("110").balance) == (0, 10)
        fact = hall.bay("110").devices[DISPENSER]
        assert (fact.state, fact.reason) == (DeviceState.FAULT, "jam")
        assert hopper.sim.payouts == 0
        await bays.submit("110", i.ClearFault(DISPENSER, STAFF))
        await asyncio.sleep(6)
        assert hall.bay("109").devices[DISPENSER].state is DeviceState.OK
        await hall.press("110", 10)
        await hall.paid_out("110")
        assert hall.balls("110").counted == hopper.ejected == 10


async def test_a_fault_that_is_cleared_while_the_machine_is_away_is_cleared_there_later(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        hopper.sim.jam_after = 4
        await hall.press("109", 10)
        await hall.paid_out()
        hopper.sim.power_off()
        await bays.submit("109", i.ClearFault(DISPENSER, STAFF))
        await asyncio.sleep(20)
        assert hall.bay("110").devices[DISPENSER].state is DeviceState.FAULT
        resets = hopper.sim.resets
        hopper.sim.power_on()
        await asyncio.sleep(12)
        assert hopper.sim.resets == resets + 1
        assert hall.bay("110").devices[DISPENSER].state is DeviceState.OK


async def test_a_power_cut_in_mid_payout_wants_no_person(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        hopper.sim.power_dip()
        await hall.paid_out()
        fallen = hopper.ejected
        assert 0 < hall.balls().counted == fallen < 20
        assert hall.bay().devices[DISPENSER].state is not DeviceState.FAULT
        await asyncio.sleep(20)
        assert hopper.ejected == fallen  # nothing starts by itself
        await hall.press("109", 20 - fallen)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 20


async def test_a_machine_that_refuses_each_payout_is_faulty(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        hopper.sim.flags.add(3)  # a ball lies in the light beam: a hopper pays nothing then
        await hall.press("109", 5)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (0, 5)
        fact = hall.bay("110").devices[DISPENSER]
        assert (fact.state, fact.reason) == (DeviceState.FAULT, "opto blocked")


async def test_a_blocked_beam_is_a_fault_and_no_pulse_is_given(tmp_path: Path) -> None:
    hall = trays(tmp_path, beam=True)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        machine.trays.beam_stuck = True
        await hall.press("109", 25)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance, machine.trays.closures) == (0, 25, 0)
        assert hall.bay().devices[DISPENSER].reason == "beam blocked"


async def test_a_fault_is_cleared_only_after_the_payout_is_settled(hall: Hall, hopper: HopperMachine) -> None:
    """Clearing resets the hopper: its counters must have been read before."""
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        await bays.submit("109", i.DeviceReported(DISPENSER, DeviceState.FAULT, "lid open"))
        await bays.submit("109", i.ClearFault(DISPENSER, STAFF))
        await hall.paid_out()
        assert hall.balls().counted == 20
        await asyncio.sleep(6)
        assert hopper.sim.resets == 1
        assert hall.balls().unknown == 0


async def test_other_machines_and_their_bays_notice_nothing_of_a_jam(tmp_path: Path) -> None:
    """Each machine has a reconciler of its own; they meet in the range alone."""
    east, west = HopperMachine(), HopperMachine()
    hall = Hall(tmp_path / "journal.db", east)
    hall.world.rules = {"109": Rules(dispenser="east"), "110": Rules(dispenser="west")}
    async with hall.world.up() as bays:
        first = hall.make_reconciler(bays, "east", east, ("109",))
        second = hall.make_reconciler(bays, "west", west, ("110",))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one.run(), name="machine") for one in (first, second)]
            await hall.world.play("109", "7")
            await hall.world.play("110", "8")
            east.sim.jam_after = 3
            await hall.press("109", 20)
            await hall.press("110", 20)
            await hall.paid_out("109")
            await hall.paid_out("110")
            assert (hall.balls("109").counted, hall.balls("110").counted) == (3, 20)
            assert hall.bay("110").devices[DISPENSER].state is DeviceState.OK
            for one in running:
                one.cancel()


async def test_the_clock_stands_still_until_the_machine_is_cleared_where_the_site_wants_it(
    tmp_path: Path, hopper: HopperMachine
) -> None:
    rules = Rules(dispenser="east", dispenser_fault=FaultPolicy.PAUSE)
    hall = Hall(tmp_path / "journal.db", hopper, rules)
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        hopper.sim.jam_after = 4
        await hall.press("109", 10)
        await hall.paid_out()
        assert (hall.bay("109").phase, hall.bay("110").phase) == (Phase.PAUSED, Phase.PLAYING)
        left_ms = [
            session.remaining_ms(hall.world.clock.now().boot_ms)
            for session in (hall.bay("109").session, hall.bay("110").session)
            if session is not None
        ]
        await asyncio.sleep(600)
        await bays.submit("110", i.ClearFault(DISPENSER, STAFF))  # cleared at the neighbour's screen
        await asyncio.sleep(6)
        assert hall.bay("109").phase is Phase.PLAYING
        after_ms = [
            session.remaining_ms(hall.world.clock.now().boot_ms)
            for session in (hall.bay("109").session, hall.bay("110").session)
            if session is not None
        ]
        assert left_ms[0] - after_ms[0] < 7_000
        assert left_ms[1] - after_ms[1] >= 600_000


async def test_a_hopper_that_is_away_is_said_and_comes_back(hall: Hall, hopper: HopperMachine) -> None:
    hopper.sim.power_off()
    async with hall.open():
        await hall.world.play("109", "7")
        await asyncio.sleep(5)
        assert hall.bay().devices[DISPENSER].state is DeviceState.LOST
        await hall.press("109", 5)
        await asyncio.sleep(10)
        hopper.sim.power_on()
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 5


async def test_what_a_machine_that_stays_away_never_heard_of_is_owed(
    hall: Hall, hopper: HopperMachine
) -> None:
    hopper.sim.power_off()
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 5)
        await asyncio.sleep(20)
        assert hall.bay().payout is not None
        await asyncio.sleep(20)
        assert hall.bay().payout is None
        assert (hall.balls().counted, hall.balls().balance) == (0, 5)
        # Asked again and again, recorded where it decided something.
        assert (await kinds(hall)).count("PayoutInterrupted") == 2
        hopper.sim.power_on()
        await asyncio.sleep(10)
        assert hopper.ejected == 0
        await hall.press("109", 5)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 5


async def test_only_the_time_since_the_press_counts_as_an_interruption(
    hall: Hall, hopper: HopperMachine
) -> None:
    hopper.sim.power_off()
    async with hall.open():
        await hall.world.play("109", "7")
        await asyncio.sleep(120)
        await hall.press("109", 5)
        await asyncio.sleep(2)
        hopper.sim.power_on()
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (5, 0)


async def test_a_lost_command_is_sent_again_and_a_machine_that_never_takes_it_is_given_up(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 2)
        await hall.paid_out()
        hopper.sim.order(Fault.REQUEST_LOST, header=167)
        await hall.press("109", 3)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 5
        for _ in range(3):
            hopper.sim.order(Fault.REQUEST_LOST, header=167)
        await hall.press("109", 5)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (5, 5)
        closed = [r.event for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert "did not reach" in closed[-1].text
        # Nothing is broken: the next press is welcome.
        await hall.press("109", 5)
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == 10


async def test_a_motor_that_runs_for_ever_without_a_ball_is_stopped_and_said(tmp_path: Path) -> None:
    machine = PlcMachine()
    hall = Hall(tmp_path / "journal.db", machine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        machine.program.behaviour = type(machine.program.behaviour)(spin_up_s=1e6)
        await hall.press("109", 5)
        await asyncio.sleep(70)
        fact = hall.bay().devices[DISPENSER]
        assert (fact.state, fact.reason) == (DeviceState.FAULT, "its motor runs and no ball comes")
        assert not machine.running
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (0, 5)


async def test_registers_lost_in_a_power_cut_are_settled_by_the_lifetime_count(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 20)
        await asyncio.sleep(1.5)
        hopper.sim.power_dip()
        await hall.paid_out()
        balls = hall.balls()
        assert balls.counted + balls.balance == 20
        assert balls.unknown == 0
        assert balls.counted == hopper.ejected


async def test_a_mark_that_became_durable_late_starts_no_motor_by_surprise(
    hall: Hall, hopper: HopperMachine
) -> None:
    disk = HeldExecutor()
    hall.world.executor = disk
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 10)
        disk.free.clear()
        await asyncio.sleep(60)
        disk.free.set()
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (0, 10)
        assert hopper.sim.payouts == 0
    hall.world.executor = InlineJournalExecutor()


@contextmanager
def hung(hall: Hall) -> Iterator[None]:
    """The journal's disk hangs. A test that fails lets go of it."""
    disk = hall.world.executor
    assert isinstance(disk, HeldExecutor)
    disk.free.clear()
    try:
        yield
    finally:
        disk.free.set()


@pytest.mark.parametrize(
    "act",
    [i.End(STAFF, "closing"), i.StopService(STAFF, "net torn", force=True)],
    ids=["end", "out of service"],
)
async def test_what_staff_stop_while_the_disk_hangs_stands_at_once(
    hall: Hall, hopper: HopperMachine, act: i.End | i.StopService
) -> None:
    hall.world.executor = HeldExecutor()
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 150)
        await asyncio.sleep(2)
        with hung(hall):
            await asyncio.sleep(1)  # by now a ball waits to be recorded
            acted = asyncio.get_running_loop().create_task(bays.submit("109", act))
            await asyncio.sleep(0.5)
            assert not hopper.running
            fell = hopper.ejected
            with pytest.raises(OutcomeUnknownError):
                await acted
            assert 0 < paid_on_record(hall) < fell < 150
            await asyncio.sleep(60)
            assert hopper.ejected == fell
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (fell, 150 - fell)
        assert hopper.ejected == fell
        assert hall.reconciler.view().state is DeviceState.OK
        # And the machine serves the next one.
        await hall.world.play("110", "8")
        await hall.press("110", 5)
        await hall.paid_out("110")
        assert hopper.ejected == fell + 5


async def test_the_end_of_time_lets_a_payout_finish_also_while_the_disk_hangs(
    hall: Hall, hopper: HopperMachine
) -> None:
    hall.world.executor = HeldExecutor()
    async with hall.open():
        await hall.world.play("109", "7", minutes=1)
        await asyncio.sleep(57)
        await hall.press("109", 40)
        await asyncio.sleep(1)
        with hung(hall):
            await asyncio.sleep(60)
            assert hopper.ejected == 40
        await hall.paid_out()
        assert hall.balls().counted == 40


async def test_an_end_that_time_overtakes_while_the_disk_hangs_leaves_a_stopped_machine_well(
    hall: Hall, hopper: HopperMachine
) -> None:
    hall.world.executor = HeldExecutor()
    async with hall.open() as bays:
        await hall.world.play("109", "7", minutes=1)
        await asyncio.sleep(50)
        await hall.press("109", 150)
        await asyncio.sleep(1)
        with hung(hall):
            with pytest.raises(OutcomeUnknownError):
                await bays.submit("109", i.End(STAFF, "closing"))
            await asyncio.sleep(400)  # also the grace is over
            fell = hopper.ejected
            assert not hopper.running
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (fell, 150 - fell)
        closed = [r.event for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert [event.end for event in closed] == [PayoutEnd.STOPPED]
        assert hall.reconciler.view().state is DeviceState.OK


async def test_a_stop_that_the_machine_does_not_hear_while_the_disk_hangs_is_tried_again(
    hall: Hall, hopper: HopperMachine
) -> None:
    hall.world.executor = HeldExecutor()
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 150)
        await asyncio.sleep(2)
        with hung(hall):
            await asyncio.sleep(1)
            for _ in range(6):
                hopper.sim.order(Fault.REQUEST_LOST)
            with pytest.raises(OutcomeUnknownError):
                await bays.submit("109", i.End(STAFF, "closing"))
            assert not hopper.running
            fell = hopper.ejected
            assert fell < 150
        await hall.paid_out()
        assert hall.balls().counted == hopper.ejected == fell


# Trays


async def test_each_pulse_is_a_part_with_a_mark_of_its_own(tmp_path: Path) -> None:
    hall = trays(tmp_path)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 75)
        await hall.paid_out()
        records = await hall.world.journal.read(0)
        marks = [r.event for r in records if isinstance(r.event, e.PayoutMarked)]
        assert [mark.balls for mark in marks] == [25, 25, 25]
        assert len({mark.mark["pulse"] for mark in marks}) == 3
        await hall.stands()
        assert hall.machine.ejected == hall.balls().counted == 75


async def test_a_crash_in_a_pulse_leaves_that_pulse_in_doubt_and_the_rest_owed(tmp_path: Path) -> None:
    hall = trays(tmp_path, BoardKind.LCUS)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 75)
        while machine.trays.closures < 2:  # noqa: ASYNC110 # a contact tells nobody
            await asyncio.sleep(0.01)
        assert machine.trays.closed
    async with hall.open() as bays:
        await hall.paid_out()
        await hall.stands()
        balls, (flag,) = hall.balls(), hall.bay().unsettled
        assert (balls.counted, balls.unknown, balls.balance) == (25, 25, 25)
        assert "restarted" in flag.text
        await bays.submit("109", i.SettleUnknown(flag.payout_id, 25, STAFF, "basket was full"))
        assert (hall.balls().counted, hall.balls().balance) == (50, 25)
        assert hall.machine.ejected == 50


async def test_a_crash_after_a_pulse_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    """The tray still tips: what it holds was recorded with the pulse, and the next one waits for it."""
    hall = trays(tmp_path)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        await hall.press("109", 50)
        while not machine.trays.running:  # noqa: ASYNC110 # a tray tells nobody
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
    async with hall.open():
        await hall.paid_out()
        await hall.stands()
        assert (hall.balls().counted, hall.balls().unknown, machine.ejected) == (50, 0, 50)


async def test_a_tray_with_fewer_balls_is_made_up_by_the_next_where_a_beam_counts(tmp_path: Path) -> None:
    hall = trays(tmp_path, beam=True)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        machine.trays._balls_per_pulse = 20
        await hall.press("109", 75)
        await hall.paid_out()
        await hall.stands()
        balls = hall.balls()
        # Three trays of 20: 15 are left, less than a tray.
        assert (balls.counted, balls.balance, balls.unknown) == (60, 15, 0)
        assert machine.ejected == 60
        machine.trays._balls_per_pulse = 30
        await hall.press("109", 25)
        await hall.paid_out()
        balls = hall.balls()
        assert (balls.counted, balls.surplus, balls.balance) == (85, 5, 0)
        assert balls.counted + balls.surplus == machine.ejected


async def test_an_open_payout_that_no_longer_fits_the_machine_is_owed(tmp_path: Path) -> None:
    """The configuration was changed while the daemon was down."""
    machine = RelayMachine(BoardKind.NUMATO)
    hall = Hall(tmp_path / "journal.db", machine, Rules(dispenser="east", dispenser_step=1))
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.press("109", 20)
        await hall.paid_out()
        assert (hall.balls().counted, hall.balls().balance) == (0, 20)
        assert machine.trays.closures == 0


async def test_a_board_that_is_pulled_with_a_closed_contact_is_opened_again(tmp_path: Path) -> None:
    hall = trays(tmp_path, BoardKind.LCUS)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.ready()
        machine._rig.board.cut_after_on = machine._pull_the_plug
        await hall.press("109", 25)
        await hall.paid_out()
        assert machine.trays.closed
        assert len(hall.bay().unsettled) == 1
        await asyncio.sleep(10)
        assert not machine.trays.closed


# Several bays


async def test_two_bays_share_fairly_and_each_ball_is_credited_to_its_bay_across_a_crash(
    hall: Hall, hopper: HopperMachine
) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press("110", 12)
        await asyncio.sleep(0.2)
        await hall.press("109", 7)
        await asyncio.sleep(0.1)
        assert [hall.reconciler.queue_place(number) for number in ("110", "109")] == [0, 1]
        await asyncio.sleep(0.7)
    await asyncio.sleep(1)
    async with hall.open():
        for number in ("109", "110"):
            await hall.paid_out(number)
        assert {n: hall.balls(n).counted for n in ("109", "110")} == {"110": 12, "109": 7}
        closed = [r.bay for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert closed == ["110", "109"]
        assert hopper.ejected == 19
        assert hall.reconciler.queue_place("109") == 0


@pytest.mark.parametrize("first", ["109", "110"])
async def test_the_order_of_the_presses_outlives_a_reboot_of_the_pc(hall: Hall, first: str) -> None:
    second = {"109": "110", "110": "109"}[first]
    async with hall.world.up():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press(first, 3)
        await asyncio.sleep(0.5)
        await hall.press(second, 3)
    await asyncio.sleep(15)
    hall.world.clock.reboot()
    async with hall.open():
        for number in (first, second):
            await hall.paid_out(number)
        assert [hall.balls(number).counted for number in (first, second)] == [3, 3]
        closed = [r.bay for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert closed == [first, second]


async def test_one_payout_at_a_time_also_where_each_is_many_pulses(tmp_path: Path) -> None:
    """The balls of two customers must not fall into each other's baskets tray by tray."""
    hall = trays(tmp_path)
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press("110", 75)
        await asyncio.sleep(0.1)
        await hall.press("109", 50)
        for number in ("109", "110"):
            await hall.paid_out(number)
        marked = [r.bay for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutMarked)]
        assert marked == ["110"] * 3 + ["109"] * 2


async def test_a_bay_that_presses_again_and_again_waits_its_turn(hall: Hall) -> None:
    async with hall.open():
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press("109", 5)
        await asyncio.sleep(0.1)
        await hall.press("110", 5)
        for _ in range(3):
            await hall.paid_out("109")
            await hall.press("109", 5)
        await hall.paid_out("109")
        closed = [r.bay for r in await hall.world.journal.read(0) if isinstance(r.event, e.PayoutClosed)]
        assert closed == ["109", "110", "109", "109", "109"]


async def test_who_no_longer_waits_has_no_place_in_the_queue(hall: Hall) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.press("109", 40)
        await asyncio.sleep(0.1)
        await hall.press("110", 5)
        await asyncio.sleep(0.1)
        assert hall.reconciler.view().queue == ("109", "110")
        await bays.submit("110", i.End(SCREEN, ""))
        assert hall.reconciler.view().queue == ("109",)
        await hall.paid_out("109")
        assert hall.reconciler.view().queue == ()
        assert (hall.balls("110").counted, hall.balls("110").balance) == (0, 5)


# Level and stock


async def test_a_refill_is_told_at_one_bay_and_counted_at_all(tmp_path: Path, hopper: HopperMachine) -> None:
    hall = Hall(tmp_path / "journal.db", hopper, level_rules=LevelRules(low_balls=50))
    hopper.sim.settings = type(hopper.sim.settings)(balls_per_s=40)
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.world.play("110", "8")
        await hall.ready()
        assert hall.reconciler.view().stock is None
        await bays.submit("109", i.Refill("r1", 200, STAFF))
        for number in ("109", "110"):
            await hall.press(number, 60)
            await hall.paid_out(number)
        assert hall.reconciler.view().stock == 80
    async with hall.open() as bays:
        await hall.ready()
        assert hall.reconciler.view().stock == 80
        await bays.submit("110", i.Refill("r2", 300, STAFF))
        await hall.press("109", 10)
        await hall.paid_out()
        assert hall.reconciler.view().stock == 290
        await asyncio.sleep(6)
        stocks = [hall.bay(number).stock for number in ("109", "110")]
        assert [stock.refill_id for stock in stocks if stock is not None] == ["r2", "r2"]


async def test_what_a_bay_of_another_machine_puts_back_is_in_the_stock(hall: Hall) -> None:
    """A session with unknown balls moved there, and it turned out that they never left."""
    async with hall.open() as bays:
        east = hall.make_reconciler(bays, numbers=("109",))
        here = Bay("109", stock=Stock("r1", "east", 200, 0, paid=10))
        for bay in (here, Bay("110", put_back=(PutBack("r1", 4), PutBack("r0", 7)))):
            east.bay_changed(bay, desired(bay, bays.rules(bay.number)))
        assert east.view().stock == 194
        assert east.view().queue == ()


async def test_a_machine_without_sensors_is_low_and_empty_by_its_stock(tmp_path: Path) -> None:
    hall = trays(tmp_path)
    hall.level_rules = LevelRules(capacity_balls=100, low_balls=50, low_margin_balls=10)
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        await hall.ready()
        seen = [hall.reconciler.view().level]
        await bays.submit("109", i.Refill("r1", 100, STAFF))
        seen.append(hall.reconciler.view().level)
        for _ in range(4):
            await hall.press("109", 25)
            await hall.paid_out()
            seen.append(hall.reconciler.view().level)
        await bays.submit("109", i.Refill("r2", 55, STAFF))
        seen.append(hall.reconciler.view().level)
        await bays.submit("109", i.Refill("r3", 90, STAFF))
        seen.append(hall.reconciler.view().level)
        wanted = [Level.UNKNOWN, Level.FULL, Level.OK, Level.LOW, Level.LOW, Level.EMPTY, Level.LOW, Level.OK]
        assert seen == wanted


async def test_a_machine_that_ran_empty_is_empty_until_somebody_was_there(tmp_path: Path) -> None:
    hall = trays(tmp_path, beam=True)
    machine = hall.machine
    assert isinstance(machine, RelayMachine)
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        machine.trays.load = 0
        await hall.press("109", 25)
        await hall.paid_out()
        assert hall.reconciler.view().level is Level.EMPTY
        assert hall.bay().devices[DISPENSER].reason == "empty"
        machine.trays.load = None
        await bays.submit("110", i.Refill("r1", 500, STAFF))
        await asyncio.sleep(6)
        assert hall.reconciler.view().level is Level.OK
        # Filled is seen to.
        assert {hall.bay(n).devices[DISPENSER].state for n in ("109", "110")} == {DeviceState.OK}


async def test_a_refill_clears_no_jam(hall: Hall, hopper: HopperMachine) -> None:
    async with hall.open() as bays:
        await hall.world.play("109", "7")
        hopper.sim.jam_after = 4
        await hall.press("109", 10)
        await hall.paid_out()
        await bays.submit("109", i.Refill("r1", 500, STAFF))
        await asyncio.sleep(6)
        assert hall.bay().devices[DISPENSER].state is DeviceState.FAULT
