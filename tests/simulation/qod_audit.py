"""The operator's ledger against the journal's play: what ran for nobody, for how long, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bayd.core import events as e
from bayd.core import qos_events as q
from bayd.core.qos_words import Trouble
from bayd.journal import Recorded
from bayd.reference.qod.sessions import QosSession, network_s
from tests.simulation.qod_evening import GRACE_S, MAX_LEASE_S, Window
from tests.simulation.qod_operator import Entry, Fault, Seen

DELETED_WITHIN_S = 60.0
_NEVER = float("inf")


@dataclass
class Books:
    """What the journal says."""

    plays: dict[str, list[Window]] = field(default_factory=dict)
    bay_of: dict[str, str] = field(default_factory=dict)  # x-correlator -> bay
    known: set[str] = field(default_factory=set)  # ids of QoS sessions
    orphans: dict[str, list[float]] = field(default_factory=dict)  # bay -> when one was told of
    charged_s: int = 0
    started: int = 0


def read_books(journal: Iterable[Recorded[Any]]) -> Books:
    books = Books()
    for record in journal:
        bay, at_s = record.bay, record.wall_ms / 1000
        match record.event:
            case e.SessionStarted():
                books.started += 1
                books.plays.setdefault(bay, []).append((at_s, _NEVER))
            case e.SessionEnded():
                began, _ = books.plays[bay][-1]
                books.plays[bay][-1] = (began, at_s)
            case q.QosCreateIntended(x_correlator=correlator):
                books.bay_of[correlator] = bay
            case q.QosCreated(qos_id=qos_id):
                books.known.add(qos_id)
            case q.QosDegraded(trouble=Trouble.ORPHAN):
                books.orphans.setdefault(bay, []).append(at_s)
            case e.QosSpent(seconds=seconds):
                books.charged_s += seconds
            case _:
                pass
    return books


@dataclass
class Audit:
    sessions: int = 0  # QoS sessions in the operator's books
    network_s: float = 0.0
    outside_s: dict[str, float] = field(default_factory=dict)  # beyond play and grace, by cause
    late: list[str] = field(default_factory=list)  # not gone in time
    strangers: list[str] = field(default_factory=list)  # asked for without an intent in the journal
    orphans: int = 0
    over_unseen: int = 0
    orphans_untold: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)  # one intent, more than one session that nobody knows
    charged_s: int = 0
    worst_s: float = 0.0  # from the end, or the operator's or bayd's return, to the deletion

    def report(self) -> str:
        lines = [
            f"{self.sessions} QoS sessions, {self.network_s / 60:.0f} network minutes, "
            f"{self.charged_s / 60:.0f} charged; slowest deletion {self.worst_s:.0f} s; "
            f"{self.orphans} orphans, {self.over_unseen} over before bayd could look for them",
            "network minutes outside play, grace excluded:",
        ]
        lines += [f"  {cause:32} {seconds / 60:8.1f}" for cause, seconds in sorted(self.outside_s.items())]
        lines += [f"  {'in all':32} {sum(self.outside_s.values()) / 60:8.1f}"]
        return "\n".join(lines)

    @property
    def faults(self) -> list[str]:
        return [*self.late, *self.strangers, *self.orphans_untold, *self.doubled]


def audit(
    ledger: Iterable[Entry],
    books: Books,
    *,
    away: Sequence[Window],
    dead: Sequence[Window],
    seen: Sequence[Seen],
    can_retrieve: bool,
    now: float,
) -> Audit:
    result = Audit(charged_s=books.charged_s)
    spoiled = {
        call.session_id for call in seen if call.operation == "delete" and call.fault is not Fault.NONE
    }
    lost: dict[str, int] = {}
    for entry in ledger:
        session = entry.session
        result.sessions += 1
        result.network_s += network_s(session, now)
        bay = books.bay_of.get(session.x_correlator or "")
        if bay is None:
            result.strangers.append(f"{session.session_id}: its intent is not in the journal")
            continue
        plays = books.plays.get(bay, [])
        ended = now if session.ended_at is None else session.ended_at
        known = session.session_id in books.known
        over_unseen = ended <= _due(session.created_at, [*away, *dead]) + DELETED_WITHIN_S
        if not known and can_retrieve and over_unseen:
            # It had run out before bayd was there for long enough to look for it: nobody can find it now.
            result.over_unseen += 1
        elif not known:
            result.orphans += 1
            correlator = session.x_correlator or ""
            lost[correlator] = lost.get(correlator, 0) + 1
            told = any(session.created_at <= at_s for at_s in books.orphans.get(bay, []))
            if not told:
                result.orphans_untold.append(f"{session.session_id} of bay {bay}: nobody was told")
            if session.ended_at is None or ended - session.created_at > MAX_LEASE_S + 1:
                result.late.append(f"{session.session_id}: an orphan outlived its lease")
        for gap in _without(((session.created_at, ended),), plays):
            free_s = _due(gap[0], [*away, *dead])
            # A reply that was lost is looked for first; that takes its time.
            slack_s = DELETED_WITHIN_S * (2 if entry.reply_lost else 1)
            if known:
                result.worst_s = max(result.worst_s, gap[1] - free_s)
            if known and gap[1] > free_s + slack_s:
                result.late.append(
                    f"{session.session_id} of bay {bay}: {gap[1] - free_s:.0f} s too many, "
                    f"reply lost: {entry.reply_lost}, {session.cause}"
                )
        _blame(result, session, ended, plays, known, away, dead, spoiled)
    result.doubled = [f"{correlator}: {count} orphans" for correlator, count in lost.items() if count > 1]
    if can_retrieve and result.orphans:
        result.orphans_untold.append(f"{result.orphans} orphans where sessions can be found")
    return result


def _blame(
    result: Audit,
    session: QosSession,
    ended: float,
    plays: Sequence[Window],
    known: bool,
    away: Sequence[Window],
    dead: Sequence[Window],
    spoiled: set[str],
) -> None:
    if session.available_at is None:
        return
    with_grace = [(began, end + GRACE_S) for began, end in plays]
    for gap in _without(((session.available_at, ended),), with_grace):
        if not known:
            cause = "its reply was lost: orphan"
        elif any(_meet(gap, window) for window in dead):
            cause = "bayd was down"
        elif any(_meet(gap, window) for window in away):
            cause = "the operator was away"
        elif session.session_id in spoiled:
            cause = "a deletion had no answer"
        else:
            cause = "other"
        result.outside_s[cause] = result.outside_s.get(cause, 0.0) + gap[1] - gap[0]


def _without(windows: Iterable[Window], taken: Sequence[Window]) -> list[Window]:
    """What is left of `windows`."""
    left = list(windows)
    for began, end in taken:
        left = [
            part
            for start, stop in left
            for part in ((start, min(stop, began)), (max(start, end), stop))
            if part[0] < part[1]
        ]
    return left


def _due(start: float, windows: Iterable[Window]) -> float:
    """From when on a deletion was possible, and should have been tried."""
    due = start
    for began, end in sorted(windows):
        if end > due and began <= due + DELETED_WITHIN_S:
            due = end
    return due


def _meet(one: Window, other: Window) -> bool:
    return one[0] < other[1] and other[0] < one[1]
