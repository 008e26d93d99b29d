"""What the frames of the 0xA0 readers mean. Pure.

Replies to the inventory commands are told apart by their Len alone, and the antenna of a tag is spread over
three places: two bits of FreqAnt, the top bit of the RSSI byte (ports 5-8), and the antenna group that the
host selected before (ports 9-16), which is in no frame at all. A driver that takes `FreqAnt & 3` credits the
balls of bay 5 to bay 1.

Source: "UHF RFID reader serial interface protocol" V3.x, sections 2.2 and 4; frequency table: pyImpinj 1.2.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hardware.rfid.r2000_a0 import (
    FAST_SWITCH_INVENTORY,
    INVENTORY_COMMANDS,
    PHASE_SIZE,
    Frame,
)

ACK = 0x10
ANTENNA_MISSING = 0x22
BAD_PARAMETER = 0x41
POWER_OUT_OF_RANGE = 0x48
RETURN_LOSS_FAILED = 0xEE

ERROR_NAMES = {
    ACK: "success",
    0x11: "failed",
    0x20: "reader's controller was reset",
    0x21: "carrier could not be switched on",
    ANTENNA_MISSING: "antenna missing",
    0x23: "flash write failed",
    0x24: "flash read failed",
    0x25: "output power could not be set",
    0x31: "inventory failed",
    0x32: "tag read failed",
    0x33: "tag write failed",
    0x34: "tag lock failed",
    0x35: "tag kill failed",
    0x36: "no tag",
    0x37: "tag inventoried, but access failed",
    0x38: "inventory buffer is empty",
    0x3C: "NXP command failed",
    0x40: "access failed or wrong password",
    BAD_PARAMETER: "invalid parameter",
    0x42: "word count too long",
    0x43: "memory bank out of range",
    0x44: "lock region out of range",
    0x45: "lock action out of range",
    0x46: "reader address invalid",
    0x47: "antenna out of range",
    POWER_OUT_OF_RANGE: "output power out of range",
    0x49: "frequency region out of range",
    0x4A: "baud rate out of range",
    0x4B: "beeper mode out of range",
    0x4C: "EPC match too long",
    0x4D: "EPC match has a wrong length",
    0x4E: "EPC match has an invalid mode",
    0x4F: "frequency out of range",
    0x50: "no RN16 from the tag",
    0x51: "DRM mode invalid",
    0x52: "PLL did not lock",
    0x53: "radio chip does not answer",
    0x54: "output power cannot be reached",
    0x55: "copyright authentication failed",
    0x56: "spectrum regulation refuses it",
    0x57: "output power too low",
    RETURN_LOSS_FAILED: "return loss could not be measured",
}


IDENTIFIER_SIZE = 12
GROUP_SIZE = 8  # ports that one antenna group has
RSSI_OFFSET = 129  # dBm = byte - 129
HIGHEST_POWER_DBM = 33

_TAG_FIXED = 4  # FreqAnt, PC (2), RSSI
_EPC96_TAG = struct.Struct(">B2x12sB")
_EPC96_WORDS = 6
_RETURN_LOSS_FAILED_DATA = bytes((RETURN_LOSS_FAILED,))
# Two bands with a gap: 0-6 is 865-868 MHz, 7-59 is 902-928 MHz, the rest is not defined.
_FREQUENCY_KHZ = (
    *(865_000 + 500 * index for index in range(7)),
    *(902_000 + 500 * index for index in range(53)),
    *(None,) * 4,
)
_new_tag = tuple.__new__


def error_name(code: int) -> str:
    return ERROR_NAMES.get(code, f"unknown error {code:#04x}")


class TagReply(NamedTuple):
    """One tag heard once. A tuple for the same reason as Frame."""

    port: int  # from 1
    epc: str  # hexadecimal, upper case
    rssi_raw: int  # with the antenna bit masked away
    frequency_index: int
    phase: int | None  # where the long form of fast switching asked for it

    @property
    def rssi_dbm(self) -> int:
        return self.rssi_raw - RSSI_OFFSET

    @property
    def frequency_khz(self) -> int | None:
        """None where the table has nothing."""
        return _FREQUENCY_KHZ[self.frequency_index]


@dataclass(frozen=True, slots=True)
class AntennaMissingReply:
    port: int | None  # 0x89 does not tell: it is the work antenna


@dataclass(frozen=True, slots=True)
class EndOfRoundReply:
    total_read: int
    duration_ms: int | None  # 0x8A
    read_rate: int | None  # tags/s, 0x89 and 0x8B


@dataclass(frozen=True, slots=True)
class AckReply:
    command: int


@dataclass(frozen=True, slots=True)
class ErrorReply:
    command: int
    code: int

    @property
    def name(self) -> str:
        return error_name(self.code)


@dataclass(frozen=True, slots=True)
class FirmwareReply:
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class IdentifierReply:
    identifier: bytes  # 12


@dataclass(frozen=True, slots=True)
class TemperatureReply:
    celsius: int


@dataclass(frozen=True, slots=True)
class PowerReply:
    dbm: tuple[int, ...]  # one value for all ports, or one per port


@dataclass(frozen=True, slots=True)
class ReturnLossReply:
    db: int | None  # None: the reader could not measure it


@dataclass(frozen=True, slots=True)
class DetectorReply:
    threshold_db: int  # 0: off


@dataclass(frozen=True, slots=True)
class WorkAntennaReply:
    port: int


@dataclass(frozen=True, slots=True)
class GroupReply:
    group: int


@dataclass(frozen=True, slots=True)
class UnknownReply:
    """An intact frame that says nothing to us: a command that bayd does not send, or an unexpected shape."""

    frame: Frame


Reply = (
    TagReply
    | AntennaMissingReply
    | EndOfRoundReply
    | AckReply
    | ErrorReply
    | FirmwareReply
    | IdentifierReply
    | TemperatureReply
    | PowerReply
    | ReturnLossReply
    | DetectorReply
    | WorkAntennaReply
    | GroupReply
    | UnknownReply
)


def interpret(frame: Frame, group: int = 0) -> Reply:
    """The meaning of a reply; `group` is the antenna group in force (16-port readers)."""
    _, command, data = frame
    if command in INVENTORY_COMMANDS:
        if len(data) == _EPC96_TAG.size and data[1] >> 3 == _EPC96_WORDS:  # nearly all of them
            freq_ant, epc, rssi = _EPC96_TAG.unpack(data)
            phase = None
        elif (tag := _tag_of_any_size(data)) is not None:
            freq_ant, epc, rssi, phase = tag
        else:
            return _no_tag(frame, group)
        port = (freq_ant & 3) + (rssi >> 7 << 2) + GROUP_SIZE * group + 1
        return _new_tag(TagReply, (port, epc.hex().upper(), rssi & 0x7F, freq_ant >> 2, phase))
    parse = _BY_COMMAND.get(command)
    if parse is not None and (reply := parse(data)) is not None:
        return reply
    if len(data) == 1:
        return AckReply(command) if data[0] == ACK else ErrorReply(command, data[0])
    return UnknownReply(frame)


def _tag_of_any_size(data: bytes) -> tuple[int, bytes, int, int | None] | None:
    """FreqAnt, EPC, RSSI byte and phase; None when PC and size do not agree."""
    if len(data) < _TAG_FIXED + 2:
        return None
    end = 3 + (data[1] >> 3 << 1)
    match len(data) - end:
        case 1:
            return data[0], data[3:end], data[end], None
        case 3:
            return data[0], data[3:end], data[end], int.from_bytes(data[-PHASE_SIZE:], "big")
    return None


def _no_tag(frame: Frame, group: int) -> Reply:
    data = frame.data
    switched = frame.command == FAST_SWITCH_INVENTORY
    match len(data):
        case 7 if switched:
            return EndOfRoundReply(int.from_bytes(data[:3], "big"), int.from_bytes(data[3:], "big"), None)
        case 7:
            return EndOfRoundReply(int.from_bytes(data[3:], "big"), None, int.from_bytes(data[1:3], "big"))
        case 2 if switched and data[1] == ANTENNA_MISSING:
            return AntennaMissingReply(data[0] + GROUP_SIZE * group + 1)
        case 2 if switched:
            return ErrorReply(frame.command, data[1])
        case 1 if data[0] == ANTENNA_MISSING:
            return AntennaMissingReply(None)
        case 1 if data[0] == ACK:
            return AckReply(frame.command)
        case 1:
            return ErrorReply(frame.command, data[0])
    return UnknownReply(frame)


def _firmware(data: bytes) -> Reply | None:
    return FirmwareReply(data[0], data[1]) if len(data) == 2 else None


def _identifier(data: bytes) -> Reply | None:
    return IdentifierReply(data) if len(data) == IDENTIFIER_SIZE else None


def _temperature(data: bytes) -> Reply | None:
    if len(data) != 2:
        return None
    return TemperatureReply(data[1] if data[0] else -data[1])


def _power(data: bytes) -> Reply | None:
    # One byte may be a power or an error code; up to 33 dBm, the most that any reader has, it is a power.
    # Nothing above that may be written back for the other ports.
    if len(data) in (1, 4, 8) and max(data) <= HIGHEST_POWER_DBM:
        return PowerReply(tuple(data))
    return None


def _return_loss(data: bytes) -> Reply | None:
    if data == _RETURN_LOSS_FAILED_DATA:
        return ReturnLossReply(None)
    if len(data) == 1 and data[0] < BAD_PARAMETER - 1 and data[0] != ANTENNA_MISSING:
        return ReturnLossReply(data[0])
    return None


def _detector(data: bytes) -> Reply | None:
    return DetectorReply(data[0]) if len(data) == 1 and data[0] < BAD_PARAMETER - 1 else None


def _work_antenna(data: bytes) -> Reply | None:
    return WorkAntennaReply(data[0] + 1) if len(data) == 1 and data[0] < GROUP_SIZE else None


def _group(data: bytes) -> Reply | None:
    return GroupReply(data[0]) if len(data) == 1 and data[0] < 2 else None


_BY_COMMAND: Mapping[int, Callable[[bytes], Reply | None]] = {
    0x63: _detector,
    0x68: _identifier,
    0x6D: _group,
    0x72: _firmware,
    0x75: _work_antenna,
    0x77: _power,
    0x7B: _temperature,
    0x7E: _return_loss,
    0x97: _power,
}
