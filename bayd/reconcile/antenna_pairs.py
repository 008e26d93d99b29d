"""Asks the central server now and then which antenna belongs where, and hands its word on.

What was heard last holds while the server is away; before the first answer the configuration holds.
"""

import asyncio
from collections.abc import Callable

from bayd.clients.central import AntennaPair, CapabilityMissing, CentralClient, CentralError
from bayd.ports import Log

_REFRESH_S = 60.0  # antennas are moved by people on ladders
_RETRY_S = 10.0


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
            answered = await self._refresh()
            await asyncio.sleep(_REFRESH_S if answered else _RETRY_S)

    async def _refresh(self) -> bool:
        """False: worth asking again soon."""
        try:
            listing = await self._client.antenna_pairs()
        except CapabilityMissing as error:
            if not self.missing:
                self._log.warning("central_capability_missing", operation=error.operation)
            self.missing = error.operation
            return True
        except CentralError as error:
            self._log.debug("antenna_pairs_not_read", reason=str(error))
            return False
        self.missing = ""
        self._take(listing.items)
        return True
