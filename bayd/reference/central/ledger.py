"""One call's view of the database, and the one thread that owns the file.

Every call, reads included, runs to its end on that thread inside one transaction, so two calls never
see half of each other. Nothing runs in the background: each call first settles what came due since
the last one (the server's own computed ends), then does its own work.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from bayd.reference.central.schema import migrations
from bayd.reference.central.settings import CentralSettings

T = TypeVar("T")
Row = dict[str, Any]

_EVENTS_KEPT = 10_000  # a busy site makes some thousand a day; a reader that was away longer starts anew


class RefusalError(Exception):
    """The caller is told why, and nothing has changed."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field


@dataclass(frozen=True, slots=True)
class Terms:
    """What one server was started with."""

    settings: CentralSettings
    minute_ms: int  # length of a booked minute; 60,000 but for a demonstration
    clock: Callable[[], int]  # UTC, milliseconds since the epoch
    draw_pin: Callable[[], str]  # six digits, unpredictable


@dataclass(frozen=True, slots=True)
class Ledger:
    db: Database
    terms: Terms
    now_ms: int

    @property
    def settings(self) -> CentralSettings:
        return self.terms.settings

    def rows(self, sql: str, **values: Any) -> list[Row]:
        cursor = self.db.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def find(self, sql: str, **values: Any) -> Row | None:
        found = self.rows(sql, **values)
        return found[0] if found else None

    def write(self, sql: str, **values: Any) -> int:
        """The id of the row that an INSERT made."""
        return self.db.execute(sql, values).lastrowid or 0

    def tell(self, kind: str, bay_number: str, session_id: int | None = None) -> None:
        """Puts an event into the push stream, in this very transaction."""
        newest = self.write(
            "INSERT INTO events (kind, bay_number, session_id, created_ms)"
            " VALUES (:kind, :bay_number, :session_id, :now)",
            kind=kind,
            bay_number=bay_number,
            session_id=session_id,
            now=self.now_ms,
        )
        self.write("DELETE FROM events WHERE id <= :old", old=newest - _EVENTS_KEPT)

    def settle(self) -> None:
        """The server's own computed end: `active` turns false, and nothing else."""
        if not self.settings.ends_by_itself:
            return
        grace_ms = int(self.settings.end_grace_min * self.terms.minute_ms)
        lapsed = self.rows(
            "SELECT sessions.id, bays.number FROM sessions JOIN bays ON bays.id = bay_id"
            " WHERE active = 1 AND ends_ms <= :due ORDER BY ends_ms",
            due=self.now_ms - grace_ms,
        )
        for row in lapsed:
            self.write("UPDATE sessions SET active = 0 WHERE id = :id", id=row["id"])
            self.tell("session.lapsed", row["number"], row["id"])


class Store:
    """The file and the thread that it is used on, which is the store's to end."""

    def __init__(self, path: Path, terms: Terms, thread: Executor | None = None) -> None:
        self._path = path
        self._terms = terms
        self._thread = thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="central-store")
        self._db: Database | None = None

    async def open(self, prepare: Callable[[Ledger], None]) -> None:
        """Makes or migrates the file; `prepare` runs in a transaction of its own."""
        await self._on_thread(self._open)
        await self.run(prepare)

    async def run(self, call: Callable[[Ledger], T]) -> T:
        """Runs `call` in one transaction: it commits when `call` returns, and undoes all when it raises."""

        def transact() -> T:
            assert self._db is not None
            with self._db.atomic():
                ledger = Ledger(self._db, self._terms, self._terms.clock())
                ledger.settle()
                return call(ledger)

        return await self._on_thread(transact)

    async def aclose(self) -> None:
        try:
            await self._on_thread(self._close)
        finally:
            self._thread.shutdown()

    async def _on_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> None:
        connection = sqlite3.connect(self._path)
        self._db = Database(connection)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
        known = {step.name for step in migrations.pending(Database(memory=True))}
        unknown = {step.name for step in migrations.applied(self._db)} - known
        if unknown:
            raise RuntimeError(
                f"{self._path.name} was written by a newer version ({', '.join(sorted(unknown))}):"
                " start that version, or give another file"
            )
        migrations.apply(self._db)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
