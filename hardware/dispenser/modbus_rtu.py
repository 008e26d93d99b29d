"""A PLC as a dispenser that pays each ball once.

Count and request id are written together (FC16); the PLC starts when it sees the id change, so that the same
write twice is one payout, and mirrors the id with what it delivered. After a lost reply, a crash or a power
cut the id tells: mirrored = this payout, standing in the request register = on its way, neither = it never
arrived. An id of 0 is mirrored only after the PLC's power-up; a request for 0 balls then gives it an id, so
that 0 always means a reset. Where a running total is kept, it is the arbiter.

The addresses are configuration (`RegisterMap`). What the PLC's program has to do is written at the head of
`hardware.sim.plc`. Source: MODBUS application protocol V1.1b3, 6.3, 6.6, 6.12.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hardware.dispenser.dispenser import (
    RESET,
    Capabilities,
    DispenserUnavailableError,
    Identity,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    UnsupportedDispenserError,
)
from hardware.dispenser.line import ExchangeError, or_unavailable
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus import (
    ExceptionCode,
    parse_registers,
    read_registers,
    write_register,
    write_registers,
)
from hardware.dispenser.modbus_bus import ModbusBus, ModbusExceptionError, ModbusTurn
from hardware.link import LinkError

ID_MODULUS = 65_536
ACK_POLLS = 20  # for the request of 0 balls; a PLC scan takes 10 to 50 ms
ACK_POLL_S = 0.05
VERDICTS = 5  # to find two in a row that agree

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Addresses of holding registers, as they are on the wire (the first is 0), and their codes."""

    count: int = 0
    request_id: int = 1  # directly after `count`: both are written in one request
    stop: int | None = 2  # a non-zero value ends the payout; None: the PLC offers none
    clear: int | None = 3  # a non-zero value clears the fault; None: a button on the machine does
    ack_id: int = 10
    delivered: int = 11
    state: int = 12
    fault: int = 13
    total: int | None = 14  # all balls ever, modulo 65536, kept over power cuts
    level: int | None = 15
    running_states: frozenset[int] = frozenset((1,))
    faults: Mapping[int, str] = field(default_factory=lambda: {1: "jam", 2: "empty", 3: "lid open"})
    levels: Mapping[int, Level] = field(
        default_factory=lambda: {0: Level.EMPTY, 1: Level.LOW, 2: Level.OK, 3: Level.FULL}
    )

    def __post_init__(self) -> None:
        if self.request_id != self.count + 1:
            raise ValueError(
                f"register request_id ({self.request_id}) must follow count ({self.count}): "
                "both are written in one request"
            )
        if self.report_size > 125:
            raise ValueError(
                f"ack_id, delivered, state, fault and total span {self.report_size} registers; "
                "one request reads at most 125"
            )

    @property
    def report_addresses(self) -> tuple[int, ...]:
        """What is read together, so that it belongs together."""
        total = () if self.total is None else (self.total,)
        return (self.ack_id, self.delivered, self.state, self.fault, *total)

    @property
    def report_start(self) -> int:
        return min(self.report_addresses)

    @property
    def report_size(self) -> int:
        return max(self.report_addresses) - self.report_start + 1


@dataclass(frozen=True, slots=True)
class PlcSettings:
    unit: int = 1
    registers: RegisterMap = field(default_factory=RegisterMap)
    max_per_payout: int = 255


@dataclass(frozen=True, slots=True)
class Report:
    """The PLC's registers of one moment."""

    ack_id: int
    delivered: int
    running: bool
    fault: str | None
    total: int | None


def judge(balls: int, mark: Mark, report: Report, requested: int) -> Progress:
    """What became of the payout of `balls` after `mark`. Pure; `requested` stands in the request register."""
    moved = _moved(mark, report.total)
    if report.ack_id == mark["request"]:
        paid = report.delivered if report.delivered <= balls else None
        return Progress(paid, report.running, report.fault if paid is not None else "delivered too many")
    if report.ack_id == mark["ack"]:
        if requested == mark["request"]:
            return Progress(0, running=True)  # seen at the next scan
        return Progress(0 if not moved else None, running=False, fault=report.fault)
    if report.ack_id == 0:
        paid = moved if moved is not None and moved <= balls else None
        return Progress(paid, running=report.running, fault=RESET)
    return Progress(0 if moved == 0 else None, running=False, fault="other payouts since")


