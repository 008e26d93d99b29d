"""A day at the bays, told from the journal: when somebody played, when the clock stood still, when not.

Pure. What was under way when the day began, and is not told of before it ends, counts from the day's begin.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bayd.core import events as e
from bayd.core.model import Bay, Phase
from bayd.journal import Recorded


class What(StrEnum):
    PLAY = "play"
    PAUSE = "pause"
    HELD = "held"
    OUT = "out"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class Span:
    what: What
    from_wall_ms: int
    to_wall_ms: int


_BEGINS: Mapping[type, What] = {
    e.SessionStarted: What.PLAY,
    e.SessionMovedIn: What.PLAY,
    e.SessionPaused: What.PAUSE,
    e.BayHeld: What.HELD,
    e.BayTakenOutOfService: What.OUT,
}
_ENDS: Mapping[type, What] = {
    e.SessionEnded: What.PLAY,
    e.SessionMovedAway: What.PLAY,
    e.SessionResumed: What.PAUSE,
    e.BayReleased: What.HELD,
    e.BayReturnedToService: What.OUT,
}
KINDS = tuple(sorted(kind.__name__ for kind in (*_BEGINS, *_ENDS, e.OutageSeen)))
_NOW: Mapping[Phase, tuple[What, ...]] = {
    Phase.PLAYING: (What.PLAY,),
    Phase.PAUSED: (What.PLAY, What.PAUSE),
    Phase.HELD: (What.HELD,),
    Phase.OUT_OF_SERVICE: (What.OUT,),
}


def spans_of(
    happened: Iterable[Recorded[e.Event]], from_wall_ms: int, to_wall_ms: int, now: Bay | None
) -> list[Span]:
    """Of one bay between two times. `now`: the bay as it is, when `to_wall_ms` is now; else None."""
    spans: list[Span] = []
    open_since: dict[What, int] = {}
    seen: set[What] = set()

    def close(what: What, at_ms: int) -> None:
        if what in open_since or what not in seen:
            since_ms = open_since.pop(what, from_wall_ms)
            spans.append(Span(what, since_ms, max(since_ms, at_ms)))
        seen.add(what)

    for recorded in happened:
        at_ms = min(max(recorded.wall_ms, from_wall_ms), to_wall_ms)
        event = recorded.event
        if isinstance(event, e.OutageSeen):
            since_ms = max(from_wall_ms, at_ms - (event.outage_ms or 0))
            # Left out of the configuration it was out by itself: the daemon was there for the others.
            spans.append(Span(What.OUT if event.alone else What.OUTAGE, since_ms, at_ms))
        elif (begun := _BEGINS.get(type(event))) is not None:
            open_since.setdefault(begun, at_ms)
            seen.add(begun)
        elif (ended := _ENDS.get(type(event))) is not None:
            if ended is What.PLAY and What.PAUSE in open_since:
                close(What.PAUSE, at_ms)
            close(ended, at_ms)
    if now is not None:
        for what in _NOW.get(now.phase, ()):
            if what not in seen:
                open_since.setdefault(what, from_wall_ms)
    spans += [Span(what, since_ms, to_wall_ms) for what, since_ms in open_since.items()]
    return _in_order(spans)


def shared_outages(lines: Mapping[str, Sequence[Span]]) -> dict[str, list[Span]]:
    """By bay. The daemon was away from all bays, though only those where a clock ran told of it."""
    outages: list[Span] = []
    told = {span for spans in lines.values() for span in spans if span.what is What.OUTAGE}
    for span in sorted(told, key=lambda span: span.from_wall_ms):
        if outages and span.from_wall_ms <= outages[-1].to_wall_ms:
            to_wall_ms = max(outages[-1].to_wall_ms, span.to_wall_ms)
            outages[-1] = Span(What.OUTAGE, outages[-1].from_wall_ms, to_wall_ms)
        else:
            outages.append(span)
    return {
        number: _in_order([*(span for span in spans if span.what is not What.OUTAGE), *outages])
        for number, spans in lines.items()
    }


def _in_order(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.from_wall_ms, span.what is not What.PLAY))
