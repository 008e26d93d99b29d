"""Writing and reading events, on both executors."""

import asyncio
from pathlib import Path

import pytest

from bayd.journal import (
    Answer,
    AnswerExistsError,
    BatchExpiredError,
    Journal,
    Loaded,
    Recorded,
    UnreadableEventError,
)
from tests.journal.world import HandClock, note, opened, rows


async def test_what_was_appended_is_there_after_reopening(path: Path, executor: str) -> None:
    async with opened(path, executor, clock=HandClock(boot_id="boot-7")) as journal:
        assert await journal.append(note("b1", "one", "two")) == (1, 2)
        assert await journal.append(note("b2", "three", bay="105", synchronised=False)) == (3,)
    async with opened(path, executor) as journal:
        assert journal.last_seq == 3
        assert await journal.bays() == ("104", "105")
        assert await journal.load("104", 7) == Loaded(None, 0, None, [(1, "one"), (2, "two")])
        wall_ms = 1_700_000_000_000
        assert await journal.read(1) == [
            Recorded(2, "104", "two", wall_ms, 1_000, "boot-7", True, "b1"),
            Recorded(3, "105", "three", wall_ms, 1_000, "boot-7", False, "b2"),
        ]
        assert await journal.append(note("b3", "four")) == (4,)


async def test_the_same_batch_is_written_once(journal: Journal[str]) -> None:
    first = await journal.append(note("b1", "one", "two"))
    await journal.append(note("b2", "three"))
    assert await journal.append(note("b1", "one", "two")) == first
    assert [recorded.event for recorded in await journal.read(0)] == ["one", "two", "three"]


async def test_a_batch_is_written_whole_or_not_at_all(journal: Journal[str]) -> None:
    good, bad, other = await asyncio.gather(
        journal.append(note("b1", "one")),
        journal.append(note("b2", "two", "no event!")),
        journal.append(note("b3", "three")),
        return_exceptions=True,
    )
    assert isinstance(bad, ValueError)
    assert (good, other) == ((1,), (2,))
    assert [recorded.event for recorded in await journal.read(0)] == ["one", "three"]


async def test_reading_by_bay_and_in_pages(journal: Journal[str]) -> None:
    for n in range(6):
        await journal.append(note(f"b{n}", f"e{n}", bay=("104", "105")[n % 2]))
    assert [r.event for r in await journal.read(0, bay="105")] == ["e1", "e3", "e5"]
    assert [r.event for r in await journal.read(0, bay="105", limit=2)] == ["e1", "e3"]
    assert [r.event for r in await journal.read(4, bay="105")] == ["e5"]
    assert [r.seq for r in await journal.read(2, limit=3)] == [3, 4, 5]
    assert await journal.read(6) == []


async def test_a_snapshot_stands_for_the_events_before_it(journal: Journal[str]) -> None:
    for n in range(1, 5):
        await journal.append(note(f"b{n}", f"e{n}"))
    await journal.save_snapshot("104", 3, 7, '{"ends": 5}')
    assert await journal.load("104", 7) == Loaded('{"ends": 5}', 3, 7, [(4, "e4")])
    await journal.save_snapshot("104", 2, 7, "{}")  # late and old
    assert (await journal.load("104", 7)).snapshot_seq == 3
    by_another_reducer = await journal.load("104", 8)
    assert (by_another_reducer.snapshot_state, len(by_another_reducer.events)) == (None, 4)
    await journal.save_snapshot("109", 0, 7, "{}")
    assert await journal.bays() == ("104", "109")


async def test_an_event_of_another_release_is_named(journal: Journal[str]) -> None:
    await journal.append(note("b1", "a readable one", "what is this?"))
    with pytest.raises(UnreadableEventError, match=r"event 2 \(Note version 1\)"):
        await journal.load("104", 7)


