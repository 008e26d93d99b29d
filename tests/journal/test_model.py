"""Any order of writes and failures, against a model: the acknowledged is there, the denied is not."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.journal import InlineJournalExecutor, Journal, JournalUnavailableError, NotWrittenError
from tests.journal.world import Fault, FaultyDisk, HandClock, NoteCodec, note, rows

T = TypeVar("T")


class NextTurnExecutor(InlineJournalExecutor):
    """Inline, but at the loop's next turn: what is handed in together becomes one transaction."""

    def submit(self, call: Callable[[], T]) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001
                future.set_exception(error)

        loop.call_soon(run)
        return future


@dataclass(frozen=True)
class Append:
    batch: int
    events: int


@dataclass(frozen=True)
class Advance:
    seq: int


@dataclass(frozen=True)
class Fail:
    statement: str
    after: bool
    code: int
    times: int


@dataclass(frozen=True)
class Reopen:
    pass


Together = tuple[Append | Advance, ...]
Step = Together | Fail | Reopen

STATEMENTS = (
    "BEGIN IMMEDIATE",
    "SAVEPOINT",
    "SELECT seq FROM events",
    "INSERT INTO events",
    "INSERT OR REPLACE INTO commit_mark",
    "RELEASE",
    "COMMIT",
    "COMMIT",
    "PRAGMA wal_checkpoint",
    "PRAGMA journal_mode",
    "connect",
)
CODES = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY)

MEMORY = Path("/dev/shm")  # faults are ordered here, so a real disk would only make it slow

# Few batch ids, so that the same one comes back, and many, so that there is something to write.
BATCH_IDS = st.integers(0, 9) | st.integers(10, 99)
WRITES = st.builds(Append, BATCH_IDS, st.integers(1, 3)) | st.builds(Advance, st.integers(1, 99))
STEPS = st.one_of(
    st.lists(WRITES, min_size=1, max_size=4).map(tuple),
    st.builds(Fail, st.sampled_from(STATEMENTS), st.booleans(), st.sampled_from(CODES), st.integers(1, 3)),
    st.just(Reopen()),
)


@dataclass
class Told:
    """What the journal's callers were told."""

    written: dict[str, tuple[int, ...]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    cursor: int = 0
    cursor_unknown: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def write(self, journal: Journal[str], write: Append | Advance) -> None:
        match write:
            case Append(batch, events):
                await self._append(journal, f"b{batch}", events)
            case Advance(seq):
                await self._advance(journal, seq)

    async def _append(self, journal: Journal[str], batch_id: str, events: int) -> None:
        try:
            seqs = await journal.append(note(batch_id, *[f"{batch_id}.{n}" for n in range(events)]))
        except NotWrittenError:
            if batch_id in self.written:
                self.wrong.append(f"{batch_id} was written, and then it was not")
            self.denied.add(batch_id)
            self.unknown.discard(batch_id)
        except JournalUnavailableError:
            if batch_id not in self.written:
                self.unknown.add(batch_id)
                self.denied.discard(batch_id)
        else:
            if self.written.setdefault(batch_id, seqs) != seqs:
                self.wrong.append(f"{batch_id} has two places")
            self.denied.discard(batch_id)
            self.unknown.discard(batch_id)

    async def _advance(self, journal: Journal[str], seq: int) -> None:
        try:
            await journal.advance("central", "104", seq)
        except NotWrittenError:
            pass
        except JournalUnavailableError:
            self.cursor_unknown.add(seq)
        else:
            self.cursor = max(self.cursor, seq)

    def compare(self, path: Path) -> None:
        found: dict[str, tuple[int, ...]] = {}
        for seq, batch in rows(path, "SELECT seq, batch FROM events ORDER BY seq"):
            found[batch] = (*found.get(batch, ()), seq)
        self.wrong += [
            f"{batch} was acknowledged at {seqs}, found {found.get(batch)}"
            for batch, seqs in self.written.items()
            if found.get(batch) != seqs
        ]
        self.wrong += [f"{batch} was denied and is there" for batch in sorted(found.keys() & self.denied)]
        strangers = found.keys() - self.written.keys() - self.unknown
        self.wrong += [f"nobody was told of {batch}" for batch in sorted(strangers)]
        cursor = max((seq for (seq,) in rows(path, "SELECT seq FROM cursors")), default=0)
        if cursor not in {self.cursor} | {seq for seq in self.cursor_unknown if seq > self.cursor}:
            self.wrong.append(f"the cursor is at {cursor}, acknowledged at {self.cursor}")


async def play(path: Path, steps: Sequence[Step]) -> list[str]:
    disk, told, executor = FaultyDisk(), Told(), NextTurnExecutor()

    async def reopened() -> Journal[str]:
        return await Journal.open(path, executor, NoteCodec(), clock=HandClock(), connect=disk.connect)

    journal = await reopened()
    for step in (*steps, Reopen()):
        match step:
            case Fail(statement, after, code, times):
                disk.faults.append(Fault(statement, after, code, times))
            case Reopen():
                await journal.aclose()
                disk.faults.clear()
                told.compare(path)
                journal = await reopened()
            case together:
                await asyncio.gather(*(told.write(journal, write) for write in together))
    await journal.aclose()
    return told.wrong


def contradictions(steps: Sequence[Step]) -> list[str]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        return asyncio.run(play(Path(directory) / "journal.db", steps))


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_what_callers_were_told_is_true(steps: list[Step]) -> None:
    assert contradictions(steps) == []


@pytest.mark.soak
@settings(max_examples=5_000, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_what_callers_were_told_is_true_at_length(steps: list[Step]) -> None:
    assert contradictions(steps) == []
