"""The bay after an event. Reads the event alone, decides nothing."""

from dataclasses import replace
from typing import assert_never

from bayd.core import ball_counters, conflicts, qos_lease
from bayd.core import events as e
from bayd.core import qos_events as q
from bayd.core.model import (
    AskedExtension,
    Bay,
    Booking,
    Conflict,
    Credit,
    DeviceFact,
    DeviceState,
    Due,
    EndedSession,
    EndReason,
    Mode,
    MovedSession,
    OwnExtension,
    Payment,
    PinAttempt,
    PinPad,
    PlaySession,
    Scheduled,
    StaffMode,
    StartedBy,
    Waiting,
)
from bayd.core.phases import next_phase
from bayd.core.qos_budget import Spent

_READER = "reader"

# Changes with every change of what `evolve` makes of the same events: a snapshot of another number is
# not used, the events are read again.
REDUCER_VERSION = 15

_ENDED_IDS_KEPT = 512  # more sessions than a bay can end within the booking horizon
_NUMBERS_KEPT = 512
_ANY_TIME_MS = 30 * 24 * 3_600_000  # an outage of unknown length: the server's timer proves nothing any more
_LAST_READS_MS = 10_000  # after the end: what lay on the tee is decided about, and recorded


def evolve(bay: Bay, event: e.Event) -> Bay:
    """Raises IllegalTransitionError where the event does not fit the phase."""
    changed = _apply(bay, event)
    session = changed.session
    phase = next_phase(
        bay.phase,
        event,
        booked=bool(changed.bookings),
        paused=session is not None and session.paused_at_ms is not None,
    )
    waiting = changed.waiting if phase is bay.phase else None
    return replace(changed, phase=phase, waiting=waiting, version=bay.version + 1)


def evolve_all(bay: Bay, events: tuple[e.Event, ...]) -> Bay:
    for event in events:
        bay = evolve(bay, event)
    return bay


