"""What people did beside the bays' own acts, which have their rows in the commit of what they changed."""

from collections.abc import Awaitable, Callable

from bayd.core import events as e
from bayd.core.audit import AuditNote
from bayd.journal import Journal, JournalError
from bayd.ports import Clock, Randomness
from bayd.web.problems import not_recorded

Record = Callable[[AuditNote, str], Awaitable[None]]


class AuditBook:
    def __init__(self, journal: Journal[e.Event], clock: Clock, randomness: Randomness) -> None:
        self._journal = journal
        self._clock = clock
        self._randomness = randomness

    async def record(self, row: AuditNote, bay: str = "") -> None:
        """Raises ProblemError: what cannot be recorded is not done."""
        act_id, at = self._randomness.new_id(), self._clock.now()
        try:
            await self._journal.transact(lambda writer: writer.note(act_id, at, row, bay))
        except JournalError:
            raise not_recorded() from None
