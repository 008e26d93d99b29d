"""What the decoders of all families share: what is held between two pieces of input, and the counters."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

F = TypeVar("F")


@dataclass(slots=True)
class Counters:
    """What a line did to its decoder, since that was made."""

    frames: int = 0
    bytes_skipped: int = 0  # not part of any good frame
    bad_checksum: int = 0
    bad_length: int = 0  # the start of a frame that its command or Len rules out
    resyncs: int = 0  # good frames found behind skipped bytes


class StreamDecoder(ABC, Generic[F]):
    """Frames out of a stream of bytes. Holds at most one plausible, unfinished frame; never raises."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._held = b""
        self._wanted = 0  # bytes that are needed before more can be said about what is held
        self._in_step = True

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[F]:
        """All frames that are complete now."""
        buffer = self._held + data
        if len(buffer) < self._wanted:
            self._held = buffer
            return []
        self._held, self._wanted = b"", 0
        return self._scan(buffer)

    def idle(self) -> list[F]:
        """The line was silent for longer than a frame has gaps: what is held is no frame, look behind it."""
        if not self._held:
            return []
        buffer = self._held[1:]
        self._held, self._wanted = b"", 0
        self._skip(1)
        return self._scan(buffer)

    def reset(self) -> None:
        """Forget the unfinished frame, as after reopening the link."""
        self._skip(len(self._held))
        self._held, self._wanted = b"", 0

    @abstractmethod
    def _scan(self, buffer: bytes) -> list[F]:
        """The frames in these bytes; an unfinished one at the end is left to `_hold`."""

    def _hold(self, unfinished: bytes, wanted: int) -> None:
        self._held, self._wanted = unfinished, wanted

    def _skip(self, count: int) -> None:
        if count:
            self.counters.bytes_skipped += count
            self._in_step = False

    def _found(self) -> None:
        if not self._in_step:
            self._in_step = True
            self.counters.resyncs += 1
