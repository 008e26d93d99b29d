"""Does the central server let us in? After a 401 or 403 one bay asks now and then, the others wait.

A person is called: no item is to blame, and none is set aside for it.
"""

import asyncio

from bayd.ports import Log


class ServerDoor:
    def __init__(self, log: Log) -> None:
        self._log = log
        self._asking: str | None = None  # the bay that knocks
        self._open = asyncio.Event()
        self._open.set()
        self.alarm = ""  # why nobody is let in

    @property
    def is_shut(self) -> bool:
        return self._asking is not None

    async def admitted(self, number: str) -> None:
        """At once while it is open, and for the bay that asks; else once it opens."""
        while self._asking not in (None, number):
            await self._open.wait()

    def found_shut(self, number: str, reason: str) -> None:
        if not self.alarm:
            self._log.error("central_credentials_refused", reason=reason)
        self.alarm = reason
        if self._asking is None:
            self._asking = number
            self._open.clear()

    def leave(self, number: str) -> None:
        """This bay's item is through, or given up: the next may ask."""
        if self._asking == number:
            self._asking = None
            self.alarm = ""
            self._open.set()
