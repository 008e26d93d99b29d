"""The counters of a bay's balls after an event: the part of `evolve` that counts.

Balls are counted for the session that they were asked for, whether it still plays or has just ended; those
of a test are nobody's. What has left the machine, or may have, also leaves its stock; what stayed in it
after all goes back to the stock that it was taken off, which may be another bay's by then.
"""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.model import (
    Asked,
    BallLevel,
    Balls,
    Bay,
    Payout,
    PayoutPart,
    PutBack,
    Reconciled,
    Stock,
    UnknownBalls,
)

_UNSETTLED_KEPT = 100
_PUT_BACK_KEPT = 20  # more refills than there are machines: older ones are filled again long since


def evolve_dispensing(bay: Bay, event: e.DispensingEvent) -> Bay:
    match event:
        case e.PayoutRequested():
            return _requested(bay, event)
        case e.PayoutMarked(_, balls, mark):
            payout = _payout(bay)
            part = PayoutPart(balls, payout.paid, mark, payout.surplus)
            return replace(bay, payout=replace(payout, part=part))
        case e.BallsPaid(_, session_id, paid, surplus):
            payout = _payout(bay)
            bay = _came_out(bay, payout, session_id, paid, surplus)
            return replace(bay, payout=replace(payout, paid=paid, surplus=surplus))
        case e.PayoutStopping():
            return replace(bay, payout=replace(_payout(bay), stopping=True))
        case e.PayoutInterrupted(_, interrupted_ms):
            return replace(bay, payout=replace(_payout(bay), interrupted_ms=interrupted_ms))
        case e.PayoutClosed():
            return _closed(bay, event)
        case e.UnknownSettled(payout_id, session_id, counted, owed):
            bay = count(bay, session_id, unknown=-(counted + owed), counted=counted, balance=owed)
            flag = next((u for u in bay.unsettled if u.payout_id == payout_id), None)
            kept = tuple(u for u in bay.unsettled if u.payout_id != payout_id)
            bay = replace(bay, unsettled=kept)
            return bay if flag is None else _stayed_in(bay, flag, owed)
        case e.DispenserRefilled(refill_id, dispenser, balls, _, wall_ms):
            return replace(bay, stock=Stock(refill_id, dispenser, balls, wall_ms))
        case e.BallLevelChanged(level, at_server, wall_ms):
            return replace(bay, ball_level=BallLevel(level, at_server, wall_ms))
        case e.SessionReconciled(session_id, _, missing, _, beyond, granted, wall_ms):
            bay = count(bay, session_id, granted=granted, balance=granted)
            if bay.last is None or bay.last.session_id != session_id:
                return bay
            done = Reconciled(missing, beyond, granted, wall_ms)
            return replace(bay, last=replace(bay.last, reconcile_at_ms=None, reconciled=done))
        case _:
            assert_never(event)


def count(bay: Bay, session_id: str, **more: int) -> Bay:
    """Adds to the counters of the session in play, or of the one that has just ended."""
    if bay.session is not None and bay.session.session_id == session_id:
        return replace(bay, session=replace(bay.session, balls=_plus(bay.session.balls, more)))
    if bay.last is not None and bay.last.session_id == session_id:
        return replace(bay, last=replace(bay.last, balls=_plus(bay.last.balls, more)))
    return bay


def _requested(bay: Bay, event: e.PayoutRequested) -> Bay:
    fresh = event.balls - event.from_balance
    bay = count(bay, event.session_id, commanded=fresh, balance=-event.from_balance)
    payout = Payout(
        event.payout_id,
        event.session_id,
        event.balls,
        pressed_wall_ms=event.wall_ms,
        dispenser=event.dispenser,
        test=event.test,
    )
    session = bay.session
    if session is not None and fresh and session.session_id == event.session_id:
        kept = tuple(asked for asked in session.asked if asked.at_ms > event.forget_before_ms)
        bay = replace(bay, session=replace(session, asked=(*kept, Asked(event.at_ms, fresh))))
    return replace(bay, payout=payout)


def _closed(bay: Bay, event: e.PayoutClosed) -> Bay:
    payout, unknown = _payout(bay), event.unknown
    bay = _came_out(bay, payout, event.session_id, event.paid, event.surplus)
    rest = payout.balls - event.paid - unknown
    bay = count(bay, event.session_id, unknown=unknown, balance=rest)
    if unknown:
        bay = replace(bay, stock=_less(bay.stock, unknown))
    if unknown and not payout.test:
        flag = UnknownBalls(
            event.payout_id,
            event.session_id,
            unknown,
            event.text,
            event.wall_ms,
            "" if bay.stock is None else bay.stock.refill_id,
        )
        bay = replace(bay, unsettled=(*bay.unsettled, flag)[-_UNSETTLED_KEPT:])
    return replace(bay, payout=None)


def _came_out(bay: Bay, payout: Payout, session_id: str, paid: int, surplus: int) -> Bay:
    """`paid` and `surplus` are the payout's, in all."""
    counted, beyond = paid - payout.paid, surplus - payout.surplus
    bay = count(bay, session_id, counted=counted, surplus=beyond)
    return replace(bay, stock=_less(bay.stock, counted + beyond))


def _stayed_in(bay: Bay, flag: UnknownBalls, balls: int) -> Bay:
    """In the stock of that refill; where the machine was filled since, they were counted anew."""
    if not flag.refill_id or not balls:
        return bay
    if bay.stock is not None and bay.stock.refill_id == flag.refill_id:
        return replace(bay, stock=_less(bay.stock, -balls))
    same = sum(back.balls for back in bay.put_back if back.refill_id == flag.refill_id)
    others = tuple(back for back in bay.put_back if back.refill_id != flag.refill_id)
    back = PutBack(flag.refill_id, same + balls)
    return replace(bay, put_back=(*others, back)[-_PUT_BACK_KEPT:])


def _less(stock: Stock | None, balls: int) -> Stock | None:
    return None if stock is None else replace(stock, paid=stock.paid + balls)


def _payout(bay: Bay) -> Payout:
    assert bay.payout is not None, f"bay {bay.number} has no payout"
    return bay.payout


def _plus(balls: Balls, more: dict[str, int]) -> Balls:
    return replace(balls, **{name: getattr(balls, name) + value for name, value in more.items()})