def _apply(bay: Bay, event: e.Event) -> Bay:
    if isinstance(event, q.Event):
        return replace(bay, qos=qos_lease.evolve(bay.qos, event))
    if isinstance(event, e.DispensingEvent):
        return ball_counters.evolve(bay, event)
    match event:
        case e.BookingLearned(booking) | e.BookingChanged(booking):
            return replace(bay, bookings=_with_booking(bay.bookings, booking))
        case e.BookingWithdrawn(session_id, reason):
            # A session that was moved may come back; one that lapsed too, when a clock was wrong.
            over = reason not in (EndReason.MOVED, EndReason.LAPSED)
            withdrawn = bay.find_booking(session_id)
            bay = replace(
                bay,
                bookings=tuple(b for b in bay.bookings if b is not withdrawn),
                next_session_id=None if bay.next_session_id == session_id else bay.next_session_id,
            )
            created_ms = None if withdrawn is None or withdrawn.sold_here else withdrawn.created_wall_ms
            return _over(bay, session_id, created_ms) if over else bay
        case e.WalkInSold(session_id, minutes, wall_ms=wall_ms):
            return replace(
                bay,
                bookings=_with_booking(
                    bay.bookings, Booking(session_id, minutes, minutes, wall_ms, sold_here=True)
                ),
            )
        case e.SessionNumbered(session_id, server_id):
            numbers = {**bay.numbers, server_id: session_id}
            return replace(bay, numbers=dict(list(numbers.items())[-_NUMBERS_KEPT:]))
        case e.BookedTillSeen(booked):
            return replace(bay, booked_till=booked)
        case e.ConflictSeen(code, session_id, text, wall_ms, key):
            conflict = Conflict(code, session_id, text, wall_ms, key)
            return replace(bay, conflicts=conflicts.remember(bay.conflicts, conflict))
        case e.ConflictSettled(name):
            return replace(bay, conflicts=tuple(c for c in bay.conflicts if c.name != name))

        case e.PinAttempted(attempt_id, request_key, at_ms, failures, locked_until_ms):
            attempt = PinAttempt(attempt_id, request_key, at_ms)
            return replace(bay, pad=PinPad(failures, at_ms, locked_until_ms, attempt))
        case e.PinAccepted():
            return replace(bay, pad=PinPad())
        case e.PadUnlocked():
            # A check that is under way goes on, with its try forgiven.
            return replace(bay, pad=PinPad(attempt=bay.pad.attempt))
        case e.PinRefused():
            return replace(bay, pad=replace(bay.pad, attempt=None))
        case e.PinCheckFailed(_, _, failures, locked_until_ms):
            pad = replace(bay.pad, attempt=None, failures=failures, locked_until_ms=locked_until_ms)
            return replace(bay, pad=pad)

        case e.SessionStarted():
            return _started(bay, event)
        case e.NextSessionReady(session_id, started_by, at_ms):
            return replace(
                bay, next_session_id=session_id, next_started_by=started_by, next_verified_at_ms=at_ms
            )
        case e.SessionPaused(at_ms, by, _, device, pause_ends_at_ms):
            return _in_session(
                bay,
                paused_at_ms=at_ms,
                paused_for=device,
                paused_by=by,
                pause_ends_at_ms=pause_ends_at_ms,
                guest_pauses=_session(bay).guest_pauses + (pause_ends_at_ms is not None),
            )
        case e.SessionResumed(at_ms, ends_at_ms):
            session = _session(bay)
            begun = session.paused_at_ms if session.paused_at_ms is not None else at_ms
            paused_ms = session.paused_ms + at_ms - begun
            by_guest_ms = 0 if session.pause_ends_at_ms is None else at_ms - begun
            return _in_session(
                bay,
                paused_at_ms=None,
                paused_ms=paused_ms,
                ends_at_ms=ends_at_ms,
                paused_for="",
                paused_by="",
                pause_ends_at_ms=None,
                guest_paused_ms=session.guest_paused_ms + by_guest_ms,
                overran_wall_ms=None,
            )
        case e.SessionExtended():
            return _extended(bay, event)
        case e.ExtensionAsked(op_id, minutes, wall_ms, amount, at_ms):
            asked = AskedExtension(op_id, minutes, amount, wall_ms, at_ms)
            return _in_session(bay, extension_asked=asked, extension_declined="")
        case e.ExtensionDeclined(_, reason):
            return _in_session(bay, extension_asked=None, extension_declined=reason)
        case e.DueSettled(due_id):
            return replace(bay, dues=tuple(due for due in bay.dues if due.due_id != due_id))
        case e.TariffChanged(tariff):
            return replace(bay, tariff=tariff)
        case e.ArrearsChanged(owed):
            return replace(bay, owed_at_server=owed)
        case e.WarningGiven(minutes):
            return _in_session(bay, warned=(*_session(bay).warned, minutes))
        case e.SessionEnded():
            moved = event.balls.commanded or event.balls.read
            reconcile_at_ms = max(event.grace_until_ms, event.at_ms + _LAST_READS_MS)
            return replace(
                _over(bay, event.session_id, _session(bay).created_wall_ms),
                session=None,
                last=EndedSession(
                    event.session_id,
                    event.reason,
                    event.at_ms,
                    event.played_ms,
                    event.balls,
                    _session(bay).player_id,
                    reconcile_at_ms=reconcile_at_ms if moved else None,
                    unread=_session(bay).unread,
                ),
                grace_until_ms=event.grace_until_ms,
                moved=None,
                booked_till=False,
                # Nobody can move it any more.
                conflicts=conflicts.without_moves(bay.conflicts, event.session_id),
            )
        case e.SessionMovedAway():
            return _moved_away(bay, event)
        case e.SessionMovedIn():
            return _moved_in(bay, event)
        case e.ServerMoveSeen(session_id):
            left = conflicts.without_moves(bay.conflicts, session_id)
            return replace(_in_session(bay, server_bays=()), conflicts=left)
        case e.GraceEnded():
            return replace(bay, grace_until_ms=None)
        case e.GameSelected(session_id, game, own):
            if bay.session is not None and bay.session.session_id == session_id:
                if own:
                    return _in_session(bay, game=game, own_games=(*bay.session.own_games, game.id))
                return _in_session(bay, game=game, server_game_id=game.id, own_games=())
            if (waiting := bay.find_booking(session_id)) is None:
                return bay
            return replace(bay, bookings=_with_booking(bay.bookings, replace(waiting, game=game)))
        case e.GameCleared():
            return _in_session(bay, game=None, server_game_id=None, own_games=())
        case e.ServerGameSeen(_, game_id):
            later = _session(bay).own_games
            if game_id in later:
                later = later[later.index(game_id) + 1 :]
            return _in_session(bay, server_game_id=game_id, own_games=later)
        case e.PlayerSelected(session_user_id):
            return _in_session(bay, player_id=session_user_id)
        case e.ServerActivitySeen(active, at_ms):
            if active:
                return _in_session(bay, active_seen=True, inactive_since_ms=None)
            return _in_session(bay, inactive_since_ms=at_ms)
        case e.HelpCalled(at_ms):
            return replace(bay, help_since_ms=at_ms)
        case e.HelpAcknowledged():
            return replace(bay, help_since_ms=None)

        case e.RangeOpened():
            return replace(bay, scheduled=Scheduled())
        case e.RangeClosed():
            return replace(bay, scheduled=Scheduled(Mode.CLOSED))
        case e.ModeTurned(mode, until_wall_ms):
            return replace(bay, scheduled=Scheduled(mode, until_wall_ms))
        case e.ModeSet(mode, today, _, reason, wall_ms):
            return replace(bay, mode_set=StaffMode(mode, today, wall_ms, reason))
        case e.ModeRevoked():
            return replace(bay, mode_set=None)
        case e.WaitBegan(session_id, at_ms):
            return replace(bay, waiting=Waiting(session_id, at_ms))
        case e.WaitOverran(_, wall_ms):
            assert bay.waiting is not None
            return replace(bay, waiting=replace(bay.waiting, overran_wall_ms=wall_ms))
        case e.PauseOverran(_, wall_ms):
            return _in_session(bay, overran_wall_ms=wall_ms)
        case e.BayHeld(_, reason, wall_ms):
            return replace(bay, kept_reason=reason, kept_wall_ms=wall_ms)
        case e.BayTakenOutOfService(_, reason, wall_ms):
            bay = replace(bay, kept_reason=reason, kept_wall_ms=wall_ms)
            return replace(bay, service_stop_pending=None, grace_until_ms=None)
        case e.BayReleased() | e.BayReturnedToService():
            return replace(bay, kept_reason="", kept_wall_ms=None, service_stop_pending=None)
        case e.ServiceStopPlanned(_, reason):
            return replace(bay, service_stop_pending=reason)

        case e.DeliveryRetried() | e.DeliveryDropped():
            return bay

        case e.IntentExpired():
            return bay
        case e.FreeBallRead(epc, at_ms, forget_before_ms):
            kept = _credits_but(bay, epc, forget_before_ms)
            return replace(bay, credits=(*kept, Credit(epc, at_ms, "", None)), free_read=bay.free_read + 1)
        case e.BallRead(epc, session_id, player_id, at_ms, forget_before_ms):
            kept = _credits_but(bay, epc, forget_before_ms)
            counted = ball_counters.count(bay, session_id, read=1)
            credit = Credit(epc, at_ms, session_id, player_id, game_id=_game_of(bay, session_id))
            return replace(counted, credits=(*kept, credit))
        case e.PitReached(epc, pit, session_id, points=points):
            hit = next((c.has_hit(pit) for c in bay.credits if c.epc == epc), True)
            bay = ball_counters.count(bay, session_id, shots=0 if hit else 1, points=points or 0)
            seen = (replace(c, pits=(*c.pits, pit)) if c.epc == epc else c for c in bay.credits)
            return replace(bay, credits=tuple(seen))

        case e.DeviceChanged(device, state, reason, wall_ms):
            bay = replace(bay, devices={**bay.devices, device: DeviceFact(state, reason, wall_ms)})
            reads = device != _READER or state is DeviceState.OK or bay.session is None
            return bay if reads else _in_session(bay, unread=True)
        case e.OutageSeen(outage_ms, credited, _, shift_ms, hold_shift_ms):
            shifted = _shifted(bay, shift_ms, hold_shift_ms)
            if shifted.session is None or not credited:
                return shifted
            ahead_ms = shifted.session.server_ahead_ms + (_ANY_TIME_MS if outage_ms is None else outage_ms)
            return _in_session(shifted, server_ahead_ms=ahead_ms, unread=True)
        case e.QosSpent(day, sessions, seconds):
            return replace(bay, qos_day=bay.qos_day.with_cost(day, Spent(sessions, seconds)))
        case _:
            assert_never(event)


