"""Tells the central server what has happened here, in order, once.

The outbox is a cursor over the journal, one per bay. Most calls may simply be repeated; the two that may
not (more time, the end) are intents: the server's state before is journaled, then the call, then its
answer. After an unclear answer, or a crash, the server is read back once it has settled: nothing new means
send again, one match means done, anything else is unknown and is left to people, never repeated.

An item that the server refuses is parked, and with it what follows of the same session, except its end.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from bayd.clients.central import (
    BayStatus,
    CapabilityMissing,
    CentralClient,
    CentralError,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
    ServerSession,
    VerifyAccepted,
    VerifyRefused,
    VerifyUnavailable,
)
from bayd.clients.central.sweep import PagingFacts, find_session
from bayd.core import events as e
from bayd.core.desired import Desired
from bayd.core.model import Bay, EndReason, StartedBy
from bayd.journal import Call, CallState, Journal, NotWrittenError, Parked, Recorded
from bayd.ports import Clock, Log, Randomness

SINK = "central"
_BATCH = 200
_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_ALONE_PARK_MS = 3_600_000  # an item that fails for an hour while others pass is parked
_HERE = (EndReason.TIME, EndReason.STAFF, EndReason.CUSTOMER)  # ends that the server does not know yet


class Effect(StrEnum):
    """What reading back says of a call whose answer was unclear."""

    ABSENT = "absent"
    DONE = "done"
    UNKNOWN = "unknown"


Baseline = Mapping[str, object]
Send = Callable[[], Awaitable[None]]
EffectOf = Callable[[Baseline, ServerSession], Effect]


class _ParkError(Exception):
    """This item cannot be delivered; the message says why."""


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What the status shows."""

    waiting: int
    oldest_wall_ms: int | None
    parked: int
    alarm: str  # "" or why nothing is delivered


