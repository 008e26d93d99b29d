"""More time: what the screen offers, what staff approve, and what is owed for it.

There are no time slots: the next booking begins when this session is over. So a booking that waits, or a
bay that the server shows as booked, takes all offers away; without one, every length ends in time. A price
that is not known is never guessed: then the press is a question to staff. So is one that agreed to nothing:
only from a screen that showed this price, and that it goes on account at once, is a press a charge.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import AskedExtension, Bay, Offer, Payment, PlaySession
from bayd.core.modes import CLOSED
from bayd.core.rules import ExtensionPolicy, Rules

NOT_PLAYING = Refusal("not_playing", "No session is running at this bay.")
_NOT_ASKED = Refusal("nothing_asked", "Nobody has asked for more time.")
_ASKED_ANEW = Refusal(
    "request_changed", "Another request for time waits now: look what it asks for, and answer that one."
)
_TAKEN_HERE = (Payment.CASH, Payment.CARD)


def offers(bay: Bay, rules: Rules) -> tuple[Offer, ...]:
    """What the screen may ask for now, in minutes, each with its price where one is known."""
    is_shut = bay.closed or rules.extension is ExtensionPolicy.STAFF_ONLY
    if bay.session is None or bay.bookings or bay.booked_till or is_shut:
        return ()
    at_once = rules.extension is ExtensionPolicy.ON_ACCOUNT and not is_in_arrears(bay)
    lengths = rules.extension_minutes if bay.tariff.intervals is None else bay.tariff.intervals
    priced = [(minutes, price(bay, minutes, rules)) for minutes in lengths]
    return tuple(Offer(minutes, amount, at_once and amount is not None) for minutes, amount in priced)


def price(bay: Bay, minutes: int, rules: Rules) -> int | None:
    """The server's price, else the configured one; None: unknown. Parts of a unit are rounded up."""
    tariff = bay.tariff
    if tariff.amount is not None:
        return -(-tariff.amount * minutes // tariff.per_minutes)
    return None if rules.extension_price is None else rules.extension_price * minutes


def is_in_arrears(bay: Bay) -> bool:
    """Something is owed for this bay, here or at the server: nothing more goes on account."""
    return bool(bay.dues) or bay.owed_at_server > 0


def extend(bay: Bay, request: i.Extend, now: Instant, rules: Rules) -> Verdict:
    session = bay.session
    if session is None:
        return NOT_PLAYING
    if request.minutes < 1:
        return Refusal("minutes_invalid", "At least one minute.", field="minutes")
    if request.actor.role is i.Role.STAFF:
        return _by_staff(bay, session, request, now, rules)
    if bay.bookings or bay.booked_till:
        return Refusal("next_booking", "The bay is booked after this session.")
    if bay.closed:
        return CLOSED
    if rules.extension is ExtensionPolicy.STAFF_ONLY:
        return Refusal("staff_only", "More time is given at reception.")
    offered = offers(bay, rules)
    offer = next((offer for offer in offered if offer.minutes == request.minutes), None)
    if offer is None:
        lengths = ", ".join(str(offer.minutes) for offer in offered) or "no"
        return Refusal("minutes_not_offered", f"The screen offers {lengths} minutes.", field="minutes")
    if request.shown_amount not in (None, offer.amount):
        return Refusal("price_changed", "The price has changed since the screen showed it: look again.")
    if offer.at_once and request.shown_at_once and request.shown_amount is not None:
        given = _given(request, offer.amount, Payment.ON_ACCOUNT)
        return (extended(session, given, now, rules, own=True),)
    if session.extension_asked is not None:
        return Refusal("already_asked", "Reception has the request already.")
    return (e.ExtensionAsked(request.op_id, request.minutes, now.wall_ms, offer.amount, now.boot_ms),)


def approve(bay: Bay, request: i.ApproveExtension, now: Instant, rules: Rules) -> Verdict:
    """Staff give what the customer has asked for: paid to them, at the desk, or on account."""
    asked = _waiting(bay, request)
    if isinstance(asked, Refusal):
        return asked
    session = bay.session
    assert session is not None
    amount = asked.amount if request.amount is None else request.amount
    if amount is None:
        return Refusal("amount_missing", "No price is known: say the amount, 0 for a gift.", field="amount")
    extend = i.Extend(
        asked.op_id, asked.minutes, amount, request.actor, request.reason, payment=request.payment
    )
    return (extended(session, extend, now, rules, own=True),)


def decline(bay: Bay, request: i.DeclineExtension) -> Verdict:
    asked = _waiting(bay, request)
    if isinstance(asked, Refusal):
        return asked
    if not request.reason.strip():
        return Refusal("reason_missing", "A refusal needs a reason.", field="reason")
    return (e.ExtensionDeclined(request.actor.name, request.reason),)


def _waiting(bay: Bay, request: i.ApproveExtension | i.DeclineExtension) -> AskedExtension | Refusal:
    """The request that staff answer: the one that they saw, or none."""
    asked = None if bay.session is None else bay.session.extension_asked
    if asked is None:
        return _NOT_ASKED
    return asked if request.request_id in (None, asked.op_id) else _ASKED_ANEW


def settle_due(bay: Bay, request: i.SettleDue, now: Instant) -> Verdict:
    """Somebody has paid what went on account, also after the session is over."""
    due = next((due for due in bay.dues if due.due_id == request.due_id), None)
    if due is None:
        return Refusal("nothing_due", "This is not owed at this bay (any more).")
    if request.payment is Payment.ON_ACCOUNT:
        return Refusal("payment_invalid", "It is on account already: say how it was paid.", field="payment")
    if not request.reason.strip():
        return Refusal("reason_missing", "A payment needs a reason.", field="reason")
    return (
        e.DueSettled(
            due_id=due.due_id,
            session_id=due.session_id,
            amount=due.amount,
            payment=request.payment,
            by=request.actor.name,
            reason=request.reason,
            wall_ms=now.wall_ms,
        ),
    )


def extended(
    session: PlaySession, request: i.Extend, now: Instant, rules: Rules, *, own: bool
) -> e.SessionExtended:
    more_ms = request.minutes * rules.minute_ms
    left_ms = session.remaining_ms(now.boot_ms) + more_ms
    return e.SessionExtended(
        op_id=request.op_id,
        session_id=session.session_id,
        own=own,
        minutes=request.minutes,
        amount=request.amount,
        ends_at_ms=session.ends_at_ms + more_ms,
        granted_ms=session.granted_ms + more_ms,
        by=request.actor.name,
        reason=request.reason,
        skip_warnings=tuple(m for m in rules.warn_minutes if left_ms <= m * rules.minute_ms),
        payment=request.payment,
        wall_ms=now.wall_ms,
    )


def prices_seen(bay: Bay, report: i.PricesSeen) -> Verdict:
    return () if bay.tariff == report.tariff else (e.TariffChanged(report.tariff),)


def arrears_seen(bay: Bay, report: i.ArrearsSeen) -> Verdict:
    return () if bay.owed_at_server == report.owed else (e.ArrearsChanged(report.owed),)


def is_taken_here(payment: Payment) -> bool:
    """Staff at the bay have the money: the server does not know."""
    return payment in _TAKEN_HERE


def _by_staff(bay: Bay, session: PlaySession, request: i.Extend, now: Instant, rules: Rules) -> Verdict:
    if not request.reason.strip():
        return Refusal("reason_missing", "More time given by staff needs a reason.", field="reason")
    amount = price(bay, request.minutes, rules) if request.amount is None else request.amount
    if amount is None:
        return Refusal("amount_missing", "No price is set: say the amount, 0 for a gift.", field="amount")
    return (extended(session, _given(request, amount, request.payment), now, rules, own=True),)


def _given(request: i.Extend, amount: int | None, payment: Payment) -> i.Extend:
    return i.Extend(
        request.op_id,
        request.minutes,
        amount,
        request.actor,
        request.reason,
        request.session_id,
        payment,
    )
