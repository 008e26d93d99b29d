"""Where the journal's calls run."""

import asyncio
import threading
from collections.abc import Awaitable

import pytest

from bayd.journal import InlineJournalExecutor, ThreadJournalExecutor
from tests.journal.world import EXECUTORS


async def test_calls_run_in_order_and_answer(executor: str) -> None:
    runs_on, order = EXECUTORS[executor](), list[int]()

    def call(n: int) -> int:
        order.append(n)
        return n * n

    answers: list[Awaitable[int]] = [runs_on.submit(lambda n=n: call(n)) for n in range(50)]  # type: ignore[misc]
    assert [await answer for answer in answers] == [n * n for n in range(50)]
    assert order == list(range(50))
    runs_on.close()


async def test_an_error_reaches_the_one_who_asked(executor: str) -> None:
    runs_on = EXECUTORS[executor]()

    def fail() -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        await runs_on.submit(fail)
    assert await runs_on.submit(lambda: "still alive") == "still alive"
    runs_on.close()


async def test_one_thread_of_its_own_or_none() -> None:
    threaded, here = ThreadJournalExecutor("bayd-test"), threading.get_ident()
    threads = {await threaded.submit(threading.get_ident) for _ in range(5)}
    assert len(threads) == 1
    assert threads != {here}
    assert await threaded.submit(lambda: threading.current_thread().daemon)
    threaded.close()
    assert await InlineJournalExecutor().submit(threading.get_ident) == here


async def test_a_call_that_nobody_awaits_any_more_is_run() -> None:
    executor, gate, run = ThreadJournalExecutor(), threading.Event(), threading.Event()
    first = executor.submit(lambda: gate.wait(20))
    given_up = executor.submit(run.set)
    assert isinstance(given_up, asyncio.Future)
    given_up.cancel()
    gate.set()
    await first
    assert await executor.submit(run.is_set)
    executor.close()


async def test_closing_finishes_what_was_handed_in_and_takes_no_more() -> None:
    executor = ThreadJournalExecutor()
    thread = await executor.submit(threading.current_thread)
    last = executor.submit(lambda: "the last")
    executor.close()
    executor.close()
    assert await last == "the last"
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(lambda: None)
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
