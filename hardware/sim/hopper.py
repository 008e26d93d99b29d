"""ccTalk hoppers on a single wire, speaking real bytes, with faults to order.

A `HopperLine` is the wire: give it what the host wrote (`receive`) and a way back (`send`): a pty, a socket
or a link in memory. It passes bytes at the pace of the baud rate, echoes the host's own bytes as the real
wire does, and hands whole frames to the `HopperSim` with that address. Time is the running loop's, by timers
only, so that it also works on a virtual clock.

Each hopper keeps two books: what it says (event counter, remaining, paid, unpaid, dispense count) and what
is true (`commanded`, `ejected`), which no fault touches. Behaviour after SCH2 technical manual TSP016 issue
3.0 (p. 25-26 power-up and reset, p. 39-43 commands) and Suzo-Happ Flow manual 18-ccTalk 0.6 (p. 11-20).
Written from those alone: it shares no code with the driver.
"""

import asyncio
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

BYTE_BITS = 10  # start, eight data, stop
BYTE_GAP_S = 0.05  # a longer pause inside a frame drops it (ccTalk generic specification)
COUNT_MODULUS = 1 << 24


class Fault(StrEnum):
    """What can go wrong with one command."""

    REQUEST_LOST = "request lost"  # the hopper never hears it
    REPLY_LOST = "reply lost"  # done, but the host never hears so
    REPLY_CORRUPT = "reply corrupt"  # done, one bit of the reply flips
    REPLY_CUT = "reply cut"  # done, the second half of the reply is missing
    REPLY_TWISTED = "reply twisted"  # done, two bytes change so that the plain checksum still fits
    REPLY_SLOW = "reply slow"  # done, the reply comes after any patience has ended
    COLLISION = "collision"  # somebody talks over the command: wrong echo, and the hopper hears nonsense
    ECHO_WRONG = "echo wrong"  # only the way back is hit: the hopper hears the command well
    NAK = "refused"
    BUSY = "busy"
    RESET_BEFORE = "reset before"  # power dips: the command meets a deaf hopper
    RESET_AFTER = "reset after"  # power dips when the command has just been obeyed


class LevelSensors(Enum):
    HIGH_LOW = auto()  # header 217, both sensors fitted (SCH2)
    EMPTY_FULL = auto()  # header 236 (Suzo-Happ Flow)
    NONE = auto()


@dataclass(frozen=True, slots=True)
class HopperSettings:
    address: int = 3
    serial: int = 345_678
    manufacturer: str = "Suzo-Happ"
    category: str = "Payout"
    product: str = "Flow"
    software: str = "STC2010-V1.1F-PAYOUT"
    code_bytes: int = 3  # before the count in 167: 3 = the serial number, 8 = security code
    wants_cipher_key: bool = False  # header 160 before each 167 (SCH2-NOENCRYPT, SCH2 p. 59)
    level: LevelSensors = LevelSensors.EMPTY_FULL
    dispense_count: bool = True  # header 168
    keeps_last_payout: bool = True  # paid and unpaid survive a reset
    reports_unpaid: bool = True  # makers differ: False leaves unpaid at 0 after a jam or a stop
    balls_per_s: float = 8.0
    spin_up_s: float = 0.2  # from the command to the first ball, less one ball's time
    empty_timeout_s: float = 2.0  # the motor turns that long for nothing before it gives up
    reply_delay_s: float = 0.005  # Flow: at most 25 ms
    slow_reply_s: float = 0.4  # for Fault.REPLY_SLOW
    reset_s: float = 0.13
    power_up_s: float = 0.63


SCH2_NOENCRYPT = HopperSettings(
    manufacturer="Money Controls",
    product="SCH2-NOENCRYPT",
    software="SCH2-V1.0",
    code_bytes=8,
    wants_cipher_key=True,
    level=LevelSensors.HIGH_LOW,
)


