"""The operations of the API.

Every call takes the same way: x-correlator, access token (and proof), the faults that were ordered, then the
operation itself in one transaction of the database.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web

from bayd.reference.qod.answers import Answer, Handler, json_answer, refusal, token_refusal
from bayd.reference.qod.database import AccessToken, OperatorDatabase, StoredSession
from bayd.reference.qod.errors import (
    ApiError,
    TokenError,
    conflict,
    invalid_argument,
    not_found,
    permission_denied,
)
from bayd.reference.qod.faults import CallRule, OlderErrors, Operation
from bayd.reference.qod.gate import Gate
from bayd.reference.qod.requests import parse_create, parse_extend, parse_retrieve
from bayd.reference.qod.sabotage import Saboteur, SpoiledError
from bayd.reference.qod.service import Service
from bayd.reference.qod.sessions import QosSession, session_info

X_CORRELATOR = "x-correlator"
CORRELATOR = web.RequestKey("correlator", str)  # a valid one, to be echoed on whatever answer leaves

_CORRELATOR = re.compile(r"[a-zA-Z0-9\-_:;./<>{}]{0,256}")  # CAMARA `XCorrelator`
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_log = structlog.get_logger("bayd.reference.qod")


@dataclass(frozen=True, slots=True)
class Call:
    """A call by a recognised caller."""

    token: AccessToken
    body: bytes
    now: float
    x_correlator: str | None
    session_id: str  # of the path; empty where it has none


class Api:
    def __init__(self, service: Service, gate: Gate, saboteur: Saboteur) -> None:
        self._service = service
        self._gate = gate
        self._saboteur = saboteur

    def routes(self) -> list[web.RouteDef]:
        dialect = self._service.dialect
        sessions = f"{dialect.base_path}/sessions"
        one = f"{sessions}/{{session_id}}"
        routes = [
            web.post(dialect.token_path, self._token),
            web.post(sessions, self._endpoint("create", self._create)),
            web.get(one, self._endpoint("get", self._get), allow_head=False),
            web.delete(one, self._endpoint("delete", self._delete)),
        ]
        if dialect.can_extend:
            routes.append(web.post(f"{one}/extend", self._endpoint("extend", self._extend)))
        if dialect.can_retrieve:
            retrieve = self._endpoint("retrieve", self._retrieve)
            routes.append(web.post(f"{dialect.base_path}/retrieve-sessions", retrieve))
        if dialect.scopes is not None:
            routes.append(web.get("/.well-known/openid-configuration", self._discovery))
        return routes

    def _endpoint(self, name: Operation, operation: Callable[[Call], Awaitable[Answer]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            struck: Sequence[CallRule] = ()
            try:
                correlator = _correlator(request)
                body = await request.read()
                token = await self._gate.admit(request, body, name)
                struck = self._service.faults.draw_call(name)
                await self._saboteur.before(request, struck, token.token_sha256)
                path_id = request.match_info.get("session_id", "")
                answer = await operation(Call(token, body, self._service.clock(), correlator, path_id))
            except ApiError as error:
                answer = refusal(error, older=any(isinstance(rule, OlderErrors) for rule in struck))
            except SpoiledError as spoiled:
                answer = spoiled.answer
            _log.debug("qod_call_answered", operation=name, status=answer.status)
            self._service.courier.wake()
            return await self._saboteur.after(request, struck, answer)

        return handle

    async def _create(self, call: Call) -> Answer:
        _refuse_missing(call.body)
        service = self._service
        request = parse_create(
            call.body,
            service.dialect,
            min_duration_s=service.min_duration_s,
            token_device=call.token.device_keys,
            plain_sinks=service.faults_on,
        )
        session = QosSession(
            session_id=str(uuid.uuid4()),
            client_id=call.token.client.client_id,
            x_correlator=call.x_correlator,
            profile=request.profile,
            duration_s=request.duration_s,
            created_at=call.now,
            available_due_at=call.now + service.requested_delay_s,
            retention_s=service.retention_s,
            echo=request.echo,
        )
        created = await service.store.run(OperatorDatabase.create, session, request)
        if created is None:
            raise conflict("Conflict with an existing session for the same device.")
        return self._info(created, 201)

    async def _get(self, call: Call) -> Answer:
        return self._info((await self._own(call)).session)

    async def _delete(self, call: Call) -> Answer:
        session = (await self._own(call)).session
        await self._service.store.run(OperatorDatabase.delete, session.session_id, call.now)
        # No body, yet the test definitions want the type (deleteSession_01).
        return Answer(204, headers={hdrs.CONTENT_TYPE: "application/json"})

    async def _extend(self, call: Call) -> Answer:
        session = (await self._own(call)).session
        _refuse_missing(call.body)
        additional_s = parse_extend(call.body)
        service = self._service
        longest_s = service.dialect.profiles[session.profile].max_duration_s
        longer = await service.store.run(
            OperatorDatabase.extend, session.session_id, additional_s, longest_s, call.now
        )
        if longer is None:
            raise ApiError(
                409,
                "QUALITY_ON_DEMAND.SESSION_EXTENSION_NOT_ALLOWED",
                "Extending the session duration is not allowed in the current state. "
                "The session must be in the AVAILABLE state.",
            )
        return self._info(longer)

    async def _retrieve(self, call: Call) -> Answer:
        _refuse_missing(call.body)
        service = self._service
        keys = parse_retrieve(call.body, service.dialect, call.token.device_keys)
        sessions = await service.store.run(
            OperatorDatabase.of_device, call.token.client.client_id, keys, call.now
        )
        skew_s = service.faults.skew_s
        return json_answer(200, [session_info(session, service.dialect, skew_s) for session in sessions])

    async def _own(self, call: Call) -> StoredSession:
        """The session of the path, if this caller may touch it. Raises ApiError."""
        if not _UUID.fullmatch(call.session_id):
            raise invalid_argument("sessionId: is no UUID")
        stored = await self._service.store.run(OperatorDatabase.find, call.session_id.lower(), call.now)
        if stored is None:
            raise not_found("The specified session is not found.")
        keys = call.token.device_keys
        same_device = keys is None or not keys.isdisjoint(stored.device_keys)
        if stored.session.client_id != call.token.client.client_id or not same_device:
            raise permission_denied("The session belongs to another client or another device.")
        return stored

    def _info(self, session: QosSession, status: int = 200) -> Answer:
        service = self._service
        return json_answer(status, session_info(session, service.dialect, service.faults.skew_s))

    # Tokens

    async def _token(self, request: web.Request) -> web.StreamResponse:
        struck: Sequence[CallRule] = ()
        try:
            body = await request.read()
            grant = await self._gate.recognise_client(request, body)
            struck = self._service.faults.draw_call("token")
            await self._saboteur.before(request, struck)
            answer = await self._gate.issue(grant)
        except TokenError as error:
            answer = token_refusal(error)
        except SpoiledError as spoiled:
            answer = spoiled.answer
        _log.debug("qod_call_answered", operation="token", status=answer.status)
        return await self._saboteur.after(request, struck, answer)

    async def _discovery(self, request: web.Request) -> web.Response:
        """OpenID discovery: by this a CAMARA client finds the token endpoint."""
        dialect = self._service.dialect
        url = self._service.url(request)
        return json_answer(
            200,
            {
                "issuer": url,
                "token_endpoint": f"{url}{dialect.token_path}",
                "grant_types_supported": ["client_credentials"],
                "scopes_supported": list(dialect.scopes.all()) if dialect.scopes else [],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                    "private_key_jwt",
                ],
            },
        ).response()


def _correlator(request: web.Request) -> str | None:
    """Raises ApiError."""
    values = request.headers.getall(X_CORRELATOR, [])
    if not values:
        return None
    if len(values) > 1 or not _CORRELATOR.fullmatch(values[0]):
        raise invalid_argument("x-correlator: at most 256 of letters, digits and -_:;./<>{}")
    request[CORRELATOR] = values[0]
    return values[0]


def _refuse_missing(body: bytes) -> None:
    if not body:
        raise invalid_argument("The request body is missing")