def _moved(mark: Mark, total: int | None) -> int | None:
    before = mark.get("total")
    return None if before is None or total is None else (total - before) % ID_MODULUS


class ModbusPlc:
    """Implements hardware.dispenser.Dispenser."""

    def __init__(self, bus: ModbusBus, settings: PlcSettings | None = None) -> None:
        self._bus = bus
        self._settings = settings or PlcSettings()
        self._map = self._settings.registers
        self._stops = 0
        bus.claim(self._settings.unit, self)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            counted=True,
            level_sensors=self._map.level is not None,
            emergency_stop=self._map.stop is not None,
            max_per_payout=self._settings.max_per_payout,
        )

    async def connect(self) -> Identity:
        self._bus.claim(self._settings.unit, self)
        return await or_unavailable(self._identify())

    async def mark(self) -> Mark:
        return await or_unavailable(self._mark())

    async def pay(self, balls: int, mark: Mark) -> None:
        if not 1 <= balls <= self._settings.max_per_payout:
            raise NotStartedError(f"one payout has 1 to {self._settings.max_per_payout} balls, not {balls}")
        stops, sent = self._stops, False
        try:
            async with self._bus.turn(self._settings.unit) as turn:
                report, requested = await self._report(turn), await self._requested(turn)
                if report.ack_id != mark["ack"] or requested == mark["request"]:
                    raise OutcomeUnknownError(
                        f"{self._who}: requests came by since the mark; ask for progress"
                    )
                if report.running:
                    raise NotStartedError(f"{self._who}: another payout runs")
                if stops != self._stops:
                    raise NotStartedError(f"{self._who}: stopped before the payout began")
                sent = True
                await self._start(turn, balls, mark)
        except (ExchangeError, LinkError, MalformedReplyError) as error:
            if sent:
                raise OutcomeUnknownError(f"ask for progress, do not repeat: {error}") from error
            raise NotStartedError(f"the payout was not begun: {error}") from error

    async def progress(self, balls: int, mark: Mark) -> Progress:
        return await or_unavailable(self._progress(balls, mark))

    async def stop(self) -> None:
        self._stops += 1
        if self._map.stop is None:
            raise DispenserUnavailableError(f"{self._who}: no stop register is configured")
        # Asked, not told: to stop twice does no harm.
        await or_unavailable(
            self._bus.ask(self._settings.unit, write_register(self._map.stop, 1), urgent=True)
        )

    async def clear_faults(self) -> None:
        if self._map.clear is not None:
            request = write_register(self._map.clear, 1)
            await or_unavailable(self._bus.ask(self._settings.unit, request))  # twice does no harm

    async def level(self) -> Level:
        return await or_unavailable(self._level())

    async def aclose(self) -> None:
        await self._bus.release(self._settings.unit, self)

    @property
    def _who(self) -> str:
        return f"{self._bus.name}, unit {self._settings.unit}"

    async def _identify(self) -> Identity:
        try:
            async with self._bus.turn(self._settings.unit) as turn:
                report, requested = await self._report(turn), await self._requested(turn)
        except ModbusExceptionError as error:
            if error.code == ExceptionCode.ILLEGAL_DATA_ADDRESS:
                raise UnsupportedDispenserError(f"{error}; does the register map fit this PLC?") from error
            raise
        return Identity(
            driver="modbus_rtu",
            manufacturer="",
            product="PLC",
            serial="",
            software="",
            details={
                "link": self._bus.name,
                "unit": str(self._settings.unit),
                "request_id": str(requested),
                "ack_id": str(report.ack_id),
            },
        )

    async def _mark(self) -> Mark:
        async with self._bus.turn(self._settings.unit) as turn:
            report, requested = await self._report(turn), await self._requested(turn)
            if report.ack_id == 0 and not report.running:
                report, requested = await self._give_an_id(turn, requested)
        if report.running:
            raise DispenserUnavailableError(f"{self._who}: still pays; wait or stop")
        mark = {"ack": report.ack_id, "request": _next_id(requested, report.ack_id)}
        if report.total is not None:
            mark["total"] = report.total
        return mark

    async def _give_an_id(self, turn: ModbusTurn, requested: int) -> tuple[Report, int]:
        """After a power-up: request 0 balls, so that from now on an id of 0 means another reset."""
        request = _next_id(requested, 0)
        try:
            await turn.tell(write_registers(self._map.count, (0, request)))
        except ExchangeError as error:
            if not error.worth_repeating:
                raise
            await turn.hush()  # whether it arrived shows below
        for _ in range(ACK_POLLS):
            report = await self._report(turn)
            if report.ack_id == request:
                return report, request
            await asyncio.sleep(ACK_POLL_S)
        raise DispenserUnavailableError(
            f"{self._who}: does not acknowledge requests; is its program running?"
        )

    async def _start(self, turn: ModbusTurn, balls: int, mark: Mark) -> None:
        """Write the request, once; without a clear answer look whether it arrived."""
        try:
            await turn.tell(write_registers(self._map.count, (balls, mark["request"])))
            return
        except ModbusExceptionError as error:
            if error.certainly_not_done:
                raise NotStartedError(str(error)) from error
        except (ExchangeError, MalformedReplyError):
            pass  # lost or damaged: it may have arrived
        await turn.hush()
        requested, report = await self._requested(turn), await self._report(turn)
        if mark["request"] in (requested, report.ack_id):
            return
        if report.ack_id == mark["ack"] != 0:
            raise NotStartedError(f"{self._who}: the request did not reach the PLC")
        raise OutcomeUnknownError(f"{self._who}: mirrors request {report.ack_id}; ask for progress")

    async def _progress(self, balls: int, mark: Mark) -> Progress:
        async with self._bus.turn(self._settings.unit) as turn:
            progress = await self._look(turn, balls, mark)
            if progress.running:
                return progress
            # A verdict is believed when it is reached twice: one of the answers may have been a late one.
            for _ in range(VERDICTS):
                previous, progress = progress, await self._look(turn, balls, mark)
                if progress == previous:
                    return progress
        raise DispenserUnavailableError(f"{self._who}: answers differ each time; check the wiring")

    async def _look(self, turn: ModbusTurn, balls: int, mark: Mark) -> Progress:
        # The request register first: what stands there has been seen by the report, or will be.
        requested = await self._requested(turn)
        return judge(balls, mark, await self._report(turn), requested)

    async def _report(self, turn: ModbusTurn) -> Report:
        registers, start = self._map, self._map.report_start
        values = parse_registers(await turn.ask(read_registers(start, registers.report_size)))
        fault = values[registers.fault - start]
        return Report(
            ack_id=values[registers.ack_id - start],
            delivered=values[registers.delivered - start],
            running=values[registers.state - start] in registers.running_states,
            fault=None if fault == 0 else registers.faults.get(fault, f"fault {fault}"),
            total=None if registers.total is None else values[registers.total - start],
        )

    async def _requested(self, turn: ModbusTurn) -> int:
        # With the count, so that the answer looks like no other one that may still be on its way.
        _, request_id = parse_registers(await turn.ask(read_registers(self._map.count, 2)))
        return request_id

    async def _level(self) -> Level:
        if self._map.level is None:
            return Level.UNKNOWN
        data = await self._bus.ask(self._settings.unit, read_registers(self._map.level, 1))
        (value,) = parse_registers(data)
        return self._map.levels.get(value, Level.UNKNOWN)


def _next_id(requested: int, acknowledged: int) -> int:
    """An id that is a change for the PLC, and never 0."""
    request = requested % (ID_MODULUS - 1) + 1
    return request if request != acknowledged else request % (ID_MODULUS - 1) + 1
