"""A bay's QoS, its operator and its evening, on one simulated clock."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from bayd.core.desired import LowLatency
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
from bayd.core.qos_budget import Budget, Day
from bayd.core.qos_cost import cost_of
from bayd.core.qos_events import (
    Event,
    QosCreated,
    QosCreateFailed,
    QosCreateIntended,
    QosDegraded,
    QosDeleted,
    QosEndIntended,
    QosExtended,
    QosExtendFailed,
    QosExtendIntended,
    QosMissed,
    QosNothingFound,
    QosRecovered,
    QosRestarted,
    QosStatusSeen,
    QosVanished,
)
from bayd.core.qos_lease import Ending, Idle, State, dump, evolve, load, name_of
from bayd.core.qos_words import Cause, Outcome, Trouble

BAY = "109"
FLOW = "109>203.0.113.10"
TMOBILE = Terms(FLOW, can_extend=False, can_retrieve=False)
CAMARA = Terms(FLOW, can_extend=True, can_retrieve=True)

# What an operator does with one call, instead of what it should.
LOST_BEFORE = "lost before"
LOST_AFTER = "lost after"
LATER = "later"
REFUSED = "refused"
CREDENTIALS = "credentials"


@dataclass(slots=True)
class Session:
    """As the operator knows it."""

    qos_id: str
    duration_s: int
    created_ms: int
    available_ms: int | None
    mine: bool = True
    ended_ms: int | None = None
    cause: str | None = None
    untold_s: int = 0  # granted beyond what was asked for, in a reply that was lost

    def expires_ms(self) -> int:
        return (self.created_ms if self.available_ms is None else self.available_ms) + self.duration_s * 1000


@dataclass(slots=True)
class OperatorWorld:
    says_why: bool = True  # statusInfo
    delay_ms: int | None = 500  # None: stays REQUESTED
    grants_s: int | None = None
    longest_s: int = 86_400
    faults: list[str] = field(default_factory=list)  # for the next calls
    extend_fault: str | None = None  # for every extension
    sessions: list[Session] = field(default_factory=list)

    def settle(self, now_ms: int) -> None:
        for session in self.sessions:
            if session.ended_ms is None:
                due_ms = None if self.delay_ms is None else session.created_ms + self.delay_ms
                if session.available_ms is None and due_ms is not None and due_ms <= now_ms:
                    session.available_ms = due_ms
                if session.expires_ms() <= now_ms:
                    session.ended_ms, session.cause = session.expires_ms(), "DURATION_EXPIRED"

    def blocking(self, now_ms: int) -> list[Session]:
        self.settle(now_ms)
        return [
            session
            for session in self.sessions
            if session.ended_ms is None
            or (session.cause == "NETWORK_TERMINATED" and now_ms < session.ended_ms + 360_000)
        ]

    def live(self, now_ms: int) -> list[Session]:
        self.settle(now_ms)
        return [session for session in self.sessions if session.ended_ms is None]

    def terminate(self, now_ms: int) -> None:
        for session in self.live(now_ms):
            session.ended_ms, session.cause = now_ms, "NETWORK_TERMINATED"

    def network_s(self, now_ms: int) -> float:
        """What it will want money for, as far as anybody but itself can know."""
        return sum(
            min(
                ((now_ms if session.ended_ms is None else session.ended_ms) - session.available_ms) / 1000,
                session.duration_s - session.untold_s,
            )
            for session in self.sessions
            if session.mine and session.available_ms is not None
        )

    def find(self, qos_id: str, now_ms: int) -> Session | None:
        self.settle(now_ms)
        for session in self.sessions:
            released = session.cause == "DELETE_REQUESTED" or (
                session.ended_ms is not None and now_ms >= session.ended_ms + 360_000
            )
            if session.qos_id == qos_id and not released:
                return session
        return None

    def status(self, session: Session) -> tuple[str, str | None]:
        if session.ended_ms is not None:
            return "UNAVAILABLE", session.cause if self.says_why else None
        return ("REQUESTED" if session.available_ms is None else "AVAILABLE"), None


@dataclass(slots=True)
class Evening:
    """Plans, journals, acts, journals; every state goes through its JSON."""

    terms: Terms = TMOBILE
    operator: OperatorWorld = field(default_factory=OperatorWorld)
    wish: LowLatency | None = None
    now_ms: int = 0
    jitter: float = 0.0
    max_sessions: int | None = None
    max_seconds: int | None = None
    state: State = field(default_factory=Idle)
    actions: list[tuple[int, Action]] = field(default_factory=list)  # without rests
    journal: list[Event] = field(default_factory=list)
    day: Day = field(default_factory=Day)
    crash: Callable[[Action], bool] = lambda _action: False  # after the call, before its result is durable
    number: int = 0

    # What the bay does

    def play(self, session: str, seconds: float) -> "Evening":
        """`seconds` of play and grace from now."""
        self.wish = LowLatency(session, self.now_ms + round(seconds * 1000), None)
        return self

    def pause(self) -> "Evening":
        assert self.wish is not None
        self.wish = LowLatency(self.wish.session_id, self.wish.until_ms, self.now_ms)
        return self

    def resume(self) -> "Evening":
        assert self.wish is not None
        assert self.wish.paused_since_ms is not None
        rest_ms = self.wish.until_ms - self.wish.paused_since_ms
        self.wish = LowLatency(self.wish.session_id, self.now_ms + rest_ms, None)
        return self

    def end(self) -> "Evening":
        self.wish = None
        return self

    # The passing of time

    def run(self, seconds: float) -> "Evening":
        """Everything that is to be done until then."""
        until_ms = self.now_ms + round(seconds * 1000)
        calls = 0
        while True:
            action = self.next()
            if isinstance(action, Rest):
                if action.until_ms is not None and action.until_ms <= until_ms:
                    assert action.until_ms > self.now_ms, f"rests until the past in {self.state}"
                    self.now_ms, calls = action.until_ms, 0
                    continue
                self.now_ms = until_ms
                return self
            calls += 1
            assert calls < 20, f"does not come to rest: {self.actions[-20:]}"
            self.actions.append((self.now_ms, action))
            self.perform(action)

    def next(self) -> Action:
        budget = self.day.budget("today", max_sessions=self.max_sessions, max_seconds=self.max_seconds)
        return plan(self.state, self.wish, self.now_ms, terms=self.terms, jitter=self.jitter, budget=budget)

    def hear(self, event: Event) -> None:
        self.day = self.day.with_cost("today", cost_of(self.state, event))
        self.journal.append(event)
        self.state = evolve(load(json.loads(json.dumps(dump(self.state)))), event)

    def restart(self, *, away_s: float = 0.0, new_boot: bool = True) -> "Evening":
        """The daemon is away; with a new boot its clock begins anew. The operator's time goes on."""
        self.now_ms += round(away_s * 1000)
        self.hear(QosRestarted(BAY, 0, self.now_ms))
        return self

    # The reconciler

    def perform(self, action: Action) -> None:
        match action:
            case Create():
                self._create(action)
            case Find():
                self._find()
            case Poll(qos_id):
                self._poll(qos_id)
            case Extend(qos_id, additional_s):
                self.hear(QosExtendIntended(BAY, qos_id, additional_s, self.now_ms))
                self._extend(qos_id, additional_s)
            case Delete(qos_id, cause):
                self._delete(qos_id, cause)
            case Degrade(trouble, session, until_ms):
                self.hear(QosDegraded(BAY, trouble, session, until_ms, self.now_ms))
            case Recover():
                self.hear(QosRecovered(BAY, self.now_ms))
            case Rest():
                raise AssertionError("a rest is no act")

    def _fault(self) -> str | None:
        return self.operator.faults.pop(0) if self.operator.faults else None

    def _create(self, action: Create) -> None:
        self.number += 1
        correlator = action.x_correlator or f"correlator-{self.number}"
        self.hear(
            QosCreateIntended(BAY, action.session, correlator, action.flow, action.asked_s, self.now_ms)
        )
        fault = self._fault()
        if fault in (LATER, REFUSED, CREDENTIALS):
            self.hear(QosCreateFailed(BAY, Outcome(fault), None, self.now_ms))
            return
        if fault == LOST_BEFORE:
            self.hear(QosCreateFailed(BAY, Outcome.UNCLEAR, None, self.now_ms))
            return
        if self.operator.blocking(self.now_ms):
            self.hear(QosCreateFailed(BAY, Outcome.CONFLICT, None, self.now_ms))
            return
        granted_s = self.operator.grants_s or action.asked_s
        session = Session(f"qos-{self.number}", granted_s, self.now_ms, None)
        self.operator.sessions.append(session)
        self.operator.settle(self.now_ms)
        if self.crash(action):
            session.untold_s = max(0, granted_s - action.asked_s)
            self.restart()
        elif fault == LOST_AFTER:
            session.untold_s = max(0, granted_s - action.asked_s)
            self.hear(QosCreateFailed(BAY, Outcome.UNCLEAR, None, self.now_ms))
        else:
            self._created(session)

    def _created(self, session: Session) -> None:
        status, _ = self.operator.status(session)
        known = None if session.available_ms is None else session.expires_ms()
        self.hear(QosCreated(BAY, session.qos_id, status, known, session.duration_s, self.now_ms))

    def _find(self) -> None:
        if self._fault() is not None:
            self.hear(QosMissed(BAY, self.now_ms))
            return
        mine = [session for session in self.operator.live(self.now_ms) if session.mine]
        if mine:
            self._created(mine[0])
        else:
            self.hear(QosNothingFound(BAY, self.now_ms))

    def _poll(self, qos_id: str) -> None:
        if self._fault() is not None:
            self.hear(QosMissed(BAY, self.now_ms))
            return
        session = self.operator.find(qos_id, self.now_ms)
        if session is None:
            self.hear(QosVanished(BAY, qos_id, self.now_ms))
            return
        status, why = self.operator.status(session)
        known = None if session.available_ms is None else session.expires_ms()
        self.hear(QosStatusSeen(BAY, qos_id, status, why, known, self.now_ms))

    def _extend(self, qos_id: str, additional_s: int) -> None:
        fault = self.operator.extend_fault or self._fault()
        session = self.operator.find(qos_id, self.now_ms)
        if fault in (LATER, LOST_BEFORE):
            self.hear(QosExtendFailed(BAY, qos_id, unclear=True, at_ms=self.now_ms))
            return
        if fault == REFUSED or session is None or session.ended_ms is not None:
            self.hear(QosExtendFailed(BAY, qos_id, unclear=False, at_ms=self.now_ms))
            return
        session.duration_s = max(
            session.duration_s, min(session.duration_s + additional_s, self.operator.longest_s)
        )
        if fault == LOST_AFTER:
            self.hear(QosExtendFailed(BAY, qos_id, unclear=True, at_ms=self.now_ms))
        else:
            self.hear(QosExtended(BAY, qos_id, session.expires_ms(), self.now_ms))

    def _delete(self, qos_id: str, cause: Cause) -> None:
        if not isinstance(self.state, Ending):
            self.hear(QosEndIntended(BAY, qos_id, cause, self.now_ms))
        fault = self._fault()
        session = self.operator.find(qos_id, self.now_ms)
        if session is not None and fault in (None, LOST_AFTER):
            session.ended_ms = session.ended_ms or self.now_ms
            session.cause = "DELETE_REQUESTED"
        if fault is not None:
            self.hear(QosMissed(BAY, self.now_ms))
        elif session is None:
            self.hear(QosVanished(BAY, qos_id, self.now_ms))
        else:
            self.hear(QosDeleted(BAY, qos_id, self.now_ms))

    # What came of it

    @property
    def name(self) -> str:
        return name_of(self.state)

    def told(self) -> list[str]:
        """The actions so far, as short lines: "12.0 poll"."""
        return [f"{at_ms / 1000:g} {type(action).__name__.lower()}" for at_ms, action in self.actions]

    def times(self, kind: type[Action]) -> list[float]:
        return [at_ms / 1000 for at_ms, action in self.actions if isinstance(action, kind)]

    def troubles(self) -> list[Trouble]:
        return [action.trouble for _, action in self.actions if isinstance(action, Degrade)]

    def asked(self) -> list[int]:
        return [action.asked_s for _, action in self.actions if isinstance(action, Create)]


__all__ = ["CAMARA", "TMOBILE", "Budget", "Evening", "OperatorWorld", "Session"]
