"""One bay as a task: input, decision, commit, new state, wishes for the reconcilers.

Inputs are taken one at a time, their commit included, so two presses never both see the old balance.
What disables (stop a motor, antennas off, the end of play) is told to the reconcilers before the commit;
what enables only after it. A commit may hang: the bay's timer still ends play on time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide, next_wake_ms
from bayd.core.decision import Decision
from bayd.core.desired import Desired, desired, narrowed
from bayd.core.evolve import REDUCER_VERSION, evolve, evolve_all
from bayd.core.model import Bay
from bayd.core.rules import Rules
from bayd.journal import Answer, Batch, Journal, NotWrittenError
from bayd.journal.event_codec import decode_bay, encode_bay
from bayd.ports import Clock, Log, Randomness

_TICK_S = 0.5  # asyncio's clock stops in suspend: the boot clock is read at least this often
_QUEUE_LIMIT = 256
_SNAPSHOT_EVERY = 200  # events of one bay
_RETRY_S = 1.0

# Acts that take effect at once and are journaled when possible: never expired, never given up.
_DISABLING = (i.End, i.Pause, i.Hold, i.StopService, i.TimeCame)
# Reports of what has happened already: late is better than never.
_FACTS = (
    i.PayoutMarkTaken,
    i.PayoutProgressed,
    i.PayoutWasInterrupted,
    i.PayoutEnded,
    i.BallHeard,
    i.DeviceReported,
    i.Restarted,
    i.ServerSaid,
    i.ServerMovedAway,
    i.ServerContradicted,
    i.PinWasWrong,
    i.PinNotChecked,
)


class BayObserver(Protocol):
    """A reconciler, or whoever shows bays to people. Called in the loop; must not block or raise."""

    def bay_changed(self, bay: Bay, wish: Desired) -> None: ...


class BayBusyError(Exception):
    """Too many requests wait at this bay; nothing was done."""


class OutcomeUnknownError(Exception):
    """The disk did not answer in time: the request may yet be recorded, but will not be acted on."""


AnswerMaker = Callable[[Bay, Decision], Answer | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    decision: Decision
    bay: Bay  # after it
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class _Request:
    input: i.Input
    make_answer: AnswerMaker | None
    reply: asyncio.Future[Outcome]


class BayTask:
    """Owns the state of one bay. `submit` from anywhere in the loop, `run` as a root task."""

    def __init__(
        self,
        number: str,
        rules: Rules,
        *,
        journal: Journal[e.Event],
        clock: Clock,
        randomness: Randomness,
        observers: Sequence[BayObserver],
        log: Log,
    ) -> None:
        self.bay = Bay(number)
        self.rules = rules
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._observers = observers
        self._log = log
        self._queue: asyncio.Queue[_Request] = asyncio.Queue(_QUEUE_LIMIT)
        self._wish = desired(self.bay, rules)
        self._since_snapshot = 0
        self._last_seq = 0

    @property
    def number(self) -> str:
        return self.bay.number

    async def load(self) -> None:
        """The state that the journal tells."""
        loaded = await self._journal.load(self.number)
        bay = Bay(self.number)
        if loaded.snapshot_state is not None and loaded.reducer_version == REDUCER_VERSION:
            bay = decode_bay(loaded.snapshot_state)
            self._last_seq = loaded.snapshot_seq
        for seq, event in loaded.events:
            bay = evolve(bay, event)
            self._last_seq = seq
        self._since_snapshot = len(loaded.events)
        self.bay = bay
        self._wish = desired(bay, self.rules)

    async def submit(self, request: i.Input, make_answer: AnswerMaker | None = None) -> Outcome:
        """Have one input decided, recorded and followed.

        Raises BayBusyError, OutcomeUnknownError, or NotWrittenError when nothing was recorded.
        """
        reply: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Request(request, make_answer, reply))
        except asyncio.QueueFull:
            raise BayBusyError(f"bay {self.number} has too many requests waiting") from None
        return await reply

    def announce(self) -> None:
        """Tell the observers the present state."""
        self._tell(self._wish)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as commits:
            while True:
                request = await self._next()
                try:
                    await self._handle(request, commits)
                except (BayBusyError, OutcomeUnknownError, NotWrittenError) as error:
                    _fail(request.reply, error)
                except Exception as error:  # noqa: BLE001 # the one guard of the bay: one input is lost, not the bay
                    self._log.error(
                        "input_failed", bay=self.number, input=type(request.input).__name__, exc_info=error
                    )
                    _fail(request.reply, error)

    async def _next(self) -> _Request:
        """The next input, or the passing of time when a deadline is over."""
        while True:
            now_ms = self._clock.now().boot_ms
            wake_ms = next_wake_ms(self.bay, self.rules)
            if wake_ms is not None and wake_ms <= now_ms:
                return _Request(i.TimeCame(), None, asyncio.get_running_loop().create_future())
            wait_s = _TICK_S if wake_ms is None else min(_TICK_S, (wake_ms - now_ms) / 1000)
            try:
                async with asyncio.timeout(wait_s):
                    return await self._queue.get()
            except TimeoutError:
                continue

    async def _handle(self, request: _Request, commits: asyncio.TaskGroup) -> None:
        while True:
            now = self._clock.now()
            decision = decide(self.bay, request.input, now, self.rules)
            after = evolve_all(self.bay, decision.events)
            answer = None if request.make_answer is None else request.make_answer(after, decision)
            if not decision.events and answer is None:
                _settle(request.reply, Outcome(decision, self.bay, None))
                return
            batch = Batch(
                bay=self.number,
                batch_id=self._randomness.new_id(),
                events=decision.events,
                at=now,
                answer=answer,
            )
            self._tell(narrowed(self._wish, desired(after, self.rules)), after=self.bay)
            try:
                in_time, seqs = await self._commit(batch, request, commits)
            except NotWrittenError:
                if isinstance(request.input, _DISABLING):
                    self._log.error("act_not_recorded", bay=self.number, input=type(request.input).__name__)
                    _fail(request.reply, OutcomeUnknownError("not recorded yet"))
                    await asyncio.sleep(_RETRY_S)
                    continue
                self._tell(desired(self.bay, self.rules))
                raise
            if not in_time and not isinstance(request.input, _DISABLING + _FACTS):
                await self._expire(batch)
                return
            self._last_seq = seqs[-1] if seqs else self._last_seq
            self.bay = after
            self._wish = desired(after, self.rules)
            self._tell(self._wish)
            _settle(request.reply, Outcome(decision, after, answer))
            await self._snapshot(len(decision.events))
            return

    async def _commit(
        self, batch: Batch[e.Event], request: _Request, commits: asyncio.TaskGroup
    ) -> tuple[bool, tuple[int, ...]]:
        """Whether it became durable in time, and where it stands in the journal. Raises NotWrittenError."""
        commit = commits.create_task(self._append(batch), name=f"commit-{self.number}")
        deadline_ms = batch.at.boot_ms + self.rules.intent_ttl_ms
        in_time = True
        while not commit.done():
            await asyncio.wait({commit}, timeout=_TICK_S)
            now = self._clock.now()
            if commit.done():
                break
            if in_time and now.boot_ms >= deadline_ms:
                in_time = False
                self._log.error("commit_stalled", bay=self.number, waited_ms=self.rules.intent_ttl_ms)
                _fail(request.reply, OutcomeUnknownError("the disk does not answer"))
            overdue = decide(self.bay, i.TimeCame(), now, self.rules).events
            if overdue:
                over = desired(evolve_all(self.bay, overdue), self.rules)
                self._tell(narrowed(self._wish, over), after=self.bay)
        result = commit.result()
        if isinstance(result, NotWrittenError):
            raise result
        return in_time and self._clock.now().boot_ms < deadline_ms, result

    async def _append(self, batch: Batch[e.Event]) -> tuple[int, ...] | NotWrittenError:
        # A failure is a value here: raised in the TaskGroup it would end the bay.
        try:
            return await self._journal.append(batch)
        except NotWrittenError as error:
            return error

    async def _expire(self, batch: Batch[e.Event]) -> None:
        """Recorded after its answer was given up: it never counts."""
        expiry: Batch[e.Event] = Batch(
            bay=self.number,
            batch_id=self._randomness.new_id(),
            events=(e.IntentExpired(batch.batch_id),),
            at=self._clock.now(),
        )
        seqs = await self._journal.expire(batch.batch_id, expiry)
        self._last_seq = seqs[-1]
        self._tell(desired(self.bay, self.rules))

    async def _snapshot(self, new_events: int) -> None:
        self._since_snapshot += new_events
        if self._since_snapshot < _SNAPSHOT_EVERY:
            return
        self._since_snapshot = 0
        await self._journal.save_snapshot(self.number, self._last_seq, REDUCER_VERSION, encode_bay(self.bay))

    def _tell(self, wish: Desired, after: Bay | None = None) -> None:
        for observer in self._observers:
            observer.bay_changed(self.bay if after is None else after, wish)


def _settle(reply: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not reply.done():
        reply.set_result(outcome)


def _fail(reply: asyncio.Future[Outcome], error: Exception) -> None:
    if reply.done():
        return
    reply.set_exception(error)
    reply.exception()  # nobody may be waiting any more: not a warning
