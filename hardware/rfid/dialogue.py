"""Question and answer over a line: one command under way, answers told by command and shape.

Tags that turn up among answers - late ones of a round that was given up, pushed ones - are not answers: the
family's `sort` takes them out and delivers them. A question without an answer is asked again on a drained
line; then NoAnswerError.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from hardware.rfid.line import FrameLine


class CommandFrame(Protocol):
    @property
    def command(self) -> int: ...

    def encode(self) -> bytes: ...


F = TypeVar("F", bound=CommandFrame)
R = TypeVar("R")


class NoAnswerError(Exception):
    """The reader was asked several times and said nothing that fits."""


class Dialogue(Generic[F, R]):
    """The talk over one open link."""

    def __init__(
        self,
        line: FrameLine[F],
        sort: Callable[[list[F]], list[tuple[int, R]]],
        *,
        reply_timeout_s: float,
        attempts: int,
    ) -> None:
        """`sort` delivers the tags and answers with the rest, each reply with its command."""
        self._line = line
        self._sort = sort
        self._reply_timeout_s = reply_timeout_s
        self._attempts = attempts
        self._loop = asyncio.get_running_loop()
        self.frames_heard = 0

    @property
    def name(self) -> str:
        return self._line.name

    def send(self, frame: F) -> None:
        """Raises LinkLostError."""
        self._line.send(frame.encode())

    async def receive(self, deadline: float) -> list[tuple[int, R]]:
        """What came, without the tags. Raises TimeoutError at `deadline` (loop time), LinkLostError."""
        frames = await self._line.receive(deadline)
        self.frames_heard += len(frames)
        return self._sort(frames)

    async def drain(self) -> None:
        """Until the line is idle. Raises LinkLostError."""
        frames = await self._line.drain()
        self.frames_heard += len(frames)
        self._sort(frames)

    async def ask(self, frame: F, *, attempts: int | None = None) -> R:
        """The first answer to this command. Raises NoAnswerError, LinkLostError."""
        for _ in range(attempts or self._attempts):
            self.send(frame)
            deadline = self._loop.time() + self._reply_timeout_s
            try:
                while True:
                    for command, reply in await self.receive(deadline):
                        if command == frame.command:
                            return reply
            except TimeoutError:
                await self.drain()
        raise NoAnswerError(f"{self.name}: no answer to command {frame.command:#04x}")
