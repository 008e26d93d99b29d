"""What more time costs, in which lengths it is sold, and what is owed: as the central server says.

Intervals and prices are looked at once a minute, arrears of the bays where somebody may extend on account a
little more often. A price counts between its times of day at the site; a wall clock that nobody keeps tells
no time of day, and then the server's price is not known. While the server is away its prices keep their
times; of a price that this life has not seen nobody knows them, and it does not count. A call that the server
does not have is asked for again after an hour.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, tzinfo

from bayd.clients.central import CapabilityMissing, CentralClient, CentralError, GenericPrice
from bayd.core import inputs as i
from bayd.core.model import Tariff
from bayd.core.rules import ExtensionPolicy
from bayd.ports import Clock, Log
from bayd.reconcile.telling import tell
from bayd.runtime.range import Range

_LOOK_S = 60.0
_ARREARS_S = 20.0
_MISSING_S = 3600.0


class TariffWatcher:
    """`run` is a root task. `price_minutes`: what the server's price is for; None: nobody said.
    `zone` None: no time of day is known."""

    def __init__(
        self,
        client: CentralClient,
        bays: Range,
        *,
        zone: tzinfo | None,
        price_minutes: int | None,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._bays = bays
        self._zone = zone
        self._price_minutes = price_minutes
        self._clock = clock
        self._log = log
        self._prices: dict[str, GenericPrice] = {}  # as seen last

    async def run(self) -> None:
        await self._bays.ready.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_tariff(), name="tariff")
            tasks.create_task(self._watch_arrears(), name="arrears")

    async def look(self) -> None:
        """At lengths and prices. Raises CentralError."""
        listing = await self._client.time_intervals()
        intervals = tuple(sorted(item.interval_min for item in listing.items if item.enabled)) or None
        self._prices = await self._seen_prices()
        for number in self._bays.bays:
            tariff = Tariff(intervals, self._amount(number), self._price_minutes or 60)
            await tell(self._bays, number, i.PricesSeen(tariff), self._log)

    async def _look_at_the_clock(self) -> None:
        """The server does not answer: a price of this morning is none of this evening."""
        for number, task in self._bays.bays.items():
            tariff = replace(task.bay.tariff, amount=self._amount(number))
            await tell(self._bays, number, i.PricesSeen(tariff), self._log)

    def _amount(self, number: str) -> int | None:
        price = self._prices.get(number)
        return None if price is None or not self._is_now(price) else price.amount

    async def _seen_prices(self) -> dict[str, GenericPrice]:
        if self._price_minutes is None:
            return {}
        bays = (await self._client.bays()).items
        return {bay.number: bay.price for bay in bays if bay.price is not None}

    def _is_now(self, price: GenericPrice) -> bool:
        now = self._clock.now()
        if not now.synchronised or self._zone is None:
            return False
        at = datetime.fromtimestamp(now.wall_ms / 1000, self._zone)
        second = at.hour * 3600 + at.minute * 60 + at.second
        if price.start_s <= price.end_s:
            return price.start_s <= second < price.end_s
        return second >= price.start_s or second < price.end_s  # over midnight

    async def _watch_tariff(self) -> None:
        while True:
            wait_s = _LOOK_S
            try:
                await self.look()
            except CapabilityMissing:
                wait_s = _MISSING_S
                await self._look_at_the_clock()
            except CentralError as error:
                self._log.debug("tariff_not_read", reason=str(error))
                await self._look_at_the_clock()
            await asyncio.sleep(wait_s)

    async def _watch_arrears(self) -> None:
        while True:
            wait_s = _ARREARS_S
            for number, task in self._bays.bays.items():
                if task.bay.session is None or task.rules.extension is not ExtensionPolicy.ON_ACCOUNT:
                    continue
                try:
                    dues = (await self._client.pending_dues(number)).items
                except CapabilityMissing:
                    wait_s = _MISSING_S
                    break
                except CentralError as error:
                    self._log.debug("arrears_not_read", bay=number, reason=str(error))
                    break
                owed = sum(due.amount - (due.discounted or 0) for due in dues)
                await tell(self._bays, number, i.ArrearsSeen(max(0, owed)), self._log)
            await asyncio.sleep(wait_s)
