"""Relay boards that close a dispenser's coin input for a moment.

A pulse is the one dangerous act: it may fail at any byte, and then nobody knows whether the machine has seen
it. So a pulse first sends OFF (a board that cannot be reached is found out before anything was done), and
every error after that is OutcomeUnknownError. OFF follows ON whatever happens, also when the caller is
cancelled; the one thing that code cannot cover, the death of the process in between, is covered by
`make_safe` at the next start, and does not arise with a board that times its own pulse (`WaveshareBoard`).

One board serves several dispensers, one channel each; pulses on one board follow one another.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import ceil
from typing import Protocol

from hardware.dispenser.dispenser import NotStartedError, OutcomeUnknownError
from hardware.dispenser.line import (
    CorruptReplyError,
    ExchangeError,
    NoReplyError,
    SharedLine,
    Timing,
    Turns,
    timing_for,
)
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus import COIL_OFF, parse_bits, read_bits, write_coil
from hardware.dispenser.modbus_bus import ModbusBus, ModbusExceptionError
from hardware.dispenser.relay_frames import (
    find_kmtronic_state,
    kmtronic_read,
    kmtronic_set,
    lcus_set,
    numato_answer,
    numato_read,
    numato_read_input,
    numato_set,
    parse_numato_input,
    parse_numato_state,
)
from hardware.link import Link, LinkError, LinkOpener

WAVESHARE_FLASH = 0x0200  # coil address of FLASH-ON for the first channel; boards after 2021-09
WAVESHARE_UNIT_S = 0.1  # of its value
LCUS_SETTLE_S = 0.03  # 4 bytes at 9600 baud and the relay's own time; the board never answers
REPLY_S = 0.2  # of boards that do; no document names a time


class RelayBoard(Protocol):
    """Channels count from 1."""

    @property
    def name(self) -> str: ...

    @property
    def channels(self) -> int: ...

    def claim(self, channel: int, owner: object) -> None:
        """Two drivers on one channel would pay twice. Raises ValueError."""
        ...

    async def release(self, channel: int, owner: object) -> None: ...

    async def make_safe(self, *, urgent: bool = False) -> None:
        """OFF to every channel. Raises ExchangeError, LinkError."""
        ...

    async def release_contact(self, channel: int) -> None:
        """OFF to one channel: harmless, and tells whether the board is there. Raises as `make_safe`."""
        ...

    async def pulse(self, channel: int, width_s: float, cut: asyncio.Event) -> None:
        """Close and open once; `cut` opens early. Raises NotStartedError or OutcomeUnknownError."""
        ...


class SerialRelayBoard(ABC):
    """A board with a serial port of its own, which times nothing."""

    def __init__(self, opener: LinkOpener, channels: int, timing: Timing | None = None) -> None:
        self._timing = timing or timing_for(opener.name)
        self._line = SharedLine(opener, quiet_s=self._timing.gap_s)
        self._channels = channels
        self._owners: dict[int, object] = {}
        self._safe_since = 0  # the opening of the line since which every channel is known to be off
        for channel in range(1, channels + 1):
            self._command(channel, on=False)  # raises ValueError for a board that has fewer

    @property
    def name(self) -> str:
        return self._line.name

    @property
    def channels(self) -> int:
        return self._channels

    def claim(self, channel: int, owner: object) -> None:
        _claim(self._owners, channel, self._channels, owner, self.name)

    async def release(self, channel: int, owner: object) -> None:
        if self._owners.get(channel) is owner:
            del self._owners[channel]
        if not self._owners:
            await self._line.aclose()

    async def make_safe(self, *, urgent: bool = False) -> None:
        self._safe_since = 0
        async with self._turn(urgent=urgent):
            pass

    async def release_contact(self, channel: int) -> None:
        async with self._turn() as link:
            await self._set(link, channel, on=False)

    async def pulse(self, channel: int, width_s: float, cut: asyncio.Event) -> None:
        sent = False
        try:
            async with self._turn() as link:
                await self._set(link, channel, on=False)
                if cut.is_set():
                    raise NotStartedError(f"{self.name}, channel {channel}: stopped before the pulse")
                sent = True
                try:
                    await self._set(link, channel, on=True)
                    await _wait(cut, width_s)
                finally:
                    # Without waiting for anything, so that a cancelled caller does it too.
                    try:
                        link.write(self._command(channel, on=False))
                    except LinkError:
                        pass  # the next line finds out, and a cancelled caller stays cancelled
                await self._set(link, channel, on=False)
        except (ExchangeError, LinkError) as error:
            if sent:
                raise OutcomeUnknownError(f"the pulse may have been seen: {error}") from error
            raise NotStartedError(f"no pulse was sent: {error}") from error

    @asynccontextmanager
    async def _turn(self, *, urgent: bool = False) -> AsyncIterator[Link]:
        """The line; after each opening OFF goes to every channel first."""
        async with self._line.turn(urgent=urgent) as link:
            if self._safe_since != self._line.opened:
                for channel in range(1, self._channels + 1):
                    await self._set(link, channel, on=False)
                self._safe_since = self._line.opened
            yield link

    @abstractmethod
    def _command(self, channel: int, *, on: bool) -> bytes: ...

    @abstractmethod
    async def _set(self, link: Link, channel: int, *, on: bool) -> None:
        """Switch, and make sure as far as the board allows. Raises ExchangeError, LinkLostError."""

    async def _converse(
        self, link: Link, command: bytes, is_complete: Callable[[bytes], bool], what: str
    ) -> bytes:
        link.discard_input()
        link.write(command)
        heard = b""
        try:
            async with asyncio.timeout(REPLY_S + self._timing.margin_s):
                while not is_complete(heard):
                    heard += await link.read()
        except TimeoutError as error:
            if heard:
                raise CorruptReplyError(f"{self.name}, {what}: answered {heard!r}") from error
            raise NoReplyError(f"{self.name}, {what}: no answer; check cable and board type") from error
        return heard


class LcusBoard(SerialRelayBoard):
    """LCUS-1/2/4/8. Never acknowledges: what was written is taken for done."""

    def _command(self, channel: int, *, on: bool) -> bytes:
        return lcus_set(channel, on=on)

    async def _set(self, link: Link, channel: int, *, on: bool) -> None:
        link.write(self._command(channel, on=on))
        await asyncio.sleep(LCUS_SETTLE_S)
        link.discard_input()  # echoes and status texts differ per board


class KmtronicBoard(SerialRelayBoard):
    def _command(self, channel: int, *, on: bool) -> bytes:
        return kmtronic_set(channel, on=on)

    async def _set(self, link: Link, channel: int, *, on: bool) -> None:
        what = f"channel {channel}"
        command = self._command(channel, on=on) + kmtronic_read(channel)
        heard = await self._converse(
            link, command, lambda heard: find_kmtronic_state(heard, channel) is not None, what
        )
        if find_kmtronic_state(heard, channel) is not on:
            raise CorruptReplyError(f"{self.name}, {what}: does not switch {'on' if on else 'off'}")


class NumatoBoard(SerialRelayBoard):
    def _command(self, channel: int, *, on: bool) -> bytes:
        return numato_set(channel, on=on)

    async def _set(self, link: Link, channel: int, *, on: bool) -> None:
        await self._answer(link, self._command(channel, on=on))
        state = parse_numato_state(await self._answer(link, numato_read(channel)))
        if state is not on:
            raise CorruptReplyError(
                f"{self.name}, channel {channel}: does not switch {'on' if on else 'off'}"
            )

    async def read_input(self, gpio: int) -> bool:
        """A GPIO as an input. Raises ExchangeError, LinkError."""
        async with self._turn() as link:
            answer = await self._answer(link, numato_read_input(gpio))
        state = parse_numato_input(answer)
        if state is None:
            raise CorruptReplyError(f"{self.name}, input {gpio}: answered {answer!r}")
        return state

    async def _answer(self, link: Link, command: bytes) -> str:
        what = command.decode().strip()
        heard = await self._converse(
            link, command, lambda heard: numato_answer(heard, command) is not None, what
        )
        return numato_answer(heard, command) or ""


class WaveshareBoard:
    """A Modbus RTU relay board that times its own pulse (FLASH-ON, boards after 2021-09)."""

    def __init__(self, bus: ModbusBus, *, unit: int = 1, channels: int = 8) -> None:
        self._bus = bus
        self._unit = unit
        self._channels = channels
        self._turns = Turns()  # OFF to every channel must not cut the neighbour's pulse
        self._owners: dict[int, object] = {}
        bus.claim(unit, self)

    @property
    def name(self) -> str:
        return f"{self._bus.name}, unit {self._unit}"

    @property
    def channels(self) -> int:
        return self._channels

    def claim(self, channel: int, owner: object) -> None:
        _claim(self._owners, channel, self._channels, owner, self.name)
        self._bus.claim(self._unit, self)

    async def release(self, channel: int, owner: object) -> None:
        if self._owners.get(channel) is owner:
            del self._owners[channel]
        if not self._owners:
            await self._bus.release(self._unit, self)

    async def make_safe(self, *, urgent: bool = False) -> None:
        await self._turns.acquire(urgent=urgent)
        try:
            for channel in range(self._channels):
                # Asked, not told: OFF twice does no harm.
                await self._bus.ask(self._unit, write_coil(channel, COIL_OFF), urgent=urgent)
            if any(await self._coils()):
                raise CorruptReplyError(f"{self.name}: a relay does not switch off")
        finally:
            self._turns.release()

    async def release_contact(self, channel: int) -> None:
        await self._bus.ask(self._unit, write_coil(channel - 1, COIL_OFF))

    async def pulse(self, channel: int, width_s: float, cut: asyncio.Event) -> None:
        await self._turns.acquire()
        try:
            await self._flash(channel, ceil(width_s / WAVESHARE_UNIT_S), cut)
            # The board opens by itself; a cut is made by the OFF that `stop` sends next.
            await _wait(cut, width_s)
        finally:
            self._turns.release()

    async def _flash(self, channel: int, tenths: int, cut: asyncio.Event) -> None:
        sent = False
        try:
            if any(await self._coils()):
                raise NotStartedError(f"{self.name}: a relay is on already; make it safe first")
            async with self._bus.turn(self._unit) as turn:
                if cut.is_set():
                    raise NotStartedError(f"{self.name}, channel {channel}: stopped before the pulse")
                sent = True
                await turn.tell(write_coil(WAVESHARE_FLASH + channel - 1, tenths))
        except ModbusExceptionError as error:
            if error.certainly_not_done or not sent:
                raise NotStartedError(f"no pulse was sent: {error}") from error
            raise OutcomeUnknownError(f"the pulse may have been seen: {error}") from error
        except (ExchangeError, LinkError, MalformedReplyError) as error:
            if not sent:
                raise NotStartedError(f"no pulse was sent: {error}") from error
            if not await self._is_seen_on(channel):
                raise OutcomeUnknownError(f"the pulse may have been seen: {error}") from error

    async def _is_seen_on(self, channel: int) -> bool:
        """After a lost reply: a relay that is on proves the pulse. One that is off proves nothing."""
        try:
            return (await self._coils())[channel - 1]
        except (ExchangeError, LinkError, MalformedReplyError):
            return False

    async def _coils(self) -> tuple[bool, ...]:
        data = await self._bus.ask(self._unit, read_bits(0, self._channels))
        return parse_bits(data, self._channels)


def _claim(owners: dict[int, object], channel: int, channels: int, owner: object, name: str) -> None:
    if not 1 <= channel <= channels:
        raise ValueError(f"{name}: the board has channels 1 to {channels}, not {channel}")
    if owners.setdefault(channel, owner) is not owner:
        raise ValueError(f"{name}: two dispensers are configured on channel {channel}")


async def _wait(cut: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await cut.wait()
    except TimeoutError:
        pass
