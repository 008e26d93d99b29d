"""The one database that a process owns: opened, migrated, reopened, with its lock and its ballast."""

import contextlib
import errno
import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from bayd.journal import disk, schema
from bayd.journal.errors import JournalError, JournalUnavailableError


def is_full(error: BaseException) -> bool:
    return primary_code(error) == sqlite3.SQLITE_FULL


def primary_code(error: BaseException) -> int | None:
    """SQLite's result code; None when the module raised before SQLite was asked."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


class OwnedDatabase:
    """Lives on the writer's thread."""

    def __init__(
        self,
        path: Path,
        *,
        ballast_bytes: int,
        connect: disk.Connect,
        migrations: Migrations,
        copy_first: bool = True,
    ) -> None:
        """`copy_first`: a migration is preceded by a copy."""
        self.path = path
        self.copy: Path | None = None  # as it was before a migration
        self.ballast = disk.Ballast(path.with_name(path.name + ".ballast"), ballast_bytes)
        self._connect = connect
        self._migrations = migrations
        self._copy_first = copy_first
        self._lock: disk.OwnerLock | None = None
        self._conn: sqlite3.Connection | None = None

    @property
    def is_open(self) -> bool:
        return self._conn is not None

    @property
    def conn(self) -> sqlite3.Connection:
        assert self._conn is not None
        return self._conn

    def open(self) -> None:
        """Own the database, create or migrate it. Raises JournalError."""
        try:
            self._lock = disk.OwnerLock(self.path.with_name(self.path.name + ".lock"))
            try:
                self._open()
            except (sqlite3.Error, OSError):
                # A full disk shows in many ways here: SQLite needs some files of its own even to read.
                if not self.ballast.release_if_short():
                    raise
                self._open()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise JournalUnavailableError(
                f"cannot open the journal {self.path}: {error}: check the directory, its owner and the disk,"
                " and whether the disk is full"
            ) from error
        except JournalError:
            self.close()
            raise
        self.ballast.restore()

    def _open(self) -> None:
        disk.create_private(self.path)
        self.reopen()
        # Plugins of other sqlite-utils users have no business in the journal.
        db = Database(self.conn, recursive_triggers=False, execute_plugins=False)
        if not (pending := schema.pending(db, self._migrations)):
            return
        if self._copy_first and not schema.is_fresh(db):
            # One name for each: a migration that fails at every start leaves one copy all the same.
            copy = self.path.with_name(f"{self.path.name}.before-{pending[0]}")
            disk.copy_database(self.path, copy, connect=self._connect)
            self.copy = copy
        self._migrations.apply(db)

    def close(self) -> None:
        """Closing the last connection brings the log into the database."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def reopen(self) -> None:
        """Bring the database into a state in which what is found is on the disk, and what is absent stays so.

        Raises sqlite3.Error, OSError.
        """
        if self._conn is not None:
            old, self._conn = self._conn, None
            with contextlib.suppress(sqlite3.Error):  # as broken as it may be, its end is near
                self._rewrite_log(old)  # before closing, which brings the log into the database
            old.close()
        conn = disk.open_connection(self.path, self._connect)
        try:
            self._rewrite_log(conn)
            self._settle(conn)
        except BaseException:
            conn.close()
            raise
        self._conn = conn

    def _rewrite_log(self, conn: sqlite3.Connection) -> None:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        conn.execute("BEGIN IMMEDIATE")  # nobody else writes to the log meanwhile
        try:
            disk.rewrite_wal(self.path)
        except OSError as error:
            # On a copying file system even this needs space; without space nothing was lost in a sync.
            if error.errno != errno.ENOSPC:
                raise
        finally:
            conn.execute("ROLLBACK")

    def _settle(self, conn: sqlite3.Connection) -> None:
        """Checkpoint, and sync that the log is empty or gone: no power cut must bring an old one back."""
        try:
            busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError(
                    f"another program holds {self.path} open in a transaction: close it"
                )
        except sqlite3.OperationalError as error:
            # The log alone is a sound state as well; what could not be written to it failed for space.
            if not is_full(error):
                raise
        wal = disk.wal_of(self.path)
        if wal.exists():
            disk.sync(wal)
        disk.sync(self.path.parent)

    def checkpoint(self) -> None:
        """If possible, empty the log into the database: purged PIN hashes are then gone from it too."""
        if self._conn is not None:
            with contextlib.suppress(sqlite3.Error):
                self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def make_room(self) -> None:
        """The disk is full: undo, give up the ballast, empty the log. Raises sqlite3.Error.

        The connection stays open: to open one takes space, and a commit that found none is never complete.
        """
        self.ballast.release()
        if self.conn.in_transaction:
            self.conn.execute("ROLLBACK")
        self.checkpoint()

    def lives_on_reserve(self) -> bool:
        """The ballast had to be given up, and there is no room for it yet."""
        return not self.ballast.held and not self.ballast.restore()

    def refill(self) -> None:
        """After a commit: take the ballast's space again, if there is enough."""
        if not self.ballast.held and not self.ballast.restore():
            # Almost full: the log must not take the last page, or the database could never grow by it.
            self.checkpoint()
