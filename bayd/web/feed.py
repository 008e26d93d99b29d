"""What happens at the bays, read once from the journal and handed to everybody who wants to know.

An event is handed on when the journal holds it and its bay reflects it: what a hung disk recorded too late
is expired and never shown, and no screen sees an event without its effect. All bays' events come in the
journal's order, so one number says how far somebody has come.
"""

import asyncio
from collections.abc import Callable

from bayd.core import events as e
from bayd.core.desired import Desired
from bayd.core.model import Bay
from bayd.journal import Journal, JournalUnavailableError, Recorded
from bayd.ports import Log
from bayd.runtime.range import Range

_PAGE = 500
_RETRY_S = 1.0

Listen = Callable[[Recorded[e.Event]], None]


class EventFeed:
    """`run` is a root task; observe the range with it, before the range runs."""

    def __init__(self, bays: Range, journal: Journal[e.Event], log: Log) -> None:
        self._bays = bays
        self._journal = journal
        self._log = log
        self._listeners: dict[object, Listen] = {}
        self._grown = asyncio.Event()
        self.seq = journal.last_seq  # everything up to here has been handed on

    def listen(self, listener: Listen) -> Callable[[], None]:
        """Call back with each event after `seq`. Answers the function that ends it.

        Called in the loop; must not block or raise.
        """
        key = object()
        self._listeners[key] = listener
        return lambda: self._listeners.pop(key, None) and None

    def bay_changed(self, _bay: Bay, _wish: Desired) -> None:
        self._grown.set()

    async def run(self) -> None:
        stop = self._journal.on_appended(lambda _seq: self._grown.set())
        try:
            while True:
                await self._grown.wait()
                self._grown.clear()
                try:
                    while await self._hand_on():
                        pass
                except JournalUnavailableError:
                    self._log.warning("events_not_read")
                    self._grown.set()
                    await asyncio.sleep(_RETRY_S)
        finally:
            stop()

    async def _hand_on(self) -> bool:
        """Whether there may be more at once."""
        page = await self._journal.read(self.seq, limit=_PAGE)
        for recorded in page:
            task = self._bays.bays.get(recorded.bay)
            if task is not None and task.last_seq < recorded.seq:
                return False  # its bay will say when it is there, or that it never counts
            self.seq = recorded.seq
            for listener in tuple(self._listeners.values()):
                listener(recorded)
        return len(page) == _PAGE

    async def read(self, after_seq: int, until_seq: int, bay: str | None) -> list[Recorded[e.Event]]:
        """Past events, a page at a time; empty at the end. Raises JournalUnavailableError."""
        page = await self._journal.read(after_seq, bay=bay, limit=_PAGE)
        return [recorded for recorded in page if recorded.seq <= until_seq]

    async def knows(self, seq: int) -> bool:
        """Whether everything after this event can still be told. Raises JournalUnavailableError."""
        if seq == self.seq:
            return True
        first = await self._journal.read(0, limit=1)
        return seq < self.seq and bool(first) and seq >= first[0].seq - 1
