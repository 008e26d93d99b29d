"""From an HTTP request to a call of the rules, and back.

Order: origin, token, path and query, body, then one transaction. A refusal says which field is wrong
and changes nothing. Every answer of a call is JSON in the envelope `{"success": …}`; a route that does
not exist answers in plain text, as the documented server's framework does, so that a caller can tell a
wrong address from an unknown id.
"""

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bayd.reference.central import replay, staff
from bayd.reference.central.ledger import Ledger, RefusalError, Store
from bayd.reference.central.push import Push
from bayd.reference.central.replay import Reply
from bayd.reference.central.requests import AUTHORIZATION, check, parse_json
from bayd.reference.central.routes import NOTHING, Route
from bayd.reference.central.settings import CentralSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STORE: web.AppKey[Store] = web.AppKey("store", Store)
PUSH: web.AppKey[Push] = web.AppKey("push", Push)
SETTINGS: web.AppKey[CentralSettings] = web.AppKey("settings", CentralSettings)

COOKIE = "central_desk"
_log = logging.getLogger(__name__)


def refused(refusal: RefusalError) -> Reply:
    document: dict[str, Any] = {"success": False, "message": refusal.message}
    if refusal.field is not None:
        document["field"] = refusal.field
    return Reply(refusal.status, _encode(document))


def granted(data: object) -> Reply:
    return Reply(200, _encode({"success": True, "data": data}))


def _encode(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def respond(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"  # answers hold PINs
    if reply.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def json_handler(route: Route[Any, Any]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            if not route.public:
                await require_token(request)
            params = None
            if route.params is not NOTHING:
                params = check(route.params, _url_values(request), whole="query")
            if not route.writes:
                return respond(
                    await request.app[STORE].run(lambda ledger: attempt(ledger, route, params, None))
                )
            raw = await request.read()
            key = idempotency_key(request)
            body = None
            if route.body is not NOTHING:
                body = check(route.body, parse_json(raw), whole="body")
            mark = replay.fingerprint(request.method, request.path_qs, raw)
            reply = await request.app[STORE].run(
                lambda ledger: replay.once(ledger, key, mark, lambda: attempt(ledger, route, params, body))
            )
        except RefusalError as refusal:
            return respond(refused(refusal))
        request.app[PUSH].wake()
        return respond(reply)

    return handle


def attempt(ledger: Ledger, route: Route[Any, Any], params: Any, body: Any) -> Reply:
    """Runs the route's rule; a refusal undoes what the rule did, and nothing else."""
    try:
        with ledger.db.atomic():
            return granted(route.run(ledger, params, body))
    except RefusalError as refusal:
        return refused(refusal)


def _url_values(request: web.Request) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for name, value in request.query.items():
        if name in values:
            raise RefusalError(400, f"{name}: given twice", name)
        values[name] = value
    return {**values, **request.match_info, AUTHORIZATION: bearer_token(request)}


def idempotency_key(request: web.Request) -> str | None:
    """Raises RefusalError."""
    keys = request.headers.getall(replay.HEADER, [])
    if not keys:
        return None
    if len(keys) > 1:
        raise RefusalError(400, f"{replay.HEADER}: given twice", replay.HEADER)
    replay.check_key(keys[0])
    return keys[0]


def bearer_token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get(AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def require_token(request: web.Request, *, or_cookie: bool = False) -> None:
    """Raises RefusalError."""
    if request.app[SETTINGS].auth == "none":
        return
    token = bearer_token(request)
    if token is None and or_cookie:
        token = request.cookies.get(COOKIE)
    if not await request.app[STORE].run(lambda ledger: staff.accepts(ledger, token)):
        raise RefusalError(
            401, f"{AUTHORIZATION}: send `Bearer` and a token of POST /auth/login", AUTHORIZATION
        )


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where failures of the framework and of the disk become answers."""
    origin = request.headers.get("Origin")
    if request.method not in ("GET", "HEAD", "OPTIONS") and origin not in (
        None,
        f"{request.scheme}://{request.host}",
    ):
        # A page of another site may send a form here, but must not book, extend or end anything.
        return respond(
            refused(RefusalError(403, "Origin: requests of another site's page are refused", "Origin"))
        )
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.Response(status=404, text=f"Cannot {request.method} this path; see /openapi.json\n")
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        return web.Response(status=405, text=f"Cannot {error.method} this path\n", headers={"Allow": allow})
    except web.HTTPRequestEntityTooLarge:
        return respond(refused(RefusalError(413, "body: is larger than 256 KiB", "body")))
    except web.RequestPayloadError:
        return respond(refused(RefusalError(400, "body: its Content-Encoding is not what it says", "body")))
    except sqlite3.Error as error:
        _log.error("central database failed: %s", type(error).__name__)
        return respond(
            refused(RefusalError(503, "the database failed; whether the request was done is not known"))
        )
