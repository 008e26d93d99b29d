"""Many payouts on one dispenser, with trouble at every step, against the device's own truth.

Each dispense is played as the daemon plays it: mark, journal the mark, pay, ask for progress until the
machine stands. A seed orders trouble for the device and its line, stops, and kills the host at any moment;
after a kill only the journaled mark is left. Whatever `paid` says must be what fell, and None is the answer
only where the device really does not tell.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hardware.dispenser import (
    Dispenser,
    DispenserUnavailableError,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
)

T = TypeVar("T")

POLL_S = 0.1
GIVE_UP_S = 120.0  # virtual; no trouble that is ordered here lasts that long
PAYOUTS = (1, 2, 7, 12, 20, 20, 20, 60)


class TrialRig(ABC):
    """A device on its line, and the host's driver for it."""

    @property
    @abstractmethod
    def driver(self) -> Dispenser: ...

    @property
    @abstractmethod
    def ejected(self) -> int: ...

    @property
    @abstractmethod
    def resets(self) -> int: ...

    @abstractmethod
    def order_trouble(self, chance: random.Random, balls: int) -> None:
        """For the dispense that follows."""

    @abstractmethod
    def forget_trouble(self) -> None:
        """What has not happened yet will not happen."""

    @abstractmethod
    def needs_repair(self) -> bool: ...

    @abstractmethod
    async def repair(self) -> None:
        """What staff do after a jam. Raises DispenserUnavailableError."""

    @abstractmethod
    def may_not_know(self, mark: Mark, *, reset: bool) -> bool:
        """The device really does not tell what became of the last payout."""

    @abstractmethod
    def story(self) -> str:
        """Its registers, for the message of a failure."""

    @abstractmethod
    def restart(self) -> None:
        """The crash of the host."""

    async def aclose(self) -> None:
        await self.driver.aclose()


class HostKilledError(Exception):
    """The process is gone in the middle of a call."""


class Trial:
    """One host, one device, many dispenses."""

    def __init__(self, rig: TrialRig, chance: random.Random) -> None:
        self.chance = chance
        self.rig = rig
        self.outcomes: Counter[str] = Counter()
        self.kill_within_s: float | None = None

    async def run(self, dispenses: int) -> None:
        await self._until_done(self.rig.driver.connect)
        for _ in range(dispenses):
            await self._dispense()
        await self.rig.aclose()

    async def _dispense(self) -> None:
        rig, chance = self.rig, self.chance
        balls = chance.choice(PAYOUTS)
        before, resets = rig.ejected, rig.resets
        rig.order_trouble(chance, balls)
        # Mark and pay take about 0.15 s, the rest is the motor's.
        self.kill_within_s = chance.choice([None, None, chance.uniform(0, 0.25), chance.uniform(0, 4)])
        mark = await self._get_mark()
        stop_at = chance.uniform(0, 3) if chance.random() < 0.1 else None
        started = await self._pay(balls, mark)
        progress = await self._follow(balls, mark, stop_at)
        fallen = rig.ejected - before
        self._compare(balls, mark, progress, fallen, started)
        if progress.paid is None:
            assert rig.may_not_know(mark, reset=rig.resets > resets), self._story(mark)
        rig.forget_trouble()
        await asyncio.sleep(5.0)
        assert rig.ejected - before == fallen, "balls fell after the payout was said to be over"
        self.kill_within_s = None
        if rig.needs_repair():
            await self._until_done(rig.repair)

    async def _get_mark(self) -> Mark:
        """No mark has been journaled: a killed host begins anew."""
        while True:
            try:
                return await self._until_done(self.rig.driver.mark)
            except HostKilledError:
                await self._restart()

    async def _pay(self, balls: int, mark: Mark) -> bool | None:
        """None: the host does not know."""
        for _ in range(3):
            fallen = self.rig.ejected
            try:
                await self._mortal(self.rig.driver.pay(balls, mark))
                self.outcomes["accepted"] += 1
                return True
            except NotStartedError:
                self.outcomes["not started"] += 1
                assert self.rig.ejected == fallen
                # Allowed by the port: the same mark again.
            except OutcomeUnknownError:
                self.outcomes["outcome unknown"] += 1
                return None
            except HostKilledError:
                await self._restart()
                return None
        return False

    async def _follow(self, balls: int, mark: Mark, stop_at: float | None) -> Progress:
        loop = asyncio.get_running_loop()
        stop_at = None if stop_at is None else loop.time() + stop_at
        while True:
            try:
                progress = await self._until_done(lambda: self.rig.driver.progress(balls, mark))
                if not progress.running:
                    return progress
                if stop_at is not None and loop.time() > stop_at:
                    stop_at = None
                    self.outcomes["stopped"] += 1
                    await self._until_done(self.rig.driver.stop)
                await asyncio.sleep(POLL_S)
            except HostKilledError:
                await self._restart()

    def _compare(self, balls: int, mark: Mark, progress: Progress, fallen: int, started: bool | None) -> None:
        if progress.paid is None:
            self.outcomes["unknown"] += 1
            assert progress.fault, self._story(mark)
            return
        self.outcomes[progress.fault or ("complete" if progress.paid == balls else "short")] += 1
        assert progress.paid == fallen, (balls, progress, self._story(mark))
        if started is False:
            assert fallen == 0

    def _story(self, mark: Mark) -> str:
        return f"{mark=} {self.rig.story()} {self.outcomes}"

    async def _restart(self) -> None:
        self.outcomes["killed"] += 1
        self.kill_within_s = self.chance.uniform(0, 4) if self.chance.random() < 0.3 else None
        self.rig.restart()
        try:
            await self._until_done(self.rig.driver.connect)
        except HostKilledError:
            await self._restart()

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + GIVE_UP_S
        while True:
            try:
                return await self._mortal(call())
            except DispenserUnavailableError:
                assert asyncio.get_running_loop().time() < deadline, "never available again"
                await self._mortal(asyncio.sleep(0.3))

    async def _mortal(self, call: Awaitable[T]) -> T:
        """Run a call; the host may be killed in the middle of it."""
        if self.kill_within_s is None:
            return await call
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            async with asyncio.timeout(self.kill_within_s):
                result = await call
        except TimeoutError as error:
            self.kill_within_s = None
            raise HostKilledError from error
        self.kill_within_s -= loop.time() - began_at
        return result
