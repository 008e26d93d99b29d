"""Readers of both families behind ptys, and the daemon's reader side as it is wired, on real time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bayd.core import events as e
from bayd.journal import ThreadJournalExecutor
from bayd.runtime.range import Range
from bayd.settings.readers import Reader
from bayd.wiring.readers import ReaderParts, ReaderPlan
from hardware.sim.ptys import PtyPort
from hardware.sim.r2000 import R2000Sim
from hardware.sim.uhf288 import Uhf288Sim
from tests.simulation.world import SimRandomness, World

PATIENCE_S = 30.0
HOME_DBM = -50


class SimulatedReader:
    """One reader on its serial port; its link outlives unplugging."""

    def __init__(self, path: Path, driver: str) -> None:
        self.lying: dict[int, dict[str, int]] = {}  # port -> EPC -> dBm
        self.listened: list[tuple[int, float, float]] = []
        self.driver = driver
        sim_type: type[R2000Sim] | type[Uhf288Sim] = R2000Sim if driver == "r2000_a0" else Uhf288Sim
        self.sim = sim_type(
            lambda data: self.port.send(data),  # noqa: PLW0108 # the port is made below
            ports=8,
            field=lambda port, _now: list(self.lying.get(port, {}).items()),
            on_listen=lambda port, began, ended: self.listened.append((port, began, ended)),
            rng=random.Random(7),
        )
        self.port = PtyPort(
            path, self.sim.receive, expected_baudrate=115_200 if driver == "r2000_a0" else 57_600
        )

    @property
    def link(self) -> str:
        return str(self.port.path)

    def settings(self, ports: Mapping[str, str], **more: Any) -> Reader:
        return Reader.model_validate({"driver": self.driver, "link": self.link, "ports": ports, **more})

    def lay(self, port: int, epc: str, dbm: int = HOME_DBM) -> None:
        self.lying.setdefault(port, {})[epc] = dbm

    def lift(self, epc: str) -> None:
        for balls in self.lying.values():
            balls.pop(epc, None)

    def close(self) -> None:
        self.sim.close()
        self.port.unplug()


@asynccontextmanager
async def reader_side(
    world: World, settings: Mapping[str, Reader], registered: frozenset[str]
) -> AsyncIterator[tuple[Range, ReaderParts]]:
    """The core, the journal in its thread, and the readers."""
    world.executor = ThreadJournalExecutor()
    try:
        async with world.up() as bays:
            parts = ReaderParts(
                ReaderPlan(settings, registered),
                bays,
                clock=world.clock,
                randomness=SimRandomness(),
                log=world.log,
            )
            bays.observe(parts.antennas)
            bays.observe(parts.unread)
            for task in bays.bays.values():
                task.announce()
            async with asyncio.TaskGroup() as tasks:
                roots = [tasks.create_task(parts.antennas.run(), name="antennas")]
                roots.append(tasks.create_task(parts.run(), name="readers"))
                try:
                    yield bays, parts
                finally:
                    for root in roots:
                        root.cancel()
    finally:
        world.executor.close()


async def credits_in(world: World) -> list[tuple[str, str]]:
    """(bay, EPC) of every ball that the journal holds as counted."""
    records = await world.journal.read(0, limit=100_000)
    return [(record.bay, record.event.epc) for record in records if isinstance(record.event, e.BallRead)]


async def until(holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 # several things are waited for in this way
            await asyncio.sleep(0.01)
