"""Telling a bay what was learned outside, where losing it once is no harm: it is learned again."""

from typing import Protocol

from bayd.core import inputs as i
from bayd.journal import JournalUnavailableError, NotWrittenError
from bayd.ports import Log
from bayd.runtime.bay import BayBusyError, Outcome, OutcomeUnknownError

# What `submit` may raise when the disk or the bay does not take a fact now.
NOT_TAKEN = (BayBusyError, OutcomeUnknownError, NotWrittenError, JournalUnavailableError)


class Bays(Protocol):
    """The part of the range that is needed here."""

    async def submit(self, number: str, request: i.Input) -> Outcome: ...


async def tell(bays: Bays, number: str, fact: i.Input, log: Log) -> Outcome | None:
    """None: it was not recorded."""
    try:
        return await bays.submit(number, fact)
    except NOT_TAKEN as error:
        log.warning("fact_not_recorded", bay=number, input=type(fact).__name__, reason=str(error))
        return None
