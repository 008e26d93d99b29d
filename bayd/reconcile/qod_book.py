"""How one bay's QoS session gets into the bay's journal.

What has happened is noted, in order, and recorded as soon as the disk allows; nobody waits for that. What
costs money is wanted: it is done only once it is durable, and after everything noted before it.
"""

import asyncio
from collections import deque
from typing import Protocol

from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.model import Bay
from bayd.journal import JournalError, NotWrittenError
from bayd.ports import Log
from bayd.runtime.bay import BayBusyError, Outcome, OutcomeUnknownError

_RETRY_S = 1.0


class Bays(Protocol):
    """The part of the range that is needed here."""

    def get(self, number: str) -> Bay: ...

    async def submit(self, number: str, request: i.Input) -> Outcome: ...


class BayBook:
    """`run` as a task."""

    def __init__(self, number: str, bays: Bays, log: Log) -> None:
        self._number = number
        self._bays = bays
        self._log = log
        self._noted: deque[i.QosReported] = deque()
        self._arrived = asyncio.Event()

    @property
    def behind(self) -> int:
        """So many events are not durable yet."""
        return len(self._noted)

    def note(self, event: q.Event, day: str) -> None:
        self._noted.append(i.QosReported(event, day))
        self._arrived.set()

    async def want(self, event: q.QosCreateIntended | q.QosExtendIntended, day: str) -> bool:
        """Whether it is durable, and may be done now."""
        if self._noted:
            return False
        try:
            outcome = await self._bays.submit(self._number, i.QosWanted(event, day))
        except (NotWrittenError, BayBusyError, OutcomeUnknownError) as error:
            self._log.warning("qod_intent_not_recorded", bay=self._number, reason=str(error))
            return False
        return outcome.decision.refusal is None

    async def run(self) -> None:
        while True:
            while self._noted:
                if await self._record(self._noted[0]):
                    self._noted.popleft()
                else:
                    await asyncio.sleep(_RETRY_S)
            self._arrived.clear()
            await self._arrived.wait()

    async def _record(self, report: i.QosReported) -> bool:
        try:
            await self._bays.submit(self._number, report)
        except (NotWrittenError, BayBusyError) as error:
            self._log.error("qod_event_not_recorded", bay=self._number, reason=str(error))
            return False
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 # a defect of ours: one event is lost, not the bay's QoS
            self._log.error("qod_event_lost", bay=self._number, exc_info=error)
        return True
