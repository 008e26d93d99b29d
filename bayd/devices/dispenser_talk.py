"""Questions to whatever is on a free dispenser line: which ccTalk addresses, which Modbus units answer.

Only asked, never told: no motor, no setting, no reset. A relay board with a serial protocol of its own says
nothing of itself and cannot be found; nor can a machine on a line with another speed than the usual one.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from hardware.dispenser import cctalk, modbus
from hardware.dispenser.bus import Bus, BusTurn
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.line import ExchangeError
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus_bus import ModbusBus, ModbusExceptionError
from hardware.link import LinkError, opener_for

BAUDRATE = 9_600  # ccTalk, and what PLCs and relay boards come with
HOPPERS = range(3, 11)  # payouts have the addresses 3 to 10 (ccTalk generic specification, category payout)
UNITS = range(1, 5)

R = TypeVar("R")  # a request of the bus's protocol


class DispenserTalkError(Exception):
    """The line cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Found:
    protocol: str  # "cctalk", "modbus"
    address: int
    product: str  # empty: it does not tell
    echo: bool | None = None  # of a ccTalk line


async def scan_line(
    link: str, hoppers: Iterable[int] = HOPPERS, units: Iterable[int] = UNITS
) -> tuple[Found, ...]:
    """All that answers. Raises DispenserTalkError."""
    try:
        found = await _hoppers(link, tuple(hoppers), echo=True)
        # Nobody hears himself: either nothing is there, or the adapter takes the echo off.
        found = found or await _hoppers(link, tuple(hoppers), echo=False)
        return found or await _units(link, tuple(units))
    except (LinkError, ValueError) as error:
        raise DispenserTalkError(str(error)) from error


async def _hoppers(link: str, addresses: tuple[int, ...], *, echo: bool) -> tuple[Found, ...]:
    bus = CctalkBus(opener_for(link, baudrate=BAUDRATE), echo=echo)
    found = []
    for address in addresses:
        try:
            async with _turn_at(bus, address) as turn:
                await turn.tell(cctalk.SIMPLE_POLL)
                product = cctalk.parse_text(await turn.ask(cctalk.PRODUCT))
        except (ExchangeError, MalformedReplyError):
            continue  # nobody, noise, or another protocol
        found.append(Found("cctalk", address, product, echo))
    return tuple(found)


@asynccontextmanager
async def _turn_at(bus: Bus[R], device: int) -> AsyncIterator[BusTurn[R]]:
    bus.claim(device, bus)
    try:
        async with bus.turn(device) as turn:
            yield turn
    finally:
        await bus.release(device, bus)


async def _units(link: str, units: tuple[int, ...]) -> tuple[Found, ...]:
    bus = ModbusBus(opener_for(link, baudrate=BAUDRATE), baudrate=BAUDRATE)
    found = []
    for unit in units:
        try:
            async with _turn_at(bus, unit) as turn:
                await turn.tell(modbus.read_registers(0, 1))
        except ModbusExceptionError:
            pass  # it answers, if only that it has no such register
        except ExchangeError:
            continue
        found.append(Found("modbus", unit, ""))
    return tuple(found)
