"""Threads for calls of the loop that may hang in the kernel: a name that nobody resolves, a disk.

asyncio's own pool is waited for, by the loop and again by the interpreter: with no network a look-up goes on
for half a minute, and systemd would kill a stop that takes so long. Nobody waits for these threads.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from hardware.link.daemon_thread import in_daemon_thread

T = TypeVar("T")
P = ParamSpec("P")


class BlockingCalls(ThreadPoolExecutor):
    """For `loop.set_default_executor`, which takes no other class. One daemon thread a call: they are few."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return in_daemon_thread(partial(call, *args, **kwargs), name="bayd-blocking")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for nobody."""
