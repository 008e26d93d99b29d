"""One bay's calls to the operator, each ending in an event: what it did, or what is not known of it.

A call that changes nothing (a look, a deletion, both of which may be repeated) and that the operator does
not take now raises `LaterError` instead, when it is known how much later.
"""

import math
from collections.abc import Callable
from typing import Protocol

from bayd.clients.qod import (
    AmbiguousError,
    ConflictError,
    CreateSession,
    CreateSessionWebhook,
    CredentialsError,
    Device,
    NotFoundError,
    QodError,
    QosStatus,
    RefusedError,
    RetryLaterError,
    SessionInfo,
)
from bayd.core import qos_events as q
from bayd.core.instant import Instant
from bayd.core.qos_lease import Available, Creating, Extending, Requested, State
from bayd.core.qos_words import Outcome
from bayd.ports import Clock, Log
from bayd.reconcile.qod_flow import Flow

_SAME_MS = 2_000  # times on the wire may be whole seconds, and clocks are slewed: such a change is none
_LATER_MIN_S = 0.5  # "at once", from an operator or a circuit about to close, would be asked without a pause
_LATER_MAX_S = 300.0
_WEBHOOK_CODES = frozenset({"INVALID_SINK", "INVALID_CREDENTIAL", "INVALID_TOKEN"})


class Sessions(Protocol):
    """The calls of `bayd.clients.qod.SessionService`."""

    async def create_session(
        self, request_body: CreateSession, x_correlator: str | None = None
    ) -> SessionInfo: ...

    async def get_session(self, session_id: str, x_correlator: str | None = None) -> SessionInfo: ...

    async def delete_session(self, session_id: str, x_correlator: str | None = None) -> None: ...

    async def extend_session(
        self, session_id: str, requested_additional_duration: int, x_correlator: str | None = None
    ) -> SessionInfo: ...

    async def retrieve_sessions(
        self, device: Device, x_correlator: str | None = None
    ) -> tuple[SessionInfo, ...]: ...


