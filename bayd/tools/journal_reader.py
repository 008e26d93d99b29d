"""The journal read beside the daemon that owns it, for people: as it was written, without names.

Events are shown as they lie in the file, so that one of another release, or a broken one, is seen and not
stumbled over.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayd.journal import AuditRow, Reader
from bayd.journal.disk import open_reading

# Of people: a customer's display name, who pressed, and what they wrote.
_CUSTOMERS = frozenset({"player"})
_STAFF = frozenset({"by", "reason", "text"})
_NAME = "(name)"
_WORDS = "(words)"
_PAGE = 500


class JournalUnreadableError(Exception):
    """There is no journal, or it cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RawEvent:
    kind: str
    version: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One event as it is shown."""

    seq: int
    bay: str
    wall_ms: int
    synchronised: bool
    event: RawEvent


class _Raw:
    """Reads whatever there is. Implements the journal's `EventCodec`."""

    def encode(self, event: RawEvent) -> tuple[str, int, str]:
        return event.kind, event.version, json.dumps(event.facts)

    def decode(self, kind: str, version: int, payload: str) -> RawEvent:
        try:
            facts = json.loads(payload)
        except ValueError:
            facts = None
        return RawEvent(kind, version, facts if isinstance(facts, dict) else {"unreadable": True})


class JournalReader:
    """An open journal. All methods raise JournalUnreadableError."""

    def __init__(self, connection: sqlite3.Connection, *, staff: bool) -> None:
        self._connection = connection
        self._reader: Reader[RawEvent] = Reader(connection, _Raw())
        self._hidden = _CUSTOMERS if staff else _CUSTOMERS | _STAFF

    def last_seq(self) -> int:
        with _translated():
            (found,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(found)

    def audit(self, from_wall_ms: int, to_wall_ms: int) -> list[AuditRow]:
        """What people did from then until before then."""
        with _translated():
            return self._reader.audit(from_wall_ms, to_wall_ms)

    def last(self, count: int, bay: str | None = None, kinds: frozenset[str] = frozenset()) -> list[Line]:
        """The newest `count`, oldest first. Looks back in ever longer steps: most journals are long."""
        end = self.last_seq()
        span = max(count, _PAGE)
        while True:
            start = max(0, end - span)
            found = [line for line in self.after(start, bay) if not kinds or line.event.kind in kinds]
            if len(found) >= count or start == 0:
                return found[-count:] if count else []
            span *= 4

    def after(self, seq: int, bay: str | None = None) -> Iterator[Line]:
        """Oldest first, to the present end of the journal."""
        while True:
            with _translated():
                page = self._reader.read(seq, bay=bay, limit=_PAGE)
            for record in page:
                event = record.event
                facts = {name: _without(value, name, self._hidden) for name, value in event.facts.items()}
                yield Line(
                    record.seq,
                    record.bay,
                    record.wall_ms,
                    record.synchronised,
                    RawEvent(event.kind, event.version, facts),
                )
                seq = record.seq
            if len(page) < _PAGE:
                return


@contextmanager
def reading(journal: Path, *, staff: bool = True) -> Iterator[JournalReader]:
    """`staff`: who pressed, and why, is shown; a customer's name never is. Raises JournalUnreadableError."""
    if not journal.exists():
        raise JournalUnreadableError(
            f"there is no journal at {journal}: is state.dir right, may you read it?"
        )
    with _translated(), open_reading(journal) as connection:
        yield JournalReader(connection, staff=staff)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise JournalUnreadableError(f"the journal cannot be read: {error}") from error


def _without(value: Any, name: str, hidden: frozenset[str]) -> Any:
    """The value without what belongs to a person, at any depth."""
    if name in hidden and isinstance(value, str) and value:
        return _NAME if name in ("player", "by") else _WORDS
    if isinstance(value, dict):
        return {inner: _without(each, inner, hidden) for inner, each in value.items()}
    if isinstance(value, list):
        return [_without(each, name, hidden) for each in value]
    return value
