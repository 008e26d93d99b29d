"""bayd is killed while a reader hears balls lie on the tees and go. Each counts once, or not at all, as the
antenna's own record says.

Reader and hopper are simulated in this process, so no kill touches them, and each read that the reader sends
is noted. From that alone it follows what has to be counted: a ball that one life of the daemon has heard
twice within a second, once half a second has passed since (ADR 6). What a life has heard for less dies with
it, and shows as variance; what lies there still is heard again.
"""

import asyncio
import itertools
import random
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from bayd.core import events as e
from hardware.sim.hopper import HopperLine, HopperSim
from hardware.sim.ptys import PtyPort
from hardware.sim.r2000 import R2000Sim
from tests.system.killed_pc import PATIENCE_S, Json, KilledPc

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

BAYS = ("101", "102")
READER = "b9f79d3710da1f3e"
HOME_DBM = -50
CONFIRMED_WITHIN_S = 1.0
WINDOW_S = 0.5
_NEARLY = 0.1  # of a second within which reads may or may not lie: the daemon's clock runs on their arrival
_BALLS_A_KILL = 5
_A_PRESS = 100


@dataclass
class Life:
    """Of the daemon, on the clock of this process."""

    listens: bool = False  # it has said something to the reader: what comes is for it
    settled_at: float = 0.0  # until then all that had to be counted was seen to be
    killed_at: float = float("inf")


@dataclass
class Tees:
    """What lies where, and what the reader has said of it."""

    lying: dict[str, dict[str, int | None]] = field(default_factory=lambda: {bay: {} for bay in BAYS})
    sent: dict[str, list[tuple[int, float, str]]] = field(default_factory=lambda: defaultdict(list))
    lives: list[Life] = field(default_factory=lambda: [Life()])

    def hear(self, port: int, _now: float) -> list[tuple[str, int]]:
        """One inventory: asked by the reader as it sends what it hears. A round goes on without a daemon."""
        if not 0 < port <= len(BAYS) or not self.lives[-1].listens:
            return []
        bay, now = BAYS[port - 1], asyncio.get_running_loop().time()
        heard = list(self.lying[bay])
        for epc in heard:
            self.sent[epc].append((len(self.lives) - 1, now, bay))
            reads = self.lying[bay][epc]
            if reads is not None:
                self.lying[bay][epc] = reads - 1
                if reads == 1:
                    del self.lying[bay][epc]
        return [(epc, HOME_DBM) for epc in heard]

    def reads(self, epc: str) -> int:
        """In this life."""
        return sum(life == len(self.lives) - 1 for life, _, _ in self.sent[epc])

    def verdict(self, epc: str, life: int) -> bool | None:
        """Had that life to count it? None: it may have."""
        times = [at for of, at, _ in self.sent[epc] if of == life]
        for earlier, later in itertools.pairwise(times):
            if later - earlier < CONFIRMED_WITHIN_S - _NEARLY:
                decided_at = later + WINDOW_S
                if decided_at <= self.lives[life].settled_at:
                    return True
                return None if decided_at <= self.lives[life].killed_at else False
            if later - earlier < CONFIRMED_WITHIN_S + _NEARLY:
                return None
        return False

    def has_to_count(self, epc: str) -> bool | None:
        verdicts = [self.verdict(epc, life) for life in range(len(self.lives))]
        return True if True in verdicts else None if None in verdicts else False


