"""What could not be told to the central server, set aside (parked) beside the outbox's cursor.

What is set aside holds up what follows of its session, where that needs it (`Deliveries.holds_up`): a sale
and a start all of it, more time all but a move and a game. What only waits behind another is tried once
nothing holds it up any more, what failed alone every quarter of an hour, what was too old to be told unasked
once its bay is configured again, all else when staff say so. An end is tried whatever is set aside before it,
and before it all that only waited: a session that is over takes no more time.

Which lane a try belongs to is the outbox's: it hands in `attempt`.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol

from bayd.core import events as e
from bayd.journal import Journal, Parked, Recorded, Writer
from bayd.ports import Clock, Log
from bayd.reconcile.delivery import Deliveries, session_of
from bayd.reconcile.once import SINK
from bayd.reconcile.outbox_item import OutboxItem
from bayd.reconcile.until_written import find_record, until_written

_ALONE_RETRY_S = 900.0


class Cause(StrEnum):
    """Stands in the journal."""

    REFUSED = ""  # or unclear: staff say what becomes of it
    ALONE = "alone"  # it failed for an hour while others got through
    BEHIND = "behind"  # it waits for another of its session
    STALE = "stale"  # a bay left it behind that is configured no more, longer than a week ago


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an item is set aside, also in words for people."""

    cause: Cause
    reason: str


class Attempt(Protocol):
    """Tells one item: None when it is delivered or dropped, else why it has to be set aside."""

    async def __call__(self, record: Recorded[e.Event], *, once: bool = False) -> Hindrance | None: ...


