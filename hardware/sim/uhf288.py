"""A reader of the UHFReader288 family, made of nothing but its documented bytes.

It answers polls, one antenna each, and takes the time that an inventory takes; in real-time mode it ignores
them and pushes tags instead. Bytes more than 15 ms apart are no frame, as the manual says.

Written from the published protocol descriptions alone; it shares no code with the driver.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from hardware.sim.reader import Field, ListenObserver, ReaderSim, no_tags

INVENTORY_S = 0.04
TAG_S = 0.004  # one tag's bytes at 57600 baud
REPLY_S = 0.004
SAVE_S = 0.02
BYTE_GAP_S = 0.015
HEARTBEAT_S = 1.0
TAGS_PER_FRAME = 8

OK = 0x00
DONE = 0x01
MORE = 0x03
STATISTICS = 0x26
HEARTBEAT = 0x28
ANTENNA_ERROR = 0xF8
NO_TAG = 0xFB
WRONG_LENGTH = 0xFD
ILLEGAL = 0xFE
BAD_PARAMETER = 0xFF
PER_PORT = 0xFF
PUSHED = 0xEE
READER18 = 0x09


def checksum(data: bytes) -> int:
    """The manual's own C routine: polynomial 0x8408, preset 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc


@dataclass(slots=True)
class Uhf288Faults:
    """Faults of the reader itself; those of the line are in `line.faults`."""

    dead: bool = False  # says nothing
    slow_s: float = 0.0  # more for every reply
    statistics: bool = False  # a statistics frame behind every inventory
    poll_error: int = 0  # the status of every poll
    silent_commands: frozenset[int] = frozenset()  # commands that this firmware does not answer


