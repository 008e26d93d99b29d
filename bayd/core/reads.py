"""Balls that the presence rules have confirmed: whose they are, and what a hit is worth."""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.model import Bay
from bayd.core.modes import is_free_play
from bayd.core.rules import Rules


def heard(bay: Bay, report: i.BallHeard, rules: Rules) -> Verdict:
    """A ball counts for the session that first heard it. Whether it counts again is for presence to say."""
    session, last = bay.session, bay.last
    if any(c.epc == report.epc and c.at_ms >= report.at_ms for c in bay.credits):
        return Refusal("counted_already", "This ball was counted already.")
    forget_before_ms = report.at_ms - max(rules.recount_after_ms, rules.attribution_ms)
    if session is not None and report.at_ms >= session.started_at_ms:
        whose = (session.session_id, session.player_id)
    elif last is not None and report.at_ms <= last.ended_at_ms:
        whose = (last.session_id, last.player_id)
    elif is_free_play(bay):
        return (e.FreeBallRead(report.epc, report.at_ms, forget_before_ms),)
    else:
        return Refusal("not_playing", "No session was running at this bay.")
    session_id, player_id = whose
    return (e.BallRead(report.epc, session_id, player_id, report.at_ms, forget_before_ms),)


def in_pit(bay: Bay, report: i.BallInPit) -> Verdict:
    """The shot of whoever the ball was counted for, also after the end. One credit, one shot at a target."""
    counted = bay.find_credit(report.epc)
    if counted is None or not counted.session_id:
        return Refusal("not_counted", "This ball was not counted at this bay lately.")
    if report.pit in counted.pits:
        return Refusal("sighted_already", "This shot was seen in this target already.")
    points = None
    if counted.game_id is not None and not counted.has_hit(report.pit):
        points = report.points.get(counted.game_id)
    reached = e.PitReached(
        report.epc, report.pit, counted.session_id, counted.player_id, report.at_ms, points
    )
    return (reached,)
