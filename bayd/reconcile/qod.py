"""QoS sessions at the mobile operator: low latency for the screen of each bay that plays.

One keeper per bay (`qod_keeper`) asks the pure planner (`bayd.core.qos`) what to do, calls the operator
(`qod_calls`) and has the bay's journal record it (`qod_book`); `qod_flow` says what is asked for,
`qod_purse` what it may cost. It fails open: a bay never waits for any of this. At the start every session
that the journal knows is asked for: one that a playing bay wants is kept, any other deleted.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bayd.core.desired import Desired
from bayd.core.model import Bay
from bayd.core.qos import Terms
from bayd.core.qos_lease import (
    Available,
    Creating,
    Degraded,
    Ending,
    Extending,
    Idle,
    Requested,
    State,
    name_of,
)
from bayd.core.qos_words import Outcome, Trouble
from bayd.reconcile.qod_book import BayBook, Bays
from bayd.reconcile.qod_calls import OperatorCalls, Sessions
from bayd.reconcile.qod_flow import Flow
from bayd.reconcile.qod_keeper import BayKeeper, Tools

OFF = "off"
_GONE_WITHIN_MS = 60_000
_TROUBLES: Mapping[Trouble, str] = {
    Trouble.CONFLICT: "another session holds the flow at the operator",
    Trouble.ORPHAN: "a session may run at the operator whose id is lost; it ends by itself",
    Trouble.REFUSED: "the operator refuses it for this booking",
    Trouble.CREDENTIALS: "the operator does not accept the credentials: check qod_client_id, "
    "qod_client_secret and qod_private_key",
    Trouble.TERMINATED_TOO_OFTEN: "the network ended it too often",
    Trouble.STUCK_TOO_OFTEN: "the network did not make it available, several times",
    Trouble.COST_CAP: "the day's limit is reached (qod.max_sessions_per_day, qod.max_minutes_per_day)",
}


@dataclass(frozen=True, slots=True)
class BayLine:
    """How one bay is configured. `flow` None: it has no device."""

    terms: Terms
    flow: Flow | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class BayTrouble:
    """A bay that plays on without."""

    bay: str
    trouble: Trouble
    since_ms: int
    until_ms: int | None

    @property
    def text(self) -> str:
        return f"No low latency for the screen: {_TROUBLES[self.trouble]}."


@dataclass(frozen=True, slots=True)
class QodView:
    """What the status shows."""

    circuit: str  # "closed", "open", "probing"
    sessions_today: int
    seconds_today: int
    max_sessions: int | None
    max_seconds: int | None
    states: Mapping[str, int]  # bays by state
    troubles: tuple[BayTrouble, ...]
    not_ended: tuple[str, ...]  # bays whose session should be gone for a minute now, and may still run
    unrecorded: int  # events that wait for the disk


class QodReconciler:
    """`run` is a root task with two children per bay."""

    def __init__(
        self,
        sessions: Sessions,
        circuit: Callable[[], str],
        lines: Mapping[str, BayLine],
        bays: Bays,
        tools: Tools,
        ready: asyncio.Event,
    ) -> None:
        self._circuit = circuit
        self._lines = dict(lines)
        self._bays = bays
        self._tools = tools
        self._ready = ready
        self._books = {number: BayBook(number, bays, tools.log) for number in lines}
        self._keepers = {
            number: BayKeeper(
                number,
                line.terms,
                OperatorCalls(
                    number,
                    sessions,
                    line.flow,
                    clock=tools.clock,
                    log=tools.log,
                    webhook=tools.webhook,
                ),
                self._books[number],
                tools,
                enabled=line.enabled and line.flow is not None,
            )
            for number, line in lines.items()
        }

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        self._tools.purse.bay_changed(bay)
        keeper = self._keepers.get(bay.number)
        if keeper is not None:
            keeper.bay_changed(wish.low_latency)

    def switch(self, number: str, *, enabled: bool) -> None:
        """Off: what the bay has is ended."""
        keeper, line = self._keepers.get(number), self._lines.get(number)
        if keeper is not None and line is not None and line.flow is not None:
            self._lines[number] = replace(line, enabled=enabled)
            keeper.switch(enabled=enabled)

    async def run(self) -> None:
        await self._ready.wait()
        async with asyncio.TaskGroup() as tasks:
            for number, keeper in self._keepers.items():
                keeper.begin(self._bays.get(number))
                tasks.create_task(self._books[number].run(), name=f"qod-book-{number}")
                tasks.create_task(keeper.run(), name=f"qod-{number}")

    def state(self, number: str) -> str:
        """As the bay's view shows it."""
        keeper = self._keepers.get(number)
        if keeper is None:
            return OFF
        line = self._lines[number]
        is_off = line.flow is None or not line.enabled
        return OFF if is_off and not may_cost(keeper.state) else name_of(keeper.state)

    def poke(self, x_correlator: str) -> bool:
        """Look soon at the session of this create. False: no bay has it."""
        for keeper in self._keepers.values():
            if x_correlator_of(keeper.state) == x_correlator:
                keeper.poke()
                return True
        return False

    def view(self) -> QodView:
        purse = self._tools.purse
        spent = purse.spent()
        states: dict[str, int] = {}
        for number in self._keepers:
            name = self.state(number)
            states[name] = states.get(name, 0) + 1
        troubles = tuple(
            BayTrouble(number, state.trouble, state.since_ms, state.until_ms)
            for number, keeper in self._keepers.items()
            if isinstance(state := keeper.state, Degraded)
        )
        return QodView(
            self._circuit(),
            spent.sessions,
            spent.seconds,
            purse.max_sessions,
            purse.max_seconds,
            states,
            troubles,
            tuple(number for number, keeper in self._keepers.items() if self._is_overdue(keeper.state)),
            sum(book.behind for book in self._books.values()),
        )

    def _is_overdue(self, state: State) -> bool:
        now_ms = self._tools.clock.now().boot_ms
        return isinstance(state, Ending) and now_ms - state.since_ms >= _GONE_WITHIN_MS


def x_correlator_of(state: State) -> str | None:
    """Of the create of a session that may be there."""
    match state:
        case Creating():
            return state.x_correlator
        case Requested() | Available() | Extending() | Ending():
            return state.lease.x_correlator
        case _:
            return None


def may_cost(state: State) -> bool:
    """Whether something of ours may run at the operator."""
    match state:
        case Requested() | Available() | Extending() | Ending():
            return True
        case Creating(outcome=outcome):
            return outcome in (Outcome.PENDING, Outcome.UNCLEAR)
        case Degraded(trouble=trouble):
            return trouble is Trouble.ORPHAN
        case _:
            return False


def leases_left(bays: Mapping[str, Bay]) -> tuple[str, ...]:
    """Bays whose journal knows of something at the operator."""
    return tuple(number for number, bay in bays.items() if bay.qos != Idle() and may_cost(bay.qos))
