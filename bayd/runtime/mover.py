"""Moves of a session to another bay: both bays' turns, one decision, one commit over both.

One move at a time, so two that cross never wait for each other. A move is an act that enables: one that is
not durable in time is expired at both bays and never counts, as with any other act.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.audit import audit_note
from bayd.core.decision import Decision
from bayd.core.evolve import evolve, evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Bay
from bayd.core.moving import decide_move
from bayd.journal import Batch, Journal, JournalUnavailableError, NotWrittenError, Writer
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.bay import BayTask
from bayd.runtime.requests import AnswerMaker, BayBusyError, Outcome, OutcomeUnknownError
from bayd.runtime.turns import Turn

T = TypeVar("T")

_RETRY_S = 1.0
_WAITING_LIMIT = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    source: BayTask
    target: BayTask | None  # None: this PC has no such bay
    request: i.Move
    make_answer: AnswerMaker | None
    since_ms: int
    reply: asyncio.Future[Outcome]
    settled: asyncio.Future[None]

    @property
    def bays(self) -> list[BayTask]:
        """Each once, the source first."""
        alone = self.target is None or self.target is self.source
        return [self.source] if alone or self.target is None else [self.source, self.target]

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # nobody may be waiting any more: not a warning


@dataclass(frozen=True, slots=True)
class _Part:
    """One bay's share."""

    task: BayTask
    decision: Decision
    after: Bay
    batch: Batch[e.Event]


