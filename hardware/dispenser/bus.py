"""One line, several devices that only answer: what ccTalk and Modbus have in common.

An exchange is one request and the answer of that device. `tell` sends once: for commands, and whoever uses
it must find out what became of them. `ask` sends again after silence or nonsense: for questions, and for
commands that do no harm twice (stop, disable). A bus knows how to converse; whose turn it is, opening,
silence and the share of dead devices are the line's.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from hardware.dispenser.line import ExchangeError, NoReplyError, SharedLine, Timing, hush, timing_for
from hardware.link import Link, LinkOpener

ATTEMPTS = 3

R = TypeVar("R")  # a request of the protocol


class BusTurn(Generic[R]):
    """The line, for one device, for as long as the turn lasts."""

    def __init__(self, bus: "Bus[R]", link: Link, device: int) -> None:
        self._bus = bus
        self._link = link
        self._device = device

    async def tell(self, request: R) -> bytes:
        """Send once; the answer's data. Raises ExchangeError (by kind) and LinkLostError."""
        return await self._bus.exchange(self._link, self._device, request)

    async def ask(self, request: R) -> bytes:
        """Send again after silence or nonsense. Raises as `tell`."""
        attempts = self._bus.attempts(self._device)
        while True:
            attempts -= 1
            try:
                return await self.tell(request)
            except ExchangeError as error:
                if attempts <= 0 or not error.worth_repeating:
                    raise
                self._bus.repeats += 1
                if not error.line_is_quiet:
                    await self.hush()

    async def hush(self) -> None:
        """Wait until nothing is on its way any more."""
        await hush(self._link, self._bus.timing.quiet_s)


class Bus(ABC, Generic[R]):
    """The link opens with the first turn and closes with the last `release`."""

    def __init__(self, opener: LinkOpener, timing: Timing | None = None) -> None:
        self.timing = timing or timing_for(opener.name)
        self._line = SharedLine(opener, quiet_s=self.timing.quiet_s)
        self._owners: dict[int, object] = {}
        self.exchanges = 0
        self.repeats = 0
        self.no_replies = 0
        self.corrupt_replies = 0

    @property
    def name(self) -> str:
        return self._line.name

    def attempts(self, device: int) -> int:
        return ATTEMPTS if self._line.is_alive(device) else 1

    def claim(self, device: int, owner: object) -> None:
        """Two drivers for one device would pay twice. Raises ValueError."""
        if self._owners.setdefault(device, owner) is not owner:
            raise ValueError(f"{self.name}: two dispensers are configured with address {device}")

    async def release(self, device: int, owner: object) -> None:
        if self._owners.get(device) is owner:
            del self._owners[device]
        if not self._owners:
            await self._line.aclose()

    @asynccontextmanager
    async def turn(self, device: int, *, urgent: bool = False) -> AsyncIterator[BusTurn[R]]:
        """Several exchanges with one device, none in between. Raises LinkUnavailableError."""
        if not urgent:
            await self._line.wait_for_share(device)
        async with self._line.turn(urgent=urgent) as link:
            yield BusTurn(self, link, device)

    async def ask(self, device: int, request: R, *, urgent: bool = False) -> bytes:
        """As BusTurn.ask, with the line given up between the attempts."""
        attempts = self.attempts(device)
        while True:
            attempts -= 1
            try:
                async with self.turn(device, urgent=urgent) as turn:
                    return await turn.tell(request)
            except ExchangeError as error:
                if attempts <= 0 or not error.worth_repeating:
                    raise
                self.repeats += 1

    async def exchange(self, link: Link, device: int, request: R) -> bytes:
        """Inside a turn only. Raises ExchangeError (by kind) and LinkLostError."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        self.exchanges += 1
        try:
            data = await self._converse(link, device, request)
        except ExchangeError as error:
            if error.is_an_answer:
                self._line.answered(device)
                raise
            if isinstance(error, NoReplyError):
                self.no_replies += 1
            else:
                self.corrupt_replies += 1
            self._line.did_not_answer(device, loop.time() - began_at + self.timing.quiet_s)
            raise
        self._line.answered(device)
        return data

    @abstractmethod
    async def _converse(self, link: Link, device: int, request: R) -> bytes:
        """One request, one answer, on the wire."""
