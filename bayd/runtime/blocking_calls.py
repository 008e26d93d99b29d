"""Threads for calls of the loop that may hang in the kernel: a name that nobody resolves, a disk.

asyncio's own pool is waited for, by the loop and again by the interpreter: with no network a look-up goes on
for half a minute, and systemd would kill a stop that takes so long. Nobody waits for these threads.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class BlockingCalls(ThreadPoolExecutor):
    """For `loop.set_default_executor`, which takes no other class. One daemon thread a call: they are few."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 # handed to whoever awaits the call
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="bayd-blocking", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for nobody."""
