"""What a bay is open for, beside its phase: by PIN or staff alone (locked), free play, or nothing (closed).

The hours of the site say it, and a staff member may say otherwise for a while. A session that plays is no
concern of either: it is played to its end. Free play is no session: the antennas listen, balls are nobody's,
nothing is owed, and a booking's PIN takes the bay over at once.

What time of day it is, the bay is told: the core has no wall clock, and one that nobody keeps closes no bay.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, Mode, Phase, Scheduled
from bayd.core.rules import OpenSpan, Timetable

CLOSED = Refusal("closed", "The bay is closed now: reception can start a session.")
_LOOK_AHEAD_DAYS = 15
_DAY_OVER = "the day is over"


def mode_at(table: Timetable, day: int, minute: int) -> Mode:
    """`day` counts from 1, a Monday, as `date.toordinal`. Of lines that overlap the last holds."""
    weekday = (day - 1) % 7
    if day in table.closed_days:
        return Mode.CLOSED
    if table.opening and not any(_holds(span, weekday, minute) for span in table.opening):
        return Mode.CLOSED
    if table.mode is not None:
        return table.mode
    named = (line.mode for line in reversed(table.schedule) if _holds(line.span, weekday, minute))
    return next(named, Mode.CLOSED)


def next_turn(table: Timetable, day: int, minute: int) -> tuple[int, int] | None:
    """The day and minute when another mode begins; None: not within two weeks."""
    present = mode_at(table, day, minute)
    spans = (*table.opening, *(line.span for line in table.schedule))
    turns = sorted({0, *(at % 1440 for span in spans for at in (span.from_minute, span.to_minute))})
    for later in range(day, day + _LOOK_AHEAD_DAYS):
        for at in turns:
            if (later, at) > (day, minute) and mode_at(table, later, at) is not present:
                return later, at
    return None


def _holds(span: OpenSpan, weekday: int, minute: int) -> bool:
    return span.weekday == weekday and span.from_minute <= minute < span.to_minute


def is_free_play(bay: Bay) -> bool:
    """Anybody may play here now. A booking that waits changes nothing until its PIN is typed."""
    return bay.mode is Mode.FREE_PLAY and bay.phase in (Phase.FREE, Phase.BOOKED)


def seen(bay: Bay, report: i.ModeSeen) -> tuple[e.Event, ...]:
    """What the hours say now, where that is news; and the end of what staff said for one day."""
    events: tuple[e.Event, ...] = ()
    if bay.scheduled != Scheduled(report.mode, report.until_wall_ms):
        events += (e.ModeTurned(report.mode, report.until_wall_ms),)
    staff, day_began_ms = bay.mode_set, report.day_began_wall_ms
    if staff is not None and staff.today and day_began_ms is not None and staff.wall_ms < day_began_ms:
        events += (e.ModeRevoked("bayd", _DAY_OVER),)
    return events


def set_by_staff(bay: Bay, request: i.SetMode, now: Instant) -> Verdict:
    """Above the hours of the site, until it is revoked or the day is over."""
    if not request.reason.strip():
        return Refusal("reason_missing", "Another mode needs a reason.", field="reason")
    by, reason = request.actor.name, request.reason
    if request.mode is None:
        if bay.mode_set is None:
            return Refusal("mode_not_set", "The bay follows the hours of the site already.")
        return (e.ModeRevoked(by, reason),)
    return (e.ModeSet(request.mode, request.today, by, reason, now.wall_ms),)
