"""Simulated hoppers behind a link in memory, and drivers that can crash."""

import asyncio
from collections.abc import Callable

from hardware.dispenser.cctalk import Checksum
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, HopperSettings
from hardware.link import LinkLostError, MemoryLink, MemoryOpener
from hardware.sim import hopper as sim


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
        self.line = sim.HopperLine(_nowhere, echo=echo, crc=crc)
        self.sims = [sim.HopperSim(self.line, settings) for settings in hoppers or (sim.HopperSettings(),)]
        self.opener = MemoryOpener(link_name, self._on_open)
        self._echo, self._crc = echo, crc
        self._delay_s = delay_s
        self._arrives_at = 0.0
        self._use_dispense_count, self._zero_payout = use_dispense_count, zero_payout
        self.bus, self.drivers = self._build()

    @property
    def sim(self) -> sim.HopperSim:
        return self.sims[0]

    @property
    def driver(self) -> CctalkHopper:
        return self.drivers[0]

    def restart(self) -> None:
        self.opener.unplug()
        self.opener.plug()
        self.bus, self.drivers = self._build()

    async def aclose(self) -> None:
        for driver in self.drivers:
            await driver.aclose()

    def _build(self) -> tuple[CctalkBus, list[CctalkHopper]]:
        checksum = Checksum.CRC16 if self._crc else Checksum.SUM8
        bus = CctalkBus(self.opener, checksum=checksum, echo=self._echo)
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

    def _on_open(self, far: MemoryLink) -> None:
        far.on_bytes = self._receive

        def send(data: bytes) -> None:
            try:
                far.write(data)
            except LinkLostError:
                pass  # the host is gone; the wire does not care

        self.line.send = send

    def _receive(self, data: bytes) -> None:
        if self._delay_s is None:
            self.line.receive(data)
            return
        loop = asyncio.get_running_loop()
        self._arrives_at = max(self._arrives_at, loop.time() + self._delay_s(data))
        loop.call_at(self._arrives_at, self.line.receive, data)


def _nowhere(_: bytes) -> None:
    """The host has not opened the link yet."""
