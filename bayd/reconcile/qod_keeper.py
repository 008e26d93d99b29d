"""Keeps one bay's QoS session as the planner wants it: ask the planner, do one thing, say what became of it.

It holds the state that its own events tell; the bay's journal has the same, but for looks at the operator
that brought nothing new. Play never waits for any of it.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bayd.clients.qod import CreateSessionWebhook
from bayd.core import qos_events as q
from bayd.core.desired import LowLatency
from bayd.core.model import Bay
from bayd.core.qos import (
    Action,
    Create,
    Degrade,
    Delete,
    Extend,
    Find,
    Poll,
    Recover,
    Rest,
    Terms,
    plan,
)
from bayd.core.qos_budget import Spent
from bayd.core.qos_lease import (
    Available,
    Creating,
    Degraded,
    Ended,
    Ending,
    Extending,
    Idle,
    Requested,
    State,
    dump,
    evolve,
    name_of,
)
from bayd.core.qos_words import Outcome
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.qod_book import BayBook
from bayd.reconcile.qod_calls import LaterError, OperatorCalls
from bayd.reconcile.qod_purse import Purse

_TICK_S = 0.5  # asyncio's clock stops in suspend: the boot clock is read at least this often
_AGAIN_MS = 1_000  # after an intent that could not be recorded
_AFTER_DEFECT_MS = 5_000
_POKED_AGAIN_MS = 1_000
# What a look or an attempt changes without bringing news: not worth a place in the journal.
_NO_NEWS = frozenset({"seen_at_ms", "misses", "missed_at_ms", "outcome_at_ms"})


@dataclass(frozen=True, slots=True)
class Tools:
    """What every bay's keeper works with."""

    purse: Purse
    clock: Clock
    randomness: Randomness
    log: Log
    webhook: Callable[[str], CreateSessionWebhook] | None = None  # for a create, by its x-correlator


