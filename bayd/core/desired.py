"""What each device and service of a bay should do now. Reconcilers drive the world there."""

from dataclasses import dataclass, replace

from bayd.core.dispensing import may_start
from bayd.core.model import Bay, Payout, Phase
from bayd.core.modes import is_free_play
from bayd.core.rules import Rules


@dataclass(frozen=True, slots=True)
class LowLatency:
    """A QoS session is wanted for the bay's screen, for this session of play."""

    session_id: str
    until_ms: int  # the end of play and grace
    paused_since_ms: int | None


@dataclass(frozen=True, slots=True)
class Desired:
    antennas_on: bool
    payout: Payout | None  # the open intent: to be driven to its end, or only asked about
    payout_may_start: bool  # the motor may be started for it
    payout_stop: bool  # the motor must stand
    low_latency: LowLatency | None


def desired(bay: Bay, rules: Rules) -> Desired:
    session = bay.session
    wanted = None
    if session is not None:
        until_ms = session.ends_at_ms + rules.grace_ms
        wanted = LowLatency(session.session_id, until_ms, session.paused_at_ms)
    return Desired(
        antennas_on=bay.phase is Phase.PLAYING or is_free_play(bay),
        payout=bay.payout,
        payout_may_start=may_start(bay, rules),
        payout_stop=bay.payout is not None and bay.payout.stopping,
        low_latency=wanted,
    )


def narrowed(before: Desired, after: Desired) -> Desired:
    """What may be done before `after` is durable: everything that disables, nothing that enables."""
    return replace(
        before,
        antennas_on=before.antennas_on and after.antennas_on,
        payout_may_start=before.payout_may_start and after.payout_may_start,
        payout_stop=before.payout_stop or after.payout_stop,
        low_latency=None if after.low_latency is None else before.low_latency,
    )
