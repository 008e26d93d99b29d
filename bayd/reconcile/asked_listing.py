"""A list that the central server keeps, asked for now and then and handed on whole.

What was heard last holds while the server is away, also over a restart; until the very first answer the
configuration does, or nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bayd.clients.central import CapabilityMissing, CentralError, Listing
from bayd.journal import NotWrittenError
from bayd.ports import Log
from bayd.reconcile.kept_listing import KeptListing

T = TypeVar("T")

_RETRY_S = 10.0
_WITHOUT_S = 3600.0  # a server that does not have the call may be renewed
_NOT_WANTED_S = 10.0


class AskedListing(Generic[T]):
    """`run` is a root task; each whole answer goes to `take`."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Listing[T]]],
        take: Callable[[tuple[T, ...]], None],
        *,
        every_s: float,
        kept: KeptListing[T] | None = None,
        wanted: Callable[[], bool] = lambda: True,
        log: Log,
    ) -> None:
        """`wanted`: whether anybody needs it at present."""
        self._ask = ask
        self._take = take
        self._every_s = every_s
        self._kept = kept
        self._saved: tuple[T, ...] | None = None
        self._wanted = wanted
        self._log = log
        self.missing = ""  # the call that the server does not have

    async def run(self) -> None:
        if self._kept is not None:
            self._saved = await self._kept.load()
        if self._saved is not None:
            self._take(self._saved)
        while True:
            rest_s = await self._refresh() if self._wanted() else _NOT_WANTED_S
            await asyncio.sleep(rest_s)

    async def _refresh(self) -> float:
        """When to ask again."""
        try:
            listing = await self._ask()
        except CapabilityMissing as error:
            if not self.missing:
                self._log.warning("central_capability_missing", operation=error.operation)
            self.missing = error.operation
            return _WITHOUT_S
        except CentralError as error:
            self._log.debug("listing_not_read", reason=str(error))
            return _RETRY_S
        self.missing = ""
        self._take(listing.items)
        await self._save(listing.items)
        return self._every_s

    async def _save(self, items: tuple[T, ...]) -> None:
        if self._kept is None or items == self._saved:
            return
        try:
            await self._kept.save(items)
        except NotWrittenError as error:
            self._log.debug("listing_not_kept", reason=str(error))  # with the next answer
        else:
            self._saved = items
