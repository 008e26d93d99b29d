"""Balls are paid out at a bay and none is read: an antenna that is connected and hears nothing.

Covered, wet, turned away, or the balls carry no tags that are registered: no reader can say so. A customer
takes a while from the dispenser to the tee, so both so many balls and so much time must have passed.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bayd.core.desired import Desired
from bayd.core.model import Bay, Phase
from bayd.ports import Clock, Instant, Log


@dataclass(frozen=True, slots=True)
class Unread:
    bay: str
    balls: int  # paid since the last one that was read
    since_wall_ms: int  # there are so many of them


@dataclass(slots=True)
class _Count:
    session_id: str
    read: int
    paid_when_read: int
    paid: int = 0
    many_since: Instant | None = None
    told: bool = False


class UnreadBalls:
    """Sees every bay (`bay_changed`); only those in `bays` have an antenna."""

    def __init__(self, bays: Collection[str], *, balls: int, after_ms: int, clock: Clock, log: Log) -> None:
        self._bays = bays
        self._balls = balls
        self._after_ms = after_ms
        self._clock = clock
        self._log = log
        self._counts: dict[str, _Count] = {}

    def watch(self, bays: Collection[str], *, balls: int, after_ms: int) -> None:
        """These bays by these limits from their next change on."""
        self._bays, self._balls, self._after_ms = bays, balls, after_ms
        for bay in self._counts.keys() - set(bays):
            del self._counts[bay]

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        session = bay.session
        if bay.number not in self._bays:
            return
        if session is None:
            self._counts.pop(bay.number, None)
            return
        balls = session.balls
        count = self._counts.get(bay.number)
        if count is None or count.session_id != session.session_id or balls.read != count.read:
            first = count is None or count.session_id != session.session_id
            # What was paid before this daemon started counts as unread only if nothing was read at all.
            before = balls.counted if balls.read or not first else 0
            count = self._counts[bay.number] = _Count(session.session_id, balls.read, before)
        count.paid = balls.counted - count.paid_when_read
        if count.paid < self._balls or bay.phase is not Phase.PLAYING:
            count.many_since = None
        elif count.many_since is None:
            count.many_since = self._clock.now()

    def found(self) -> list[Unread]:
        now_ms = self._clock.now().boot_ms
        found = []
        for bay, count in self._counts.items():
            if count.many_since is None or now_ms - count.many_since.boot_ms < self._after_ms:
                continue
            if not count.told:
                count.told = True
                self._log.warning("balls_not_read", bay=bay, balls=count.paid)
            found.append(Unread(bay, count.paid, count.many_since.wall_ms))
        return found
