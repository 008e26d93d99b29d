"""The journal's files: the database and its connection, the owner's lock, the ballast, copies.

`NAME` is the database, `NAME-wal` its log, `NAME.lock` the owner's lock and `NAME.ballast` the ballast.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from bayd.journal.errors import JournalError, JournalLockedError

# Given a URI, an open connection in autocommit mode. The seam at which tests let a disk fail.
Connect = Callable[[str], sqlite3.Connection]

JOURNAL = "journal.db"  # in the state directory

BUSY_TIMEOUT_S = 5.0  # an operator's sqlite3 shell may hold the database for a moment
CHECKPOINT_PAGES = 256  # 1 MiB: bounds the log, and what the database grows by at a checkpoint on a full disk
COPY_PAGES = 256  # a copy looks for a wish to stop every MiB
CHECK_STEPS = 10_000  # and a check every so many steps of SQLite's machine (some ms)


def connect(uri: str) -> sqlite3.Connection:
    # isolation_level None: the module opens no transactions of its own accord.
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)


def open_connection(path: Path, connect: Connect = connect) -> sqlite3.Connection:
    """A connection to an existing database, made safe. Raises sqlite3.Error.

    `mode=rw`: when the file has gone away, an empty one must not take its place.
    """
    conn = connect(f"{path.absolute().as_uri()}?mode=rw")
    try:
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute("PRAGMA secure_delete = ON")  # a purged PIN leaves no bytes behind
        (mode,) = conn.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(
                f"{path} cannot be put into WAL mode (it stays in {mode}): use a local file system"
            )
        conn.execute("PRAGMA synchronous = FULL")  # with NORMAL a power cut loses acknowledged commits
        conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    except BaseException:
        conn.close()
        raise
    return conn


@contextlib.contextmanager
def open_reading(path: Path, connect: Connect = connect) -> Iterator[sqlite3.Connection]:
    """A read-only connection beside the writer's."""
    conn = connect(f"{path.absolute().as_uri()}?mode=ro")
    try:
        yield conn
    finally:
        conn.close()


def create_private(path: Path) -> None:
    """An empty file that nobody else may read; SQLite gives its log the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def sync(path: Path) -> None:
    """Make a file's or directory's present state durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def rewrite_wal(path: Path) -> None:
    """Write the log's bytes over themselves, for the checkpoint to come to sync. Raises OSError.

    After a failed fdatasync the kernel may hold the pages as clean though they never reached the disk. The
    checkpoint would then sync nothing, and a power cut in its middle leave a damaged database.
    """
    try:
        fd = os.open(wal_of(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at = 0
        while chunk := os.pread(fd, 1 << 18, at):
            at += os.pwrite(fd, chunk, at)
    finally:
        os.close(fd)


class OwnerLock:
    """Held for as long as this process owns the journal; the kernel lets go when the process dies.

    A file of its own: closing any descriptor of the database itself would drop SQLite's locks.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalLockedError(
                f"another bayd (process {owner}) owns the journal locked by {path}: stop it first"
            ) from None
        os.ftruncate(self._fd, 0)
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._fd)


class Ballast:
    """Space kept in reserve: on a full disk not even a checkpoint works, so this file makes room for one."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def release(self) -> None:
        self.held = False
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def release_if_short(self) -> bool:
        """When an error does not say so, the file system may: whether space was short and is made now."""
        try:
            short = self._path.exists() and shutil.disk_usage(self._path.parent).free < self._size
        except OSError:
            return False
        if short:
            self.release()
        return short

    def restore(self) -> bool:
        """Take the space, once four times as much is free, so that it does not come and go."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == self._size:
                self.held = True
            elif shutil.disk_usage(self._path.parent).free >= 4 * self._size:
                self._fill()
                self.held = True
        return self.held

    def _fill(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size)
            os.fsync(fd)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)


def copy_database(
    source: Path,
    to: Path,
    *,
    connect: Connect = connect,
    give_way: Callable[[], bool] = lambda: False,
    on_percent: Callable[[int], object] = lambda _done: None,
) -> None:
    """A consistent copy of a database that may be in use, as one file, without the PIN hashes.

    `to` is replaced only by a complete copy. Raises JournalError.
    """
    partial = to.with_name(to.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        create_private(partial)
        with open_reading(source, connect) as reading:
            reading.execute("BEGIN")  # one snapshot for all steps: a commit does not start them anew
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            copy = sqlite3.connect(partial, isolation_level=None)
            try:
                reading.backup(copy, pages=COPY_PAGES, progress=_unless(give_way, on_percent), sleep=0)
                copy.execute("PRAGMA journal_mode = DELETE")  # no log beside the copy
                copy.execute("PRAGMA secure_delete = ON")
                if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'pins'").fetchone():
                    copy.execute("DELETE FROM pins")
            finally:
                copy.close()
        sync(partial)
        partial.replace(to)
        sync(to.parent)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise JournalError(f"cannot copy {source} to {to}: {error}") from error


def _unless(
    give_way: Callable[[], bool], on_percent: Callable[[int], object]
) -> Callable[[int, int, int], None]:
    def progress(_status: int, remaining: int, total: int) -> None:
        if give_way():
            raise sqlite3.OperationalError("gave way to the writer, which reopens the database; try again")
        on_percent(100 - 100 * remaining // max(1, total))

    return progress


def quick_check(
    path: Path, *, connect: Connect = connect, give_way: Callable[[], bool] = lambda: False
) -> tuple[str, ...]:
    """What `PRAGMA quick_check` finds wrong with the database; empty when it is sound.

    Seconds to minutes on a bay PC: never on the writer's thread. Raises JournalError.
    """
    try:
        with open_reading(path, connect) as reading:
            reading.set_progress_handler(give_way, CHECK_STEPS)
            found = [str(row[0]) for row in reading.execute("PRAGMA quick_check")]
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return (str(error),)
        raise JournalError(f"cannot check {path}: {error}") from error
    return tuple(line for line in found if line != "ok")
