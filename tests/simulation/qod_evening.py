"""Evenings drawn from a seed: people who play, an operator with a fault at every step, a bayd that dies."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from bayd.core import inputs as i
from bayd.core.model import Bay, Phase, StartedBy
from tests.simulation.qod_operator import FAILURES, Fault
from tests.simulation.qod_world import SCREEN, STAFF, DialectName, QodWorld

Window = tuple[float, float]  # seconds since the epoch

GRACE_S = 120.0
MAX_LEASE_S = 600
_BAYS = 8
_FATAL = 0.02  # of the calls
_OF_ALL = [
    Fault.REFUSED,
    Fault.RESET,
    Fault.RESET_AFTER,
    Fault.HANG,
    Fault.HANG_AFTER,
    Fault.ERROR,
    Fault.ERROR_AFTER,
    Fault.BUSY,
    Fault.REVOKED,
    Fault.CUT_AFTER,
    Fault.SLOW,
]


@dataclass
class Weather:
    """What befalls the operator's calls: at every step something may, twice in a row at most.

    Of any four steps no more than two fail in a way that speaks against the operator's health: more would
    be an outage, and outages are told by `away`.
    """

    random: random.Random
    rate: float
    drawn: int = 0
    struck: dict[Fault, int] = field(default_factory=dict)
    _last: dict[tuple[str, str], tuple[Fault, int]] = field(default_factory=dict)
    _recent: deque[Fault] = field(default_factory=lambda: deque(maxlen=3))

    def draw(self, operation: str, what: str) -> Fault:
        self.drawn += 1
        before, row = self._last.get((operation, what), (Fault.NONE, 0))
        fault = Fault.NONE
        if row < 2 and before is not Fault.REVOKED and self.random.random() < self.rate:
            refused = [Fault.FORBIDDEN] if operation == "create" and self.random.random() < 0.1 else []
            fault = self.random.choice(refused or _OF_ALL)
        if fault in FAILURES and sum(recent in FAILURES for recent in self._recent) >= 2:
            fault = Fault.NONE
        self._recent.append(fault)
        self._last[operation, what] = (fault, row + 1 if fault is not Fault.NONE else 0)
        self.struck[fault] = self.struck.get(fault, 0) + 1
        return fault


class QodEvening:
    """`play` until so many sessions have been started and everybody has gone."""

    def __init__(
        self,
        path: Path,
        dialect: DialectName,
        seed: int,
        sessions: int,
        *,
        rate: float = 0.4,
        crashes: bool = True,
    ) -> None:
        self.random = random.Random(seed)
        self.hall = QodWorld(path, dialect, bays=_BAYS, max_lease_s=MAX_LEASE_S)
        self.weather = Weather(self.random, rate)
        self.away: list[Window] = []  # the operator
        self.dead: list[Window] = []  # bayd
        self.crashes = 0
        self._sessions = sessions
        self._with_crashes = crashes
        self._begun = 0
        self._closing = False
        self._struck_down = asyncio.Event()
        hall, chance = self.hall, self.random
        hall.jitter = chance.random
        hall.operator.draw = self._draw
        hall.operator.stays_requested = lambda: chance.random() < 0.05
        hall.operator.terminates_after_s = lambda: chance.uniform(5, 400) if chance.random() < 0.1 else None
        hall.operator.grants_s = lambda asked_s: asked_s if chance.random() < 0.9 else max(60, asked_s // 2)

    async def play(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            weather = tasks.create_task(self._change_weather(), name="weather")
            while not self._closing:
                await self._run_bayd(self.random.expovariate(1 / 400))
            weather.cancel()
        self._operator_back()
        self.weather.rate = 0.0
        async with self.hall.up():
            await self._send_home()
            await asyncio.sleep(120)
            # Whatever nobody knows of ends with its lease.
            await asyncio.sleep(MAX_LEASE_S + 600)

    async def _run_bayd(self, life_s: float) -> None:
        self._struck_down.clear()
        async with self.hall.up():
            async with asyncio.TaskGroup() as tasks:
                people = [tasks.create_task(self._people(n), name=f"bay-{n}") for n in self.hall.numbers]
                people.append(tasks.create_task(self._watch_circuit(), name="circuit"))
                try:
                    async with asyncio.timeout(life_s if self._with_crashes else None):
                        await self._struck_down.wait()
                except TimeoutError:
                    pass
                for task in people:
                    task.cancel()
            # Before the operator does what it was asked, after it, or with its answer on the way.
            await asyncio.sleep(self.random.choice([0.0, 0.01, 0.03, 0.05]))
        if self._closing:
            return
        began = self._now_s()
        self.crashes += 1
        if self.random.random() < 0.2:
            self.hall.world.clock.reboot()
        await asyncio.sleep(self.random.choice([0.2, 2.0, 10.0, 45.0, 90.0, 300.0]))
        self.dead.append((began, self._now_s()))

    def _draw(self, operation: str, what: str) -> Fault:
        """A call is a good moment to die."""
        if self._with_crashes and self.random.random() < _FATAL:
            self._struck_down.set()
        return self.weather.draw(operation, what)

    # The operator

    async def _change_weather(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 900))
            self.hall.operator.down = True
            self.away.append((self._now_s(), float("inf")))
            await asyncio.sleep(self.random.uniform(10, 240))
            self._operator_back()

    def _operator_back(self) -> None:
        if self.hall.operator.down:
            self.hall.operator.down = False
            self.away[-1] = (self.away[-1][0], self._now_s())

    async def _watch_circuit(self) -> None:
        """Five failures in a row mean that the operator is away, too, whatever the weather wanted."""
        while True:
            await asyncio.sleep(0.5)
            if self.hall.client.circuit != "closed" and not self.hall.operator.down:
                now_s = self._now_s()
                if self.away and now_s - self.away[-1][1] < 1.0:
                    self.away[-1] = (self.away[-1][0], now_s)
                else:
                    self.away.append((now_s - 0.5, now_s))

    # The people

    async def _people(self, number: str) -> None:
        chance, world = self.random, self.hall.world
        while True:
            bay = world.range.get(number)
            match bay.phase:
                case Phase.PLAYING:
                    await self._guest(number)
                case Phase.PAUSED:
                    await asyncio.sleep(chance.choice([5, 60, 700]))
                    await world.range.submit(number, i.Resume(STAFF))
                case Phase.BOOKED | Phase.GRACE if bay.bookings:
                    await self._enter(number, bay)
                case _:
                    await asyncio.sleep(chance.choice([0.0, 0.0, 30.0, 200.0]))
                    if self._begun >= self._sessions:
                        self._closing = True
                        self._struck_down.set()
                        return
                    self._begun += 1
                    minutes = chance.randint(1, 14)
                    said = i.ServerSaid(
                        str(self._begun), minutes, 0, world.clock.now().wall_ms, False, False, False
                    )
                    await world.range.submit(number, said)

    async def _enter(self, number: str, bay: Bay) -> None:
        world = self.hall.world
        attempt = world.randomness.new_id() if bay.pad.attempt is None else bay.pad.attempt.attempt_id
        if bay.pad.attempt is None:
            await world.range.submit(number, i.PinEntered(attempt, None))
        right = i.PinWasRight(attempt, bay.bookings[0].session_id, StartedBy.PIN_ONLINE)
        await world.range.submit(number, right)
        await asyncio.sleep(1)

    async def _guest(self, number: str) -> None:
        chance, bays = self.random, self.hall.world.range
        await asyncio.sleep(chance.uniform(1, 300))
        match chance.randint(0, 9):
            case 0 | 1 | 2:
                await bays.submit(number, i.End(SCREEN, ""))
            case 3:
                await bays.submit(number, i.Pause(STAFF, "rain"))
            case 4:
                await bays.submit(number, i.Extend("op", chance.randint(1, 9), 0, STAFF, "gift"))
            case _:
                pass

    async def _send_home(self) -> None:
        for number in self.hall.numbers:
            if self.hall.world.range.get(number).session is not None:
                await self.hall.end(number)

    def _now_s(self) -> float:
        return self.hall.world.clock.now().wall_ms / 1000
