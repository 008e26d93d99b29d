"""Central servers to talk to over real sockets: the minimal one, and the reference server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bayd.clients.central import CentralClient, CentralTimeouts, Secret, StaffLogin
from bayd.clients.transport import AiohttpTransport
from bayd.reference import central as desk
from bayd.reference.central import CentralSettings, make_app

from .minimal_server import BAYS, MinimalServer
from .peers import RecordingLog

PATIENT = CentralTimeouts(verify_s=30, read_s=30, write_s=30)  # a slow machine is not what is tested here

ADMIN = Secret("desk-password")


@dataclass(frozen=True)
class Peer:
    """A running server and a client of it."""

    client: CentralClient
    log: RecordingLog
    url: str
    raises_duration: bool  # an extension raises `duration` as well as `extendedTime`


Connect = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Serves an application and connects a client to it; all is closed at the end."""
    servers: list[TestServer] = []
    transports: list[AiohttpTransport] = []

    async def start(app: web.Application, *, raises_duration: bool = False, **options: Any) -> Peer:
        server, transport, log = TestServer(app), AiohttpTransport(), RecordingLog()
        await server.start_server()
        servers.append(server)
        transports.append(transport)
        url = str(server.make_url("/"))
        client = CentralClient(transport, url, log=log, timeouts=PATIENT, **options)
        return Peer(client, log, url, raises_duration)

    yield start
    for transport in transports:
        await transport.aclose()
    for server in servers:
        await server.close()


def _minimal(**options: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda _: {"app": MinimalServer(**options).app()}


def _reference(account: StaffLogin | None = None, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    def start(directory: Path) -> dict[str, Any]:
        return {
            "app": make_app(directory / "central.db", bays=BAYS, settings=CentralSettings(**settings)),
            "raises_duration": settings.get("extension_raises_duration", False),
            "auth": account,
        }

    return start


_STAFF = StaffLogin(Secret("1555010001"), Secret("101010"))
_DESK = desk.StaffLogin("Desk", "1555010001", "101010")

_SERVERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "minimal": _minimal(),
    "minimal, oldest first, small pages": _minimal(newest_first=False, page_cap=3),
    "reference": _reference(),
    "reference, oldest first, other readings": _reference(newest_first=False, extension_raises_duration=True),
    "reference with staff tokens": _reference(_STAFF, auth="bearer", staff=(_DESK,)),
}


@pytest.fixture(params=_SERVERS)
async def peer(request: pytest.FixtureRequest, connect: Connect, tmp_path: Path) -> Peer:
    """Each server in turn: what is asserted with this holds for all of them."""
    return await connect(**_SERVERS[request.param](tmp_path))


@pytest.fixture
async def reference(connect: Connect, tmp_path: Path) -> Peer:
    settings = CentralSettings(admin_password=ADMIN.reveal())
    app = make_app(tmp_path / "central.db", faults=True, settings=settings)
    return await connect(app, idempotency_keys=True)


@pytest.fixture
async def minimal(connect: Connect) -> Peer:
    return await connect(MinimalServer().app())
