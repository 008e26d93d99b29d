"""Frames over a link, for drivers that have one command under way at a time.

Reading gives all frames of one piece of input at once. When the line falls silent in the middle of a frame
the decoder is told, so that a phantom in the noise does not hold back what came behind it.
"""

import asyncio
from typing import Generic, Protocol, TypeVar

from hardware.link import Link

F = TypeVar("F")

SILENCE_S = 0.03  # within a frame there is no such gap: 345 byte times at 115200 baud, 2 FTDI timer ticks
QUIET_S = 0.02  # so long must a line be idle before a late reply is no longer expected
DRAIN_LIMIT_S = 2.0  # a line that never falls silent is left as it is


class FrameDecoder(Protocol[F]):
    @property
    def held(self) -> int: ...

    def feed(self, data: bytes) -> list[F]: ...

    def idle(self) -> list[F]: ...

    def reset(self) -> None: ...


class FrameLine(Generic[F]):
    """A link that speaks frames."""

    def __init__(self, link: Link, decoder: FrameDecoder[F]) -> None:
        self._link = link
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        self.tap: bytearray | None = None  # takes what comes in, for reports

    @property
    def name(self) -> str:
        return self._link.name

    def send(self, data: bytes) -> None:
        """Raises LinkLostError."""
        self._link.write(data)

    async def receive(self, deadline: float) -> list[F]:
        """At least one frame. Raises TimeoutError at `deadline` (loop time), LinkLostError."""
        while True:
            left = deadline - self._loop.time()
            if left <= 0:
                raise TimeoutError
            try:
                async with asyncio.timeout(min(left, SILENCE_S) if self._decoder.held else left):
                    frames = self._decoder.feed(await self._read())
            except TimeoutError:
                frames = self._decoder.idle()
            if frames:
                return frames

    async def _read(self) -> bytes:
        data = await self._link.read()
        if self.tap is not None:
            self.tap += data
        return data

    async def drain(self) -> list[F]:
        """What still comes until the line is idle: late replies. Raises LinkLostError."""
        frames: list[F] = []
        limit = self._loop.time() + DRAIN_LIMIT_S
        while self._loop.time() < limit:
            try:
                async with asyncio.timeout(QUIET_S):
                    frames += self._decoder.feed(await self._read())
            except TimeoutError:
                break
        while self._decoder.held:
            frames += self._decoder.idle()
        return frames
