"""What the central server has to hear, event by event, in the words of its calls.

| event | calls |
| --- | --- |
| a walk-in was sold | `POST /session`; the number that it gets is kept with the bay |
| play started offline or by staff | `GET /session/:id`, then one verify with the PIN of that answer |
| a game was chosen here | `PATCH /session`; the next one only when this one cannot arrive any more |
| time was given here | `POST /session/addSessionTime/:id`, once |
| … and paid at the bay, then or later | `PATCH /transaction`, once |
| a session was moved here | `POST /bay/sessionBayChange`, once |
| play ended here, or nobody came (where the site wants it) | `POST /session/:id/end`, once |

A start with a PIN that the server verified needs no call. After the end what the server keeps is compared
with what was played: see `after_end`.
"""

import asyncio
from functools import partial

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralMalformed,
    CentralRefused,
    CentralUnavailable,
    PagingFacts,
    Secret,
    ServerSession,
    VerifyAccepted,
    VerifyRefused,
    VerifyUnavailable,
    find_session,
)
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.extensions import is_taken_here
from bayd.core.model import EndReason, Payment, StartedBy
from bayd.journal import CallState, Journal, Recorded
from bayd.ports import Clock, Log
from bayd.reconcile.after_end import AfterEnd
from bayd.reconcile.evidence import (
    baseline_of,
    effect_of_end,
    effect_of_extension,
    effect_of_game,
)
from bayd.reconcile.live_sessions import find_server_id
from bayd.reconcile.once import Effect, Finding, NotShownError, OnceCalls, Operation, ParkError
from bayd.reconcile.signed import SignedCalls, op_id_of_move, op_id_of_payment
from bayd.reconcile.walk_ins import WalkInAccount, WalkIns, op_id_of_walk_in
from bayd.runtime.range import Range

_HERE = (EndReason.TIME, EndReason.STAFF, EndReason.CUSTOMER)  # ends that the server does not know yet
_PLAYED = "but it was played here"


