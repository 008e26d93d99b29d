"""What QoS sessions may cost the whole range in a day. A calendar day of the site, by its wall clock.

Each bay's journal knows what that bay spent. What is being asked for right now is held here until the bay's
journal has it: two bays never spend the same last minute.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from bayd.core.model import Bay
from bayd.core.qos_budget import Budget, Day, Spent
from bayd.ports import Clock


class Purse:
    """`max_sessions` and `max_seconds` None: no limit."""

    def __init__(
        self, clock: Clock, timezone: tzinfo, *, max_sessions: int | None, max_seconds: int | None
    ) -> None:
        self.max_sessions = max_sessions
        self.max_seconds = max_seconds
        self._clock = clock
        self._timezone = timezone
        self._spent: dict[str, Day] = {}
        self._held: dict[str, Spent] = {}

    def today(self) -> str:
        wall_s = self._clock.now().wall_ms / 1000
        return datetime.fromtimestamp(wall_s, self._timezone).date().isoformat()

    def bay_changed(self, bay: Bay) -> None:
        self._spent[bay.number] = bay.qos_day

    def hold(self, number: str, cost: Spent) -> None:
        self._held[number] = cost

    def release(self, number: str) -> None:
        self._held.pop(number, None)

    def spent(self) -> Spent:
        """Today, all bays."""
        today = self.today()
        return _sum(day.spent for day in self._spent.values() if day.day == today)

    def left(self) -> Budget:
        day = Day(self.today(), self.spent() + _sum(self._held.values()))
        return day.budget(day.day, max_sessions=self.max_sessions, max_seconds=self.max_seconds)


def _sum(costs: Iterable[Spent]) -> Spent:
    return sum(costs, Spent())
