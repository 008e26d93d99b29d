"""The bay as a place after an event: its hours, its service, its devices, and its clock after an outage."""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.evolve.parts import in_session
from bayd.core.model import READER, Bay, DeviceFact, DeviceState, Scheduled, StaffMode, Waiting

_ANY_TIME_MS = 30 * 24 * 3_600_000  # an outage of unknown length: the server's timer proves nothing any more


def evolve_bay(bay: Bay, event: e.BayEvent) -> Bay:
    match event:
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
        case e.BayHeld(_, reason, wall_ms):
            return replace(bay, kept_reason=reason, kept_wall_ms=wall_ms)
        case e.BayTakenOutOfService(_, reason, wall_ms):
            bay = replace(bay, kept_reason=reason, kept_wall_ms=wall_ms)
            return replace(bay, service_stop_pending=None, grace_until_ms=None)
        case e.BayReleased() | e.BayReturnedToService():
            return replace(bay, kept_reason="", kept_wall_ms=None, service_stop_pending=None)
        case e.ServiceStopPlanned(_, reason):
            return replace(bay, service_stop_pending=reason)
        case e.IntentExpired():
            return bay
        case e.DeviceChanged(device, state, reason, wall_ms):
            bay = replace(bay, devices={**bay.devices, device: DeviceFact(state, reason, wall_ms)})
            reads = device != READER or state is DeviceState.OK or bay.session is None
            return bay if reads else in_session(bay, unread=True)
        case e.BayLeftOut(last_served):
            return replace(bay, left=last_served)
        case e.OutageSeen(outage_ms, credited, _, shift_ms, hold_shift_ms):
            shifted = replace(_shifted(bay, shift_ms, hold_shift_ms), left=None)
            if shifted.session is None or not credited:
                return shifted
            ahead_ms = shifted.session.server_ahead_ms + (_ANY_TIME_MS if outage_ms is None else outage_ms)
            return in_session(shifted, server_ahead_ms=ahead_ms, unread=True)
        case _:
            assert_never(event)


def has_instants(bay: Bay) -> bool:
    """Something in it is told by the boot clock."""
    return _shifted(bay, 1, 1) != bay


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
