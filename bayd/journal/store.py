"""The writer's side: one transaction for all that waits, and what follows when it fails.

A commit that raised is *unknown*: after a failed fdatasync its frames may stand in the log or not, be on the
disk or not. So nothing is concluded from the error. The database is closed and opened anew, what the log
holds is brought to the disk by a checkpoint, the emptied log is synced too, and only then the question is
asked: is it there? While the disk does not answer, the writer waits and tries again; nobody is told anything.

A transaction is whole or absent, so one trace tells for all of it: a batch whose events it wrote or, when it
wrote none, a number in `commit_mark`.

On a full disk the ballast is given up. From then on, until there is room for it again, what is deferrable is
refused, and the space that the ballast was is left to the rest.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bayd.journal.books import Reader, Writer
from bayd.journal.database import OwnedDatabase, is_full, primary_code
from bayd.journal.errors import (
    BatchExpiredError,
    DiskFullError,
    JournalUnavailableError,
    NotWrittenError,
)
from bayd.journal.records import EventCodec

E = TypeVar("E")
T = TypeVar("T")

FIRST_PAUSE_S = 0.1  # between attempts to reopen the database, doubled up to …
LONGEST_PAUSE_S = 1.0

# Codes that blame one statement, not the disk or the file: the savepoint is undone, the rest goes on.
_OF_THE_STATEMENT = frozenset(
    (
        None,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    )
)


@dataclass(frozen=True, slots=True)
class Done:
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    error: Exception


Outcome = Done | Failed


@dataclass(frozen=True, slots=True)
class Write(Generic[E]):
    """One caller's part of a transaction."""

    apply: Callable[[Writer[E]], Any]
    batch_id: str | None = None  # by which it is looked up, whoever wrote it
    deferrable: bool = False  # refused while the journal lives on its reserve


@dataclass(slots=True)
class _Attempt:
    """One transaction, and the trace by which it is recognised."""

    outcomes: list[Outcome] = field(default_factory=list)
    fresh_batch: str | None = None
    mark: int | None = None
    complete: bool = False  # COMMIT was called: before that it certainly is not in the file


