"""The writer's side: one connection, one transaction for all that waits, and what follows a failure.

A commit that raised is *unknown*: after a failed fdatasync its frames may stand in the log or not, be on the
disk or not. So nothing is concluded from the error. The database is closed and opened anew, what the log
holds is brought to the disk by a checkpoint, the empty log is synced too, so that no power cut brings an old
one back, and only then the question is asked: is it there? While the disk does not answer, the writer waits
and tries again; nobody is told anything.

A transaction is whole or absent, so one trace tells for all of it: the batch whose events it wrote, or, when
it wrote none, a number in `commit_mark`.
"""

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlite_utils import Database, Migrations

from bayd.journal import disk, schema
from bayd.journal.books import Reader, Writer
from bayd.journal.errors import (
    DiskFullError,
    JournalError,
    JournalUnavailableError,
    NotWrittenError,
)
from bayd.journal.records import EventCodec

E = TypeVar("E")
T = TypeVar("T")

FIRST_PAUSE_S = 0.1  # between attempts to reopen the database, doubled up to …
LONGEST_PAUSE_S = 1.0

# Errors that blame one statement, not the disk or the file: the savepoint is undone, the rest goes on.
_OF_THE_STATEMENT = frozenset(
    (
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


@dataclass(slots=True)
class _Attempt:
    """One transaction, and the trace by which it is recognised."""

    outcomes: list[Outcome] = field(default_factory=list)
    fresh_batch: str | None = None
    mark: int | None = None
    last_seq: int = 0
    complete: bool = False  # COMMIT was called: before that it certainly is not in the file


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _blames_the_file(error: Exception) -> bool:
    # An error without a code was raised by the module before SQLite was asked.
    code = _code(error)
    return code is not None and code not in _OF_THE_STATEMENT


def _is_full(error: BaseException) -> bool:
    return _code(error) == sqlite3.SQLITE_FULL


class Store(Generic[E]):
    """Lives on the writer's thread; only the plain attributes and `stop` are for others."""

    def __init__(
        self,
        path: Path,
        codec: EventCodec[E],
        *,
        boot_id: str,
        ballast_bytes: int,
        connect: disk.Connect,
        migrations: Migrations,
        may_wait: Callable[[], bool],
    ) -> None:
        self._path = path
        self._codec = codec
        self._boot_id = boot_id
        self._connect = connect
        self._migrations = migrations
        self._may_wait = may_wait
        self._ballast = disk.Ballast(path.with_name(path.name + ".ballast"), ballast_bytes)
        self._lock: disk.OwnerLock | None = None
        self._conn: sqlite3.Connection | None = None
        self._mark = 0
        self._stopping = threading.Event()
        self._recovering = False
        self.last_seq = 0
        self.recoveries = 0
        self.last_error: str | None = None

    @property
    def disk_full(self) -> bool:
        return not self._ballast.held

    # Opening and closing

    def open(self, stamp: str) -> None:
        """Own the database, create or migrate it. `stamp` tells a backup before a migration from others.

        Raises JournalError.
        """
        try:
            self._lock = disk.OwnerLock(self._path.with_name(self._path.name + ".lock"))
            try:
                self._open(stamp)
            except (sqlite3.Error, OSError):
                # A full disk shows in many ways here: SQLite needs some files of its own even to read.
                if not self._ballast.release_if_short():
                    raise
                self._open(stamp)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise JournalUnavailableError(
                f"cannot open the journal {self._path}: {error}: check the directory, its owner and the disk,"
                " and whether the disk is full"
            ) from error
        except JournalError:
            self.close()
            raise
        self._ballast.restore()

    def _open(self, stamp: str) -> None:
        disk.create_private(self._path)
        conn = disk.open_connection(self._path, self._connect)
        try:
            self._migrate(conn, stamp)
        finally:
            conn.close()
        self._reopen()

    def _migrate(self, conn: sqlite3.Connection, stamp: str) -> None:
        # Plugins of other sqlite-utils users have no business in the journal.
        db = Database(conn, recursive_triggers=False, execute_plugins=False)
        if not (pending := schema.pending(db, self._migrations)):
            return
        if not schema.is_fresh(db):
            backup = self._path.with_name(f"{self._path.name}.before-{pending[0]}-{stamp}")
            disk.copy_database(self._path, backup, connect=self._connect)
        self._migrations.apply(db)

    def stop(self) -> None:
        """Wait no longer for a disk that does not answer. Callable from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Closing the last connection brings the log into the database."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def gives_way(self) -> bool:
        """Asked by a copy or a check on another thread: their read locks would hold a recovery up."""
        return self._recovering or self._stopping.is_set()

    def _reopen(self) -> None:
        """Bring the database into a state in which what is found is on the disk, and what is absent stays so.

        Raises sqlite3.Error, OSError.
        """
        if self._conn is not None:
            old, self._conn = self._conn, None
            with contextlib.suppress(sqlite3.Error):  # as broken as it may be, its end is near
                self._rewrite_log(old)  # before closing, which brings the log into the database
            old.close()
        conn = disk.open_connection(self._path, self._connect)
        try:
            self._rewrite_log(conn)
            self._checkpoint(conn)
            self._count(conn)
        except BaseException:
            conn.close()
            raise
        self._conn = conn

    def _count(self, conn: sqlite3.Connection) -> None:
        (self.last_seq,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        (self._mark,) = conn.execute("SELECT coalesce(max(number), 0) FROM commit_mark").fetchone()

    def _rewrite_log(self, conn: sqlite3.Connection) -> None:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        conn.execute("BEGIN IMMEDIATE")  # nobody else writes to the log meanwhile
        try:
            disk.rewrite_wal(self._path)
        except OSError as error:
            # On a copying file system even this needs space; without space nothing was lost in a sync.
            if error.errno != errno.ENOSPC:
                raise
        finally:
            conn.execute("ROLLBACK")

    def _checkpoint(self, conn: sqlite3.Connection) -> None:
        try:
            busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError(
                    f"another program holds {self._path} open in a transaction: close it"
                )
        except sqlite3.OperationalError as error:
            # The log alone is a sound state as well; what could not be written to it failed for space.
            if not _is_full(error):
                raise
        wal = disk.wal_of(self._path)
        if wal.exists():
            disk.sync(wal)
        disk.sync(self._path.parent)

    def checkpoint(self) -> None:
        """If possible, empty the log into the database: purged PIN hashes are then gone from it too."""
        if self._conn is not None:
            with contextlib.suppress(sqlite3.Error):
                self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    # Reading

    def read(self, ask: Callable[[Reader[E]], T]) -> T:
        """Raises JournalUnavailableError, or what `ask` raises."""
        try:
            if self._conn is None:
                return self._reopen_and(lambda: ask(Reader(self._connection(), self._codec)))
            return ask(Reader(self._conn, self._codec))
        except sqlite3.Error as error:
            self._note(error)
            raise JournalUnavailableError(f"the journal cannot be read now: {error}") from error

    # Writing

    def commit(self, writes: Sequence[Write[E]]) -> list[Outcome]:
        """One transaction, a savepoint for each write. Answers in order what became of each; never raises."""
        second = False
        while True:
            attempt = _Attempt()
            try:
                if self._conn is None:
                    self._reopen_and(lambda: None)
                self._transact(writes, attempt)
                return attempt.outcomes
            except JournalUnavailableError as error:
                return [Failed(error) for _ in writes]
            except sqlite3.Error as error:
                cause = error
            self._note(cause)
            look_up = partial(self._look_up, writes, attempt, cause)
            full = _is_full(cause)
            try:
                outcomes = self._make_room_and(look_up) if full else self._reopen_and(look_up)
            except JournalUnavailableError as error:
                return [Failed(error) for _ in writes]
            if second or not full or not any(map(_is_absent, outcomes)):
                return outcomes
            second = True  # there is room now: once more

    def _transact(self, writes: Sequence[Write[E]], attempt: _Attempt) -> None:
        conn = self._connection()
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
        if not self._ballast.held and not self._ballast.restore():
            # Almost full: the log must not take the last page, or the database could never grow by it.
            self.checkpoint()

    def _make_room_and(self, ask: Callable[[], T]) -> T:
        """The disk is full: give up the ballast, bring the log into the database, then ask.

        The database stays open: to open it takes space, and a transaction that found none is never complete.
        """
        self._ballast.release()
        conn = self._connection()
        try:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            self.checkpoint()
            self._count(conn)
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
                    self._reopen()
                    self.recoveries += 1
                    return ask()
                except (sqlite3.Error, OSError) as error:
                    self._note(error)
                    self._ballast.release_if_short()
                    if not self._may_wait() or self._stopping.wait(pause_s):
                        raise JournalUnavailableError(
                            f"the journal {self._path} does not answer ({error}): whether the write is in it"
                            " is unknown; ask again under the same batch id"
                        ) from error
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._recovering = False

    def _look_up(self, writes: Sequence[Write[E]], attempt: _Attempt, cause: sqlite3.Error) -> list[Outcome]:
        reader = Reader(self._connection(), self._codec)
        if attempt.complete and self._is_there(reader, attempt):
            return attempt.outcomes
        return [self._became(reader, write, cause) for write in writes]

    def _is_there(self, reader: Reader[E], attempt: _Attempt) -> bool:
        if attempt.fresh_batch is not None:
            return reader.find_batch(attempt.fresh_batch) is not None
        return attempt.mark is None or attempt.mark == self._mark  # without a mark nothing was to be written

    def _became(self, reader: Reader[E], write: Write[E], cause: sqlite3.Error) -> Outcome:
        if write.batch_id is not None and (seqs := reader.find_batch(write.batch_id)) is not None:
            return Done(seqs)
        error: NotWrittenError
        if _is_full(cause):
            error = DiskFullError(f"not written: the disk of {self._path} is full: make room on it")
        else:
            error = NotWrittenError(f"not written ({cause}): it may be tried again")
        error.__cause__ = cause
        return Failed(error)

    def _connection(self) -> sqlite3.Connection:
        assert self._conn is not None
        return self._conn

    def _note(self, error: Exception) -> None:
        self.last_error = f"{type(error).__name__}: {error}"


def _apply(conn: sqlite3.Connection, writer: Writer[E], write: Write[E]) -> Outcome:
    before = writer.last_seq, writer.fresh_batch
    conn.execute("SAVEPOINT part")
    try:
        value = write.apply(writer)
    except Exception as error:  # it goes to the one who asked; the others are not concerned
        if _blames_the_file(error):
            raise
        conn.execute("ROLLBACK TO part")
        conn.execute("RELEASE part")
        writer.last_seq, writer.fresh_batch = before
        return Failed(error)
    conn.execute("RELEASE part")
    return Done(value)


def _is_absent(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and isinstance(outcome.error, NotWrittenError)
