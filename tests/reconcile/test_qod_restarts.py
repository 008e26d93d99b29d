"""bayd dies at each write of its journal that tells of a QoS session: before it, and right after it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.qos_words import Trouble
from bayd.journal import InlineJournalExecutor
from tests.simulation.qod_world import DIALECTS, STAFF, DialectName, QodWorld, in_memory

pytestmark = pytest.mark.virtual_time

T = TypeVar("T")

DOWN_S = 7.0


@pytest.fixture
def memory() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


class MortalExecutor(InlineJournalExecutor):
    """Kills at the n-th call: it is not carried out any more, or carried out and nobody learns of it."""

    def __init__(self, path: Path, fatal: int | None = None, *, after: bool = False) -> None:
        self.dead = asyncio.Event()
        self.telling: list[int] = []  # calls that wrote of a QoS session
        self._path = path
        self._fatal = fatal
        self._after = after
        self._calls = 0
        self._seen = 0

    def submit(self, call: Callable[[], T]) -> Awaitable[T]:
        if self.dead.is_set():
            if getattr(call, "__name__", "") == "close":  # the kernel lets go of the files
                return super().submit(call)
            return asyncio.get_running_loop().create_future()
        self._calls += 1
        if self._calls == self._fatal:
            self.dead.set()
            if self._after:
                super().submit(call)
            return asyncio.get_running_loop().create_future()
        done = super().submit(call)
        if self._fatal is None:
            self._look()
        return done

    def _look(self) -> None:
        with suppress(sqlite3.Error):
            db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            rows = db.execute("SELECT seq, kind FROM events WHERE seq > ?", (self._seen,)).fetchall()
            db.close()
            self._seen = max((seq for seq, _ in rows), default=self._seen)
            if any(kind.startswith("Qos") for _, kind in rows):
                self.telling.append(self._calls)


async def evening(hall: QodWorld) -> None:
    """Play beyond one lease, a pause, an end; then play at the next session's turn."""
    await hall.play(minutes=12)
    await asyncio.sleep(20)
    await hall.submit(i.Pause(STAFF, "rain"))
    await asyncio.sleep(5)
    await hall.submit(i.Resume(STAFF))
    await asyncio.sleep(500)
    await hall.end()
    await asyncio.sleep(3)


def new_hall(path: Path, dialect: DialectName) -> QodWorld:
    return QodWorld(path, dialect, max_lease_s=240)


async def fatal_writes(path: Path, dialect: DialectName) -> list[int]:
    hall = new_hall(path, dialect)
    executor = hall.world.executor = MortalExecutor(path)
    async with hall.up():
        await evening(hall)
    return executor.telling


@pytest.mark.parametrize(
    ("after", "reboot"),
    [
        pytest.param(False, False, id="before a write"),
        pytest.param(True, True, id="after it, and a reboot"),
        pytest.param(True, False, id="after it", marks=pytest.mark.soak),
        pytest.param(False, True, id="before a write, and a reboot", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_death_at_every_write(memory: Path, dialect: DialectName, after: bool, reboot: bool) -> None:
    writes = await fatal_writes(memory / "dry.db", dialect)
    assert len(writes) >= 7, "an evening has more to tell"
    for nth in writes:
        hall = new_hall(memory / f"{nth}.db", dialect)
        executor = hall.world.executor = MortalExecutor(hall.world.path, nth, after=after)
        async with hall.up():
            await _until_dead(executor, hall)
        if reboot:
            hall.world.clock.reboot()
        hall.world.executor = InlineJournalExecutor()
        await asyncio.sleep(DOWN_S)
        async with hall.up() as bays:
            await asyncio.sleep(30)
            playing = bays.get("101").session is not None
            known = {r.event.qos_id for r in await hall.journal() if isinstance(r.event, q.QosCreated)}
            lost = [s for s in hall.operator.live() if s.session_id not in known]
            told = [t.trouble for t in hall.reconciler.view().troubles]
            where = f"{nth}: {told}, {hall.state()}, {await hall.kinds()}"
            if dialect == "camara-1.1":
                assert not lost, where
            elif lost and playing:
                assert len(lost) == 1
                assert told == [Trouble.ORPHAN], where
            if playing and not lost:
                assert hall.state() == "available", where
            if playing:
                await hall.end()
            await asyncio.sleep(60)
            known = {r.event.qos_id for r in await hall.journal() if isinstance(r.event, q.QosCreated)}
            live = hall.operator.live()
            assert [s for s in live if s.session_id in known] == [], where
            assert len(live) == len(lost) <= 1, where
            await asyncio.sleep(240)
            assert hall.operator.live() == [], "an orphan ends with its lease"
            spent_s = bays.get("101").qos_day.spent.seconds
            assert spent_s + 2 * len(hall.operator.entries) >= hall.operator.network_s(), where


async def _until_dead(executor: MortalExecutor, hall: QodWorld) -> None:
    """The evening goes on until the process dies in its middle."""
    async with asyncio.TaskGroup() as tasks:
        people = tasks.create_task(evening(hall), name="people")
        await executor.dead.wait()
        people.cancel()
