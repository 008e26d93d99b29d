"""The simulated range: readers and hoppers behind ptys, golfers at the tees, and the observer.

A process of its own. It knows bays only as tees, and learns of play as anybody could: from the daemon's
public status. Orders come over a unix socket, one JSON object a line: `unplug`, `plug`, `jam`, `clear`,
`empty`, `refill` break and mend things by name; the script also tells golfers when to swing.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bayd.demo.observer import Observer
from bayd.demo.truth import TruthBook
from hardware.sim.hopper import HopperLine, HopperSim
from hardware.sim.hopper import HopperSettings as SimHopperSettings
from hardware.sim.ptys import PtyPort
from hardware.sim.r2000 import R2000Sim

Device = TypeVar("Device")

HOME_DBM = -48  # a ball on its own tee
STRAY_DBM = -68  # the same ball at the neighbour's antenna
NOISE_DB = 2
DWELL_S = 0.5  # how long a ball lies on the tee before it is hit
LISTENS = 3  # by then; where the antenna is slower the golfer waits for it
LONGEST_DWELL_S = 3.0
END_S = 0.3  # a ball is hit before the time is over
NEXT_BALL_S = 0.1
LAST_SWING_S = 1.5  # nobody tees up with less time on the clock
KEEP_EVERY = 10  # about a tenth of the balls is never hit
_FOREIGN_EPC = "300833B2DDD9014035050000"


@dataclass(frozen=True, slots=True)
class RangePlan:
    """What stands where."""

    readers: Mapping[str, Mapping[int, str]]  # reader -> port -> tee
    hoppers: Mapping[str, tuple[str, ...]]  # hopper -> the tees that it serves
    directory: Path  # ptys, socket and book
    status_url: str
    seed: int = 1

    def link(self, name: str) -> Path:
        return self.directory / f"tty-{name}"

    @property
    def socket(self) -> Path:
        return self.directory / "range.sock"

    @property
    def book(self) -> Path:
        return self.directory / "truth.db"


def epc_of(number: int) -> str:
    """The balls of the range, numbered as they leave the hoppers."""
    return f"E28011700000020A{number:08X}"


@dataclass(slots=True)
class _Tee:
    bay: str
    port: tuple[str, int]
    basket: deque[tuple[str, str | None]] = field(default_factory=deque)  # EPC, whose session paid it
    lying: dict[str, int] = field(default_factory=dict)  # EPC -> dBm at this tee's own antenna
    heard_from_neighbour: dict[str, int] = field(default_factory=dict)
    swings: bool = True
    swings_unseen: bool = False  # also while no screen shows a running session
    stray_to: tuple[str, int, int] | None = None  # neighbour, dBm there, dBm at home: for the next ball
    kept: int = 0
    taken: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)


class SimulatedRange:
    """Everything that a bay PC's cables lead to, and the people around it."""

    def __init__(self, plan: RangePlan) -> None:
        self._plan = plan
        self._rng = random.Random(plan.seed)  # noqa: S311 # golfers and radio noise
        self._book = TruthBook(plan.book)
        self._tees = {
            bay: _Tee(bay, (reader, port))
            for reader, ports in plan.readers.items()
            for port, bay in ports.items()
        }
        self._by_port = {tee.port: tee for tee in self._tees.values()}
        self._listened: dict[tuple[str, int], deque[tuple[float, float]]] = {
            tee.port: deque(maxlen=512) for tee in self._tees.values()
        }
        self._waiting: dict[str, deque[list[Any]]] = {name: deque() for name in plan.hoppers}
        self._paid_from = dict.fromkeys(plan.hoppers, 0)
        self._ports: dict[str, PtyPort] = {}
        self._hoppers: dict[str, HopperSim] = {}
        self._ball_count = 0
        self._observer = Observer(plan.status_url, self._book)
        self._stop = asyncio.Event()
        for name in plan.readers:
            self._make_reader(name)
        for name in plan.hoppers:
            self._make_hopper(name)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        for port in self._ports.values():
            port.plug()
        server = await asyncio.start_unix_server(self._serve, self._plan.socket)
        try:
            async with asyncio.TaskGroup() as tasks:
                people = [
                    tasks.create_task(self._golf(tee), name=f"golfer-{tee.bay}")
                    for tee in self._tees.values()
                ]
                people.append(tasks.create_task(self._observer.run(), name="observer"))
                await self._stop.wait()
                for person in people:
                    person.cancel()
        finally:
            server.close()
            for port in self._ports.values():
                port.unplug()
            for name, hopper in self._hoppers.items():
                self._book.hopper(name, hopper.commanded, hopper.ejected, self._paid_from[name])
            self._book.close()

    # Devices

    def _make_reader(self, name: str) -> None:
        sim = R2000Sim(
            lambda data: self._ports[name].send(data),  # noqa: PLW0108 # the port is made below
            ports=8,
            field=lambda port, _now: self._heard(name, port),
            on_listen=lambda port, began, ended: self._note_listening(name, port, began, ended),
            rng=random.Random(self._plan.seed),  # noqa: S311
        )
        self._ports[name] = PtyPort(self._plan.link(name), sim.receive)

    def _make_hopper(self, name: str) -> None:
        line = HopperLine(lambda data: self._ports[name].send(data))  # noqa: PLW0108 # as above
        self._hoppers[name] = HopperSim(line, SimHopperSettings(), lambda _index: self._ball_out(name))
        self._ports[name] = PtyPort(self._plan.link(name), line.receive)

    def _heard(self, reader: str, port: int) -> list[tuple[str, int]]:
        tee = self._by_port.get((reader, port))
        if tee is None:
            return []
        heard = {**tee.heard_from_neighbour, **tee.lying}
        return [(epc, dbm + self._rng.randint(-NOISE_DB, NOISE_DB)) for epc, dbm in heard.items()]

    def _note_listening(self, reader: str, port: int, began: float, ended: float) -> None:
        spans = self._listened.get((reader, port))
        if spans is not None and self._ports[reader].plugged:
            spans.append((began, ended))

    def _ball_out(self, hopper: str) -> None:
        """A ball falls into the basket of whoever waits at the hopper first."""
        self._ball_count += 1
        self._paid_from[hopper] += 1
        epc = epc_of(self._ball_count)
        waiting = self._waiting[hopper]
        bay = None
        if waiting:
            bay = waiting[0][0]
            waiting[0][1] -= 1
            if waiting[0][1] == 0:
                waiting.popleft()
        session = None if bay is None else self._observer.session_at(bay)
        self._book.ball_paid(epc, hopper, asyncio.get_running_loop().time(), bay, session)
        if bay is not None:
            tee = self._tees[bay]
            tee.basket.append((epc, session))
            tee.more.set()

    # People

    async def _golf(self, tee: _Tee) -> None:
        while True:
            await self._until_time_to_swing(tee)
            epc, session = tee.basket.popleft()
            if self._observer.session_at(tee.bay) not in (session, None):
                continue  # the last player left it
            tee.taken += 1
            if tee.taken % KEEP_EVERY == KEEP_EVERY - 2:
                tee.kept += 1  # goes home in a pocket
                continue
            await self._swing(tee, epc)
            await asyncio.sleep(NEXT_BALL_S)

    async def _until_time_to_swing(self, tee: _Tee) -> None:
        while True:
            tee.more.clear()
            may = tee.swings_unseen or self._observer.remaining_s(tee.bay) > LAST_SWING_S
            if tee.basket and tee.swings and may:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await tee.more.wait()

    async def _swing(self, tee: _Tee, epc: str) -> None:
        loop = asyncio.get_running_loop()
        stray, tee.stray_to = tee.stray_to, None
        began = loop.time()
        tee.lying[epc] = HOME_DBM if stray is None else stray[2]
        if stray is not None:
            await self._until_listened(tee, began, 1)  # the tee's own antenna is the first to hear it
            self._tees[stray[0]].heard_from_neighbour[epc] = stray[1]
            self._book.oddity("stray", epc, stray[0], began)
        session = self._observer.session_at(tee.bay)
        await asyncio.sleep(DWELL_S)
        await self._until_listened(tee, began, LISTENS)
        ended = loop.time()
        del tee.lying[epc]
        if stray is not None:
            del self._tees[stray[0]].heard_from_neighbour[epc]
        self._book.ball_hit(epc, tee.bay, session, began, ended, self._listens_since(tee, began))

    async def _until_listened(self, tee: _Tee, began: float, times: int) -> None:
        """Takes a while on a busy machine; where nothing listens, or play is over, nobody waits for it."""
        last = began + LONGEST_DWELL_S
        while (  # noqa: ASYNC110 # as in `_hold`
            self._listens_since(tee, began) < times
            and not tee.swings_unseen
            and self._ports[tee.port[0]].plugged
            and self._observer.remaining_s(tee.bay) > END_S
            and asyncio.get_running_loop().time() < last
        ):
            await asyncio.sleep(0.02)

    def _listens_since(self, tee: _Tee, began: float) -> int:
        return sum(1 for _, until in self._listened[tee.port] if until > began)

    # Orders

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    order = json.loads(line)
                    answer = await self._obey(order.pop("do"), order)
                except ValueError as error:
                    answer = {"error": str(error)}
                except (KeyError, TypeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _obey(self, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        orders: Mapping[str, Callable[..., Awaitable[None] | None]] = {
            "unplug": lambda name: _named(self._ports, name).unplug(),
            "plug": lambda name: _named(self._ports, name).plug(),
            "jam": lambda name: setattr(_named(self._hoppers, name), "jam_after", 0),
            "clear": lambda name: _named(self._hoppers, name).forget_faults(),
            "empty": lambda name: setattr(_named(self._hoppers, name), "load", 0),
            "refill": lambda name: setattr(_named(self._hoppers, name), "load", None),
            "wait_for_balls": self._wait_for_balls,
            "stop_waiting": self._stop_waiting,
            "hold": self._hold,
            "swing": self._go,
            "stray": self._order_stray,
            "foreign": self._show_foreign,
        }
        if name == "look":
            return self._look()
        if name not in orders:
            raise ValueError(f"{name!r} is no order; there are {', '.join(sorted(orders))}")
        done = orders[name](**facts)
        if done is not None:
            await done
        return {"done": name}

    def _wait_for_balls(self, bay: str, balls: int) -> None:
        """A customer presses at the screen and waits at the hopper."""
        self._waiting[self._hopper_of(bay)].append([bay, balls])

    def _stop_waiting(self, bay: str) -> None:
        """The press was refused."""
        waiting = self._waiting[self._hopper_of(bay)]
        mine = next((w for w in reversed(waiting) if w[0] == bay), None)
        if mine is not None:
            waiting.remove(mine)

    async def _hold(self, bay: str | None = None) -> None:
        """Golfers wait; done when no ball lies on these tees."""
        tees = [self._tees[bay]] if bay else list(self._tees.values())
        for tee in tees:
            tee.swings = False
            tee.swings_unseen = False
        while any(tee.lying for tee in tees):  # noqa: ASYNC110 # several tees: a look every 20 ms will do
            await asyncio.sleep(0.02)

    def _go(self, bay: str | None = None, unseen: bool = False) -> None:
        for tee in [self._tees[bay]] if bay else self._tees.values():
            tee.swings = True
            tee.swings_unseen = unseen
            tee.more.set()

    def _order_stray(self, bay: str, neighbour: str, loud: bool = False) -> None:
        """The next ball of `bay` is heard at the neighbour's antenna too."""
        there, home = (HOME_DBM, STRAY_DBM) if loud else (STRAY_DBM, HOME_DBM)
        self._tees[bay].stray_to = (neighbour, there, home)

    async def _show_foreign(self, bay: str) -> None:
        """A tag that is no ball of this range lies at the tee for a moment."""
        tee = self._tees[bay]
        self._book.oddity("foreign", _FOREIGN_EPC, bay, asyncio.get_running_loop().time())
        tee.lying[_FOREIGN_EPC] = HOME_DBM
        await asyncio.sleep(DWELL_S)
        del tee.lying[_FOREIGN_EPC]

    def _look(self) -> dict[str, Any]:
        return {
            "baskets": {bay: len(tee.basket) for bay, tee in self._tees.items()},
            "lying": {bay: len(tee.lying) for bay, tee in self._tees.items()},
            "running": {name: hopper.running for name, hopper in self._hoppers.items()},
            "paid": dict(self._paid_from),
            "listened_at": {
                bay: spans[-1][1] for bay, tee in self._tees.items() if (spans := self._listened[tee.port])
            },
        }

    def _hopper_of(self, bay: str) -> str:
        return next(name for name, bays in self._plan.hoppers.items() if bay in bays)


def _named(devices: Mapping[str, Device], name: str) -> Device:
    if name not in devices:
        raise ValueError(f"there is no {name!r} that this can be done to; there are {', '.join(devices)}")
    return devices[name]


def run(plan: RangePlan) -> None:
    """Run the range until SIGTERM."""

    async def play() -> None:
        await SimulatedRange(plan).run()

    asyncio.run(play())
