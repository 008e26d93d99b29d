"""Asks the central server now and then which antenna belongs where, and hands its word on.

What was heard last holds while the server is away; before the first answer the configuration holds.
"""

import asyncio
from collections.abc import Callable

from bayd.clients.central import AntennaPair, CapabilityMissing, CentralClient, CentralError
from bayd.ports import Log

_REFRESH_S = 60.0  # antennas are moved by people on ladders
_RETRY_S = 10.0
_WITHOUT_S = 3600.0  # a server that does not have the call may be renewed


class AntennaPairPoller:
    """`run` is a root task; each whole answer goes to `take`."""

    def __init__(
        self, client: CentralClient, take: Callable[[tuple[AntennaPair, ...]], None], log: Log
    ) -> None:
        self._client = client
        self._take = take
        self._log = log
        self.missing = ""  # the call that the server does not have

    async def run(self) -> None:
        while True:
            rest_s = await self._refresh()
            await asyncio.sleep(rest_s)

    async def _refresh(self) -> float:
        """When to ask again."""
        try:
            listing = await self._client.antenna_pairs()
        except CapabilityMissing as error:
            if not self.missing:
                self._log.warning("central_capability_missing", operation=error.operation)
            self.missing = error.operation
            return _WITHOUT_S
        except CentralError as error:
            self._log.debug("antenna_pairs_not_read", reason=str(error))
            return _RETRY_S
        self.missing = ""
        self._take(listing.items)
        return _REFRESH_S
