"""Faults to order: how the operator misbehaves, and for which calls.

A rule waits for its operation, lets `after` matching calls pass, then strikes `times` of them. Rules live in
memory: a restarted operator behaves well. They are drawn after the caller has been recognised, so a call
that a fault spoiled has used up its proof like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bayd.reference.qod.errors import invalid_argument
from bayd.reference.qod.orders import CreateOrders, EventOrder
from bayd.reference.qod.sessions import Status

Operation = Literal["token", "create", "get", "delete", "extend", "retrieve"]

_DEFAULT_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "CONFLICT",
    422: "SERVICE_NOT_APPLICABLE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL",
    501: "NOT_IMPLEMENTED",
    502: "BAD_GATEWAY",
    503: "UNAVAILABLE",
    504: "TIMEOUT",
}


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    times: Annotated[int, Field(ge=1)] | None = 1  # null: until the faults are cleared
    after: Annotated[int, Field(ge=0)] = 0


class _OperationRule(_Rule):
    operation: Operation | None = None  # null: any


class Revoke(_OperationRule):
    """The caller's token is void from now on: 401 in the middle of its life."""

    kind: Literal["revoke"]


class Refuse(_OperationRule):
    """An error answer; nothing is done. 401, 429, 503 and the like, in the present or the older shape."""

    kind: Literal["refuse"]
    status: Annotated[int, Field(ge=400, le=599)]
    code: str | None = None
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    shape: Literal["camara", "older", "html", "empty"] = "camara"

    @property
    def wire_code(self) -> str:
        return self.code or _DEFAULT_CODES.get(self.status, "INTERNAL")


class LoseReply(_OperationRule):
    """The call is done (`after_commit`) or not, and no answer comes: the connection breaks or hangs."""

    kind: Literal["lose_reply"]
    stage: Literal["before_commit", "after_commit"]
    hang_s: Annotated[float, Field(ge=0, le=600)] = 0.0  # 0: broken at once


class Truncate(_OperationRule):
    """The call is done; its body ends after `keep_bytes`."""

    kind: Literal["truncate"]
    keep_bytes: Annotated[int, Field(ge=0)] = 20
    claims_to_be_whole: bool = False  # Content-Length of the cut body, else of the whole one


class Delay(_OperationRule):
    kind: Literal["delay"]
    delay_s: Annotated[float, Field(ge=0, le=600)]


class OlderErrors(_OperationRule):
    """Errors that the call earns by itself come in the older shape."""

    kind: Literal["older_errors"]


class StayRequested(_Rule):
    """A new session never becomes AVAILABLE."""

    kind: Literal["stay_requested"]


class Terminate(_Rule):
    """The network ends a new session, so long after its creation."""

    kind: Literal["terminate"]
    after_s: Annotated[float, Field(ge=0)]


class Grant(_Rule):
    """A new session gets another duration than it asked for."""

    kind: Literal["grant"]
    duration_s: Annotated[int, Field(ge=1)]


class BendEvents(_Rule):
    """Events of this status come `copies` times, late, or only after the session's next event."""

    kind: Literal["event"]
    status: Literal["AVAILABLE", "UNAVAILABLE"] | None = None  # null: any
    copies: Annotated[int, Field(ge=1, le=100)] = 1
    delay_s: Annotated[float, Field(ge=0)] = 0.0
    after_the_next: bool = False


class SkewClock(BaseModel):
    """At once, until the faults are cleared: every time on the wire, and what proofs are held against."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: Literal["skew_clock"]
    skew_s: float


class TerminateNow(BaseModel):
    """At once: the network ends one live session, or every one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: Literal["terminate_now"]
    session_id: str | None = None


CallRule = Revoke | Refuse | LoseReply | Truncate | Delay | OlderErrors
CreateRule = StayRequested | Terminate | Grant
Rule = CallRule | CreateRule | BendEvents
FaultOrder = Rule | SkewClock | TerminateNow

_ORDER: TypeAdapter[FaultOrder] = TypeAdapter(Annotated[FaultOrder, Field(discriminator="kind")])

R = TypeVar("R", bound=Rule)


def parse_order(body: bytes) -> FaultOrder:
    """Raises ApiError."""
    try:
        return _ORDER.validate_json(body)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"]) or "the body"
        raise invalid_argument(f"fault: {where}: {detail['msg']}") from None


@dataclass(slots=True)
class _Armed:
    rule: Rule
    passed: int = 0
    struck: int = 0

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.struck >= self.rule.times

    def strikes(self) -> bool:
        """Count one matching call."""
        if self.spent:
            return False
        if self.passed < self.rule.after:
            self.passed += 1
            return False
        self.struck += 1
        return True


@dataclass(slots=True)
class FaultBoard:
    """The rules in force, in the order in which they were given."""

    skew_s: float = 0.0
    _armed: list[_Armed] = field(default_factory=list)

    def arm(self, rule: Rule) -> None:
        self._armed.append(_Armed(rule))

    def clear(self) -> None:
        self._armed.clear()
        self.skew_s = 0.0

    def draw_call(self, operation: Operation) -> Sequence[CallRule]:
        """What befalls this call."""
        return [
            armed.rule
            for armed in self._armed
            if isinstance(armed.rule, CallRule)
            and armed.rule.operation in (None, operation)
            and armed.strikes()
        ]

    def draw_create(self) -> CreateOrders:
        """What befalls a new session."""
        stays, terminate_after_s, granted_s = False, None, None
        for armed in self._armed:
            match armed.rule:
                case StayRequested() if armed.strikes():
                    stays = True
                case Terminate(after_s=after_s) if armed.strikes():
                    terminate_after_s = after_s
                case Grant(duration_s=duration_s) if armed.strikes():
                    granted_s = duration_s
                case _:
                    pass
        return CreateOrders(stays, terminate_after_s, granted_s)

    def draw_event(self, status: Status) -> EventOrder:
        """What befalls an event. Called from the database's thread."""
        for armed in self._armed:
            rule = armed.rule
            if isinstance(rule, BendEvents) and rule.status in (None, status.value) and armed.strikes():
                return EventOrder(rule.copies, rule.delay_s, rule.after_the_next)
        return EventOrder()

    def show(self) -> list[dict[str, object]]:
        return [armed.rule.model_dump() | {"struck": armed.struck} for armed in self._armed]
