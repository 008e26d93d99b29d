"""The journal's copy in the journal's place, after an upgrade that failed: without time or space."""

import sqlite3
from pathlib import Path

import pytest

from bayd.journal import copy_database, disk
from bayd.journal.keeping import put_back
from tests.journal.world import note, opened, rows


async def copied(path: Path) -> Path:
    """A journal with an event and a PIN, and its copy."""
    async with opened(path) as journal:
        await journal.append(note("b1", "one"))
        await journal.store_pin("104", "s1", b"d" * 32, 5)
    copy = path.with_name("copy.db")
    copy_database(path, copy)
    return copy


async def test_a_journal_that_did_not_change_keeps_its_pins(path: Path) -> None:
    copy = await copied(path)
    async with opened(path):
        pass  # a release that was started, and did not get far
    assert put_back(path, copy) is False
    assert not copy.exists()
    assert rows(path, "SELECT count(*) FROM pins") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE later (x)",
        "UPDATE _sqlite_migrations SET name = '9999_later' WHERE name LIKE '0001%'",
        "INSERT INTO snapshots VALUES ('104', 1, 99, '{}')",
        "DELETE FROM events",
    ],
)
async def test_one_that_a_release_changed_is_as_before(path: Path, change: str) -> None:
    copy = await copied(path)
    db = sqlite3.connect(path)
    db.execute(change)
    db.commit()
    log = disk.wal_of(path).read_bytes()  # what was changed may stand in the log alone
    db.close()
    disk.wal_of(path).write_bytes(log)
    assert put_back(path, copy) is True
    async with opened(path) as journal:
        assert len(await journal.read(0)) == 1
        assert await journal.append(note("b2", "two")) == (2,)


async def test_cut_off_at_any_step_it_is_done_by_the_next_try(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps are what it makes durable; the log goes before the journal that it belongs to."""
    for step in (1, 2):
        for old in path.parent.glob("*.db*"):
            old.unlink()
        copy = await copied(path)
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE later (x)")
        db.commit()
        db.close()
        left = [step]

        def cut(_: Path, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise InterruptedError

        with monkeypatch.context() as patch, pytest.raises(Exception, match="cannot put"):
            patch.setattr(disk, "sync", cut)
            put_back(path, copy)
        if copy.exists():
            put_back(path, copy)
        assert rows(path, "SELECT payload FROM events") == [('"one"',)]
        assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'later'") == []


def test_where_there_was_no_journal_there_is_none_again(path: Path) -> None:
    copy = path.with_name("copy.db")
    copy.touch()
    path.touch()
    assert put_back(path, copy) is True
    assert not path.exists()
    copy.touch()
    assert put_back(path, copy) is False
    assert not copy.exists()