class LaterError(Exception):
    """Nothing is sent to this operator for so long."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"not before {after_s:.1f} s")
        self.after_s = after_s


class OperatorCalls:
    """`flow` None: the bay has no device (any more); what it still has at the operator can be ended."""

    def __init__(
        self,
        bay: str,
        sessions: Sessions,
        flow: Flow | None,
        *,
        clock: Clock,
        log: Log,
        webhook: Callable[[str], CreateSessionWebhook] | None = None,
    ) -> None:
        self._bay = bay
        self._sessions = sessions
        self._flow = flow
        self._webhook = webhook  # for a create, by its x-correlator
        self._clock = clock
        self._log = log

    async def create(self, state: Creating) -> q.QosCreated | q.QosCreateFailed:
        """For an intent that is durable."""
        assert self._flow is not None, "a bay without a device wants no session"
        try:
            webhook = None if self._webhook is None else self._webhook(state.x_correlator)
            request = self._flow.request(state.asked_s, webhook)
            info = await self._sessions.create_session(request, state.x_correlator)
        except QodError as error:
            self._tell("create", error)
            if self._webhook is not None and is_of_the_webhook(error):
                # Low latency matters, events do not: it is asked for once more, without them.
                self._webhook = None
                self._log.warning("qod_webhook_refused", bay=self._bay, reason=str(error))
                return q.QosCreateFailed(self._bay, Outcome.LATER, None, self._now().boot_ms)
            retry_at_ms = None
            if error.retry_after_s is not None:
                retry_at_ms = self._now().boot_ms + math.ceil(error.retry_after_s * 1000)
            return q.QosCreateFailed(self._bay, _outcome(error), retry_at_ms, self._now().boot_ms)
        return self._created(state, info)

    async def find(self, state: Creating) -> q.QosCreated | q.QosNothingFound | q.QosMissed:
        """Raises LaterError."""
        assert self._flow is not None, "without a device nothing can be found"
        try:
            found = await self._sessions.retrieve_sessions(self._flow.device)
        except QodError as error:
            return self._missed("find", error)
        mine = [info for info in found if self._flow.has(info)]
        if not mine:
            return q.QosNothingFound(self._bay, self._now().boot_ms)
        # One that the network has ended still blocks the flow: it comes last, and is deleted then.
        mine.sort(key=lambda info: info.qos_status == QosStatus.UNAVAILABLE)
        return self._created(state, mine[0])

    async def poll(self, qos_id: str, state: State) -> q.QosStatusSeen | q.QosVanished | q.QosMissed:
        """Raises LaterError."""
        try:
            info = await self._sessions.get_session(qos_id)
        except NotFoundError as error:
            if isinstance(state, Requested):
                # Asked too early, perhaps: a session that is forgotten now would run for nobody until its
                # lease ends. Where it is really gone the planner deletes it after a while, for a 404.
                return self._missed("get", error)
            return q.QosVanished(self._bay, qos_id, self._now().boot_ms)
        except QodError as error:
            return self._missed("get", error)
        expires_at_ms = self._expires_at_ms(state, info)
        now_ms = self._now().boot_ms
        return q.QosStatusSeen(self._bay, qos_id, info.qos_status, info.status_info, expires_at_ms, now_ms)

    async def extend(
        self, qos_id: str, additional_s: int, state: State
    ) -> q.QosExtended | q.QosExtendFailed | q.QosStatusSeen:
        """For an intent that is durable."""
        try:
            info = await self._sessions.extend_session(qos_id, additional_s)
        except (AmbiguousError, RetryLaterError, CredentialsError) as error:
            self._tell("extend", error)
            return q.QosExtendFailed(self._bay, qos_id, unclear=True, at_ms=self._now().boot_ms)
        except QodError as error:
            self._tell("extend", error)
            return q.QosExtendFailed(self._bay, qos_id, unclear=False, at_ms=self._now().boot_ms)
        expires_at_ms = self._expires_at_ms(state, info)
        now_ms = self._now().boot_ms
        if expires_at_ms is None or info.qos_status != QosStatus.AVAILABLE:
            return q.QosStatusSeen(self._bay, qos_id, info.qos_status, info.status_info, None, now_ms)
        return q.QosExtended(self._bay, qos_id, expires_at_ms, now_ms)

    async def delete(self, qos_id: str) -> q.QosDeleted | q.QosMissed:
        """Raises LaterError."""
        try:
            await self._sessions.delete_session(qos_id)
        except QodError as error:
            return self._missed("delete", error)
        return q.QosDeleted(self._bay, qos_id, self._now().boot_ms)

    def _created(self, state: Creating, info: SessionInfo) -> q.QosCreated:
        expires_at_ms = self._expires_at_ms(state, info)
        now_ms = self._now().boot_ms
        granted_s = info.duration if info.qos_status != QosStatus.UNAVAILABLE else None
        return q.QosCreated(self._bay, info.session_id, info.qos_status, expires_at_ms, granted_s, now_ms)

    def _expires_at_ms(self, state: State, info: SessionInfo) -> int | None:
        known = state.expires_at_ms if isinstance(state, Available | Extending) else None
        seen = expires_at_ms(info, self._now(), *_start_between(state, self._now()))
        if seen is None or (known is not None and abs(seen - known) <= _SAME_MS):
            return known
        return seen

    def _missed(self, call: str, error: QodError) -> q.QosMissed:
        """Raises LaterError."""
        self._tell(call, error)
        if error.retry_after_s is not None:
            raise LaterError(min(max(error.retry_after_s, _LATER_MIN_S), _LATER_MAX_S)) from error
        return q.QosMissed(self._bay, self._now().boot_ms)

    def _tell(self, call: str, error: QodError) -> None:
        """The client's texts are redacted."""
        # A session that is in the way, or that the network cannot give, is no fault of ours to look at.
        log = self._log.warning if isinstance(error, CredentialsError | AmbiguousError) else self._log.info
        log("qod_call_failed", bay=self._bay, call=call, kind=type(error).__name__, reason=str(error))

    def _now(self) -> Instant:
        return self._clock.now()


def expires_at_ms(info: SessionInfo, now: Instant, earliest_ms: int, latest_ms: int) -> int | None:
    """When the session is over, on the boot clock; it has begun between the two instants given.

    What the operator says of its length holds, whatever its clock or ours shows; of its beginning only
    what is possible.
    """
    if info.started_at_ms is None or info.expires_at_ms is None or info.qos_status != QosStatus.AVAILABLE:
        return None
    started_ms = now.boot_ms + info.started_at_ms - now.wall_ms
    possible_ms = min(max(started_ms, earliest_ms), latest_ms)
    return possible_ms + info.expires_at_ms - info.started_at_ms


def _start_between(state: State, now: Instant) -> tuple[int, int]:
    """The QoS session was asked for, and then seen to be AVAILABLE."""
    asked_at_ms = state.record.created_at_ms
    match state:
        case Creating():
            asked_at_ms, latest_ms = state.since_ms, now.boot_ms
        case Available():
            latest_ms = state.since_ms
        case Extending():
            latest_ms = state.available_since_ms
        case _:
            latest_ms = now.boot_ms
    return latest_ms if asked_at_ms is None else min(asked_at_ms, latest_ms), latest_ms


def is_of_the_webhook(error: QodError) -> bool:
    """CAMARA 1.1.0, responses of createSession: 400 of sink and sinkCredential."""
    return isinstance(error, RefusedError) and error.code in _WEBHOOK_CODES


def _outcome(error: QodError) -> Outcome:
    match error:
        case AmbiguousError():
            return Outcome.UNCLEAR
        case ConflictError():
            return Outcome.CONFLICT
        case CredentialsError():
            return Outcome.CREDENTIALS
        case RetryLaterError():
            return Outcome.LATER
        case _:
            return Outcome.REFUSED
