"""Keeping a reader's link open: each loss is reported once, and followed by another attempt, a little later.

The waits are short, because a loose plug is the usual cause and balls go uncounted meanwhile; a device that
is plugged in again ends them at once. The jitter keeps the readers behind one hub from coming back all in
the same instant.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from hardware.link import Link, LinkError, LinkOpener

REOPEN_S = (0.5, 1.0, 2.0, 3.0)  # the last one goes on
JITTER = 0.25  # of the wait, more or less


class ReaderSilentError(Exception):
    """The link is open, but the reader does not answer; the message is for people."""


class BackOff:
    """How long to wait before the next attempt."""

    def __init__(self, jitter: Callable[[], float], steps_s: tuple[float, ...] = REOPEN_S) -> None:
        self._jitter = jitter
        self._steps_s = steps_s
        self._step = 0

    def worked(self) -> None:
        """The reader does its work again: the next loss is a new one."""
        self._step = 0

    def next_s(self) -> float:
        wait_s = self._steps_s[min(self._step, len(self._steps_s) - 1)]
        self._step += 1
        return wait_s * (1 + JITTER * (2 * self._jitter() - 1))


async def keep_connected(
    opener: LinkOpener,
    converse: Callable[[Link], Awaitable[None]],
    lost: Callable[[str], None],
    back_off: BackOff,
) -> NoReturn:
    """Open, converse until the link or the reader is lost, report, wait, again. Until cancelled."""
    while True:
        try:
            link = await opener.open()
            try:
                await converse(link)
            finally:
                await link.aclose()
        except (LinkError, ReaderSilentError) as error:
            lost(str(error))
        try:
            async with asyncio.timeout(back_off.next_s()):
                await opener.returned()
        except TimeoutError:
            pass
