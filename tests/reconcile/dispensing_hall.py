"""Two bays at one machine, on virtual time; the process may die at any write of the journal.

Death is the real thing as far as the program can tell: the COMMIT is made or not, the line is cut in the same
moment, and no line of code after it runs to any effect. What comes back knows the journal alone.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bayd.core import inputs as i
from bayd.core.model import Balls, Bay, DeviceState
from bayd.core.rules import Rules
from bayd.reconcile.ball_level import LevelRules
from bayd.reconcile.dispensing import DispenserReconciler
from bayd.runtime.range import Range
from tests.reconcile.dispensing_machines import Machine
from tests.simulation.world import World

SCREEN = i.Actor(i.Role.SCREEN, "screen")
STAFF = i.Actor(i.Role.STAFF, "anna")
DISPENSER = "dispenser"
PATIENCE_S = 300.0  # virtual
REPAIR_S = 6.0  # until a supervised machine was looked at again


class ProcessKilledError(BaseException):
    """Not an Exception: nothing in the program may catch it."""


class MortalDisk:
    """Given to `Journal.open(connect=…)`: kills the process at its n-th commit, before it or after it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.commits = 0
        self.dead = False
        self._die_at: int | None = None
        self._after = False

    def die_in(self, commits: int, *, after: bool) -> None:
        self._die_at, self._after = self.commits + commits, after

    def forgive(self) -> None:
        self._die_at = None

    def reborn(self) -> None:
        self.dead = False
        self._die_at = None

    def connect(self, uri: str) -> sqlite3.Connection:
        conn = sqlite3.connect(uri, uri=True, isolation_level=None, factory=_Connection)
        conn.disk = self
        return conn

    def meet(self, sql: str, *, after: bool) -> None:
        if self.dead:
            raise ProcessKilledError
        if sql != "COMMIT":
            return
        if not after:
            self.commits += 1
        if self.commits == self._die_at and after == self._after:
            self.dead = True
            self._machine.cut()
            raise ProcessKilledError


class _Connection(sqlite3.Connection):
    disk: MortalDisk

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self.disk.meet(sql, after=False)
        # A process dies here, the machine never does: nothing is lost between file and disk.
        cursor = super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *args)
        try:
            self.disk.meet(sql, after=True)
        except ProcessKilledError:
            cursor.close()
            raise
        return cursor


class Hall:
    """Bays 109 and 110 at one machine. Leaving `open` is a crash, too."""

    def __init__(
        self, path: Path, machine: Machine, rules: Rules | None = None, level_rules: LevelRules | None = None
    ) -> None:
        rules = rules or Rules(dispenser="east", dispenser_step=machine.driver.capabilities.step)
        self.machine = machine
        self.world = World(path, {"109": rules, "110": rules})
        self.disk = MortalDisk(machine)
        self.world.connect = self.disk.connect
        self.level_rules = level_rules
        self.reconciler: DispenserReconciler
        self.deaths = 0
        self._presses = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Range]:
        """The daemon's core and the reconciler run, until the block is left or the disk kills them."""
        self.disk.reborn()
        try:
            async with self.world.up() as bays:
                self.reconciler = reconciler = self.make_reconciler(bays)
                async with asyncio.TaskGroup() as tasks:
                    running = tasks.create_task(reconciler.run(), name="east")
                    try:
                        yield bays
                    finally:
                        self.machine.cut()
                        running.cancel()
        except* ProcessKilledError:
            pass
        finally:
            self.deaths += self.disk.dead
            self.machine.cut()
            self.machine.revive()

    def make_reconciler(
        self,
        bays: Range,
        name: str = "east",
        machine: Machine | None = None,
        numbers: tuple[str, ...] = ("109", "110"),
    ) -> DispenserReconciler:
        """One that knows the bays as they are now."""
        driver = (machine or self.machine).driver
        reconciler = DispenserReconciler(name, driver, numbers, bays, self.world.log, self.level_rules)
        bays.observe(reconciler)
        for task in bays.bays.values():
            task.announce()
        return reconciler

    def bay(self, number: str = "109") -> Bay:
        return self.world.range.get(number)

    def balls(self, number: str = "109") -> Balls:
        """Of the session in play, or of the one that is over."""
        bay = self.bay(number)
        if bay.session is not None:
            return bay.session.balls
        assert bay.last is not None
        return bay.last.balls

    async def press(self, number: str, balls: int) -> i.Dispense:
        self._presses += 1
        request = i.Dispense(f"p{self._presses}", balls, SCREEN)
        done = await self.world.range.submit(number, request)
        assert done.decision.refusal is None, done.decision.refusal
        return request

    async def paid_out(self, number: str = "109", within_s: float = PATIENCE_S) -> Bay:
        async with asyncio.timeout(within_s):
            while self.bay(number).payout is not None:  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.05)
        return self.bay(number)

    async def ready(self) -> None:
        """The machine answers."""
        async with asyncio.timeout(PATIENCE_S):
            while self.reconciler.view().state in (DeviceState.UNKNOWN, DeviceState.LOST):  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.05)

    async def level_known(self) -> None:
        """The sensor was asked often enough to be believed."""
        await asyncio.sleep(25)

    async def stands(self) -> None:
        """By the device's own word."""
        async with asyncio.timeout(PATIENCE_S):
            while self.machine.running:  # noqa: ASYNC110 # a machine tells nobody
                await asyncio.sleep(0.05)

    async def see_to_the_machine(self) -> None:
        """Staff do what it takes, when it wants them."""
        self.machine.forget_trouble()
        self.machine.repair()
        await self.ready()
        await asyncio.sleep(0.2)
        if self.bay().devices[DISPENSER].state is DeviceState.FAULT:
            await self.world.range.submit("109", i.ClearFault(DISPENSER, STAFF))
            await asyncio.sleep(REPAIR_S)
