"""Core tests as scripts: what happens at a bay, and what must follow.

    evening = Playbook()
    evening.at(0).when(booked("7", 60)).then(BookingLearned)
    evening.at(60).when(PinEntered("a", None)).then(PinAttempted)

Seconds in, one diff of the whole script out when it fails.
"""

from dataclasses import dataclass
from typing import Any

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.decision import Decision
from bayd.core.evolve import evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Bay, Game, StartedBy
from bayd.core.rules import Rules

WALL_MS = 1_790_000_000_000
STAFF = i.Actor(i.Role.STAFF, "anna")
SCREEN = i.Actor(i.Role.SCREEN, "screen")


@dataclass(frozen=True)
class Seen:
    """An event of this kind with these fields; the others may be anything."""

    kind: type[e.Event]
    fields: dict[str, Any]

    def fits(self, event: e.Event) -> bool:
        return isinstance(event, self.kind) and all(
            getattr(event, name) == value for name, value in self.fields.items()
        )


def seen(kind: type[e.Event], **fields: Any) -> Seen:
    return Seen(kind, fields)


class Playbook:
    def __init__(self, rules: Rules | None = None, bay: Bay | None = None) -> None:
        self.rules = rules or Rules(dispenser="east")
        self.bay = bay or Bay("109")
        self.now_ms = 0
        self.script: list[str] = []
        self.journal: list[e.Event] = []
        self.decision = Decision()

    @property
    def now(self) -> Instant:
        return Instant(self.now_ms, WALL_MS + self.now_ms)

    def at(self, seconds: float) -> "Playbook":
        self.now_ms = round(seconds * 1000)
        return self

    def when(self, request: i.Input) -> "Playbook":
        self.decision = decide(self.bay, request, self.now, self.rules)
        self.bay = evolve_all(self.bay, self.decision.events)
        self.journal += self.decision.events
        self.script.append(f"{self.now_ms / 1000:>9.3f} >> {request}")
        self.script += [f"{'':>9} << {event}" for event in self.decision.events]
        if self.decision.refusal is not None:
            self.script.append(f"{'':>9} << {self.decision.refusal}")
        return self

    def then(self, *expected: type[e.Event] | Seen) -> "Playbook":
        """Exactly these events, in this order, and no refusal."""
        wanted = [x if isinstance(x, Seen) else Seen(x, {}) for x in expected]
        events = self.decision.events
        fits = len(wanted) == len(events) and all(w.fits(x) for w, x in zip(wanted, events, strict=True))
        assert fits and self.decision.refusal is None, self._told(f"expected {wanted}")
        return self

    def refused(self, code: str, *overdue: type[e.Event]) -> "Playbook":
        """A refusal, after nothing but what was overdue."""
        refusal = self.decision.refusal
        fits = refusal is not None and refusal.code == code
        assert fits and tuple(type(x) for x in self.decision.events) == overdue, self._told(
            f"expected {code}"
        )
        return self

    def _told(self, wanted: str) -> str:
        return "\n".join(["", *self.script, wanted])


def booked(
    session_id: str, minutes: int, *, created_s: float = 0, game: Game | None = None, **more: Any
) -> i.ServerSaid:
    """The server shows a live booking."""
    facts: dict[str, Any] = {"extended_minutes": 0, "cancelled": False, "active": False, "released": False}
    return i.ServerSaid(
        session_id=session_id,
        minutes=minutes,
        created_wall_ms=WALL_MS + round(created_s * 1000),
        game=game,
        **(facts | more),
    )


def playing(minutes: int = 60, *, rules: Rules | None = None, game: Game | None = None) -> Playbook:
    """A session "7" that has started at second 0."""
    book = Playbook(rules)
    book.when(booked("7", minutes, game=game))
    book.when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE))
    assert book.bay.session is not None
    return book
