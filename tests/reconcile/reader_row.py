"""A row of bays under simulated readers, on virtual time: balls are laid on tees and taken away by hand.

The readers and the balls are the outside world: they outlive a crash, which is leaving `open`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bayd.core import events as e
from bayd.core.presence import Place, PresenceEngine, Route, Tee
from bayd.core.rules import Rules
from bayd.reconcile.antenna_ports import PortRoute, ReaderRoutes
from bayd.reconcile.antennas import AntennaReconciler
from bayd.reconcile.bay_mail import CREDITS_LIMIT
from bayd.reconcile.listening import presence_rules
from bayd.runtime.range import Range
from hardware.rfid import ReaderEvent, RoundEnded
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import R2000Settings
from hardware.sim.r2000 import R2000Sim
from tests.hardware.rfid.rigs import MemoryRig
from tests.simulation.world import World

HOME_DBM = -50
POWER_DBM = 24
BALLS = tuple(f"E28011700000020A{number:08X}" for number in range(1, 65))
FOREIGN = "300833B2DDD9014035050000"


class Row:
    """`layout`: reader -> port -> place. Every bay number in it is a bay of the world."""

    def __init__(
        self,
        path: Path,
        layout: Mapping[str, Mapping[int, Place]],
        *,
        registered: frozenset[str] = frozenset(BALLS),
        credits_limit: int = CREDITS_LIMIT,
    ) -> None:
        self.layout = layout
        places = [place for ports in layout.values() for place in ports.values()]
        self.world = World(path, {place.bay: Rules() for place in places if isinstance(place, Tee)})
        self.lying: dict[tuple[str, int], dict[str, int]] = {}  # antenna -> EPC -> dBm
        self.listened: list[tuple[str, int, float, float]] = []  # reader, port, from, until
        self.rounds: list[tuple[float, str, frozenset[int]]] = []  # when the driver reported them
        self._registered = registered
        self._credits_limit = credits_limit
        self.rigs = {name: MemoryRig() for name in layout}
        self.sims = {name: self._make_sim(name) for name in layout}
        self.antennas: AntennaReconciler
        self.presence: PresenceEngine

    def _make_sim(self, name: str) -> R2000Sim:
        rig = self.rigs[name]
        sim = R2000Sim(
            rig.deliver,
            field=lambda port, _now: list(self.lying.get((name, port), {}).items()),
            on_listen=lambda port, began, ended: self.listened.append((name, port, began, ended)),
            rng=random.Random(7),
        )
        rig.device = sim
        return sim

    def close(self) -> None:
        for rig in self.rigs.values():
            rig.close()

    # The world outside.

    def lay(self, reader: str, port: int, epc: str, dbm: int = HOME_DBM) -> None:
        self.lying.setdefault((reader, port), {})[epc] = dbm

    def lift(self, epc: str) -> None:
        for balls in self.lying.values():
            balls.pop(epc, None)

    def heard_since(self, began: float) -> set[tuple[str, int]]:
        """Which antennas were live after this moment."""
        return {(name, port) for name, port, _, ended in self.listened if ended > began}

    # The daemon.

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Range]:
        async with self.world.up() as bays:
            routes = {
                name: ReaderRoutes(
                    {port: PortRoute(place, POWER_DBM) for port, place in ports.items()}, 2, 60
                )
                for name, ports in self.layout.items()
            }
            self.presence = PresenceEngine(
                [
                    Route(name, port, place)
                    for name, ports in self.layout.items()
                    for port, place in ports.items()
                ],
                self._registered,
                presence_rules((one.revisit_ms for one in routes.values()), 120),
            )
            self.antennas = AntennaReconciler(
                routes,
                self.presence,
                bays,
                clock=self.world.clock,
                log=self.world.log,
                credits_limit=self._credits_limit,
            )
            bays.observe(self.antennas)
            for task in bays.bays.values():
                task.announce()
            async with asyncio.TaskGroup() as tasks:
                roots = [tasks.create_task(self.antennas.run(), name="antennas")]
                for name, rig in self.rigs.items():
                    settings = R2000Settings(port_count=8)
                    driver = R2000Reader(rig.opener, self._listener(name), settings, jitter=lambda: 0.5)
                    self.antennas.attach(name, driver)
                    roots.append(tasks.create_task(driver.run(), name=name))
                try:
                    yield bays
                finally:
                    for root in roots:
                        root.cancel()

    def _listener(self, name: str) -> Callable[[ReaderEvent], None]:
        antennas = self.antennas

        def on_event(event: ReaderEvent) -> None:
            if isinstance(event, RoundEnded):
                self.rounds.append((asyncio.get_running_loop().time(), name, event.ports))
            antennas.reader_event(name, event)

        return on_event

    async def play(self, *numbers: str) -> None:
        for index, number in enumerate(numbers):
            await self.world.play(number, str(700 + index))

    async def credits(self) -> list[tuple[str, str]]:
        """(bay, EPC) of every ball that the journal holds as counted."""
        found: list[tuple[str, str]] = []
        after = 0
        while page := await self.world.journal.read(after):
            found += [(r.bay, r.event.epc) for r in page if isinstance(r.event, e.BallRead)]
            after = page[-1].seq
        return found

    def reader_fact(self, number: str) -> tuple[str, str]:
        fact = self.world.range.get(number).devices.get("reader")
        return ("unknown", "") if fact is None else (fact.state.value, fact.reason)
