"""One input, one decision. The rooms are `bookings`, `conflicts`, `pins`, `play`, `extensions`, `dispensing`,
`ball_books`, `reads`, `waits`, `modes`, `staff`, `qos_book` and `restart`."""

from typing import assert_never

from bayd.core import (
    ball_books,
    bookings,
    conflicts,
    dispensing,
    extensions,
    modes,
    pins,
    play,
    qos_book,
    reads,
    restart,
    staff,
    waits,
)
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision, Refusal, Verdict
from bayd.core.evolve import evolve, evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Bay
from bayd.core.rules import Rules

__all__ = ["decide", "evolve", "next_wake_ms"]


def next_wake_ms(bay: Bay, rules: Rules) -> int | None:
    """The next instant at which the clock alone may bring something about."""
    rooms = (play, ball_books, waits)
    wakes = (room.next_wake_ms(bay, rules) for room in rooms)
    return min((wake for wake in wakes if wake is not None), default=None)


def decide(bay: Bay, request: i.Input, now: Instant, rules: Rules) -> Decision:
    """What follows from `request`. What the clock has brought about comes first: no act overtakes an end."""
    if isinstance(request, i.Restarted):
        events = _accepted(restart.restarted(bay, request, now, rules))
        return Decision(events + _overdue(evolve_all(bay, events), now, rules))
    overdue = _overdue(bay, now, rules)
    current = evolve_all(bay, overdue)
    verdict = _decide(current, request, now, rules)
    if isinstance(verdict, Refusal):
        return Decision(overdue, verdict)
    verdict = ball_books.before_an_end(current, verdict, now, rules)
    # A decision may itself bring something due, such as the warning of a short session.
    after = evolve_all(bay, overdue + verdict)
    return Decision(overdue + verdict + _overdue(after, now, rules))


def _is_over(bay: Bay, request: i.SessionAct) -> bool:
    """Another session plays than the one that the act was meant for."""
    meant = request.session_id
    return meant is not None and bay.session is not None and bay.session.session_id != meant


def _accepted(verdict: Verdict) -> tuple[e.Event, ...]:
    return () if isinstance(verdict, Refusal) else verdict


def _due(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    return ball_books.due(bay, now, rules) or play.due(bay, now, rules) or waits.due(bay, now, rules)


def _overdue(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    events: tuple[e.Event, ...] = ()
    while more := _due(bay, now, rules):
        more = ball_books.before_an_end(bay, more, now, rules)
        events += more
        bay = evolve_all(bay, more)
    return events


def _decide(bay: Bay, request: i.Input, now: Instant, rules: Rules) -> Verdict:
    if isinstance(request, i.SessionAct) and _is_over(bay, request):
        return Refusal("session_over", "That session is over.")
    match request:
        case i.TimeCame():
            return ()
        case i.Restarted():
            return restart.restarted(bay, request, now, rules)
        case i.ServerSaid():
            return bookings.server_said(bay, request, now, rules)
        case i.ServerMovedAway():
            return bookings.moved_away(bay, request, now)
        case i.ServerContradicted():
            return conflicts.contradicted(bay, request, now)
        case i.PinEntered():
            return pins.entered(bay, request, now, rules)
        case i.PinWasRight():
            return pins.right(bay, request, now, rules)
        case i.PinWasWrong():
            return pins.wrong(bay, request)
        case i.PinNotChecked():
            return pins.not_checked(bay, request)
        case i.UnlockPad():
            return pins.unlock(request)
        case i.StartPlay():
            return play.start_by_staff(bay, request, now, rules)
        case i.WalkIn():
            return play.walk_in(bay, request, now, rules)
        case i.ServerNumbered():
            return bookings.numbered(bay, request)
        case i.RetryDelivery():
            return staff.retry_delivery(request)
        case i.DropDelivery():
            return staff.drop_delivery(request)
        case i.Extend():
            return extensions.extend(bay, request, now, rules)
        case i.ApproveExtension():
            return extensions.approve(bay, request, now, rules)
        case i.DeclineExtension():
            return extensions.decline(bay, request)
        case i.SettleDue():
            return extensions.settle_due(bay, request, now)
        case i.PricesSeen():
            return extensions.prices_seen(bay, request)
        case i.ArrearsSeen():
            return extensions.arrears_seen(bay, request)
        case i.End():
            return play.end(bay, request, now, rules)
        case i.Pause():
            return play.pause(bay, request, now, rules)
        case i.Resume():
            return play.resume_asked(bay, request, now)
        case i.Dispense():
            return dispensing.dispense(bay, request, now, rules)
        case i.PayoutMarkTaken():
            return dispensing.mark_taken(bay, request, rules)
        case i.TestDispense():
            return dispensing.test(bay, request, now, rules)
        case i.SettleUnknown():
            return ball_books.settle_unknown(bay, request)
        case i.Refill():
            return ball_books.refill(bay, request, now, rules)
        case i.BallLevelSeen():
            return ball_books.level_seen(bay, request, now, rules)
        case i.PayoutProgressed():
            return dispensing.progressed(bay, request)
        case i.PayoutWasInterrupted():
            return dispensing.interrupted(bay, request, rules)
        case i.PayoutEnded():
            return dispensing.ended(bay, request, now, rules)
        case i.BallHeard():
            return reads.heard(bay, request, rules)
        case i.BallInPit():
            return reads.in_pit(bay, request)
        case i.SelectGame():
            return staff.select_game(bay, request)
        case i.SelectPlayer():
            return staff.select_player(bay, request)
        case i.CallHelp():
            return staff.call_help(bay, now)
        case i.AcknowledgeHelp():
            return staff.acknowledge_help(bay, request)
        case i.SettleConflict():
            return conflicts.settle(bay, request)
        case i.Hold():
            return staff.hold(bay, request, now)
        case i.Release():
            return staff.release(bay, request)
        case i.StopService():
            return staff.stop_service(bay, request, now, rules)
        case i.ReturnToService():
            return staff.return_to_service(bay, request)
        case i.ClearFault():
            return staff.clear_fault(bay, request, now)
        case i.ModeSeen():
            return modes.seen(bay, request)
        case i.SetMode():
            return modes.set_by_staff(bay, request, now)
        case i.DeviceReported():
            return staff.device_reported(bay, request, now)
        case i.QosWanted():
            return qos_book.wanted(bay, request)
        case i.QosReported():
            return qos_book.reported(bay, request)
        case _:
            assert_never(request)
