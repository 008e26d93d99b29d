"""Where the journal's calls run: in one thread of their own, or at once in simulations.

A SQLite connection belongs to one thread, and an fsync may take seconds on a bay PC's eMMC: so the daemon
gives the journal a thread. Virtual time does not go with threads: so simulations run the calls inline.
An executor of one's own must run what was submitted, in order, also when nobody awaits the answer.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class InlineJournalExecutor:
    """Runs each call at once, on the loop's own thread. The journal then never waits for a disk."""

    def submit(self, call: Callable[[], T]) -> Awaitable[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        _run(call, future.set_result, future.set_exception)
        return future

    def close(self) -> None:
        pass


class ThreadJournalExecutor:
    """One worker thread, calls in order. A call goes on when nobody awaits it any more.

    The thread is a daemon thread: a call that hangs in the kernel must not keep the process from ending.
    """

    def __init__(self, name: str = "bayd-journal") -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Awaitable[T]:
        if self._closed:
            raise RuntimeError("the executor is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(method: Callable[[Any], None], value: object) -> None:
            if not future.done():  # cancelled meanwhile: the call was run all the same
                method(value)

        def post(method: Callable[[Any], None], value: object) -> None:
            try:
                loop.call_soon_threadsafe(settle, method, value)
            except RuntimeError:
                pass  # the loop is closed: nobody is left to be told

        self._calls.put(
            lambda: _run(
                call,
                lambda result: post(future.set_result, result),
                lambda error: post(future.set_exception, error),
            )
        )
        return future

    def close(self) -> None:
        """The thread ends after the calls already submitted; does not wait for them."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)

    def _work(self) -> None:
        while (run := self._calls.get()) is not None:
            run()


def _run(
    call: Callable[[], T], succeed: Callable[[T], object], fail: Callable[[BaseException], object]
) -> None:
    try:
        result = call()
    except Exception as error:  # noqa: BLE001  # handed to whoever awaits the call
        fail(error)
    else:
        succeed(result)