class Range:
    """The daemon, and what hangs on its cables."""

    def __init__(self, directory: Path, http: aiohttp.ClientSession) -> None:
        self.tees = Tees()
        self.baskets: dict[str, deque[str]] = {bay: deque() for bay in BAYS}
        self._waits = deque[str]()  # at the hopper, who gets the next ball
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._reader_port = PtyPort(directory / "reader")
        self._reader = R2000Sim(self._reader_port.send, field=self.tees.hear, rng=random.Random(1))
        self._reader_port.on_bytes = self._asked
        self._hopper_port = PtyPort(directory / "hopper")
        line = HopperLine(self._hopper_port.send)
        self.hopper = HopperSim(line, on_ball=self._ball_out)
        self._hopper_port.on_bytes = line.receive
        rows = "".join(f"{_epc(number)},,2026-01-01T00:00:00Z,\n" for number in range(1, 2000))
        (directory / "balls.csv").write_text("epc,label,added_at,retired_at\n" + rows)
        ports = ", ".join(f'{port} = "{bay}"' for port, bay in enumerate(BAYS, start=1))
        lines = [
            f'[balls]\nregistry = "{directory / "balls.csv"}"',
            f'[readers.{READER}]\nlink = "{directory / "reader"}"\nports = {{ {ports} }}',
            f'[dispensers.east]\nlink = "{directory / "hopper"}"',
            *(f'[bays.{bay}]\ndispenser = "east"' for bay in BAYS),
        ]
        self.pc = KilledPc(directory, http, BAYS, eight_only=False, configuration="\n".join(lines))

    def _asked(self, data: bytes) -> None:
        self.tees.lives[-1].listens = True
        self._reader.receive(data)

    def _ball_out(self, _index: int) -> None:
        self.baskets[self._waits.popleft()].append(_epc(next(self._numbers)))

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        self._reader_port.plug()
        self._hopper_port.plug()
        try:
            async with self.pc.up():
                yield
        finally:
            self._reader.close()
            self._reader_port.unplug()
            self._hopper_port.unplug()

    async def play(self, balls: int) -> None:
        """A guest at each bay, with so many balls in the basket."""
        await self._until_devices_work()
        for bay in BAYS:
            body = {"minutes": 1000, "amount": 1, "payment": "cash", "reason": "walked in"}
            assert (await self.pc.press(bay, "walk-in", body, staff=True)).status == 200
        for fallen in range(_A_PRESS, balls + 1, _A_PRESS):
            for bay in BAYS:
                self._waits.extend([bay] * _A_PRESS)
                assert (await self.pc.press(bay, "dispense", {"balls": _A_PRESS})).status == 200
            await self.pc.until(partial(_have_fallen, balls=fallen), "for the balls")

    async def _until_devices_work(self) -> None:
        await self.pc.until(
            lambda status: all(
                status["bays"][bay]["devices"][name]["state"] == "ok"
                for bay in BAYS
                for name in ("reader", "dispenser")
            ),
            "for reader and hopper",
        )

    # Balls

    def lay(self, bay: str, *, reads: int | None = None) -> str:
        """The next one of the basket; `reads`: it is gone after so many."""
        epc = self.baskets[bay].popleft()
        self.tees.lying[bay][epc] = reads
        return epc

    def lift(self, bay: str, epc: str) -> None:
        self.tees.lying[bay].pop(epc, None)

    async def until_read(self, epc: str, reads: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.tees.reads(epc) < reads:  # noqa: ASYNC110 # the reader tells nobody
                await asyncio.sleep(0.005)

    async def until_settled(self) -> None:
        """All that has to be counted by now is in the journal."""
        life, now = self.tees.lives[-1], self._loop.time()
        life.settled_at = now
        wanted = {epc for epc in self.tees.sent if self.tees.has_to_count(epc)}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not wanted <= set(self.counted()):  # noqa: ASYNC110 # it is another process's journal
                    await asyncio.sleep(0.05)
        except TimeoutError:
            missing = {epc: self.tees.sent[epc] for epc in wanted - set(self.counted())}
            raise AssertionError(f"heard, and never counted: {missing}; lives: {self.tees.lives}") from None

    def counted(self) -> Counter[str]:
        return Counter(self.counted_at())

    def counted_at(self) -> list[str]:
        return [one.event.epc for one in self.pc.journal() if isinstance(one.event, e.BallRead)]

    # Its lives

    async def kill(self) -> None:
        await self.pc.kill()
        self.tees.lives[-1].killed_at = self._loop.time()
        self.tees.lives.append(Life())


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(20, id="small"),
        pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="whole"),
    ],
)
async def test_each_ball_counts_once_or_not_at_all_as_the_antenna_heard_it(
    quick_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    async with aiohttp.ClientSession() as http:
        range_ = Range(quick_path, http)
        tees = range_.tees
        async with range_.up():
            dispensed = _BALLS_A_KILL * kills
            await range_.play(dispensed)
            for number in range(kills):
                await _one_life(range_, chance, *(BAYS if number % 2 else reversed(BAYS)))
            await asyncio.sleep(WINDOW_S + CONFIRMED_WITHIN_S)
            await range_.until_settled()
            counted = range_.counted()
            assert max(counted.values()) == 1, "a ball was counted twice"
            read = {bay: sum(tees.sent[epc][0][2] == bay for epc in counted) for bay in BAYS}
            await range_.pc.until(
                lambda status: all(_balls(status, bay)["read"] == read[bay] for bay in BAYS), "for the status"
            )
            status = await range_.pc.until(lambda _: True)
            for bay in BAYS:
                shown = _balls(status, bay)
                assert (shown["counted"], shown["variance"]) == (dispensed, dispensed - read[bay])
            await _until_server_shows(range_, read)
    has_to = {epc: tees.has_to_count(epc) for epc in tees.sent}
    figures = Counter(
        (("has to", "has not to", "may")[(True, False, None).index(verdict)], counted[epc])
        for epc, verdict in has_to.items()
    )
    met = Counter(_fate(tees, epc) for epc in tees.sent)
    told = f"{range_.pc.kills} kills, balls heard {dict(met)}, so often counted: {dict(figures)}"
    print(told)  # noqa: T201 # the figures are what this is for
    assert [epc for epc, verdict in has_to.items() if verdict is True and not counted[epc]] == []
    assert [epc for epc, verdict in has_to.items() if verdict is False and counted[epc]] == []
    assert set(counted) <= set(tees.sent)
    assert met["once"] >= kills / 2
    assert met["died in the window"] >= kills / 4
    assert met["over a kill"] >= kills / 2


async def _one_life(range_: Range, chance: random.Random, here: str, there: str) -> None:
    """Balls at two bays around a kill: one long counted, one read once, one in its window, one that stays."""
    counted = range_.lay(here)
    range_.lay(there, reads=1)
    await range_.until_read(counted, 2)
    range_.lift(here, counted)
    await asyncio.sleep(WINDOW_S)
    await range_.until_settled()
    stays = range_.lay(here)
    fresh = range_.lay(there, reads=2)
    await range_.until_read(fresh, 2)
    await asyncio.sleep(chance.choice([0.0, 0.1, 0.3, 0.4, WINDOW_S + 0.1]))
    await range_.kill()
    unheard = range_.lay(there)
    await asyncio.sleep(0.05)
    range_.lift(there, unheard)
    await range_.pc.start()
    await range_.until_read(stays, 2)
    range_.lift(here, stays)


async def _until_server_shows(range_: Range, read: dict[str, int]) -> None:
    shown: dict[str, int] = {}
    async with asyncio.timeout(PATIENCE_S):
        while shown != read:
            states = await range_.pc.central("/bay/state")
            sessions = {one["bay"]: one["body"]["state"]["session"] for one in states}
            shown = {bay: session["balls"]["read"] for bay, session in sessions.items() if session}
            await asyncio.sleep(0.1)


def _fate(tees: Tees, epc: str) -> str:
    lives = {life for life, _, _ in tees.sent[epc]}
    if len(tees.sent[epc]) == 1:
        return "once"
    if len(lives) > 1:
        return "over a kill"
    return "died in the window" if tees.has_to_count(epc) is False else "decided"


def _have_fallen(status: Json, balls: int) -> bool:
    return all(_balls(status, bay)["counted"] == balls for bay in BAYS)


def _balls(status: Json, bay: str) -> Json:
    balls: Json = status["bays"][bay]["balls"]
    return balls


def _epc(number: int) -> str:
    return f"E28011700000020A{number:08X}"