class Store(Generic[E]):
    """Lives on the writer's thread; only the plain attributes, `stop` and `gives_way` are for others."""

    def __init__(
        self, database: OwnedDatabase, codec: EventCodec[E], *, boot_id: str, may_wait: Callable[[], bool]
    ) -> None:
        self._database = database
        self._codec = codec
        self._boot_id = boot_id
        self._may_wait = may_wait
        self._mark = 0
        self._stopping = threading.Event()
        self._recovering = False
        self.last_seq = 0
        self.recoveries = 0
        self.last_error: str | None = None

    @property
    def disk_full(self) -> bool:
        return not self._database.ballast.held

    def open(self) -> None:
        """Raises JournalError."""
        self._database.open()
        self._count()

    def close(self) -> None:
        self._database.close()

    def checkpoint(self) -> None:
        self._database.checkpoint()

    def stop(self) -> None:
        """Wait no longer for a disk that does not answer. Callable from any thread."""
        self._stopping.set()

    def gives_way(self) -> bool:
        """Asked by a copy or a check on another thread: their read locks would hold a recovery up."""
        return self._recovering or self._stopping.is_set()

    def read(self, ask: Callable[[Reader[E]], T]) -> T:
        """Raises JournalUnavailableError, or what `ask` raises."""
        try:
            if not self._database.is_open:
                return self._reopen_and(lambda: ask(self._reader()))
            return ask(self._reader())
        except sqlite3.Error as error:
            self._note(error)
            raise JournalUnavailableError(f"the journal cannot be read now: {error}") from error

    def commit(self, writes: Sequence[Write[E]]) -> list[Outcome]:
        """One transaction, a savepoint for each write. Answers in order what became of each; never raises."""
        try:
            if not self._database.is_open:
                self._reopen_and(lambda: None)
            return self._commit(writes, again_when_full=True)
        except JournalUnavailableError as error:
            return [Failed(error) for _ in writes]

    def _commit(self, writes: Sequence[Write[E]], *, again_when_full: bool) -> list[Outcome]:
        if any(write.deferrable for write in writes) and self._database.lives_on_reserve():
            # Looked up first: once the rest is written nothing may raise.
            refused = {at: self._refuse(write) for at, write in enumerate(writes) if write.deferrable}
            rest = [write for write in writes if not write.deferrable]
            taken = iter(self._commit(rest, again_when_full=again_when_full) if rest else ())
            return [refused[at] if at in refused else next(taken) for at in range(len(writes))]
        attempt = _Attempt()
        try:
            self._transact(writes, attempt)
        except sqlite3.Error as error:
            cause = error
        else:
            self._database.refill()
            return attempt.outcomes
        self._note(cause)
        ask = self._make_room_and if is_full(cause) else self._reopen_and
        there, outcomes = ask(lambda: self._look_up(writes, attempt, cause))
        if is_full(cause) and again_when_full and not there:
            return self._commit(writes, again_when_full=False)  # there may be room now
        return outcomes

    def _transact(self, writes: Sequence[Write[E]], attempt: _Attempt) -> None:
        conn = self._database.conn
        changes = conn.total_changes
        conn.execute("BEGIN IMMEDIATE")
        writer = Writer(conn, self._codec, boot_id=self._boot_id, last_seq=self.last_seq)
        for write in writes:
            attempt.outcomes.append(_apply(conn, writer, write))
        if writer.fresh_batch is None and conn.total_changes != changes:
            attempt.mark = self._mark + 1
            writer.mark_commit(attempt.mark)
        attempt.fresh_batch = writer.fresh_batch
        attempt.complete = True
        conn.execute("COMMIT")
        self.last_seq = writer.last_seq
        self._mark = attempt.mark or self._mark

    def _make_room_and(self, ask: Callable[[], T]) -> T:
        """Raises JournalUnavailableError."""
        try:
            self._database.make_room()
            self._count()
            return ask()
        except sqlite3.Error as error:
            self._note(error)
            return self._reopen_and(ask)

    def _reopen_and(self, ask: Callable[[], T]) -> T:
        """Reopen the database and ask it something; go on trying where waiting is allowed.

        Raises JournalUnavailableError.
        """
        pause_s = FIRST_PAUSE_S
        self._recovering = True
        try:
            while True:
                try:
                    self._database.reopen()
                    self._count()
                    self.recoveries += 1
                    return ask()
                except (sqlite3.Error, OSError) as error:
                    self._note(error)
                    self._database.ballast.release_if_short()
                    if not self._may_wait() or self._stopping.wait(pause_s):
                        raise JournalUnavailableError(
                            f"the journal {self._database.path} does not answer ({error}): whether the write"
                            " is in it is unknown; ask again under the same batch id"
                        ) from error
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._recovering = False

    def _look_up(
        self, writes: Sequence[Write[E]], attempt: _Attempt, cause: sqlite3.Error
    ) -> tuple[bool, list[Outcome]]:
        """Whether the transaction is in the file, and what that means for each of its writes."""
        if attempt.complete and self._is_there(attempt):
            return True, attempt.outcomes
        return False, [self._became(write, cause) for write in writes]

    def _is_there(self, attempt: _Attempt) -> bool:
        if attempt.fresh_batch is not None:
            return bool(self._reader().seqs_of(attempt.fresh_batch))
        return attempt.mark is None or attempt.mark == self._mark  # without a mark nothing was to be written

    def _became(self, write: Write[E], cause: sqlite3.Error) -> Outcome:
        """Its transaction is absent; it may have been written by an earlier one."""
        if (earlier := self._written_before(write)) is not None:
            return earlier
        if is_full(cause):
            full = f"not written: the disk of {self._database.path} is full: make room on it"
            return Failed(_chained(DiskFullError(full), cause))
        return Failed(_chained(NotWrittenError(f"not written ({cause}): it may be tried again"), cause))

    def _refuse(self, write: Write[E]) -> Outcome:
        """Raises JournalUnavailableError."""
        text = (
            f"not written: the disk of {self._database.path} is nearly full, what is left is kept for money"
        )
        earlier = self.read(lambda _reader: self._written_before(write))
        return earlier or Failed(DiskFullError(f"{text}: make room on it"))

    def _written_before(self, write: Write[E]) -> Outcome | None:
        if write.batch_id is None:
            return None
        try:
            seqs = self._reader().find_batch(write.batch_id)
        except BatchExpiredError as error:
            return Failed(error)
        return None if seqs is None else Done(seqs)

    def _count(self) -> None:
        conn = self._database.conn
        (self.last_seq,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        (self._mark,) = conn.execute("SELECT coalesce(max(number), 0) FROM commit_mark").fetchone()

    def _reader(self) -> Reader[E]:
        return Reader(self._database.conn, self._codec)

    def _note(self, error: Exception) -> None:
        self.last_error = f"{type(error).__name__}: {error}"


def _apply(conn: sqlite3.Connection, writer: Writer[E], write: Write[E]) -> Outcome:
    before = writer.last_seq, writer.fresh_batch
    conn.execute("SAVEPOINT part")
    try:
        value = write.apply(writer)
    except Exception as error:
        if (refusal := _refusal(error)) is None:
            raise
        conn.execute("ROLLBACK TO part")
        conn.execute("RELEASE part")
        writer.last_seq, writer.fresh_batch = before
        return Failed(refusal)
    conn.execute("RELEASE part")
    return Done(value)


def _refusal(error: Exception) -> Exception | None:
    """What the one who asked is told; None when the file is to blame, which concerns all."""
    if not isinstance(error, sqlite3.Error):
        return error
    if primary_code(error) not in _OF_THE_STATEMENT:
        return None
    return _chained(NotWrittenError(f"not written, SQLite refuses it: {error}"), error)


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error
