"""One bay as a task: input, decision, commit, new state, wishes for the reconcilers.

Inputs are taken one at a time, their commit included, so two presses never both see the old balance.
What disables (stop a motor, antennas off, the end of play) is told to the reconcilers before the commit;
what enables only after it. A disk may hang: the bay's timer still ends play on time, and what people here or
at the desk switch off meanwhile is off at once, though it waits for its turn to be recorded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.audit import audit_note
from bayd.core.decide import decide, next_wake_ms
from bayd.core.decision import Decision
from bayd.core.desired import Desired, desired, narrowed
from bayd.core.evolve import REDUCER_VERSION, evolve, evolve_all
from bayd.core.instant import AliveMark, Instant
from bayd.core.model import Bay
from bayd.core.rules import Rules
from bayd.journal import (
    AnswerExistsError,
    Batch,
    Journal,
    JournalUnavailableError,
    NotWrittenError,
)
from bayd.journal.event_codec import encode_bay, restore_bay
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.requests import (
    DISABLING,
    SWITCHING_OFF,
    AnswerMaker,
    BayBusyError,
    Outcome,
    OutcomeUnknownError,
    Request,
)
from bayd.runtime.turns import Turn

__all__ = [
    "AnswerMaker",
    "BayBusyError",
    "BayMeter",
    "BayObserver",
    "BayTask",
    "Outcome",
    "OutcomeUnknownError",
]

T = TypeVar("T")

_TICK_S = 0.5  # asyncio's clock stops in suspend: the boot clock is read at least this often
_ACTS_LIMIT = 64  # that wait at one bay; reports are as few as those who send them, each waits for its own
_SNAPSHOT_EVERY = 200  # events of one bay
_RETRY_S = 1.0


class BayObserver(Protocol):
    """A reconciler, or whoever shows bays to people. Called in the loop; must not block or raise."""

    def bay_changed(self, bay: Bay, wish: Desired) -> None: ...


class BayMeter(Protocol):
    """Counts what the bays do. Called in the loop; must not block or raise."""

    def committed(self, bay: str, took_s: float) -> None: ...

    def timer_came(self, bay: str, late_s: float) -> None:
        """A deadline of the bay was seen to be over; what was due while the daemon was down is very late."""
        ...

    def shed(self, bay: str) -> None:
        """An act was turned away because too many wait, or it waited too long."""
        ...


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
        meter: BayMeter | None = None,
    ) -> None:
        self.bay = Bay(number)
        self.rules = rules
        self.last_seq = 0  # of the journal's events, the newest that `bay` reflects
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._observers = observers
        self._log = log
        self._meter = meter
        self._waiting: deque[Request] = deque()
        self._turns: deque[Turn] = deque()
        self._arrived = asyncio.Event()
        self._wish = desired(self.bay, rules)
        self._pending: Desired | None = None  # told while something is not durable yet
        self._since_snapshot = 0
        self._tasks: asyncio.TaskGroup

    @property
    def number(self) -> str:
        return self.bay.number

    async def load(self) -> None:
        """The state that the journal tells."""
        loaded = await self._journal.load(self.number, REDUCER_VERSION)
        self.bay, self.last_seq = restore_bay(self.number, loaded)
        self._since_snapshot = len(loaded.events)
        self._wish = desired(self.bay, self.rules)

    def restart_batch(self, mark: AliveMark, now: Instant, boot_id: str) -> Batch[e.Event] | None:
        """What an outage since `mark` means for this bay; None: nothing. Before `run`, then `restarted`."""
        same_boot = mark.boot_id == boot_id
        report = i.Restarted(
            mark_boot_ms=mark.boot_ms,
            mark_wall_ms=mark.wall_ms,
            same_boot=same_boot,
            wall_trusted=mark.synchronised and now.synchronised,
        )
        events = self._decide(self.bay, report, now).events
        return Batch(self.number, self._randomness.new_id(), events, now) if events else None

    def restarted(self, batch: Batch[e.Event], seqs: tuple[int, ...]) -> None:
        """The batch is durable."""
        self.bay = evolve_all(self.bay, batch.events)
        self.last_seq = seqs[-1]
        self._wish = desired(self.bay, self.rules)
        self._since_snapshot += len(batch.events)

    async def submit(self, request: i.Input, make_answer: AnswerMaker | None = None) -> Outcome:
        """Have one input decided, recorded and followed.

        Raises BayBusyError, OutcomeUnknownError, or NotWrittenError when nothing was recorded. A report
        without an answer to give waits for as long as the disk needs.
        """
        loop = asyncio.get_running_loop()
        if isinstance(request, i.SessionAct) and request.session_id is None and self.bay.session is not None:
            request = replace(request, session_id=self.bay.session.session_id)
        mine = Request(
            request, make_answer, self._clock.now().boot_ms, loop.create_future(), loop.create_future()
        )
        if not mine.lasts and sum(not waiting.lasts for waiting in self._waiting) >= _ACTS_LIMIT:
            raise self._busy()
        self._waiting = deque(waiting for waiting in self._waiting if not mine.replaces(waiting))
        self._waiting.append(mine)
        self._arrived.set()
        self._narrow()
        if mine.is_patient:
            return await mine.reply
        try:
            await asyncio.wait({mine.reply}, timeout=self.rules.intent_ttl_ms / 1000)
        except asyncio.CancelledError:
            self._withdraw(mine)
            raise
        if mine in self._waiting:
            if mine.lasts:
                raise mine.unknown("the disk does not answer")
            self._withdraw(mine)
            raise self._busy()
        return await mine.reply

    def ask_for_turn(self) -> Turn:
        """Before what waits; the bay takes nothing else until it is given back."""
        turn = Turn()
        self._turns.append(turn)
        self._arrived.set()
        return turn

    def foresee(self, after: Bay) -> None:
        """By whoever has the turn: `after` will be the state once it is durable."""
        self._pending = narrowed(self._wish, desired(after, self.rules))
        self._tell(self._narrowest(self._pending))

    def take(self, after: Bay, events: Sequence[e.Event], seqs: tuple[int, ...]) -> None:
        """What the journal holds is the bay's state."""
        self.bay = after
        self.last_seq = seqs[-1] if seqs else self.last_seq
        self._wish = desired(after, self.rules)
        self._settle_wish()
        self._since_snapshot += len(events)
        self._snapshot_if_due()

    def change_rules(self, rules: Rules) -> None:
        """Other rules from the next input on; what has begun keeps the numbers that its events carry."""
        self.rules = rules

    def announce(self) -> None:
        """Tell the observers the present state."""
        self._tell(self._wish)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            self._snapshot_if_due()  # else a bay where nothing happens is read from its begin at every start
            while True:
                request = await self._next()
                if isinstance(request, Turn):
                    await self._lend(request)
                    continue
                try:
                    await self._handle(request)
                except (OutcomeUnknownError, NotWrittenError) as error:
                    request.fail(error)
                except Exception as error:  # noqa: BLE001 # the one guard of the bay: one input is lost, not the bay
                    self._log.error(
                        "input_failed", bay=self.number, input=type(request.input).__name__, exc_info=error
                    )
                    request.fail(error)
                    await self._recover()
                finally:
                    if not request.settled.done():
                        request.settled.set_result(None)

    async def _lend(self, turn: Turn) -> None:
        if turn.granted.cancelled():
            return
        turn.granted.set_result(None)
        self._pending = self._wish
        await self._watch(turn.returned)
        self._settle_wish()

    async def _recover(self) -> None:
        """After a defect: as before; where not even the time can be decided, everything is off."""
        try:
            self._settle_wish()
        except Exception:  # noqa: BLE001 # the same defect again; the bay must not end, nor spin
            self._log.error("bay_broken", bay=self.number)
            self._pending = None
            self._tell(narrowed(self._wish, desired(Bay(self.number), self.rules)))
            await asyncio.sleep(_RETRY_S)

    async def _next(self) -> Request | Turn:
        """The next input, a turn to lend, or the passing of time when a deadline is over."""
        while True:
            now_ms = self._clock.now().boot_ms
            wake_ms = self._next_wake_ms()
            if wake_ms is not None and wake_ms <= now_ms:
                if self._meter is not None:
                    self._meter.timer_came(self.number, (now_ms - wake_ms) / 1000)
                loop = asyncio.get_running_loop()
                return Request(i.TimeCame(), None, now_ms, loop.create_future(), loop.create_future())
            if self._turns:
                return self._turns.popleft()
            while self._waiting:
                request = self._waiting.popleft()
                if request.lasts or now_ms - request.since_ms < self.rules.intent_ttl_ms:
                    return request
                request.fail(self._busy())
            self._arrived.clear()
            wait_s = _TICK_S if wake_ms is None else min(_TICK_S, (wake_ms - now_ms) / 1000)
            try:
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    async def _handle(self, request: Request) -> None:
        now = self._clock.now()  # also of what is recorded much later: it was in effect since
        while True:
            decision = self._decide(self.bay, request.input, now)
            after = evolve_all(self.bay, decision.events)
            answer = None if request.make_answer is None else request.make_answer(after, decision)
            if not decision.events and answer is None:
                request.succeed(Outcome(decision, self.bay, None))
                return
            batch = Batch(
                bay=self.number,
                batch_id=self._randomness.new_id(),
                events=decision.events,
                at=now,
                answer=answer,
                audit=audit_note(request.input, decision, self.bay, after, now),
            )
            self._pending = narrowed(self._wish, desired(after, self.rules))
            stays_off = isinstance(request.input, DISABLING) or (
                isinstance(request.input, SWITCHING_OFF) and self._pending != self._wish
            )
            self._tell(self._narrowest(self._pending))
            try:
                in_time, seqs = await self._commit(batch, request)
            except NotWrittenError as error:
                # A press whose answer exists was carried out before: that is its end.
                if not stays_off or isinstance(error, AnswerExistsError):
                    self._settle_wish()
                    raise
                self._log.error("act_not_recorded", bay=self.number, input=type(request.input).__name__)
                request.fail(request.unknown("not recorded yet"))
                await self._watch(asyncio.sleep(_RETRY_S))
                continue
            if not in_time and not request.lasts:
                await self._expire(batch)
                return
            self.take(after, decision.events, seqs)
            request.succeed(Outcome(decision, after, answer))
            return

    async def _commit(self, batch: Batch[e.Event], request: Request) -> tuple[bool, tuple[int, ...]]:
        """Whether it became durable in time, and where it stands in the journal. Raises NotWrittenError."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        deadline_ms = self._clock.now().boot_ms + self.rules.intent_ttl_ms  # of what is tried again, too

        def give_up() -> None:
            self._log.error("commit_stalled", bay=self.number, waited_ms=self.rules.intent_ttl_ms)
            if not request.is_patient:
                request.fail(request.unknown("the disk does not answer"))

        append = self._until_known(lambda: self._journal.append(batch))
        in_time, seqs = await self._watch(append, deadline_ms, give_up)
        if self._meter is not None:
            self._meter.committed(self.number, loop.time() - began_s)
        return in_time, seqs

    async def _until_known(self, ask: Callable[[], Awaitable[T]]) -> T:
        """While the journal cannot tell what is written: ask again, it knows the batch by its id."""
        while True:
            try:
                return await ask()
            except JournalUnavailableError:
                self._log.error("journal_unavailable", bay=self.number)
                await asyncio.sleep(_RETRY_S)

    async def _watch(
        self,
        call: Awaitable[T],
        deadline_ms: int | None = None,
        give_up: Callable[[], None] = lambda: None,
    ) -> tuple[bool, T]:
        """Await what may hang; time and people may switch things off meanwhile. Raises what `call` raises.

        False: it took until the deadline or longer, and `give_up` was called then.
        """
        task = self._tasks.create_task(_outcome_of(call), name=f"disk-{self.number}")
        in_time = True
        while True:
            now_ms = self._clock.now().boot_ms
            if deadline_ms is not None and in_time and now_ms >= deadline_ms:
                in_time = False
                give_up()
            if task.done():
                break
            self._narrow()
            wait_s = _TICK_S
            if deadline_ms is not None and in_time:
                wait_s = min(_TICK_S, (deadline_ms - now_ms) / 1000)
            await asyncio.wait({task}, timeout=wait_s)
        outcome = task.result()
        if isinstance(outcome, _Failure):
            raise outcome.error
        return in_time, outcome

    async def _expire(self, batch: Batch[e.Event]) -> None:
        """Recorded after its answer was given up: it never counts."""
        while True:
            at = self._clock.now()
            event = e.IntentExpired(batch.batch_id)
            expiry: Batch[e.Event] = Batch(self.number, self._randomness.new_id(), (event,), at)
            try:
                expire = self._until_known(partial(self._journal.expire, batch.batch_id, expiry))
                _, seqs = await self._watch(expire)
            except NotWrittenError:
                # The journal holds what must not count: nothing else is decided before that is put right.
                self._log.error("expiry_not_recorded", bay=self.number)
                await self._watch(asyncio.sleep(_RETRY_S))
                continue
            self.take(evolve(self.bay, event), (event,), seqs)
            return

    def _snapshot_if_due(self) -> None:
        if self._since_snapshot >= _SNAPSHOT_EVERY:
            self._since_snapshot = 0
            saving = self._save_snapshot(self.last_seq, self.bay)
            self._tasks.create_task(saving, name=f"snapshot-{self.number}")

    async def _save_snapshot(self, seq: int, bay: Bay) -> None:
        try:
            await self._journal.save_snapshot(self.number, seq, REDUCER_VERSION, encode_bay(bay))
        except (NotWrittenError, JournalUnavailableError):
            self._log.warning("snapshot_not_written", bay=self.number)

    def _decide(self, bay: Bay, request: i.Input, now: Instant) -> Decision:
        return decide(bay, request, now, self.rules)

    def _next_wake_ms(self) -> int | None:
        return next_wake_ms(self.bay, self.rules)

    def _narrow(self) -> None:
        """While something is not durable yet: what time and people switch off is off at once."""
        if self._pending is None:
            return
        wish = self._narrowest(self._pending)
        if wish != self._pending:
            self._pending = wish
            self._tell(wish)

    def _narrowest(self, wish: Desired) -> Desired:
        """`wish` without what is overdue, or is to be switched off by what waits."""
        now = self._clock.now()
        bay = self.bay
        waiting = [request.input for request in self._waiting if isinstance(request.input, SWITCHING_OFF)]
        for one in (i.TimeCame(), *waiting):
            bay = evolve_all(bay, self._decide(bay, one, now).events)
        return wish if bay is self.bay else narrowed(wish, desired(bay, self.rules))

    def _settle_wish(self) -> None:
        """Nothing is pending any more."""
        self._pending = None
        self._tell(self._narrowest(self._wish))

    def _tell(self, wish: Desired) -> None:
        for observer in self._observers:
            observer.bay_changed(self.bay, wish)

    def _busy(self) -> BayBusyError:
        if self._meter is not None:
            self._meter.shed(self.number)
        return BayBusyError(f"bay {self.number} has too much to do")

    def _withdraw(self, request: Request) -> None:
        if not request.lasts and request in self._waiting:
            self._waiting.remove(request)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


async def _outcome_of(call: Awaitable[T]) -> T | _Failure:
    """A failure as a value: raised in the TaskGroup it would end the bay."""
    try:
        return await call
    except Exception as error:  # noqa: BLE001 # handed to the one who watches
        return _Failure(error)
