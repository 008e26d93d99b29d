"""Modbus RTU frames. Pure: bytes in, values out.

A frame is `unit function data… crc`, and nothing in it says how long it is: the end follows from the function
code, and for some replies from a byte count. The standard's silence between frames (t3.5) is of no use behind
a USB adapter, which groups bytes as it likes. Requests and replies of one function differ in length: a
decoder that is told which side it listens to tries that one, else both, and the CRC decides.

Sources: MODBUS application protocol V1.1b3, section 6 (functions) and 7 (exceptions); MODBUS over serial line
V1.02, 2.5.1 (RTU framing) and 6.2.2 (CRC); golden frames in tests/golden/mb.vec.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from hardware.dispenser.malformed import MalformedReplyError

READ_COILS = 0x01
READ_DISCRETE_INPUTS = 0x02
READ_HOLDING_REGISTERS = 0x03
READ_INPUT_REGISTERS = 0x04
WRITE_COIL = 0x05
WRITE_REGISTER = 0x06
WRITE_COILS = 0x0F
WRITE_REGISTERS = 0x10
EXCEPTION_BIT = 0x80

_READS = frozenset((READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS))
_SINGLE_WRITES = frozenset((WRITE_COIL, WRITE_REGISTER))
_MULTIPLE_WRITES = frozenset((WRITE_COILS, WRITE_REGISTERS))

MAX_FRAME = 256  # serial line V1.02, 2.5.1.1
COIL_ON = 0xFF00
COIL_OFF = 0x0000


class ExceptionCode(IntEnum):
    """Application protocol V1.1b3, section 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5  # accepted, takes long
    DEVICE_BUSY = 6
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_SILENT = 11


def exception_name(code: int) -> str:
    try:
        return ExceptionCode(code).name.lower().replace("_", " ")
    except ValueError:
        return f"exception {code}"


def crc16(data: bytes | bytearray) -> int:
    """CRC-16/MODBUS: polynomial 0xA001 reflected, initially 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(_crc_entry(byte) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Frame:
    unit: int
    function: int  # with EXCEPTION_BIT in the reply that says no
    data: bytes = b""

    def encode(self) -> bytes:
        if len(self.data) > MAX_FRAME - 4:
            raise ValueError(f"a Modbus RTU frame has at most {MAX_FRAME} bytes")
        body = bytes((self.unit, self.function)) + self.data
        return body + crc16(body).to_bytes(2, "little")

    @property
    def exception(self) -> int | None:
        """The exception code of a reply that says no."""
        return self.data[0] if self.function & EXCEPTION_BIT else None


class Side(Enum):
    """Which frames a decoder expects."""

    REQUESTS = auto()
    REPLIES = auto()
    BOTH = auto()


class Decoder:
    """Bytes in any pieces to frames. Holds at most one frame's worth; never raises."""

    def __init__(self, side: Side = Side.BOTH) -> None:
        self._side = side
        self._buffer = bytearray()
        self.frames = 0
        self.bad_checksums = 0  # beginnings whose every possible length was there, with a wrong CRC
        self.bytes_dropped = 0

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forget an incomplete frame: the line fell silent."""
        self.bytes_dropped += len(self._buffer)
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        found: list[Frame] = []
        while True:
            sizes = _sizes(self._buffer, self._side)
            if sizes is None:
                return found
            size = next((size for size in sizes if self._is_frame(size)), None)
            if size is not None:
                found.append(Frame(self._buffer[0], self._buffer[1], bytes(self._buffer[2 : size - 2])))
                self.frames += 1
                del self._buffer[:size]
            elif sizes and len(self._buffer) < sizes[-1]:
                return found
            else:
                self.bad_checksums += bool(sizes)
                self.bytes_dropped += 1
                del self._buffer[0]

    def _is_frame(self, size: int) -> bool:
        if len(self._buffer) < size:
            return False
        return crc16(self._buffer[: size - 2]) == int.from_bytes(self._buffer[size - 2 : size], "little")


def _sizes(start: bytearray, side: Side) -> list[int] | None:
    """Lengths that a frame with this beginning may have, ascending; empty: none; None: too little to say."""
    if len(start) < 2:
        return None
    function = start[1]
    sizes: set[int] = set()
    if side is not Side.REPLIES:
        if function in _READS or function in _SINGLE_WRITES:
            sizes.add(8)
        elif function in _MULTIPLE_WRITES:
            if len(start) < 7:
                # The byte count is not there yet; a reply of 8 bytes cannot be complete either.
                return None
            sizes.add(9 + start[6])
    if side is not Side.REQUESTS:
        if function & EXCEPTION_BIT:
            sizes.add(5)
        elif function in _READS:
            if len(start) < 3:
                return None
            sizes.add(5 + start[2])
        elif function in _SINGLE_WRITES or function in _MULTIPLE_WRITES:
            sizes.add(8)
    return sorted(size for size in sizes if size <= MAX_FRAME)


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of a device, and how to tell its answer from others."""

    name: str  # for messages
    function: int
    data: bytes
    reply_size: int  # data bytes of a right reply
    echoed: int = 0  # of them, the first ones repeat those of the request

    def frame(self, unit: int) -> Frame:
        return Frame(unit, self.function, self.data)

    def answered_by(self, unit: int, frame: Frame) -> bool:
        if frame.unit != unit:
            return False
        if frame.function == self.function | EXCEPTION_BIT:
            return True
        return (
            frame.function == self.function
            and len(frame.data) == self.reply_size
            and frame.data[: self.echoed] == self.data[: self.echoed]
        )


