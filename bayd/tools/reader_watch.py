"""What a reader hears now: its driver runs for a while, and nothing of the reader is changed.

Each port keeps the power that it has; a driver writes one only where it differs from the plan.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from bayd.devices.reader_talk import Identity
from bayd.devices.readers import make_reader
from bayd.ports import Randomness
from bayd.settings.readers import Reader
from hardware.rfid import AntennaPlan, PortPlan, ReaderEvent, TagBatch, TagRead

_STAY = 2
_ANY_POWER_DBM = 20  # never sent: a driver leaves alone what it cannot read


@dataclass(slots=True)
class Tally:
    """One EPC at one port."""

    port: int
    epc: str
    reads: int = 0
    last_dbm: int | None = None
    highest_dbm: int | None = None
    last_raw: int = 0
    highest_raw: int = 0


@dataclass(slots=True)
class Tallies:
    """All that was heard so far."""

    by_tag: dict[tuple[int, str], Tally] = field(default_factory=dict)

    def add(self, reads: Iterable[TagRead]) -> None:
        for read in reads:
            key = (read.port, read.epc)
            tally = self.by_tag.get(key)
            if tally is None:
                tally = self.by_tag[key] = Tally(read.port, read.epc, highest_raw=read.rssi_raw)
            tally.reads += 1
            tally.last_dbm, tally.last_raw = read.rssi_dbm, read.rssi_raw
            tally.highest_raw = max(tally.highest_raw, read.rssi_raw)
            if read.rssi_dbm is not None:
                tally.highest_dbm = max(read.rssi_dbm, tally.highest_dbm or read.rssi_dbm)

    def sorted(self) -> list[Tally]:
        """By port, the loudest first."""
        return sorted(self.by_tag.values(), key=lambda tally: (tally.port, -tally.highest_raw, tally.epc))

    def reads_of(self, epc: str) -> int:
        """The most at one port: reads at two ports may each be a mistake of its own."""
        return max(tally.reads for (_, other), tally in self.by_tag.items() if other == epc)


def plan_of(identity: Identity, ports: Collection[int]) -> AntennaPlan:
    def power_dbm(port: int) -> int:
        powers = identity.power_dbm
        if len(powers) == 1:
            return powers[0]
        return powers[port - 1] if port <= len(powers) else _ANY_POWER_DBM

    return AntennaPlan({port: PortPlan(power_dbm(port), _STAY) for port in sorted(ports)})


async def watch(
    link: str,
    identity: Identity,
    ports: Collection[int],
    *,
    seconds: float | None,
    address: int,
    on_event: Callable[[ReaderEvent], None],
    randomness: Randomness,
) -> Tallies:
    """Listen for so long (None: until cancelled); every event is told to `on_event`, too."""
    tallies = Tallies()

    def take(event: ReaderEvent) -> None:
        if isinstance(event, TagBatch):
            tallies.add(event.reads)
        on_event(event)

    settings = Reader.model_validate(
        {
            "driver": identity.driver,
            "link": link,
            "baudrate": identity.baudrate,
            "address": address,
            "port_count": identity.port_count,
            "ports": {str(port): "watched" for port in ports},
        }
    )
    driver = make_reader(settings, take, randomness)
    driver.set_plan(plan_of(identity, ports))
    try:
        async with asyncio.timeout(seconds):
            await driver.run()
    except TimeoutError:
        pass
    return tallies
