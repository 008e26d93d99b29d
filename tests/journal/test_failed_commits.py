"""A commit that failed is unknown until it was looked up; what was looked up holds."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bayd.journal import (
    Answer,
    AnswerExistsError,
    DiskFullError,
    JournalUnavailableError,
    NotWrittenError,
    UnreadableEventError,
)
from bayd.journal.books import Writer
from tests.journal.world import Fault, FaultyDisk, HandClock, note, opened, rows


async def test_a_commit_that_failed_and_is_in_the_file_counts(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        heard: list[int] = []
        journal.on_appended(heard.append)
        disk.faults.append(Fault("COMMIT", after=True))
        assert await journal.append(note("b1", "one", "two")) == (1, 2)
        assert await journal.append(note("b2", "three")) == (3,)
        await asyncio.sleep(0)
        assert heard == [2, 3]
        assert journal.health.recoveries == 1
        assert "disk I/O error" in str(journal.health.last_error)
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]


@pytest.mark.parametrize(
    "statement", ["BEGIN IMMEDIATE", "SAVEPOINT", "INSERT INTO events", "RELEASE", "COMMIT"]
)
async def test_a_write_that_failed_and_is_absent_may_be_tried_again(
    path: Path, executor: str, statement: str
) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        await journal.append(note("b0", "zero"))
        disk.faults.append(Fault(statement))
        with pytest.raises(NotWrittenError, match="tried again") as caught:
            await journal.append(note("b1", "one"))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert [recorded.event for recorded in await journal.read(0)] == ["zero"]
        assert await journal.append(note("b1", "one")) == (2,)
    assert rows(path, "SELECT batch FROM events") == [("b0",), ("b1",)]


async def test_a_batch_that_was_there_before_is_found_when_its_group_fails(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        await journal.append(note("b0", "zero"))
        disk.faults.append(Fault("BEGIN IMMEDIATE"))
        assert await journal.append(note("b0", "zero")) == (1,)


@pytest.mark.parametrize("after", [False, True], ids=["absent", "there"])
async def test_a_refusal_without_events_is_looked_up_too(path: Path, executor: str, after: bool) -> None:
    disk = FaultyDisk()
    refusal = note("b1", answer=Answer("key", "print", 409, "{}"))
    async with opened(path, executor, connect=disk.connect) as journal:
        disk.faults.append(Fault("COMMIT", after=after))
        if after:
            assert await journal.append(refusal) == ()
        else:
            with pytest.raises(NotWrittenError):
                await journal.append(refusal)
        assert (await journal.find_answer("key") is not None) == after


@pytest.mark.parametrize("after", [False, True], ids=["absent", "there"])
async def test_a_transaction_without_a_batch_is_looked_up_by_its_mark(
    path: Path, executor: str, after: bool
) -> None:
    disk = FaultyDisk()
    runs = []

    def count(writer: Writer[str]) -> str:
        runs.append(1)
        seq = writer.cursor("central", "104") + 1
        writer.advance("central", "104", seq)
        return f"at {seq}"

    async with opened(path, executor, connect=disk.connect) as journal:
        assert await journal.transact(count) == "at 1"
        disk.faults.append(Fault("COMMIT", after=after))
        if after:
            assert await journal.transact(count) == "at 2"
        else:
            with pytest.raises(NotWrittenError):
                await journal.transact(count)
        assert len(runs) == 2  # never repeated behind the caller's back
        assert await journal.cursor("central", "104") == 1 + after
        assert await journal.transact(count) == f"at {2 + after}"


async def test_the_group_shares_one_fate(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "thread", connect=disk.connect) as journal, asyncio.TaskGroup() as tasks:
        disk.gate.clear()
        tasks.create_task(journal.append(note("b0", "zero")))
        await disk.hanging()
        writes = [
            tasks.create_task(settled(journal.append(note("b1", "one")))),
            tasks.create_task(settled(journal.advance("central", "104", 7))),
            tasks.create_task(settled(journal.append(note("b2", "two", bay="105")))),
        ]
        await asyncio.sleep(0)
        disk.faults.append(Fault("COMMIT", after=True, times=2))
        disk.gate.set()
        assert [await write for write in writes] == [(2,), None, (3,)]
        assert await journal.cursor("central", "104") == 7
        assert journal.health.recoveries == 2


async def settled(write: object) -> object:
    try:
        return await write  # type: ignore[misc]
    except NotWrittenError as error:
        return error


async def test_the_daemon_waits_for_a_disk_that_comes_back(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "thread", connect=disk.connect, clock=HandClock(boot_ms=77)) as journal:
        disk.faults += [Fault("COMMIT", after=True), Fault("connect", times=3)]
        before = disk.count("connect")
        async with asyncio.TaskGroup() as tasks:
            append = tasks.create_task(journal.append(note("b1", "one")))
            read = tasks.create_task(journal.read(0))
            await disk.until("connect", before + 3)
            assert not append.done()
            assert journal.stalled_since == 77
        assert append.result() == (1,)
        assert [recorded.event for recorded in read.result()] == ["one"]
        assert journal.stalled_since is None


async def test_a_checkpoint_that_fails_is_no_answer(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "thread", connect=disk.connect) as journal:
        disk.faults += [Fault("COMMIT"), Fault("PRAGMA wal_checkpoint", times=2)]
        with pytest.raises(NotWrittenError):
            await journal.append(note("b1", "one"))
        assert disk.count("PRAGMA wal_checkpoint") == 4  # at the start, twice in vain, and then


async def test_closing_does_not_wait_for_a_dead_disk(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "thread", connect=disk.connect) as journal:
        disk.faults += [Fault("COMMIT", after=True), Fault("connect", times=10_000)]
        async with asyncio.TaskGroup() as tasks:
            append = tasks.create_task(settled_unavailable(journal.append(note("b1", "one"))))
            await disk.until("connect", 4)
            await journal.aclose()
        assert "unknown" in append.result()


async def settled_unavailable(write: object) -> str:
    with pytest.raises(JournalUnavailableError) as caught:
        await write  # type: ignore[misc]
    return str(caught.value)


async def test_inline_nothing_waits_and_the_batch_id_tells_later(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "inline", connect=disk.connect) as journal:
        for after in (True, False):
            disk.faults += [Fault("COMMIT", after=after), Fault("connect", times=3)]
            with pytest.raises(JournalUnavailableError, match="same batch id"):
                await journal.append(note(f"b{after}", "one"))
            with pytest.raises(JournalUnavailableError):
                await journal.read(0)
            with pytest.raises(JournalUnavailableError):
                await journal.append(note("another", "two"))
        assert [recorded.batch for recorded in await journal.read(0)] == ["bTrue"]
        assert await journal.append(note("bTrue", "one")) == (1,)
        assert await journal.append(note("bFalse", "one")) == (2,)


async def test_a_read_that_fails_does_not_harm_the_writer(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        await journal.append(note("b1", "one"))
        disk.faults.append(Fault("SELECT seq, bay", code=sqlite3.SQLITE_IOERR_READ))
        with pytest.raises(JournalUnavailableError, match="cannot be read"):
            await journal.read(0)
        assert len(await journal.read(0)) == 1
        assert await journal.append(note("b2", "two")) == (2,)


async def test_a_database_that_went_away_is_not_replaced_by_an_empty_one(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "inline", connect=disk.connect) as journal:
        await journal.append(note("b1", "one"))
        disk.faults.append(Fault("COMMIT"))
        move(path, path.with_name("moved"))
        with pytest.raises(JournalUnavailableError):
            await journal.append(note("b2", "two"))
        move(path.with_name("moved"), path)
        assert [recorded.event for recorded in await journal.read(0)] == ["one"]


def move(path: Path, to: Path) -> None:
    assert not to.exists()
    path.rename(to)


async def test_an_event_that_cannot_be_read_does_not_hold_the_log(path: Path) -> None:
    disk = FaultyDisk()
    async with opened(path, "inline", connect=disk.connect) as journal:
        await journal.append(note("b1", "what is this?", *["more"] * 1_000))
        with pytest.raises(UnreadableEventError) as caught:
            await journal.load("104", 1)
        disk.faults.append(Fault("COMMIT", after=True))
        # The traceback still holds whatever the reading left open: the recovery must not find it in its way.
        assert await journal.append(note("b2", "two")) == (1_002,)
        assert "event 1 " in str(caught.value)


async def test_what_sqlite_refuses_concerns_the_one_who_asked(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        for pin in (None, object()):
            refused = journal.store_pin("104", "s1", pin, 5)  # type: ignore[arg-type]
            with pytest.raises(NotWrittenError, match="SQLite refuses"):
                await refused
        assert journal.health.recoveries == 0
        assert await journal.append(note("b1", "one")) == (1,)


# A full disk


def full(statement: str = "COMMIT", times: int = 1) -> Fault:
    return Fault(statement, code=sqlite3.SQLITE_FULL, times=times)


async def test_on_a_full_disk_the_ballast_makes_room(path: Path, executor: str) -> None:
    disk, ballast = FaultyDisk(), path.with_name("journal.db.ballast")
    async with opened(path, executor, connect=disk.connect, ballast_bytes=1 << 16) as journal:
        assert ballast.stat().st_blocks * 512 >= 1 << 16
        disk.faults.append(full())
        assert await journal.append(note("b1", "one")) == (1,)
        # There is room on this disk in truth: the commit that went through took the space again.
        assert ballast.stat().st_size == 1 << 16
        assert not journal.disk_full


async def test_without_any_room_the_caller_is_told_so(path: Path, executor: str) -> None:
    disk, ballast = FaultyDisk(), path.with_name("journal.db.ballast")
    async with opened(path, executor, connect=disk.connect) as journal:
        disk.faults.append(full("INSERT INTO events", times=2))
        with pytest.raises(DiskFullError, match="make room"):
            await journal.append(note("b1", "one"))
        assert (journal.disk_full, journal.health.disk_full) == (True, True)
        assert not ballast.exists()
        assert await journal.append(note("b1", "one")) == (1,)
        assert (journal.disk_full, journal.health.disk_full) == (False, False)
        assert ballast.exists()


async def test_what_is_there_after_all_is_not_done_twice(path: Path) -> None:
    disk = FaultyDisk()
    answer = Answer("key", "print", 200, "{}")
    runs = []

    async with opened(path, "thread", connect=disk.connect) as journal:
        await journal.append(note("b0", "zero", answer=answer))
        disk.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.append(note("b1", "one")))
            await disk.hanging()
            again = tasks.create_task(settled(journal.append(note("b2", "two", answer=answer))))
            once = tasks.create_task(journal.transact(lambda writer: runs.append(writer.last_seq)))
            await asyncio.sleep(0)
            disk.faults.append(Fault("COMMIT", after=True, code=sqlite3.SQLITE_FULL, times=9))
            disk.gate.set()
        assert isinstance(again.result(), AnswerExistsError)
        assert (once.result(), runs) == (None, [2])


async def test_a_disk_too_full_for_the_ballast_from_the_start(path: Path, executor: str) -> None:
    async with opened(path, executor, ballast_bytes=1 << 60) as journal:
        assert journal.disk_full
        assert await journal.append(note("b1", "one")) == (1,)


async def test_a_full_disk_that_takes_no_checkpoint_still_gives_an_answer(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect) as journal:
        disk.faults += [full(times=2), full("PRAGMA wal_checkpoint", times=2)]
        with pytest.raises(DiskFullError):
            await journal.append(note("b1", "one"))
        assert await journal.append(note("b1", "one")) == (1,)


# On the reserve: the ballast is given up, and what is deferrable gives way to the rest


def is_read(event: str) -> bool:
    return event.startswith("read")


async def test_on_the_reserve_what_is_deferrable_gives_way(path: Path, executor: str) -> None:
    async with opened(path, executor, is_deferrable=is_read) as journal:
        assert await journal.append(note("b0", "read zero")) == (1,)
    async with opened(path, executor, ballast_bytes=1 << 60, is_deferrable=is_read) as journal:
        async with asyncio.TaskGroup() as tasks:  # one group, answered in order
            calls = [
                tasks.create_task(settled(journal.append(batch)))
                for batch in (
                    note("b1", "read one"),
                    note("b2", "read two", "paid two"),
                    note("b3", "read three", "read four"),
                    note("b0", "read zero"),
                    note("b5", answer=Answer("k5", "", 423, "")),  # a press that was refused
                    note("b4", "paid four"),
                )
            ]
        refused, paid, refused_too, earlier, unanswered, last = (call.result() for call in calls)
        assert isinstance(refused, DiskFullError)
        assert isinstance(refused_too, DiskFullError)
        assert isinstance(unanswered, DiskFullError)
        assert "kept for money" in str(refused)
        assert (paid, earlier, last) == ((2, 3), (1,), (4,))
        with pytest.raises(DiskFullError):
            await journal.save_snapshot("101", 4, 1, "{}")
    assert rows(path, "SELECT batch FROM events ORDER BY seq") == [("b0",), ("b2",), ("b2",), ("b4",)]


async def test_once_there_is_room_nothing_gives_way_any_more(path: Path, executor: str) -> None:
    disk = FaultyDisk()
    async with opened(path, executor, connect=disk.connect, is_deferrable=is_read) as journal:
        disk.faults.append(full("INSERT INTO events", times=2))
        with pytest.raises(DiskFullError, match="make room"):
            await journal.append(note("b1", "read one"))
        assert journal.disk_full
        # There is room on this disk in truth.
        assert await journal.append(note("b1", "read one")) == (1,)
        assert not journal.disk_full
