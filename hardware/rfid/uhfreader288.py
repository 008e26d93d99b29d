"""Framing of the Chafon / UHFReader18, 86, 288, E310/E710 readers: bytes to frames and back. Pure.

    command  Len Adr Cmd Data.. CRC CRC            reply  Len Adr Cmd Status Data.. CRC CRC

Len = bytes after Len. There is no header byte: the first byte is a length, so after a disturbance any byte
may pass for one. Hence nothing is waited for before it is plausible - a known command, a Len that it can
have, for inventory replies also a status and a first EPC that fit into Len - and whatever fails gives up ONE
byte.
The CRC-16 then takes one junk frame in 65536 for good.

Sources: UHFReader288MP manual v1.14, UHF RFID Reader Series manual V2.20 (sections 2 and 8), the UHFReader288
DLL manual V3.0, wabson/chafon-rfid.
"""

from binascii import crc_hqx
from collections.abc import Mapping
from typing import NamedTuple

from hardware.rfid.stream_decoder import StreamDecoder

BROADCAST = 0xFF  # every reader obeys it, and answers with its own address
OVERHEAD = 4  # Len counts address, command and CRC besides the data
MAX_DATA = 0xFF - OVERHEAD

INVENTORY = 0x01
PUSHED_TAG = 0xEE

DONE = 0x01
TIMED_OUT = 0x02
MORE_FOLLOWS = 0x03
MEMORY_FULL = 0x04
STATISTICS = 0x26
HEARTBEAT = 0x28
ANTENNA_ERROR = 0xF8
NO_TAG = 0xFB
TAG_STATUSES = frozenset({DONE, TIMED_OUT, MORE_FOLLOWS, MEMORY_FULL})

# Len of the commands and replies, without inventory (0x01) and pushed tags (0xEE). A reply without data has
# 5: that one is always allowed.
PLAUSIBLE_LENGTHS: Mapping[int, frozenset[int]] = {
    0x21: frozenset({4, 13, 17}),  # reader information: 8 data bytes (UHFReader18) or 12
    0x22: frozenset({6}),  # frequency range
    0x24: frozenset(),  # address
    0x25: frozenset(),  # scan time
    0x28: frozenset(),  # baud rate
    0x2F: frozenset({8, 12, 16, 20}),  # power: 1, 4, 8, 12 or 16 values
    0x33: frozenset({7}),  # lamp and buzzer
    0x3F: frozenset({7}),  # antenna mask: 1 byte up to 4 ports, 3 above
    0x4C: frozenset({4, 9}),  # serial number
    0x6E: frozenset({6}),  # return loss threshold
    0x76: frozenset({6}),  # work mode
    0x91: frozenset({6, 9}),  # return loss
    0x92: frozenset({4, 7}),  # temperature
    0x94: frozenset({4, 6, 9, 13, 17, 21}),  # power per port
}
_INVENTORY_REQUESTS = frozenset({4, 6, 9})
_HEARTBEATS = frozenset(13 + ports for ports in (1, 4, 8, 16))
_LONGEST_EPC = 62

# CRC-16/MCRF4XX is the CCITT one with every byte mirrored; the standard library has the one that is not.
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_PRESET = 0xFFFF


def crc16(data: bytes) -> int:
    """CRC-16/MCRF4XX, as the two bytes on the wire read in little endian."""
    mirrored = crc_hqx(data.translate(_MIRRORED), _PRESET)
    return _MIRRORED[mirrored >> 8] | _MIRRORED[mirrored & 0xFF] << 8


class Frame(NamedTuple):
    """One whole frame, asked or answered; the status of an answer is its first data byte."""

    address: int
    command: int
    data: bytes

    def encode(self) -> bytes:
        """Raises ValueError when the data do not fit."""
        if len(self.data) > MAX_DATA:
            raise ValueError(f"command {self.command:#04x}: {len(self.data)} data bytes, at most {MAX_DATA}")
        body = bytes((len(self.data) + OVERHEAD, self.address, self.command)) + self.data
        return body + crc16(body).to_bytes(2, "little")


class Decoder(StreamDecoder[Frame]):
    """Frames out of a stream of bytes; holds 255 bytes at most."""

    def _scan(self, buffer: bytes) -> list[Frame]:
        frames: list[Frame] = []
        start, size = 0, len(buffer)
        mirrored = buffer.translate(_MIRRORED)
        while start < size:
            end = start + wanted_size(buffer, start)
            if end == start:
                self.counters.bad_length += 1
            elif end > size:
                self._hold(buffer[start:], end - start)
                break
            elif crc_hqx(mirrored[start:end], _PRESET) == 0:
                frames.append(Frame(buffer[start + 1], buffer[start + 2], buffer[start + 3 : end - 2]))
                self._found()
                start = end
                continue
            else:
                self.counters.bad_checksum += 1
            self._skip(1)
            start += 1
        self.counters.frames += len(frames)
        return frames


def wanted_size(buffer: bytes, start: int) -> int:
    """How many bytes, from `start` on, are needed to judge; 0 when this can be no frame.

    The whole size of the frame, as soon as all that makes it plausible has come.
    """
    length = buffer[start]
    if length < OVERHEAD:
        return 0
    known = len(buffer) - start
    if known < 3:
        return 3
    command = buffer[start + 2]
    if command == INVENTORY:
        plausible = _inventory(buffer, start, length, known)
    elif command == PUSHED_TAG:
        plausible = _pushed(buffer, start, length, known)
    else:
        lengths = PLAUSIBLE_LENGTHS.get(command)
        plausible = lengths is not None and (length == 5 or length in lengths)
    if plausible is None:
        return min(8, length + 1)
    return length + 1 if plausible else 0


def _inventory(buffer: bytes, start: int, length: int, known: int) -> bool | None:
    """Of an inventory command or reply; None: more bytes are needed."""
    if length in _INVENTORY_REQUESTS:
        return True
    if known < 8 and known < length + 1:
        return None
    status = buffer[start + 3]
    if status not in TAG_STATUSES:
        # Errors come bare, or with the antenna and a count of 0.
        return length == 12 if status == STATISTICS else length in (5, 7)
    if length <= 7:
        return True
    # Antenna, Num, Len, EPC, RSSI, CRC (2) - or, of UHFReader18: Num, Len, EPC, CRC (2).
    with_antenna = buffer[start + 5] > 0 and _fits(buffer[start + 6], length - 6 - 3)
    return with_antenna or (buffer[start + 4] > 0 and _fits(buffer[start + 5], length - 5 - 2))


def _pushed(buffer: bytes, start: int, length: int, known: int) -> bool | None:
    if known < 8 and known < length + 1:
        return None
    status = buffer[start + 3]
    if status == HEARTBEAT:
        return length in _HEARTBEATS
    # Antenna, Len, EPC, RSSI, CRC (2).
    return status == 0 and length > 8 and _fits(buffer[start + 5], length - 5 - 3)


def _fits(epc_length: int, room: int) -> bool:
    """Is there room for an EPC with this Len byte?"""
    return 0 < epc_length & 0x3F <= min(room, _LONGEST_EPC)