class HopperLine:
    """The single wire between one host and its hoppers."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        *,
        echo: bool = True,
        crc: bool = False,
        baudrate: int = 9600,
    ) -> None:
        self.send = send  # towards the host; may be exchanged when the host comes back on another link
        self.frames_heard = 0
        self.bad_frames = 0
        self._echo = echo
        self._crc = crc
        self._byte_s = BYTE_BITS / baudrate
        self._hoppers: dict[int, HopperSim] = {}
        self._heard = bytearray()
        self._heard_at = 0.0
        self._free_at = 0.0  # when the wire has passed what was given to it

    def attach(self, hopper: "HopperSim") -> None:
        if hopper.settings.address in self._hoppers:
            raise ValueError(f"two hoppers with address {hopper.settings.address} on one wire")
        self._hoppers[hopper.settings.address] = hopper

    def receive(self, data: bytes) -> None:
        """What the host wrote."""
        self._pass(data, self._from_host)

    def reply(self, host: int, source: int, header: int, data: bytes, harm: Fault | None) -> None:
        """What a hopper says."""
        if harm is Fault.REPLY_TWISTED and len(data) >= 2 and not self._crc:
            data = bytes(((data[0] + 1) % 256, (data[1] - 1) % 256)) + data[2:]
        raw = self._encode(host, source, header, data)
        if harm is Fault.REPLY_CORRUPT:
            raw = raw[:-2] + bytes((raw[-2] ^ 0x10,)) + raw[-1:]
        elif harm is Fault.REPLY_CUT:
            raw = raw[: len(raw) // 2]
        self._pass(raw, self.send_up)

    def send_up(self, data: bytes) -> None:
        self.send(data)

    def _pass(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + len(data) * self._byte_s
        loop.call_at(self._free_at, deliver, data)

    def _from_host(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if self._heard and now - self._heard_at > BYTE_GAP_S + len(data) * self._byte_s:
            self._heard.clear()
            self.bad_frames += 1
        self._heard += data
        self._heard_at = now
        echo = bytearray(data)
        while len(self._heard) >= 2 and len(self._heard) >= self._heard[1] + 5:
            size = self._heard[1] + 5
            raw = bytes(self._heard[:size])
            del self._heard[:size]
            self._dispatch(raw, echo)
        if self._echo:
            self.send(bytes(echo))

    def _dispatch(self, raw: bytes, echo: bytearray) -> None:
        if not self._right(raw):
            self.bad_frames += 1
            return
        hopper = self._hoppers.get(raw[0])
        if hopper is None:
            return
        self.frames_heard += 1
        host = 1 if self._crc else raw[2]
        fault = hopper.next_fault(raw[3])
        if fault in (Fault.COLLISION, Fault.ECHO_WRONG) and self._echo:
            echo[-1] ^= 0x04
        if fault is not Fault.COLLISION:
            hopper.hear(host, raw[3], raw[4:-1], fault)

    def _encode(self, dest: int, source: int, header: int, data: bytes) -> bytes:
        if self._crc:
            crc = binascii.crc_hqx(bytes([dest, len(data), header, *data]), 0)
            return bytes([dest, len(data), crc & 255, header, *data, crc >> 8])
        frame = [dest, len(data), source, header, *data]
        return bytes([*frame, (256 - sum(frame) % 256) % 256])

    def _right(self, raw: bytes) -> bool:
        if self._crc:
            crc = binascii.crc_hqx(raw[:2] + raw[3:-1], 0)
            return raw[2] | raw[-1] << 8 == crc
        return sum(raw) % 256 == 0


class HopperSim:
    """One hopper. `on_ball(index)` is called for each ball as it leaves; the first has index 0."""

    def __init__(
        self,
        line: HopperLine,
        settings: HopperSettings | None = None,
        on_ball: Callable[[int], None] | None = None,
    ) -> None:
        self.settings = settings or HopperSettings()
        self.on_ball = on_ball
        # The truth.
        self.commanded = 0  # balls of all payouts that were begun
        self.ejected = 0
        self.payouts = 0
        self.resets = 0  # by command or by power
        # What it says.
        self.event = 0
        self.remaining = 0
        self.paid = 0
        self.unpaid = 0
        self.count = 0
        self.flags: set[int] = {6, 7}  # by bit: 0…7 of status byte 1, 8…15 of byte 2; power-up, disabled
        # What is to happen.
        self.load: int | None = None  # balls left inside; None: endless
        self.jam_after: int | None = None  # balls into the next payout
        self.reset_after: int | None = None
        self.nv_write_fails = False  # at the next loss of power nothing is saved, and the hopper says so
        self._line = line
        self._saved = (0, 0, 0)  # count, paid, unpaid as the memory holds them
        self._faults: list[tuple[Fault | None, int | None]] = []
        self._has_key = False
        self._powered = True
        self._deaf_until = 0.0
        self._stopping = False
        self._motor: asyncio.TimerHandle | None = None
        line.attach(self)

    @property
    def running(self) -> bool:
        return self._motor is not None

    def order(self, fault: Fault, header: int | None = None, *, after: int = 0) -> None:
        """Let this happen to the next command (with this header), or after so many good ones."""
        self._faults += [(None, header)] * after + [(fault, header)]

    def forget_faults(self) -> None:
        """Nothing that was ordered and has not happened will happen."""
        self._faults.clear()
        self.jam_after = self.reset_after = None
        self.nv_write_fails = False

    def next_fault(self, header: int) -> Fault | None:
        for position, (fault, wanted) in enumerate(self._faults):
            if wanted is None or wanted == header:
                del self._faults[position]
                return fault
        return None

    def power_off(self) -> None:
        if self._powered:
            self._lose_state(power=True)
            self._powered = False

    def power_on(self) -> None:
        if not self._powered:
            self._powered = True
            self._deaf_until = asyncio.get_running_loop().time() + self.settings.power_up_s

    def power_dip(self) -> None:
        self.power_off()
        self.power_on()

    def hear(self, host: int, header: int, data: bytes, fault: Fault | None) -> None:
        now = asyncio.get_running_loop().time()
        if fault is Fault.RESET_BEFORE:
            self.power_dip()
        if not self._powered or now < self._deaf_until or fault is Fault.REQUEST_LOST:
            return
        reply = self._refuse(header, fault) or self._obey(header, data)
        if fault is Fault.RESET_AFTER:
            self.power_dip()
        if reply is None or fault in (Fault.REPLY_LOST, Fault.RESET_AFTER):
            return
        delay = self.settings.slow_reply_s if fault is Fault.REPLY_SLOW else self.settings.reply_delay_s
        asyncio.get_running_loop().call_later(
            delay, self._line.reply, host, self.settings.address, *reply, fault
        )

    def _refuse(self, header: int, fault: Fault | None) -> tuple[int, bytes] | None:
        if fault is Fault.BUSY:
            return 6, b""
        if fault is Fault.NAK:
            if header == 167:
                self._bump()
            return 5, b""
        return None

    def _obey(self, header: int, data: bytes) -> tuple[int, bytes] | None:
        """The reply's header and data; None: says nothing to what it does not know."""
        ack, settings = (0, b""), self.settings
        match header:
            case 254:
                return ack
            case 246:
                return 0, settings.manufacturer.encode()
            case 245:
                return 0, settings.category.encode()
            case 244:
                return 0, settings.product.encode()
            case 242:
                return 0, settings.serial.to_bytes(3, "little")
            case 241:
                return 0, settings.software.encode()
            case 217 if settings.level is LevelSensors.HIGH_LOW:
                return 0, bytes((0x30 | self._low() | self._full() << 1,))
            case 236 if settings.level is LevelSensors.EMPTY_FULL:
                return 0, bytes((self._low() | (not self._full()) << 1,))
            case 172:
                return 0, bytes((self._stop(),))
            case 168 if settings.dispense_count:
                return 0, self.count.to_bytes(3, "little")
            case 167:
                return self._dispense(data)
            case 166:
                return 0, bytes((self.event, self.remaining, self.paid, self.unpaid))
            case 164:
                self.flags.discard(7) if data == b"\xa5" else self.flags.add(7)
                return ack
            case 163:
                bits = sum(1 << flag for flag in self.flags)
                return 0, bits.to_bytes(2, "little")
            case 161:
                return ack
            case 160:
                self._has_key = True
                return 0, bytes((self.payouts * 37 + position * 11) % 256 for position in range(8))
            case 1:
                self._lose_state(power=False)
                self._deaf_until = asyncio.get_running_loop().time() + settings.reset_s
                return ack
            case _:
                return None

    def _low(self) -> bool:
        return self.load is not None and self.load < 20

    def _full(self) -> bool:
        return self.load is None or self.load > 500

    def _bump(self) -> None:
        """Every well-formed dispense command counts, a refused one too (SCH2 p. 41, Flow p. 18)."""
        self.event = 1 if self.event == 255 else self.event + 1

    def _dispense(self, data: bytes) -> tuple[int, bytes]:
        self._bump()
        had_key, self._has_key = self._has_key, False
        code, balls = data[:-1], data[-1] if data else 0
        wrong_code = len(code) != self.settings.code_bytes or (
            len(code) == 3 and code != self.settings.serial.to_bytes(3, "little")
        )
        blocked = self.flags & {0, 3, 4, 5, 7}
        if wrong_code or blocked or self.running or (self.settings.wants_cipher_key and not had_key):
            return 5, b""
        self.remaining, self.paid, self.unpaid = balls, 0, 0
        self.flags.discard(1)
        if balls:
            self.commanded += balls
            self.payouts += 1
            self._stopping = False
            self._turn(self.settings.spin_up_s + 1 / self.settings.balls_per_s)
        return 0, bytes((self.event,))

    def _stop(self) -> int:
        """The ball that is on its way still leaves (Flow p. 17)."""
        if self._motor is None:
            return 0
        if self.load == 0:
            self._motor.cancel()
            self._finish(set())
            return self.unpaid
        self._stopping = True
        return self.remaining - 1

    def _turn(self, delay_s: float) -> None:
        self._motor = asyncio.get_running_loop().call_later(delay_s, self._next_ball)

    def _next_ball(self) -> None:
        if self.jam_after is not None and self.paid >= self.jam_after:
            self.jam_after = None
            self._finish({0, 2})
            return
        if self.load == 0:
            self._motor = asyncio.get_running_loop().call_later(
                self.settings.empty_timeout_s, self._finish, {1}
            )
            return
        if self.load is not None:
            self.load -= 1
        index = self.ejected
        self.ejected += 1
        self.count = (self.count + 1) % COUNT_MODULUS
        self.remaining -= 1
        self.paid += 1
        if self.reset_after is not None and self.paid >= self.reset_after:
            self.reset_after = None
            self.power_dip()
        elif self.remaining == 0 or self._stopping:
            self._finish(set())
        else:
            self._turn(1 / self.settings.balls_per_s)
        if self.on_ball is not None:
            self.on_ball(index)

    def _finish(self, flags: set[int]) -> None:
        self._motor = None
        self._stopping = False
        self.flags |= flags
        self.unpaid = self.remaining if self.settings.reports_unpaid else 0
        self.remaining = 0

    def clear_jam(self) -> None:
        """A person's hand, then the software reset that the makers ask for."""
        self.flags -= {0, 2, 3, 4, 5}

    def _lose_state(self, *, power: bool) -> None:
        """SCH2 p. 25 (power) and p. 26 (reset): what is kept and what is not."""
        self.resets += 1
        interrupted = self.running
        if self._motor is not None:
            self._motor.cancel()
            self._motor = None
        if interrupted:
            self.unpaid = self.remaining
        elif power:
            self.unpaid = 0
        if not self.settings.keeps_last_payout:
            self.paid = self.unpaid = 0
        self.event = self.remaining = 0
        self._stopping = self._has_key = False
        self.flags = {7, 6} | self.flags & {10, 14} if power else {7}
        if power and self.nv_write_fails:
            self.nv_write_fails = False
            self.flags |= {10, 14}  # checksum A, power fail in NV write
            self.count, self.paid, self.unpaid = self._saved
        self._saved = (self.count, self.paid, self.unpaid)