async def test_subscribers_hear_of_each_commit_with_events(journal: Journal[str]) -> None:
    heard: list[int] = []
    end = journal.on_appended(heard.append)
    await journal.append(note("b1", "one", "two"))
    await journal.write_alive(HandClock().now())
    await journal.append(note("b1", "one", "two"))
    await asyncio.sleep(0)
    assert heard == [2]
    end()
    end()
    await journal.append(note("b2", "three"))
    await asyncio.sleep(0)
    assert heard == [2]


async def test_a_subscriber_that_fails_hurts_nobody(journal: Journal[str]) -> None:
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    heard: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError("a broken screen")

    journal.on_appended(fail)
    journal.on_appended(heard.append)
    assert await journal.append(note("b1", "one")) == (1,)
    await asyncio.sleep(0)
    assert heard == [1]
    assert "a broken screen" in str(failures[0]["exception"])


# Answers: the same key gives the same answer

ANSWER = Answer("key-1", "POST /bays/104/dispense 10", 200, '{"paid": 10}')


async def test_an_answer_is_kept_with_its_events(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        assert await journal.find_answer("key-1") is None
        await journal.append(note("b1", "paid", answer=ANSWER))
    async with opened(path, executor) as journal:
        assert await journal.find_answer("key-1") == ANSWER


async def test_a_second_press_with_the_key_writes_nothing(journal: Journal[str]) -> None:
    await journal.append(note("b1", "paid", answer=ANSWER))
    with pytest.raises(AnswerExistsError) as caught:
        await journal.append(note("b2", "paid again", answer=ANSWER))
    assert caught.value.answer == ANSWER
    assert journal.last_seq == 1
    assert await journal.append(note("b1", "paid", answer=ANSWER)) == (1,)


async def test_two_presses_with_one_key_at_the_same_time(journal: Journal[str]) -> None:
    results = await asyncio.gather(
        journal.append(note("b1", "paid", answer=ANSWER)),
        journal.append(note("b2", "paid", answer=ANSWER)),
        return_exceptions=True,
    )
    assert results[0] == (1,)
    assert isinstance(results[1], AnswerExistsError)
    assert [recorded.batch for recorded in await journal.read(0)] == ["b1"]


async def test_a_refusal_is_an_answer_without_events(journal: Journal[str]) -> None:
    assert await journal.append(note("b1", answer=ANSWER)) == ()
    assert await journal.append(note("b1", answer=ANSWER)) == ()
    assert await journal.find_answer("key-1") == ANSWER
    with pytest.raises(AnswerExistsError):
        await journal.append(note("b2", answer=ANSWER))


# Expiry: an intent that became durable too late is never acted on


async def test_an_expired_batch_is_skipped_by_every_reader(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        await journal.append(note("late", "pay out", answer=ANSWER))
        await journal.append(note("b2", "meanwhile"))
        assert await journal.expire("late", note("x", "expired")) == (3,)
    async with opened(path, executor) as journal:
        assert [r.event for r in await journal.read(0)] == ["meanwhile", "expired"]
        assert [r.event for r in await journal.read(0, bay="104", limit=1)] == ["meanwhile"]
        assert [event for _, event in (await journal.load("104", 7)).events] == ["meanwhile", "expired"]
        assert await journal.find_answer("key-1") is None
        assert await journal.expire("late", note("x", "expired")) == (3,)
        with pytest.raises(BatchExpiredError):
            await journal.append(note("late", "pay out"))
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]


async def test_an_expiry_may_carry_the_answer_that_holds_now(journal: Journal[str]) -> None:
    await journal.append(note("late", "pay out", answer=ANSWER))
    unknown = Answer(ANSWER.key, ANSWER.fingerprint, 503, "unknown, do not repeat")
    await journal.expire("late", note("x", "expired", answer=unknown))
    assert await journal.find_answer("key-1") == unknown


async def test_an_expired_batch_can_no_longer_be_written(journal: Journal[str]) -> None:
    await journal.expire("never-came", note("x", "expired"))
    with pytest.raises(BatchExpiredError, match="never-came"):
        await journal.append(note("never-came", "pay out", answer=ANSWER))
    assert await journal.find_answer("key-1") is None
    assert [recorded.event for recorded in await journal.read(0)] == ["expired"]
