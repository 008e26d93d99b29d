"""What the central server takes with the password of its staff alone: a move, and the payment of a due.

Neither needs an answer to be certain of: the server shows where a session is, and whether a due is paid.
Where the password is not configured, or the server does not have the call, or shows nothing to do it to, the
desk has to do it: a conflict says so, and nothing is parked. The same where the desk has moved another
session to the same bay in the same moment; but then ours is told by itself, once that bay is free.
"""

import json
from collections.abc import Awaitable, Callable

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralRefused,
    Secret,
    ServerSession,
    ServerTransaction,
)
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.bookings import granted_minutes
from bayd.core.model import Payment
from bayd.journal import Recorded
from bayd.reconcile.once import Effect, Finding, NotNowError, OnceCalls, Operation
from bayd.runtime.range import Range, UnknownBayError

_UNSIGNED = "no central_admin_password is set"
_AT_THE_DESK = "Move it at the desk, too."
_TAKEN = (
    "it shows somebody else in play there, or at the bay that it left. Move one of the two, here or at the"
    " desk: it is told by itself once the other is out of the way."
)
_DUE, _PAID = "DUE", "PAID"
_PAY = "pay"  # the kind of such a call


class SignedCalls:
    """Each once, over crashes and outages, by being called again."""

    def __init__(
        self,
        client: CentralClient,
        once: OnceCalls,
        bays: Range,
        password: Secret | None,
        extended_min: Callable[[int], Awaitable[int | None]],
    ) -> None:
        """`extended_min`: the minutes that were added to a session, as the server's history has them."""
        self._client = client
        self._extended_min = extended_min
        self._once = once
        self._bays = bays
        self._password = password

    async def move(
        self, record: Recorded[e.Event], event: e.SessionMovedAway, server_id: int, *, held_up: bool
    ) -> None:
        """Raises as `OnceCalls.carry_out`; NotNowError while for the server somebody else plays there.

        `newDuration` is all the time that the session was granted, here and at the desk: with less a server
        would end it early.
        """
        password = self._password
        if password is None:
            await self._not_moved(record, event, f"{_UNSIGNED}. {_AT_THE_DESK}")
            return
        shown = await self._client.get_session(server_id)
        if shown.bay_number == event.to:
            return
        left = self._left(record.bay, event.session_id)
        if shown.bay_number not in left or not shown.active:
            # The call names bays, not sessions: it would move another one.
            text = f"it does not show it in play at bay {record.bay}. {_AT_THE_DESK}"
            await self._not_moved(record, event, text)
            return
        operation = await self._moving(record, event, server_id, shown, password)
        source = shown.bay_number
        if held_up or source != record.bay:
            clear = await self._is_clear(event.to, server_id, source)
        else:
            clear = await self._plays_alone(server_id, source)
        if not clear:
            await self._hold_up(record, event, flagged=held_up)
            return
        try:
            await self._once.carry_out(operation)
        except CapabilityMissing:
            await self._not_moved(record, event, f"it does not have the call. {_AT_THE_DESK}")
        except NotNowError:
            await self._hold_up(record, event, flagged=held_up)

    async def _moving(
        self,
        record: Recorded[e.Event],
        event: e.SessionMovedAway,
        server_id: int,
        shown: ServerSession,
        password: Secret,
    ) -> Operation[ServerSession]:
        # The desk may have given time that we have not heard of yet.
        added = await self._extended_min(server_id)
        granted = granted_minutes(event.first_minutes, shown.duration_min, added)
        wanted = {"from": shown.bay_number, "to": event.to, "minutes": max(event.minutes, granted)}
        op_id = op_id_of_move(event)
        request = await self._once.ask_for(op_id, wanted)
        source, minutes = request.get("from", record.bay), request["minutes"]

        async def send(key: str) -> None:
            try:
                await self._client.session_bay_change(
                    source, event.to, password, minutes, idempotency_key=key
                )
            except CentralRefused as refusal:
                if await self._is_clear(event.to, server_id, source):
                    raise
                raise NotNowError(str(refusal)) from refusal

        async def look() -> ServerSession:
            return await self._client.get_session(server_id)

        def effect(_before: object, row: ServerSession) -> Finding:
            if row.bay_number == event.to:
                return Finding(Effect.DONE)
            return Finding(Effect.ABSENT if row.bay_number == source and row.active else Effect.UNKNOWN)

        return Operation(
            op_id,
            "move",
            record.bay,
            event.session_id,
            record.seq,
            request,
            send,
            look,
            lambda _row: {},
            effect,
        )

    async def _is_clear(self, number: str, server_id: int, source: str) -> bool:
        """Whether a late call would move our session: nobody else plays where it goes, nor where it left."""
        there = self._bays.bays.get(source)
        if there is not None and there.bay.session is not None:
            return False
        return await self._plays_alone(server_id, number, source)

    async def _plays_alone(self, server_id: int, *numbers: str) -> bool:
        """For the server. One that does not say is just asked to move it."""
        for number in numbers:
            try:
                listing = await self._client.bays(bay_number=number)
            except CapabilityMissing:
                return True
            there = (one.active_session_id for one in listing.items if one.number == number)
            if any(found not in (None, server_id) for found in there):
                return False
        return True

    async def _hold_up(self, record: Recorded[e.Event], event: e.SessionMovedAway, *, flagged: bool) -> None:
        """Raises NotNowError while it plays there. Over, or moved on, it needs no other try."""
        number = self._plays_at(event.session_id)
        if number in (event.to, None) and not flagged:
            await self._not_moved(record, event, _TAKEN)
        if number == event.to:
            raise NotNowError(_TAKEN)

    def _plays_at(self, session_id: str) -> str | None:
        """Our bay, also one that is configured no more; None: it is over."""
        for bay in self._bays.known():
            if bay.session is not None and bay.session.session_id == session_id:
                return bay.number
        return None

    def _left(self, number: str, session_id: str) -> tuple[str, ...]:
        """Where the server may still show it: an earlier move may not have been told."""
        plays_at = self._plays_at(session_id)
        session = None if plays_at is None else self._bays.get(plays_at).session
        return (number,) if session is None else (number, *session.server_bays)

    async def pay(
        self,
        record: Recorded[e.Event],
        due_id: str,
        session_id: str,
        server_id: int,
        amount: int,
        payment: Payment,
    ) -> None:
        """The server books an extension as a due: this one is paid. Raises as `OnceCalls.carry_out`."""
        password = self._password
        if amount == 0:
            return
        if password is None:
            await self._not_paid(record.bay, session_id, due_id, amount, _UNSIGNED)
            return
        try:
            transaction = await self._chosen(due_id, session_id, server_id, amount)
            if transaction is None:
                await self._not_paid(record.bay, session_id, due_id, amount, "it shows no such due")
                return

            async def look() -> tuple[ServerTransaction, ...]:
                return (await self._client.transactions(server_id)).items

            def effect(_before: object, rows: tuple[ServerTransaction, ...]) -> Finding:
                status = next((row.status for row in rows if row.id == transaction), None)
                found = {_PAID: Effect.DONE, _DUE: Effect.ABSENT}
                return Finding(found.get(status or "", Effect.UNKNOWN))

            async def send(_key: str) -> None:
                try:
                    reason = "paid at the bay"
                    await self._client.mark_paid(transaction, password, reason, payment.value.upper())
                except CentralRefused:
                    # Paid at the desk in the same moment, or by an earlier sending: paid is paid.
                    if effect({}, await look()).effect is not Effect.DONE:
                        raise

            operation = Operation(
                op_id_of_payment(due_id),
                _PAY,
                record.bay,
                session_id,
                record.seq,
                {"transaction": transaction},
                send,
                look,
                lambda _rows: {},
                effect,
            )
            await self._once.carry_out(operation)
        except CapabilityMissing:
            await self._not_paid(record.bay, session_id, due_id, amount, "it does not have the call")

    async def _chosen(self, due_id: str, session_id: str, server_id: int, amount: int) -> int | None:
        """Which due is paid: chosen once, the oldest of that amount that no other payment is for."""
        chosen: dict[str, int] = {
            call.op_id: json.loads(call.request)["transaction"]
            for call in await self._once.of_session(session_id)
            if call.kind == _PAY
        }
        mine = chosen.get(op_id_of_payment(due_id))
        if mine is not None:
            return mine
        rows = (await self._client.transactions(server_id)).items
        fits = (row.id for row in rows if (row.status, row.amount - (row.discounted or 0)) == (_DUE, amount))
        return min(set(fits) - set(chosen.values()), default=None)

    async def _not_moved(self, record: Recorded[e.Event], event: e.SessionMovedAway, why: str) -> None:
        text = f"The server was not told of the move to bay {event.to}: {why}"
        fact = i.ServerContradicted("move_not_told", event.session_id, text)
        number = self._plays_at(event.session_id) or event.to
        try:
            await self._bays.submit(number, fact)
        except UnknownBayError:  # configured no more, and unreadable: people are told where it came from
            await self._bays.submit(record.bay, fact)

    async def _not_paid(self, number: str, session_id: str, due_id: str, amount: int, why: str) -> None:
        text = f"The server was not told that {amount} were paid at the bay: {why}. Enter it at the desk."
        await self._bays.submit(number, i.ServerContradicted("payment_not_told", session_id, text, due_id))


def op_id_of_move(event: e.SessionMovedAway) -> str:
    return f"move-{event.session_id}-{event.at_ms}-{event.to}"


def op_id_of_payment(due_id: str) -> str:
    return f"paid-{due_id}"
