"""A bay PC on virtual time: the real range and journal, with clock, chance and disk in the test's hand.

`crash` drops every object and opens the journal anew, as a killed process would find it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.instant import Instant
from bayd.core.model import Bay, StartedBy
from bayd.core.rules import Rules
from bayd.journal import InlineJournalExecutor, Journal
from bayd.journal.disk import Connect, connect
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import JournalExecutor
from bayd.runtime.bay import BayObserver
from bayd.runtime.range import Range
from tests.let_out import hear

T = TypeVar("T")
CODEC = BayEventCodec()  # takes longer to make than to open a journal
WALL_MS = 1_790_000_000_000


class SimClock:
    """The loop's clock as boot and wall clock; survives crashes, and reboots by hand."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self._offset_ms = 0
        self.wall_step_ms = 0
        self.synchronised = True

    def now(self) -> Instant:
        loop_ms = round(asyncio.get_running_loop().time() * 1000)
        return Instant(loop_ms + self._offset_ms, WALL_MS + loop_ms + self.wall_step_ms, self.synchronised)

    def go_on(self, ms: int) -> None:
        """So much time passes at once."""
        self._offset_ms += ms
        self.wall_step_ms += ms

    def trick(self, chance: random.Random) -> None:
        """What somebody might do to it who wants to be forgotten."""
        match chance.randrange(4):
            case 0:
                self.reboot()
            case 1:
                self.wall_step_ms += 86_400_000
            case 2:
                self.wall_step_ms -= 2 * 86_400_000
            case _:
                self.synchronised = not self.synchronised

    def reboot(self, boot_ms: int = 20_000) -> None:
        self.boot_id = f"{self.boot_id}'"
        self._offset_ms = boot_ms - round(asyncio.get_running_loop().time() * 1000)


class SimRandomness:
    """Numbered identifiers: a run can be told again."""

    def __init__(self, seed: int = 0) -> None:
        self._next = seed * 1_000_000

    def new_id(self) -> str:
        self._next += 1
        return f"{self._next:032x}"

    def new_uuid(self) -> str:
        return f"00000000-0000-4000-8000-{int(self.new_id(), 16):012x}"

    def jitter(self) -> float:
        return 0.5


@dataclass
class SimLog:
    """Keeps what was logged."""

    lines: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._keep("error", event, facts)

    def _keep(self, level: str, event: str, facts: Mapping[str, Any]) -> None:
        self.lines.append((level, event, facts))
        hear("log", f"{event} {facts!r}\n")

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


class HeldExecutor:
    """A disk that hangs while `hold` is set: calls wait their turn, and are carried out afterwards."""

    def __init__(self) -> None:
        self._inner = InlineJournalExecutor()
        self.free = asyncio.Event()
        self.free.set()

    async def _run(self, call: Callable[[], T]) -> T:
        await self.free.wait()
        return await self._inner.submit(call)

    def submit(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        if self.free.is_set():
            return asyncio.ensure_future(self._inner.submit(call))  # noqa: TID251 # already done
        task = asyncio.get_running_loop().create_task(self._run(call), name="held-disk")
        self.waiting = task
        return task

    def close(self) -> None:
        pass


@dataclass
class Wishes:
    """An observer that remembers what every reconciler would have been told."""

    seen: list[tuple[float, str, Desired]] = field(default_factory=list)

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        self.seen.append((asyncio.get_running_loop().time(), bay.number, wish))

    def last(self, number: str = "109") -> Desired:
        return next(wish for _, bay, wish in reversed(self.seen) if bay == number)


class World:
    def __init__(self, path: Path, rules: Mapping[str, Rules] | None = None) -> None:
        self.path = path
        self.rules = rules or {"109": Rules(dispenser="east")}
        self.clock = SimClock()
        self.randomness = SimRandomness()
        self.log = SimLog()
        self.wishes = Wishes()
        self.executor: JournalExecutor = InlineJournalExecutor()
        self.connect: Connect = connect
        self.journal: Journal[e.Event]
        self.range: Range

    @asynccontextmanager
    async def up(self, *observers: BayObserver) -> AsyncIterator[Range]:
        """The daemon's core runs; leaving is a crash: nothing is told to anybody."""
        self.journal = await Journal.open(
            self.path, self.executor, CODEC, clock=self.clock, connect=self.connect
        )
        self.range = Range(
            self.rules, journal=self.journal, clock=self.clock, randomness=self.randomness, log=self.log
        )
        for observer in (self.wishes, *observers):
            self.range.observe(observer)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(self.range.run(), name="range")
                await self.range.ready.wait()
                try:
                    yield self.range
                finally:
                    running.cancel()
        finally:
            await self.journal.aclose()

    async def play(self, number: str = "109", session_id: str = "7", minutes: int = 60) -> None:
        """A session is booked and started."""
        said = i.ServerSaid(session_id, minutes, 0, self.clock.now().wall_ms, False, False, False)
        await self.range.submit(number, said)
        attempt = self.randomness.new_id()
        await self.range.submit(number, i.PinEntered(attempt, None))
        await self.range.submit(number, i.PinWasRight(attempt, session_id, StartedBy.PIN_ONLINE))