def read_registers(address: int, count: int) -> Request:
    """FC03, 1 to 125 registers."""
    if not 1 <= count <= 125:
        raise ValueError(f"one request reads 1 to 125 registers, not {count}")
    name = f"read registers {address}+{count}"
    return Request(name, READ_HOLDING_REGISTERS, _words(address, count), 1 + 2 * count)


def read_bits(address: int, count: int, *, inputs: bool = False) -> Request:
    """FC01 (coils) or FC02 (discrete inputs), 1 to 2000 bits."""
    if not 1 <= count <= 2000:
        raise ValueError(f"one request reads 1 to 2000 bits, not {count}")
    function = READ_DISCRETE_INPUTS if inputs else READ_COILS
    what = "inputs" if inputs else "coils"
    return Request(f"read {what} {address}+{count}", function, _words(address, count), 1 + (count + 7) // 8)


def write_coil(address: int, value: int) -> Request:
    """FC05. COIL_ON or COIL_OFF by the standard; some boards give other values a meaning."""
    return Request(f"write coil {address}", WRITE_COIL, _words(address, value), 4, echoed=4)


def write_register(address: int, value: int) -> Request:
    """FC06."""
    return Request(f"write register {address}", WRITE_REGISTER, _words(address, value), 4, echoed=4)


def write_registers(address: int, values: Sequence[int]) -> Request:
    """FC16, 1 to 123 registers, taken over together."""
    if not 1 <= len(values) <= 123:
        raise ValueError(f"one request writes 1 to 123 registers, not {len(values)}")
    data = _words(address, len(values)) + bytes((2 * len(values),)) + _words(*values)
    return Request(f"write registers {address}+{len(values)}", WRITE_REGISTERS, data, 4, echoed=4)


def parse_registers(data: bytes) -> tuple[int, ...]:
    """The reply's data of FC03 and FC04: a byte count, then big-endian words."""
    if not data or data[0] != len(data) - 1 or data[0] % 2:
        raise MalformedReplyError(f"not a row of registers: {data.hex(' ')}")
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(1, len(data), 2))


def parse_bits(data: bytes, count: int) -> tuple[bool, ...]:
    """The reply's data of FC01 and FC02: a byte count, then bits, the lowest first."""
    if not data or data[0] != len(data) - 1 or data[0] < (count + 7) // 8:
        raise MalformedReplyError(f"not {count} bits: {data.hex(' ')}")
    bits = int.from_bytes(data[1:], "little")
    return tuple(bool(bits >> position & 1) for position in range(count))


def _words(*values: int) -> bytes:
    return b"".join(_word(value) for value in values)


def _word(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"a register holds 0 to 65535, not {value}")
    return value.to_bytes(2, "big")
