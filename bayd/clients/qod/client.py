"""The QoD client: `QodClient(…).session.create_session(…)`.

The constructor, the method names and their parameters are those of the documented SessionService; the
methods are coroutines. One transaction is one x-correlator. Errors say what to do next (`errors.py`);
nothing here logs.
"""

import random
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from joserfc import jwk

from bayd.clients.qod import breaker, wire
from bayd.clients.qod.authorisation import Authorisation, ClientCredentials, ProofOfPossession, load_key
from bayd.clients.qod.calls import Call, Caller, Patience
from bayd.clients.qod.dialects import TMOBILE_0_10, Dialect, Operation, get_dialect
from bayd.clients.qod.errors import InvalidInputError, UnsupportedError
from bayd.clients.qod.models import CreateSession, Device, SessionInfo
from bayd.clients.qod.operator import Operator
from bayd.clients.qod.tokens import TokenCache
from bayd.clients.transport import AiohttpTransport
from bayd.ports import HttpResponse, HttpTransport

DEFAULT_BASE_URL = "http://127.0.0.1:4010/qod/v0"  # the reference operator; never a real one by accident


class QodClient:
    """One client at one operator: an async context manager, or call `aclose`."""

    def __init__(
        self,
        client_id: str,
        client_secret: str = "",
        private_key: str = "",
        base_url: str = DEFAULT_BASE_URL,
        timeout: float = 10_000,
        dialect: str | Dialect = TMOBILE_0_10.name,
        *,
        token_url: str | None = None,
        deadline_s: float = 60.0,
        credentials_pause_s: float = 300.0,
        circuit_max_s: float = 300.0,
        transport: HttpTransport | None = None,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Raises InvalidInputError, naming the argument.

        `private_key` is a PEM text: `tmobile-0.10` signs every request with it; `camara-1.1` uses it, when
        given, instead of the secret. `timeout` is for one request, in milliseconds; no attempt of a GET or
        DELETE begins later than `deadline_s` after the first. `token_url` is derived from the operator's
        host unless given. After a refusal of the credentials the token endpoint is left alone for
        `credentials_pause_s`, then for longer. An operator that fails again and again is left alone for 30 s,
        then for longer, up to `circuit_max_s`.
        """
        if not timeout > 0:
            raise InvalidInputError("timeout", "milliseconds, above 0")
        self.dialect = get_dialect(dialect) if isinstance(dialect, str) else dialect
        origin, base_path = _split_url("base_url", base_url)
        authorisation = _authorisation(
            self.dialect, client_id, client_secret, private_key, token_url or origin + self.dialect.token_path
        )
        self._own_transport: AiohttpTransport | None = None
        if transport is None:
            transport = self._own_transport = AiohttpTransport()
        operator = self._operator = Operator(
            transport, wall_clock=wall_clock, monotonic=monotonic, circuit_max_s=circuit_max_s
        )
        patience = Patience(timeout_s=timeout / 1000, deadline_s=deadline_s)
        tokens = TokenCache(
            authorisation,
            operator,
            new_uuid=new_uuid,
            secrets=frozenset({client_secret}) - {""},
            timeout_s=patience.timeout_s,
            pause_s=credentials_pause_s,
        )
        caller = Caller(origin, authorisation, operator, tokens, patience, new_uuid=new_uuid, jitter=jitter)
        self.session = SessionService(
            self.dialect, caller, base_path, wall_s=operator.wall_s, new_uuid=new_uuid
        )

    @property
    def circuit(self) -> Literal["closed", "open", "probing"]:
        """Whether requests go out: not while it is open, and one at a time while it is probing."""
        match self._operator.circuit:
            case breaker.Closed():
                return "closed"
            case breaker.Open():
                return "open"
            case breaker.Probing():
                return "probing"

    async def aclose(self) -> None:
        """Close the connections, unless the transport was given."""
        if self._own_transport is not None:
            await self._own_transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class SessionService:
    """The calls about sessions. Each raises the errors of `errors.py`."""

    def __init__(
        self,
        dialect: Dialect,
        caller: Caller,
        base_path: str,
        *,
        wall_s: Callable[[], float],
        new_uuid: Callable[[], str],
    ) -> None:
        self._dialect = dialect
        self._caller = caller
        self._base_path = base_path
        self._wall_s = wall_s
        self._new_uuid = new_uuid

    async def create_session(
        self, request_body: CreateSession, x_correlator: str | None = None
    ) -> SessionInfo:
        """POST /sessions, once. After AmbiguousError the session may exist: find it before asking again.

        The answer may well be REQUESTED: poll with `get_session` until it is AVAILABLE.
        """
        call = Call(
            Operation.CREATE,
            f"{self._base_path}/sessions",
            self._correlator(x_correlator),
            wire.encode_body(self._dialect.create_body(request_body, self._wall_s())),
            wire.sent_values(request_body.device, request_body.webhook),
        )
        return await self._caller.run(call, _read_session)

    async def get_session(self, session_id: str, x_correlator: str | None = None) -> SessionInfo:
        """GET /sessions/{sessionId}. Raises NotFoundError when the operator has none (any more)."""
        call = Call(Operation.GET, self._session_path(session_id), self._correlator(x_correlator))
        return await self._caller.run(call, lambda response: _read_session(response, session_id))

    async def delete_session(self, session_id: str, x_correlator: str | None = None) -> None:
        """DELETE /sessions/{sessionId}. A session that is gone already counts as deleted."""
        call = Call(Operation.DELETE, self._session_path(session_id), self._correlator(x_correlator))
        await self._caller.run(call, _read_gone)

    async def extend_session(
        self, session_id: str, requested_additional_duration: int, x_correlator: str | None = None
    ) -> SessionInfo:
        """POST /sessions/{sessionId}/extend, once; seconds. The granted duration is the answer's: it may be
        capped.

        Not idempotent: after AmbiguousError read the session's `duration` and compare. Raises
        UnsupportedError where the dialect has no such call.
        """
        if not self._dialect.can_extend:
            raise UnsupportedError(
                f"{self._dialect.name} cannot extend a session: delete it and create a new one"
            )
        call = Call(
            Operation.EXTEND,
            f"{self._session_path(session_id)}/extend",
            self._correlator(x_correlator),
            wire.encode_body(wire.extend_body(requested_additional_duration)),
        )
        return await self._caller.run(call, lambda response: _read_session(response, session_id))

    async def retrieve_sessions(
        self, device: Device, x_correlator: str | None = None
    ) -> tuple[SessionInfo, ...]:
        """POST /retrieve-sessions: this client's own sessions of the device, none is ().

        Raises UnsupportedError where the dialect has no such call.
        """
        if not self._dialect.can_retrieve:
            raise UnsupportedError(f"{self._dialect.name} cannot find sessions by device")
        call = Call(
            Operation.RETRIEVE,
            f"{self._base_path}/retrieve-sessions",
            self._correlator(x_correlator),
            wire.encode_body(wire.retrieve_body(device)),
            wire.sent_values(device),
        )
        return await self._caller.run(call, _read_sessions)

    def _session_path(self, session_id: str) -> str:
        return f"{self._base_path}/sessions/{wire.checked_session_id(session_id)}"

    def _correlator(self, x_correlator: str | None) -> str:
        return self._new_uuid() if x_correlator is None else wire.checked_correlator(x_correlator)


def _read_session(response: HttpResponse, session_id: str | None = None) -> SessionInfo | None:
    """The session of a success; of another than `session_id` it is none."""
    if not 200 <= response.status < 300:
        return None
    session = wire.parse_session(wire.parse_json(response.body))
    if session is None or (session_id is not None and session.session_id.lower() != session_id.lower()):
        return None
    return session


def _read_sessions(response: HttpResponse) -> tuple[SessionInfo, ...] | None:
    """All or nothing: a list with one unreadable entry would hide a session that may be ours."""
    if response.status != 200:
        return None
    found = wire.parse_json(response.body)
    if not isinstance(found, list):
        return None
    sessions = [session for each in found if (session := wire.parse_session(each)) is not None]
    return tuple(sessions) if len(sessions) == len(found) else None


def _read_gone(response: HttpResponse) -> Literal[True] | None:
    """Deleted now, or before: both are what was asked for."""
    return True if 200 <= response.status < 300 or response.status in (404, 410) else None


def _split_url(name: str, url: str) -> tuple[str, str]:
    """Origin and path. Tokens do not go over a network in the clear: plain http is for this machine only."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInputError(name, "not a URL") from None
    if parts.username is not None or parts.query or parts.fragment or not parts.hostname:
        raise InvalidInputError(
            name, "scheme, host and path only, such as https://operator.example.com/qod/v0"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in wire.LOOPBACK):
        raise InvalidInputError(name, "must be https://, or http:// on this machine's loopback")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else ""), parts.path.rstrip("/")


def _authorisation(
    dialect: Dialect, client_id: str, client_secret: str, private_key: str, token_url: str
) -> Authorisation:
    origin, token_path = _split_url("token_url", token_url)
    token_url = origin + token_path
    if not client_id:
        raise InvalidInputError("client_id", "required")
    if dialect.proof_of_possession:
        if ":" in client_id:
            raise InvalidInputError("client_id", "holds a colon, which HTTP Basic cannot carry")
        if not client_secret:
            raise InvalidInputError("client_secret", "required by this operator")
        key = load_key(private_key)
        if not isinstance(key, jwk.RSAKey):
            raise InvalidInputError("private_key", "this operator wants an RSA key")
        return ProofOfPossession(client_id, client_secret, key, token_url, token_path)
    if not private_key and not client_secret:
        raise InvalidInputError("client_secret", "give a secret or a private_key")
    return ClientCredentials(
        client_id, client_secret, load_key(private_key) if private_key else None, token_url
    )
