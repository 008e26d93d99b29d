"""Owed balls and the one open payout of a bay.

A press becomes a durable request, then the device's mark becomes durable, then the motor may run, once.
Whatever interrupts that, the device is asked what became of it; the rest is the customer's balance.
"""

from dataclasses import replace

from bayd.core import ball_books
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import DISPENSER, Bay, DeviceFact, DeviceState, Payout, PayoutEnd, Phase, PlaySession
from bayd.core.rules import FaultPolicy, Rules, StepPolicy

_TEST_MAX_BALLS = 25  # enough to see a machine work; one step where that is more


def dispense(bay: Bay, request: i.Dispense, now: Instant, rules: Rules) -> Verdict:
    session = bay.session
    if session is None:
        return Refusal("not_playing", "No session is running at this bay.")
    if bay.phase is Phase.PAUSED:
        return Refusal("paused", "The session is paused.")
    if rules.dispenser is None:
        return Refusal("no_dispenser", "This bay has no ball dispenser.")
    refusal = _not_offered(bay, request, rules)
    if refusal is not None:
        return refusal
    balls = _in_steps(request.balls, rules)
    if isinstance(balls, Refusal):
        return balls
    refusal = _engaged(bay)
    if refusal is not None:
        return refusal
    from_balance = min(balls, session.balls.balance)
    fresh = balls - from_balance
    refusal = _beyond_limit(session, balls, rules) or _beyond_cap(session, fresh, now, rules)
    if refusal is not None:
        return refusal
    return (
        e.PayoutRequested(
            payout_id=request.payout_id,
            session_id=session.session_id,
            dispenser=rules.dispenser,
            balls=balls,
            from_balance=from_balance,
            not_after_ms=now.boot_ms + rules.intent_ttl_ms,
            at_ms=now.boot_ms,
            forget_before_ms=now.boot_ms - rules.cap_ms,
            pressed=request.balls,
            by=request.actor.name,
            wall_ms=now.wall_ms,
        ),
    )


def test(bay: Bay, request: i.TestDispense, now: Instant, rules: Rules) -> Verdict:
    """A technician tries the machine while nobody plays; nobody's balls, and never resumed."""
    if rules.dispenser is None:
        return Refusal("no_dispenser", "This bay has no ball dispenser.")
    if not request.reason.strip():
        return Refusal("reason_missing", "A test payout needs a reason.", field="reason")
    if bay.session is not None:
        return Refusal("playing", "A session is running at this bay: the balls would fall to the customer.")
    most = max(_TEST_MAX_BALLS, rules.dispenser_step)
    if not 1 <= request.balls <= most:
        return Refusal("balls_invalid", f"A test pays 1 to {most} balls.", field="balls")
    if request.balls % rules.dispenser_step:
        return _no_multiple(rules)
    refusal = _engaged(bay)
    if refusal is not None:
        return refusal
    return (
        e.PayoutRequested(
            payout_id=request.payout_id,
            session_id="",
            dispenser=rules.dispenser,
            balls=request.balls,
            from_balance=0,
            not_after_ms=now.boot_ms + rules.intent_ttl_ms,
            at_ms=now.boot_ms,
            pressed=request.balls,
            test=True,
            by=request.actor.name,
            wall_ms=now.wall_ms,
            reason=request.reason,
        ),
    )


def choices(bay: Bay, rules: Rules) -> tuple[int, ...]:
    """What the screen offers now: the site's sizes, and what is owed where the machine can pay just that.
    None: any number."""
    if not rules.dispense_choices:
        return ()
    balance = 0 if bay.session is None else min(bay.session.balls.balance, rules.dispense_max_balls)
    owed = {balance} if balance and not isinstance(_in_steps(balance, rules), Refusal) else set()
    return tuple(sorted({*rules.dispense_choices, *owed}))


def _not_offered(bay: Bay, request: i.Dispense, rules: Rules) -> Refusal | None:
    balls = request.balls
    if not 1 <= balls <= rules.dispense_max_balls:
        text = f"Between 1 and {rules.dispense_max_balls} balls at a time."
        return Refusal("balls_invalid", text, field="balls")
    offered = choices(bay, rules)
    if not offered or request.actor.role is not i.Role.SCREEN or balls in offered:
        return None
    sizes = ", ".join(str(size) for size in offered)
    return Refusal("balls_not_offered", f"The screen offers {sizes} balls.", field="balls")


def _in_steps(balls: int, rules: Rules) -> int | Refusal:
    over = balls % rules.dispenser_step
    if not over:
        return balls
    match rules.step_policy:
        case StepPolicy.REFUSE:
            return _no_multiple(rules)
        case StepPolicy.ROUND_UP:
            return balls - over + rules.dispenser_step
        case StepPolicy.ROUND_DOWN:
            return balls - over or _no_multiple(rules)


def _no_multiple(rules: Rules) -> Refusal:
    text = f"This dispenser pays multiples of {rules.dispenser_step} balls."
    return Refusal("balls_step", text, field="balls")


def _engaged(bay: Bay) -> Refusal | None:
    if bay.payout is not None:
        return Refusal("payout_running", "Balls are being paid out.", retry_after_ms=1_000)
    if _is_faulty(bay):
        return Refusal("dispenser_fault", f"The dispenser needs a person: {bay.devices[DISPENSER].reason}")
    return None


