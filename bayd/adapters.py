"""From the configuration to drivers: the only place where bayd names concrete hardware."""

import asyncio
from collections.abc import Callable, Mapping

from bayd.ports import Randomness
from bayd.settings import Dispenser as DispenserSettings
from bayd.settings import Reader as ReaderSettings
from hardware.dispenser import Dispenser, DispenserError
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, DispenseForm, HopperSettings
from hardware.link import opener_for
from hardware.rfid import ReaderEvent, RfidReader
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import R2000Settings

_CCTALK_BAUD = 9_600
_R2000_BAUD = 115_200
_STOP_ALL_S = 2.5  # make-safe has three seconds in all


def make_reader(
    settings: ReaderSettings, on_event: Callable[[ReaderEvent], None], randomness: Randomness
) -> RfidReader:
    opener = opener_for(settings.link, baudrate=settings.baudrate or _R2000_BAUD)
    highest = max((int(port) for port in settings.ports), default=1)
    ports = next(count for count in (4, 8, 16) if highest <= count)
    if ports == 4:
        ports = (
            8  # an 8-port unit with few antennas is commoner than a 4-port one, and takes the same request
        )
    return R2000Reader(opener, on_event, R2000Settings(port_count=ports), jitter=randomness.jitter)


def make_dispensers(settings: Mapping[str, DispenserSettings]) -> dict[str, Dispenser]:
    """Hoppers of one link share its bus."""
    buses: dict[str, CctalkBus] = {}
    dispensers: dict[str, Dispenser] = {}
    for name, one in settings.items():
        if one.link not in buses:
            buses[one.link] = CctalkBus(opener_for(one.link, baudrate=_CCTALK_BAUD))
        form = None if one.dispense_form is None else DispenseForm(one.dispense_form)
        dispensers[name] = CctalkHopper(buses[one.link], HopperSettings(one.address, form))
    return dispensers


async def stop_all(settings: Mapping[str, DispenserSettings]) -> dict[str, str]:
    """Stop every motor, all at once; answers what could not be stopped, and why."""
    problems: dict[str, str] = {}

    async def stop(name: str, dispenser: Dispenser) -> None:
        try:
            async with asyncio.timeout(_STOP_ALL_S):
                await dispenser.connect()
                await dispenser.stop()
        except DispenserError as error:
            problems[name] = str(error)
        except TimeoutError:
            problems[name] = f"no answer within {_STOP_ALL_S:g} s"
        finally:
            await dispenser.aclose()

    async with asyncio.TaskGroup() as tasks:
        for name, dispenser in make_dispensers(settings).items():
            tasks.create_task(stop(name, dispenser), name=f"stop-{name}")
    return problems
