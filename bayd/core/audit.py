"""What staff and technicians did, for the audit: who, what, why, and what it changed.

A row is written in the commit of what it tells of: there is no act without it, and none that did not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.instant import Instant
from bayd.core.model import Bay, Game

Fact = str | int | bool | None

_PEOPLE = frozenset({i.Role.STAFF, i.Role.TECHNICIAN})
# Columns of their own; what a screen showed.
_NOT_ASKED = frozenset({"actor", "reason", "shown_amount", "shown_at_once"})


@dataclass(frozen=True, slots=True)
class AuditNote:
    """One act of one person at one bay."""

    who: str
    role: str
    act: str  # the input's name
    asked: Mapping[str, Fact]
    reason: str
    before: Mapping[str, Fact]  # what changed, and …
    after: Mapping[str, Fact]  # … to what


def audit_note(
    request: i.Input | i.Move, decision: Decision, before: Bay, after: Bay, now: Instant
) -> AuditNote | None:
    """None: nobody's act, or a customer's, or one that was refused, whatever the clock brought about."""
    actor = getattr(request, "actor", None)
    if decision.refusal is not None or not decision.events:
        return None
    if not isinstance(actor, i.Actor) or actor.role not in _PEOPLE:
        return None
    old, new = _facts(before, now.boot_ms), _facts(after, now.boot_ms)
    changed = [name for name in new if old.get(name) != new[name]]
    return AuditNote(
        actor.name,
        actor.role.value,
        type(request).__name__,
        _asked(request, decision),
        str(getattr(request, "reason", "")),
        {name: old.get(name) for name in changed},
        {name: new[name] for name in changed},
    )


def _asked(request: i.Input | i.Move, decision: Decision) -> dict[str, Fact]:
    """Money also where no amount was named: the price, or the due that was paid."""
    asked = {
        field.name: _plain(getattr(request, field.name))
        for field in fields(request)
        if field.name not in _NOT_ASKED
    }
    for event in decision.events:
        if isinstance(event, e.SessionExtended | e.DueSettled) and asked.get("amount") is None:
            asked["amount"] = event.amount
    return asked


def _facts(bay: Bay, now_ms: int) -> dict[str, Fact]:
    """What an act can change and a person would ask about. No customer's name."""
    session = bay.session
    return {
        "phase": bay.phase.value,
        "mode": bay.mode.value,
        "session": None if session is None else session.session_id,
        "remaining_s": None if session is None else session.remaining_ms(now_ms) // 1000,
        "granted_min": None if session is None else session.minutes,
        "balls_owed": None if session is None else session.balls.balance,
        "balls_counted": None if session is None else session.balls.counted,
        "unknown_payouts": len(bay.unsettled),
        "due": sum(due.amount for due in bay.dues),
        "help": bay.help_since_ms is not None,
        "conflicts": len(bay.conflicts),
        "kept": bay.kept_reason,
        "service_stop": bay.service_stop_pending,
        "pad_failures": bay.pad.failures,
        "pad_locked": bay.pad.locked_until_ms is not None and bay.pad.locked_until_ms > now_ms,
        "stock": None if bay.stock is None else bay.stock.balls - bay.stock.paid,
        "game": None if session is None or session.game is None else session.game.id,
        "turn": None if session is None else session.player_id,
        **{f"device_{name}": fact.state.value for name, fact in sorted(bay.devices.items())},
    }


def _plain(value: object) -> Fact:
    if isinstance(value, Game):
        return value.name
    if isinstance(value, StrEnum):
        return value.value
    return value if value is None or isinstance(value, str | int | bool) else str(value)
