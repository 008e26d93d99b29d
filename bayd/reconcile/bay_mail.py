"""Facts on their way to the bays: every credit in order, and of a device only its newest state.

A bay takes one fact at a time and its commit may wait for a disk; other bays do not wait for it. What waits
is bounded: a bay whose disk hangs for long loses its oldest credits first, and they are counted. The
state of a device is never lost: the newer one takes the place of the older.
"""

import asyncio
from collections import defaultdict, deque
from typing import Protocol

from bayd.core import inputs as i
from bayd.journal import JournalUnavailableError, NotWrittenError
from bayd.ports import Log
from bayd.runtime.bay import BayBusyError, Outcome, OutcomeUnknownError

CREDITS_LIMIT = 512  # at one bay: a ball every five seconds for forty minutes
_RETRY_S = 1.0  # when the journal could not be written


class Bays(Protocol):
    """The part of the range that is needed here."""

    async def submit(self, number: str, request: i.Input) -> Outcome: ...


class BayMail:
    """`run` is a task of its owner."""

    def __init__(self, bays: Bays, log: Log, *, credits_limit: int = CREDITS_LIMIT) -> None:
        self._bays = bays
        self._log = log
        self._credits_limit = credits_limit
        self._credits: defaultdict[str, deque[i.Input]] = defaultdict(deque)
        self._states: dict[str, i.DeviceReported] = {}
        self._being_served: set[str] = set()
        self._to_serve: asyncio.Queue[str] = asyncio.Queue()  # at most one entry for each bay
        self.shed = 0  # credits that were lost because too many waited
        self.refused = 0  # credits that the bay would not take: counted already, or nobody plays

    @property
    def waiting(self) -> int:
        """Credits whose turn has not come; besides, each bay may have one in its commit."""
        return sum(len(credits_of_bay) for credits_of_bay in self._credits.values())

    def report(self, number: str, state: i.DeviceReported) -> None:
        """The newest state of a device; an older one that still waits is dropped."""
        self._states[number] = state
        self._call(number)

    def credit(self, number: str, fact: i.Input) -> None:
        waiting = self._credits[number]
        if len(waiting) >= self._credits_limit:
            waiting.popleft()
            if self.shed == 0:
                self._log.error("credits_shed", bay=number, waiting=len(waiting))
            self.shed += 1
        waiting.append(fact)
        self._call(number)

    async def run(self) -> None:
        """Until cancelled. Raises JournalUnavailableError: a restart reads what is recorded."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                number = await self._to_serve.get()
                tasks.create_task(self._serve(number), name=f"mail-{number}")

    def _call(self, number: str) -> None:
        if number not in self._being_served:
            self._being_served.add(number)
            self._to_serve.put_nowait(number)

    async def _serve(self, number: str) -> None:
        waiting = self._credits[number]
        while True:
            if (state := self._states.pop(number, None)) is not None:
                if not await self._told(number, state):
                    self._states.setdefault(number, state)  # unless a newer one came meanwhile
            elif waiting:
                fact = waiting.popleft()
                if not await self._told(number, fact):
                    waiting.appendleft(fact)
            else:
                self._being_served.discard(number)
                return

    async def _told(self, number: str, fact: i.Input) -> bool:
        """False: not now, but it may be told again."""
        try:
            outcome = await self._bays.submit(number, fact)
        except NotWrittenError as error:
            self._log.warning(
                "fact_not_recorded_yet", bay=number, input=type(fact).__name__, reason=str(error)
            )
            await asyncio.sleep(_RETRY_S)
            return False
        except (BayBusyError, OutcomeUnknownError) as error:
            self._log.warning("fact_lost", bay=number, input=type(fact).__name__, reason=str(error))
            return True
        except JournalUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 # a defect costs this fact; the bay has logged its trace
            self._log.error("fact_failed", bay=number, input=type(fact).__name__, reason=str(error))
            return True
        if outcome.decision.refusal is not None and not isinstance(fact, i.DeviceReported):
            self.refused += 1
            self._log.info("credit_refused", bay=number, code=outcome.decision.refusal.code)
        return True
