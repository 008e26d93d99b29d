"""Which event may take a bay from which phase to which. A missing entry is an error, not a guess.

The diagram in `docs/phases.md` is generated from this table.
"""

from collections.abc import Mapping

from bayd.core import events as e
from bayd.core.model import Phase

_IN_PLAY = frozenset({Phase.PLAYING, Phase.PAUSED})  # PAUSED where the clock stands
_REST = frozenset({Phase.FREE, Phase.BOOKED})  # BOOKED where a booking waits

TRANSITIONS: Mapping[tuple[Phase, type[e.Event]], frozenset[Phase]] = {
    (Phase.FREE, e.BookingLearned): frozenset({Phase.BOOKED}),
    (Phase.BOOKED, e.BookingLearned): frozenset({Phase.BOOKED}),
    (Phase.FREE, e.WalkInSold): frozenset({Phase.BOOKED}),
    (Phase.BOOKED, e.BookingWithdrawn): _REST,
    (Phase.BOOKED, e.SessionStarted): frozenset({Phase.PLAYING}),
    (Phase.GRACE, e.SessionStarted): frozenset({Phase.PLAYING}),
    (Phase.PLAYING, e.SessionPaused): frozenset({Phase.PAUSED}),
    (Phase.PAUSED, e.SessionResumed): frozenset({Phase.PLAYING}),
    (Phase.PLAYING, e.SessionEnded): frozenset({Phase.GRACE}),
    (Phase.PAUSED, e.SessionEnded): frozenset({Phase.GRACE}),
    (Phase.PLAYING, e.SessionMovedAway): _REST,
    (Phase.PAUSED, e.SessionMovedAway): _REST,
    (Phase.FREE, e.SessionMovedIn): _IN_PLAY,
    (Phase.GRACE, e.SessionMovedIn): _IN_PLAY,
    (Phase.GRACE, e.GraceEnded): _REST,
    (Phase.FREE, e.BayHeld): frozenset({Phase.HELD}),
    (Phase.BOOKED, e.BayHeld): frozenset({Phase.HELD}),
    (Phase.HELD, e.BayReleased): _REST,
    (Phase.FREE, e.BayTakenOutOfService): frozenset({Phase.OUT_OF_SERVICE}),
    (Phase.BOOKED, e.BayTakenOutOfService): frozenset({Phase.OUT_OF_SERVICE}),
    (Phase.HELD, e.BayTakenOutOfService): frozenset({Phase.OUT_OF_SERVICE}),
    (Phase.GRACE, e.BayTakenOutOfService): frozenset({Phase.OUT_OF_SERVICE}),
    (Phase.OUT_OF_SERVICE, e.BayReturnedToService): _REST,
}

# Events that never occur without a change of phase.
TURNING: frozenset[type[e.Event]] = frozenset(
    {
        e.SessionStarted,
        e.SessionPaused,
        e.SessionResumed,
        e.SessionEnded,
        e.SessionMovedAway,
        e.SessionMovedIn,
        e.GraceEnded,
        e.BayHeld,
        e.BayReleased,
        e.BayTakenOutOfService,
        e.BayReturnedToService,
    }
)


class IllegalTransitionError(Exception):
    """An event does not fit the phase: a defect here, or a journal that something else wrote."""

    def __init__(self, phase: Phase, event: e.Event) -> None:
        super().__init__(f"{type(event).__name__} cannot happen in phase {phase}")


def next_phase(phase: Phase, event: e.Event, *, booked: bool, paused: bool = False) -> Phase:
    """The phase after `event`. `booked`: a booking waits afterwards; `paused`: the session's clock stands.

    Raises IllegalTransitionError.
    """
    targets = TRANSITIONS.get((phase, type(event)))
    if targets is None:
        if type(event) in TURNING:
            raise IllegalTransitionError(phase, event)
        return phase
    if len(targets) == 1:
        return next(iter(targets))
    if targets == _IN_PLAY:
        return Phase.PAUSED if paused else Phase.PLAYING
    return Phase.BOOKED if booked else Phase.FREE


def diagram() -> str:
    """The table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> free"]
    for (phase, event), targets in TRANSITIONS.items():
        lines += [f"    {phase} --> {target}: {event.__name__}" for target in sorted(targets)]
    return "\n".join(lines) + "\n"
