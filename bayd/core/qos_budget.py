"""The day's money for QoS sessions: what was spent, what is left."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of the day for the whole range; None: no limit."""

    sessions: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Negative where less was used than had been charged."""

    sessions: int = 0
    seconds: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.sessions + other.sessions, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Day:
    """Of one bay or of the whole range. `day` names the site's calendar day, any way that differs from day
    to day.
    """

    day: str = ""
    spent: Spent = Spent()

    def with_cost(self, day: str, spent: Spent) -> "Day":
        """A new day begins at nothing; what an old one gets back does not make the new one cheaper."""
        before = self.spent if day == self.day else Spent()
        after = before + spent
        return Day(day, Spent(max(0, after.sessions), max(0, after.seconds)))

    def budget(self, day: str, *, max_sessions: int | None, max_seconds: int | None) -> Budget:
        spent = self.spent if day == self.day else Spent()
        return Budget(
            sessions=None if max_sessions is None else max(0, max_sessions - spent.sessions),
            seconds=None if max_seconds is None else max(0, max_seconds - spent.seconds),
        )
