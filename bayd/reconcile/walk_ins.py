"""Walk-ins: sold at the bay for cash or by card, booked at the central server when it can hear of it.

The booking gets a number there, which is kept with the bay: from then on both speak of the same session.
Until the number is recorded a poll may show the booking as somebody's: it is told by its customer, an
account that nobody else books under. A server may keep another name for the phone number, or hide the number:
either of the two is enough, and without both nothing is known.
"""

import json
from dataclasses import dataclass, field
from functools import partial

from bayd.clients.central import CentralClient, NewSession, PagingFacts, Secret, ServerSession, reaches, sweep
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.journal import Recorded
from bayd.ports import Clock, Log
from bayd.reconcile.once import Effect, Facts, Finding, OnceCalls, Operation, ParkError
from bayd.runtime.range import Range

_NATIONAL_DIGITS = 7  # a shorter number is compared whole


@dataclass(frozen=True, slots=True)
class WalkInAccount:
    """The customer under whom walk-ins are booked; nobody else may book under this name."""

    name: str
    phone_number: Secret = field(repr=False)

    def has_booked(self, row: ServerSession) -> bool | None:
        """None: the row does not say who has."""
        if row.customer_name is not None and _folded(row.customer_name) == _folded(self.name):
            return True
        if row.customer_phone is None:
            return None
        ours, theirs = _digits(self.phone_number), _digits(row.customer_phone)
        if min(len(ours), len(theirs)) < _NATIONAL_DIGITS:
            return ours == theirs
        return ours.endswith(theirs) or theirs.endswith(ours)  # one may have the country's code before it


class WalkIns:
    """Books them, once each."""

    def __init__(
        self,
        client: CentralClient,
        once: OnceCalls,
        bays: Range,
        account: WalkInAccount | None,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._once = once
        self._bays = bays
        self._account = account
        self._clock = clock
        self._log = log
        self._paging = PagingFacts()

    def is_walk_in(self, row: ServerSession) -> bool:
        """Sold by a bay, not booked at the desk."""
        return self._account is not None and self._account.has_booked(row) is True

    async def book(self, record: Recorded[e.Event], sold: e.WalkInSold) -> None:
        """Raises as `OnceCalls.carry_out`, and what `Range.submit` raises, to be called again."""
        account = self._account
        if account is None:
            raise ParkError("central.walk_in is not configured: nobody to book it for")
        paid_by = sold.payment.value.upper()
        new = NewSession(record.bay, sold.minutes, sold.amount, account.name, account.phone_number, paid_by)

        async def send(key: str) -> Facts | None:
            booked = await self._client.create_session(new, idempotency_key=key)
            if booked is None:
                return None
            if account.has_booked(booked) is not True:
                self._log.warning("walk_in_not_recognisable", bay=record.bay, session=str(booked.id))
            return {"id": booked.id}

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
            lambda rows: {
                "newest_id": max((row.id for row in rows), default=0),
                "newest_created_ms": max((row.created_at_ms for row in rows), default=None),
            },
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
        assert self._account is not None
        booked_by_us = [
            (row.id, booked)
            for row in rows
            if _is_new(row, before)
            and str(row.id) not in taken
            and (row.bay_number, row.duration_min) == (number, minutes)
            and (booked := self._account.has_booked(row)) is not False
        ]
        match booked_by_us:
            case []:
                return Finding(Effect.ABSENT)
            case [(server_id, True)] if number in self._bays.bays:  # else another PC may have sold it there
                return Finding(Effect.DONE, {"id": server_id})
            case _:  # several, or one of nobody knows whom
                return Finding(Effect.UNKNOWN)


def _is_new(row: ServerSession, before: Facts) -> bool:
    """Booked since. The server's numbers, or its clock, may have been set back; hardly both at once."""
    newest_ms = before.get("newest_created_ms")  # not in journals of older versions
    return row.id > before["newest_id"] or (newest_ms is not None and row.created_at_ms > newest_ms)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _digits(phone_number: Secret) -> str:
    return "".join(char for char in phone_number.reveal() if char.isdigit())


def op_id_of_walk_in(session_id: str) -> str:
    return f"walk-in-{session_id}"
