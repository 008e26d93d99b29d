"""Where each session was here, where the server shows it, and which of the two the daemon has flagged.

A move at the bay and one at the desk, to the same bay in the same moment, cannot both be made. Who was
first, the season knows from the desk's own log and from the network; the daemon does not.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bayd.core import events as e
from bayd.core.conflicts import OF_MOVES
from bayd.journal import Recorded
from tests.reconcile.central_world import Seen
from tests.simulation.world import WALL_MS

_LOOKS = 2  # the bay follows the desk with the first good look, or flags; the second sees that all is well
_LOOKS_S = 60.0  # four polls: what the outbox reads of the history is no look


@dataclass(frozen=True)
class DeskMove:
    """The desk's own log."""

    session: str  # the server's number
    to: str
    at_s: float


@dataclass
class _Stay:
    bay: str
    since_s: float
    bays: tuple[str, ...]  # this one, and where it came from
    ended_s: float = float("inf")


@dataclass
class MoveAudit:
    desk: list[DeskMove]
    seen: list[Seen]  # on the network, with what was answered
    numbers: dict[str, str] = field(default_factory=dict)  # ours -> the server's
    stays: dict[str, _Stay] = field(default_factory=dict)  # the last of each session
    standing: set[str] = field(default_factory=set)  # flagged, and nothing has mended it before the end
    flagged: Counter[str] = field(default_factory=Counter)  # how often, over all

    def enter(self, record: Recorded[e.Event]) -> None:
        at_s = (record.wall_ms - WALL_MS) / 1000
        match record.event:
            case e.SessionNumbered(ours, server_id):
                self.numbers[ours] = server_id
            case e.SessionStarted(session_id):
                self.stays[session_id] = _Stay(record.bay, at_s, (record.bay,))
            case e.SessionMovedIn(session, come_from):
                self.stays[session.session_id] = _Stay(record.bay, at_s, (record.bay, come_from))
                self.standing.discard(session.session_id)
            case e.SessionEnded(session_id):
                self.stays[session_id].ended_s = at_s
            case e.ServerMoveSeen(session_id):
                self.standing.discard(session_id)
            case e.ConflictSeen(code, session_id) if code in OF_MOVES:
                self.standing.add(session_id)
                self.flagged[session_id] += 1
            case _:
                pass

    def differing(self, shown: dict[str, str]) -> set[str]:
        """Played last at one bay, shown at another. `shown`: by the server's numbers.

        Not who was over before the bay could see what the desk did.
        """
        return {
            session_id
            for session_id, stay in self.stays.items()
            if (there := shown.get(self._number(session_id))) not in (None, stay.bay)
            and (session_id in self.standing or not self._was_unseen(session_id, stay, there))
        }

    def standing_flags(self, shown: dict[str, str]) -> set[str]:
        """Not those that the server mended in the last moment."""
        return {
            session_id
            for session_id in self.standing
            if shown.get(self._number(session_id)) != (stay := self.stays[session_id]).bay
            or not self._was_mended_late(session_id, stay)
        }

    def races(self) -> set[str]:
        """Whom the desk has moved, and those at whose bay the desk has put somebody else."""
        moved = {self._ours(one.session): one for one in self.desk}
        met = set(moved) & set(self.stays)
        for session_id, stay in self.stays.items():
            for one in self.desk:
                other = self.stays.get(self._ours(one.session))
                left_s = float("inf") if other is None else other.ended_s
                if one.to in stay.bays and one.at_s < stay.ended_s and left_s > stay.since_s:
                    met.add(session_id)
        return met

    def refusals(self) -> int:
        """So often the server said that somebody plays there."""
        return sum(one.answered == 409 for one in self.seen if one.path == "/bay/sessionBayChange")

    def _was_unseen(self, session_id: str, stay: _Stay, there: str | None) -> bool:
        number = self._number(session_id)
        return any(
            one.session == number and one.to == there and self._is_too_late(one.at_s, stay.ended_s)
            for one in self.desk
        )

    def _was_mended_late(self, session_id: str, stay: _Stay) -> bool:
        told = (
            one.at_s
            for one in self.seen
            if one.path == "/bay/sessionBayChange" and json.loads(one.body or b"{}")["newBay"] == stay.bay
        )
        number = self._number(session_id)
        moved: Iterable[float] = (one.at_s for one in self.desk if one.session == number)
        return any(self._is_too_late(at_s, stay.ended_s) for at_s in (*told, *moved))

    def _is_too_late(self, at_s: float, until_s: float) -> bool:
        """For the bay to see it."""
        return until_s - at_s < _LOOKS_S or self._looks(at_s, until_s) < _LOOKS

    def _looks(self, since_s: float, until_s: float) -> int:
        return sum(
            one.path.startswith("/session/history") and one.answered == 200
            for one in self.seen
            if since_s < one.at_s < until_s
        )

    def _number(self, session_id: str) -> str:
        return self.numbers.get(session_id, session_id)

    def _ours(self, number: str) -> str:
        return next((ours for ours, server_id in self.numbers.items() if server_id == number), number)