def _session(bay: Bay) -> PlaySession:
    assert bay.session is not None, f"bay {bay.number} has no session"
    return bay.session


def _in_session(bay: Bay, **changes: object) -> Bay:
    return replace(bay, session=replace(_session(bay), **changes))  # type: ignore[arg-type] # names are checked at run time by replace()


def _with_booking(bookings: tuple[Booking, ...], booking: Booking) -> tuple[Booking, ...]:
    others = (b for b in bookings if b.session_id != booking.session_id)
    return tuple(sorted((*others, booking), key=lambda b: (b.created_wall_ms, b.session_id)))


def _over(bay: Bay, session_id: str, created_wall_ms: int | None) -> Bay:
    ended = (*(i for i in bay.ended_ids if i != session_id), session_id)[-_ENDED_IDS_KEPT:]
    created = {i: at_ms for i, at_ms in bay.ended_created_ms.items() if i in ended}
    if created_wall_ms is not None:
        created[session_id] = created_wall_ms
    return replace(bay, ended_ids=ended, ended_created_ms=created)


def _started(bay: Bay, event: e.SessionStarted) -> Bay:
    booking = bay.find_booking(event.session_id)
    session = PlaySession(
        session_id=event.session_id,
        player=event.player,
        player_id=None,
        game=event.game,
        server_game_id=None if event.game is None else event.game.id,
        started_by=event.started_by,
        started_at_ms=event.at_ms,
        started_wall_ms=event.wall_ms,
        ends_at_ms=event.ends_at_ms,
        granted_ms=event.ends_at_ms - event.at_ms,
        first_minutes=event.first_minutes,
        desk_minutes=event.minutes - event.first_minutes,
        warned=event.skip_warnings,
        active_seen=event.started_by is StartedBy.PIN_ONLINE,
        server_ahead_ms=event.server_ahead_ms,
        unread=bay.devices.get(_READER, DeviceFact()).state is not DeviceState.OK,
        created_wall_ms=None if booking is None or booking.sold_here else booking.created_wall_ms,
    )
    return replace(
        bay,
        session=session,
        bookings=tuple(b for b in bay.bookings if b.session_id != event.session_id),
        grace_until_ms=None,
        next_session_id=None,
        next_started_by=None,
        next_verified_at_ms=None,
        # What the server calls active has started now.
        conflicts=tuple(
            c for c in bay.conflicts if (c.code, c.session_id) != ("active_not_started", event.session_id)
        ),
    )


