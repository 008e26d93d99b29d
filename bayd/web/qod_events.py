"""The webhook of the mobile operator: a door of its own, with one call behind it and nothing to read.

A small CloudEvent by POST, under whatever path the proxy leaves of it: the bearer token of a QoS session
opens it, and is looked at before the body. 204 is thanks, also for what is old or doubled: whoever gets
something else sends it again.
"""

from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bayd.ports import Clock, Log
from bayd.web.bodies import BODY_LIMIT_BYTES, read_body
from bayd.web.limits import Buckets, Rate, client_address
from bayd.web.problems import Problem, ProblemError, problem_response

# CAMARA 0.10.1 and 1.1.0 want the first; some senders write the second.
_CONTENT_TYPES = frozenset({"application/cloudevents+json", "application/json"})
_UNKNOWN_TOKENS = Rate(1, 20)


class EventSink(Protocol):
    def identify(self, presented: str) -> str | None:
        """The x-correlator of the session whose token this is."""
        ...

    def hear(self, x_correlator: str, source: str, event_id: str, kind: str) -> Any: ...


class CloudEvent(BaseModel):
    """CloudEvents 1.0.2, the part that is used."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    id: str = Field(min_length=1, max_length=256)
    source: str = Field(min_length=1, max_length=1024)
    type: str = Field(min_length=1, max_length=256)


def make_webhook_app(sink: EventSink, clock: Clock, log: Log) -> web.Application:
    strangers = Buckets(_UNKNOWN_TOKENS, clock)

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            x_correlator = _identify(sink, request, strangers)
            event = await read_body(request, CloudEvent, content_types=_CONTENT_TYPES)
        except ProblemError as error:
            log.info("qod_event_refused", code=error.problem.code)
            return problem_response(error.problem, closes=True)
        sink.hear(x_correlator, event.source, event.id, event.type)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def say_little(_request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers["Server"] = "bayd"

    app = web.Application(client_max_size=BODY_LIMIT_BYTES)
    app.router.add_post("/{path:.*}", receive)
    app.on_response_prepare.append(say_little)
    return app


def _identify(sink: EventSink, request: web.Request, strangers: Buckets) -> str:
    """Raises ProblemError."""
    headers = request.headers.getall("Authorization", [])
    scheme, _, presented = (headers[0] if len(headers) == 1 else "").partition(" ")
    x_correlator = sink.identify(presented.strip()) if scheme.lower() == "bearer" else None
    if x_correlator is None:
        strangers.take(client_address(request.remote))
        text = "The token of a session of ours is needed."
        raise ProblemError(Problem(HTTPStatus.UNAUTHORIZED, "token_unknown", text))
    return x_correlator
