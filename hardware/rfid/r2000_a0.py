"""Framing of the "0xA0" readers (Impinj R2000, E-chip): bytes to frames and back. Pure.

    A0 Len Addr Cmd Data.. Check     Len = bytes after Len, Check makes the sum of all bytes 0 (mod 256)

A line carries noise, so nothing is believed before its checksum, and nothing is waited for before it is
plausible: a phantom header `A0 FF` in the noise would otherwise hold back 255 bytes of good frames. So a
candidate must have a known command, a Len that this command can have and, when it looks like a tag, an EPC
length in its PC word that agrees with Len. Whatever fails gives up ONE byte; the search goes on behind it.

Whole inventory frames that stand one behind the other - nearly everything that ever arrives - are found
by a compiled pattern, a batch at a time; all else is looked at one by one.

Sources: "UHF RFID reader serial interface protocol" V3.x (Invelion, Rodinbell, YR8900 family) sections 2 and
4; vendor captures; pyImpinj 1.2. What they disagree on is noted where it stands.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple
from zlib import adler32

from hardware.rfid.stream_decoder import StreamDecoder

HEADER = 0xA0
PUBLIC_ADDRESS = 0xFF  # every reader obeys it, and answers with its own address
OVERHEAD = 3  # Len counts address, command and check byte besides the data
MAX_DATA = 0xFF - OVERHEAD

REALTIME_INVENTORY = 0x89
FAST_SWITCH_INVENTORY = 0x8A
SESSION_INVENTORY = 0x8B
INVENTORY_COMMANDS = frozenset({REALTIME_INVENTORY, FAST_SWITCH_INVENTORY, SESSION_INVENTORY})

LEN_ERROR = 0x04
LEN_ANTENNA_MISSING = 0x05
LEN_END_OF_ROUND = 0x0A
LEN_TAG_WITHOUT_EPC = 0x07  # FreqAnt, PC and RSSI; the EPC adds 0..62 bytes, a phase 2
PHASE_SIZE = 2
LEN_TAGS = frozenset(range(LEN_TAG_WITHOUT_EPC, LEN_TAG_WITHOUT_EPC + 62 + PHASE_SIZE + 1, 2))

# What a frame of each command may have as Len, asked or answered; an error answer (4) is always allowed.
# Tag access and buffer commands, which bayd never sends, answer with any length.
_ANY = frozenset(range(OVERHEAD, 0x4A))
PLAUSIBLE_LENGTHS: Mapping[int, frozenset[int]] = {
    0x60: frozenset({3, 5}),  # GPIO get
    0x61: frozenset({5}),  # GPIO set
    0x62: frozenset(),  # antenna detector set
    0x63: frozenset({3}),  # antenna detector get
    0x66: frozenset(),  # temporary output power
    0x67: frozenset({15}),  # identifier set
    0x68: frozenset({3, 15}),  # identifier get
    0x69: frozenset(),  # RF link profile set
    0x6A: frozenset({3}),  # RF link profile get
    0x6C: frozenset(),  # antenna group set
    0x6D: frozenset({3}),  # antenna group get
    0x70: frozenset({3}),  # reset
    0x71: frozenset(),  # baud rate
    0x72: frozenset({3, 5}),  # firmware
    0x73: frozenset(),  # address
    0x74: frozenset(),  # work antenna set
    0x75: frozenset({3}),  # work antenna get
    0x76: frozenset({7, 11}),  # output power set: one, four or eight values
    0x77: frozenset({3, 7, 11}),  # output power get
    0x78: frozenset({6, 9}),  # frequency region set
    0x79: frozenset({3, 6, 9}),  # frequency region get
    0x7A: frozenset(),  # beeper
    0x7B: frozenset({3, 5}),  # temperature
    0x7C: frozenset({5, 6}),  # DRM set
    0x7D: frozenset({3, 5}),  # DRM get
    0x7E: frozenset(),  # return loss
    REALTIME_INVENTORY: frozenset({10}) | LEN_TAGS,
    # Three sizes of request: 4-port, 8-port short, 8-port long.
    FAST_SWITCH_INVENTORY: frozenset({5, 10, 13, 21, 32}) | LEN_TAGS,
    SESSION_INVENTORY: frozenset({6, 7, 8, 9, 10}) | LEN_TAGS,
    0x97: frozenset({3, 11}),  # output power get, 8-port
    **dict.fromkeys((*range(0x80, 0x89), *range(0x8C, 0x95), 0x98, 0xAA), _ANY),
}
# Requests that have the Len of a tag: there the PC word cannot be asked to agree.
_REQUEST_LENGTHS: Mapping[int, frozenset[int]] = {
    FAST_SWITCH_INVENTORY: frozenset({13, 21}),
    SESSION_INVENTORY: frozenset({7, 9}),
}


class Frame(NamedTuple):
    """One whole frame. A tuple: decoding is mostly building these, and dataclasses build slowly."""

    address: int
    command: int
    data: bytes

    def encode(self) -> bytes:
        """Raises ValueError when the data do not fit."""
        if len(self.data) > MAX_DATA:
            raise ValueError(f"command {self.command:#04x}: {len(self.data)} data bytes, at most {MAX_DATA}")
        body = bytes((HEADER, len(self.data) + OVERHEAD, self.address, self.command)) + self.data
        return body + bytes((-sum(body) & 0xFF,))


# Whole inventory frames with an EPC-96, and the short replies; [\x30-\x37] is the PC of six EPC words.
_COMMON_FRAME = re.compile(
    rb"\xA0(?:\x13.[\x89-\x8B].[\x30-\x37].{15}|\x15.[\x89-\x8B].[\x30-\x37].{17}"
    rb"|\x0A.[\x89-\x8B].{8}|\x04.[\x89-\x8B]..|\x05.\x8A...)",
    re.DOTALL,
)
_BATCH_SIZE = 512  # bytes; bounds what is searched again after a bad frame

_BATCH_WORTHWHILE = 48  # bytes; with less, one by one is quicker


class _Shape(Enum):
    PLAIN = 1
    TAG = 2


_SHAPES = {
    command << 8 | length: (
        _Shape.TAG
        if command in INVENTORY_COMMANDS
        and length in LEN_TAGS
        and length not in _REQUEST_LENGTHS.get(command, ())
        else _Shape.PLAIN
    )
    for command, lengths in PLAUSIBLE_LENGTHS.items()
    for length in lengths | {LEN_ERROR}
}

_HEADER_BYTE = bytes((HEADER,))
# The low byte of Adler-32 is 1 + the sum of all bytes, while that is below 65521 (here it is at most 65440):
# the fastest sum over bytes that the standard library has.
_INTACT = 1
_new_frame = tuple.__new__


class Decoder(StreamDecoder[Frame]):
    """Frames out of a stream of bytes; holds 75 bytes at most."""

    def _scan(self, buffer: bytes) -> list[Frame]:
        frames: list[Frame] = []
        position, size = 0, len(buffer)
        while position < size:
            if size - position >= _BATCH_WORTHWHILE and (batch := _intact_run(buffer, position)):
                frames += [_new_frame(Frame, (raw[2], raw[3], raw[4:-1])) for raw in batch]
                position += sum(map(len, batch))
                self._found()
                continue
            start = buffer.find(_HEADER_BYTE, position)
            if start < 0:
                self._skip(size - position)
                break
            self._skip(start - position)
            end = start + wanted_size(buffer, start)
            if end == start:
                self.counters.bad_length += 1
            elif end > size:
                self._hold(buffer[start:], end - start)
                break
            elif adler32(buffer[start:end]) & 0xFF == _INTACT:
                frames.append(Frame(buffer[start + 2], buffer[start + 3], buffer[start + 4 : end - 1]))
                self._found()
                position = end
                continue
            else:
                self.counters.bad_checksum += 1
            self._skip(1)
            position = start + 1
        self.counters.frames += len(frames)
        return frames


def _intact_run(buffer: bytes, position: int) -> list[bytes]:
    """The common frames that stand one behind the other from `position` on, up to the first bad one."""
    raws = _COMMON_FRAME.findall(buffer, position, position + _BATCH_SIZE)
    if not buffer.startswith(b"".join(raws), position):
        # Something is in between: only what stands before it.
        end = position
        for index, raw in enumerate(raws):
            if not buffer.startswith(raw, end):
                del raws[index:]
                break
            end += len(raw)
    checks = [adler32(raw) & 0xFF for raw in raws]
    if checks.count(_INTACT) != len(checks):
        del raws[next(index for index, check in enumerate(checks) if check != _INTACT) :]
    return raws


def wanted_size(buffer: bytes, start: int) -> int:
    """How many bytes, from the header at `start` on, are needed to judge; 0 when this can be no frame.

    The whole size of the frame, as soon as all that makes it plausible has come.
    """
    known = len(buffer) - start
    if known < 4:
        return 4
    length = buffer[start + 1]
    shape = _SHAPES.get(buffer[start + 3] << 8 | length)
    if shape is None:
        return 0
    if shape is _Shape.TAG:
        if known < 6:
            return 6
        # FreqAnt, PC, EPC, RSSI and perhaps the phase: the PC word has the size of the EPC.
        if length - LEN_TAG_WITHOUT_EPC - (buffer[start + 5] >> 3 << 1) not in (0, PHASE_SIZE):
            return 0
    return length + 2
