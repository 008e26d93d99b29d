"""Puts the calls together: what every request goes through, and what every answer carries."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from bayd.ports import Log
from bayd.web.access import Access
from bayd.web.bodies import BODY_LIMIT_BYTES
from bayd.web.problems import Problem, ProblemError, problem_response
from bayd.web.routes import Handle, Route

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# There is never an Access-Control header: no page of another site reads anything here.
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_LOGGED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_TIMEOUT,
    }
)
_ALWAYS_ALLOWED = frozenset({"OPTIONS"})


class HttpMeter(Protocol):
    """Counts the requests. Called in the loop; must not block or raise."""

    def answered(self, route: str, method: str, status: int, took_s: float | None) -> None:
        """`took_s` None: a stream, whose length says nothing."""
        ...


def make_app(
    routes: Iterable[Route],
    access: Access,
    log: Log,
    *,
    meter: HttpMeter | None = None,
    at_stop: Sequence[Callable[[], None]] = (),
) -> web.Application:
    """`at_stop` is called before the stop waits for answers: what never ends is to end there."""

    async def stop(_app: web.Application) -> None:
        for end in at_stop:
            end()

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as error:
            problem = error.problem
            if problem.status in _LOGGED:
                log.warning("request_refused", code=problem.code, route=_name(request))
            elif problem.status == HTTPStatus.NOT_FOUND:
                # Not the path: whoever guesses at paths may have put a secret into one.
                log.info("request_refused", code=problem.code, route=_name(request))
            return problem_response(problem, closes=error.closes)
        except web.HTTPMethodNotAllowed as error:
            return _not_allowed(request, error)
        except web.HTTPException as error:
            status = HTTPStatus(error.status)
            log.info("request_refused", code=status.name.lower(), route=_name(request))
            return problem_response(Problem(status, status.name.lower(), error.reason or status.phrase))
        except ConnectionError:
            raise  # nobody is there to be answered
        except Exception as error:  # the one guard of the API: one request fails, not the daemon
            log.error("request_failed", route=_name(request), exc_info=error)
            text = "This is our fault, and logged."
            return problem_response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", text))

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        response = await handler(request)
        if meter is not None:
            took_s = loop.time() - began_s if isinstance(response, web.Response) else None
            meter.answered(_name(request), request.method, response.status, took_s)
        return response

    def served(route: Route) -> Handler:
        handle: Handle = route.handle

        async def serve(request: web.Request) -> web.StreamResponse:
            return await handle(request, access.identify(request, route.roles, limited=route.limited))

        return serve

    app = web.Application(
        middlewares=[measure, answer_problems, access.same_origin], client_max_size=BODY_LIMIT_BYTES
    )
    app.on_response_prepare.append(complete_answer)
    app.on_shutdown.append(stop)
    for route in routes:
        app.router.add_route(route.method, route.path, served(route))
        if route.method == "GET" and not route.is_stream:
            app.router.add_route("HEAD", route.path, served(route))
    return app


async def complete_answer(_request: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries, whoever gives it."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "bayd"  # no versions for those who collect them


def _name(request: web.Request) -> str:
    """The call, without what the client put into the path."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def _not_allowed(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = ", ".join(sorted(error.allowed_methods | _ALWAYS_ALLOWED))
    if request.method == "OPTIONS":
        response = web.Response(status=HTTPStatus.NO_CONTENT)
    else:
        text = f"Only {allowed} here."
        response = problem_response(Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", text))
    response.headers["Allow"] = allowed
    return response