class CentralOutbox:
    """`run` is a root task with one child per bay."""

    def __init__(
        self,
        client: CentralClient,
        journal: Journal[e.Event],
        bays: tuple[str, ...],
        *,
        settle_s: float,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._client = client
        self._journal = journal
        self._settle_s = settle_s
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._wakes = {number: asyncio.Event() for number in bays}
        self._waiting: dict[str, tuple[int, int]] = {}  # bay -> items, wall time of the oldest
        self._parked = 0
        self._alarm = ""
        self._missing: set[str] = set()  # capabilities that the server does not have
        self._paging = PagingFacts()

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        wake = self._wakes.get(bay.number)
        if wake is not None:
            wake.set()

    def view(self) -> OutboxView:
        oldest = min((at for _, at in self._waiting.values()), default=None)
        return OutboxView(sum(n for n, _ in self._waiting.values()), oldest, self._parked, self._alarm)

    async def run(self) -> None:
        self._parked = len(await self._journal.parked(SINK))
        async with asyncio.TaskGroup() as tasks:
            for number in self._wakes:
                tasks.create_task(self._run_bay(number), name=f"outbox-{number}")

    async def _run_bay(self, number: str) -> None:
        cursor = await self._journal.cursor(SINK, number)
        while True:
            self._wakes[number].clear()
            records = await self._journal.read(cursor, bay=number, limit=_BATCH)
            due = [record for record in records if is_deliverable(record.event)]
            for position, record in enumerate(due):
                self._waiting[number] = (len(due) - position, record.wall_ms)
                await self._deliver(record)
                await self._advance(number, record.seq)
            self._waiting.pop(number, None)
            if records:
                cursor = records[-1].seq
                await self._advance(number, cursor)
            else:
                await self._wakes[number].wait()

    async def _advance(self, number: str, seq: int) -> None:
        while True:
            try:
                await self._journal.advance(SINK, number, seq)
            except NotWrittenError:
                # Only tells what is delivered already: the calls themselves have intents of their own.
                await asyncio.sleep(_RETRY_S[0])
            else:
                return

    async def _deliver(self, record: Recorded[e.Event]) -> None:
        """Until it is delivered or parked."""
        session_id = _session_of(record.event)
        failing_since_ms: int | None = None
        attempt = 0
        if session_id is not None and not isinstance(record.event, e.SessionEnded):
            for parked in await self._journal.parked(SINK, bay=record.bay, session_id=session_id):
                await self._park(record, session_id, f"after item {parked.seq}, which is parked")
                return
        while True:
            try:
                await self._send(record)
            except _ParkError as error:
                await self._park(record, session_id or "", str(error))
                return
            except CentralRefused as error:
                await self._park(record, session_id or "", str(error))
                return
            except CapabilityMissing as error:
                self._note_missing(error)
                return
            except CentralUnauthorised as error:
                self._raise_alarm(str(error))
            except (CentralUnavailable, NotWrittenError) as error:
                self._log.debug("central_retry", bay=record.bay, seq=record.seq, reason=str(error))
            except CentralError as error:
                now_ms = self._clock.now().boot_ms
                failing_since_ms = failing_since_ms or now_ms
                if now_ms - failing_since_ms > _ALONE_PARK_MS:
                    await self._park(record, session_id or "", str(error))
                    return
                self._log.warning("central_answer_odd", bay=record.bay, seq=record.seq, reason=str(error))
            else:
                self._alarm = ""
                return
            pause_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
            attempt += 1
            await asyncio.sleep(pause_s * (0.5 + 0.5 * self._randomness.jitter()))

    async def _send(self, record: Recorded[e.Event]) -> None:
        """Raises CentralError, _ParkError, NotWrittenError."""
        event = record.event
        match event:
            case e.SessionStarted(session_id, started_by):
                if started_by is not StartedBy.PIN_ONLINE:
                    await self._confirm_start(record.bay, int(session_id))
                await self._set_status(record.bay, BayStatus.ONGOING)
            case e.SessionExtended(own=True):
                await self._add_time(record, event)
            case e.GameSelected(session_id, game, own=True):
                await self._client.set_game(int(session_id), game.id)
            case e.SessionEnded(session_id, reason) if reason in _HERE:
                await self._end(record, int(session_id))
            case e.GraceEnded() | e.BayReleased() | e.BayReturnedToService():
                await self._set_status(record.bay, BayStatus.AVAILABLE)
            case e.BayHeld():
                await self._set_status(record.bay, BayStatus.ON_HOLD)
            case e.BayTakenOutOfService():
                await self._set_status(record.bay, BayStatus.NOT_AVAILABLE)
            case _:
                pass

    async def _set_status(self, number: str, status: BayStatus) -> None:
        """Our own transitions only; a site without this call does without."""
        if "status" in self._missing:
            return
        try:
            await self._client.set_bay_status(number, status)
        except CapabilityMissing as error:
            self._missing.add("status")
            self._log.warning("central_capability_missing", operation=error.operation)
        except CentralRefused as error:
            self._log.warning("bay_status_refused", bay=number, status=status.value, reason=str(error))

    async def _confirm_start(self, number: str, session_id: int) -> None:
        """A start that the server has not seen: verify with the PIN of its own answer, kept in memory."""
        session = await self._client.get_session(session_id)
        if session.active:
            return
        if session.pin is None:
            raise _ParkError("the server shows no PIN for the session that was started here")
        match await self._client.verify(number, session.pin):
            case VerifyAccepted():
                return
            case VerifyUnavailable(reason, cause, sent, status):
                raise CentralUnavailable("verify", reason, cause=cause, sent=sent, status=status)
            case VerifyRefused(message):
                if (await self._client.get_session(session_id)).active:
                    return
                raise _ParkError(f"the server refuses the start that was played here: {message}")

    # The two calls that may not be repeated

    async def _add_time(self, record: Recorded[e.Event], event: e.SessionExtended) -> None:
        call = await self._intent(record, "add_time", event.op_id, event.session_id)
        amount = event.amount or 0

        async def send() -> None:
            await self._client.add_session_time(
                int(event.session_id), event.minutes, amount, idempotency_key=event.op_id
            )

        def effect(before: Baseline, now: ServerSession) -> Effect:
            return effect_of_extension(before, now, event.minutes, amount)

        await self._once(call, send, effect)

    async def _end(self, record: Recorded[e.Event], session_id: int) -> None:
        call = await self._intent(record, "end", f"end-{session_id}", str(session_id))

        async def send() -> None:
            try:
                await self._client.end_session(session_id, idempotency_key=call.op_id)
            except CentralRefused:
                # Ended at the desk in the same moment: over is over.
                if effect_of_end({}, await self._read_back(session_id)) is not Effect.DONE:
                    raise

        await self._once(call, send, effect_of_end)

    async def _intent(self, record: Recorded[e.Event], kind: str, op_id: str, session_id: str) -> Call:
        """The journaled intent, with what the server showed before it was ever sent."""
        known = await self._journal.query(lambda reader: reader.find_call(op_id))
        if known is not None:
            return known
        baseline = json.dumps(baseline_of(await self._read_back(int(session_id))))
        call = Call(op_id, SINK, record.bay, session_id, record.seq, kind, "{}", baseline)
        await self._journal.put_call(call)
        return call

    async def _once(self, call: Call, send: Send, effect: EffectOf) -> None:
        """Drive an intent to its end. Raises CentralError to be called again, _ParkError to give up."""
        if call.state is CallState.DONE:
            return
        if call.state is CallState.REFUSED:
            raise _ParkError("the server has refused it")
        before: Baseline = json.loads(call.baseline or "{}")
        if call.state is CallState.UNKNOWN:
            raise _ParkError("it cannot be told whether the server did it; staff decide")
        if call.state is CallState.SENT and not self._client.idempotency_keys:
            await self._settle(call)
            seen = effect(before, await self._read_back(int(call.session_id)))
            if seen is Effect.DONE:
                await self._journal.update_call(replace(call, state=CallState.DONE))
                return
            if seen is Effect.UNKNOWN:
                await self._journal.update_call(replace(call, state=CallState.UNKNOWN))
                raise _ParkError("it cannot be told whether the server did it; staff decide")
        now_ms = self._clock.now().wall_ms
        sent = replace(
            call,
            state=CallState.SENT,
            attempts=call.attempts + 1,
            first_sent_wall_ms=call.first_sent_wall_ms or now_ms,
            last_sent_wall_ms=now_ms,
        )
        await self._journal.update_call(sent)
        try:
            await send()
        except CentralUnavailable as error:
            if not error.sent:
                await self._journal.update_call(replace(sent, state=CallState.INTENDED))
            raise
        except CentralUnauthorised:
            await self._journal.update_call(replace(sent, state=CallState.INTENDED))
            raise
        except CentralRefused:
            await self._journal.update_call(replace(sent, state=CallState.REFUSED))
            raise
        await self._journal.update_call(replace(sent, state=CallState.DONE))

    async def _settle(self, call: Call) -> None:
        """The server may still be working on it: wait out its bound before reading back."""
        age_s = (self._clock.now().wall_ms - (call.last_sent_wall_ms or 0)) / 1000
        # A wall clock that was set back, or far ahead, must not shorten the wait.
        rest_s = self._settle_s - age_s if 0 <= age_s <= self._settle_s else self._settle_s
        if age_s > self._settle_s and self._clock.now().synchronised:
            return
        await asyncio.sleep(rest_s)

    async def _read_back(self, session_id: int) -> ServerSession:
        row, self._paging = await find_session(
            self._client.history, self._paging, session_id, now_ms=self._clock.now().wall_ms
        )
        if row is None:
            raise _ParkError("the server's history does not show the session")
        return row

    async def _park(self, record: Recorded[e.Event], session_id: str, reason: str) -> None:
        self._log.error(
            "delivery_parked",
            bay=record.bay,
            session=session_id,
            kind=type(record.event).__name__,
            reason=reason,
        )
        parked = Parked(SINK, record.bay, session_id, record.seq, reason, self._clock.now().wall_ms)
        while True:
            try:
                await self._journal.park(parked)
            except NotWrittenError:
                await asyncio.sleep(_RETRY_S[0])
            else:
                self._parked = len(await self._journal.parked(SINK))
                return

    def _note_missing(self, error: CapabilityMissing) -> None:
        if error.operation not in self._missing:
            self._missing.add(error.operation)
            self._log.warning("central_capability_missing", operation=error.operation)

    def _raise_alarm(self, reason: str) -> None:
        if not self._alarm:
            self._log.error("central_credentials_refused", reason=reason)
        self._alarm = reason


def is_deliverable(event: e.Event) -> bool:
    """Does the central server have to hear of it?"""
    match event:
        case e.SessionExtended() | e.GameSelected():
            return event.own
        case e.SessionStarted() | e.SessionEnded() | e.GraceEnded():
            return True
        case e.BayHeld() | e.BayReleased() | e.BayTakenOutOfService() | e.BayReturnedToService():
            return True
        case _:
            return False


def baseline_of(session: ServerSession) -> Baseline:
    """What is needed to recognise our own effect later."""
    extensions = session.extensions
    return {
        "duration_min": session.duration_min,
        "extended_min": session.extended_min,
        "extension_ids": None if extensions is None else [x.id for x in extensions],
    }


def effect_of_extension(before: Baseline, now: ServerSession, minutes: int, amount: int) -> Effect:
    """Compare with the baseline: one new item like ours is done, none is absent, more is unknown."""
    ids = before.get("extension_ids")
    if isinstance(ids, list) and now.extensions is not None:
        new = [x for x in now.extensions if x.id is None or x.id not in ids]
        if any(x.id is None or x.duration_min is None for x in new):
            return Effect.UNKNOWN
        ours = [x for x in new if x.duration_min == minutes and x.amount in (amount, None)]
        if len(ours) > 1:
            return Effect.UNKNOWN
        return Effect.DONE if ours else Effect.ABSENT
    extended = before.get("extended_min")
    if not isinstance(extended, int) or now.extended_min is None:
        return Effect.UNKNOWN
    gained = now.extended_min - extended
    if gained == 0:
        return Effect.ABSENT
    return Effect.DONE if gained == minutes else Effect.UNKNOWN


def effect_of_end(_before: Baseline, now: ServerSession) -> Effect:
    if now.cancel or now.released_at_ms is not None:
        return Effect.DONE
    return Effect.ABSENT if now.released_known else Effect.UNKNOWN


def _session_of(event: e.Event) -> str | None:
    match event:
        case e.SessionStarted() | e.SessionExtended() | e.GameSelected() | e.SessionEnded():
            return event.session_id
        case _:
            return None
