"""What has come in over a link and was not read yet.

Bounded: a driver that does not read (an idle dispenser on a noisy line) must neither fill the memory nor
lose its link, so beyond the limit the oldest bytes go, and are counted. After the end of the link what came
before it can still be read; then LinkLostError is raised.
"""

import asyncio

from hardware.link.link import LinkLostError

INPUT_LIMIT = 65_536  # bytes; 5.7 s of a full line at 115200 baud


class Inbox:
    """The receiving half of a link; its bytes are taken by one reader at a time."""

    def __init__(self, link_name: str, limit: int = INPUT_LIMIT) -> None:
        self._link_name = link_name
        self._limit = limit
        self._held = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost_because: str | None = None
        self.dropped = 0  # bytes that nobody read in time

    @property
    def lost_because(self) -> str | None:
        """Why the link ended; None while it lives."""
        return self._lost_because

    def put(self, data: bytes) -> None:
        if self._lost_because is not None:
            return
        self._held += data
        surplus = len(self._held) - self._limit
        if surplus > 0:
            del self._held[:surplus]
            self.dropped += surplus
        self._wake()

    def end(self, reason: str) -> None:
        """No more bytes will come. The first reason is the one that is kept."""
        if self._lost_because is None:
            self._lost_because = reason
            self._wake()

    def discard(self) -> int:
        count = len(self._held)
        self._held.clear()
        return count

    def check_open(self) -> None:
        """Raises LinkLostError once the link has ended."""
        if self._lost_because is not None:
            raise LinkLostError(f"{self._link_name}: {self._lost_because}")

    async def read(self) -> bytes:
        """At least one byte; cancelling it loses none. Raises LinkLostError."""
        if self._waiter is not None:
            raise RuntimeError(f"{self._link_name}: two readers on one link")
        while not self._held:
            self.check_open()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._held)
        self._held.clear()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class InboxLink:
    """What every link is to its reader; a kind adds how bytes leave, and how it ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox = Inbox(name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def input_dropped(self) -> int:
        """Bytes that nobody read in time."""
        return self._inbox.dropped

    async def read(self) -> bytes:
        return await self._inbox.read()

    def discard_input(self) -> int:
        return self._inbox.discard()
