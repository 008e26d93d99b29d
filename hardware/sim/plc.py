"""A simulated PLC that dispenses on request over Modbus RTU, speaking real bytes, with faults to order.

Two halves. `PlcProgram` is the ladder program: registers, the latch on a changed request id, the motor and
the counting beam; it knows no Modbus and can also stand behind another server. `ModbusLine` is the wire with
its slaves: bytes at the pace of the baud rate, CRC, exceptions, faults. Time is the running loop's, by timers
only. Written from the Modbus documents: it shares no code with the driver.

The program, as an integrator has to write it:

- when `request_id` changes: latch `count`, mirror the id in `ack_id`, clear `delivered`, run until that is
  the count, the hopper is empty or it jams; a count of 0 is a request like any other;
- `stop` that is not 0 is cleared and ends the payout, also one that is latched in the same scan;
- `clear` that is not 0 is cleared and takes the fault away;
- after power-up `ack_id` is 0, and what stands in `request_id` counts as known: nothing starts by itself;
- `total` counts all balls and is kept.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

BYTE_BITS = 11


class PlcFault(StrEnum):
    """What can go wrong with one request."""

    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"  # carried out, but the master never hears so
    REPLY_CORRUPT = "reply corrupt"
    REPLY_CUT = "reply cut"
    REPLY_SLOW = "reply slow"
    BUSY = "busy"  # exception 6, not carried out
    FAILURE = "failure"  # exception 4, carried out all the same
    RESET_BEFORE = "reset before"  # the PLC restarts instead of answering
    RESET_AFTER = "reset after"


@dataclass(frozen=True, slots=True)
class PlcLayout:
    """Addresses of the registers."""

    count: int = 0
    request_id: int = 1
    stop: int = 2
    clear: int = 3
    ack_id: int = 10
    delivered: int = 11
    state: int = 12
    fault: int = 13
    total: int = 14
    level: int = 15


@dataclass(frozen=True, slots=True)
class PlcBehaviour:
    balls_per_s: float = 8.0
    scan_s: float = 0.02  # a request is seen that much later
    spin_up_s: float = 0.2
    empty_timeout_s: float = 2.0
    restart_s: float = 0.5
    keeps_total: bool = True


IDLE, RUNNING, DONE, FAILED = range(4)
NO_FAULT, JAM, EMPTY = range(3)


class PlcProgram:
    """Registers and motor of one dispenser. `on_ball(index)` is called for each ball as it leaves."""

    def __init__(
        self,
        layout: PlcLayout | None = None,
        behaviour: PlcBehaviour | None = None,
        on_ball: Callable[[int], None] | None = None,
    ) -> None:
        self.layout = layout or PlcLayout()
        self.behaviour = behaviour or PlcBehaviour()
        self.on_ball = on_ball
        self.registers = dict.fromkeys(range(max(self._addresses()) + 1), 0)
        # The truth.
        self.commanded = 0
        self.ejected = 0
        self.resets = 0
        # What is to happen.
        self.load: int | None = None
        self.jam_after: int | None = None
        self.reset_after: int | None = None
        self._latched = 0
        self._wanted = 0
        self._motor: asyncio.TimerHandle | None = None
        self._scan: asyncio.TimerHandle | None = None
        self.powered = True
        self._show_level()

    @property
    def running(self) -> bool:
        return self._motor is not None

    def get(self, name: str) -> int:
        return self.registers[getattr(self.layout, name)]

    def write(self, address: int, values: list[int]) -> None:
        """What the master wrote; the program sees it at its next scan."""
        for offset, value in enumerate(values):
            self.registers[address + offset] = value
        if self._scan is None:
            loop = asyncio.get_running_loop()
            self._scan = loop.call_later(self.behaviour.scan_s, self._run_scan)

    def power_off(self) -> None:
        """Stops everything; registers are cleared except the total, if that is kept."""
        for timer in (self._motor, self._scan):
            if timer is not None:
                timer.cancel()
        self._motor = self._scan = None
        total = self.get("total") if self.behaviour.keeps_total else 0
        self.registers = dict.fromkeys(self.registers, 0)
        self._set("total", total)
        self._latched = 0
        self._show_level()
        self.resets += 1
        self.powered = False

    def power_on(self) -> None:
        asyncio.get_running_loop().call_later(self.behaviour.restart_s, self._power_up)

    def power_dip(self) -> None:
        self.power_off()
        self.power_on()

    def forget_faults(self) -> None:
        self.jam_after = self.reset_after = None

    def refill(self, balls: int | None) -> None:
        self.load = balls
        self._show_level()

    def _power_up(self) -> None:
        self.powered = True

    def _addresses(self) -> list[int]:
        layout = self.layout
        return [getattr(layout, name) for name in layout.__slots__]

    def _set(self, name: str, value: int) -> None:
        self.registers[getattr(self.layout, name)] = value

    def _run_scan(self) -> None:
        self._scan = None
        stop = self.get("stop") != 0
        self._set("stop", 0)
        if self.get("clear"):
            self._set("clear", 0)
            self._set("fault", NO_FAULT)
        if stop and self._motor is not None:
            self._finish(DONE, NO_FAULT)
        if self.get("request_id") == self._latched:
            return
        self._latched = self.get("request_id")
        if self._motor is not None:
            self._motor.cancel()
            self._motor = None
        self._set("ack_id", self._latched)
        self._set("delivered", 0)
        self._wanted = self.get("count")
        if self.get("fault") == JAM:
            return  # wants a person first
        self._set("fault", NO_FAULT)
        if self._wanted == 0 or stop:
            self._set("state", DONE)
            return
        self.commanded += self._wanted
        self._set("state", RUNNING)
        self._turn(self.behaviour.spin_up_s + 1 / self.behaviour.balls_per_s)

    def _turn(self, delay_s: float) -> None:
        self._motor = asyncio.get_running_loop().call_later(delay_s, self._next_ball)

    def _next_ball(self) -> None:
        delivered = self.get("delivered")
        if self.jam_after is not None and delivered >= self.jam_after:
            self.jam_after = None
            self._finish(FAILED, JAM)
            return
        if self.load == 0:
            loop = asyncio.get_running_loop()
            self._motor = loop.call_later(self.behaviour.empty_timeout_s, self._finish, FAILED, EMPTY)
            return
        if self.load is not None:
            self.load -= 1
        index = self.ejected
        self.ejected += 1
        self._set("delivered", delivered + 1)
        self._set("total", (self.get("total") + 1) % 65536)
        self._show_level()
        if self.reset_after is not None and delivered + 1 >= self.reset_after:
            self.reset_after = None
            self.power_dip()
        elif delivered + 1 >= self._wanted:
            self._finish(DONE, NO_FAULT)
        else:
            self._turn(1 / self.behaviour.balls_per_s)
        if self.on_ball is not None:
            self.on_ball(index)

    def _finish(self, state: int, fault: int) -> None:
        if self._motor is not None:
            self._motor.cancel()
        self._motor = None
        self._set("state", state)
        self._set("fault", fault)

    def _show_level(self) -> None:
        """0 empty, 1 low, 2 enough, 3 full."""
        if self.load is None or self.load > 500:
            self._set("level", 3)
        else:
            self._set("level", 0 if self.load == 0 else 1 if self.load < 20 else 2)


class Slave(Protocol):
    """What answers under one unit number."""

    @property
    def powered(self) -> bool: ...

    def power_dip(self) -> None: ...

    def obey(self, function: int, data: bytes) -> bytes:
        """Function code and data of the answer."""
        ...


class PlcSlave:
    """A program behind functions 3, 6 and 16 (application protocol V1.1b3, 6.3, 6.6, 6.12)."""

    def __init__(self, program: PlcProgram) -> None:
        self.program = program

    @property
    def powered(self) -> bool:
        return self.program.powered

    def power_dip(self) -> None:
        self.program.power_dip()

    def obey(self, function: int, data: bytes) -> bytes:
        registers = self.program.registers
        address = int.from_bytes(data[:2], "big")
        number = int.from_bytes(data[2:4], "big")
        match function:
            case 3:
                wanted = range(address, address + number)
                if any(at not in registers for at in wanted):
                    return exception(function, 2)
                return bytes((3, 2 * number)) + b"".join(registers[at].to_bytes(2, "big") for at in wanted)
            case 6:
                values = [number]
            case 16:
                words = data[5:]
                values = [int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2)]
            case _:
                return exception(function, 1)
        if any(at not in registers for at in range(address, address + len(values))):
            return exception(function, 2)
        self.program.write(address, values)
        return bytes((function,)) + data[:4]


class ModbusLine:
    """The wire between one master and its slaves."""

    def __init__(self, send: Callable[[bytes], None], *, baudrate: int = 19200) -> None:
        self.send = send  # towards the master
        self.frames_heard = 0
        self.bad_frames = 0
        self.reply_delay_s = 0.005
        self.slow_reply_s = 0.5
        self._byte_s = BYTE_BITS / baudrate
        self._gap_s = max(3.5 * self._byte_s, 0.00175)
        self._slaves: dict[int, Slave] = {}
        self._faults: list[tuple[int, PlcFault, int | None]] = []
        self._heard = bytearray()
        self._heard_at = 0.0
        self._free_at = 0.0

    def attach(self, unit: int, slave: Slave) -> None:
        if unit in self._slaves:
            raise ValueError(f"two slaves with unit number {unit} on one wire")
        self._slaves[unit] = slave

    def order(self, fault: PlcFault, function: int | None = None, unit: int = 1) -> None:
        """Let this happen to the unit's next request, or to the next one with this function."""
        self._faults.append((unit, fault, function))

    def forget_faults(self) -> None:
        self._faults.clear()

    def receive(self, data: bytes) -> None:
        """What the master wrote."""
        self._pass(data, self._from_master)

    def _pass(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + len(data) * self._byte_s
        loop.call_at(self._free_at, deliver, data)

    def _from_master(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        # Slaves do see the silence between frames; it ends whatever was incomplete.
        if self._heard and now - self._heard_at > self._gap_s + len(data) * self._byte_s:
            self._heard.clear()
            self.bad_frames += 1
        self._heard += data
        self._heard_at = now
        while len(self._heard) >= 8:
            size = 9 + self._heard[6] if self._heard[1] in (15, 16) else 8
            if len(self._heard) < size:
                return
            raw = bytes(self._heard[:size])
            del self._heard[:size]
            if _crc(raw[:-2]) != raw[-2:]:
                self.bad_frames += 1
                self._heard.clear()
                return
            self._dispatch(raw)

    def _dispatch(self, raw: bytes) -> None:
        unit, function = raw[0], raw[1]
        slave = self._slaves.get(unit)
        if slave is None:
            return
        self.frames_heard += 1
        fault = self._next_fault(unit, function)
        if fault is PlcFault.RESET_BEFORE:
            slave.power_dip()
        if not slave.powered or fault is PlcFault.REQUEST_LOST:
            return
        body = exception(function, 6) if fault is PlcFault.BUSY else slave.obey(function, raw[2:-2])
        if fault is PlcFault.RESET_AFTER:
            slave.power_dip()
        if fault in (PlcFault.REPLY_LOST, PlcFault.RESET_AFTER):
            return
        if fault is PlcFault.FAILURE:
            body = exception(function, 4)
        reply = bytes((unit,)) + body
        reply += _crc(reply)
        if fault is PlcFault.REPLY_CORRUPT:
            reply = reply[:-3] + bytes((reply[-3] ^ 0x10,)) + reply[-2:]
        elif fault is PlcFault.REPLY_CUT:
            reply = reply[: len(reply) // 2]
        delay_s = self.slow_reply_s if fault is PlcFault.REPLY_SLOW else self.reply_delay_s
        asyncio.get_running_loop().call_later(delay_s, self._pass, reply, self._to_master)

    def _to_master(self, data: bytes) -> None:
        self.send(data)

    def _next_fault(self, unit: int, function: int) -> PlcFault | None:
        for position, (at, fault, wanted) in enumerate(self._faults):
            if at == unit and wanted in (None, function):
                del self._faults[position]
                return fault
        return None


def exception(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))


def _crc(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")
