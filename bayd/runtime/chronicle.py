"""What has happened at the bays, one line each in the log: who reads it sees the evening.

Not every event: balls that are read, marks and what devices report have lines or figures of their own, and
what people wrote (names, reasons) stays in the journal. Warnings and errors are written where they arise.
"""

import re
from collections.abc import Callable

from bayd.core import events as e
from bayd.journal import Recorded
from bayd.ports import Log

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class Chronicle:
    """Called with each event once it is durable."""

    def __init__(self, log: Log, session_of: Callable[[str], str | None]) -> None:
        """`session_of`: who plays at a bay, for events that do not say it."""
        self._log = log
        self._session_of = session_of

    def happened(self, recorded: Recorded[e.Event]) -> None:
        event = recorded.event
        match event:
            case e.SessionStarted(started_by=started_by, minutes=minutes):
                self._tell(recorded, started_by=started_by.value, minutes=minutes)
            case e.SessionMovedIn(session=session, come_from=come_from):
                self._tell(recorded, session=session.session_id, come_from=come_from)
            case e.SessionEnded(reason=reason, played_ms=played_ms):
                self._tell(recorded, reason=reason.value, played_s=played_ms // 1000)
            case e.SessionMovedAway(to=to):
                self._tell(recorded, to=to)
            case e.SessionExtended(minutes=minutes, own=own):
                self._tell(recorded, minutes=minutes, own=own)
            case e.PayoutClosed(end=end, paid=paid, unknown=unknown):
                self._tell(recorded, end=end.value, paid=paid, unknown=unknown)
            case e.SessionPaused() | e.SessionResumed() | e.HelpCalled() | e.HelpAcknowledged():
                self._tell(recorded)
            case e.PinRefused() | e.PadUnlocked() | e.BayHeld() | e.BayReleased():
                self._tell(recorded)
            case e.BayTakenOutOfService() | e.BayReturnedToService() | e.OutageSeen():
                self._tell(recorded)
            case _:
                pass

    def _tell(self, recorded: Recorded[e.Event], **facts: object) -> None:
        name = _WORD.sub("_", type(recorded.event).__name__).lower()
        session = getattr(recorded.event, "session_id", None) or self._session_of(recorded.bay)
        known = {} if session is None else {"session": session}
        self._log.info(name, bay=recorded.bay, **{**known, **facts})
