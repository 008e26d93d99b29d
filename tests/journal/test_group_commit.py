"""What waits while the writer is busy goes into one transaction; a hung disk holds nobody but the writer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bayd.journal import Journal, JournalClosedError
from bayd.journal.books import Writer
from tests.journal.world import FaultyDisk, HandClock, note, opened, rows


@asynccontextmanager
async def hung(path: Path, clock: HandClock | None = None) -> AsyncIterator[tuple[Journal[str], FaultyDisk]]:
    """A journal whose next commit hangs until the gate is opened."""
    disk = FaultyDisk()
    async with opened(path, "thread", connect=disk.connect, clock=clock or HandClock()) as journal:
        disk.gate.clear()
        try:
            yield journal, disk
        finally:
            disk.gate.set()


async def test_what_waits_goes_into_one_commit_in_order(path: Path) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(journal.append(note("b0", "e0")))
        await disk.hanging()
        waiting = [tasks.create_task(journal.append(note(f"b{n}", f"e{n}", "and"))) for n in range(1, 21)]
        await asyncio.sleep(0)
        assert journal.health.waiting == 21
        before = disk.count("COMMIT")
        disk.gate.set()
        assert await first == (1,)
        assert [await append for append in waiting] == [(2 * n, 2 * n + 1) for n in range(1, 21)]
        assert disk.count("COMMIT") == before + 1
        assert journal.health.waiting == 0
    assert rows(path, "SELECT batch FROM events WHERE seq % 2 = 0 ORDER BY seq") == [
        (f"b{n}",) for n in range(1, 21)
    ]


async def test_nothing_is_told_before_the_commit_is_through(path: Path) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        heard: list[int] = []
        journal.on_appended(heard.append)
        append = tasks.create_task(journal.append(note("b1", "one")))
        await disk.hanging()
        await asyncio.sleep(0.01)
        assert (append.done(), journal.last_seq, heard) == (False, 0, [])
        disk.gate.set()
        await append
        await asyncio.sleep(0)
        assert (journal.last_seq, heard) == (1, [1])


async def test_a_hung_disk_is_seen_from_the_loop(path: Path) -> None:
    clock = HandClock(boot_ms=5_000)
    async with hung(path, clock) as (journal, disk), asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.append(note("b1", "one")))
        await disk.hanging()
        clock.boot_ms = 9_000
        tasks.create_task(journal.append(note("b2", "two")))
        await asyncio.sleep(0)
        assert journal.stalled_since == journal.health.stalled_since_boot_ms == 5_000
        disk.gate.set()
    assert journal.stalled_since is None


@pytest.mark.parametrize("while_waiting", [True, False], ids=["in the queue", "in the commit"])
async def test_giving_up_the_wait_neither_undoes_nor_repeats(path: Path, while_waiting: bool) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        if while_waiting:
            tasks.create_task(journal.append(note("b0", "zero")))
            await disk.hanging()
        given_up = tasks.create_task(journal.append(note("b1", "one")))
        if not while_waiting:
            await disk.hanging()
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait({given_up})
        disk.gate.set()
        seq = (await journal.append(note("b1", "one")))[0]
        assert [r.seq for r in await journal.read(0) if r.batch == "b1"] == [seq]
        assert given_up.cancelled()


async def test_a_batch_that_cannot_be_written_leaves_its_group_alone(path: Path) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.append(note("b0", "e0")))
        await disk.hanging()
        good = [tasks.create_task(journal.append(note(f"b{n}", f"e{n}"))) for n in (1, 3)]
        with pytest.raises(ValueError, match="not an event"):
            async with asyncio.timeout(20):
                bad = asyncio.gather(
                    journal.append(note("b2", "e2", "bad!")), journal.append(note("b4", "e4"))
                )
                await asyncio.sleep(0)
                disk.gate.set()
                await bad
        assert [await append for append in good] == [(2,), (3,)]
        assert [r.event for r in await journal.read(0)] == ["e0", "e1", "e3", "e4"]


async def test_a_read_sees_the_writes_handed_in_before_it(path: Path) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.append(note("b0", "e0")))
        await disk.hanging()
        tasks.create_task(journal.append(note("b1", "e1")))
        await asyncio.sleep(0)
        read = tasks.create_task(journal.read(0))
        await asyncio.sleep(0)
        disk.gate.set()
        assert [recorded.event for recorded in await read] == ["e0", "e1"]


async def test_a_transaction_is_whole(path: Path, executor: str) -> None:
    def deliver(writer: Writer[str]) -> tuple[int, ...]:
        writer.advance("central", "104", 1)
        return writer.append(note("b1", "delivered"))

    def stumble(writer: Writer[str]) -> None:
        writer.advance("central", "104", 9)
        writer.append(note("b2", "not delivered"))
        raise LookupError("no such booking")

    async with opened(path, executor) as journal:
        assert await journal.transact(deliver) == (1,)
        with pytest.raises(LookupError, match="no such booking"):
            await journal.transact(stumble)
        assert await journal.append(note("b3", "next")) == (2,)
        assert await journal.cursor("central", "104") == 1
        assert [recorded.event for recorded in await journal.read(0)] == ["delivered", "next"]


async def test_closing_writes_what_waits(path: Path) -> None:
    async with hung(path) as (journal, disk), asyncio.TaskGroup() as tasks:
        appends = [tasks.create_task(journal.append(note(f"b{n}", f"e{n}"))) for n in range(3)]
        await disk.hanging()
        close = tasks.create_task(journal.aclose())
        await asyncio.sleep(0)
        with pytest.raises(JournalClosedError):
            await journal.append(note("too-late", "e"))
        disk.gate.set()
        await close
        assert [await append for append in appends] == [(1,), (2,), (3,)]
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]
