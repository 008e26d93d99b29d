"""Simulated hoppers behind a link in memory, and drivers that can crash."""

from collections.abc import Callable

from hardware.dispenser.cctalk import Checksum
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, HopperSettings
from hardware.sim import hopper as sim
from tests.hardware.dispenser.wires import MemoryWire, nowhere


class HopperRig:
    """One wire with any number of hoppers. `restart` is the crash: all that the host knew is gone."""

    def __init__(
        self,
        *hoppers: sim.HopperSettings,
        echo: bool = True,
        crc: bool = False,
        link_name: str = "/dev/hoppers",
        delay_s: Callable[[bytes], float] | None = None,
        use_dispense_count: bool = True,
        zero_payout: bool = False,
    ) -> None:
        self.line = sim.HopperLine(nowhere, echo=echo, crc=crc)
        self.sims = [sim.HopperSim(self.line, settings) for settings in hoppers or (sim.HopperSettings(),)]
        self.wire = MemoryWire(link_name, self.line, delay_s=delay_s)
        self._echo, self._crc = echo, crc
        self._use_dispense_count, self._zero_payout = use_dispense_count, zero_payout
        self.bus, self.drivers = self._build()

    @property
    def sim(self) -> sim.HopperSim:
        return self.sims[0]

    @property
    def driver(self) -> CctalkHopper:
        return self.drivers[0]

    def restart(self) -> None:
        self.wire.cut()
        self.bus, self.drivers = self._build()

    async def aclose(self) -> None:
        for driver in self.drivers:
            await driver.aclose()

    def _build(self) -> tuple[CctalkBus, list[CctalkHopper]]:
        checksum = Checksum.CRC16 if self._crc else Checksum.SUM8
        bus = CctalkBus(self.wire.opener, checksum=checksum, echo=self._echo)
        return bus, [
            CctalkHopper(
                bus,
                HopperSettings(
                    address=hopper.settings.address,
                    use_dispense_count=self._use_dispense_count,
                    zero_payout=self._zero_payout,
                ),
            )
            for hopper in self.sims
        ]
