"""A mobile operator in memory, for virtual time: the wire of both dialects behind an `HttpTransport`.

Sessions take their course as the reference operator's do (its pure rules, none of its service); what befalls
a call is the test's to say. It keeps a ledger that nobody can talk it out of.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from bayd.ports import HttpResponse, TransportError
from bayd.reference.qod.dialects import get_dialect
from bayd.reference.qod.sessions import (
    Cause,
    QosSession,
    Status,
    delete,
    end,
    extend,
    network_s,
    next_step,
    session_info,
)
from tests.let_out import keep_secret

CLIENT = "bayd"
RETENTION_S = 360.0
_RECENT = 200


class Fault(Enum):
    """What befalls a call. AFTER: it is done first."""

    NONE = "none"
    REFUSED = "no connection"
    RESET = "reset before"
    RESET_AFTER = "reset after"
    HANG = "no answer before"
    HANG_AFTER = "no answer after"
    ERROR = "503"
    ERROR_AFTER = "504 after"
    BUSY = "429"
    REVOKED = "401"
    CUT_AFTER = "answer cut after"
    SLOW = "slow"
    FORBIDDEN = "422"
    NOT_YET_KNOWN = "404"  # another machine of the operator's answers than the one that was asked


DONE_UNSEEN = frozenset({Fault.RESET_AFTER, Fault.HANG_AFTER, Fault.ERROR_AFTER, Fault.CUT_AFTER})
# What counts against the operator's health at the client.
FAILURES = frozenset(
    {
        Fault.REFUSED,
        Fault.RESET,
        Fault.RESET_AFTER,
        Fault.HANG,
        Fault.HANG_AFTER,
        Fault.ERROR,
        Fault.ERROR_AFTER,
    }
)
HARMLESS = frozenset({Fault.NONE, Fault.SLOW})


@dataclass(frozen=True, slots=True)
class Seen:
    at_s: float
    operation: str
    session_id: str
    fault: Fault


@dataclass(slots=True)
class Entry:
    """One session in the operator's books."""

    session: QosSession
    device: str
    reply_lost: bool = False  # nobody was told its id when it was created


