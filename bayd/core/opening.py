"""When the range is open. Closed, nobody begins by PIN and the screen offers no more time; a session that
plays is played to its end, and staff may start one all the same.

What time of day it is, the bay is told: the core has no wall clock, and one that nobody keeps closes no bay.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.model import Bay
from bayd.core.rules import OpenSpan

CLOSED = Refusal("closed", "The range is closed: reception can start a session.")


def is_open(spans: tuple[OpenSpan, ...], weekday: int, minute: int) -> bool:
    """Without any span the range never closes."""
    if not spans:
        return True
    return any(s.weekday == weekday and s.from_minute <= minute < s.to_minute for s in spans)


def changed(bay: Bay, report: i.OpeningSeen) -> Verdict:
    if bay.closed is not report.is_open:
        return ()
    return (e.RangeOpened(),) if report.is_open else (e.RangeClosed(),)
