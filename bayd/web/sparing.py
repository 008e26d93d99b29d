"""Answers that anybody may ask for, and that cost a large range much: nobody keeps the daemon busy with them.

What was dear to make is kept for a second, so making it takes a small part of the time however many ask.
What is cheap is made anew for each. The cost is the processor's time: a PC that is busy with other things
makes no answer older.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

DEAR_S = 0.01
KEPT_S = 1.0


class Sparing(Generic[T]):
    """`spent_s`: the processor's time that this thread has used."""

    def __init__(self, make: Callable[[], T], *, spent_s: Callable[[], float] = time.thread_time) -> None:
        self._make = make
        self._spent_s = spent_s
        self._kept: tuple[float, T] | None = None  # until when, and what

    def get(self) -> T:
        """At most a second old."""
        loop = asyncio.get_running_loop()
        if self._kept is not None and loop.time() < self._kept[0]:
            return self._kept[1]
        began_s = self._spent_s()
        made = self._make()
        dear = self._spent_s() - began_s >= DEAR_S
        self._kept = (loop.time() + KEPT_S, made) if dear else None
        return made
