"""Keeps the central server up to date where only the newest value of each bay matters.

Nothing is queued: whatever was missed in an outage is superseded. A route that the server does not have
turns the capability off, is told once, and is tried again now and then: during an upgrade a proxy answers
just so.
"""

import asyncio
from abc import ABC, abstractmethod

from bayd.clients.central import (
    CapabilityMissing,
    CentralError,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
)
from bayd.core.desired import Desired
from bayd.core.model import Bay
from bayd.journal import JournalUnavailableError, NotWrittenError
from bayd.ports import Log, Randomness
from bayd.runtime.range import Range

_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_UNAUTHORISED_RETRY_S = 60.0
_MISSING_RETRY_S = 3600.0


class LatestValues(ABC):
    """`run` is a root task with one child per bay. `rest_s`: between two posts of one bay."""

    def __init__(self, bays: Range, *, rest_s: float, randomness: Randomness, log: Log) -> None:
        self._bays = bays
        self._rest_s = rest_s
        self._randomness = randomness
        self._log = log
        self._wakes = {number: asyncio.Event() for number in bays.bays}
        self._refused: dict[str, str] = {}
        self.missing = ""  # the operation that the server does not have

    @abstractmethod
    async def _post(self, number: str) -> None:
        """Post what is now to be said of this bay; nothing if it has been said."""

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        wake = self._wakes.get(bay.number)
        if wake is not None:
            wake.set()

    async def run(self) -> None:
        await self._bays.ready.wait()
        async with asyncio.TaskGroup() as tasks:
            for number in self._wakes:
                tasks.create_task(self._keep(number), name=f"latest-{number}")

    async def _keep(self, number: str) -> None:
        wake = self._wakes[number]
        attempt = 0
        while True:
            wake.clear()
            pause_s = await self._attempt(number, attempt)
            if pause_s is None:
                attempt = 0
                await asyncio.sleep(self._rest_s)
                await wake.wait()
            else:
                attempt += 1
                await asyncio.sleep(pause_s)

    async def _attempt(self, number: str, attempt: int) -> float | None:
        """None: done with this value. Else try again in so many seconds."""
        retry_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)] * (0.5 + 0.5 * self._randomness.jitter())
        try:
            await self._post(number)
        except CapabilityMissing as error:
            if not self.missing:
                self._log.warning("central_capability_missing", operation=error.operation)
            self.missing = error.operation
            return _MISSING_RETRY_S
        except CentralRefused as error:
            if self._refused.get(number) != str(error):
                self._log.warning("central_value_refused", bay=number, reason=str(error))
            self._refused[number] = str(error)
            return None
        except CentralUnauthorised:
            return _UNAUTHORISED_RETRY_S  # the outbox raises the alarm
        except CentralUnavailable as error:
            return max(retry_s, error.retry_after_s or 0)
        except (CentralError, NotWrittenError, JournalUnavailableError) as error:
            self._log.debug("central_value_not_posted", bay=number, reason=str(error))
            return retry_s
        self.missing = ""
        self._refused.pop(number, None)
        return None
