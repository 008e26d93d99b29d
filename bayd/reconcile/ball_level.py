"""How full a machine is: by its sensor where one is fitted, else by what is left of the stock. Pure.

A sensor must say the same for a while, because balls roll over it while others fall; the stock is low until
it is well above the mark again. Where neither speaks, a machine that ran empty is empty until it is filled.
"""

from collections import deque
from dataclasses import dataclass

from hardware.dispenser import Level

_RATE_WINDOW_S = 3_600.0  # an hour of balls tells how long the rest lasts
_RATE_MIN_S = 300.0  # after less nobody can say


@dataclass(frozen=True, slots=True)
class LevelRules:
    capacity_balls: int | None = None
    low_balls: int = 100
    low_margin_balls: int = 50
    steady_s: float = 15.0


class BallLevel:
    """One machine's. `at_s` is the loop's clock."""

    def __init__(self, rules: LevelRules | None = None) -> None:
        self._rules = rules or LevelRules()
        self._sensed = Level.UNKNOWN
        self._candidate = Level.UNKNOWN
        self._candidate_since_s = 0.0
        self._ran_empty = False
        self._low = False
        self.stock: int | None = None  # balls left, as far as they are counted
        self._paid: deque[tuple[float, int]] = deque()
        self._counts_since_s: float | None = None

    @property
    def level(self) -> Level:
        if self._ran_empty:
            return Level.EMPTY
        if self._sensed is not Level.UNKNOWN:
            return self._sensed
        if self.stock is None:
            return Level.UNKNOWN
        if self.stock <= 0:
            return Level.EMPTY
        if self._low:
            return Level.LOW
        capacity = self._rules.capacity_balls
        return Level.FULL if capacity is not None and self.stock >= capacity else Level.OK

    def sensed(self, level: Level, at_s: float) -> None:
        """What the sensor says now."""
        if level is not self._candidate:
            self._candidate, self._candidate_since_s = level, at_s
        first = self._sensed is Level.UNKNOWN
        if first or at_s - self._candidate_since_s >= self._rules.steady_s:
            self._sensed = level
            if level in (Level.OK, Level.FULL):
                self._ran_empty = False

    def ran_empty(self) -> None:
        """A payout ended because no ball came any more."""
        self._ran_empty = True

    def filled(self) -> None:
        """A person has filled the machine, or seen to it."""
        self._ran_empty = False
        self._sensed = self._candidate = Level.UNKNOWN

    def stocked(self, balls: int | None) -> None:
        """What is left of the last refill, by what came out since."""
        self.stock = balls
        if balls is None:
            self._low = False
        elif balls <= self._rules.low_balls:
            self._low = True
        elif balls > self._rules.low_balls + self._rules.low_margin_balls:
            self._low = False

    def paid(self, balls: int, at_s: float) -> None:
        """So many came out just now."""
        if self._counts_since_s is None:
            self._counts_since_s = at_s
        self._paid.append((at_s, balls))
        self._forget(at_s)

    def minutes_to_empty(self, at_s: float) -> float | None:
        """At the pace of the last hour; None while nobody can say."""
        self._forget(at_s)
        if self.stock is None or not self._paid or self._counts_since_s is None:
            return None
        watched_s = min(at_s - self._counts_since_s, _RATE_WINDOW_S)
        if watched_s < _RATE_MIN_S:
            return None
        per_minute = sum(balls for _, balls in self._paid) / watched_s * 60
        return max(0, self.stock) / per_minute

    def _forget(self, at_s: float) -> None:
        while self._paid and self._paid[0][0] < at_s - _RATE_WINDOW_S:
            self._paid.popleft()
