"""What it means that nobody served a bay: for play, for lock-outs and for a payout under way.

The outage is the time from the last-alive mark to now, whatever its cause. A short one counts as play;
a longer one is credited: play goes on with the time that was left at the mark, without any wall clock.
Lock-outs resume with the rest at the mark, so that a reboot never shortens one.

The mark is the daemon's. A bay that it starts without keeps the one that it finds then, as its own, until it
is configured again: later ones, of whatever boot, were made while the bay stood still.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_book
from bayd.core.decision import Verdict
from bayd.core.evolve.bay import evolve_bay, has_instants
from bayd.core.instant import AliveMark, Instant
from bayd.core.model import Bay, Phase
from bayd.core.rules import DowntimePolicy, Rules

_IMPLAUSIBLE_MS = 30 * 24 * 3_600_000  # a clock that jumped by a month was wrong at one end


def left_out(bay: Bay, last_served: AliveMark) -> tuple[e.BayLeftOut, ...]:
    """The daemon starts without the bay."""
    return () if bay.left is not None or not _is_under_way(bay) else (e.BayLeftOut(last_served),)


def taken_along(bay: Bay, now: Instant) -> Bay:
    """A bay that stands still, as it is for whoever leaves it now: with the time that was left to him."""
    if bay.left is None:
        return bay
    shift_ms = now.boot_ms - bay.left.boot_ms
    nobody_can_tell = e.OutageSeen(None, True, True, shift_ms, shift_ms, False, now.boot_ms, alone=True)
    return evolve_bay(bay, nobody_can_tell)


def restarted(bay: Bay, report: i.Restarted, now: Instant, rules: Rules) -> Verdict:
    outage_ms = _outage_ms(report, now)
    qos = qos_book.rebooted(bay, report, outage_ms, now)
    if not _is_under_way(bay) and bay.left is None:
        return qos
    onto_this_clock = now.boot_ms - report.mark_boot_ms  # moves an instant so that its rest stays
    short = outage_ms is not None and outage_ms <= rules.outage_as_play_ms
    counted_ms = outage_ms if short or rules.downtime is DowntimePolicy.COUNTED else None
    shift_ms = onto_this_clock - (counted_ms or 0)
    too_long = counted_ms is None and outage_ms is not None and outage_ms > rules.max_credit_ms
    pause = too_long and bay.phase is Phase.PLAYING
    hold_shift_ms = 0 if report.same_boot and short else onto_this_clock
    events: tuple[e.Event, ...] = (
        e.OutageSeen(
            outage_ms=outage_ms,
            credited=counted_ms is None,
            flagged=outage_ms is None,
            shift_ms=shift_ms,
            hold_shift_ms=hold_shift_ms,
            pause=pause,
            at_ms=now.boot_ms,
            alone=bay.left is not None,
        ),
    )
    if pause:
        events += (e.SessionPaused(now.boot_ms, "bayd", "long outage"),)
    if bay.payout is not None:
        long_ms = rules.resume_payout_ms if outage_ms is None else outage_ms
        events += (e.PayoutInterrupted(bay.payout.payout_id, max(long_ms, bay.payout.interrupted_ms)),)
    return events + qos


def _outage_ms(report: i.Restarted, now: Instant) -> int | None:
    """None: nobody can tell."""
    if report.same_boot:
        return now.boot_ms - report.mark_boot_ms
    gap_ms = now.wall_ms - report.mark_wall_ms
    if not report.wall_trusted or not 0 <= gap_ms <= _IMPLAUSIBLE_MS:
        return None
    return gap_ms


def _is_under_way(bay: Bay) -> bool:
    return has_instants(bay) or bay.payout is not None
