"""Time that was sold or asked for at the bay, what it costs and who owes it."""

from dataclasses import dataclass

from bayd.core.model import Payment, Tariff


@dataclass(frozen=True, slots=True)
class WalkInSold:
    """Sold at the bay: the server books it later and gives it a number of its own."""

    session_id: str
    minutes: int
    amount: int
    by: str
    reason: str
    wall_ms: int
    payment: Payment = Payment.CASH


@dataclass(frozen=True, slots=True)
class SessionExtended:
    """`own`: given here, to be told to the server; else the server said so."""

    op_id: str
    session_id: str
    own: bool
    minutes: int
    amount: int | None
    ends_at_ms: int
    granted_ms: int
    by: str
    reason: str
    skip_warnings: tuple[int, ...]
    payment: Payment = Payment.DESK
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class ExtensionAsked:
    op_id: str
    minutes: int
    wall_ms: int
    amount: int | None = None  # the price that the screen showed
    at_ms: int | None = None  # None: of an earlier release, which went by the wall clock alone


@dataclass(frozen=True, slots=True)
class ExtensionDeclined:
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DueSettled:
    """What went on account was paid."""

    due_id: str
    session_id: str
    amount: int
    payment: Payment
    by: str
    reason: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class TariffChanged:
    """What the server says that more time costs here."""

    tariff: Tariff


@dataclass(frozen=True, slots=True)
class ArrearsChanged:
    """What the server says that is owed for this bay."""

    owed: int


MoneyEvent = (
    WalkInSold
    | SessionExtended
    | ExtensionAsked
    | ExtensionDeclined
    | DueSettled
    | TariffChanged
    | ArrearsChanged
)
