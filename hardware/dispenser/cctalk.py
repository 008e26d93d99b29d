"""ccTalk frames, and the commands of a ccTalk hopper. Pure: bytes in, values out.

A frame is `dest length source header data… checksum`. Two checksums exist: a plain one (the sum of all bytes
is 0 modulo 256) and a CRC-16 whose low byte takes the place of the source and whose high byte takes the place
of the checksum, so that a CRC frame does not say who sent it. There is no start byte: the decoder tries every
byte as a beginning and drops it when length or checksum deny it. Whoever owns the line adds what a codec
cannot know: time (at most 50 ms between two bytes) and the echo of the single wire (`EchoRemover`).

Sources: ccTalk generic specification 4 (frames); Money Controls SCH2 technical manual TSP016 issue 3.0;
Suzo-Happ Flow hopper manual 18-ccTalk version 0.6; golden frames in tests/golden/cc.vec.
"""

import binascii
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import assert_never

from hardware.dispenser.dispenser import Level
from hardware.dispenser.malformed import MalformedReplyError

HOST = 1  # the address of the bus master
ACK = 0  # header of every good reply, with or without data
NAK = 5  # refused
BUSY = 6  # not now
ENABLE_CODE = 0xA5  # the only value that enables a hopper (SCH2 p. 42)
MAX_DATA = 252  # ccTalk generic specification, "variable length data packets"
_OVERHEAD = 5  # dest, length, source, header, checksum


class Checksum(StrEnum):
    SUM8 = "sum8"
    CRC16 = "crc16"  # CCITT, polynomial 0x1021, initially 0, over dest, length, header, data


class CollisionError(Exception):
    """The wire did not echo what was sent: somebody else was talking, or noise hit the command."""


@dataclass(frozen=True, slots=True)
class Frame:
    dest: int
    source: int | None  # None: not carried (CRC-16)
    header: int
    data: bytes = b""
    checksum: Checksum = Checksum.SUM8

    def encode(self) -> bytes:
        if len(self.data) > MAX_DATA:
            raise ValueError(f"a ccTalk frame carries at most {MAX_DATA} data bytes, not {len(self.data)}")
        head = bytes((self.dest, len(self.data)))
        body = bytes((self.header,)) + self.data
        match self.checksum:
            case Checksum.SUM8:
                if self.source is None:
                    raise ValueError("a ccTalk frame with the plain checksum needs its source address")
                unsummed = head + bytes((self.source,)) + body
                return unsummed + bytes((-sum(unsummed) & 0xFF,))
            case Checksum.CRC16:
                crc = binascii.crc_hqx(head + body, 0)
                return head + bytes((crc & 0xFF,)) + body + bytes((crc >> 8,))
            case _:
                assert_never(self.checksum)


