"""The lease planner: what to do next so that a playing bay's screen has low latency, and no other bay pays.

    plan(state, wish, now_ms, …) → one action; the reconciler journals its intent, acts, journals what came
    of it, and asks again

It fails open: no action ever touches play. It never creates where something of ours may exist: an unclear
create is looked for, or repeated once with the same x-correlator, or left to run out as an orphan. Whatever
costs money is capped: sessions and minutes a day, attempts for each session of play, the length of a lease.
"""

from dataclasses import dataclass
from typing import assert_never

from bayd.core.desired import LowLatency
from bayd.core.qos_budget import Budget
from bayd.core.qos_lease import (
    Available,
    Creating,
    Degraded,
    Ended,
    Ending,
    Extending,
    Idle,
    Record,
    Requested,
    State,
)
from bayd.core.qos_words import Cause, Outcome, Trouble


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator offers and the range allows. A demo shortens the lot."""

    flow: str  # names device, server and ports; a lease on another one is given up
    can_extend: bool
    can_retrieve: bool
    min_duration_s: int = 60  # the operator grants no less
    max_duration_s: int = 86_400
    max_lease_s: int = 14_400  # what a forgotten lease costs at most
    worthwhile_ms: int = 30_000  # for less play than this nothing is created, nor extended
    requested_timeout_ms: int = 30_000
    max_stuck: int = 3  # for each session of play
    max_terminated: int = 3  # for each session of play
    pause_ms: int = 600_000  # a paused bay keeps its lease so long
    extend_before_ms: int = 180_000  # before expiry: early enough to find out that it did not work
    extend_latest_ms: int = 60_000  # later is refused by one operator
    extend_again_ms: int = 20_000  # after one that came to nothing
    hand_over_ms: int = 15_000  # before expiry, or a quarter of a shorter lease: delete, then create
    poll_requested_ms: int = 1_000  # up to twice that
    poll_available_ms: int = 30_000  # up to twice that
    last_poll_ms: int = 30_000  # before expiry, once
    settle_ms: int = 5_000  # after an unclear create: it may still be on its way
    retry_ms: int = 500  # looks and deletions …
    retry_max_ms: int = 30_000  # … with full jitter up to this
    spacing_ms: int = 10_000  # between two creates, whatever became of the first
    recreate_ms: int = 5_000  # doubled with each failure …
    recreate_max_ms: int = 300_000  # … up to this
    conflict_ms: int = 30_000  # doubled with each failure …
    conflict_max_ms: int = 300_000  # … up to this
    credentials_ms: int = 300_000  # where the operator names no time
    margin_ms: int = 60_000  # a session may be over so much later than we believe
    cap_ms: int = 900_000  # how often a spent day is looked at again


# Actions


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until then, or until something changes."""

    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Create:
    session: str
    flow: str
    asked_s: int
    x_correlator: str | None = None  # None: a new one; else a repeat of that very create


@dataclass(frozen=True, slots=True)
class Find:
    """Look for a session of ours on this flow."""

    session: str
    flow: str


@dataclass(frozen=True, slots=True)
class Poll:
    qos_id: str


@dataclass(frozen=True, slots=True)
class Extend:
    qos_id: str
    additional_s: int


@dataclass(frozen=True, slots=True)
class Delete:
    qos_id: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Degrade:
    """Play on without, and tell people."""

    trouble: Trouble
    session: str | None
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Recover:
    """The trouble is over."""


Action = Rest | Create | Find | Poll | Extend | Delete | Degrade | Recover


@dataclass(frozen=True, slots=True)
class _Situation:
    wish: LowLatency | None  # None: unwanted, or paused for too long
    until_ms: int  # the end of play and grace; says nothing in a pause
    paused: bool
    wake_ms: int | None  # when the wish changes by itself
    now_ms: int
    jitter: float
    terms: Terms
    budget: Budget


def plan(
    state: State,
    wish: LowLatency | None,
    now_ms: int,
    *,
    terms: Terms,
    jitter: float,
    budget: Budget | None = None,
) -> Action:
    """`jitter` in [0, 1), drawn anew after each answer. Never called while an action is under way."""
    situation = _situation(wish, now_ms, terms, jitter, budget or Budget())
    match state:
        case Idle() | Ended():
            return _without(state.record, situation)
        case Creating():
            return _creating(state, situation)
        case Requested():
            return _requested(state, situation)
        case Available():
            return _available(state, situation)
        case Extending():
            return _extending(state, situation)
        case Ending():
            return _ending(state, situation)
        case Degraded():
            return _degraded(state, situation)
        case _:
            assert_never(state)


