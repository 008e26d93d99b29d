"""One link that several devices share: whose turn it is, opening and reopening, silence.

Everything that is said on a shared line happens inside a `turn`: at most one at a time, first come first
served, except that an urgent one (stop the motor) goes before all that wait. A turn opens the link when there
is none, with growing pauses after failures; a link that is lost inside a turn is closed and opened anew by a
later turn. Nothing here repeats what was sent: only the caller knows whether it was a question.

Two rules keep wrong replies away. A line that was just opened, or on which something went wrong, must fall
silent before it is used again, so that what is still on its way reaches nobody else's question. And a device
that has failed three times in a row gets a tenth of the line's time until it answers, so that the dead do not
starve the living.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from hardware.dispenser.dispenser import DispenserUnavailableError
from hardware.dispenser.malformed import MalformedReplyError
from hardware.link import Link, LinkError, LinkOpener, LinkUnavailableError

REOPEN_FIRST_S = 0.25  # after the first failure to open; doubles
REOPEN_MAX_S = 5.0  # an adapter that was plugged back in is in use after that long at the latest
HUSH_LIMIT = 10  # a line that is never silent is used all the same after that many times the silence
FAILURES_TO_SILENT = 3  # in a row
SILENT_SHARE = 0.1  # of the line's time, for a device that does not answer
SILENT_MAX_S = 10.0  # the longest that a silent device waits for its next question


T = TypeVar("T")


class ExchangeError(Exception):
    """A question or a command got no right answer; the message says how."""

    line_is_quiet = False  # True: nothing is on its way any more that could be taken for something else
    is_an_answer = False  # True: the device is alive
    worth_repeating = True  # of a question


class NoReplyError(ExchangeError):
    """The device said nothing for as long as it may take. It may still say it: the line is not trusted."""


class CorruptReplyError(ExchangeError):
    """Something came that is not the answer: noise, a collision, a wrong checksum, a wrong shape."""


class RefusedError(ExchangeError):
    """A right answer, and it says no."""

    line_is_quiet = True
    is_an_answer = True
    worth_repeating = False


class BusyError(RefusedError):
    """A right answer: not now."""

    worth_repeating = True


@dataclass(frozen=True, slots=True)
class Timing:
    """What the way to the devices adds to their own documented times."""

    margin_s: float  # to each documented reply time
    gap_s: float  # silence inside a reply that ends it
    quiet_s: float  # silence after which nothing is on its way any more


# USB adapters hand bytes over every 16 ms when they are not told otherwise, and this is no real-time system.
SERIAL_TIMING = Timing(margin_s=0.06, gap_s=0.08, quiet_s=0.15)
# A serial server on a network holds bytes back at will; a command may reach the device a second later.
NETWORK_TIMING = Timing(margin_s=0.5, gap_s=0.3, quiet_s=1.0)


def timing_for(link_name: str) -> Timing:
    return NETWORK_TIMING if link_name.startswith("socket://") else SERIAL_TIMING


class Turns:
    """A lock whose urgent callers go first; among equals, first come first served."""

    def __init__(self) -> None:
        self._held = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, *, urgent: bool = False) -> None:
        if not self._held:
            self._held = True
            return
        turn = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._waiting).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the turn was ours already: hand it on
            raise

    def release(self) -> None:
        for queue in (self._urgent, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)  # stays held: it goes from hand to hand
                    return
        self._held = False


async def hush(link: Link, quiet_s: float) -> None:
    """Throw away what comes until nothing has come for `quiet_s`. Raises LinkLostError."""
    loop = asyncio.get_running_loop()
    end = loop.time() + quiet_s * HUSH_LIMIT
    while loop.time() < end:
        try:
            async with asyncio.timeout(quiet_s):
                await link.read()
        except TimeoutError:
            return


class SharedLine:
    def __init__(self, opener: LinkOpener, *, quiet_s: float) -> None:
        self._opener = opener
        self._quiet_s = quiet_s
        self._turns = Turns()
        self._link: Link | None = None
        self._clean = False  # False: something may still be on its way
        self._reopen_pause_s = 0.0
        self._reopen_at = 0.0
        self._why_closed = ""
        self._failures: dict[int, int] = {}  # in a row, by device
        self._silent_until: dict[int, float] = {}
        self.opened = 0  # times the link was opened

    @property
    def name(self) -> str:
        return self._opener.name

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[Link]:
        """The line for oneself. Raises LinkUnavailableError; a LinkLostError of the body closes the link.

        When the body ends in an exception that does not promise a quiet line, or is cancelled, the next turn
        waits for silence first.
        """
        await self._turns.acquire(urgent=urgent)
        try:
            link = await self._open_link(urgent=urgent)
            if not self._clean:
                await hush(link, self._quiet_s)
            self._clean = False
            yield link
            self._clean = True
        except ExchangeError as error:
            self._clean = error.line_is_quiet
            raise
        except LinkError:
            await self._close_link()
            raise
        finally:
            self._turns.release()

    async def wait_for_share(self, device: int) -> None:
        """A device that lately did not answer waits here, off the line."""
        until = self._silent_until.get(device, 0.0)
        pause_s = until - asyncio.get_running_loop().time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    def is_alive(self, device: int) -> bool:
        return self._failures.get(device, 0) < FAILURES_TO_SILENT

    def answered(self, device: int) -> None:
        self._failures.pop(device, None)
        self._silent_until.pop(device, None)

    def did_not_answer(self, device: int, cost_s: float) -> None:
        """`cost_s`: how long the line was held for nothing."""
        self._failures[device] = self._failures.get(device, 0) + 1
        if not self.is_alive(device):
            pause_s = min(cost_s * (1 / SILENT_SHARE - 1), SILENT_MAX_S)
            self._silent_until[device] = asyncio.get_running_loop().time() + pause_s

    async def aclose(self) -> None:
        """Close the link; a later turn opens it anew."""
        await self._turns.acquire(urgent=True)
        try:
            await self._close_link()
        finally:
            self._turns.release()

    async def _open_link(self, *, urgent: bool) -> Link:
        if self._link is not None:
            return self._link
        loop = asyncio.get_running_loop()
        wait_s = self._reopen_at - loop.time()
        if wait_s > 0 and not urgent:
            raise LinkUnavailableError(f"{self._why_closed}; tried again in {wait_s:.1f} s")
        try:
            self._link = await self._opener.open()
        except LinkUnavailableError as error:
            self._reopen_pause_s = min(max(self._reopen_pause_s * 2, REOPEN_FIRST_S), REOPEN_MAX_S)
            self._reopen_at = loop.time() + self._reopen_pause_s
            self._why_closed = str(error)
            raise
        self._reopen_pause_s = 0.0
        self._clean = False
        self.opened += 1
        return self._link

    async def _close_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()


async def or_unavailable(call: Awaitable[T]) -> T:
    """At the edge of a driver: whatever went wrong on the line is DispenserUnavailableError to the caller."""
    try:
        return await call
    except (ExchangeError, LinkError, MalformedReplyError) as error:
        raise DispenserUnavailableError(str(error)) from error
