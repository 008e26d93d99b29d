"""Start, time, pause and end of a session."""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.dispensing import close_unbegun, stop_payout
from bayd.core.evolve import evolve_all
from bayd.core.extensions import NOT_PLAYING, is_taken_here
from bayd.core.instant import Instant
from bayd.core.model import UNKNOWN_GAME, Bay, Booking, EndReason, Phase, PlaySession, StartedBy
from bayd.core.rules import Rules

_LONGEST_MINUTES = 1440  # of one booking at the server


def due(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """What the clock alone brings about, one step at a time; call again on the evolved bay until empty."""
    session = bay.session
    if session is not None and session.paused_at_ms is None:
        if now.boot_ms >= session.ends_at_ms:
            return _end(bay, session, EndReason.TIME, session.ends_at_ms, now, rules, by="bayd", text="")
        for minutes in sorted(rules.warn_minutes):
            if _is_within(session, minutes, now.boot_ms, rules):
                return () if _is_warned(session, minutes) else (e.WarningGiven(minutes),)
        return ()
    if bay.phase is Phase.GRACE and bay.grace_until_ms is not None and now.boot_ms >= bay.grace_until_ms:
        return (e.GraceEnded(bay.grace_until_ms),)
    return ()


def next_wake_ms(bay: Bay, rules: Rules) -> int | None:
    """The next instant at which `due` may have something to say."""
    wakes: list[int] = []
    session = bay.session
    if session is not None and session.paused_at_ms is None:
        wakes.append(session.ends_at_ms)
        wakes += [
            session.ends_at_ms - minutes * rules.minute_ms
            for minutes in rules.warn_minutes
            if not _is_warned(session, minutes)
        ]
    if bay.phase is Phase.GRACE and bay.grace_until_ms is not None:
        wakes.append(bay.grace_until_ms)
    return min(wakes, default=None)


def start(
    booking: Booking,
    started_by: StartedBy,
    at_ms: int,
    now: Instant,
    rules: Rules,
    *,
    by: str,
    reason: str,
    server_ahead_ms: int = 0,
) -> e.SessionStarted:
    return e.SessionStarted(
        session_id=booking.session_id,
        started_by=started_by,
        by=by,
        reason=reason,
        at_ms=at_ms,
        wall_ms=now.wall_ms,
        ends_at_ms=at_ms + booking.minutes * rules.minute_ms,
        minutes=booking.minutes,
        first_minutes=booking.first_minutes,
        game=booking.game,
        player=booking.player,
        skip_warnings=_under_way(booking.minutes, rules),
        server_ahead_ms=server_ahead_ms,
    )


def start_by_staff(bay: Bay, request: i.StartPlay, now: Instant, rules: Rules) -> Verdict:
    """Staff start the oldest booking without its PIN; the reason is on record."""
    if not request.reason.strip():
        return Refusal("reason_missing", "A start by staff needs a reason.", field="reason")
    match bay.phase:
        case Phase.BOOKED | Phase.GRACE:
            if not bay.bookings:
                return Refusal("no_booking", "No booking waits at this bay.")
            if request.session_id not in (None, bay.bookings[0].session_id):
                text = "Another booking is the next of this bay now: look who it is, and start that one."
                return Refusal("booking_changed", text)
            by = request.actor.name
            return (
                start(
                    bay.bookings[0],
                    StartedBy.STAFF,
                    now.boot_ms,
                    now,
                    rules,
                    by=by,
                    reason=request.reason,
                ),
            )
        case Phase.PAUSED:
            return Refusal("paused", "The session is paused: resume it.")
        case Phase.PLAYING:
            return Refusal("already_playing", "A session is running at this bay.")
        case Phase.FREE:
            return Refusal("no_booking", "No booking waits at this bay.")
        case Phase.HELD | Phase.OUT_OF_SERVICE:
            return Refusal(bay.phase.value, f"The bay is {spoken(bay.phase)}: {bay.kept_reason}")


def walk_in(bay: Bay, request: i.WalkIn, now: Instant, rules: Rules) -> Verdict:
    """Staff sell time at the bay, paid there, and start it; the server hears of it when it can."""
    if not rules.walk_ins:
        return Refusal("walk_ins_off", "This site sells at the desk only: no customer is set for walk-ins.")
    if not request.reason.strip():
        return Refusal("reason_missing", "A sale at the bay needs a reason.", field="reason")
    if not 1 <= request.minutes <= _LONGEST_MINUTES:
        text = f"Between 1 and {_LONGEST_MINUTES} minutes."
        return Refusal("minutes_invalid", text, field="minutes")
    if request.amount < 0:
        return Refusal("amount_invalid", "An amount is not negative.", field="amount")
    if not is_taken_here(request.payment):
        return Refusal("payment_invalid", "A sale at the bay is paid there.", field="payment")
    match bay.phase:
        case Phase.FREE | Phase.GRACE | Phase.BOOKED:
            if bay.bookings:
                return Refusal("booked", "A booking waits at this bay: start that one.")
        case Phase.PLAYING | Phase.PAUSED:
            return Refusal("already_playing", "A session is running at this bay.")
        case Phase.HELD | Phase.OUT_OF_SERVICE:
            return Refusal(bay.phase.value, f"The bay is {spoken(bay.phase)}: {bay.kept_reason}")
    by, reason = request.actor.name, request.reason
    sold = e.WalkInSold(
        request.session_id, request.minutes, request.amount, by, reason, now.wall_ms, request.payment
    )
    booking = evolve_all(bay, (sold,)).bookings[0]
    return (sold, start(booking, StartedBy.STAFF, now.boot_ms, now, rules, by=by, reason=reason))


def pause(bay: Bay, request: i.Pause, now: Instant, rules: Rules) -> Verdict:
    """By staff for as long as they want; by the guest where the site allows it, and within its limits."""
    session = bay.session
    if session is None:
        return NOT_PLAYING
    if session.paused_at_ms is not None:
        return Refusal("already_paused", "The session is paused already.")
    ends_at_ms = None
    if request.actor.role is i.Role.SCREEN:
        refusal = why_no_guest_pause(bay, session, rules)
        if refusal is not None:
            return refusal
        ends_at_ms = now.boot_ms + guest_pause_left_ms(session, rules)
    paused = e.SessionPaused(now.boot_ms, request.actor.name, request.reason, ends_at_ms=ends_at_ms)
    return (paused, *close_unbegun(bay))


def guest_pause_left_ms(session: PlaySession, rules: Rules) -> int:
    return max(0, rules.guest_pause_minutes * rules.minute_ms - session.guest_paused_ms)


def why_no_guest_pause(bay: Bay, session: PlaySession, rules: Rules) -> Refusal | None:
    """None: the guest may pause. Nobody who waits is kept waiting by it."""
    if not rules.guest_pauses:
        return Refusal("staff_only", "Staff can stop the clock.")
    if session.guest_pauses >= rules.guest_pauses or not guest_pause_left_ms(session, rules):
        return Refusal("pauses_used", "The pauses of this session are used up.")
    if bay.bookings or bay.booked_till:
        return Refusal("next_booking", "The bay is booked after this session.")
    if bay.closed:
        return Refusal("closed", "The bay is closed after this session.")
    return None


def resume_asked(bay: Bay, request: i.Resume, now: Instant) -> Verdict:
    """A guest ends his own pause; one by staff, a machine or an outage ends by the PIN or by staff."""
    session = bay.session
    if session is None:
        return NOT_PLAYING
    by_others = session.paused_at_ms is not None and session.pause_ends_at_ms is None
    if request.actor.role is i.Role.SCREEN and by_others:
        return Refusal("staff_only", "Your PIN, or staff, let the clock run on.")
    return resume(bay, request.actor.name, now)


def resume(bay: Bay, by: str, now: Instant) -> Verdict:
    session = bay.session
    if session is None:
        return NOT_PLAYING
    if session.paused_at_ms is None:
        return Refusal("not_paused", "The session is not paused.")
    ends_at_ms = session.ends_at_ms + now.boot_ms - session.paused_at_ms
    return (e.SessionResumed(now.boot_ms, ends_at_ms, by),)


def end(bay: Bay, request: i.End, now: Instant, rules: Rules) -> Verdict:
    """Staff and customer alike; a staff end stops the motor too."""
    if bay.session is None:
        return NOT_PLAYING
    staff = request.actor.role is not i.Role.SCREEN
    if request.actor.role is i.Role.STAFF and not request.reason.strip():
        return Refusal("reason_missing", "An end by staff needs a reason.", field="reason")
    reason = EndReason.STAFF if staff else EndReason.CUSTOMER
    return _end(
        bay,
        bay.session,
        reason,
        now.boot_ms,
        now,
        rules,
        by=request.actor.name,
        text=request.reason,
        stop_motor=staff,
    )


def end_by_server(bay: Bay, reason: EndReason, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    assert bay.session is not None
    return _end(bay, bay.session, reason, now.boot_ms, now, rules, by="central", text="", stop_motor=True)


def _end(
    bay: Bay,
    session: PlaySession,
    reason: EndReason,
    at_ms: int,
    now: Instant,
    rules: Rules,
    *,
    by: str,
    text: str,
    stop_motor: bool = False,
) -> tuple[e.Event, ...]:
    closing: tuple[e.Event, ...] = stop_payout(bay) if stop_motor else close_unbegun(bay)
    closed = evolve_all(bay, closing)
    assert closed.session is not None
    game = session.game
    ended = e.SessionEnded(
        session_id=session.session_id,
        reason=reason,
        by=by,
        text=text,
        at_ms=at_ms,
        wall_ms=now.wall_ms,
        played_ms=session.played_ms(at_ms),
        balls=closed.session.balls,
        grace_until_ms=at_ms + rules.grace_ms,
        own_extensions=session.own_extensions,
        game_id=None if game is None or game == UNKNOWN_GAME else game.id,
    )
    return (*closing, ended, *after_end(bay, at_ms, now, rules))


def after_end(bay: Bay, at_ms: int, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """Out of service as planned, or the next session at once when its PIN was right already."""
    if bay.service_stop_pending is not None:
        return (e.BayTakenOutOfService("staff", bay.service_stop_pending, now.wall_ms),)
    if bay.next_session_id is None or bay.next_started_by is None:
        return ()
    booking = bay.find_booking(bay.next_session_id)
    if booking is None:
        return ()
    verified_at_ms = bay.next_verified_at_ms
    return (
        start(
            booking,
            bay.next_started_by,
            at_ms,
            now,
            rules,
            by="screen",
            reason="",
            server_ahead_ms=max(0, at_ms - (at_ms if verified_at_ms is None else verified_at_ms)),
        ),
    )


def _is_within(session: PlaySession, minutes: int, now_ms: int, rules: Rules) -> bool:
    return session.remaining_ms(now_ms) <= minutes * rules.minute_ms


def _is_warned(session: PlaySession, minutes: int) -> bool:
    """A warning of one minute makes those of five and ten pointless."""
    return any(given <= minutes for given in session.warned)


def _under_way(minutes: int, rules: Rules) -> tuple[int, ...]:
    return tuple(m for m in rules.warn_minutes if minutes <= m)


def spoken(phase: Phase) -> str:
    return phase.value.replace("_", " ")
