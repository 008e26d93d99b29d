"""A link in memory: two ends in one process, for simulations and tests on virtual time.

It keeps the promises of the real ones (order, loss, refusal after loss) but takes no time: what one end
writes the other can read at once.
"""

import asyncio
from collections.abc import Callable

from hardware.link.inbox import InboxLink
from hardware.link.link import Link, LinkUnavailableError


class MemoryLink(InboxLink):
    """One end of a pair. `unplug` ends both, as pulling the plug does."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._peer: MemoryLink | None = None
        # When set, bytes go straight to this call instead of waiting to be read.
        self.on_bytes: Callable[[bytes], None] | None = None

    def write(self, data: bytes) -> None:
        self._inbox.check_open()
        if data and self._peer is not None:
            self._peer._arrive(bytes(data))

    async def aclose(self) -> None:
        self._end("closed", "the other end closed the link")

    def unplug(self) -> None:
        self._end("unplugged", "unplugged")

    def _arrive(self, data: bytes) -> None:
        if self._inbox.lost_because is not None:
            return
        if self.on_bytes is not None:
            self.on_bytes(data)
        else:
            self._inbox.put(data)

    def _end(self, here: str, there: str) -> None:
        self._inbox.end(here)
        if self._peer is not None:
            self._peer._inbox.end(there)


def memory_pair(name: str = "memory") -> tuple[MemoryLink, MemoryLink]:
    """Two ends of one link; the first is the driver's, the second the device's."""
    near, far = MemoryLink(name), MemoryLink(f"{name} (far end)")
    near._peer, far._peer = far, near
    return near, far


class MemoryOpener:
    """Opens a fresh pair each time and hands the far end to the device, while it is plugged in."""

    def __init__(self, name: str, on_open: Callable[[MemoryLink], None]) -> None:
        self._name = name
        self._on_open = on_open
        self._near: MemoryLink | None = None
        self._plugged = True
        self._back = asyncio.Event()

    @property
    def name(self) -> str:
        return self._name

    def plug(self) -> None:
        self._plugged = True
        self._back.set()

    def unplug(self) -> None:
        """The open link is lost, and no new one opens until `plug`."""
        self._plugged = False
        self._back.clear()
        if self._near is not None:
            self._near.unplug()
            self._near = None

    async def open(self) -> Link:
        if not self._plugged:
            raise LinkUnavailableError(f"{self._name}: nothing is plugged in")
        if self._near is not None and self._near._inbox.lost_because is None:
            raise LinkUnavailableError(f"{self._name}: in use already; close the other link first")
        near, far = memory_pair(self._name)
        self._near = near
        self._back.clear()
        self._on_open(far)
        return near

    async def returned(self) -> None:
        await self._back.wait()
        self._back.clear()