class Decoder:
    """Bytes in any pieces to frames. Holds at most one frame's worth; never raises."""

    def __init__(self, checksum: Checksum = Checksum.SUM8) -> None:
        self._checksum = checksum
        self._buffer = bytearray()
        self.frames = 0
        self.bad_checksums = 0  # whole frames that were refused
        self.bytes_dropped = 0

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forget an incomplete frame: the line was silent for longer than a frame allows."""
        self.bytes_dropped += len(self._buffer)
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) >= 2:
            length = self._buffer[1]
            if length > MAX_DATA:
                self._drop()
                continue
            size = length + _OVERHEAD
            if len(self._buffer) < size:
                break
            frame = _check(bytes(self._buffer[:size]), self._checksum)
            if frame is None:
                self.bad_checksums += 1
                self._drop()
                continue
            del self._buffer[:size]
            self.frames += 1
            found.append(frame)
        return found

    def _drop(self) -> None:
        del self._buffer[0]
        self.bytes_dropped += 1


def _check(raw: bytes, checksum: Checksum) -> Frame | None:
    dest, length, source, header, data = raw[0], raw[1], raw[2], raw[3], raw[4:-1]
    match checksum:
        case Checksum.SUM8:
            return Frame(dest, source, header, data) if sum(raw) & 0xFF == 0 else None
        case Checksum.CRC16:
            crc = binascii.crc_hqx(bytes((dest, length, header)) + data, 0)
            right = source == crc & 0xFF and raw[-1] == crc >> 8
            return Frame(dest, None, header, data, checksum) if right else None
        case _:
            assert_never(checksum)


class EchoRemover:
    """Takes the echo of one command off the front of what the wire says.

    The single wire always gives the host its own bytes back; whatever differs by one bit is a collision.
    """

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self._seen = 0

    @property
    def complete(self) -> bool:
        return self._seen == len(self._sent)

    def feed(self, data: bytes) -> bytes:
        """What follows the echo. Raises CollisionError."""
        expected = self._sent[self._seen : self._seen + len(data)]
        echo, rest = data[: len(expected)], data[len(expected) :]
        if echo != expected:
            raise CollisionError(f"sent {self._sent.hex(' ')}, the wire says {echo.hex(' ')} at {self._seen}")
        self._seen += len(echo)
        return rest


@dataclass(frozen=True, slots=True)
class Command:
    """What to ask of a device, and the shape of a right answer."""

    name: str  # for messages
    header: int
    data: bytes = b""
    reply_sizes: tuple[int, ...] | None = (0,)  # data bytes of a right reply; None: any number
    reply_within_s: float = 0.05  # ccTalk generic specification; Flow p. 11: 25 ms

    def frame(self, address: int, checksum: Checksum = Checksum.SUM8, host: int = HOST) -> Frame:
        return Frame(address, host if checksum is Checksum.SUM8 else None, self.header, self.data, checksum)


SIMPLE_POLL = Command("simple poll", 254)
MANUFACTURER = Command("manufacturer", 246, reply_sizes=None)
CATEGORY = Command("equipment category", 245, reply_sizes=None)
PRODUCT = Command("product code", 244, reply_sizes=None)
SERIAL_NUMBER = Command("serial number", 242, reply_sizes=(3,))
SOFTWARE = Command("software revision", 241, reply_sizes=None)
EMPTY_FULL = Command("empty/full levels", 236, reply_sizes=(1,))
HIGH_LOW = Command("payout high/low status", 217, reply_sizes=(1,))
EMERGENCY_STOP = Command("emergency stop", 172, reply_sizes=(1,))
DISPENSE_COUNT = Command("dispense count", 168, reply_sizes=(3,))
STATUS = Command("hopper status", 166, reply_sizes=(4,))
ENABLE = Command("enable", 164, bytes((ENABLE_CODE,)))
DISABLE = Command("disable", 164, b"\x00")
TEST = Command("test hopper", 163, reply_sizes=(1, 2, 3))
CIPHER_KEY = Command("cipher key", 160, reply_sizes=(8,))
RESET = Command("reset", 1, reply_within_s=0.09)  # counters are saved before the ACK (Flow p. 11)


def pump_rng(random: bytes) -> Command:
    """Header 161: eight bytes of the host's chance (Flow p. 17)."""
    if len(random) != 8:
        raise ValueError(f"pump RNG takes 8 bytes, not {len(random)}")
    return Command("pump RNG", 161, random)


def dispense_with_serial(serial: int, balls: int) -> Command:
    """Header 167 with the hopper's own serial number, low byte first (Flow p. 17, "ITA serial")."""
    return Command(
        "dispense", 167, serial.to_bytes(3, "little") + bytes((_payout_size(balls),)), reply_sizes=(1,)
    )


def dispense_with_code(balls: int, code: bytes = bytes(8)) -> Command:
    """Header 167 with eight security bytes, all zero for SCH2-NOENCRYPT (SCH2 p. 59)."""
    if len(code) != 8:
        raise ValueError(f"the security code has 8 bytes, not {len(code)}")
    return Command("dispense", 167, code + bytes((_payout_size(balls),)), reply_sizes=(1,))


def _payout_size(balls: int) -> int:
    if not 0 <= balls <= 255:
        raise ValueError(f"a hopper pays 0 to 255 balls at a time, not {balls}")
    return balls


@dataclass(frozen=True, slots=True)
class HopperStatus:
    """Header 166 (SCH2 p. 41, Flow p. 16)."""

    event: int  # counts dispense commands, refused ones too: 1…255, then 1 again; 0 only after a reset
    remaining: int  # of the payout that runs
    paid: int  # by the last payout
    unpaid: int  # by the last payout; makers differ, so nothing is computed from it


