"""A session goes to another bay of the same PC: one decision about two bays.

Its time, balls, players, game and money go as they are, and so do the balls that it has in the air; the clock
of both bays is one, but where the old one is configured no more: there it stands still. What this gives is
recorded in one transaction over both bays, so the session is never in two, nor in none. The open payout
closes first: one that was not begun never starts; while a motor runs nobody moves; of one that a lost or
faulty machine cannot tell of, the balls are unknown and go along, for staff to settle.
"""

from dataclasses import dataclass, replace

from bayd.core import ball_books, conflicts
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.decision import Decision, Refusal
from bayd.core.dispensing import close_unbegun
from bayd.core.evolve import evolve_all
from bayd.core.extensions import NOT_PLAYING
from bayd.core.instant import Instant
from bayd.core.model import DISPENSER, READER, Bay, DeviceFact, DeviceState, PayoutEnd, Phase, PlaySession
from bayd.core.play import after_end, spoken
from bayd.core.restart import taken_along
from bayd.core.rules import Rules

UNKNOWN_TARGET = Refusal(
    "unknown_target", "There is no such bay at this PC: move it at the desk.", field="to"
)


@dataclass(frozen=True, slots=True)
class MoveDecision:
    source: Decision  # with the refusal, if it is one
    target: Decision


def decide_move(
    source: Bay, target: Bay | None, request: i.Move, now: Instant, source_rules: Rules, target_rules: Rules
) -> MoveDecision:
    """What the clock has brought about at either bay comes first; what this makes due each sees by itself.

    `target` None: there is no such bay.
    """
    # Where it stands still it is as late as when the bay was served last.
    here = now if source.left is None else replace(now, boot_ms=source.left.boot_ms)
    due_here = decide(source, i.TimeCame(), here, source_rules).events
    if target is None:
        return MoveDecision(Decision(due_here, UNKNOWN_TARGET), Decision())
    due_there = decide(target, i.TimeCame(), now, target_rules).events
    source, target = evolve_all(source, due_here), evolve_all(target, due_there)
    refusal = _why_not(source, target, request)
    if refusal is not None:
        return MoveDecision(Decision(due_here, refusal), Decision(due_there))
    leaving = _leave(source, target, request, here, source_rules)
    coming = _come(taken_along(evolve_all(source, leaving[:-1]), now), target, request, now)
    leaving += after_end(source, here.boot_ms, here, source_rules)
    return MoveDecision(Decision(due_here + leaving), Decision(due_there + coming))


def _why_not(source: Bay, target: Bay, request: i.Move) -> Refusal | None:
    session = source.session
    if session is None:
        return NOT_PLAYING
    if request.session_id not in (None, session.session_id):
        return Refusal("session_over", "That session is over.")
    if source.number == target.number:
        return Refusal("same_bay", "The session is at this bay already.", field="to")
    if not request.reason.strip():
        return Refusal("reason_missing", "A move needs a reason.", field="reason")
    if target.phase not in (Phase.FREE, Phase.GRACE):
        why = f": {target.kept_reason}" if target.kept_reason else ""
        return Refusal("target_busy", f"Bay {target.number} is {spoken(target.phase)}{why}")
    if target.bookings:
        return Refusal("target_busy", f"A booking waits at bay {target.number}.")
    payout = source.payout
    if payout is not None and payout.part is not None and _is_well(source):
        text = "Balls are being paid out: move the session when they are."
        return Refusal("payout_running", text, retry_after_ms=1_000)
    return None


def _is_well(bay: Bay) -> bool:
    return bay.devices.get(DISPENSER, DeviceFact()).state not in (DeviceState.LOST, DeviceState.FAULT)


def _leave(source: Bay, target: Bay, request: i.Move, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """The payout's end, and then the session's leaving."""
    assert source.session is not None
    closing: tuple[e.Event, ...] = close_unbegun(source)
    payout = source.payout
    if payout is not None and payout.part is not None:
        unknown = max(0, payout.part.paid_before + payout.part.balls - payout.paid)
        text = "moved while the machine could not be asked"
        end = PayoutEnd.UNKNOWN if unknown else PayoutEnd.STOPPED
        closed = e.PayoutClosed(
            payout.payout_id, payout.session_id, end, payout.paid, unknown, text, payout.surplus, now.wall_ms
        )
        closing = (closed, *(ball_books.settle_by_rule(closed, rules) if unknown else ()))
    away = e.SessionMovedAway(
        session_id=source.session.session_id,
        to=target.number,
        own=request.actor.role is not i.Role.SYSTEM,
        minutes=source.session.minutes,
        first_minutes=source.session.first_minutes,
        by=request.actor.name,
        reason=request.reason,
        at_ms=now.boot_ms,
        wall_ms=now.wall_ms,
    )
    return (*closing, away)


def _come(source: Bay, target: Bay, request: i.Move, now: Instant) -> tuple[e.Event, ...]:
    """`source` is what it is with the payout closed."""
    session = source.session
    assert session is not None
    session_id = session.session_id
    own = request.actor.role is not i.Role.SYSTEM
    numbers = (server_id for server_id, local_id in source.numbers.items() if local_id == session_id)
    came = e.SessionMovedIn(
        session=_settled_in(session, source, target, own=own),
        come_from=source.number,
        number=next(numbers, None),
        unsettled=tuple(flag for flag in source.unsettled if flag.session_id == session_id),
        dues=tuple(due for due in source.dues if due.session_id == session_id),
        credits=tuple(credit for credit in source.credits if credit.session_id == session_id),
        conflicts=conflicts.of_session(source.conflicts, session_id),
        help_since_ms=source.help_since_ms,
        by=request.actor.name,
        reason=request.reason,
        at_ms=now.boot_ms,
        wall_ms=now.wall_ms,
    )
    if not session.paused_for or session.paused_at_ms is None:
        return (came,)
    # It stood still for a fault of the old bay's machine.
    ends_at_ms = session.ends_at_ms + now.boot_ms - session.paused_at_ms
    return (came, e.SessionResumed(now.boot_ms, ends_at_ms, "bayd"))


def _settled_in(session: PlaySession, source: Bay, target: Bay, *, own: bool) -> PlaySession:
    hears = target.devices.get(READER, DeviceFact()).state is DeviceState.OK
    return replace(
        session,
        unread=session.unread or not hears,
        # Until the server shows it here it may show it wherever it was.
        server_bays=(*session.server_bays, source.number) if own else (),
        desk_minutes_when_moved=session.desk_minutes if own else session.desk_minutes_when_moved,
    )
