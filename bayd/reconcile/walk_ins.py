"""Walk-ins: sold at the bay for cash or by card, booked at the central server when it can hear of it.

The booking gets a number there, which is kept with the bay: from then on both speak of the same session.
Until the number is recorded a poll may show the booking as somebody's: it is told by its customer, an
account that nobody else books under.
"""

import json
from dataclasses import dataclass, field
from functools import partial

from bayd.clients.central import CentralClient, NewSession, PagingFacts, Secret, ServerSession, reaches, sweep
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.journal import Recorded
from bayd.ports import Clock
from bayd.reconcile.once import Effect, Facts, Finding, OnceCalls, Operation, ParkError
from bayd.runtime.range import Range


@dataclass(frozen=True, slots=True)
class WalkInAccount:
    """The customer under whom walk-ins are booked; nobody else may book under this name."""

    name: str
    phone_number: Secret = field(repr=False)


class WalkIns:
    """Books them, once each."""

    def __init__(
        self,
        client: CentralClient,
        once: OnceCalls,
        bays: Range,
        account: WalkInAccount | None,
        clock: Clock,
    ) -> None:
        self._client = client
        self._once = once
        self._bays = bays
        self._account = account
        self._clock = clock
        self._paging = PagingFacts()

    def is_walk_in(self, row: ServerSession) -> bool:
        """Sold by a bay, not booked at the desk."""
        return self._account is not None and row.customer_name == self._account.name

    async def book(self, record: Recorded[e.Event], sold: e.WalkInSold) -> None:
        """Raises as `OnceCalls.carry_out`, and what `Range.submit` raises, to be called again."""
        account = self._account
        if account is None:
            raise ParkError("central.walk_in is not configured: nobody to book it for")
        paid_by = sold.payment.value.upper()
        new = NewSession(record.bay, sold.minutes, sold.amount, account.name, account.phone_number, paid_by)

        async def send(key: str) -> Facts | None:
            booked = await self._client.create_session(new, idempotency_key=key)
            return None if booked is None else {"id": booked.id}

        op_id = op_id_of_walk_in(sold.session_id)
        effect = partial(self._effect, record.bay, sold.minutes)
        operation = Operation(
            op_id,
            "walk_in",
            record.bay,
            sold.session_id,
            record.seq,
            {"minutes": sold.minutes, "amount": sold.amount},
            send,
            partial(self._newest, op_id),
            lambda rows: {"newest_id": max((row.id for row in rows), default=0)},
            effect,
        )
        settled = await self._once.carry_out(operation)
        facts: Facts | None = settled.facts
        if not settled.facts:  # the answer to a booking is not documented
            before = await self._before(op_id)
            facts = None if before is None else effect(before, await self._newest(op_id)).facts
        if not facts:
            raise ParkError("the server has booked it, and does not show under which number")
        numbered = i.ServerNumbered(sold.session_id, str(facts["id"]))
        await self._bays.submit(record.bay, numbered)
        for task in self._bays.bays.values():  # it may have been moved meanwhile
            session = task.bay.session
            if session is not None and session.session_id == sold.session_id:
                await self._bays.submit(task.number, numbered)
        if not settled.plainly:
            text = f"The answer to a walk-in got lost; session {facts['id']} was taken for it."
            fact = i.ServerContradicted("walk_in_doubtful", sold.session_id, text)
            await self._bays.submit(record.bay, fact)

    async def _newest(self, op_id: str) -> tuple[ServerSession, ...]:
        """Those that came after the baseline; before there is one, at least the newest."""
        before = await self._before(op_id)
        enough = (lambda _page, _whole: True) if before is None else reaches(before["newest_id"])
        result, self._paging = await sweep(
            self._client.history,
            self._paging,
            now_ms=self._clock.now().boot_ms,
            enough=enough,
            full_every_ms=None,
        )
        return result.sessions

    async def _before(self, op_id: str) -> Facts | None:
        call = await self._once.find(op_id)
        book: dict[str, Facts] = {} if call is None else json.loads(call.baseline or "{}")
        return book.get("before")

    def _effect(self, number: str, minutes: int, before: Facts, rows: tuple[ServerSession, ...]) -> Finding:
        taken = self._bays.get(number).numbers
        like_ours = [
            row
            for row in rows
            if row.id > before["newest_id"]
            and str(row.id) not in taken
            and (row.bay_number, row.duration_min) == (number, minutes)
            and self.is_walk_in(row)
        ]
        match like_ours:
            case []:
                return Finding(Effect.ABSENT)
            case [row]:
                return Finding(Effect.DONE, {"id": row.id})
            case _:
                return Finding(Effect.UNKNOWN)


def op_id_of_walk_in(session_id: str) -> str:
    return f"walk-in-{session_id}"
