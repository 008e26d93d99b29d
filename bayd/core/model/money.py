"""Time that is given, offered or asked for, and who owes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OwnExtension:
    """Time that was given here and has to reach the server."""

    op_id: str
    minutes: int
    amount: int


@dataclass(frozen=True, slots=True)
class AskedExtension:
    """What the customer asks staff for. It lapses with the session."""

    op_id: str
    minutes: int
    amount: int | None  # the price that the screen showed; None: unknown
    wall_ms: int
    since_ms: int | None = None  # None: only the wall clock knows


@dataclass(frozen=True, slots=True)
class Offer:
    """A length of time that the screen offers."""

    minutes: int
    amount: int | None  # None: unknown, staff say it
    at_once: bool  # a press is enough; else staff are asked


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the central server says of more time."""

    intervals: tuple[int, ...] | None = None  # enabled lengths, in minutes; None: it does not say
    amount: int | None = None  # for `per_minutes`, at this time of day; None: it does not say
    per_minutes: int = 60


@dataclass(frozen=True, slots=True)
class Due:
    """Money that is owed here for time that went on account. It outlives its session."""

    due_id: str  # the extension's op_id
    session_id: str
    minutes: int
    amount: int
    wall_ms: int