@dataclass
class SimOperator:
    """`draw` says what befalls a call: operation and device (of a create) or session id."""

    dialect_name: str
    wall_s: Callable[[], float]
    draw: Callable[[str, str], Fault] = lambda _operation, _what: Fault.NONE
    requested_delay_s: float = 0.5
    stays_requested: Callable[[], bool] = lambda: False
    terminates_after_s: Callable[[], float | None] = lambda: None
    grants_s: Callable[[int], int] = lambda asked_s: asked_s
    down: bool = False
    skew_s: float = 0.0  # its clock against the true one
    deletes: bool = True  # False: it says so, and does not
    refuses_webhooks: str = ""  # with this code
    entries: dict[str, Entry] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)  # of creates

    def __post_init__(self) -> None:
        self.dialect = get_dialect(self.dialect_name)
        self._number = 0
        self._tokens = 0

    # HttpTransport

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        path = url.partition("://")[2].partition("/")[2]
        path = f"/{path}"
        if self.down:
            raise TransportError("no connection: Connection refused", sent=False)
        if path == self.dialect.token_path:
            self._tokens += 1
            token = f"access-token-{self._tokens}"
            keep_secret(token)
            return _json(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})
        operation, session_id = self._route(method, path.removeprefix(self.dialect.base_path))
        fields: dict[str, Any] = json.loads(body) if body else {}
        what = session_id or _device_of(fields.get("device", {}))
        fault = self.draw(operation, what)
        self.seen.append(Seen(self.wall_s(), operation, session_id, fault))
        if operation == "create":
            self.bodies.append(fields)
        correlator = (headers or {}).get("x-correlator", "")
        return await self._answer(operation, session_id, fields, correlator, fault, timeout_s)

    def _route(self, method: str, path: str) -> tuple[str, str]:
        match method, path.strip("/").split("/"):
            case "POST", ["sessions"]:
                return "create", ""
            case "GET", ["sessions", session_id]:
                return "get", session_id
            case "DELETE", ["sessions", session_id]:
                return "delete", session_id
            case "POST", ["sessions", session_id, "extend"] if self.dialect.can_extend:
                return "extend", session_id
            case "POST", ["retrieve-sessions"] if self.dialect.can_retrieve:
                return "retrieve", ""
        raise AssertionError(f"{method} {path} is no call of {self.dialect_name}")

    async def _answer(
        self,
        operation: str,
        session_id: str,
        fields: dict[str, Any],
        correlator: str,
        fault: Fault,
        timeout_s: float,
    ) -> HttpResponse:
        match fault:
            case Fault.REFUSED:
                raise TransportError("no connection: Connection refused", sent=False)
            case Fault.RESET:
                raise TransportError("the connection broke", sent=True)
            case Fault.HANG:
                await asyncio.sleep(timeout_s)
                raise TransportError("no answer", sent=True)
            case Fault.ERROR:
                return _json(503, {"status": 503, "code": "UNAVAILABLE", "message": "not now"})
            case Fault.BUSY:
                return _json(429, {"status": 429, "code": "TOO_MANY_REQUESTS", "message": "slow down"})
            case Fault.REVOKED:
                return _json(401, {"status": 401, "code": "UNAUTHENTICATED", "message": "token"})
            case Fault.FORBIDDEN:
                return _json(422, {"status": 422, "code": "SERVICE_NOT_APPLICABLE", "message": "no"})
            case Fault.NOT_YET_KNOWN:
                return _json(404, {"status": 404, "code": "NOT_FOUND", "message": "no such session"})
            case Fault.SLOW:
                await asyncio.sleep(0.6 * timeout_s)
            case _:
                await asyncio.sleep(0.02)
        response = self._do(operation, session_id, fields, correlator, lost=fault in DONE_UNSEEN)
        match fault:
            case Fault.RESET_AFTER:
                raise TransportError("the connection broke", sent=True)
            case Fault.HANG_AFTER:
                await asyncio.sleep(timeout_s)
                raise TransportError("no answer", sent=True)
            case Fault.ERROR_AFTER:
                return _json(504, {"status": 504, "code": "TIMEOUT", "message": "x"})
            case Fault.CUT_AFTER:
                return replace(response, body=response.body[:20])
            case _:
                # The caller may be gone by now.
                await asyncio.sleep(0.02)
                return response

    # What it does

    def _do(
        self, operation: str, session_id: str, fields: dict[str, Any], correlator: str, *, lost: bool
    ) -> HttpResponse:
        now = self.wall_s()
        self.settle(now)
        if operation == "create":
            return self._create(fields, correlator, now, lost=lost)
        if operation == "retrieve":
            device = _device_of(fields["device"])
            mine = [entry for entry in self._there() if entry.device == device]
            return _json(200, [self._info(entry) for entry in mine])
        entry = self.entries.get(session_id)
        if entry is None or entry.session.released_at is not None:
            return _json(404, {"status": 404, "code": "NOT_FOUND", "message": "The session is not found."})
        if operation == "delete":
            if self.deletes:
                entry.session = delete(entry.session, now)
            return HttpResponse(204, {}, b"")
        if operation == "extend":
            if entry.session.status is not Status.AVAILABLE:
                code = "QUALITY_ON_DEMAND.SESSION_EXTENSION_NOT_ALLOWED"
                return _json(409, {"status": 409, "code": code, "message": "not available"})
            entry.session = extend(entry.session, fields["requestedAdditionalDuration"], 86_400)
        return _json(200, self._info(entry))

    def _create(self, fields: dict[str, Any], correlator: str, now: float, *, lost: bool) -> HttpResponse:
        device = _device_of(fields["device"])
        if self.refuses_webhooks and "sink" in fields:
            return _json(400, {"status": 400, "code": self.refuses_webhooks, "message": "no such sink"})
        if any(entry.device == device and entry.session.blocks_its_flow for entry in self._there()):
            return _json(409, {"status": 409, "code": "CONFLICT", "message": "Conflict with a session."})
        self._number += 1
        session_id = f"10000000-0000-4000-8000-{self._number:012d}"
        after_s = self.terminates_after_s()
        session = QosSession(
            session_id=session_id,
            client_id=CLIENT,
            profile=fields["qosProfile"],
            duration_s=self.grants_s(fields["duration"]),
            created_at=now,
            available_due_at=None if self.stays_requested() else now + self.requested_delay_s,
            retention_s=RETENTION_S,
            echo={name: value for name, value in fields.items() if name != "duration"},
            terminate_due_at=None if after_s is None else now + after_s,
            x_correlator=correlator,
        )
        self.entries[session_id] = Entry(session, device, lost)
        self.settle(now)
        return _json(201, self._info(self.entries[session_id]))

    def _there(self) -> list[Entry]:
        """Not released yet. The last ones will do: a device has one, and no test thousands of devices."""
        recent = list(self.entries.values())[-_RECENT:]
        return [entry for entry in recent if entry.session.released_at is None]

    def _info(self, entry: Entry) -> dict[str, Any]:
        return session_info(entry.session, self.dialect, self.skew_s)

    def settle(self, now: float) -> None:
        """Let time have passed."""
        for entry in self._there():
            while (step := next_step(entry.session)) is not None and step.at <= now:
                entry.session = step.after

    def terminate(self) -> None:
        """The network ends every live session."""
        self.settle(self.wall_s())
        for entry in self.entries.values():
            if entry.session.ended_at is None:
                entry.session = end(entry.session, Cause.NETWORK_TERMINATED, self.wall_s())

    # What an auditor reads

    def live(self) -> list[QosSession]:
        self.settle(self.wall_s())
        return [e.session for e in self.entries.values() if e.session.ended_at is None]

    def ledger(self) -> Iterator[Entry]:
        self.settle(self.wall_s())
        yield from self.entries.values()

    def network_s(self) -> float:
        return sum(network_s(entry.session, self.wall_s()) for entry in self.ledger())

    def calls(self, operation: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.operation == operation]


def _device_of(device: Mapping[str, Any]) -> str:
    return json.dumps(device, sort_keys=True)


def _json(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())
