"""The journal's copies: made at any time; of a daemon that is down, put back, or made before a migration.

Whatever writes to the journal owns it for as long as it works, so that no daemon can start in between.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database, Migrations

from bayd.journal import disk, schema
from bayd.journal.database import OwnedDatabase
from bayd.journal.errors import JournalError
from bayd.journal.schema import migrations

# What a release may change before it acts: the layout, an outage that it records, its own snapshots.
_STATE = (
    "SELECT name, sql FROM sqlite_master ORDER BY name",
    "SELECT name FROM _sqlite_migrations ORDER BY name",
    "SELECT max(seq) FROM events",
    "SELECT bay, seq, reducer_version FROM snapshots ORDER BY bay",
)


@dataclass(frozen=True, slots=True)
class Migrated:
    applied: tuple[str, ...]
    copy: Path | None  # as it was before


def migrate(path: Path, known: Migrations = migrations) -> Migrated:
    """Bring an existing journal to the present schema, after a copy beside it. Raises JournalError."""
    _refuse_missing(path)
    with disk.open_reading(path) as reading:
        needed = _pending(path, reading, known)
    if not needed:
        return Migrated((), None)
    database = OwnedDatabase(path, ballast_bytes=0, connect=disk.connect, migrations=known)
    database.open()
    database.close()
    return Migrated(needed, database.copy)


def back_up(path: Path, to: Path, on_percent: Callable[[int], object] = lambda _done: None) -> None:
    """Copy the journal, in use or not; of what exists only an older copy is replaced. Raises JournalError."""
    _refuse_missing(path)
    named = to.resolve()
    if named.parent == path.resolve().parent and named.name in _files_of(path.resolve()):
        raise JournalError(f"{to} is the journal itself, or a part of it: name another file")
    if to.exists() and not _is_copy(to):
        raise JournalError(f"{to} exists and is no backup of bayd: name another file")
    disk.copy_database(path, to, on_percent=on_percent)


def _files_of(path: Path) -> frozenset[str]:
    return frozenset(f"{path.name}{end}" for end in ("", "-wal", "-shm", ".lock", ".ballast"))


def _is_copy(file: Path) -> bool:
    """A journal in one file. One that is, or was, a daemon's own has a log beside it (WAL)."""
    try:
        with file.open("rb") as opened:
            head = opened.read(20)
        # SQLite, "Database File Format", 1.3: the header string, then at 18 the write version: 2 is WAL.
        if not head.startswith(b"SQLite format 3\0") or head[18:19] != b"\x01":
            return False
        with disk.open_reading(file) as reading:
            return not schema.is_fresh(Database(reading, execute_plugins=False))
    except (OSError, sqlite3.Error):
        return False


def restore(path: Path, backup: Path, stamp: str) -> Path | None:
    """Put a backup in the journal's place; answers where the replaced one lies now.

    The backup is looked through first, and stays. Raises JournalError.
    """
    _refuse_missing(backup)
    try:
        with disk.open_reading(backup) as reading:
            if schema.is_fresh(Database(reading, execute_plugins=False)):
                raise JournalError(f"{backup} is no journal of bayd")
            _pending(backup, reading, migrations)
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{backup} cannot be read: {error}") from error
    if wrong := disk.quick_check(backup):
        raise JournalError(f"{backup} is damaged: {wrong[0]}: take another backup")
    try:
        lock = disk.OwnerLock(path.with_name(path.name + ".lock"))
    except OSError as error:
        raise JournalError(f"cannot lock {path}: {error}") from error
    try:
        return _exchange(path, backup, stamp)
    except OSError as error:
        raise JournalError(f"cannot put {backup} in the place of {path}: {error}") from error
    finally:
        lock.release()


def put_back(path: Path, copy: Path) -> bool:
    """Let a copy itself take the journal's place, unless what was copied is still there: then it only goes.

    Takes no space, so that a full disk does not stand in the way, and may be cut off at any step and called
    again. An empty copy says that there was no journal. Raises JournalError.
    """
    _refuse_missing(copy)
    try:
        lock = disk.OwnerLock(path.with_name(path.name + ".lock"))
        try:
            if is_different := not _holds_the_same(path, copy):
                # The log must never be played into another database: it goes first, and durably so.
                for companion in ("-wal", "-shm"):
                    path.with_name(path.name + companion).unlink(missing_ok=True)
                disk.sync(path.parent)
                if copy.stat().st_size:
                    copy.replace(path)
                else:
                    path.unlink(missing_ok=True)
            copy.unlink(missing_ok=True)
            disk.sync(path.parent)
        finally:
            lock.release()
    except OSError as error:
        raise JournalError(f"cannot put {copy} in the place of {path}: {error}") from error
    return is_different


def _holds_the_same(path: Path, copy: Path) -> bool:
    """Whether the journal has gone on since it was copied. PIN hashes, which no copy has, do not count."""
    if not path.exists() or not copy.stat().st_size:
        return not path.exists() and not copy.stat().st_size
    try:
        with disk.open_reading(path) as one, disk.open_reading(copy) as other:
            return all(one.execute(sql).fetchall() == other.execute(sql).fetchall() for sql in _STATE)
    except sqlite3.DatabaseError:
        return False


def _exchange(path: Path, backup: Path, stamp: str) -> Path | None:
    fresh = path.with_name(path.name + ".restoring")
    disk.copy_database(backup, fresh)
    aside: Path | None = None
    if path.exists():
        aside = path.with_name(f"{path.name}.before-restore-{stamp}")
        try:
            disk.copy_database(path, aside)
        except JournalError:  # damaged: it is kept as it is, with its log
            with contextlib.suppress(FileNotFoundError):
                disk.wal_of(path).replace(disk.wal_of(aside))
            path.replace(aside)
    # The old log must never be played into the new database: it goes first, and durably so.
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    disk.sync(path.parent)
    fresh.replace(path)
    disk.sync(path.parent)
    return aside


def _pending(path: Path, reading: sqlite3.Connection, known: Migrations) -> tuple[str, ...]:
    """Raises JournalTooNewError, JournalError."""
    try:
        return tuple(schema.pending(Database(reading, execute_plugins=False), known))
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"{path} does not exist")
