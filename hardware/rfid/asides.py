"""A technician's questions to a reader that a driver drives: one at a time, between its rounds.

The driver hands its dialogue over after a step, so that no round is cut short and no tag frame is lost: what
the line brings meanwhile goes the usual way. Who asks much takes a turn for each question, and the ports are
listened to in between.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


class ReaderAwayError(Exception):
    """The driver has no reader to ask; the message says why."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The driver's own means. Each family has its own dialogue and settings."""

    dialogue: Any
    settings: Any
    line: Any


@dataclass(eq=False, slots=True)
class _Ticket:
    granted: asyncio.Future[Seat]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Asides:
    """`wake` ends the pause that a driver makes when it has nothing to do."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._away: str | None = "it has not answered yet"
        self._waiting: deque[_Ticket] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Seat]:
        """Raises ReaderAwayError; the dialogue raises what it always does."""
        if self._away is not None:
            raise ReaderAwayError(self._away)
        ticket = _Ticket(asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._wake()
        try:
            yield await ticket.granted
        finally:
            ticket.done.set()

    def opened(self) -> None:
        self._away = None

    def lost(self, reason: str) -> None:
        self._away = reason
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.granted.done():
                ticket.granted.set_exception(ReaderAwayError(reason))

    async def serve(self, seat: Seat) -> None:
        """One turn, if anybody waits."""
        while self._waiting:
            ticket = self._waiting.popleft()
            if ticket.granted.done():
                continue  # gave up
            ticket.granted.set_result(seat)
            await ticket.done.wait()
            return
