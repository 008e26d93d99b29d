"""Acts on the bay itself: hold, service, help, faults, reports of devices."""

from collections.abc import Iterable

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import play
from bayd.core.decision import Refusal, Verdict
from bayd.core.extensions import NOT_PLAYING
from bayd.core.instant import Instant
from bayd.core.model import Bay, DeviceFact, DeviceState, Game, Phase
from bayd.core.rules import Rules


def hold(bay: Bay, request: i.Hold, now: Instant) -> Verdict:
    if bay.phase not in (Phase.FREE, Phase.BOOKED):
        return Refusal("bay_busy", f"The bay is {play.spoken(bay.phase)}.")
    return (e.BayHeld(request.actor.name, request.reason, now.wall_ms),)


def release(bay: Bay, request: i.Release) -> Verdict:
    if bay.phase is not Phase.HELD:
        return Refusal("not_held", "The bay is not on hold.")
    return (e.BayReleased(request.actor.name),)


def stop_service(bay: Bay, request: i.StopService, now: Instant, rules: Rules) -> Verdict:
    """Never interrupts a paid session unless forced, with a reason."""
    if not request.reason.strip():
        return Refusal("reason_missing", "Out of service needs a reason.", field="reason")
    by, reason = request.actor.name, request.reason
    if bay.phase is Phase.OUT_OF_SERVICE:
        return Refusal("out_of_service", "The bay is out of service already.")
    if bay.session is None:
        return (e.BayTakenOutOfService(by, reason, now.wall_ms),)
    planned = e.ServiceStopPlanned(by, reason)
    if not request.force:
        return (planned,)
    ended = play.end(bay, i.End(request.actor, reason), now, rules)
    if isinstance(ended, Refusal):
        return ended
    # Neither the next session nor a stop that was planned before follows: this stop does.
    overridden = (e.SessionStarted, e.BayTakenOutOfService)
    kept = tuple(event for event in ended if not isinstance(event, overridden))
    return (*kept, e.BayTakenOutOfService(by, reason, now.wall_ms))


def return_to_service(bay: Bay, request: i.ReturnToService) -> Verdict:
    if bay.phase is not Phase.OUT_OF_SERVICE:
        return Refusal("in_service", "The bay is in service.")
    return (e.BayReturnedToService(request.actor.name),)


def offered_games(bay: Bay, rules: Rules, listed: Iterable[Game]) -> tuple[Game, ...]:
    """What the screen may offer now: the games of the site that `select_game` takes; one is enough."""
    session = bay.session
    if session is None or session.game is not None:
        return ()
    had = session.balls.commanded
    fits = {
        g.name: g for g in listed if g.balls_limit is not None and (not g.balls_limit or g.balls_limit >= had)
    }
    return tuple(fits[name] for name in rules.games if name in fits)


def select_game(bay: Bay, request: i.SelectGame) -> Verdict:
    session = bay.session
    if session is None:
        return NOT_PLAYING
    limit = request.game.balls_limit
    if limit is None:
        return Refusal("limit_unknown", "The limit of this game is not known here.", field="game_id")
    if limit and limit < session.balls.commanded:
        return Refusal("limit_passed", "More balls were asked for than this game allows.", field="game_id")
    return (e.GameSelected(session.session_id, request.game, own=True),)


def select_player(bay: Bay, request: i.SelectPlayer) -> Verdict:
    if bay.session is None:
        return NOT_PLAYING
    return (e.PlayerSelected(request.session_user_id, own=True),)


def call_help(bay: Bay, now: Instant) -> Verdict:
    """A second call while one is open changes nothing."""
    return () if bay.help_since_ms is not None else (e.HelpCalled(now.boot_ms),)


def acknowledge_help(bay: Bay, request: i.AcknowledgeHelp) -> Verdict:
    if bay.help_since_ms is None:
        return Refusal("no_call", "Nobody called.")
    return (e.HelpAcknowledged(request.actor.name),)


def device_reported(bay: Bay, report: i.DeviceReported, now: Instant) -> Verdict:
    """A fault stays until staff acknowledge it: a motor that is asked again must not start by surprise."""
    fact = bay.devices.get(report.device, DeviceFact())
    if fact.state is DeviceState.FAULT or (fact.state, fact.reason) == (report.state, report.reason):
        return ()
    return (e.DeviceChanged(report.device, report.state, report.reason, now.wall_ms),)


def clear_fault(bay: Bay, request: i.ClearFault, now: Instant) -> Verdict:
    """The clock runs on where the fault had stopped it."""
    by, device, session = request.actor.name, request.device, bay.session
    if bay.devices.get(device, DeviceFact()).state is not DeviceState.FAULT:
        return Refusal("no_fault", f"The {device} has no fault.")
    cleared = (e.DeviceChanged(device, DeviceState.UNKNOWN, "", now.wall_ms, by=by),)
    if session is None or session.paused_for != device:
        return cleared
    resumed = play.resume(bay, by, now)
    return cleared if isinstance(resumed, Refusal) else (*cleared, *resumed)


def retry_delivery(request: i.RetryDelivery) -> Verdict:
    if not request.reason.strip():
        return Refusal("reason_missing", "A repeated delivery needs a reason.", field="reason")
    return (e.DeliveryRetried(request.seq, request.actor.name, request.reason),)


def drop_delivery(request: i.DropDelivery) -> Verdict:
    if not request.reason.strip():
        return Refusal("reason_missing", "Dropping needs a reason.", field="reason")
    return (e.DeliveryDropped(request.seq, request.actor.name, request.reason),)