def _is_faulty(bay: Bay) -> bool:
    return bay.devices.get(DISPENSER, DeviceFact()).state is DeviceState.FAULT


def _beyond_limit(session: PlaySession, balls: int, rules: Rules) -> Refusal | None:
    """The game's limit; where the site rounds up, the last step may reach beyond it."""
    balance, game, step = session.balls.balance, session.game, rules.dispenser_step
    if balls > balance and game is not None and game.balls_limit is None:
        return Refusal("limit_unknown", "The limit of this game is not known: staff choose the game anew.")
    if session.balls_left is None:
        return None
    left = session.balls_left + balance
    allowed = -(-left // step) * step if rules.step_policy is StepPolicy.ROUND_UP else left
    if balls <= allowed:
        return None
    text = f"{left} balls are left in this game."
    if 0 < left < step:
        text += f" This dispenser pays multiples of {step}."
    return Refusal("limit_reached", text, field="balls")


def _beyond_cap(session: PlaySession, fresh: int, now: Instant, rules: Rules) -> Refusal | None:
    """So many balls in so much time: a machine is not emptied by one bay."""
    cap = rules.cap_balls
    if cap is None or not fresh:
        return None
    text = f"At most {cap} balls in {rules.cap_minutes} minutes."
    if fresh > cap:
        return Refusal("cap_reached", text, field="balls")
    since_ms = now.boot_ms - rules.cap_ms
    lately = [asked for asked in session.asked if asked.at_ms > since_ms]
    too_many = sum(asked.balls for asked in lately) + fresh - cap
    if too_many <= 0:
        return None
    for asked in lately:
        too_many -= asked.balls
        if too_many <= 0:
            return Refusal("cap_reached", text, retry_after_ms=asked.at_ms - since_ms)
    return Refusal("cap_reached", text, field="balls")


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
    payout, session = bay.payout, bay.session
    if payout is None or payout.stopping or _is_faulty(bay):
        return False
    if payout.test:
        return session is None and not payout.interrupted_ms
    if session is not None and session.session_id == payout.session_id:
        return bay.phase is Phase.PLAYING and payout.interrupted_ms < rules.resume_payout_ms
    # What was begun before the end is finished, tray by tray, as long as nothing comes between.
    return payout.part is not None and not payout.interrupted_ms


def progressed(bay: Bay, report: i.PayoutProgressed) -> Verdict:
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id or payout.part is None:
        return Refusal("payout_gone", "This payout is closed.")
    paid, surplus = _so_far(payout, report.part_paid)
    if (paid, surplus) == (payout.paid, payout.surplus):
        return ()
    return (e.BallsPaid(payout.payout_id, payout.session_id, paid, surplus),)


def _so_far(payout: Payout, part_paid: int) -> tuple[int, int]:
    """All that came out for this payout, and what of it goes beyond. A tray may hold more than it should."""
    assert payout.part is not None
    paid = max(payout.paid, payout.part.paid_before + max(0, part_paid))
    counted = min(paid, payout.balls)
    return counted, max(payout.surplus, payout.part.surplus_before + paid - counted)


def interrupted(bay: Bay, report: i.PayoutWasInterrupted, rules: Rules) -> Verdict:
    """Recorded where it decides something: that there was one, and that it was too long."""
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id:
        return ()
    if report.interrupted_ms <= payout.interrupted_ms:
        return ()
    longer = replace(bay, payout=replace(payout, interrupted_ms=report.interrupted_ms))
    if payout.interrupted_ms and may_start(bay, rules) is may_start(longer, rules):
        return ()
    return (e.PayoutInterrupted(payout.payout_id, report.interrupted_ms),)


def ended(bay: Bay, report: i.PayoutEnded, now: Instant, rules: Rules) -> Verdict:
    """The motor stands. What the device cannot tell is unknown: neither paid nor owed."""
    payout = bay.payout
    if payout is None or payout.payout_id != report.payout_id:
        return Refusal("payout_gone", "This payout is closed.")
    part = payout.part
    paid, surplus, unknown = payout.paid, payout.surplus, 0
    if part is not None:
        if report.part_paid is None:
            unknown = max(0, part.paid_before + part.balls - payout.paid)
        else:
            paid, surplus = _so_far(payout, report.part_paid)
    end = PayoutEnd.UNKNOWN if unknown else report.end
    closed = e.PayoutClosed(
        payout.payout_id, payout.session_id, end, paid, unknown, report.text, surplus, now.wall_ms
    )
    settled = ball_books.settle_by_rule(closed, rules) if unknown and not payout.test else ()
    return (closed, *settled, *_stop_the_clock(bay, closed, now, rules))


def _stop_the_clock(
    bay: Bay, closed: e.PayoutClosed, now: Instant, rules: Rules
) -> tuple[e.SessionPaused, ...]:
    """Where the site wants it: a customer does not pay for the time in which the machine is repaired."""
    payout, session = bay.payout, bay.session
    if rules.dispenser_fault is not FaultPolicy.PAUSE or not _is_faulty(bay):
        return ()
    if payout is None or session is None or session.session_id != payout.session_id:
        return ()
    if bay.phase is not Phase.PLAYING or closed.paid >= payout.balls:
        return ()
    return (e.SessionPaused(now.boot_ms, "bayd", f"dispenser: {closed.text}", DISPENSER),)


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
