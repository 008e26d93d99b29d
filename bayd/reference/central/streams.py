"""The HTTP side of the push stream."""

import asyncio
from functools import partial

from aiohttp import web

from bayd.reference.central import push
from bayd.reference.central.http import PUSH, STORE, Handler, refused, require_token, respond
from bayd.reference.central.ledger import RefusalError

LAST_ID = "Last-Event-ID"


def events_handler(poll_s: float) -> Handler:
    """`poll_s`: how often an idle stream looks for a computed end, which no request brings about."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            await require_token(request, or_cookie=True)
            last_seen = _last_id(request)
        except RefusalError as refusal:
            return respond(refused(refusal))
        store, streams = request.app[STORE], request.app[PUSH]
        position, greeting = await store.run(lambda ledger: push.resume(ledger, last_seen))
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        loop = asyncio.get_running_loop()
        try:
            await response.prepare(request)
            await response.write(greeting)
            spoken = loop.time()
            while not streams.closing:
                turn = streams.turn
                position, news = await store.run(partial(push.after, last_seen=position))
                if not news and loop.time() - spoken >= push.HEARTBEAT_S:
                    news = b": alive\n\n"
                if news:
                    await response.write(news)
                    spoken = loop.time()
                else:
                    await streams.wait(turn, poll_s)
        except ConnectionError:
            pass  # the reader left; it resumes with Last-Event-ID
        return response

    return handle


def _last_id(request: web.Request) -> int | None:
    text = request.headers.get(LAST_ID)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RefusalError(400, f"{LAST_ID}: must be the id of an event", LAST_ID)
    return int(text)