class SetAside:
    def __init__(
        self,
        deliveries: Deliveries,
        journal: Journal[e.Event],
        configured: Collection[str],
        clock: Clock,
        log: Log,
    ) -> None:
        """`configured`: the bays, without those that left something behind."""
        self._deliveries = deliveries
        self._journal = journal
        self._configured = configured
        self._clock = clock
        self._log = log
        self._next_try_s: dict[str, float] = {}  # by bay, on the loop's clock
        self.count = 0

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        rows = await self._journal.parked(SINK)
        self.count = len(rows)
        for number in {row.bay for row in rows}:
            here = [row for row in rows if row.bay == number]
            self._plan(number, here)
            if any(row.cause == Cause.STALE and self._tries_itself(row) for row in here):
                self._next_try_s[number] = 0.0  # it was put back

    async def items(self) -> list[OutboxItem]:
        """Raises JournalUnavailableError."""
        found: list[OutboxItem] = []
        for row in sorted(await self._journal.parked(SINK), key=lambda row: row.seq):
            record = await find_record(self._journal, row.bay, row.seq)
            kind = "" if record is None else type(record.event).__name__
            is_end = record is not None and isinstance(record.event, e.SessionEnded)
            waits_for = None if record is None or is_end else await self.find_holding(record)
            found.append(
                OutboxItem(
                    row.seq, row.bay, row.session_id, kind, row.at_wall_ms, row.reason, True, waits_for
                )
            )
        return found

    # In and out

    async def park(self, record: Recorded[e.Event], why: Hindrance, *, again: bool = False) -> None:
        """`again`: it was parked before, for another reason."""
        session_id = session_of(record.event)
        self._log.error(
            "delivery_parked",
            bay=record.bay,
            session=session_id,
            kind=type(record.event).__name__,
            reason=why.reason,
        )
        now_ms = self._clock.now().wall_ms
        row = Parked(SINK, record.bay, session_id, record.seq, why.reason, now_ms, why.cause.value)

        def park(writer: Writer[e.Event]) -> None:
            if again and writer.unpark(SINK, record.seq) is None:
                return  # staff dropped it meanwhile
            writer.park(row)

        await until_written(lambda: self._journal.transact(park))
        await self._count()
        if record.bay not in self._next_try_s:
            self._plan(record.bay, await self._rows(bay=record.bay))

    async def drop(self, number: str, seq: int) -> None:
        await self._unpark(seq)
        self._next_try_s[number] = 0.0  # what waited for it need not wait any more

    async def find_holding(self, record: Recorded[e.Event]) -> int | None:
        """What is parked of its session, came before, and holds it up."""
        for row in await self._rows(session_id=session_of(record.event)):
            if row.seq < record.seq and await self._holds_up(await self._record(row), record.event):
                return row.seq
        return None

    async def park_behind(self, record: Recorded[e.Event], holding: int) -> None:
        await self.park(record, Hindrance(Cause.BEHIND, f"after item {holding}, which is parked"))

    # Tried again

    def next_try_s(self, number: str) -> float | None:
        """On the loop's clock; None: nothing of this bay is tried by itself."""
        return self._next_try_s.get(number)

    async def try_again(self, number: str, attempt: Attempt) -> None:
        """What failed alone, waits for nothing any more, or was left by a bay that is back, with what was
        parked behind it."""
        for row in await self._rows(bay=number):
            if not self._tries_itself(row):
                continue
            record = await self._record(row) if row.cause == Cause.BEHIND else None
            if row.cause != Cause.BEHIND or (record is not None and await self.find_holding(record) is None):
                await self._try_from(row.seq, row.session_id, attempt)
        self._plan(number, await self._rows(bay=number))

    async def retry(self, number: str, seq: int, order: int, attempt: Attempt) -> None:
        """What staff want to be tried again, by the order of that number, and what was parked behind it."""
        wanted = await until_written(partial(find_record, self._journal, number, seq))
        if wanted is None:
            return
        session_id = session_of(wanted.event)
        is_end = isinstance(wanted.event, e.SessionEnded)
        earlier = await self.find_holding(wanted)
        if earlier is not None and not is_end:
            self._log.warning("delivery_out_of_order", bay=number, seq=seq, earlier=earlier)
            return
        if any(row.seq == seq for row in await self._rows(session_id=session_id)):
            await until_written(partial(self._deliveries.start_anew, wanted, order))
        await self._try_from(seq, session_id, attempt, patient=True)

    async def tell_before_end(self, ended: e.SessionEnded, attempt: Attempt) -> None:
        """What is parked of a session that is over: nothing can be added to it after its end.

        What waited behind another is told now, and what failed alone gets a last try. What that leaves
        unclear is for staff: read back later, what was told past it might be taken for it.
        """
        every = await self._rows(session_id=ended.session_id)
        for row in every:
            record = await self._record(row)
            if record is None or (row.cause != Cause.BEHIND and not await self._holds_up(record, ended)):
                continue
            told = await self._try(row, record, attempt)
            if not told and row is not every[-1]:
                await until_written(partial(self._deliveries.leave_unclear, record))

    async def _try_from(self, seq: int, session_id: str, attempt: Attempt, *, patient: bool = False) -> None:
        """What is parked under this number, and what is parked behind it."""
        failed: list[Recorded[e.Event]] = []
        for row in await self._rows(session_id=session_id):
            record = await self._record(row)
            if record is None or row.seq < seq:
                continue
            is_end = isinstance(record.event, e.SessionEnded)
            if not is_end and any([await self._holds_up(one, record.event) for one in failed]):
                continue
            if not await self._try(row, record, attempt, patient=patient):
                failed.append(record)

    async def _try(
        self, row: Parked, record: Recorded[e.Event], attempt: Attempt, *, patient: bool = False
    ) -> bool:
        """As any other item; but what has failed alone before gets one try, unless `patient`."""
        why = await attempt(record, once=row.cause == Cause.ALONE and not patient)
        if why is None:
            await self._unpark(row.seq)
        elif (why.cause, why.reason) != (row.cause, row.reason):
            await self.park(record, why, again=True)
        return why is None

    def _tries_itself(self, row: Parked) -> bool:
        return row.cause in (Cause.ALONE, Cause.BEHIND) or (
            row.cause == Cause.STALE and row.bay in self._configured
        )

    def _plan(self, number: str, rows: list[Parked]) -> None:
        if any(self._tries_itself(row) for row in rows):
            self._next_try_s[number] = asyncio.get_running_loop().time() + _ALONE_RETRY_S
        else:
            self._next_try_s.pop(number, None)

    # The table

    async def _rows(self, *, bay: str | None = None, session_id: str | None = None) -> list[Parked]:
        return await until_written(partial(self._journal.parked, SINK, bay=bay, session_id=session_id))

    async def _record(self, row: Parked) -> Recorded[e.Event] | None:
        return await until_written(partial(find_record, self._journal, row.bay, row.seq))

    async def _holds_up(self, record: Recorded[e.Event] | None, later: e.Event) -> bool:
        """What the journal does not have any more does: nobody can say what it was."""
        return record is None or await until_written(partial(self._deliveries.holds_up, record, later))

    async def _unpark(self, seq: int) -> None:
        await until_written(partial(self._journal.unpark, SINK, seq))
        await self._count()

    async def _count(self) -> None:
        self.count = len(await self._rows())