class Mover:
    """`run` is a task of the range."""

    def __init__(self, journal: Journal[e.Event], *, clock: Clock, randomness: Randomness, log: Log) -> None:
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._waiting: deque[_Wanted] = deque()
        self._arrived = asyncio.Event()
        self._tasks: asyncio.TaskGroup

    async def submit(
        self, source: BayTask, target: BayTask | None, request: i.Move, make_answer: AnswerMaker | None
    ) -> Outcome:
        """Raises as `BayTask.submit`."""
        if len(self._waiting) >= _WAITING_LIMIT:
            raise _busy(source)
        loop = asyncio.get_running_loop()
        if request.session_id is None and source.bay.session is not None:
            request = replace(request, session_id=source.bay.session.session_id)
        wanted = _Wanted(
            source,
            target,
            request,
            make_answer,
            self._clock.now().boot_ms,
            loop.create_future(),
            loop.create_future(),
        )
        self._waiting.append(wanted)
        self._arrived.set()
        try:
            await asyncio.wait({wanted.reply}, timeout=source.rules.intent_ttl_ms / 1000)
            if wanted in self._waiting:
                raise _busy(source)
            return await wanted.reply
        finally:
            if wanted in self._waiting:
                self._waiting.remove(wanted)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                while self._waiting:
                    wanted = self._waiting.popleft()
                    try:
                        await self._with_turns(wanted)
                    except Exception as error:  # noqa: BLE001 # one move is lost, not the range
                        self._log.error(
                            "input_failed", bay=wanted.source.number, input="Move", exc_info=error
                        )
                        wanted.fail(error)
                    finally:
                        wanted.settled.set_result(None)
                self._arrived.clear()
                await self._arrived.wait()

    async def _with_turns(self, wanted: _Wanted) -> None:
        turns: list[Turn] = []
        try:
            for task in wanted.bays:
                turn = task.ask_for_turn()
                turns.append(turn)
                waited_ms = self._clock.now().boot_ms - wanted.since_ms
                rest_s = max(0.0, (task.rules.intent_ttl_ms - waited_ms) / 1000)
                if not await turn.is_granted_within(rest_s):
                    wanted.fail(_busy(task))
                    return
            await self._move(wanted)
        finally:
            for turn in turns:
                turn.give_back()

    async def _move(self, wanted: _Wanted) -> None:
        parts = self._decided(wanted)
        outcome = Outcome(parts[0].decision, parts[0].after, parts[0].batch.answer)
        written = [part for part in parts if part.batch.events or part.batch.answer]
        if not written:
            wanted.reply.set_result(outcome)
            return
        for part in written:
            part.task.foresee(part.after)
        try:
            in_time, seqs = await self._commit(wanted, written)
        except NotWrittenError as error:
            wanted.fail(error)
            return
        if not in_time:
            await self._expire(written)
            return
        for part in written:
            part.task.take(part.after, part.batch.events, seqs[part.task.number])
        if not wanted.reply.done():
            wanted.reply.set_result(outcome)

    def _decided(self, wanted: _Wanted) -> list[_Part]:
        now = self._clock.now()
        source, target = wanted.source, wanted.target
        there = None if target is None else target.bay
        rules_there = source.rules if target is None else target.rules
        decided = decide_move(source.bay, there, wanted.request, now, source.rules, rules_there)
        parts = []
        for task, decision in zip(wanted.bays, (decided.source, decided.target), strict=False):
            after = evolve_all(task.bay, decision.events)
            asked = wanted.make_answer if task is source else None
            answer = None if asked is None else asked(after, decision)
            note = audit_note(wanted.request, decision, task.bay, after, now) if task is source else None
            batch = Batch(task.number, self._randomness.new_id(), decision.events, now, answer, note)
            parts.append(_Part(task, decision, after, batch))
        return parts

    async def _commit(self, wanted: _Wanted, parts: list[_Part]) -> tuple[bool, dict[str, tuple[int, ...]]]:
        """Whether it became durable in time, and where. Raises NotWrittenError."""

        def write(writer: Writer[e.Event]) -> dict[str, tuple[int, ...]]:
            return {part.task.number: writer.append(part.batch) for part in parts}

        task = self._tasks.create_task(
            _outcome_of(self._until_known(lambda: self._journal.transact(write))), name="move"
        )
        ttl_ms = wanted.source.rules.intent_ttl_ms
        waited_ms = self._clock.now().boot_ms - parts[0].batch.at.boot_ms
        await asyncio.wait({task}, timeout=max(0, ttl_ms - waited_ms) / 1000)
        in_time = task.done()
        if not in_time:
            self._log.error("commit_stalled", bay=wanted.source.number, waited_ms=ttl_ms)
            text = "the disk does not answer"
            wanted.fail(OutcomeUnknownError(text, lasts=False, settled=wanted.settled))
        found = await task
        if isinstance(found, Exception):
            raise found
        return in_time, found

    async def _until_known(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The batches are known by their ids: asking again writes nothing twice."""
        while True:
            try:
                return await ask()
            except JournalUnavailableError:
                self._log.error("journal_unavailable", bay="")
                await asyncio.sleep(_RETRY_S)

    async def _expire(self, parts: list[_Part]) -> None:
        """Recorded after its answer was given up: it never counts, at neither bay."""
        while True:
            at = self._clock.now()
            expiries = [(part, self._expiry(part, at)) for part in parts]

            def write(
                writer: Writer[e.Event], expiries: list[tuple[_Part, Batch[e.Event]]] = expiries
            ) -> dict[str, tuple[int, ...]]:
                return {
                    part.task.number: writer.expire(part.batch.batch_id, batch) for part, batch in expiries
                }

            try:
                seqs = await self._until_known(lambda: self._journal.transact(write))
            except NotWrittenError:
                self._log.error("expiry_not_recorded", bay=parts[0].task.number)
                await asyncio.sleep(_RETRY_S)
                continue
            for part, batch in expiries:
                task = part.task
                task.take(evolve(task.bay, batch.events[0]), batch.events, seqs[task.number])
            return

    def _expiry(self, part: _Part, at: Instant) -> Batch[e.Event]:
        expired = e.IntentExpired(part.batch.batch_id)
        return Batch(part.task.number, self._randomness.new_id(), (expired,), at)


def _busy(task: BayTask) -> BayBusyError:
    return BayBusyError(f"bay {task.number} has too much to do")


async def _outcome_of(call: Awaitable[T]) -> T | NotWrittenError:
    """A failure as a value: raised in the TaskGroup it would end the range."""
    try:
        return await call
    except NotWrittenError as error:
        return error
