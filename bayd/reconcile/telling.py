"""Telling a bay what was learned outside, where losing it once is no harm: it is learned again.

A bay whose disk hangs is not waited for, else nobody would hear what comes next: of another bay, or that the
session is over now. What the bay was told stays in its queue (reports do), and is recorded with the disk.
"""

import asyncio
from typing import Protocol

from bayd.core import inputs as i
from bayd.journal import JournalUnavailableError, NotWrittenError
from bayd.ports import Log
from bayd.runtime.bay import BayBusyError, Outcome, OutcomeUnknownError

# What `submit` may raise when the disk or the bay does not take a fact now.
NOT_TAKEN = (BayBusyError, OutcomeUnknownError, NotWrittenError, JournalUnavailableError)

PATIENCE_S = 2.0  # a healthy disk takes milliseconds


class Bays(Protocol):
    """The part of the range that is needed here."""

    async def submit(self, number: str, request: i.Input) -> Outcome: ...


async def tell(bays: Bays, number: str, fact: i.Input, log: Log) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bays.submit(number, fact)
    except TimeoutError:
        log.info("fact_waits_for_the_disk", bay=number, input=type(fact).__name__)
    except NOT_TAKEN as error:
        log.warning("fact_not_recorded", bay=number, input=type(fact).__name__, reason=str(error))
