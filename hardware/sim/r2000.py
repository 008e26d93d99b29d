"""A 0xA0 reader (Impinj R2000 class) made of nothing but its documented bytes.

It has the state that a real one has - powers in flash and in RAM, work antenna, antenna group, detector - and
takes the time that a real one takes.

A reader is busy while a round runs. What real ones do with a command then is not documented; this one drops
it and counts it in `ignored`, so that a driver's mistake is seen.

Written from the published protocol descriptions alone; it shares no code with the driver.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from hardware.sim.reader import Field, ListenObserver, ReaderSim, no_tags

INVENTORY_S = 0.03  # one inventory on one port; real ones make 17-29 a second with a tag in the field
TAG_AIR_S = 0.002  # one tag's bytes at 115200 baud
GATHER_S = 0.001
REPLY_S = 0.003
FLASH_WRITE_S = 0.02
DEAF_S = 1.0  # after a reset

OK = 0x10
FAILED = 0x11
ANTENNA_MISSING = 0x22
BAD_PARAMETER = 0x41
BAD_ANTENNA = 0x47
BAD_POWER = 0x48

FORM_SIZES = {10: 4, 18: 8, 29: 8}  # data bytes of an 0x8A request, and how many slots it has


@dataclass(slots=True)
class R2000Faults:
    """Faults of the reader itself; those of the line are in `line.faults`."""

    hung: bool = False  # says nothing; a reset cures it
    dead: bool = False  # says nothing, whatever is done
    slow_s: float = 0.0  # more for every reply
    lose_round_ends: int = 0  # the next so many rounds have no end frame
    round_error: int = 0  # answered to every inventory request instead of a round
    silent_commands: frozenset[int] = frozenset()  # commands that this firmware does not answer


class R2000Sim(ReaderSim):
    """The reader. `deliver` takes its bytes towards the driver."""

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        *,
        ports: int = 8,
        field: Field = no_tags,
        on_listen: ListenObserver | None = None,
        rng: random.Random | None = None,
        address: int = 1,
        forms: frozenset[int] | None = None,
        firmware: tuple[int, int] = (1, 9),
        identifier: bytes = b"SIM-R2000-01",
        lowest_temporary_dbm: int = 20,
    ) -> None:
        super().__init__(deliver, ports=ports, field=field, on_listen=on_listen, rng=rng, address=address)
        self.faults = R2000Faults()
        self.forms = forms if forms is not None else frozenset({10 if ports <= 4 else 18})
        self.firmware = firmware
        self.identifier = identifier
        self.lowest_temporary_dbm = lowest_temporary_dbm
        self.detector_db = 3
        self.names_missing_ports = True  # else a missing antenna ends the round with a bare error
        self.failing_ports: dict[int, int] = {}  # error codes that end a round on these ports
        self.resets = 0
        self.ignored = 0  # commands that came while a round ran
        self.rounds = 0
        self._ram_dbm: int | None = None
        self._work_antenna = 0
        self._group = 0
        self._deaf_until = 0.0

    # What a person does to the reader.

    def power_dbm(self, port: int) -> int:
        """What this port sends with now."""
        return self.flash_dbm[port - 1] if self._ram_dbm is None else self._ram_dbm

    def power_cycle(self) -> None:
        self.faults.hung = False
        self._restart()

    # The wire.

    def receive(self, data: bytes) -> None:
        """Bytes from the driver."""
        if asyncio.get_running_loop().time() < self._deaf_until:
            return
        self._received += data
        while (frame := self._next_frame()) is not None:
            self._obey(frame)

    def _next_frame(self) -> bytes | None:
        held = self._received
        while held:
            if held[0] != 0xA0:
                del held[0]
            elif len(held) < 2 or len(held) < held[1] + 2:
                return None
            else:
                size = held[1] + 2
                frame = bytes(held[:size])
                if size >= 5 and sum(frame) % 256 == 0:
                    del held[:size]
                    return frame
                del held[0]
        return None

    def _obey(self, frame: bytes) -> None:
        to, command, data = frame[2], frame[3], frame[4:-1]
        if to not in (self.address, 0xFF) or self.faults.dead:
            return
        self.commands[command] += 1
        if command == 0x70:
            self.faults.hung = False
            self._restart()
        elif self.faults.hung or command in self.faults.silent_commands:
            return
        elif self._busy:
            self.ignored += 1
        else:
            self._answer(command, data)

    def _answer(self, command: int, data: bytes) -> None:
        match command, len(data):
            case 0x89, 1:
                self._start_round(command, [(self._group * 8 + self._work_antenna + 1, data[0])], 0.0, 1)
            case 0x8A, size:
                self._fast_switch(data, size)
            case 0x76, _:
                self._reply_later(lambda: self._reply(command, self._save_power(data)), FLASH_WRITE_S)
            case _:
                self._reply_later(lambda: self._reply(command, self._plain(command, data)))

    def _plain(self, command: int, data: bytes) -> bytes:
        """The data of the reply to a short command."""
        first = self._group * 8
        powers = bytes(self.flash_dbm[first : first + 8])
        uniform = len(set(powers)) == 1
        match command, tuple(data):
            case 0x72, ():
                return bytes(self.firmware)
            case 0x68, ():
                return self.identifier[:12].ljust(12, b"\xff")
            case 0x7B, ():
                return b"\x01\x22"
            case 0x6C, (0 | 1 as group,) if self.ports > 8:
                self._group = group
                return bytes((OK,))
            case 0x6D, () if self.ports > 8:
                return bytes((self._group,))
            case 0x74, (antenna,):
                if antenna >= min(self.ports, 8):
                    return bytes((BAD_ANTENNA,))
                self._work_antenna = antenna
                return bytes((OK,))
            case 0x75, ():
                return bytes((self._work_antenna,))
            case 0x77, () if uniform or self.ports <= 4:
                return powers[:1] if uniform else powers
            case 0x97, () if self.ports > 4:
                return powers[:1] if uniform else powers
            case 0x66, (dbm,):
                if not self.lowest_temporary_dbm <= dbm <= self.highest_dbm:
                    return bytes((BAD_POWER,))
                self._ram_dbm = dbm
                return bytes((OK,))
            case 0x62, (threshold,):
                self.detector_db = threshold
                return bytes((OK,))
            case 0x63, ():
                return bytes((self.detector_db,))
            case 0x7E, (_,):
                return bytes((self._return_loss(self._group * 8 + self._work_antenna + 1),))
        return bytes((FAILED,))

    def _return_loss(self, port: int) -> int:
        return 1 if port in self._unplugged else 14

    def _save_power(self, data: bytes) -> bytes:
        slots = min(self.ports, 8)
        if len(data) not in (1, 4 if self.ports <= 4 else 8):
            return bytes((BAD_PARAMETER,))
        if any(dbm > self.highest_dbm for dbm in data):
            return bytes((BAD_POWER,))
        first = self._group * 8
        self.flash_dbm[first : first + slots] = list(data * slots)[:slots]
        self.flash_writes += 1
        self._ram_dbm = None
        return bytes((OK,))

    # Rounds.

    def _fast_switch(self, data: bytes, size: int) -> None:
        if size not in self.forms:
            self._reply_later(lambda: self._reply(0x8A, bytes((BAD_PARAMETER,))))
            return
        slots = FORM_SIZES[size]
        visits = [
            (self._group * 8 + data[2 * slot] + 1, data[2 * slot + 1])
            for slot in range(slots)
            if data[2 * slot] < min(self.ports, 8) and data[2 * slot + 1] > 0
        ]
        self._start_round(0x8A, visits, data[2 * slots] / 1000, data[-1])

    def _start_round(
        self, command: int, visits: list[tuple[int, int]], interval_s: float, repeat: int
    ) -> None:
        if self.faults.round_error:
            error = bytes((self.faults.round_error,))
            self._reply_later(lambda: self._reply(command, error))
            return
        self._busy = True
        started = asyncio.get_running_loop().time()
        self._visit(command, visits * max(repeat, 1), 0, interval_s, started, 0)

    def _visit(
        self,
        command: int,
        visits: list[tuple[int, int]],
        index: int,
        interval_s: float,
        started: float,
        total: int,
    ) -> None:
        """Listen on one port after another; each call is the start of one visit."""
        loop = asyncio.get_running_loop()
        if index == len(visits):
            self._reply_later(lambda: self._end_round(command, visits, started, total))
            return
        port, stay = visits[index]
        if port in self.failing_ports:
            self._busy = False
            self._reply(command, bytes((self.failing_ports[port],)))
            return
        if self.detector_db and self._return_loss(port) < self.detector_db:
            if command == 0x89 or not self.names_missing_ports:
                self._busy = False
                self._reply(command, bytes((ANTENNA_MISSING,)))
                return
            self._reply(command, bytes(((port - 1) % 8, ANTENNA_MISSING)))
            self._later(
                GATHER_S + interval_s,
                lambda: self._visit(command, visits, index + 1, interval_s, started, total),
            )
            return
        arrived = loop.time()
        rounds = 1 if stay == 0xFF else stay
        duration = rounds * INVENTORY_S

        def left() -> None:
            heard = self._hear(command, port, arrived, rounds)
            if self.on_listen is not None and not self._is_deaf(port):
                self.on_listen(port, arrived, loop.time())
            # More tags than fit into the visit go on for as long as the line needs for them.
            rest_s = max(heard * TAG_AIR_S - duration, 0.0) + interval_s
            if rest_s > 0:
                self._later(
                    rest_s,
                    lambda: self._visit(command, visits, index + 1, interval_s, started, total + heard),
                )
            else:
                self._visit(command, visits, index + 1, interval_s, started, total + heard)

        self._later(duration, left)

    def _hear(self, command: int, port: int, arrived: float, rounds: int) -> int:
        if self._is_deaf(port):
            return 0
        count = 0
        for number in range(rounds):
            for epc, rssi_dbm in self.field(port, arrived + (number + 1) * INVENTORY_S):
                self._reply(command, self._tag(port, epc, rssi_dbm))
                count += 1
        return count

    def _tag(self, port: int, epc: str, rssi_dbm: int) -> bytes:
        code = bytes.fromhex(epc)
        low = (port - 1) % 8
        frequency = 4  # 867.0 MHz
        rssi = min(max(rssi_dbm + 129, 0), 0x7F)
        protocol_control = (len(code) // 2) << 11
        return bytes(
            (
                frequency << 2 | low & 3,
                protocol_control >> 8,
                protocol_control & 0xFF,
                *code,
                rssi | low >> 2 << 7,
            )
        )

    def _end_round(self, command: int, visits: list[tuple[int, int]], started: float, total: int) -> None:
        self._busy = False
        self.rounds += 1
        if self.faults.lose_round_ends > 0:
            self.faults.lose_round_ends -= 1
            return
        elapsed = asyncio.get_running_loop().time() - started
        if command == 0x8A:
            data = total.to_bytes(3, "big") + round(elapsed * 1000).to_bytes(4, "big")
        else:
            rate = min(round(total / elapsed) if elapsed else 0, 0xFFFF)
            data = bytes(((visits[0][0] - 1) % 8,)) + rate.to_bytes(2, "big") + total.to_bytes(4, "big")
        self._reply(command, data)

    # Bytes out.

    def _reply_later(self, call: Callable[[], None], delay_s: float = REPLY_S) -> None:
        self._later(delay_s + self.faults.slow_s, call)

    def _reply(self, command: int, data: bytes) -> None:
        if self.faults.hung or self.faults.dead:
            return
        body = bytes((0xA0, len(data) + 3, self.address, command)) + data
        self.line.send(body + bytes(((256 - sum(body) % 256) % 256,)))

    def _restart(self) -> None:
        self._stop_timers()
        self.resets += 1
        self._received.clear()
        self._ram_dbm = None
        self._group = self._work_antenna = 0
        self._busy = False
        self._deaf_until = asyncio.get_running_loop().time() + DEAF_S
