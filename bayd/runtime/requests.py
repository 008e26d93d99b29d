"""What is asked of a bay, and what whoever asks may be told when the disk is slow.

Three kinds: reports of what has happened already, acts that switch something off, and all other acts. The
first two last: they count however late they become durable. The others are done in time or not at all.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.model import Bay
from bayd.journal import Answer

# Acts that take effect at once and are journaled when possible: never expired, never given up.
DISABLING = (i.End, i.Pause, i.Hold, i.StopService, i.TimeCame)
# Reports of what has happened already: late is better than never.
_REPORTS = (
    i.PayoutMarkTaken,
    i.PayoutProgressed,
    i.PayoutWasInterrupted,
    i.PayoutEnded,
    i.BallHeard,
    i.BallInPit,
    i.DeviceReported,
    i.Restarted,
    i.ServerSaid,
    i.ServerMovedAway,
    i.ServerContradicted,
    i.PinWasRight,  # the server has taken the PIN: it will not take it again
    i.PinWasWrong,
    i.PinNotChecked,
    i.QosReported,
)
# What may switch something off is obeyed while it waits for its turn to be recorded, and where it does, is
# recorded as soon as a full disk lets it: also the desk's word.
SWITCHING_OFF = (*DISABLING, i.ServerSaid)
# Of the other acts this one counts late, too: somebody waits for help.
_LASTING = (*DISABLING, *_REPORTS, i.CallHelp)


class BayBusyError(Exception):
    """Too many acts wait at this bay, or this one waited too long; nothing was done."""


class OutcomeUnknownError(Exception):
    """The disk did not answer in time.

    What lasts (an end, a report) is recorded when the disk is back; anything else, should it become
    durable, is expired and never acted on. `settled` is done once the bay knows which.
    """

    def __init__(self, message: str, *, lasts: bool, settled: asyncio.Future[None]) -> None:
        super().__init__(message)
        self.lasts = lasts
        self.settled = settled


AnswerMaker = Callable[[Bay, Decision], Answer | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    decision: Decision
    bay: Bay  # after it
    answer: Answer | None


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    input: i.Input
    make_answer: AnswerMaker | None
    since_ms: int
    reply: asyncio.Future[Outcome]
    settled: asyncio.Future[None]

    @property
    def lasts(self) -> bool:
        return isinstance(self.input, _LASTING) or self._is_ours

    @property
    def is_patient(self) -> bool:
        """Nobody stands there waiting: whoever reports wants to know how it ended, however late."""
        return (isinstance(self.input, _REPORTS) or self._is_ours) and self.make_answer is None

    @property
    def _is_ours(self) -> bool:
        actor = getattr(self.input, "actor", None)
        return isinstance(actor, i.Actor) and actor.role is i.Role.SYSTEM

    def replaces(self, older: "Request") -> bool:
        """It tells the same anew, and nobody waits for the older one any more.

        The server is looked at every few seconds, however long the disk hangs. Its word that a session is
        over gives way to such a word alone.
        """
        if not older.reply.cancelled():
            return False
        match self.input, older.input:
            case i.ServerSaid() as new, i.ServerSaid() as old:
                return new.session_id == old.session_id and (_is_over(new) or not _is_over(old))
            case (i.ServerMovedAway() | i.ServerContradicted()) as told, before:
                return told == before
            case _:
                return False

    def succeed(self, outcome: Outcome) -> None:
        if not self.reply.done():
            self.reply.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if self.reply.done():
            return
        self.reply.set_exception(error)
        self.reply.exception()  # nobody may be waiting any more: not a warning

    def unknown(self, message: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(message, lasts=self.lasts, settled=self.settled)


def _is_over(said: i.ServerSaid) -> bool:
    return said.cancelled or bool(said.released)