class Uhf288Sim(ReaderSim):
    """The reader. `deliver` takes its bytes towards the driver."""

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        *,
        ports: int = 8,
        field: Field = no_tags,
        on_listen: ListenObserver | None = None,
        rng: random.Random | None = None,
        address: int = 0,
        reader_type: int = 0x20,
        firmware: tuple[int, int] = (2, 1),
        work_mode: int = 0,
        power_per_port: bool = True,
        request_lengths: frozenset[int] | None = None,
    ) -> None:
        super().__init__(deliver, ports=ports, field=field, on_listen=on_listen, rng=rng, address=address)
        self.faults = Uhf288Faults()
        self.reader_type = reader_type
        self.firmware = firmware
        self.work_mode = work_mode
        self.power_per_port = power_per_port
        plain = frozenset({4}) if reader_type == READER18 else frozenset({6, 9})
        self.request_lengths = request_lengths if request_lengths is not None else plain
        self.antenna_check = True
        self.threshold_db = 3
        self.open_loss_db = 1
        self.ignored = 0  # polls that came while an inventory ran
        self.inventories = 0
        self._mask = (1 << ports) - 1
        self._received_at = 0.0
        self._pushing = False

    # What a person does to the reader.

    def power_dbm(self, port: int) -> int:
        return self.flash_dbm[port - 1]

    def power_on(self) -> None:
        """In real-time mode it starts to push by itself."""
        self._stop_timers()
        self._busy = self._pushing = False
        self._received.clear()
        if self.work_mode:
            self._start_pushing()

    # The wire.

    def receive(self, data: bytes) -> None:
        """Bytes from the driver."""
        now = asyncio.get_running_loop().time()
        if now - self._received_at > BYTE_GAP_S:
            self._received.clear()
        self._received_at = now
        self._received += data
        while self._received and len(self._received) > self._received[0]:
            size = self._received[0] + 1
            frame = bytes(self._received[:size])
            del self._received[:size]
            if size < 5 or checksum(frame) != 0:
                self._received.clear()
                return
            self._obey(frame)

    def _obey(self, frame: bytes) -> None:
        length, to, command, data = frame[0], frame[1], frame[2], frame[3:-2]
        if to not in (self.address, 0xFF) or self.faults.dead:
            return
        self.commands[command] += 1
        if command in self.faults.silent_commands:
            return
        if command != 0x01:
            delay = SAVE_S if command in (0x2F, 0x76) else REPLY_S
            self._later(delay + self.faults.slow_s, lambda: self._reply(command, *self._plain(command, data)))
        elif self.work_mode:
            pass  # it does not listen to polls
        elif self._busy:
            self.ignored += 1
        else:
            self._start_inventory(length, data)

    def _plain(self, command: int, data: bytes) -> tuple[int, bytes]:
        """Status and data of the reply to any command but a poll."""
        match command, tuple(data):
            case 0x21, ():
                return OK, self._information()
            case 0x76, (0 | 1 | 2 as mode,) if self.reader_type != READER18:
                self.work_mode = mode
                if mode:
                    self._start_pushing()
                return OK, b""
            case 0x2F, values:
                return self._save_power(values), b""
            case 0x94, () if self.power_per_port:
                return OK, bytes(self.flash_dbm)
            case 0x3F, (mask,) if self.ports <= 4:
                self._mask = mask & 0x0F
                return OK, b""
            case 0x3F, (_, high, low) if self.ports > 4:
                self._mask = high << 8 | low
                return OK, b""
            case 0x91, (_, _, _, _, antenna) if antenna < self.ports:
                return OK, bytes((self._return_loss(antenna + 1),))
            case 0x6E, (_,):
                return OK, bytes((self.threshold_db,))
            case 0x92, ():
                return OK, b"\x01\x24"
        return ILLEGAL, b""

    def _information(self) -> bytes:
        uniform = len(set(self.flash_dbm)) == 1
        power = self.flash_dbm[0] if uniform else PER_PORT
        head = bytes((*self.firmware, self.reader_type, 0x02, 0x31, 0x80, power, 0x01))
        return head if self.reader_type == READER18 else head + bytes((1, 1, 0, int(self.antenna_check)))

    def _save_power(self, values: tuple[int, ...]) -> int:
        if any(dbm > self.highest_dbm for dbm in values):
            return BAD_PARAMETER
        if len(values) == 1:
            self.flash_dbm = list(values) * self.ports
        elif len(values) == self.ports and self.power_per_port:
            self.flash_dbm = list(values)
        else:
            return WRONG_LENGTH
        self.flash_writes += 1
        return OK

    def _return_loss(self, port: int) -> int:
        return self.open_loss_db if port in self._unplugged else 15

    # Inventories.

    def _start_inventory(self, length: int, data: bytes) -> None:
        if length not in self.request_lengths:
            self._reply_later(lambda: self._reply(0x01, WRONG_LENGTH))
            return
        if self.faults.poll_error:
            status = self.faults.poll_error
            self._reply_later(lambda: self._reply(0x01, status))
            return
        if length == 9:
            antenna = data[3] - 0x80
            if not 0 <= antenna < self.ports:
                self._reply_later(lambda: self._reply(0x01, BAD_PARAMETER))
                return
            ports = [antenna + 1]
        else:
            ports = [port for port in range(1, self.ports + 1) if self._mask >> port - 1 & 1]
        self._busy = True
        self._listen(ports, 0)

    def _listen(self, ports: list[int], index: int) -> None:
        port = ports[index]
        if self.antenna_check and self._return_loss(port) < self.threshold_db:
            self._reply_later(lambda: self._end(lambda: self._reply(0x01, ANTENNA_ERROR)))
            return
        loop = asyncio.get_running_loop()
        arrived = loop.time()

        def left() -> None:
            tags = self._hear(port, arrived, loop.time())
            self._report(port, tags)
            if index + 1 < len(ports):
                self._listen(ports, index + 1)
            else:
                self._later(
                    len(tags) * TAG_S + self.faults.slow_s,
                    lambda: self._end(lambda: self._finish(port, tags)),
                )

        self._later(INVENTORY_S, left)

    def _hear(self, port: int, started: float, ended: float) -> list[tuple[str, int]]:
        self.inventories += 1
        if self._is_deaf(port):
            return []
        if self.on_listen is not None:
            self.on_listen(port, started, ended)
        return list(self.field(port, ended))

    def _report(self, port: int, tags: list[tuple[str, int]]) -> None:
        for start in range(0, len(tags), TAGS_PER_FRAME):
            some = tags[start : start + TAGS_PER_FRAME]
            blocks = b"".join(self._block(epc, rssi_dbm) for epc, rssi_dbm in some)
            if self.reader_type == READER18:
                self._reply(0x01, MORE, bytes((len(some),)) + blocks)
            else:
                self._reply(0x01, MORE, bytes((self._antenna(port), len(some))) + blocks)

    def _finish(self, port: int, tags: list[tuple[str, int]]) -> None:
        if not tags:
            self._reply(0x01, NO_TAG)
        elif self.reader_type == READER18:
            self._reply(0x01, DONE, b"\x00")
        else:
            self._reply(0x01, DONE, bytes((self._antenna(port), 0)))
        if self.faults.statistics:
            rate = len(tags) * 25
            counts = rate.to_bytes(2, "big") + len(tags).to_bytes(4, "big")
            self._reply(0x01, STATISTICS, bytes((self._antenna(port),)) + counts)

    def _end(self, say: Callable[[], None]) -> None:
        self._busy = False
        say()

    def _block(self, epc: str, rssi_dbm: int) -> bytes:
        code = bytes.fromhex(epc)
        block = bytes((len(code),)) + code
        return block if self.reader_type == READER18 else block + bytes((self.raw_rssi(rssi_dbm),))

    @staticmethod
    def raw_rssi(rssi_dbm: int) -> int:
        """No manual gives the scale; this simulator counts up from -120 dBm."""
        return min(max(rssi_dbm + 120, 0), 0xFF)

    def _antenna(self, port: int) -> int:
        return port - 1 if self.ports > 8 else 1 << port - 1

    # Real-time mode.

    def _start_pushing(self) -> None:
        if not self._pushing:
            self._pushing = True
            self._later(INVENTORY_S, lambda: self._push(0, 0.0))

    def _push(self, index: int, silent_s: float) -> None:
        if not self.work_mode or self.faults.dead:
            self._pushing = False
            return
        loop = asyncio.get_running_loop()
        ports = [port for port in range(1, self.ports + 1) if self._mask >> port - 1 & 1]
        port = ports[index % len(ports)]
        now = loop.time()
        tags = self._hear(port, now - INVENTORY_S, now)
        for epc, rssi_dbm in tags:
            self._reply(PUSHED, OK, bytes((self._antenna(port),)) + self._block(epc, rssi_dbm))
        silent_s = 0.0 if tags else silent_s + INVENTORY_S
        if silent_s >= HEARTBEAT_S:
            silent_s = 0.0
            slots = min((slots for slots in (1, 4, 8, 16) if slots >= self.ports), default=16)
            self._reply(PUSHED, HEARTBEAT, bytes(4) + bytes(slots) + bytes(4))
        self._later(INVENTORY_S, lambda: self._push(index + 1, silent_s))

    # Bytes out.

    def _reply_later(self, call: Callable[[], None]) -> None:
        self._later(REPLY_S + self.faults.slow_s, call)

    def _reply(self, command: int, status: int, data: bytes = b"") -> None:
        if self.faults.dead:
            return
        body = bytes((len(data) + 5, self.address, command, status)) + data
        crc = checksum(body)
        self.line.send(body + bytes((crc & 0xFF, crc >> 8)))
