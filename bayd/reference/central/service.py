"""The server as an aiohttp application, and as a service that runs until it is cancelled."""

import asyncio
import functools
import ipaddress
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from aiohttp import web

from bayd.reference.central.desk import desk, reception
from bayd.reference.central.faults import FaultPlan, fault_middleware, fault_routes
from bayd.reference.central.http import PUSH, SETTINGS, STORE, Handler, envelope, json_handler
from bayd.reference.central.ledger import Store, Terms
from bayd.reference.central.openapi import describe
from bayd.reference.central.push import Push
from bayd.reference.central.routes import ROUTES
from bayd.reference.central.seed import DEFAULT_BAYS, DEMO_GAMES, DemoGame, seed_site
from bayd.reference.central.settings import CentralSettings
from bayd.reference.central.streams import events_handler

MINUTE_S = 60.0
_BODY_LIMIT_BYTES = 256 * 1024
_STOP_S = 3.0  # how long open requests may take to finish when the service stops


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def random_pin() -> str:
    return f"{secrets.randbelow(1_000_000):06d}"


def make_app(
    db_path: Path,
    *,
    faults: bool = False,
    time_scale: float = 1.0,
    clock: Callable[[], int] = wall_clock_ms,
    bays: Sequence[str] = DEFAULT_BAYS,
    games: Sequence[DemoGame] = DEMO_GAMES,
    settings: CentralSettings | None = None,
    draw_pin: Callable[[], str] = random_pin,
    thread: Executor | None = None,
) -> web.Application:
    """The application on its own file; `bays` and `games` matter when the file is new.

    `time_scale` is how many booked minutes pass in a real one; `clock` gives UTC in milliseconds.
    `thread` runs the statements, one at a time and in order; None: a thread of the application's own.
    """
    if not time_scale > 0:
        raise ValueError(f"time_scale is {time_scale:g}: give a number above 0")
    if not bays:
        raise ValueError("bays is empty: name at least one bay")
    settings = settings or CentralSettings()
    minute_s = MINUTE_S / time_scale
    terms = Terms(settings, max(1, round(minute_s * 1000)), clock, draw_pin)
    plan = FaultPlan()
    app = web.Application(
        middlewares=[envelope, fault_middleware(plan)] if faults else [envelope],
        client_max_size=_BODY_LIMIT_BYTES,
    )
    app[STORE] = Store(db_path, terms, thread)
    app[PUSH] = Push()
    app[SETTINGS] = settings
    for route in ROUTES:
        app.router.add_route(route.method, route.path, json_handler(route))
    app.router.add_get("/events", events_handler(min(1.0, minute_s / 10)), allow_head=False)
    app.router.add_get("/openapi.json", _description(settings, with_faults=faults))
    app.router.add_get("/", reception)
    app.router.add_post("/desk/{act}", desk)
    if faults:
        app.router.add_routes(fault_routes(plan))

    async def keep_store(app: web.Application) -> AsyncIterator[None]:
        store = app[STORE]
        try:
            await store.open(lambda ledger: seed_site(ledger, bays, games))
            yield
        finally:
            await store.aclose()

    async def end_streams(app: web.Application) -> None:
        app[PUSH].close()

    app.cleanup_ctx.append(keep_store)
    app.on_shutdown.append(end_streams)
    return app


def _description(settings: CentralSettings, *, with_faults: bool) -> Handler:
    written = functools.cache(lambda: json.dumps(describe(settings, with_faults=with_faults)))

    async def show(_: web.Request) -> web.StreamResponse:
        return web.Response(text=written(), content_type="application/json")

    return show


async def serve(
    db: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    faults: bool = False,
    minute_s: float = MINUTE_S,
    bays: Sequence[str] = DEFAULT_BAYS,
    games: Sequence[DemoGame] = DEMO_GAMES,
    settings: CentralSettings | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until cancelled. `minute_s`: how long a booked minute lasts; `on_ready` gets the address.

    Raises ValueError for faults beyond loopback, OSError for a port that is taken.
    """
    if faults and not _is_loopback(host):
        raise ValueError(f"faults are on and host is {host}: use 127.0.0.1, or switch the faults off")
    if not minute_s > 0:
        raise ValueError(f"minute_s is {minute_s:g}: give a number of seconds above 0")
    app = make_app(
        db, faults=faults, time_scale=MINUTE_S / minute_s, bays=bays, games=games, settings=settings
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        if on_ready is not None:
            address = runner.addresses[0]
            on_ready(f"http://{host}:{address[1]}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