class HopperFlag(StrEnum):
    """Header 163, "test hopper" (SCH2 p. 43, Flow p. 20)."""

    OVER_CURRENT = "over-current"
    PAYOUT_TIMEOUT = "payout timeout"
    MOTOR_REVERSED = "motor reversed"
    OPTO_BLOCKED_IDLE = "opto blocked while idle"
    OPTO_SHORT_IDLE = "opto short-circuit while idle"
    OPTO_BLOCKED_PAYOUT = "opto blocked during payout"
    POWER_UP = "power-up seen"
    DISABLED = "disabled"
    OPTO_SHORT_PAYOUT = "opto short-circuit during payout"
    SINGLE_COIN = "single-coin mode"
    CHECKSUM_A = "counter checksum A wrong"
    CHECKSUM_B = "counter checksum B wrong"
    CHECKSUM_C = "counter checksum C wrong"
    CHECKSUM_D = "counter checksum D wrong"
    POWER_FAIL = "power failed while counters were written"
    PIN_ENABLED = "PIN mechanism on"


_FLAGS = tuple(HopperFlag)  # in wire order: byte 1 from bit 0, then byte 2; a third byte differs per model


def parse_text(data: bytes) -> str:
    """Identity texts are ASCII; anything else is shown, not refused."""
    return data.decode("ascii", "backslashreplace").strip("\x00 ")


def parse_serial(data: bytes) -> int:
    return _number(data, 3, "serial number")


def parse_count(data: bytes) -> int:
    """Header 168: balls since the count was cleared, 0…2**24 - 1, low byte first (SCH2 p. 39)."""
    return _number(data, 3, "dispense count")


def parse_event(data: bytes) -> int:
    """The reply to 167: the event counter."""
    return _number(data, 1, "event counter")


def parse_remaining(data: bytes) -> int:
    """The reply to 172."""
    return _number(data, 1, "balls remaining")


def parse_status(data: bytes) -> HopperStatus:
    if len(data) != 4:
        raise MalformedReplyError(f"hopper status has 4 bytes, not {len(data)}: {data.hex(' ')}")
    return HopperStatus(*data)


def parse_flags(data: bytes) -> frozenset[HopperFlag]:
    if not 1 <= len(data) <= 3:
        raise MalformedReplyError(f"test hopper answers 1 to 3 bytes, not {len(data)}: {data.hex(' ')}")
    bits = int.from_bytes(data[:2], "little")
    return frozenset(flag for position, flag in enumerate(_FLAGS) if bits >> position & 1)


class _LevelBit(Enum):
    BELOW_LOW = 0x01
    AT_OR_OVER_HIGH = 0x02
    LOW_FITTED = 0x10
    HIGH_FITTED = 0x20


def parse_high_low(data: bytes) -> Level:
    """Header 217: a level is believed only where its sensor is fitted."""
    bits = _number(data, 1, "payout high/low status")
    low = bool(bits & _LevelBit.BELOW_LOW.value)
    if bits & _LevelBit.LOW_FITTED.value and low:
        return Level.LOW
    if bits & _LevelBit.HIGH_FITTED.value and bits & _LevelBit.AT_OR_OVER_HIGH.value:
        return Level.FULL
    return Level.OK if bits & _LevelBit.LOW_FITTED.value else Level.UNKNOWN


def parse_empty_full(data: bytes) -> Level:
    """Header 236 (Flow p. 12): bit 0 = the empty sensor is free, bit 1 = the full sensor is free."""
    match _number(data, 1, "empty/full levels") & 0x03:
        case 0x03:
            return Level.EMPTY
        case 0x02:
            return Level.OK
        case 0x00:
            return Level.FULL
        case _:  # nothing over the lower sensor, yet the upper one covered
            return Level.UNKNOWN


def _number(data: bytes, size: int, name: str) -> int:
    if len(data) != size:
        raise MalformedReplyError(f"{name} has {size} bytes, not {len(data)}: {data.hex(' ')}")
    return int.from_bytes(data, "little")