def _moved_away(bay: Bay, event: e.SessionMovedAway) -> Bay:
    session_id = event.session_id
    return replace(
        bay,
        session=None,
        moved=MovedSession(session_id, event.to, event.at_ms),
        unsettled=tuple(flag for flag in bay.unsettled if flag.session_id != session_id),
        dues=tuple(due for due in bay.dues if due.session_id != session_id),
        conflicts=tuple(c for c in bay.conflicts if c.session_id != session_id),
        credits=tuple(c for c in bay.credits if c.session_id != session_id),
        help_since_ms=None,
        booked_till=False,
    )


def _moved_in(bay: Bay, event: e.SessionMovedIn) -> Bay:
    numbers = bay.numbers if event.number is None else {**bay.numbers, event.number: event.session.session_id}
    return replace(
        bay,
        session=event.session,
        moved=None,
        unsettled=(*bay.unsettled, *event.unsettled),
        dues=(*bay.dues, *event.dues),
        credits=_latest_credits((*bay.credits, *event.credits)),
        conflicts=(*bay.conflicts, *(c for c in event.conflicts if c not in bay.conflicts)),
        help_since_ms=bay.help_since_ms if event.help_since_ms is None else event.help_since_ms,
        numbers=numbers,
        grace_until_ms=None,
    )


