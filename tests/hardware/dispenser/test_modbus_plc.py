"""The PLC driver in named situations, on virtual time, against the simulated PLC."""

import asyncio

import pytest

from hardware.dispenser import (
    DispenserUnavailableError,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    UnsupportedDispenserError,
)
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc, PlcSettings, RegisterMap, Report, judge
from hardware.sim.plc import ModbusLine, PlcBehaviour, PlcFault, PlcProgram, PlcSlave
from tests.hardware.dispenser.wires import MemoryWire, nowhere

WRITE_REGISTERS = 0x10


class Plant:
    """PLCs on one line, and what the master wrote to them."""

    def __init__(self, count: int = 1, registers: RegisterMap | None = None) -> None:
        self.programs = [PlcProgram() for _ in range(count)]
        self.line = ModbusLine(nowhere)
        for unit, program in enumerate(self.programs, 1):
            self.line.attach(unit, PlcSlave(program))
        self.wire = MemoryWire("/dev/plc", self.line)
        self.wire.on_sent = self._note
        self.sent: list[bytes] = []
        self.bus = ModbusBus(self.wire.opener, baudrate=19200)
        self.drivers = [
            ModbusPlc(self.bus, PlcSettings(unit=unit, registers=registers or RegisterMap()))
            for unit in range(1, count + 1)
        ]

    @property
    def program(self) -> PlcProgram:
        return self.programs[0]

    @property
    def driver(self) -> ModbusPlc:
        return self.drivers[0]

    def writes(self) -> list[bytes]:
        return [frame for frame in self.sent if frame[1] == WRITE_REGISTERS]

    async def aclose(self) -> None:
        for driver in self.drivers:
            await driver.aclose()

    def _note(self, data: bytes) -> bytes:
        self.sent.append(data)
        return data


async def settled(driver: ModbusPlc, balls: int, mark: Mark) -> Progress:
    for _ in range(3000):
        progress = await driver.progress(balls, mark)
        if not progress.running:
            return progress
        await asyncio.sleep(0.1)
    raise AssertionError("runs for ever")


# ---- the reasoning


@pytest.mark.parametrize(
    ("report", "requested", "progress"),
    [
        (Report(6, 4, True, None, 104), 6, Progress(4, running=True)),
        (Report(6, 9, False, None, 109), 6, Progress(9, running=False)),
        (Report(6, 4, False, "jam", 104), 6, Progress(4, running=False, fault="jam")),
        (Report(6, 10, False, None, 110), 6, Progress(None, running=False, fault="delivered too many")),
        (Report(5, 3, False, None, 100), 6, Progress(0, running=True)),  # seen at the next scan
        (Report(5, 3, False, None, 100), 5, Progress(0, running=False)),  # never arrived
        (Report(5, 3, False, None, 101), 5, Progress(None, running=False)),
        (Report(0, 0, False, None, 104), 0, Progress(4, running=False, fault="reset")),
        (Report(0, 0, False, None, 100), 0, Progress(0, running=False, fault="reset")),
        (Report(0, 0, False, None, 110), 0, Progress(None, running=False, fault="reset")),
        (Report(0, 0, False, None, None), 0, Progress(None, running=False, fault="reset")),
        (Report(8, 3, False, None, 100), 8, Progress(0, running=False, fault="other payouts since")),
        (Report(8, 3, False, None, 103), 8, Progress(None, running=False, fault="other payouts since")),
    ],
)
def test_the_reasoning(report: Report, requested: int, progress: Progress) -> None:
    assert judge(9, {"ack": 5, "request": 6, "total": 100}, report, requested) == progress


def test_the_total_wraps() -> None:
    report = Report(0, 0, False, None, 2)
    assert judge(9, {"ack": 5, "request": 6, "total": 65533}, report, 0).paid == 5


def test_a_register_map_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="must follow count"):
        RegisterMap(count=0, request_id=5)
    with pytest.raises(ValueError, match="at most 125"):
        RegisterMap(ack_id=10, total=200)
    assert RegisterMap(count=100, request_id=101, ack_id=40, total=None).report_start == 11


# ---- the driver


@pytest.mark.virtual_time
async def test_after_power_up_the_plc_gets_an_id_and_nothing_starts() -> None:
    plant = Plant()
    await plant.driver.connect()
    assert plant.writes() == []
    mark = await plant.driver.mark()
    assert mark == {"ack": 1, "request": 2, "total": 0}
    assert plant.program.commanded == 0
    assert plant.writes()[0][2:11] == bytes.fromhex("00 00 00 02 04 00 00 00 01")
    await plant.aclose()


@pytest.mark.virtual_time
async def test_count_and_id_go_in_one_request() -> None:
    plant = Plant()
    mark = await plant.driver.mark()
    await plant.driver.pay(9, mark)
    assert plant.writes()[-1][2:11] == bytes.fromhex("00 00 00 02 04 00 09 00 02")
    assert await settled(plant.driver, 9, mark) == Progress(9, running=False)
    await plant.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("fault", "outcome", "paid"),
    [
        (PlcFault.REQUEST_LOST, "not started", 0),
        (PlcFault.REPLY_LOST, "started", 9),
        (PlcFault.REPLY_CORRUPT, "started", 9),
        (PlcFault.REPLY_CUT, "started", 9),
        (PlcFault.REPLY_SLOW, "started", 9),
        (PlcFault.BUSY, "not started", 0),
        (PlcFault.FAILURE, "started", 9),  # carried out, whatever the exception says
        (PlcFault.RESET_BEFORE, "unknown", 0),
        (PlcFault.RESET_AFTER, "unknown", 0),
    ],
)
async def test_a_write_that_goes_wrong_is_never_repeated(fault: PlcFault, outcome: str, paid: int) -> None:
    plant = Plant()
    mark = await plant.driver.mark()
    plant.sent.clear()
    plant.line.order(fault, function=WRITE_REGISTERS)
    try:
        await plant.driver.pay(9, mark)
        seen = "started"
    except NotStartedError:
        seen = "not started"
    except OutcomeUnknownError:
        seen = "unknown"
    await asyncio.sleep(1.0)
    progress = await settled(plant.driver, 9, mark)
    assert (seen, progress.paid, plant.program.ejected) == (outcome, paid, paid)
    assert len(plant.writes()) == 1
    await plant.aclose()


