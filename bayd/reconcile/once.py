"""Calls to the central server that may not simply be repeated: more time, the end, a new booking.

Each is an intent first: what the server shows before is journaled, then that the call goes out, then its
answer. After an unclear answer, or a crash, the server is read back once it has had time to settle: nothing
new means send again, one match means done, anything else is unknown and is left to people, never repeated.
Where the server honours idempotency keys a repeat is harmless, and is just sent; but not what went out
without a key before.

`Call.baseline` is JSON: `{"take": 1, "before": …}`. Staff who let a call be made once more start the next
take, with a key and a baseline of its own.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
)
from bayd.core.events import Event
from bayd.journal import Call, CallState, Journal
from bayd.ports import Clock

SINK = "central"
UNCLEAR = "it cannot be told whether the server did it; staff decide"

T = TypeVar("T")
Facts = Mapping[str, Any]  # JSON


class Effect(StrEnum):
    """What reading back says of a call whose answer was unclear."""

    ABSENT = "absent"
    DONE = "done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    effect: Effect
    facts: Facts | None = None  # of what was done, as the answer would have told


class ParkError(Exception):
    """This item cannot be delivered; the message says why."""


class NotNowError(Exception):
    """Refused, so certainly not done, for a reason that passes: called again it is sent anew."""


class NotShownError(Exception):
    """The server's list does not show what must be there. It proves nothing: look again later."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One such call. `send` gets its idempotency key; `look` reads what `baseline` and `effect` judge."""

    op_id: str
    kind: str
    bay: str
    session_id: str
    seq: int
    request: Facts
    send: Callable[[str], Awaitable[Facts | None]]
    look: Callable[[], Awaitable[T]]
    baseline: Callable[[T], Facts]
    effect: Callable[[Facts, T], Finding]


@dataclass(frozen=True, slots=True)
class Settled:
    """How it became certain. `plainly` False: by reading back, or by a second sending."""

    facts: Facts
    plainly: bool


