"""What the frames of the UHFReader288 family mean. Pure.

The antenna byte is a mask with one bit on readers with up to eight ports, and an index from 0 on readers with
twelve or sixteen; UHFReader18 sends none, and no RSSI either. RSSI is a raw number: no manual has its unit.

Sources: UHFReader288MP manual v1.14; UHF RFID Reader Series manual V2.20, sections 8.2 and 8.4; UHFReader288
DLL manual V3.0, section 3.2.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hardware.rfid.uhfreader288 import (
    ANTENNA_ERROR,
    HEARTBEAT,
    MEMORY_FULL,
    MORE_FOLLOWS,
    NO_TAG,
    STATISTICS,
    TAG_STATUSES,
    TIMED_OUT,
    Frame,
)

OK = 0x00
POWER_PER_PORT = 0xFF  # what the reader information shows as power when the ports differ
LONGEST_ONE_HOT = 8  # ports; readers with more count them
TID_SIZE = 12

STATUS_NAMES = {
    OK: "success",
    0x01: "inventory done",
    TIMED_OUT: "inventory ended by its time limit",
    MORE_FOLLOWS: "more frames follow",
    MEMORY_FULL: "reader's memory is full",
    0x05: "wrong access password",
    0x09: "kill failed",
    0x0A: "kill password must not be zero",
    0x0B: "command not supported by the tag",
    0x13: "settings could not be saved",
    0x14: "power could not be set",
    STATISTICS: "statistics",
    HEARTBEAT: "heartbeat",
    ANTENNA_ERROR: "antenna error",
    0xF9: "command execution failed",
    0xFA: "poor communication with the tag",
    NO_TAG: "no tag",
    0xFC: "tag answered with an error",
    0xFD: "wrong command length",
    0xFE: "illegal command",
    0xFF: "invalid parameter",
}

TYPE_NAMES = {
    0x03: "RRU9803M",
    0x08: "RRU9803M",
    0x09: "UHFReader18",
    0x0C: "UHFReader288M",
    0x0F: "UHFReader86",
    0x10: "UHFReader86",
    0x16: "RRU9883M",
    0x20: "UHFReader288MP",
    0x62: "UHFEx10",
    0x75: "UHFReader288",
    0x8B: "UHFReader288 ADV",
}
WITHOUT_ANTENNAS = frozenset({0x09})  # UHFReader18: one antenna, no antenna byte, no RSSI


def status_name(status: int) -> str:
    return STATUS_NAMES.get(status, f"unknown status {status:#04x}")


def type_name(reader_type: int) -> str:
    """Never fails: makers add types faster than anybody lists them."""
    return TYPE_NAMES.get(reader_type, f"type {reader_type:#04x}")


class TagBlock(NamedTuple):
    """One tag heard once."""

    port: int | None  # None: the frame does not tell
    epc: str  # hexadecimal, upper case
    rssi_raw: int | None
    tid: str | None


@dataclass(frozen=True, slots=True)
class TagsReply:
    """Tags of a polled inventory, or one pushed tag."""

    tags: tuple[TagBlock, ...]
    pushed: bool
    more_follow: bool  # another frame of the same inventory comes
    port: int | None  # where the reader listened


@dataclass(frozen=True, slots=True)
class InventoryFailedReply:
    """No tags: none there (FB), no antenna (F8), or an error."""

    status: int

    @property
    def name(self) -> str:
        return status_name(self.status)


@dataclass(frozen=True, slots=True)
class StatisticsReply:
    port: int | None
    read_rate: int  # tags/s
    total: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """A reader in real-time mode that hears nothing."""

    total: int


@dataclass(frozen=True, slots=True)
class InfoReply:
    major: int
    minor: int
    reader_type: int
    power_dbm: int  # POWER_PER_PORT: ask for each port
    scan_time_ms: int


@dataclass(frozen=True, slots=True)
class PortPowersReply:
    dbm: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReturnLossReply:
    db: int


@dataclass(frozen=True, slots=True)
class ThresholdReply:
    db: int


@dataclass(frozen=True, slots=True)
class StatusReply:
    """The bare answer to a command: done, or why not."""

    command: int
    status: int

    @property
    def name(self) -> str:
        return status_name(self.status)


@dataclass(frozen=True, slots=True)
class UnknownReply:
    """An intact frame that says nothing to us."""

    frame: Frame


Reply = (
    TagsReply
    | InventoryFailedReply
    | StatisticsReply
    | HeartbeatReply
    | InfoReply
    | PortPowersReply
    | ReturnLossReply
    | ThresholdReply
    | StatusReply
    | UnknownReply
)


def port_of(antenna: int, port_count: int) -> int | None:
    """The port that an antenna byte names, from 1; None when it names none that this reader has."""
    if port_count > LONGEST_ONE_HOT:
        port = antenna + 1
    elif antenna.bit_count() == 1:
        port = antenna.bit_length()
    else:
        return None
    return port if port <= port_count else None


def interpret(frame: Frame, port_count: int) -> Reply:
    """The meaning of a reply from a reader with so many ports."""
    if not frame.data:
        return UnknownReply(frame)
    match frame.command:
        case 0x01:
            return _inventory(frame, port_count)
        case 0xEE:
            return _pushed(frame, port_count)
    status, data = frame.data[0], frame.data[1:]
    match frame.command, len(data):
        case (0x21, 8 | 12) if status == OK:
            return InfoReply(data[0], data[1], data[2], data[6], data[7] * 100)
        case (0x94, _) if status == OK and data:
            return PortPowersReply(tuple(data))
        case (0x91, 1) if status == OK:
            return ReturnLossReply(data[0])
        case (0x6E, 1) if status == OK:
            return ThresholdReply(data[0])
        case (_, 0):
            return StatusReply(frame.command, status)
    return UnknownReply(frame)


def _inventory(frame: Frame, port_count: int) -> Reply:
    status, data = frame.data[0], frame.data[1:]
    if status == STATISTICS and len(data) == 7:
        return StatisticsReply(
            port_of(data[0], port_count), int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:], "big")
        )
    if status not in TAG_STATUSES:
        return InventoryFailedReply(status)
    more = status == MORE_FOLLOWS
    if len(data) >= 2:
        port = port_of(data[0], port_count)
        blocks = _blocks(data[2:], data[1], port, rssi_size=1)
        if blocks is not None:
            return TagsReply(blocks, False, more, port)
    if data:
        blocks = _blocks(data[1:], data[0], None, rssi_size=0)
        if blocks is not None:
            return TagsReply(blocks, False, more, None)
    return TagsReply((), False, more, None) if not data else UnknownReply(frame)


def _pushed(frame: Frame, port_count: int) -> Reply:
    status, data = frame.data[0], frame.data[1:]
    if status == HEARTBEAT and len(data) > 8:
        return HeartbeatReply(int.from_bytes(data[-4:], "big"))
    if status == OK and len(data) > 2:
        port = port_of(data[0], port_count)
        blocks = _blocks(data[1:], 1, port, rssi_size=1)
        if blocks is not None:
            return TagsReply(blocks, True, False, port)
    return UnknownReply(frame)


def _blocks(data: bytes, count: int, port: int | None, *, rssi_size: int) -> tuple[TagBlock, ...] | None:
    """`count` blocks of Len, EPC, RSSI and perhaps phase and frequency; None when they are not the data."""
    blocks: list[TagBlock] = []
    position = 0
    for _ in range(count):
        if position >= len(data):
            return None
        flags = data[position]
        size = flags & 0x3F
        end = position + 1 + size
        code = data[position + 1 : end]
        position = end + rssi_size + (_PHASE_AND_FREQUENCY if flags & 0x40 else 0)
        with_tid = bool(flags & 0x80) and size > TID_SIZE
        epc, tid = (code[:-TID_SIZE], code[-TID_SIZE:].hex().upper()) if with_tid else (code, None)
        if not epc or position > len(data):
            return None
        blocks.append(TagBlock(port, epc.hex().upper(), data[end] if rssi_size else None, tid))
    return tuple(blocks) if position == len(data) else None


_PHASE_AND_FREQUENCY = 4 + 3