class Deliveries:
    """One event, told to the server. Whatever it raises, telling it again is safe."""

    def __init__(
        self,
        client: CentralClient,
        journal: Journal[e.Event],
        bays: Range,
        *,
        walk_in: WalkInAccount | None,
        password: Secret | None,
        settle_s: float,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._bays = bays
        self._clock = clock
        self._once = OnceCalls(client, journal, settle_s=settle_s, clock=clock)
        self._walk_ins = WalkIns(client, self._once, bays, walk_in, clock, log)
        self._signed = SignedCalls(client, self._once, bays, password, self._extended_min)
        self._after_end = AfterEnd(client, self._once, bays, self._row, log)
        self._paging = PagingFacts()
        self._moving = asyncio.Lock()  # one move at a time, as they were made

    async def send(self, record: Recorded[e.Event], *, held_up: bool = False) -> None:
        """Raises CentralError, NotShownError, NotWrittenError and the like to be told again later; ParkError
        and CentralRefused to be set aside; NotNowError for a move to be held up: `held_up`, if it is."""
        match record.event:
            case e.WalkInSold() as sold:
                await self._walk_ins.book(record, sold)
            case e.SessionStarted(session_id):
                await self._confirm_start(record.bay, session_id)
            case e.GameSelected(session_id, game):
                await self._choose_game(record, session_id, game.id)
            case e.SessionExtended() as extended:
                await self._add_time(record, extended)
                if is_taken_here(extended.payment):
                    await self._pay(
                        record,
                        extended.op_id,
                        extended.session_id,
                        extended.amount or 0,
                        extended.payment,
                    )
            case e.DueSettled(due_id, session_id, amount, payment):
                await self._pay(record, due_id, session_id, amount, payment)
            case e.SessionMovedAway() as moved:
                server_id = self._server_id(record.bay, moved.session_id)
                async with self._moving:
                    await self._signed.move(record, moved, server_id, held_up=held_up)
            case e.BookingWithdrawn(session_id):
                await self._end(record, session_id, self._server_id(record.bay, session_id))
            case e.SessionEnded() as ended:
                server_id = self._server_id(record.bay, ended.session_id)
                if ended.reason in _HERE:
                    await self._end(record, ended.session_id, server_id)
                await self._after_end.compare(record.bay, ended, server_id)
            case _:
                pass

    async def start_anew(self, record: Recorded[e.Event], order: int) -> None:
        """Staff want it to be tried once more, whatever became of it."""
        for op_id in op_ids_of(record):
            await self._once.start_anew(op_id, order)

    async def give_up(self, record: Recorded[e.Event]) -> None:
        """Staff dropped it."""
        for op_id in op_ids_of(record):
            await self._once.give_up(op_id)

    async def holds_up(self, record: Recorded[e.Event], later: e.Event) -> bool:
        """While it is set aside, does this wait for it, of the same session?"""
        match record.event:
            case e.SessionMovedAway() | e.GameSelected() | e.DueSettled():
                return False
            case e.SessionExtended(op_id):
                if isinstance(later, e.SessionMovedAway | e.GameSelected):
                    return False  # of where and what is played, whatever becomes of the time
                call = await self._once.find(op_id)
                return call is None or call.state is not CallState.DONE  # else its payment alone is missing
            case _:
                return True

    async def leave_unclear(self, record: Recorded[e.Event]) -> None:
        """More time that may have arrived: from now on it is for staff to say."""
        if isinstance(record.event, e.SessionExtended):
            await self._once.leave_unclear(record.event.op_id)

    def is_walk_in(self, row: ServerSession) -> bool:
        """Sold by a bay, not booked at the desk."""
        return self._walk_ins.is_walk_in(row)

    # Starts

    async def _confirm_start(self, number: str, session_id: str) -> None:
        """A start that the server has not seen: verify with the PIN of its own answer, kept in memory."""
        server_id = self._server_id(number, session_id)
        shown = await self._client.get_session(server_id)
        if shown.active:
            return
        if shown.cancel:
            raise ParkError(f"the session was cancelled at the server, {_PLAYED}")
        if shown.bay_number != number:
            raise ParkError(f"the server shows the session at bay {shown.bay_number}, {_PLAYED}")
        if shown.pin is None:
            raise ParkError("the server shows no PIN for the session that was started here")
        match await self._client.verify(number, shown.pin):
            case VerifyAccepted():
                if not (await self._client.get_session(server_id)).active:
                    raise NotShownError("the server took the PIN, and does not call the session active")
            case VerifyUnavailable(reason, cause, sent, status=status):
                raise CentralUnavailable("verify", reason, cause=cause, sent=sent, status=status)
            case VerifyRefused(message):
                await self._started_before(number, session_id, server_id, message)

    async def _started_before(self, number: str, session_id: str, server_id: int, message: str) -> None:
        """The server refuses the PIN that it shows. An earlier verify may have reached it, unanswered, and
        the time be over since. Raises ParkError when it cannot have."""
        if (await self._client.get_session(server_id)).active:
            return
        row = await self._row(server_id)
        if row.cancel or not row.released_known or row.released_at_ms is not None:
            raise ParkError(f"the server refuses the start that was played here: {message}")
        text = "The server refuses the start that was played here, and shows the session as neither over nor"
        text = f"{text} cancelled: had it started before?"
        await self._bays.submit(number, i.ServerContradicted("start_doubtful", session_id, text))

    # The game

    async def _choose_game(self, record: Recorded[e.Event], session_id: str, game_id: int) -> None:
        """A repeat is harmless, but one that comes after the next choice would undo that."""
        server_id = self._server_id(record.bay, session_id)

        async def send(key: str) -> None:
            await self._client.set_game(server_id, game_id, idempotency_key=key)

        operation = Operation(
            _op_id_of_game(record),
            "game",
            record.bay,
            session_id,
            record.seq,
            {"game": game_id},
            send,
            partial(self._client.get_session, server_id),
            lambda _page: {},
            lambda _before, page: Finding(effect_of_game(page, game_id)),
        )
        await self._once.carry_out(operation)

    # Time and the end

    async def _add_time(self, record: Recorded[e.Event], event: e.SessionExtended) -> None:
        server_id = self._server_id(record.bay, event.session_id)
        amount = event.amount or 0

        async def send(key: str) -> None:
            await self._client.add_session_time(server_id, event.minutes, amount, idempotency_key=key)

        operation = Operation(
            event.op_id,
            "add_time",
            record.bay,
            event.session_id,
            record.seq,
            {"minutes": event.minutes, "amount": amount},
            send,
            partial(self._row, server_id),
            baseline_of,
            lambda before, row: Finding(effect_of_extension(before, row, event.minutes, amount)),
        )
        settled = await self._once.carry_out(operation)
        if not settled.plainly:
            text = f"The answer to {event.minutes} more minutes got lost; the server shows some like them."
            fact = i.ServerContradicted("extension_doubtful", event.session_id, text, event.op_id)
            await self._bays.submit(record.bay, fact)

    async def _pay(
        self, record: Recorded[e.Event], due_id: str, session_id: str, amount: int, payment: Payment
    ) -> None:
        server_id = self._server_id(record.bay, session_id)
        await self._signed.pay(record, due_id, session_id, server_id, amount, payment)

    async def _end(self, record: Recorded[e.Event], session_id: str, server_id: int) -> None:
        async def send(key: str) -> None:
            try:
                await self._client.end_session(server_id, idempotency_key=key)
            except CentralRefused:
                # Ended at the desk in the same moment: over is over.
                if effect_of_end(await self._row(server_id)) is not Effect.DONE:
                    raise

        operation = Operation(
            f"end-{session_id}",
            "end",
            record.bay,
            session_id,
            record.seq,
            {},
            send,
            partial(self._row, server_id),
            lambda _row: {},
            lambda _before, row: Finding(effect_of_end(row)),
        )
        await self._once.carry_out(operation)

    # What all need

    async def _extended_min(self, server_id: int) -> int | None:
        """None: the history does not say."""
        try:
            return (await self._row(server_id)).extended_min
        except (NotShownError, CentralMalformed, CapabilityMissing):
            return None

    async def _row(self, server_id: int) -> ServerSession:
        """Raises NotShownError."""
        row, self._paging = await find_session(
            self._client.history, self._paging, server_id, now_ms=self._clock.now().boot_ms
        )
        if row is None:
            raise NotShownError("the server's history does not show the session")
        return row

    def _server_id(self, number: str, session_id: str) -> int:
        server_id = find_server_id(self._bays, number, session_id)
        if server_id is None:
            raise ParkError("the server has not booked this walk-in")
        return server_id


def is_deliverable(event: e.Event) -> bool:
    """Does the central server have to hear of it?"""
    match event:
        case e.SessionExtended() | e.GameSelected():
            return event.own
        case e.SessionStarted():
            return event.started_by is not StartedBy.PIN_ONLINE
        case e.SessionMovedAway():
            return event.own
        case e.BookingWithdrawn():
            return event.reason is EndReason.NO_SHOW
        case e.DueSettled():
            return is_taken_here(event.payment)
        case e.WalkInSold() | e.SessionEnded() | e.SessionMovedIn():
            return True
        case _:
            return False


def session_of(event: e.Event) -> str:
    match event:
        case (
            e.WalkInSold(session_id)
            | e.SessionStarted(session_id)
            | e.GameSelected(session_id)
            | e.SessionEnded(session_id)
            | e.SessionMovedAway(session_id)
            | e.BookingWithdrawn(session_id)
        ):
            return session_id
        case e.SessionExtended() | e.DueSettled():
            return event.session_id
        case e.SessionMovedIn(session):
            return session.session_id
        case _:
            return ""


def op_ids_of(record: Recorded[e.Event]) -> tuple[str, ...]:
    """Of the calls that are made once."""
    match record.event:
        case e.GameSelected():
            return (_op_id_of_game(record),)
        case e.WalkInSold(session_id):
            return (op_id_of_walk_in(session_id),)
        case e.SessionExtended(op_id):
            return (op_id, op_id_of_payment(op_id))
        case e.DueSettled(due_id):
            return (op_id_of_payment(due_id),)
        case e.SessionMovedAway() as moved:
            return (op_id_of_move(moved),)
        case e.SessionEnded(session_id) | e.BookingWithdrawn(session_id):
            return (f"end-{session_id}",)
        case _:
            return ()


def _op_id_of_game(record: Recorded[e.Event]) -> str:
    """A key at the server, too: more than a number, which another PC's journal, or a new one, has as well."""
    return f"game-{record.batch}-{record.seq}"
