"""What the central server takes with the password of its staff alone: a move, and the payment of a due.

Neither needs an answer to be certain of: the server shows where a session is, and whether a due is paid.
Where the password is not configured, or the server does not have the call, or shows nothing to do it to, the
desk has to do it: a conflict says so, and nothing is parked.
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
from bayd.reconcile.once import Effect, Finding, OnceCalls, Operation
from bayd.runtime.range import Range

_UNSIGNED = "no central_admin_password is set"
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

    async def move(self, record: Recorded[e.Event], event: e.SessionMovedAway, server_id: int) -> None:
        """Raises as `OnceCalls.carry_out`.

        `newDuration` is all the time that the session was granted, here and at the desk: with less a server
        would end it early.
        """
        password = self._password
        if password is None:
            await self._not_moved(event, _UNSIGNED)
            return
        shown = await self._client.get_session(server_id)
        if shown.bay_number not in (record.bay, event.to) or not shown.active:
            # The call names bays, not sessions: it would move another one.
            await self._not_moved(event, f"it does not show it in play at bay {record.bay}")
            return

        op_id = op_id_of_move(event)
        call = await self._once.find(op_id)
        minutes: int
        if call is None:
            # The desk may have given time that we have not heard of yet.
            added = await self._extended_min(server_id)
            minutes = max(event.minutes, granted_minutes(event.first_minutes, shown.duration_min, added))
        else:
            # A repeat says what was said first: its key stands for that.
            minutes = json.loads(call.request)["minutes"]

        async def send(key: str) -> None:
            await self._client.session_bay_change(
                record.bay, event.to, password, minutes, idempotency_key=key
            )

        async def look() -> ServerSession:
            return await self._client.get_session(server_id)

        def effect(_before: object, row: ServerSession) -> Finding:
            if row.bay_number == event.to:
                return Finding(Effect.DONE)
            return Finding(Effect.ABSENT if row.bay_number == record.bay and row.active else Effect.UNKNOWN)

        if shown.bay_number == event.to:
            return
        operation = Operation(
            op_id,
            "move",
            record.bay,
            event.session_id,
            record.seq,
            {"to": event.to, "minutes": minutes},
            send,
            look,
            lambda _row: {},
            effect,
        )
        try:
            await self._once.carry_out(operation)
        except CapabilityMissing:
            await self._not_moved(event, "it does not have the call")

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

    async def _not_moved(self, event: e.SessionMovedAway, why: str) -> None:
        text = f"The server was not told of the move to bay {event.to}: {why}. Move it at the desk, too."
        fact = i.ServerContradicted("move_not_told", event.session_id, text)
        if event.to in self._bays.bays:
            await self._bays.submit(event.to, fact)

    async def _not_paid(self, number: str, session_id: str, due_id: str, amount: int, why: str) -> None:
        text = f"The server was not told that {amount} were paid at the bay: {why}. Enter it at the desk."
        await self._bays.submit(number, i.ServerContradicted("payment_not_told", session_id, text, due_id))


def op_id_of_move(event: e.SessionMovedAway) -> str:
    return f"move-{event.session_id}-{event.at_ms}-{event.to}"


def op_id_of_payment(due_id: str) -> str:
    return f"paid-{due_id}"
