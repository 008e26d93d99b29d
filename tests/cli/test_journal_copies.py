"""`bayd backup`, `restore`, `migrate` on a real journal's files."""

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from bayd.journal import schema
from bayd.journal.disk import OwnerLock
from bayd.journal.keeping import migrate
from tests.cli.command import bayd_here
from tests.cli.daemon import configuration
from tests.free_ports import free_port
from tests.journal.world import note, opened, rows


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return configuration(tmp_path, free_port())


@pytest.fixture
def journal(tmp_path: Path, config: Path) -> Path:
    return tmp_path / "state" / "journal.db"


async def write(path: Path, batch: str) -> None:
    async with opened(path) as journal:
        await journal.append(note("b1", batch))
        await journal.store_pin("109", "7", b"digest", 2**50)


def count(path: Path, table: str) -> int:
    return len(rows(path, f"SELECT * FROM {table}"))


async def test_a_backup_is_put_back_and_what_came_after_it_is_kept_aside(
    tmp_path: Path, config: Path, journal: Path
) -> None:
    await write(journal, "one")
    backup = tmp_path / "copy.db"
    assert bayd_here("backup", backup, "--config", config).code == 0
    assert (count(backup, "events"), count(backup, "pins")) == (1, 0)
    async with opened(journal) as open_journal:
        await open_journal.append(note("b2", "two"))
    done = bayd_here("restore", backup, "--config", config)
    assert done.code == 0, done.err
    assert count(journal, "events") == 1
    (aside,) = journal.parent.glob("journal.db.before-restore-*")
    assert str(aside) in done.out
    assert count(aside, "events") == 2
    async with opened(journal) as open_journal:
        assert await open_journal.append(note("b3", "three")) == (2,)


async def test_a_backup_is_taken_while_the_daemon_writes(tmp_path: Path, config: Path, journal: Path) -> None:
    async with opened(journal) as open_journal:
        await open_journal.append(note("b1", "one"))
        assert bayd_here("backup", tmp_path / "copy.db", "--config", config).code == 0
        await open_journal.append(note("b2", "two"))
    assert count(tmp_path / "copy.db", "events") == 1


@pytest.mark.parametrize(
    "name", ["journal.db", "journal.db-wal", "journal.db.lock", "link.db", "notes.txt", "live.db"]
)
async def test_a_backup_replaces_nothing_but_a_backup(
    tmp_path: Path, config: Path, journal: Path, name: str
) -> None:
    """Least of all the journal that the daemon writes to."""
    (journal.parent / "link.db").symlink_to(journal)
    (journal.parent / "notes.txt").write_text("the codes of the hall")
    await write(journal.parent / "live.db", "another daemon's")
    async with opened(journal) as writing:
        await writing.append(note("b1", "one"))
        ran = bayd_here("backup", journal.parent / name, "--config", config)
        assert ran.code == 1
        assert "name another file" in ran.err
        await writing.append(note("b2", "two"))
    assert count(journal, "events") == 2
    assert (journal.parent / "notes.txt").read_text() == "the codes of the hall"
    assert count(journal.parent / "live.db", "pins") == 1
    copy = tmp_path / "copy.db"
    assert [bayd_here("backup", copy, "--config", config).code for _ in range(2)] == [0, 0]


async def test_a_log_of_the_old_journal_never_reaches_the_restored_one(
    tmp_path: Path, config: Path, journal: Path
) -> None:
    """As after a kill: the newest events stand in the log alone."""
    await write(journal, "one")
    backup = tmp_path / "copy.db"
    assert bayd_here("backup", backup, "--config", config).code == 0
    db = sqlite3.connect(journal)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("DELETE FROM events")
    db.commit()
    saved = journal.with_name("journal.db-wal").read_bytes()
    db.close()
    journal.with_name("journal.db-wal").write_bytes(saved)
    assert bayd_here("restore", backup, "--config", config).code == 0
    assert count(journal, "events") == 1


async def test_a_journal_in_use_is_not_replaced(tmp_path: Path, config: Path, journal: Path) -> None:
    await write(journal, "one")
    assert bayd_here("backup", tmp_path / "copy.db", "--config", config).code == 0
    lock = OwnerLock(journal.with_name("journal.db.lock"))
    try:
        refused = bayd_here("restore", tmp_path / "copy.db", "--config", config)
    finally:
        lock.release()
    assert refused.code == 1
    assert "stop it first" in refused.err
    assert not list(journal.parent.glob("*.before-restore-*"))


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look at" * 40])
async def test_what_is_no_journal_is_not_put_in_its_place(
    tmp_path: Path, config: Path, journal: Path, content: bytes
) -> None:
    await write(journal, "one")
    (tmp_path / "copy.db").write_bytes(content)
    refused = bayd_here("restore", tmp_path / "copy.db", "--config", config)
    assert refused.code == 1
    assert "copy.db" in refused.err
    assert count(journal, "events") == 1


async def test_a_damaged_backup_is_refused(tmp_path: Path, config: Path, journal: Path) -> None:
    await write(journal, "one")
    backup = tmp_path / "copy.db"
    assert bayd_here("backup", backup, "--config", config).code == 0
    data = bytearray(backup.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    backup.write_bytes(data)
    assert bayd_here("restore", backup, "--config", config).code == 1
    assert count(journal, "events") == 1


async def test_a_backup_of_a_newer_release_is_refused(tmp_path: Path, config: Path, journal: Path) -> None:
    await write(journal, "one")
    backup = tmp_path / "copy.db"
    assert bayd_here("backup", backup, "--config", config).code == 0
    db = sqlite3.connect(backup)
    db.execute("UPDATE _sqlite_migrations SET name = '9999_later' WHERE name LIKE '0001%'")
    db.commit()
    db.close()
    refused = bayd_here("restore", backup, "--config", config)
    assert refused.code == 1
    assert "newer bayd" in refused.err


async def test_a_journal_of_this_release_needs_no_migration(config: Path, journal: Path) -> None:
    await write(journal, "one")
    done = bayd_here("migrate", "--config", config)
    assert (done.code, "nothing to do" in done.out) == (0, True)
    assert not list(journal.parent.glob("*.before-*"))


async def test_an_old_journal_is_migrated_after_a_copy(journal: Path) -> None:
    await write(journal, "one")
    newer = Migrations("bayd.journal")
    newer(name="0001_journal")(schema.create_tables)
    newer(name="0002_parked_cause")(schema.tell_causes)
    newer(name="0003_payments_by_time")(schema.index_payments)
    newer(name="9999_later")(lambda db: db.execute("CREATE TABLE later (x)"))
    done = migrate(journal, newer)
    assert done.applied == ("9999_later",)
    assert done.copy is not None
    assert (count(journal, "later"), count(done.copy, "events")) == (0, 1)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        count(done.copy, "later")
    assert migrate(journal, newer).applied == ()


@pytest.mark.parametrize("command", [["backup", "copy.db"], ["restore", "copy.db"], ["migrate"]])
def test_without_a_journal_there_is_nothing_to_do(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = bayd_here(*command, "--config", config)
    assert (done.code, "does not exist" in done.err) == (1, True)


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    assert bayd_here("backup", tmp_path / "x", "--config", tmp_path / "nowhere.toml").code == 78