def _situation(
    wish: LowLatency | None, now_ms: int, terms: Terms, jitter: float, budget: Budget
) -> _Situation:
    until_ms, wake_ms, paused = 0, None, False
    if wish is not None:
        until_ms = wish.until_ms
        if wish.paused_since_ms is not None:
            paused = True
            wake_ms = wish.paused_since_ms + terms.pause_ms
            if now_ms >= wake_ms:
                wish, wake_ms = None, None
        elif now_ms >= until_ms:
            wish = None
        else:
            wake_ms = until_ms
    return _Situation(wish, until_ms, paused, wake_ms, now_ms, jitter, terms, budget)


def _without(record: Record, at: _Situation) -> Action:
    """No session of ours exists."""
    wish, terms = at.wish, at.terms
    if wish is None or at.paused:
        return Rest()  # a change of the wish asks again
    if at.until_ms - at.now_ms < terms.worthwhile_ms:
        return Rest()
    if record.session == wish.session_id:
        if record.terminated > terms.max_terminated:
            return Degrade(Trouble.TERMINATED_TOO_OFTEN, wish.session_id, None)
        if record.stuck >= terms.max_stuck:
            return Degrade(Trouble.STUCK_TOO_OFTEN, wish.session_id, None)
    due_ms = _create_due_ms(record, at)
    if at.now_ms < due_ms:
        return Rest(due_ms)
    asked_s = _asked_s(at)
    if asked_s is None:
        return Degrade(Trouble.COST_CAP, None, at.now_ms + terms.cap_ms)
    return Create(wish.session_id, terms.flow, asked_s)


def _create_due_ms(record: Record, at: _Situation) -> int:
    terms, due_ms = at.terms, at.now_ms
    if record.created_at_ms is not None:
        due_ms = record.created_at_ms + terms.spacing_ms
    failures = max(record.streak, record.terminated)
    if record.failed_at_ms is not None and failures:
        wait_ms = _doubled_ms(terms.recreate_ms, terms.recreate_max_ms, failures, at)
        due_ms = max(due_ms, record.failed_at_ms + wait_ms)
    return due_ms


