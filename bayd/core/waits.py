"""Waits that people forget: a guest who does not come, a bay that stays held, a pause without an end.

Staff are told, once for each. Nothing ends by itself unless the site says so; and a pause that stands for a
faulty machine, or one after a long outage, never does. A guest's own pause ends at its limit.
"""

from bayd.core import events as e
from bayd.core.instant import Instant
from bayd.core.model import Bay, EndReason, Phase, PlaySession
from bayd.core.rules import LongPausePolicy, NoShowPolicy, Rules

_OURS = "bayd"  # who pauses for an outage or a machine


def due(bay: Bay, now: Instant, rules: Rules) -> tuple[e.Event, ...]:
    """One step at a time, as `play.due`."""
    if (awaited := _awaited(bay)) is not None and rules.hold_minutes is not None:
        if bay.waiting is None or bay.waiting.session_id != awaited:
            return (e.WaitBegan(awaited, now.boot_ms),)
        wake_ms = _wait_ends_at_ms(bay, rules)
        if wake_ms is not None and now.boot_ms >= wake_ms and bay.pad.attempt is None:
            if awaited and rules.no_show is NoShowPolicy.RELEASE:
                return (e.BookingWithdrawn(awaited, EndReason.NO_SHOW),)
            return (e.WaitOverran(awaited, now.wall_ms),)
    session = bay.session
    if session is None or (wake_ms := _pause_ends_at_ms(session, rules)) is None or now.boot_ms < wake_ms:
        return ()
    if rules.long_pause is LongPausePolicy.RESUME or session.pause_ends_at_ms is not None:
        assert session.paused_at_ms is not None
        return (e.SessionResumed(wake_ms, session.ends_at_ms + wake_ms - session.paused_at_ms, _OURS),)
    return (e.PauseOverran(session.session_id, now.wall_ms),)


def next_wake_ms(bay: Bay, rules: Rules) -> int | None:
    wait_ms = _wait_ends_at_ms(bay, rules)
    pause_ms = None if bay.session is None else _pause_ends_at_ms(bay.session, rules)
    return min((at_ms for at_ms in (wait_ms, pause_ms) if at_ms is not None), default=None)


def _awaited(bay: Bay) -> str | None:
    """The session whose guest may come now; empty: staff have to release the bay."""
    if bay.phase is Phase.HELD:
        return ""
    return bay.bookings[0].session_id if bay.phase is Phase.BOOKED and bay.bookings else None


def _wait_ends_at_ms(bay: Bay, rules: Rules) -> int | None:
    waiting = bay.waiting
    if waiting is None or waiting.overran_wall_ms is not None or rules.hold_minutes is None:
        return None
    # A PIN that is being checked is somebody who came.
    return None if bay.pad.attempt is not None else waiting.since_ms + rules.hold_minutes * rules.minute_ms


def _pause_ends_at_ms(session: PlaySession, rules: Rules) -> int | None:
    if session.pause_ends_at_ms is not None:
        return session.pause_ends_at_ms
    if session.paused_at_ms is None or session.overran_wall_ms is not None or rules.pause_max_minutes is None:
        return None
    if session.paused_for or session.paused_by == _OURS:
        return None
    return session.paused_at_ms + rules.pause_max_minutes * rules.minute_ms
