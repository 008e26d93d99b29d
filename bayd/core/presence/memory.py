"""What is remembered of each registered ball: small mutable records, in memory only.

They are mutable for speed: thousands of reads a second update a few numbers and make no object.
Nothing here decides; `engine` does, and `arbitration` on a frozen view of a ball (`Ball.contenders`).
"""

import heapq
from collections.abc import Iterator

from bayd.core.presence.arbitration import Contender
from bayd.core.presence.facts import BallReturn, PresenceRules, Route, Sighting, Tee

LONG_AGO = -(1 << 62)  # earlier than any boot, also than a seeded credit of an earlier boot


class Antenna:
    """One routed port. Compared by identity: a rerouted port is a new antenna."""

    __slots__ = ("at_return", "at_tee", "floor_dbm", "floor_raw", "place")

    def __init__(self, route: Route) -> None:
        self.place = route.place
        self.at_tee = isinstance(route.place, Tee)
        self.at_return = isinstance(route.place, BallReturn)
        self.floor_dbm = LONG_AGO if route.floor_dbm is None else route.floor_dbm
        self.floor_raw = LONG_AGO if route.floor_raw is None else route.floor_raw


class Mark:
    """One EPC at one antenna: last seen, count, strongest (wire/rfid.md, "Presence and counting")."""

    __slots__ = ("confirmed", "count", "done", "first_ms", "last_ms", "rssi_dbm", "rssi_raw")

    def __init__(self, now_ms: int, rssi_dbm: int | None, rssi_raw: int) -> None:
        self.first_ms = self.last_ms = now_ms
        self.count = 1
        self.rssi_dbm = rssi_dbm
        self.rssi_raw = rssi_raw
        self.confirmed = False
        self.done = False  # nothing that this antenna hears of it now changes anything any more

    def hear(self, now_ms: int, rssi_dbm: int | None, rssi_raw: int) -> None:
        self.last_ms = now_ms
        self.count += 1
        if rssi_dbm is None:
            if self.rssi_dbm is None and rssi_raw > self.rssi_raw:
                self.rssi_raw = rssi_raw
        elif self.rssi_dbm is None or rssi_dbm > self.rssi_dbm:
            self.rssi_dbm = rssi_dbm
            self.rssi_raw = rssi_raw


class Ball:
    """One registered EPC."""

    __slots__ = (
        "bay",
        "bay_seen_ms",
        "closes_ms",
        "due_ms",
        "epc",
        "held_ms",
        "last_ms",
        "marks",
        "returned_ms",
        "settled",
        "spent",
    )

    def __init__(self, epc: str) -> None:
        self.epc = epc
        self.marks: dict[Antenna, Mark] = {}
        self.last_ms = LONG_AGO  # the last read at any tee
        self.held_ms = LONG_AGO  # it may have lain at a tee until then, though no read of it counted
        self.returned_ms = LONG_AGO  # the last confirmed read at a return
        self.spent = False  # credited, and not yet free to count again
        self.settled = True  # the last presence is decided
        self.closes_ms: int | None = None  # when the arbitration window of the present one closes
        self.due_ms: int | None = None
        self.bay: str | None = None  # who had it in the last decided presence …
        self.bay_seen_ms = LONG_AGO  # … and until when, once a new one has begun

    def quiet_since_ms(self) -> int:
        marked_ms = max((mark.last_ms for mark in self.marks.values()), default=LONG_AGO)
        return max(self.last_ms, self.held_ms, self.returned_ms, marked_ms)

    def note(
        self, antenna: Antenna, read: Sighting, now_ms: int, rules: PresenceRules
    ) -> tuple[Mark, list[Mark], bool]:
        """Note a read: its record, all records of the place, and whether this read confirms the EPC there."""
        marks = self.marks
        for lapsed in [a for a, mark in marks.items() if now_ms - mark.last_ms >= rules.absent_after_ms]:
            del marks[lapsed]
        here = [mark for other, mark in marks.items() if other.place == antenna.place]
        confirmed = read.reads_to_confirm == 1 or any(
            now_ms - mark.last_ms < rules.confirm_within_ms for mark in here
        )
        mark = marks.get(antenna)
        if mark is None:
            mark = marks[antenna] = Mark(now_ms, read.rssi_dbm, read.rssi_raw)
            here.append(mark)
            mark.first_ms = min(other.first_ms for other in here)  # of the place, not of the port
        else:
            mark.hear(now_ms, read.rssi_dbm, read.rssi_raw)
        return mark, here, confirmed

    def contenders(self, closes_ms: int) -> list[Contender]:
        """The bays that first heard it before the window closed, in the order of hearing."""
        marks_of: dict[str, list[Mark]] = {}
        for antenna, mark in self.marks.items():
            if isinstance(antenna.place, Tee) and mark.first_ms < closes_ms:
                marks_of.setdefault(antenna.place.bay, []).append(mark)
        contenders = []
        for bay, marks in marks_of.items():
            loudest = max(marks, key=_loudness)
            contenders.append(
                Contender(
                    bay=bay,
                    first_ms=min(mark.first_ms for mark in marks),
                    last_ms=max(mark.last_ms for mark in marks),
                    confirmed=any(mark.confirmed for mark in marks),
                    rssi_dbm=loudest.rssi_dbm,
                    rssi_raw=loudest.rssi_raw,
                )
            )
        return contenders


def _loudness(mark: Mark) -> tuple[int, int]:
    return (LONG_AGO if mark.rssi_dbm is None else mark.rssi_dbm, mark.rssi_raw)


class BallMemory:
    """The balls by EPC, at most `rules.max_balls`."""

    def __init__(self, rules: PresenceRules) -> None:
        self.by_epc: dict[str, Ball] = {}
        self.evicted = 0
        self.change_rules(rules)

    def change_rules(self, rules: PresenceRules) -> None:
        self._cap = rules.max_balls
        self._matters_for_ms = max(rules.recount_after_s, rules.attribution_s) * 1_000

    def __iter__(self) -> Iterator[Ball]:
        return iter(self.by_epc.values())

    def add(self, epc: str, now_ms: int) -> Ball:
        if len(self.by_epc) >= self._cap:
            self._make_room(now_ms)
        ball = self.by_epc[epc] = Ball(epc)
        return ball

    def _make_room(self, now_ms: int) -> None:
        """Forget what no longer matters; if that is less than an eighth, the longest unheard as well."""
        for ball in list(self):
            if now_ms - ball.quiet_since_ms() >= self._matters_for_ms:
                del self.by_epc[ball.epc]
        surplus = len(self.by_epc) - (self._cap - max(1, self._cap // 8))
        for ball in heapq.nsmallest(surplus, self, key=Ball.quiet_since_ms):
            ball.due_ms = None  # whoever still holds it has nothing to decide
            del self.by_epc[ball.epc]
            self.evicted += 1