def _extended(bay: Bay, event: e.SessionExtended) -> Bay:
    session = _session(bay)
    own = session.own_extensions
    if event.own:
        own = (*own, OwnExtension(event.op_id, event.minutes, event.amount or 0))
    if event.payment is Payment.ON_ACCOUNT and event.amount:
        due = Due(event.op_id, event.session_id, event.minutes, event.amount, event.wall_ms)
        bay = replace(bay, dues=(*bay.dues, due))
    return _in_session(
        bay,
        own_extensions=own,
        ends_at_ms=event.ends_at_ms,
        granted_ms=event.granted_ms,
        own_minutes=session.own_minutes + (event.minutes if event.own else 0),
        desk_minutes=session.desk_minutes + (0 if event.own else event.minutes),
        extension_asked=None,  # what the desk gave is an answer, too
        extension_declined="",
        warned=event.skip_warnings,
    )


def _shifted(bay: Bay, shift_ms: int, hold_shift_ms: int) -> Bay:
    """Every instant of the state on the new clock."""

    def play(at_ms: int | None) -> int | None:
        return None if at_ms is None else at_ms + shift_ms

    def hold(at_ms: int | None) -> int | None:
        return None if at_ms is None else at_ms + hold_shift_ms

    session = bay.session
    if session is not None:
        asked = session.extension_asked
        session = replace(
            session,
            started_at_ms=session.started_at_ms + shift_ms,
            extension_asked=None if asked is None else replace(asked, since_ms=play(asked.since_ms)),
            ends_at_ms=session.ends_at_ms + shift_ms,
            asked=tuple(replace(asked, at_ms=asked.at_ms + shift_ms) for asked in session.asked),
            paused_at_ms=play(session.paused_at_ms),
            pause_ends_at_ms=play(session.pause_ends_at_ms),
            inactive_since_ms=play(session.inactive_since_ms),
        )
    last = bay.last
    if last is not None:
        last = replace(
            last, ended_at_ms=last.ended_at_ms + shift_ms, reconcile_at_ms=play(last.reconcile_at_ms)
        )
    attempt = bay.pad.attempt
    if attempt is not None:
        attempt = replace(attempt, at_ms=attempt.at_ms + hold_shift_ms)
    pad = replace(
        bay.pad,
        locked_until_ms=hold(bay.pad.locked_until_ms),
        last_try_ms=hold(bay.pad.last_try_ms),
        attempt=attempt,
    )
    return replace(
        bay,
        session=session,
        last=last,
        pad=pad,
        grace_until_ms=play(bay.grace_until_ms),
        next_verified_at_ms=play(bay.next_verified_at_ms),
        help_since_ms=play(bay.help_since_ms),
        waiting=None
        if bay.waiting is None
        else replace(bay.waiting, since_ms=bay.waiting.since_ms + hold_shift_ms),
        moved=None if bay.moved is None else replace(bay.moved, at_ms=bay.moved.at_ms + shift_ms),
        credits=tuple(replace(c, at_ms=c.at_ms + shift_ms) for c in bay.credits),
    )


def _credits_but(bay: Bay, epc: str, forget_before_ms: int) -> tuple[Credit, ...]:
    return tuple(c for c in bay.credits if c.at_ms >= forget_before_ms and c.epc != epc)


def _latest_credits(credits_: tuple[Credit, ...]) -> tuple[Credit, ...]:
    """A ball was this bay's before, and came with the session: whoever had it last has it."""
    return tuple({c.epc: c for c in sorted(credits_, key=lambda c: c.at_ms)}.values())


def _game_of(bay: Bay, session_id: str) -> int | None:
    """What is being played in this session."""
    session = bay.session
    if session is None or session.session_id != session_id or session.game is None:
        return None
    return session.game.id