def _asked_s(at: _Situation) -> int | None:
    """None: the day's money is spent."""
    terms, budget = at.terms, at.budget
    if budget.sessions is not None and budget.sessions < 1:
        return None
    left_s = -(-(at.until_ms - at.now_ms) // 1_000)
    most_s = min(terms.max_lease_s, terms.max_duration_s)
    if budget.seconds is not None:
        most_s = min(most_s, budget.seconds)
    if most_s < terms.min_duration_s:
        return None
    return max(terms.min_duration_s, min(left_s, most_s))


def _creating(state: Creating, at: _Situation) -> Action:
    terms, now_ms = at.terms, at.now_ms
    wanted = at.wish is not None
    blind = state.attempt > 1 and not terms.can_retrieve  # the first one was unclear, and still is
    told_at_ms = state.since_ms if state.outcome_at_ms is None else state.outcome_at_ms
    match state.outcome:
        case Outcome.PENDING:
            return Rest()
        case Outcome.UNCLEAR | Outcome.CONFLICT if terms.can_retrieve and now_ms >= _orphan_over_ms(
            state, at
        ):
            return _orphaned(state, at)  # no look was answered, and by now nothing is left to find
        case Outcome.UNCLEAR | Outcome.CONFLICT if terms.can_retrieve:
            settle_ms = terms.settle_ms if state.outcome is Outcome.UNCLEAR else 0
            wait_ms = _retry_ms(state.misses, at) if state.misses else settle_ms
            due_ms = told_at_ms + wait_ms
            return Find(state.session, state.flow) if due_ms <= now_ms else Rest(due_ms)
        case Outcome.UNCLEAR if not wanted or state.attempt > 1:
            return _orphaned(state, at)  # nobody can say, and to try again would only cost
        case Outcome.UNCLEAR:
            due_ms = told_at_ms + terms.settle_ms
            return Rest(due_ms) if now_ms < due_ms else _repeat(state)
        case Outcome.NOT_THERE:
            if not wanted:
                return Recover()
            return _repeat(state) if state.attempt == 1 else _without(state.record, at)
        case Outcome.CONFLICT | Outcome.REFUSED | Outcome.CREDENTIALS if blind:
            return _orphaned(state, at)  # a conflict is with ourselves: the first one did happen
        case Outcome.CONFLICT | Outcome.FOREIGN:
            wait_ms = _doubled_ms(terms.conflict_ms, terms.conflict_max_ms, state.record.streak, at)
            return Degrade(Trouble.CONFLICT, None, told_at_ms + wait_ms)
        case Outcome.REFUSED:
            return Degrade(Trouble.REFUSED, state.session, None)
        case Outcome.CREDENTIALS:
            until_ms = told_at_ms + terms.credentials_ms if state.retry_at_ms is None else state.retry_at_ms
            return Degrade(Trouble.CREDENTIALS, None, until_ms)
        case Outcome.LATER if not wanted:
            return _orphaned(state, at) if blind else Recover()
        case Outcome.LATER if state.retry_at_ms is not None and now_ms < state.retry_at_ms:
            return Rest(state.retry_at_ms)
        case Outcome.LATER:
            return _later(state, at, blind=blind)
        case _:
            assert_never(state.outcome)


def _later(state: Creating, at: _Situation, *, blind: bool) -> Action:
    if blind and at.now_ms >= state.since_ms + state.asked_s * 1_000:
        return _orphaned(state, at)  # the first one may have run its course: a repeat would be a second one
    action = _without(state.record, at)
    match action:
        case Create() if blind:
            return _repeat(state)
        case Degrade() if blind:
            return _orphaned(state, at)
        case _:
            return action


def _repeat(state: Creating) -> Create:
    return Create(state.session, state.flow, state.asked_s, state.x_correlator)


def _orphaned(state: Creating, at: _Situation) -> Degrade:
    return Degrade(Trouble.ORPHAN, None, _orphan_over_ms(state, at))


def _orphan_over_ms(state: Creating, at: _Situation) -> int:
    return state.since_ms + state.asked_s * 1_000 + at.terms.margin_ms


def _requested(state: Requested, at: _Situation) -> Action:
    if (unfit := _unfit(state.lease.flow, at)) is not None:
        return Delete(state.lease.qos_id, unfit)
    stuck_at_ms = state.since_ms + at.terms.requested_timeout_ms
    if at.now_ms >= stuck_at_ms:
        return Delete(state.lease.qos_id, Cause.STUCK)
    poll_at_ms = _look_at_ms(state, at.terms.poll_requested_ms, at)
    if poll_at_ms <= at.now_ms:
        return Poll(state.lease.qos_id)
    return Rest(_earliest(poll_at_ms, stuck_at_ms, at.wake_ms))


def _available(state: Available, at: _Situation) -> Action:
    if (unfit := _unfit(state.lease.flow, at)) is not None:
        return Delete(state.lease.qos_id, unfit)
    expires_at_ms = state.expires_at_ms
    if at.now_ms >= expires_at_ms + at.terms.requested_timeout_ms:
        return Delete(state.lease.qos_id, Cause.EXPIRED)  # the operator does not say so
    poll_at_ms = _poll_available_at_ms(state, at)
    if poll_at_ms <= at.now_ms:
        return Poll(state.lease.qos_id)
    more = _more_time(state, at)
    if isinstance(more, Rest):
        return Rest(_earliest(poll_at_ms, more.until_ms, at.wake_ms))
    return more


def _poll_available_at_ms(state: Available, at: _Situation) -> int:
    terms = at.terms
    if state.seen_at_ms is None or state.misses:
        return _look_at_ms(state, 0, at)
    if state.seen_at_ms >= state.expires_at_ms:
        return _look_at_ms(state, terms.poll_requested_ms, at)
    poll_at_ms = _look_at_ms(state, terms.poll_available_ms, at)
    last_at_ms = state.expires_at_ms - terms.last_poll_ms
    return min(poll_at_ms, last_at_ms if state.seen_at_ms < last_at_ms else state.expires_at_ms)


def _more_time(state: Available, at: _Situation) -> Extend | Delete | Rest:
    """Play goes on beyond the lease: extend it, or hand over to a new one near its end."""
    terms, now_ms, expires_at_ms = at.terms, at.now_ms, state.expires_at_ms
    short_ms = at.until_ms - expires_at_ms
    if at.paused or short_ms < terms.worthwhile_ms:
        return Rest()
    hand_over_at_ms = expires_at_ms - min(terms.hand_over_ms, (expires_at_ms - state.since_ms) // 4)
    if now_ms >= hand_over_at_ms:
        # Not for a new one that the day's money does not allow: then this one is used to its end.
        return Rest() if _asked_s(at) is None else Delete(state.lease.qos_id, Cause.HANDED_OVER)
    additional_s = _additional_s(short_ms, at)
    if terms.can_extend and state.extendable and additional_s > 0:
        due_ms = expires_at_ms - terms.extend_before_ms
        if state.tried_at_ms is not None:
            due_ms = max(due_ms, state.tried_at_ms + terms.extend_again_ms)
        if now_ms < due_ms:
            return Rest(min(due_ms, hand_over_at_ms))
        if now_ms <= expires_at_ms - terms.extend_latest_ms:
            return Extend(state.lease.qos_id, additional_s)
    return Rest(hand_over_at_ms)


def _additional_s(short_ms: int, at: _Situation) -> int:
    most_s = at.terms.max_lease_s
    if at.budget.seconds is not None:
        most_s = min(most_s, at.budget.seconds)
    return min(-(-short_ms // 1_000), most_s)


def _extending(state: Extending, at: _Situation) -> Action:
    """Under way, or unclear: an extension is not idempotent, so it is looked at and never repeated."""
    if not state.unclear:
        return Rest()
    if (unfit := _unfit(state.lease.flow, at)) is not None:
        return Delete(state.lease.qos_id, unfit)
    poll_at_ms = at.now_ms if state.seen_at_ms is None else state.seen_at_ms + _retry_ms(state.misses, at)
    return Poll(state.lease.qos_id) if poll_at_ms <= at.now_ms else Rest(_earliest(poll_at_ms, at.wake_ms))


def _ending(state: Ending, at: _Situation) -> Action:
    if state.missed_at_ms is None:
        return Delete(state.lease.qos_id, state.cause)
    given_up_at_ms = state.over_at_ms + at.terms.margin_ms
    if at.now_ms >= given_up_at_ms:
        return Recover()  # the operator would not hear of it, and now it is over anyway
    due_ms = state.missed_at_ms + _retry_ms(state.misses, at)
    if due_ms <= at.now_ms:
        return Delete(state.lease.qos_id, state.cause)
    return Rest(min(due_ms, given_up_at_ms))


def _degraded(state: Degraded, at: _Situation) -> Action:
    if state.until_ms is not None and at.now_ms < state.until_ms:
        # What nobody waits for is forgotten, except a session that may be running.
        if at.wish is None and state.trouble is not Trouble.ORPHAN:
            return Recover()
        return Rest(state.until_ms)
    if state.until_ms is None and at.wish is not None and at.wish.session_id == state.session:
        return Rest()
    return Recover()


def _unfit(flow: str, at: _Situation) -> Cause | None:
    """Why the lease should not be."""
    if at.wish is None:
        return Cause.UNWANTED
    return None if flow == at.terms.flow else Cause.OTHER_FLOW


def _look_at_ms(state: Requested | Available, interval_ms: int, at: _Situation) -> int:
    if state.seen_at_ms is None:
        return at.now_ms
    if state.misses:
        return state.seen_at_ms + _retry_ms(state.misses, at)
    return state.seen_at_ms + round(interval_ms * (1 + at.jitter))


def _retry_ms(misses: int, at: _Situation) -> int:
    """Full jitter."""
    most_ms: int = min(at.terms.retry_max_ms, at.terms.retry_ms * 2 ** min(misses, 16))
    return at.terms.retry_ms + round(at.jitter * (most_ms - at.terms.retry_ms))


def _doubled_ms(base_ms: int, most_ms: int, failures: int, at: _Situation) -> int:
    """Doubled with each failure, and up to half as much again by chance."""
    doubled_ms: int = base_ms * 2 ** min(max(failures - 1, 0), 16)
    return min(most_ms, round(doubled_ms * (1 + at.jitter / 2)))


def _earliest(*instants_ms: int | None) -> int:
    return min(instant_ms for instant_ms in instants_ms if instant_ms is not None)
