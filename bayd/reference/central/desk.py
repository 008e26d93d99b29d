"""The HTTP side of the reception's page: forms in, a redirect or the page with the refusal out.

A form runs the same rule as the JSON call of its name, through the same idempotency key.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bayd.reference.central import replay, sessions, staff
from bayd.reference.central.board import Board, Notice, board_page, login_page, read_board
from bayd.reference.central.http import (
    COOKIE,
    PUSH,
    STORE,
    attempt,
    require_token,
)
from bayd.reference.central.ledger import RefusalError
from bayd.reference.central.replay import Reply
from bayd.reference.central.requests import check
from bayd.reference.central.routes import NOTHING, ROUTES

_RULES = {
    act: next(route for route in ROUTES if route.run is rule)
    for act, rule in {
        "book": sessions.book,
        "extend": sessions.add_time,
        "end": sessions.end,
        "move": sessions.change_bay,
    }.items()
}
_LOGIN = next(route for route in ROUTES if route.run is staff.log_in)


async def reception(request: web.Request) -> web.StreamResponse:
    try:
        await require_token(request, or_cookie=True)
    except RefusalError:
        return _page(200, None, None)
    said = request.query.get("said", "")
    board = await request.app[STORE].run(read_board)
    return _page(200, board, Notice(_SAID[said]) if said in _SAID else None)


_SAID = {
    "book": "Booked. Tell the customer the PIN that stands beside the session.",
    "extend": "Extended.",
    "end": "Ended.",
    "move": "Moved.",
}


async def desk(request: web.Request) -> web.StreamResponse:
    act = request.match_info["act"]
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    if act == "login":
        return await _log_in(request, form)
    route = _RULES.get(act)
    if route is None:
        raise web.HTTPNotFound
    try:
        await require_token(request, or_cookie=True)
    except RefusalError as refusal:
        return _page(401, None, Notice(refusal.message, bad=True))
    try:
        params_in, body_in = _call(act, form)
        params = None if route.params is NOTHING else check(route.params, params_in, whole="form")
        body = None if route.body is NOTHING else check(route.body, body_in, whole="form")
        key = form.get("key")
        if key is not None:
            replay.check_key(key)
        mark = replay.fingerprint("FORM", act, json.dumps([params_in, body_in]).encode())
        reply = await request.app[STORE].run(
            lambda ledger: replay.once(ledger, key, mark, lambda: attempt(ledger, route, params, body))
        )
    except RefusalError as refusal:
        return await _refused(request, refusal.status, refusal.message)
    request.app[PUSH].wake()
    answer = json.loads(reply.body)
    if reply.status != 200:
        return await _refused(request, reply.status, answer["message"])
    return web.Response(status=303, headers={"Location": f"/?said={act}"})


def _call(act: str, form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(path values, body) of the JSON call that the form stands for."""
    given = {name: value for name, value in form.items() if value}
    numbers: dict[str, Any] = {name: _number(given[name]) for name in ("duration", "amount") if name in given}
    match act:
        case "book":
            person = {name: given[name] for name in ("name", "phoneNumber") if name in given}
            booking: dict[str, Any] = {"billingUser": person, **numbers}
            if "bayNumber" in given:
                booking["bayNumber"] = given["bayNumber"]
            if "paymentType" in given:
                booking["paymentType"] = {"type": given["paymentType"]}
            return {}, booking
        case "extend":
            return {"id": given.get("id", "")}, numbers
        case "end":
            return {"id": given.get("id", "")}, {}
        case _:
            return {}, given


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else text


async def _log_in(request: web.Request, form: Mapping[str, str]) -> web.StreamResponse:
    try:
        body = check(_LOGIN.body, dict(form), whole="form")
        reply: Reply = await request.app[STORE].run(lambda ledger: attempt(ledger, _LOGIN, None, body))
    except RefusalError as refusal:
        return _page(refusal.status, None, Notice(refusal.message, bad=True))
    answer = json.loads(reply.body)
    if reply.status != 200:
        return _page(reply.status, None, Notice(answer["message"], bad=True))
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(
        COOKIE,
        answer["data"]["accessToken"],
        max_age=staff.ACCESS_LIFE_MS // 1000,
        httponly=True,
        samesite="Strict",
    )
    return response


async def _refused(request: web.Request, status: int, message: str) -> web.StreamResponse:
    board = await request.app[STORE].run(read_board)
    return _page(status, board, Notice(message, bad=True))


def _page(status: int, board: Board | None, notice: Notice | None) -> web.Response:
    nonce = secrets.token_urlsafe(16)
    text = login_page(notice, nonce) if board is None else board_page(board, notice, nonce)
    return web.Response(
        status=status,
        text=text,
        content_type="text/html",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
                " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",  # with "no-referrer" the forms' Origin would be "null"
        },
    )
