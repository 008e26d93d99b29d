"""Puts the handlers together and listens."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus

from aiohttp import web

from bayd.ports import Log
from bayd.settings import is_loopback
from bayd.web.access import Access
from bayd.web.problems import Problem, ProblemError, response_of

_BODY_LIMIT_BYTES = 16 * 1024  # the largest body is a reason of 200 characters
_STOP_WITHIN_S = 3.0
_PORT_MAX = 65_535

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListenRefusedError(Exception):
    """An address beyond loopback without TLS; the message says what to do."""


def make_app(routes: Iterable[web.RouteDef], access: Access, log: Log) -> web.Application:
    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as error:
            if error.problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, 421):
                log.warning("request_refused", code=error.problem.code, path=request.path)
            return response_of(int(error.problem.status), error.problem.body())
        except web.HTTPException as error:
            status = HTTPStatus(error.status)
            problem = Problem(status, status.name.lower(), error.reason)
            return response_of(int(status), problem.body())
        except Exception as error:  # the one guard of the API: one request fails, not the daemon
            log.error("request_failed", path=request.path, exc_info=error)
            problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "This is our fault, and logged.")
            return response_of(int(problem.status), problem.body())

    app = web.Application(
        middlewares=[answer_problems, access.same_origin], client_max_size=_BODY_LIMIT_BYTES
    )
    app.add_routes(list(routes))
    return app


def check_listen(listen: Sequence[str], *, trusted_lan: bool) -> list[tuple[str, int]]:
    """Host and port of each address. Raises ListenRefusedError."""
    addresses: list[tuple[str, int]] = []
    for text in listen:
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or not 1 <= int(port) <= _PORT_MAX or not host:
            raise ListenRefusedError(
                f"http.listen: {text!r} is not host:port, with a port of 1 to {_PORT_MAX}"
            )
        if not is_loopback(host.strip("[]")) and not trusted_lan:
            raise ListenRefusedError(
                f"http.listen: {text} is beyond loopback and without TLS; put a TLS proxy in front, or set "
                'http.allow_plain_http = "trusted-lan"'
            )
        addresses.append((host.strip("[]"), int(port)))
    return addresses


async def serve(app: web.Application, addresses: Iterable[tuple[str, int]]) -> web.AppRunner:
    """Listen; the caller cleans the runner up. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_WITHIN_S, keepalive_timeout=75)
    await runner.setup()
    try:
        for host, port in addresses:
            await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
