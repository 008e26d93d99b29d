"""Forgets in time what must not be kept: events of 90 days ago, answers of yesterday, expired PIN
hashes, old copies of the journal.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from bayd.core.events import Event
from bayd.journal import Journal, JournalError
from bayd.journal.event_codec import NAMES
from bayd.ports import Clock, Log
from bayd.runtime.range import Range

_EVERY_S = 3_600.0


class Housekeeping:
    """`run` is a root task. `sinks`: whose undelivered events must stay."""

    def __init__(
        self,
        journal: Journal[Event],
        bays: Range,
        sinks: Collection[str],
        forget_copies: Callable[[int], Awaitable[int]],
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        """`forget_copies` deletes those of the journal that are too old at a wall time; how many."""
        self._journal = journal
        self._bays = bays
        self._sinks = sinks
        self._forget_copies = forget_copies
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        while True:
            await self.tidy()
            await asyncio.sleep(_EVERY_S)

    async def tidy(self) -> None:
        now = self._clock.now()
        if now.synchronised:  # by a clock that jumped ahead, every copy would be old
            await self._tidy_copies(now.wall_ms)
        # Whatever still plays keeps all of its bay's events, however old they are.
        playing = [(bay.number, 0) for bay in self._bays.known() if bay.session is not None]
        try:
            pruned = await self._journal.prune(now, open_sessions=playing, sinks=self._sinks, names=NAMES)
        except JournalError as error:
            self._log.warning("journal_not_pruned", reason=str(error))
            return
        if pruned.events or pruned.answers or pruned.pins:
            self._log.info(
                "journal_pruned", events=pruned.events, answers=pruned.answers, expired=pruned.pins
            )

    async def _tidy_copies(self, wall_ms: int) -> None:
        try:
            if copies := await self._forget_copies(wall_ms):
                self._log.info("journal_copies_deleted", count=copies)
        except OSError as error:
            self._log.info("journal_copies_not_deleted", reason=error.strerror)
