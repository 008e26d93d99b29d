"""The reference QoD operator put together: an aiohttp application, and a process around it."""

import asyncio
import ipaddress
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from pathlib import Path

import structlog
from aiohttp import hdrs, web

from bayd.reference.qod.answers import documented_errors
from bayd.reference.qod.api import CORRELATOR, X_CORRELATOR, Api
from bayd.reference.qod.courier import Courier
from bayd.reference.qod.credentials import ClientRegistration, load_clients, new_client
from bayd.reference.qod.database import OperatorDatabase
from bayd.reference.qod.dialects import get_dialect
from bayd.reference.qod.faults import FaultBoard
from bayd.reference.qod.gate import Gate
from bayd.reference.qod.sabotage import Saboteur
from bayd.reference.qod.service import Service
from bayd.reference.qod.store import OperatorStore

BODY_LIMIT_BYTES = 64 * 1024
SHUTDOWN_TIMEOUT_S = 3.0

_log = structlog.get_logger("bayd.reference.qod")


class OperatorStartError(Exception):
    """The operator cannot start; the text says what to change."""


def make_app(
    db_path: Path,
    *,
    dialect: str = "tmobile-0.10",
    clients: Mapping[str, ClientRegistration] | None = None,
    faults: bool = False,
    requested_delay_s: float = 0.5,
    retention_s: float = 360.0,
    min_duration_s: int = 60,
    public_url: str | None = None,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The operator on its own database file.

    `clients` are registered at the start, beside those in the file. `faults` adds `/_faults` and `/_ledger`,
    for callers on this machine only. A session is REQUESTED for `requested_delay_s`, and stays readable for
    `retention_s` after its end. `public_url` is what `aud` of a client assertion is held against, unless the
    address by which the caller came will do. `clock` gives seconds since the epoch.

    Raises ValueError.
    """
    store = OperatorStore(db_path)
    service = Service(
        dialect=get_dialect(dialect),
        store=store,
        courier=Courier(store, clock),
        faults=FaultBoard(),
        clock=clock,
        faults_on=faults,
        requested_delay_s=requested_delay_s,
        retention_s=retention_s,
        min_duration_s=min_duration_s,
        public_url=public_url,
    )
    registered = [new_client(client_id, entry) for client_id, entry in (clients or {}).items()]
    saboteur = Saboteur(service)

    async def live(_app: web.Application) -> AsyncIterator[None]:
        database = await store.open()
        try:
            database.event_orders = service.faults.draw_event
            database.create_orders = service.faults.draw_create
            for client in registered:
                await store.run(OperatorDatabase.put_client, client)
            # A pulse that dies cancels the task that started the application: the process ends with it.
            async with asyncio.TaskGroup() as tasks:
                pulse = tasks.create_task(service.courier.run(), name="qod-operator-pulse")
                yield
                pulse.cancel()
        finally:
            await store.aclose()

    async def let_go(_app: web.Application) -> None:
        saboteur.stop()

    async def stamp(request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers[hdrs.DATE] = formatdate(service.wire_now(), usegmt=True)
        if isinstance(request, web.Request) and CORRELATOR in request:
            response.headers[X_CORRELATOR] = request[CORRELATOR]

    app = web.Application(middlewares=[documented_errors], client_max_size=BODY_LIMIT_BYTES)
    app.add_routes(Api(service, Gate(service), saboteur).routes())
    if faults:
        app.add_routes(
            [
                web.get("/_faults", saboteur.show),
                web.post("/_faults", saboteur.order),
                web.delete("/_faults", saboteur.clear),
                web.get("/_ledger", saboteur.ledger),
            ]
        )
    app.cleanup_ctx.append(live)
    app.on_shutdown.append(let_go)
    app.on_response_prepare.append(stamp)
    return app


async def serve(
    db: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    dialect: str = "tmobile-0.10",
    clients: Mapping[str, ClientRegistration] | None = None,
    clients_file: Path | None = None,
    faults: bool = False,
    requested_delay_s: float = 0.5,
    retention_s: float = 360.0,
    min_duration_s: int = 60,
    public_url: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run until cancelled. Port 0 takes a free one; `on_ready` is told the base URL of the API.

    `clients_file` holds `{"CLIENT_ID": {"secret": "…", "public_key_pem": "…"}}`.

    Raises OperatorStartError.
    """
    if faults and not _is_loopback(host):
        raise OperatorStartError(
            "faults and the ledger are for this machine only: listen on 127.0.0.1 or ::1, or leave them off"
        )
    try:
        registered = {**(clients or {}), **(load_clients(clients_file) if clients_file else {})}
        app = make_app(
            db,
            dialect=dialect,
            clients=registered,
            faults=faults,
            requested_delay_s=requested_delay_s,
            retention_s=retention_s,
            min_duration_s=min_duration_s,
            public_url=public_url,
        )
    except ValueError as error:
        raise OperatorStartError(str(error)) from error
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    try:
        try:
            await runner.setup()
        except (OSError, sqlite3.Error) as error:
            raise OperatorStartError(f"the database {db} cannot be opened: {error}") from error
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise OperatorStartError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another port"
            ) from error
        bound_host, bound_port = runner.addresses[0][:2]
        url_host = f"[{bound_host}]" if ":" in bound_host else bound_host
        base_url = f"http://{url_host}:{bound_port}{get_dialect(dialect).base_path}"
        _log.info("qod_operator_started", base_url=base_url, dialect=dialect, faults=faults)
        if on_ready is not None:
            on_ready(base_url)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