class BayKeeper:
    """`run` as a task, once `begin` has told what the journal knows."""

    def __init__(
        self, number: str, terms: Terms, calls: OperatorCalls, book: BayBook, tools: Tools, *, enabled: bool
    ) -> None:
        self.state: State = Idle()
        self._number = number
        self._terms = terms
        self._calls = calls
        self._book = book
        self._tools = tools
        self._enabled = enabled
        self._offered: LowLatency | None = None  # what the bay would like, switched on or off
        self._wish: LowLatency | None = None
        self._wake = asyncio.Event()
        self._poked = False
        self._poked_poll_ms: int | None = None  # the last look that somebody asked for
        self._jitter = tools.randomness.jitter()

    def bay_changed(self, wish: LowLatency | None) -> None:
        self._offered = wish
        self._weigh()

    def switch(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._weigh()

    def _weigh(self) -> None:
        wish = self._offered if self._enabled else None
        if wish != self._wish:
            self._wish = wish
            self._wake.set()

    def begin(self, bay: Bay) -> None:
        """What was believed before the restart is to be asked again."""
        self.state = bay.qos
        self._hear(q.QosRestarted(self._number, 0, self._now_ms()))

    def poke(self) -> None:
        """Look at the session soon: somebody says that it has changed."""
        self._poked = True
        self._wake.set()

    async def run(self) -> None:
        while True:
            action = self._next()
            if isinstance(action, Rest):
                await self._rest(action.until_ms)
                continue
            try:
                await self._perform(action)
            except LaterError as later:
                await self._rest(self._now_ms() + math.ceil(later.after_s * 1000))
            except Exception as error:  # the one guard of the bay's QoS: it plays on without
                self._tools.log.error(
                    "qod_failed", bay=self._number, action=type(action).__name__, exc_info=error
                )
                self._doubt()
                await self._rest(self._now_ms() + _AFTER_DEFECT_MS)
            self._jitter = self._tools.randomness.jitter()

    def _next(self) -> Action:
        planned = plan(
            self.state,
            self._wish,
            self._now_ms(),
            terms=self._terms,
            jitter=self._jitter,
            budget=self._tools.purse.left(),
        )
        if not self._poked or isinstance(self.state, Creating):
            return planned
        if not isinstance(planned, Rest) or not isinstance(self.state, Requested | Available):
            self._poked = False
            return planned
        return self._look_soon(self.state.lease.qos_id, planned)

    def _look_soon(self, qos_id: str, planned: Rest) -> Action:
        """At once, but a storm of events is no storm of looks."""
        now_ms = self._now_ms()
        if self._poked_poll_ms is not None and now_ms < (due_ms := self._poked_poll_ms + _POKED_AGAIN_MS):
            return Rest(due_ms if planned.until_ms is None else min(due_ms, planned.until_ms))
        self._poked, self._poked_poll_ms = False, now_ms
        return Poll(qos_id)

    async def _perform(self, action: Action) -> None:
        """Raises LaterError."""
        now_ms = self._now_ms()
        match action:
            case Create():
                await self._create(action)
            case Find():
                assert isinstance(self.state, Creating)
                self._hear(await self._calls.find(self.state))
            case Poll(qos_id):
                self._hear(await self._calls.poll(qos_id, self.state))
            case Extend(qos_id, additional_s):
                intent = q.QosExtendIntended(self._number, qos_id, additional_s, now_ms)
                if await self._want(intent, Spent(0, additional_s)):
                    self._hear(await self._calls.extend(qos_id, additional_s, self.state))
            case Delete(qos_id, cause):
                # To end is always allowed: it does not wait for the disk.
                if not isinstance(self.state, Ending):
                    self._hear(q.QosEndIntended(self._number, qos_id, cause, now_ms))
                self._hear(await self._calls.delete(qos_id))
            case Degrade(trouble, session, until_ms):
                self._hear(q.QosDegraded(self._number, trouble, session, until_ms, now_ms))
            case Recover():
                self._hear(q.QosRecovered(self._number, now_ms))
            case Rest():
                await self._rest(action.until_ms)

    async def _create(self, action: Create) -> None:
        correlator = action.x_correlator or self._tools.randomness.new_uuid()
        cost = Spent(1, action.asked_s) if action.x_correlator is None else Spent()
        intent = q.QosCreateIntended(
            self._number, action.session, correlator, action.flow, action.asked_s, self._now_ms()
        )
        if not await self._want(intent, cost):
            return
        assert isinstance(self.state, Creating)
        if self._wish is None:
            # It ended while the disk was busy: nothing was asked for.
            self._hear(q.QosCreateFailed(self._number, Outcome.LATER, None, self._now_ms()))
            return
        self._hear(await self._calls.create(self.state))

    async def _want(self, intent: q.QosCreateIntended | q.QosExtendIntended, cost: Spent) -> bool:
        purse = self._tools.purse
        purse.hold(self._number, cost)
        try:
            wanted = await self._book.want(intent, purse.today())
        finally:
            purse.release(self._number)
        if wanted:
            self.state = evolve(self.state, intent)
        else:
            await self._rest(self._now_ms() + _AGAIN_MS)
        return wanted

    def _hear(self, event: q.Event) -> None:
        before, self.state = self.state, evolve(self.state, event)
        if is_news(before, self.state):
            self._book.note(event, self._tools.purse.today())
        if type(before) is not type(self.state):
            self._tell()

    def _doubt(self) -> None:
        """A call of ours broke off in the middle: whether it happened is to be found out."""
        now_ms = self._now_ms()
        match self.state:
            case Creating(outcome=Outcome.PENDING):
                self._hear(q.QosCreateFailed(self._number, Outcome.UNCLEAR, None, now_ms))
            case Extending(unclear=False):
                qos_id = self.state.lease.qos_id
                self._hear(q.QosExtendFailed(self._number, qos_id, unclear=True, at_ms=now_ms))
            case _:
                pass

    def _tell(self) -> None:
        log, name = self._tools.log, name_of(self.state)
        match self.state:
            case Degraded(trouble=trouble):
                log.warning("qod_degraded", bay=self._number, trouble=trouble.value)
            case Ending(cause=cause) | Ended(cause=cause):
                log.info("qod_state_changed", bay=self._number, state=name, cause=cause.value)
            case _:
                log.info("qod_state_changed", bay=self._number, state=name)

    async def _rest(self, until_ms: int | None) -> None:
        """Until then, or until something changes."""
        while until_ms is None or self._now_ms() < until_ms:
            left_s = None if until_ms is None else (until_ms - self._now_ms()) / 1000
            try:
                async with asyncio.timeout(None if left_s is None else min(_TICK_S, left_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue
            break
        self._wake.clear()

    def _now_ms(self) -> int:
        return self._tools.clock.now().boot_ms


def is_news(before: State, after: State) -> bool:
    return _essence(before) != _essence(after)


def _essence(state: State) -> dict[str, Any]:
    return {name: value for name, value in dump(state).items() if name not in _NO_NEWS}
