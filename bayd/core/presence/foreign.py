"""Tags that are not balls of this range: told once an hour and place, never credited.

Bit errors make foreign EPCs out of good ones all the time, each seen once, so a foreign tag wants the
same confirmation as a ball. Those waiting for it and those reported are kept apart: a noisy line must
not wash out the memory of what was reported.
"""

from bayd.core.presence.facts import ForeignTag, Place, PresenceRules, Sighting


class _Recent:
    """Tags at places that were met inside the last `horizon_ms`; at most `cap`, the oldest go first."""

    def __init__(self, horizon_ms: int, cap: int) -> None:
        self.horizon_ms = horizon_ms
        self.cap = cap
        self._met_ms: dict[tuple[str, Place], int] = {}  # oldest first
        self.evicted = 0

    def holds(self, key: tuple[str, Place], now_ms: int) -> bool:
        met_ms = self._met_ms.get(key)
        return met_ms is not None and now_ms - met_ms < self.horizon_ms

    def add(self, key: tuple[str, Place], now_ms: int) -> None:
        self._met_ms.pop(key, None)
        self._met_ms[key] = now_ms
        while True:  # ends at the latest at what was just added
            oldest, met_ms = next(iter(self._met_ms.items()))
            lapsed = now_ms - met_ms >= self.horizon_ms
            if not lapsed and len(self._met_ms) <= self.cap:
                return
            self.evicted += not lapsed
            del self._met_ms[oldest]


class ForeignTags:
    """Who was heard where, and of whom it was told."""

    def __init__(self, rules: PresenceRules) -> None:
        self._once = _Recent(rules.confirm_within_ms, rules.max_foreign)
        self._reported = _Recent(rules.foreign_report_s * 1_000, rules.max_foreign)

    def change_rules(self, rules: PresenceRules) -> None:
        self._once.horizon_ms = rules.confirm_within_ms
        self._reported.horizon_ms = rules.foreign_report_s * 1_000
        self._once.cap = self._reported.cap = rules.max_foreign

    @property
    def evicted(self) -> int:
        return self._once.evicted + self._reported.evicted

    def hear(self, read: Sighting, place: Place, now_ms: int) -> ForeignTag | None:
        key = (read.epc, place)
        if self._reported.holds(key, now_ms):
            return None
        if read.reads_to_confirm > 1 and not self._once.holds(key, now_ms):
            self._once.add(key, now_ms)
            return None
        self._reported.add(key, now_ms)
        return ForeignTag(place, read.epc, now_ms)
