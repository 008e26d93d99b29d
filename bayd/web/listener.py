"""Listens: where it may, and how it stops.

An address that this machine does not have (yet) costs no more than itself: a network card without a cable, a
lease that is still awaited, a name that nobody resolves. It is tried again and again, the other addresses are
served meanwhile. A port that another process holds is a mistake, and an error.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from bayd.ports import Log
from bayd.web.connections import ConnectionLimits, Connections

_STOP_WITHIN_S = 3.0
_KEEP_ALIVE_S = 30.0  # also what a request may take until its head is complete
_LINGER_S = 1.0  # for the rest of a body that was refused, so that its sender can read why
_RETRY_S = 5.0  # an address that was not there
# None: asyncio has passed over every address of a name. EAFNOSUPPORT: IPv6 is off.
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH, errno.EAFNOSUPPORT, None})


class Listener:
    """Serves an application. `open` it, `run` it, `aclose` it."""

    def __init__(
        self, runner: web.AppRunner, wire: logging.Logger, limits: ConnectionLimits, log: Log
    ) -> None:
        self._runner = runner
        self._log = log
        self._connect = partial(
            _Connection,
            loop=asyncio.get_running_loop(),
            access_log=None,  # as AppRunner passes it on
            logger=wire,
            keepalive_timeout=_KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
            log=log,
            connections=Connections(limits, log),
        )
        self._servers: list[asyncio.Server] = []
        self._serving = False
        self._absent: dict[tuple[str, int], str] = {}  # why

    @classmethod
    async def open(
        cls,
        app: web.Application,
        addresses: Iterable[tuple[str, int]],
        log: Log,
        *,
        local: socket.socket | None = None,
        limits: ConnectionLimits | None = None,
        serves: bool = True,
    ) -> "Listener":
        """`serves` False: has the addresses, and answers nobody before `serve`.

        `local` listens already, and is closed with the rest, also on failure. Raises OSError for an address
        that is there and cannot be had.
        """
        wire = logging.Logger("bayd.web.wire")
        wire.addHandler(_WireLog(log))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_WITHIN_S)
        await runner.setup()
        listener = cls(runner, wire, limits or ConnectionLimits(), log)
        try:
            for address in addresses:
                if why := await listener._listen(address):
                    listener._absent[address] = why
                    log.warning("listen_address_absent", address=_text(address), reason=why)
            if local is not None:
                await listener._listen_on(local)
            if serves:
                await listener.serve()
        except OSError:
            await listener.aclose()
            if local is not None:
                local.close()
            raise
        return listener

    async def serve(self) -> None:
        """Answer from now on. Raises OSError."""
        self._serving = True
        for server in self._servers:
            await server.start_serving()

    @property
    def ports(self) -> tuple[int, ...]:
        sockets = (s for server in self._servers for s in server.sockets)
        return tuple(s.getsockname()[1] for s in sockets if s.family != socket.AF_UNIX)

    @property
    def absent(self) -> tuple[str, ...]:
        """The addresses that this machine does not have now."""
        return tuple(map(_text, self._absent))

    def warnings(self) -> list[dict[str, Any]]:
        """For the status."""
        return [
            {
                "code": "listen_address_absent",
                "since": None,
                "text": f"Nobody is served at {_text(address)}: {why}. It is tried every {_RETRY_S:g} s.",
            }
            for address, why in self._absent.items()
        ]

    async def run(self) -> None:
        """Serve each absent address once it is there. Never returns."""
        while self._absent:
            await asyncio.sleep(_RETRY_S)
            for address in tuple(self._absent):
                try:
                    why = await self._listen(address)
                except OSError as error:  # it is there, and somebody else has the port
                    why = _reason(error)
                if why:
                    self._absent[address] = why
                else:
                    del self._absent[address]
                    self._log.info("listen_address_present", address=_text(address))
        await asyncio.Event().wait()

    async def _listen(self, address: tuple[str, int]) -> str:
        """Why there is no such address now, or nothing. Raises OSError for anything else."""
        try:
            self._servers.append(await self._bound(address))
        except OSError as error:
            if not isinstance(error, socket.gaierror) and error.errno not in _ABSENT:
                raise
            return _reason(error)
        return ""

    async def _bound(self, address: tuple[str, int]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, *address, start_serving=False)
        if self._serving:
            await server.start_serving()
        return server

    async def _listen_on(self, local: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._accept, sock=local, start_serving=False))

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        return self._connect(server)

    async def aclose(self) -> None:
        """Ends streams and idle connections at once; what is being answered has three seconds."""
        for server in self._servers:
            try:
                await accept_no_more(server)
            finally:
                server.close()
        await self._runner.cleanup()


async def accept_no_more(server: asyncio.Server) -> None:
    """Before `server.close`: whom the loop has accepted already is a connection then.

    asyncio makes one in two turns of its loop. A server that is closed between them forgets the socket and
    leaves it open (cpython issue 109564), and what then closes the connections does not know those to come:
    such a caller would wait for ever.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    for _ in range(2):
        await asyncio.sleep(0)


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "nobody knows the name"
    if error.errno in _ABSENT:
        return "this machine has no such address"
    return os.strerror(error.errno or 0)


class _Connection(RequestHandler):
    """aiohttp shows the malformed bytes to whoever sent them, a token among them, and its own version; and
    it closes a connection whose request does not come to an end of its head without a word.
    """

    __slots__ = ("_connections", "_head_begun", "_log", "_lost", "_owner", "_unread")

    def __init__(self, manager: web.Server, *, log: Log, connections: Connections, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._log = log
        self._connections = connections
        self._owner: str | None = None
        self._head_begun = False
        self._lost = False
        self._unread: StreamReader | None = None

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        waiter = self._waiter
        # While a request is being answered its body comes; a head comes while one is waited for. Some
        # clients send an empty line behind a body (RFC 9112, section 2.2).
        waits = waiter is not None and not waiter.done()
        self._head_begun = (
            waits and self._request_count == before and bool(data.strip(b"\r\n") or self._head_begun)
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._owner = self._connections.enter(transport)
        if self._owner is not None:
            super().connection_made(transport)
        elif isinstance(transport, asyncio.Transport):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lost = True
        if self._owner is None:
            return
        self._connections.leave(self._owner)
        super().connection_lost(exc)
        if self._unread is not None:
            self._unread.feed_eof()  # or aiohttp would linger for what can no longer come

    async def _handle_request(self, request: web.BaseRequest, *more: Any) -> tuple[web.StreamResponse, bool]:
        self._unread = None
        answer = await super()._handle_request(request, *more)
        self._unread = request.content
        return answer

    def force_close(self) -> None:
        if self._head_begun and not self._lost and not self._force_close:
            # Slow loris: its lines are few, whatever comes (`bayd.runtime.repeats`).
            address = str(self.peername[0]) if self.peername else "local"
            self._log.warning("request_head_too_slow", address=address, limit_s=_KEEP_ALIVE_S)
        super().force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 # it has the bytes in it
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, f"{status} {HTTPStatus(status).phrase}\n")
        response.headers["Server"] = "bayd"
        return response


class _WireLog(logging.Handler):
    """What aiohttp reports, without the bytes of malformed requests: there may be tokens among them."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._log.info("request_malformed", error=type(error).__name__)
        elif error is not None:
            self._log.error("request_failed", exc_info=error)
