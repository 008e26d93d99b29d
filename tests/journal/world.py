"""What the journal's tests stand on: a clock, a codec, and a disk that fails when told to."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayd.journal import Answer, Batch, InlineJournalExecutor, Journal, ThreadJournalExecutor
from bayd.ports import Instant, JournalExecutor

EXECUTORS: dict[str, Callable[[], JournalExecutor]] = {
    "inline": InlineJournalExecutor,
    "thread": ThreadJournalExecutor,
}


@dataclass
class HandClock:
    boot_id: str = "boot-1"
    boot_ms: int = 1_000
    wall_ms: int = 1_700_000_000_000
    synchronised: bool = True

    def now(self) -> Instant:
        return Instant(self.boot_ms, self.wall_ms, self.synchronised)


class NoteCodec:
    """Events are strings. An exclamation mark cannot be encoded, a question mark cannot be decoded."""

    def encode(self, event: str) -> tuple[str, int, str]:
        if "!" in event:
            raise ValueError(f"not an event: {event}")
        return "Note", 1, json.dumps(event)

    def decode(self, kind: str, version: int, payload: str) -> str:
        event = json.loads(payload)
        if "?" in event or (kind, version) != ("Note", 1):
            raise ValueError("not an event")
        return str(event)


def note(batch_id: str, *events: str, bay: str = "104", answer: Answer | None = None, wall_ms: int = 0,
         synchronised: bool = True) -> Batch[str]:  # fmt: skip
    at = Instant(1_000, wall_ms or 1_700_000_000_000, synchronised)
    return Batch(bay, batch_id, events, at, answer)


def disk_error(code: int = sqlite3.SQLITE_IOERR_FSYNC) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error" if code != sqlite3.SQLITE_FULL else "disk is full")
    error.sqlite_errorcode = code
    return error


@dataclass
class Fault:
    """Raise when a statement starts with `statement`: instead of carrying it out, or after it was."""

    statement: str
    after: bool = False
    code: int = sqlite3.SQLITE_IOERR_FSYNC
    times: int = 1


@dataclass
class FaultyDisk:
    """Given to `Journal.open(connect=…)`. Counts the statements and fails those that were ordered to."""

    faults: list[Fault] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)  # closed: a COMMIT hangs
    reached: threading.Event = field(default_factory=threading.Event)  # a COMMIT is hanging

    def __post_init__(self) -> None:
        self.gate.set()

    def connect(self, uri: str) -> sqlite3.Connection:
        self.meet("connect", after=False)
        conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.1, factory=_Connection)
        conn.disk = self
        return conn

    def meet(self, sql: str, *, after: bool) -> None:
        if not after:
            self.statements.append(sql)
            if sql == "COMMIT" and not self.gate.is_set():
                self.reached.set()
                assert self.gate.wait(20)
        for fault in self.faults:
            if sql.startswith(fault.statement) and fault.after == after:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                raise disk_error(fault.code)

    async def until(self, statement: str, count: int) -> None:
        """Return once so many statements were tried; the loop turns meanwhile."""
        async with asyncio.timeout(20):
            while self.count(statement) < count:  # noqa: ASYNC110  # the other side is a thread
                await asyncio.sleep(0.001)

    async def hanging(self) -> None:
        """Return once a COMMIT hangs at the gate."""
        assert await asyncio.to_thread(self.reached.wait, 20)
        self.reached.clear()

    def count(self, statement: str) -> int:
        return sum(sql.startswith(statement) for sql in self.statements)


class _Connection(sqlite3.Connection):
    disk: FaultyDisk

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self._meet(sql, lambda: super(_Connection, self).execute(sql, *args))

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self._meet(sql, lambda: super(_Connection, self).executemany(sql, *args))

    def _meet(self, sql: str, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        self.disk.meet(sql, after=False)
        cursor = run()
        try:
            self.disk.meet(sql, after=True)
        except sqlite3.Error:
            cursor.close()  # when execute raises nobody gets a cursor, which would hold the database open
            raise
        return cursor


@asynccontextmanager
async def opened(path: Path, executor: str = "inline", **options: Any) -> AsyncIterator[Journal[str]]:
    runs_on = EXECUTORS[executor]()
    options.setdefault("clock", HandClock())
    try:
        journal = await Journal.open(path, runs_on, NoteCodec(), **options)
        try:
            yield journal
        finally:
            await journal.aclose()
    finally:
        runs_on.close()


def rows(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What another program sees in the file."""
    conn = sqlite3.connect(path)
    try:
        return conn.execute(sql, values).fetchall()
    finally:
        conn.close()