class OnceCalls:
    """Drives each operation to its end, over crashes and outages, by being called again."""

    def __init__(
        self, client: CentralClient, journal: Journal[Event], *, settle_s: float, clock: Clock
    ) -> None:
        self._client = client
        self._journal = journal
        self._settle_s = settle_s
        self._clock = clock
        self._unclear_since_ms: dict[str, int] = {}  # on the boot clock of this life

    async def carry_out(self, operation: Operation[T]) -> Settled:
        """Raises CentralError, NotShownError, NotNowError or NotWrittenError to be called again, ParkError to
        give up."""
        call = await self._intend(operation)
        match call.state:
            case CallState.DONE:
                return _settled(call)
            case CallState.REFUSED:
                raise ParkError("the server has refused it")
            case CallState.UNKNOWN:
                raise ParkError(UNCLEAR)
            case CallState.SENT if not self._may_repeat(call):
                found = await self._read_back(operation, call)
                if found is not None:
                    return found
            case _:
                pass
        return await self._send(operation, call)

    def _may_repeat(self, call: Call) -> bool:
        """With a key, and not where a sending without one may have arrived: the setting may be new. What has
        a `before` was intended without keys."""
        return self._client.idempotency_keys and "before" not in _book(call)

    async def find(self, op_id: str) -> Call | None:
        return await self._journal.query(lambda reader: reader.find_call(op_id))

    async def of_session(self, session_id: str) -> list[Call]:
        return await self._journal.query(lambda reader: reader.calls_of(SINK, session_id))

    async def start_anew(self, op_id: str, order: int) -> None:
        """Staff let it be tried once more, by the order of this number: once for each order."""
        call = await self.find(op_id)
        if call is None or call.state not in (CallState.REFUSED, CallState.UNKNOWN):
            return
        book = _book(call)
        if book.get("order", 0) >= order:
            return
        baseline = json.dumps({"take": book["take"] + 1, "order": order})
        await self._journal.update_call(replace(call, state=CallState.INTENDED, baseline=baseline))

    async def leave_unclear(self, op_id: str) -> None:
        """It is not read back any more. With keys nothing is unclear."""
        call = await self.find(op_id)
        if call is not None and call.state is CallState.SENT and not self._may_repeat(call):
            await self._journal.update_call(replace(call, state=CallState.UNKNOWN))

    async def ask_for(self, op_id: str, request: Facts) -> Facts:
        """What to ask for: a repeat says what was said first, as its key stands for that. But after a
        `NotNowError` it is what is wanted now, and something else has a key of its own."""
        call = await self.find(op_id)
        if call is None:
            return request
        book = _book(call)
        asked: Facts = book.get("asks") or json.loads(call.request)
        if call.state is not CallState.INTENDED or asked == request:
            return asked
        baseline = json.dumps({**book, "asks": request, "take": book["take"] + 1})
        await self._journal.update_call(replace(call, baseline=baseline))
        return request

    async def give_up(self, op_id: str) -> None:
        """Staff dropped it: whatever the server did, nothing follows from here."""
        call = await self.find(op_id)
        if call is not None and call.state is not CallState.DONE:
            answer = json.dumps({"dropped": True})
            await self._journal.update_call(replace(call, state=CallState.REFUSED, answer=answer))

    async def _intend(self, operation: Operation[T]) -> Call:
        """The journaled intent, with what the server showed before it was ever sent."""
        call = await self.find(operation.op_id)
        if call is None:
            call = Call(
                operation.op_id,
                SINK,
                operation.bay,
                operation.session_id,
                operation.seq,
                operation.kind,
                json.dumps(operation.request),
                json.dumps({"take": 1}),
            )
            call = await self._with_baseline(operation, call)
            await self._journal.put_call(call)
        elif call.state is CallState.INTENDED and "before" not in _book(call):
            call = await self._with_baseline(operation, call)
            await self._journal.update_call(call)
        return call

    async def _with_baseline(self, operation: Operation[T], call: Call) -> Call:
        if self._client.idempotency_keys:
            return call
        shown = await operation.look()
        before = operation.baseline(shown)
        baseline = json.dumps({**_book(call), "before": before})
        finding = operation.effect(before, shown)
        if finding.effect is Effect.DONE:  # somebody was quicker: an end at the desk
            return replace(call, baseline=baseline, state=CallState.DONE, answer=_answer(finding.facts))
        return replace(call, baseline=baseline)

    async def _read_back(self, operation: Operation[T], call: Call) -> Settled | None:
        """None: the server has certainly not done it. Raises ParkError when that cannot be told."""
        await self._settle(call.op_id)
        before = _book(call).get("before")
        if before is None:
            finding = Finding(Effect.UNKNOWN)
        else:
            finding = operation.effect(before, await operation.look())
        match finding.effect:
            case Effect.ABSENT:
                return None
            case Effect.DONE:
                done = replace(call, state=CallState.DONE, answer=_answer(finding.facts, plainly=False))
                await self._journal.update_call(done)
                return _settled(done)
            case Effect.UNKNOWN:
                await self._journal.update_call(replace(call, state=CallState.UNKNOWN))
                raise ParkError(UNCLEAR)

    async def _send(self, operation: Operation[T], call: Call) -> Settled:
        now_ms = self._clock.now().wall_ms
        sent = replace(
            call,
            state=CallState.SENT,
            attempts=call.attempts + 1,
            first_sent_wall_ms=call.first_sent_wall_ms or now_ms,
            last_sent_wall_ms=now_ms,
        )
        await self._journal.update_call(sent)
        take = _book(call)["take"]
        try:
            facts = await operation.send(call.op_id if take == 1 else f"{call.op_id}.{take}")
        except CentralUnavailable as error:
            if error.sent:
                self._unclear_since_ms[call.op_id] = self._clock.now().boot_ms
            else:
                await self._was_not_sent(call, sent)
            raise
        except (CentralUnauthorised, CapabilityMissing):
            await self._was_not_sent(call, sent)
            raise
        except NotNowError:
            await self._was_refused_for_now(call, sent)
            raise
        except CentralRefused:
            await self._journal.update_call(replace(sent, state=CallState.REFUSED))
            raise
        # With keys the server does it once, however often it is sent.
        plainly = call.state is CallState.INTENDED or self._may_repeat(call)
        done = replace(sent, state=CallState.DONE, answer=_answer(facts, plainly=plainly))
        await self._journal.update_call(done)
        return _settled(done)

    async def _was_refused_for_now(self, call: Call, sent: Call) -> None:
        """The refusal is the answer that its key has from now on. Without keys an earlier sending may still
        be unclear."""
        state = CallState.INTENDED if self._client.idempotency_keys else call.state
        baseline = json.dumps({**_book(call), "take": _book(call)["take"] + 1})
        await self._journal.update_call(replace(sent, state=state, baseline=baseline))

    async def _was_not_sent(self, call: Call, sent: Call) -> None:
        """Back to where it was: an earlier sending may still be unclear."""
        await self._journal.update_call(replace(sent, state=call.state))

    async def _settle(self, op_id: str) -> None:
        """The server may still be working on it: wait out its bound before reading back.

        Counted on the boot clock of this life alone. What an earlier life sent is as if sent now: no wall
        clock, set or guessed, ever shortens the wait.
        """
        now_ms = self._clock.now().boot_ms
        since_ms = self._unclear_since_ms.setdefault(op_id, now_ms)
        rest_s = self._settle_s - (now_ms - since_ms) / 1000
        if rest_s > 0:
            await asyncio.sleep(rest_s)


def _book(call: Call) -> dict[str, Any]:
    book: dict[str, Any] = json.loads(call.baseline or "{}")
    return {"take": 1, **book}


def _answer(facts: Facts | None, *, plainly: bool = True) -> str:
    return json.dumps({"facts": facts or {}, "plainly": plainly})


def _settled(call: Call) -> Settled:
    answer = json.loads(call.answer or "{}")
    return Settled(answer.get("facts", {}), answer.get("plainly", True))
