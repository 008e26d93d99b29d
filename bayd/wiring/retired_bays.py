"""What stands open at bays that were taken out of the configuration: no board has a row for them.

Each is a warning under the code that the bay itself would show, with the bay's number and, where there is
one, what `conflicts/settle` takes. What is set aside there is counted with all else (`outbox_parked`).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from bayd.core.model import Bay
from bayd.runtime.range import Range
from bayd.web.views import flags_of, rfc3339

_OUT = "This bay is not in the configuration any more"


def open_matters(bays: Range) -> list[dict[str, Any]]:
    """Of all of them, as the status warns of it."""
    return [warning for retired in bays.retired.values() for warning in _of(retired.bay)] + [
        _warning("retired_bay_unreadable", number, None, f"{_OUT}, and what it left cannot be read.")
        for number in sorted(bays.unreadable)
    ]


def _of(bay: Bay) -> Iterator[dict[str, Any]]:
    for flag in flags_of(bay):
        text = f"{flag.text} {_OUT}: once it was looked into, settle it on the board."
        yield {**dict(flag), "bay": bay.number, "text": text}
    for due in bay.dues:
        text = f"{due.amount} of session {due.session_id} went on account and are not paid. {_OUT}:"
        text = f"{text} settle it on the board."
        yield _warning(
            "retired_bay_due",
            bay.number,
            due.wall_ms,
            text,
            facts={"amount": due.amount, "session": due.session_id},
        )
    if bay.session is not None:
        text = f"Session {bay.session.session_id} is in play, and the time stands still. {_OUT}:"
        text = f"{text} put it back, or move the guest at the desk."
        started_ms = bay.session.started_wall_ms
        yield _warning(
            "bay_left_out", bay.number, started_ms, text, facts={"session": bay.session.session_id}
        )


def _warning(
    code: str,
    number: str,
    wall_ms: int | None,
    text: str,
    facts: Mapping[str, str | int] = MappingProxyType({}),
) -> dict[str, Any]:
    since = None if wall_ms is None else rfc3339(wall_ms)
    return {"code": code, "since": since, "bay": number, "text": text, "facts": dict(facts)}
