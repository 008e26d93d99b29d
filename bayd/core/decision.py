"""What a decision gives: events, or a refusal with its reason."""

from dataclasses import dataclass

from bayd.core.events import Event


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was done. `code` is stable, `text` is for people."""

    code: str
    text: str
    field: str | None = None  # of the request, where one is to blame
    retry_after_ms: int | None = None
    tries_left: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    events: tuple[Event, ...] = ()
    refusal: Refusal | None = None


Verdict = tuple[Event, ...] | Refusal
