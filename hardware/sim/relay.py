"""Simulated relay boards, each channel on the coin input of a simulated ball machine.

A `TrayMachine` is what the contact sees: a closure that lasts long enough tips the tray once, however long it
lasts, and balls roll out past a light beam. A board turns bytes into closures and speaks as its kind does:
LCUS never acknowledges (and its status texts differ), KMTronic answers a question with three bytes, Numato
echoes and prompts, Waveshare is a Modbus slave that times its own pulse. Time is the running loop's, by
timers only. Written from the boards' own documents: it shares no code with the drivers.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from hardware.sim.plc import exception


class TrayMachine:
    """A machine that pays `balls_per_pulse` balls per closure of its coin input."""

    def __init__(
        self,
        *,
        balls_per_pulse: int = 25,
        balls_per_s: float = 20.0,
        min_pulse_s: float = 0.05,
        tip_s: float = 0.5,
        on_ball: Callable[[int], None] | None = None,
    ) -> None:
        self.on_ball = on_ball
        # The truth.
        self.pulses = 0
        self.ejected = 0
        self.closed = False
        self.closures = 0  # also those that were too short
        # What is to happen.
        self.load: int | None = None  # balls left; None: endless
        self.beam_stuck = False
        self._balls_per_pulse = balls_per_pulse
        self._ball_s = 1 / balls_per_s
        self._min_pulse_s = min_pulse_s
        self._tip_s = tip_s
        self._waiting: list[int] = []  # balls of each tip that is to come
        self._seen: asyncio.TimerHandle | None = None
        self._rolling: asyncio.TimerHandle | None = None
        self._beam_until = 0.0

    @property
    def commanded(self) -> int:
        return self.pulses * self._balls_per_pulse

    @property
    def running(self) -> bool:
        return self._rolling is not None

    @property
    def beam_blocked(self) -> bool:
        return self.beam_stuck or asyncio.get_running_loop().time() < self._beam_until

    def contact(self, *, closed: bool) -> None:
        if closed == self.closed:
            return
        self.closed = closed
        if closed:
            self.closures += 1
            self._seen = asyncio.get_running_loop().call_later(self._min_pulse_s, self._accept)
        elif self._seen is not None:
            self._seen.cancel()
            self._seen = None

    def _accept(self) -> None:
        self._seen = None
        self.pulses += 1
        self._waiting.append(self._balls_per_pulse)
        if self._rolling is None:
            self._rolling = asyncio.get_running_loop().call_later(self._tip_s, self._next_ball)

    def _next_ball(self) -> None:
        loop = asyncio.get_running_loop()
        self._rolling = None
        if self.load == 0:
            self._waiting.clear()
            return
        if self.load is not None:
            self.load -= 1
        index = self.ejected
        self.ejected += 1
        self._beam_until = loop.time() + self._ball_s * 0.6
        self._waiting[0] -= 1
        if self._waiting[0] == 0:
            del self._waiting[0]
        if self._waiting:
            self._rolling = loop.call_later(self._ball_s, self._next_ball)
        if self.on_ball is not None:
            self.on_ball(index)


class BoardKind(StrEnum):
    LCUS = "lcus"  # silent
    LCUS_ECHO = "lcus, echoes"
    LCUS_STATUS = "lcus, status texts"
    KMTRONIC = "kmtronic"
    NUMATO = "numato"


class SerialBoardSim:
    """A board with a serial port of its own; the first machine hangs on channel 1."""

    def __init__(self, kind: BoardKind, machines: list[TrayMachine], send: Callable[[bytes], None]) -> None:
        self.kind = kind
        self.machines = machines
        self.send = send
        self.dumb = False  # obeys and says nothing
        self.reply_delay_s = 0.005
        self.deaf_to_on = False  # a worn relay: ON does nothing, and the board says so
        self.cut_after_on: Callable[[], None] | None = None  # the plug is pulled with a contact closed
        self._heard = bytearray()
        self._powered = True

    def receive(self, data: bytes) -> None:
        if not self._powered:
            return
        self._heard += data
        match self.kind:
            case BoardKind.LCUS | BoardKind.LCUS_ECHO | BoardKind.LCUS_STATUS:
                self._hear_lcus()
            case BoardKind.KMTRONIC:
                self._hear_kmtronic()
            case BoardKind.NUMATO:
                self._hear_numato()

    def power_off(self) -> None:
        """Relays fall off."""
        self._powered = False
        self._heard.clear()
        for machine in self.machines:
            machine.contact(closed=False)

    def power_on(self) -> None:
        self._powered = True

    def _switch(self, channel: int, *, on: bool) -> None:
        if not 1 <= channel <= len(self.machines) or (on and self.deaf_to_on):
            return
        self.machines[channel - 1].contact(closed=on)
        if on and self.cut_after_on is not None:
            cut, self.cut_after_on = self.cut_after_on, None
            cut()

    def _say(self, data: bytes) -> None:
        if not self.dumb:
            asyncio.get_running_loop().call_later(self.reply_delay_s, self.send, data)

    def _hear_lcus(self) -> None:
        while self._heard:
            if self._heard[0] == 0xFF:
                del self._heard[0]
                states = (f"CH{at}: {'ON' if m.closed else 'OFF'}" for at, m in enumerate(self.machines, 1))
                self._say("\r\n".join(states).encode())
                continue
            if self._heard[0] != 0xA0:
                del self._heard[0]
                continue
            if len(self._heard) < 4:
                return
            frame = bytes(self._heard[:4])
            del self._heard[:4]
            if sum(frame[:3]) % 256 != frame[3]:
                continue
            self._switch(frame[1], on=frame[2] == 1)
            if self.kind is BoardKind.LCUS_ECHO:
                self._say(frame)
            elif self.kind is BoardKind.LCUS_STATUS:
                self._say(f"CH{frame[1]}: {'ON' if frame[2] else 'OFF'}\r\n".encode())

    def _hear_kmtronic(self) -> None:
        while len(self._heard) >= 3:
            if self._heard[0] != 0xFF:
                del self._heard[0]
                continue
            channel, action = self._heard[1], self._heard[2]
            del self._heard[:3]
            if action in (0, 1):
                self._switch(channel, on=action == 1)
            elif action == 3 and 1 <= channel <= len(self.machines):
                self._say(bytes((0xFF, channel, self.machines[channel - 1].closed)))

    def _hear_numato(self) -> None:
        while b"\r" in self._heard:
            line, _, rest = bytes(self._heard).partition(b"\r")
            self._heard = bytearray(rest)
            words = line.decode("ascii", "replace").split()
            answer = ""
            match words:
                case ["relay", ("on" | "off") as state, digit]:
                    self._switch(int(digit, 16) + 1, on=state == "on")
                case ["relay", "read", digit]:
                    answer = "on" if self.machines[int(digit, 16)].closed else "off"
                case ["gpio", "read", digit]:
                    answer = "1" if self.machines[int(digit, 16)].beam_blocked else "0"
            reply = f"\n\r{answer}\n\r>" if answer else "\n\r>"
            self._say(line + reply.encode())


class WaveshareSim:
    """A Modbus slave for `hardware.sim.plc.ModbusLine`: coils with FLASH-ON, and beams as discrete inputs."""

    def __init__(self, machines: list[TrayMachine]) -> None:
        self.machines = machines
        self._powered = True
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def powered(self) -> bool:
        return self._powered

    def power_off(self) -> None:
        """Relays fall off."""
        for at in range(len(self.machines)):
            self._switch(at, on=False)
        self._powered = False

    def power_on(self) -> None:
        self._powered = True

    def power_dip(self) -> None:
        self.power_off()
        asyncio.get_running_loop().call_later(0.5, self.power_on)

    def obey(self, function: int, data: bytes) -> bytes:
        address = int.from_bytes(data[:2], "big")
        value = int.from_bytes(data[2:4], "big")
        count = len(self.machines)
        match function:
            case 1 | 2 if address + value <= count:
                states = [m.closed if function == 1 else m.beam_blocked for m in self.machines]
                bits = sum(state << at for at, state in enumerate(states[address : address + value]))
                size = (value + 7) // 8
                return bytes((function, size)) + bits.to_bytes(size, "little")
            case 5 if address < count and value in (0x0000, 0xFF00):
                self._switch(address, on=value == 0xFF00)
            case 5 if 0x0200 <= address < 0x0200 + count and 1 <= value <= 0x7FFF:
                at = address - 0x0200
                self._switch(at, on=True)
                timer = asyncio.get_running_loop().call_later(value * 0.1, self._end_flash, at)
                self._timers[at] = timer
            case 1 | 2 | 5:
                return exception(function, 2)
            case _:
                return exception(function, 1)
        return bytes((function,)) + data[:4]

    def _switch(self, at: int, *, on: bool) -> None:
        timer = self._timers.pop(at, None)
        if timer is not None:
            timer.cancel()
        self.machines[at].contact(closed=on)

    def _end_flash(self, at: int) -> None:
        self._timers.pop(at, None)
        self.machines[at].contact(closed=False)
