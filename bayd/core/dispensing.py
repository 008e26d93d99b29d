"""Owed balls and the one open payout of a bay.

A press becomes a durable request, then the device's mark becomes durable, then the motor may run, once.
Whatever interrupts that, the device is asked what became of it; the rest is the customer's balance.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, DeviceState, Payout, PayoutEnd, Phase
from bayd.core.rules import Rules

DISPENSER = "dispenser"


def dispense(bay: Bay, request: i.Dispense, now: Instant, rules: Rules) -> Verdict:
    session = bay.session
    if session is None:
        return Refusal("not_playing", "No session is running at this bay.")
    if bay.phase is Phase.PAUSED:
        return Refusal("paused", "The session is paused.")
    if rules.dispenser is None:
        return Refusal("no_dispenser", "This bay has no ball dispenser.")
    balls = request.balls
    if not 1 <= balls <= rules.dispense_max_balls:
        return Refusal(
            "balls_invalid", f"Between 1 and {rules.dispense_max_balls} balls at a time.", field="balls"
        )
    if balls % rules.dispenser_step:
        return Refusal(
            "balls_step", f"This dispenser pays multiples of {rules.dispenser_step} balls.", field="balls"
        )
    if bay.payout is not None:
        return Refusal("payout_running", "Balls are being paid out.", retry_after_ms=1_000)
    fact = bay.devices.get(DISPENSER)
    if fact is not None and fact.state is DeviceState.FAULT:
        return Refusal("dispenser_fault", f"The dispenser needs a person: {fact.reason}")
    from_balance = min(balls, session.balls.balance)
    fresh = balls - from_balance
    if fresh and session.game is not None and session.game.balls_limit is None:
        return Refusal("limit_unknown", "The limit of this game is not known: staff choose the game anew.")
    left = session.balls_left
    if left is not None and fresh > left:
        return Refusal(
            "limit_reached",
            f"{left + session.balls.balance} balls are left in this game.",
            field="balls",
        )
    return (
        e.PayoutRequested(
            payout_id=request.payout_id,
            session_id=session.session_id,
            dispenser=rules.dispenser,
            balls=balls,
            from_balance=from_balance,
            not_after_ms=now.boot_ms + rules.intent_ttl_ms,
        ),
    )


def mark_taken(bay: Bay, report: i.PayoutMarkTaken, rules: Rules) -> Verdict:
    """The device told where it stands: from here on only it knows how far the payout got."""
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id or not may_start(bay, rules):
        return Refusal("payout_gone", "This payout may no longer start.")
    if not 1 <= report.balls <= payout.left:
        return Refusal("payout_size", f"{payout.left} balls are left of this payout.")
    return (e.PayoutMarked(report.payout_id, report.balls, report.mark),)


def may_start(bay: Bay, rules: Rules) -> bool:
    """May the motor be started for the open payout? Only in the same session, soon after the press."""
    payout = bay.payout
    return (
        payout is not None
        and not payout.stopping
        and bay.phase is Phase.PLAYING
        and bay.session is not None
        and bay.session.session_id == payout.session_id
        and payout.interrupted_ms < rules.resume_payout_ms
    )


def progressed(bay: Bay, report: i.PayoutProgressed) -> Verdict:
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id or payout.part is None:
        return Refusal("payout_gone", "This payout is closed.")
    paid = payout.part.paid_before + min(report.part_paid, payout.part.balls)
    if paid <= payout.paid:
        return ()
    return (e.BallsPaid(payout.payout_id, payout.session_id, paid),)


def interrupted(bay: Bay, report: i.PayoutWasInterrupted) -> Verdict:
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id:
        return ()
    if report.interrupted_ms <= payout.interrupted_ms:
        return ()
    return (e.PayoutInterrupted(payout.payout_id, report.interrupted_ms),)


def ended(bay: Bay, report: i.PayoutEnded) -> Verdict:
    """The motor stands. What the device cannot tell is unknown: neither paid nor owed."""
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id:
        return Refusal("payout_gone", "This payout is closed.")
    part = payout.part
    paid, unknown = payout.paid, 0
    if part is not None:
        if report.part_paid is None:
            unknown = part.balls - (payout.paid - part.paid_before)
        else:
            paid = max(payout.paid, part.paid_before + min(report.part_paid, part.balls))
    end = PayoutEnd.UNKNOWN if unknown else report.end
    return (e.PayoutClosed(payout.payout_id, payout.session_id, end, paid, unknown, report.text),)


def close_unbegun(bay: Bay) -> tuple[e.PayoutClosed, ...]:
    """At the end or in a pause: a payout that has begun is finished, another never starts."""
    payout = bay.payout
    if payout is None or payout.part is not None:
        return ()
    return (_never_started(payout),)


def stop_payout(bay: Bay) -> tuple[e.PayoutClosed | e.PayoutStopping, ...]:
    payout = bay.payout
    if payout is None:
        return ()
    if payout.part is None:
        return (_never_started(payout),)
    return () if payout.stopping else (e.PayoutStopping(payout.payout_id),)


def _never_started(payout: Payout) -> e.PayoutClosed:
    return e.PayoutClosed(payout.payout_id, payout.session_id, PayoutEnd.NEVER_STARTED, payout.paid, 0, "")
