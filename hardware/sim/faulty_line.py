"""The line between a simulated device and its driver, with everything that a real one does to bytes."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class LineFaults:
    """Faults to order; all off at first. May be changed at any time."""

    junk_rate: float = 0.0  # chance of a burst of noise before a frame
    junk: bytes = b""  # what the burst ends with, for example a phantom header
    lost_byte_rate: float = 0.0
    bit_error_rate: float = 0.0
    wrong_checksums: int = 0  # the next so many frames have a wrong last byte
    split: bool = False  # each byte arrives on its own
    merge_s: float = 0.0  # bytes are held back and arrive together
    cut: bool = False  # nothing arrives at all


class FaultyLine:
    """Carries frames towards the driver."""

    def __init__(self, deliver: Callable[[bytes], None], rng: random.Random) -> None:
        self.faults = LineFaults()
        self._deliver = deliver
        self._rng = rng
        self._held = bytearray()
        self._flush_timer: asyncio.TimerHandle | None = None

    def send(self, frame: bytes) -> None:
        faults = self.faults
        if faults.cut:
            return
        if faults.wrong_checksums > 0:
            faults.wrong_checksums -= 1
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
        if faults.junk_rate and self._rng.random() < faults.junk_rate:
            frame = self._rng.randbytes(self._rng.randrange(1, 5)) + faults.junk + frame
        if faults.bit_error_rate:
            frame = bytes(self._flip(byte) for byte in frame)
        if faults.lost_byte_rate:
            frame = bytes(byte for byte in frame if self._rng.random() >= faults.lost_byte_rate)
        if faults.merge_s:
            self._held += frame
            if self._flush_timer is None:
                loop = asyncio.get_running_loop()
                self._flush_timer = loop.call_later(faults.merge_s, self._flush)
        elif faults.split:
            for byte in frame:
                self._deliver(bytes((byte,)))
        elif frame:
            self._deliver(frame)

    def close(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._held.clear()

    def _flush(self) -> None:
        self._flush_timer = None
        data = bytes(self._held)
        self._held.clear()
        if data:
            self._deliver(data)

    def _flip(self, byte: int) -> int:
        for bit in range(8):
            if self._rng.random() < self.faults.bit_error_rate:
                byte ^= 1 << bit
        return byte
