"""From the configuration to dispensers; the readers are in `reader_wiring`."""

import asyncio
from collections.abc import Mapping

from bayd.settings import Dispenser as DispenserSettings
from hardware.dispenser import Dispenser, DispenserError
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, DispenseForm, HopperSettings
from hardware.link import opener_for

_CCTALK_BAUD = 9_600
_STOP_ALL_S = 2.5  # make-safe has three seconds in all


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
