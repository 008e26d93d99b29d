"""A ccTalk line with its hoppers: one exchange at a time, and only questions are ever repeated.

An exchange writes one command, takes the echo off (byte for byte: a difference is a collision), and waits
for the reply of that device. `ask` repeats after silence or nonsense, so it is for questions and for commands
that do no harm twice (enable, stop). `tell` sends once: whoever uses it must find out what became of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hardware.dispenser import cctalk
from hardware.dispenser.cctalk import Checksum, CollisionError, Command, Decoder, EchoRemover, Frame
from hardware.dispenser.line import (
    CorruptReplyError,
    ExchangeError,
    NoReplyError,
    RefusedError,
    SharedLine,
    Timing,
    hush,
    timing_for,
)
from hardware.link import Link, LinkOpener

BAUDRATE = 9600  # ccTalk generic specification: 8N1
BYTE_S = 10 / BAUDRATE
ATTEMPTS = 3
ECHO_HINT = "set echo = false if the adapter takes the echo off itself"
REPLY_LIMIT_S = 0.6  # twice the longest frame: nobody may talk longer than that


class BusyError(RefusedError):
    """The device is there but cannot answer now."""


class CctalkTurn:
    """The line, for one device, for as long as the turn lasts."""

    def __init__(self, bus: "CctalkBus", link: Link, address: int) -> None:
        self._bus = bus
        self._link = link
        self._address = address

    async def tell(self, command: Command) -> bytes:
        """Send once; the reply's data. Raises ExchangeError (by kind) and LinkLostError."""
        return await self._bus.exchange(self._link, self._address, command)

    async def ask(self, command: Command) -> bytes:
        """Send again after silence or nonsense. For questions only. Raises as `tell`."""
        attempts = ATTEMPTS
        while True:
            attempts -= 1
            try:
                return await self.tell(command)
            except (NoReplyError, CorruptReplyError, BusyError) as error:
                if attempts <= 0:
                    raise
                self._bus.repeats += 1
                if not error.line_is_quiet:
                    await self.hush()

    async def hush(self) -> None:
        """Wait until nothing is on its way any more."""
        await hush(self._link, self._bus.timing.quiet_s)


class CctalkBus:
    """One link, several hoppers. The link opens with the first turn and closes with the last `release`."""

    def __init__(
        self,
        opener: LinkOpener,
        *,
        checksum: Checksum = Checksum.SUM8,
        echo: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self.timing = timing or timing_for(opener.name)
        self._line = SharedLine(opener, quiet_s=self.timing.quiet_s)
        self._checksum = checksum
        self._echo = echo
        self._owners: dict[int, object] = {}
        self.exchanges = 0
        self.repeats = 0
        self.no_replies = 0
        self.corrupt_replies = 0
        self.collisions = 0

    @property
    def name(self) -> str:
        return self._line.name

    def claim(self, address: int, owner: object) -> None:
        """Two drivers for one hopper would pay twice. Raises ValueError."""
        if self._owners.setdefault(address, owner) is not owner:
            raise ValueError(f"{self.name}: two dispensers are configured with ccTalk address {address}")

    async def release(self, address: int, owner: object) -> None:
        if self._owners.get(address) is owner:
            del self._owners[address]
        if not self._owners:
            await self._line.aclose()

    @asynccontextmanager
    async def turn(self, address: int, *, urgent: bool = False) -> AsyncIterator[CctalkTurn]:
        """Several exchanges with one device, none in between. Raises LinkUnavailableError."""
        if not urgent:
            await self._line.wait_for_share(address)
        async with self._line.turn(urgent=urgent) as link:
            yield CctalkTurn(self, link, address)

    async def ask(self, address: int, command: Command, *, urgent: bool = False) -> bytes:
        """As CctalkTurn.ask, with the line given up between the attempts."""
        attempts = ATTEMPTS if self._line.is_alive(address) else 1
        while True:
            attempts -= 1
            try:
                async with self.turn(address, urgent=urgent) as turn:
                    return await turn.tell(command)
            except (NoReplyError, CorruptReplyError, BusyError):
                if attempts <= 0:
                    raise
                self.repeats += 1

    async def exchange(self, link: Link, address: int, command: Command) -> bytes:
        """Inside a turn only."""
        began_at = asyncio.get_running_loop().time()
        self.exchanges += 1
        try:
            reply = await self._converse(link, address, command)
        except ExchangeError as error:
            if isinstance(error, NoReplyError):
                self.no_replies += 1
            else:
                self.corrupt_replies += 1
            held_s = asyncio.get_running_loop().time() - began_at + self.timing.quiet_s
            self._line.did_not_answer(address, held_s)
            raise
        self._line.answered(address)
        match reply.header:
            case cctalk.NAK:
                raise RefusedError(f"{self._who(address, command)}: refused")
            case cctalk.BUSY:
                raise BusyError(f"{self._who(address, command)}: busy")
            case _:
                return reply.data

    async def _converse(self, link: Link, address: int, command: Command) -> Frame:
        loop = asyncio.get_running_loop()
        raw = command.frame(address, self._checksum).encode()
        echo, decoder, heard = EchoRemover(raw), Decoder(self._checksum), 0
        link.discard_input()
        link.write(raw)
        deadline = loop.time() + len(raw) * BYTE_S + command.reply_within_s + self.timing.margin_s
        limit = deadline + REPLY_LIMIT_S
        while True:
            try:
                async with asyncio.timeout_at(min(deadline, limit)):
                    data = await link.read()
            except TimeoutError as error:
                raise self._silence(address, command, echo, heard) from error
            if self._echo and not echo.complete:
                try:
                    data = echo.feed(data)
                except CollisionError as error:
                    self.collisions += 1
                    who = self._who(address, command)
                    raise CorruptReplyError(f"{who}: collision ({error}); {ECHO_HINT}") from error
            heard += len(data)
            for frame in decoder.feed(data):
                if frame.encode() == raw:
                    heard -= len(raw)  # an echo after all, on a line that was said to have none
                elif self._answers(frame, address, command):
                    return frame
            if heard:
                deadline = loop.time() + self.timing.gap_s

    def _answers(self, frame: Frame, address: int, command: Command) -> bool:
        if frame.dest != cctalk.HOST or frame.source not in (address, None):
            return False
        if frame.header in (cctalk.NAK, cctalk.BUSY):
            return True
        sizes = command.reply_sizes
        return frame.header == cctalk.ACK and (sizes is None or len(frame.data) in sizes)

    def _silence(self, address: int, command: Command, echo: EchoRemover, heard: int) -> ExchangeError:
        who = self._who(address, command)
        if heard:
            return CorruptReplyError(f"{who}: {heard} bytes came, none of them a right answer")
        if self._echo and not echo.complete:
            return NoReplyError(f"{who}: the line gives no echo; check cable and adapter; {ECHO_HINT}")
        return NoReplyError(f"{who}: no answer; check power, cable and address")

    def _who(self, address: int, command: Command) -> str:
        return f"{self.name}, hopper {address}, {command.name}"
