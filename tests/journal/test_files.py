"""The files: owner, mode, schema, copies, checks."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from bayd.journal import (
    Journal,
    JournalError,
    JournalLockedError,
    JournalTooNewError,
    JournalUnavailableError,
    Reader,
    ThreadJournalExecutor,
    copy_database,
    quick_check,
    schema,
)
from tests.journal.world import Fault, FaultyDisk, note, opened, rows


async def test_two_daemons_never_share_a_journal(path: Path) -> None:
    async with opened(path):
        with pytest.raises(JournalLockedError, match=f"process {os.getpid()}"):
            async with opened(path):
                pass
    async with opened(path) as journal:
        assert await journal.append(note("b1", "one")) == (1,)


OTHER_PROCESS = """
import sys
from pathlib import Path
from bayd.journal.disk import OwnerLock
from bayd.journal import JournalLockedError
try:
    OwnerLock(Path(sys.argv[1]))
except JournalLockedError as error:
    print(error)
"""


async def test_nor_does_another_process_get_it(path: Path) -> None:
    async with opened(path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER_PROCESS, f"{path}.lock", stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert f"process {os.getpid()}" in out.decode()


async def test_nobody_else_may_read_the_files(path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with opened(path, ballast_bytes=4096) as journal:
            await journal.append(note("b1", "one"))
            await journal.backup(path.with_name("copy.db"))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    names = {f"journal.db{end}" for end in ("", "-wal", "-shm", ".lock", ".ballast")}
    assert modes == dict.fromkeys(names | {"copy.db"}, 0o600)


PRAGMAS = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1}


async def test_the_connection_is_made_safe_and_again_after_a_failure(path: Path) -> None:
    def pragmas(reader: Reader[str]) -> dict[str, object]:
        return {name: reader._conn.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}

    disk = FaultyDisk()
    async with opened(path, connect=disk.connect) as journal:
        assert await journal.query(pragmas) == PRAGMAS
        disk.faults.append(Fault("COMMIT", after=True))
        await journal.append(note("b1", "one"))
        assert await journal.query(pragmas) == PRAGMAS


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailableError, match=r"absent/journal\.db.*check the directory"):
        async with opened(tmp_path / "absent" / "journal.db"):
            pass


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    write(path, b"these are not the bytes you are looking for" * 99)
    with pytest.raises(JournalUnavailableError, match="not a database"):
        async with opened(path):
            pass
    async with opened(path.with_name("other.db")) as journal:  # the lock was let go
        assert journal.last_seq == 0


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


# Schema


def next_release() -> Migrations:
    newer = Migrations("bayd.journal")
    newer(name="0001_journal")(schema.create_tables)
    newer(name="0002_parked_cause")(schema.tell_causes)
    newer(name="0003_payments_by_time")(schema.index_payments)

    @newer(name="0004_weather")
    def _weather(db: Database) -> None:
        db.execute("CREATE TABLE weather (wind TEXT) STRICT")

    return newer


async def test_a_migration_keeps_a_copy_of_what_was(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(note("b1", "one"))
        await journal.store_pin("104", "s1", b"d" * 32, 5)
    assert not list(path.parent.glob("*.before-*"))  # nothing to keep at the first start
    async with opened(path, migrations=next_release()) as journal:
        assert len(await journal.read(0)) == 1
        assert len(await journal.find_pins("104")) == 1
    (copy,) = path.parent.glob("*.before-*")
    assert copy.name == "journal.db.before-0004_weather"
    assert rows(copy, "SELECT payload FROM events") == [('"one"',)]
    assert rows(copy, "SELECT count(*) FROM pins") == [(0,)]
    assert rows(copy, "SELECT name FROM sqlite_master WHERE name = 'weather'") == []
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'weather'") == [("weather",)]


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    broken = next_release()

    @broken(name="0004_broken")
    def _broken(db: Database) -> None:
        db.execute("CREATE TABLE half (done TEXT)")
        db.execute("INSERT INTO nowhere VALUES (1)")

    async with opened(path) as journal:
        await journal.append(note("b1", "one"))
    with pytest.raises(JournalUnavailableError, match="nowhere"):
        async with opened(path, migrations=broken):
            pass
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    async with opened(path, migrations=next_release()) as journal:
        assert len(await journal.read(0)) == 1


async def test_a_newer_schema_is_refused(path: Path) -> None:
    async with opened(path, migrations=next_release()) as journal:
        await journal.append(note("b1", "one"))
    with pytest.raises(JournalTooNewError, match=r"newer bayd.*0004_weather"):
        async with opened(path):
            pass
    assert rows(path, "SELECT count(*) FROM events") == [(1,)]


def first_release() -> Migrations:
    first = Migrations("bayd.journal")
    first(name="0001_journal")(schema.create_tables)
    return first


async def test_what_older_reasons_say_becomes_a_cause(path: Path) -> None:
    db = sqlite3.connect(path)
    first_release().apply(Database(db))
    reasons = {
        "after item 22, which is parked": "behind",
        "alone in failing for an hour: end_session: no answer": "alone",
        "end_session: refused (422): after item 3": "",
    }
    for seq, reason in enumerate(reasons, 1):
        db.execute("INSERT INTO parked VALUES ('central', '104', 's1', ?, ?, 5)", (seq, reason))
    db.execute("INSERT INTO parked VALUES ('other', '104', 's1', 9, 'after item 1', 5)")
    db.commit()
    db.close()
    async with opened(path) as journal:
        assert {row.reason: row.cause for row in await journal.parked("central")} == reasons
        assert [row.cause for row in await journal.parked("other")] == [""]


def test_the_migrations_make_the_whole_schema() -> None:
    db = Database(memory=True)
    assert schema.is_fresh(db)
    assert schema.pending(db) == ["0001_journal", "0002_parked_cause", "0003_payments_by_time"]
    schema.migrations.apply(db)
    assert schema.pending(db) == []
    tables = (
        "alive answers audit calls commit_mark cursors events expired_batches forgotten kept parked pins"
        " sign_in_tries snapshots staff web_sessions"
    )
    assert sorted(name for name in db.table_names() if name[0] != "_") == tables.split()
    assert all(db[name].strict for name in tables.split())  # type: ignore[union-attr]


# Copies and checks


async def test_a_backup_of_a_journal_in_use(path: Path, executor: str) -> None:
    copy = path.with_name("copy.db")
    side = ThreadJournalExecutor("side")
    async with opened(path, executor, side_executor=side) as journal:
        await journal.append(note("b1", *[f"e{n}" * 50 for n in range(3_000)]))
        await journal.store_pin("104", "s1", b"d" * 32, 5)
        async with asyncio.TaskGroup() as tasks:
            backup = tasks.create_task(journal.backup(copy))
            n = 2
            while not backup.done():
                await journal.append(note(f"b{n}", "meanwhile"))
                n += 1
        await journal.backup(copy)  # over the older one
    side.close()
    assert rows(copy, "SELECT count(DISTINCT batch) FROM events") == [(n - 1,)]
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert sorted(file.name for file in copy.parent.glob("copy.db*")) == ["copy.db"]
    async with opened(copy, executor) as journal:
        assert journal.last_seq == 3_000 + n - 2
        assert await journal.find_pins("104") == []
    assert b"d" * 32 not in read(copy)


def read(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_backup_into_nowhere_is_refused(journal: Journal[str], tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot copy"):
        await journal.backup(tmp_path / "absent" / "copy.db")


def test_a_backup_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "copy.db", b"the old one")
    write(tmp_path / "broken.db", b"not a database" * 999)
    with pytest.raises(JournalError, match="not a database"):
        copy_database(tmp_path / "broken.db", tmp_path / "copy.db")
    assert read(tmp_path / "copy.db") == b"the old one"
    assert not list(tmp_path.glob("*.partial"))


def test_copies_and_checks_give_way_to_a_recovery(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE t (x)")
    conn.executemany("INSERT INTO t VALUES (?)", [("x" * 1_000,)] * 5_000)
    conn.commit()
    conn.close()
    with pytest.raises(JournalError, match="gave way"):
        copy_database(path, tmp_path / "copy.db", give_way=lambda: True)
    with pytest.raises(JournalError, match="interrupted"):
        quick_check(path, give_way=lambda: True)
    assert quick_check(path) == ()
    copy_database(path, tmp_path / "copy.db")
    assert rows(tmp_path / "copy.db", "SELECT count(*) FROM t") == [(5_000,)]


def test_a_copy_ends_however_much_is_written_meanwhile(tmp_path: Path) -> None:
    path, steps = tmp_path / "busy.db", 0
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("CREATE TABLE t (x)")
    conn.executemany("INSERT INTO t VALUES (?)", [("x" * 3_000,)] * 2_000)

    def write_on() -> bool:
        nonlocal steps
        steps += 1
        conn.execute("INSERT INTO t VALUES ('meanwhile')")
        return steps > 100

    copy_database(path, tmp_path / "copy.db", give_way=write_on)
    conn.close()
    assert 2 < steps < 100
    assert rows(tmp_path / "copy.db", "SELECT count(*) FROM t") == [(2_000,)]


async def test_a_damaged_page_is_found_by_the_check(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        await journal.append(note("b1", *[f"event number {n}" for n in range(2_000)]))
        assert await journal.quick_check() == ()
    damaged = bytearray(read(path))
    at = damaged.index(b"event number 1234")
    page = at // 4096 * 4096
    damaged[page : page + 64] = b"\xff" * 64
    write(path, bytes(damaged))
    async with opened(path, executor) as journal:
        assert await journal.append(note("b2", "still accepted"))
        found = await journal.quick_check()
    assert found
    write(path, b"\xff" * 100 + bytes(damaged[100:]))
    assert quick_check(path) == ("file is not a database",)