@pytest.mark.virtual_time
async def test_a_plc_that_does_not_know_the_registers_is_refused_by_name() -> None:
    plant = Plant(registers=RegisterMap(ack_id=500, delivered=501, state=502, fault=503, total=None))
    with pytest.raises(UnsupportedDispenserError, match=r"illegal data address.*register map"):
        await plant.driver.connect()
    await plant.aclose()


@pytest.mark.virtual_time
async def test_a_program_that_does_not_run_is_found_out_before_the_payout() -> None:
    plant = Plant()
    plant.program.behaviour = PlcBehaviour(scan_s=1e9)
    with pytest.raises(DispenserUnavailableError, match="is its program running"):
        await plant.driver.mark()
    await plant.aclose()


@pytest.mark.virtual_time
async def test_busy_is_asked_again() -> None:
    plant = Plant()
    for _ in range(2):
        plant.line.order(PlcFault.BUSY, function=3)
    assert await plant.driver.level() is Level.FULL
    assert plant.bus.repeats == 2
    await plant.aclose()


@pytest.mark.virtual_time
async def test_a_jam_is_named_and_cleared() -> None:
    plant = Plant()
    plant.program.jam_after = 3
    mark = await plant.driver.mark()
    await plant.driver.pay(9, mark)
    assert await settled(plant.driver, 9, mark) == Progress(3, running=False, fault="jam")
    blocked = await plant.driver.mark()
    await plant.driver.pay(1, blocked)
    assert (await settled(plant.driver, 1, blocked)).paid == 0
    await plant.driver.clear_faults()
    mark = await plant.driver.mark()
    await plant.driver.pay(1, mark)
    assert await settled(plant.driver, 1, mark) == Progress(1, running=False)
    await plant.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("load", "level"), [(0, Level.EMPTY), (5, Level.LOW), (99, Level.OK), (900, Level.FULL)]
)
async def test_level(load: int, level: Level) -> None:
    plant = Plant()
    plant.program.refill(load)
    assert await plant.driver.level() is level
    await plant.aclose()


@pytest.mark.virtual_time
async def test_a_map_without_stop_clear_and_level() -> None:
    plant = Plant(registers=RegisterMap(stop=None, clear=None, level=None))
    assert not plant.driver.capabilities.emergency_stop
    assert not plant.driver.capabilities.level_sensors
    with pytest.raises(DispenserUnavailableError, match="no stop register"):
        await plant.driver.stop()
    await plant.driver.clear_faults()
    assert await plant.driver.level() is Level.UNKNOWN
    assert plant.sent == []
    await plant.aclose()


@pytest.mark.virtual_time
async def test_stop_reaches_a_payout_that_the_plc_has_not_seen_yet() -> None:
    plant = Plant()
    mark = await plant.driver.mark()
    plant.program.behaviour = PlcBehaviour(scan_s=0.2)
    await plant.driver.pay(9, mark)
    await plant.driver.stop()
    assert await settled(plant.driver, 9, mark) == Progress(0, running=False)
    await asyncio.sleep(5)
    assert plant.program.ejected == 0
    await plant.aclose()


@pytest.mark.virtual_time
async def test_ids_wrap_and_are_never_zero_nor_what_stands_in_the_plc() -> None:
    plant = Plant()
    await plant.driver.mark()
    plant.program.write(1, [65534])
    await asyncio.sleep(0.1)
    for request in (65535, 1, 2):
        mark = await plant.driver.mark()
        assert mark["request"] == request
        await plant.driver.pay(1, mark)
        assert (await settled(plant.driver, 1, mark)).paid == 1
    await plant.aclose()


@pytest.mark.virtual_time
async def test_an_id_that_the_plc_mirrors_already_is_passed_over() -> None:
    plant = Plant()
    plant.program.registers |= {1: 4, 10: 5}
    assert (await plant.driver.mark())["request"] == 6
    await plant.aclose()


@pytest.mark.virtual_time
async def test_several_plcs_on_one_line_pay_at_the_same_time() -> None:
    plant = Plant(count=4)
    marks = [await driver.mark() for driver in plant.drivers]
    for balls, (driver, mark) in enumerate(zip(plant.drivers, marks, strict=True), 3):
        await driver.pay(balls, mark)
    await asyncio.sleep(0.05)
    assert all(program.running for program in plant.programs)
    for balls, (driver, mark) in enumerate(zip(plant.drivers, marks, strict=True), 3):
        assert await settled(driver, balls, mark) == Progress(balls, running=False)
    assert [program.ejected for program in plant.programs] == [3, 4, 5, 6]
    with pytest.raises(ValueError, match="address 1"):
        ModbusPlc(plant.bus, PlcSettings(unit=1))
    await plant.aclose()
