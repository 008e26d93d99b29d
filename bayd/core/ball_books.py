"""Putting the ball books right: what nobody could count, what was filled in, what a session comes to.

Money follows what was dispensed. What is read is for play, and for the comparison at the end: far fewer balls
read than counted mean a machine that counts what it does not pay, or an antenna that is deaf.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, EndedSession
from bayd.core.rules import Rules, UnknownPolicy

_POLICY = "bayd"  # who settles by a rule of the site


def settle_unknown(bay: Bay, request: i.SettleUnknown) -> Verdict:
    """Staff counted, or asked the customer: so many came out, the rest is owed."""
    if not request.reason.strip():
        return Refusal("reason_missing", "What became of unknown balls needs a reason.", field="reason")
    flag = next((u for u in bay.unsettled if u.payout_id == request.payout_id), None)
    if flag is None:
        return Refusal("nothing_unknown", "No balls of this payout are unknown (any more).")
    if not 0 <= request.came_out <= flag.balls:
        text = f"Between 0 and {flag.balls} balls can have come out."
        return Refusal("balls_invalid", text, field="came_out")
    return (
        e.UnknownSettled(
            flag.payout_id,
            flag.session_id,
            counted=request.came_out,
            owed=flag.balls - request.came_out,
            by=request.actor.name,
            reason=request.reason,
        ),
    )


def settle_by_rule(closed: e.PayoutClosed, rules: Rules) -> tuple[e.UnknownSettled, ...]:
    """What the site wants of balls that the machine cannot tell of; the flag stays in the journal."""
    if rules.unknown_balls is UnknownPolicy.ASK:
        return ()
    counted = closed.unknown if rules.unknown_balls is UnknownPolicy.COUNT else 0
    owed = closed.unknown - counted
    reason = f"unknown_balls = {rules.unknown_balls.value}"
    return (e.UnknownSettled(closed.payout_id, closed.session_id, counted, owed, _POLICY, reason),)


def refill(bay: Bay, request: i.Refill, now: Instant, rules: Rules) -> Verdict:
    if rules.dispenser is None:
        return Refusal("no_dispenser", "This bay has no ball dispenser.")
    if bay.stock is not None and bay.stock.refill_id == request.refill_id:
        return ()
    balls = rules.dispenser_capacity if request.balls is None else request.balls
    if balls is None:
        text = "Say how many balls are in it now: the capacity of this machine is not configured."
        return Refusal("balls_missing", text, field="balls")
    if balls < 0:
        return Refusal("balls_invalid", "A number of balls is not negative.", field="balls")
    return (e.DispenserRefilled(request.refill_id, rules.dispenser, balls, request.actor.name, now.wall_ms),)


def level_seen(bay: Bay, report: i.BallLevelSeen, now: Instant, rules: Rules) -> Verdict:
    at_server = rules.central_level.get(report.level)
    if (bay.ball_level.level, bay.ball_level.at_server) == (report.level, at_server):
        return ()
    return (e.BallLevelChanged(report.level, at_server, now.wall_ms),)


def due(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """The books of the session that is over, once its last balls can have been read."""
    wake_ms = next_wake_ms(bay, rules)
    return () if wake_ms is None or now.boot_ms < wake_ms else close_books(bay, now, rules)


def next_wake_ms(bay: Bay, rules: Rules) -> int | None:
    last = bay.last
    if last is None or rules.dispenser is None:
        return None
    # A payout that was begun before the end is finished first.
    still_pays = bay.payout is not None and bay.payout.session_id == last.session_id
    return None if still_pays else last.reconcile_at_ms


def close_books(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """Nothing when they are closed already."""
    last = bay.last
    if last is None or last.reconcile_at_ms is None or rules.dispenser is None:
        return ()
    balls = last.balls
    came_out = balls.counted + balls.surplus
    tolerated = max(rules.variance_balls, came_out * rules.variance_percent // 100)
    missing = came_out - balls.read if _can_tell(last, rules) else None
    beyond = missing is not None and (missing > tolerated or -missing > tolerated + balls.unknown)
    granted = missing - tolerated if rules.variance_grant and missing is not None else 0
    return (
        e.SessionReconciled(last.session_id, balls, missing, tolerated, beyond, max(0, granted), now.wall_ms),
    )


def before_an_end(bay: Bay, events: tuple[e.Event, ...], now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """The end of a session takes the place of the one before: that one's books are closed first."""
    if not any(isinstance(event, e.SessionEnded) for event in events):
        return events
    return (*close_books(bay, now, rules), *events)


def _can_tell(last: EndedSession, rules: Rules) -> bool:
    return rules.reads_balls and not last.unread
