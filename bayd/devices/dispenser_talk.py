"""Questions to whatever is on a free dispenser line: which ccTalk addresses, which Modbus units answer.

Only asked, never told: no motor, no setting, no reset. A relay board with a serial protocol of its own says
nothing of itself and cannot be found; nor can a machine on a line with another speed than the usual one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hardware.dispenser import cctalk, modbus
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.line import ExchangeError, NoReplyError
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus_bus import ModbusBus, ModbusExceptionError
from hardware.link import LinkError, opener_for

BAUDRATE = 9_600  # ccTalk, and what PLCs and relay boards come with
HOPPERS = range(3, 11)  # payouts have the addresses 3 to 10 (ccTalk generic specification, category payout)
UNITS = range(1, 5)


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
        bus.claim(address, bus)
        try:
            async with bus.turn(address) as turn:
                try:
                    await turn.tell(cctalk.SIMPLE_POLL)
                except NoReplyError:
                    continue
                product = cctalk.parse_text(await turn.ask(cctalk.PRODUCT))
        except (ExchangeError, MalformedReplyError):
            continue  # noise, or another protocol
        finally:
            await bus.release(address, bus)
        found.append(Found("cctalk", address, product, echo))
    return tuple(found)


async def _units(link: str, units: tuple[int, ...]) -> tuple[Found, ...]:
    bus = ModbusBus(opener_for(link, baudrate=BAUDRATE), baudrate=BAUDRATE)
    found = []
    for unit in units:
        bus.claim(unit, bus)
        try:
            async with bus.turn(unit) as turn:
                await turn.tell(modbus.read_registers(0, 1))
        except ModbusExceptionError:
            pass  # it answers, if only that it has no such register
        except ExchangeError:
            continue
        finally:
            await bus.release(unit, bus)
        found.append(Found("modbus", unit, ""))
    return tuple(found)
