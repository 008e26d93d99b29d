"""A bay PC and a central server on virtual time: real range, journal, client and sockets, and a real server.

The network between them is in the test's hand (`Wire`), and so is the disk (`Disk`): a crash at any commit
leaves the PC silent at that very moment, and `up` starts it anew on what is in the file.
"""

import asyncio
import base64
import itertools
import json
import selectors
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bayd.clients.transport import AiohttpTransport
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.model import Bay, PlaySession
from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.journal import Answer, InlineJournalExecutor, Journal
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import HttpResponse, JournalExecutor, TransportError
from bayd.reference.central import CentralSettings, make_app
from bayd.runtime.bay import AnswerMaker, Outcome
from bayd.runtime.range import Range
from bayd.settings import Central, WalkIn
from bayd.wiring.central import CentralParts
from tests.clients.central.minimal_server import MinimalServer
from tests.let_out import hear, keep_secret
from tests.simulation.world import WALL_MS, SimClock, SimLog, SimRandomness

STAFF = i.Actor(i.Role.STAFF, "anna")
SCREEN = i.Actor(i.Role.SCREEN, "screen")
SITE_KEY = bytes(range(32))
BAYS = ("101", "102")
CUSTOMER_PHONE = "1555010002"
WALK_IN = WalkIn(name="Walk-in (bay)", phone_number="1555010000")
ADMIN_PASSWORD = "demo-admin"  # the reference server's own
MINIMAL_WALL_MS = 1_772_355_600_000  # the minimal server books from 2026-03-01T09:00 on
Json = dict[str, Any]


class _NoThread(Executor):
    """The server's statements run on the loop: a busy machine wakes no second thread for them."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 # handed to whoever asked
            future.set_exception(error)
        return future


class HeldTime:
    """While a real exchange is under way the virtual clock stands: no time-out fires for a slow machine."""

    def __init__(self) -> None:
        loop: Any = asyncio.get_running_loop()
        self._selector = loop._virtual
        self._jump = self._selector.select
        self._selector.select = self._select
        self.exchanges = 0

    def _select(self, timeout: float | None = None) -> list[Any]:
        if not self.exchanges:
            return self._jump(timeout)  # type: ignore[no-any-return]
        wait_s = 0.0 if timeout == 0 else 0.05
        return selectors.DefaultSelector.select(self._selector, wait_s)

    def let_go(self) -> None:
        self._selector.select = self._jump


@dataclass
class Fault:
    """What the network does to the next `times` requests of this kind, after `skip` of them."""

    kind: str  # see `Wire._act`
    method: str = "POST"
    path: str = "/session"
    delay_s: float = 0
    status: int = 503
    times: int = 1
    skip: int = 0

    def fits(self, method: str, path: str) -> bool:
        if self.method != method or not path.startswith(self.path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        return True


@dataclass
class Seen:
    at_s: float
    method: str
    path: str
    body: bytes | None = None
    key: str | None = None
    answered: int | None = None  # with which status, where a whole answer came back


class Wire:
    """The network. `down`: nobody is reached. `dead`: the PC has crashed, not a byte leaves it."""

    def __init__(self, url: str, time_: HeldTime, late: asyncio.TaskGroup) -> None:
        self._url = url
        self._time = time_
        self._late = late
        self._real = AiohttpTransport()
        self.down = False
        self.dead = False
        self.date: str | None = None  # what the server's answers say of the time
        self.faults: list[Fault] = []
        self.chance: Callable[[str, str], Fault | None] = lambda _method, _path: None
        self.seen: list[Seen] = []

    def order(self, kind: str, path: str = "/session", method: str = "POST", **more: Any) -> None:
        self.faults.append(Fault(kind, method, path, **more))

    def sent(self, method: str, path: str) -> list[Seen]:
        return [one for one in self.seen if one.method == method and one.path.startswith(path)]

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        if self.dead:
            await asyncio.Event().wait()
        path = url.removeprefix(self._url)
        hear("address asked", f"{method} {url}\n")
        key = (headers or {}).get("Idempotency-Key")
        seen = Seen(asyncio.get_running_loop().time(), method, path, body, key)
        self.seen.append(seen)
        if self.down:
            raise TransportError("no connection: Connection refused", sent=False)
        fault = next((f for f in self.faults if f.fits(method, path)), None)
        if fault is not None:
            fault.times -= 1
            if not fault.times:
                self.faults.remove(fault)
        fault = fault or self.chance(method, path)
        forward = _Forward(self, method, url, dict(headers or {}), body)
        response = await (forward() if fault is None else self._act(fault, forward, timeout_s))
        if self.dead:
            await asyncio.Event().wait()
        if fault is None or fault.kind != "garbled":
            seen.answered = response.status
        return response

    async def _act(self, fault: Fault, forward: "_Forward", timeout_s: float) -> HttpResponse:
        match fault.kind:
            case "refused":
                raise TransportError("no connection: Connection refused", sent=False)
            case "lost":  # the request never arrived
                await asyncio.sleep(timeout_s)
                raise TransportError(f"no answer within {timeout_s:g} s", sent=True)
            case "unanswered":  # done, and the answer got lost
                await forward()
                raise TransportError("the connection broke: reset", sent=True)
            case "doubled":
                first = await forward()
                self._late.create_task(self._later(forward, fault.delay_s), name="doubled")
                return first
            case "doubled_unanswered":
                await forward()
                await forward()
                raise TransportError("the connection broke: reset", sent=True)
            case "delayed":
                if fault.delay_s < timeout_s:
                    await asyncio.sleep(fault.delay_s)
                    return await forward()
                self._late.create_task(self._later(forward, fault.delay_s), name="late")
                await asyncio.sleep(timeout_s)
                raise TransportError(f"no answer within {timeout_s:g} s", sent=True)
            case "status":
                return HttpResponse(fault.status, {"content-type": "text/plain"}, b"ordered\n")
            case "garbled":
                whole = await forward()
                return HttpResponse(whole.status, whole.headers, whole.body[: len(whole.body) // 2])
            case _:
                raise AssertionError(fault.kind)

    async def _later(self, forward: "_Forward", delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            await forward()
        except TransportError:
            return

    async def exchange(self, *args: Any, **options: Any) -> HttpResponse:
        """What has left the PC arrives, whether the PC still waits for it or not."""
        self._time.exchanges += 1
        outcome = await asyncio.shield(
            self._late.create_task(self._carry(*args, **options), name="on the way")
        )
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome

    async def _carry(self, *args: Any, **options: Any) -> HttpResponse | TransportError:
        try:
            answer = await self._real.request(*args, **options)
            # The server's own clock is the simulated one; only its HTTP library knows the real time.
            told = {name: value for name, value in answer.headers.items() if name != "date"}
            if self.date is not None:
                told["date"] = self.date
            return HttpResponse(answer.status, told, answer.body)
        except TransportError as error:
            return error
        finally:
            self._time.exchanges -= 1

    async def aclose(self) -> None:
        await self._real.aclose()


@dataclass
class _Forward:
    wire: Wire
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    async def __call__(self) -> HttpResponse:
        return await self.wire.exchange(
            self.method, self.url, headers=self.headers, body=self.body, timeout_s=600
        )


class Disk:
    """The journal's connections. At commit number `crash_at` the PC dies, before or after it is durable."""

    def __init__(self) -> None:
        self.commits = 0
        self.crash_at: int | None = None
        self.after = False
        self.dead = False
        self.refuses = 0  # so many of the next commits fail, certainly not done
        self.unreadable = ""  # statements that begin so fail
        self.died = asyncio.Event()
        self.on_death: Callable[[], None] = lambda: None

    def connect(self, uri: str) -> sqlite3.Connection:
        if self.dead:
            raise sqlite3.OperationalError("the PC has crashed")
        conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.1, factory=_Connection)
        conn.disk = self
        return conn

    def die(self) -> None:
        self.dead = True
        self.on_death()
        self.died.set()


class _Connection(sqlite3.Connection):
    disk: Disk

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        disk = self.disk
        if disk.dead:
            raise sqlite3.OperationalError("the PC has crashed")
        if disk.unreadable and sql.startswith(disk.unreadable):
            raise sqlite3.OperationalError("disk I/O error")
        if sql != "COMMIT":
            return super().execute(sql, *args)
        if disk.refuses:
            disk.refuses -= 1
            super().execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        due = disk.crash_at is not None and disk.commits + 1 == disk.crash_at
        if due and not disk.after:
            disk.die()
            raise sqlite3.OperationalError("the PC has crashed")
        cursor = super().execute(sql, *args)
        disk.commits += 1
        if due:
            disk.die()
        return cursor


@dataclass
class CentralWorld:
    """`async with world(...) as w`, then `async with w.up()` for each life of the daemon."""

    directory: Path
    wire: Wire
    clock: SimClock
    options: Json
    bays: tuple[str, ...] = BAYS
    rules: Rules = field(default_factory=Rules)
    site_key: bytes | None = SITE_KEY
    admin_password: str | None = None
    token: str | None = None
    login_pin: str | None = None
    minimal: MinimalServer | None = None
    server_step: dict[str, int] = field(default_factory=dict)  # "ms": how far the server's clock is off
    log: SimLog = field(default_factory=SimLog)
    randomness: SimRandomness = field(default_factory=SimRandomness)
    disk: Disk = field(default_factory=Disk)
    executor: JournalExecutor = field(default_factory=InlineJournalExecutor)
    lives: int = 0
    _desk: AiohttpTransport = field(default_factory=AiohttpTransport)
    journal: Journal[e.Event] = field(init=False)
    range: Range = field(init=False)
    parts: CentralParts = field(init=False)

    @asynccontextmanager
    async def up(self) -> AsyncIterator["CentralWorld"]:
        """One life of the daemon; leaving is a crash."""
        self.lives += 1
        keep_secret(self.token, self.admin_password, WALK_IN.phone_number, CUSTOMER_PHONE)
        if self.site_key is not None:
            keep_secret(self.site_key.hex(), repr(self.site_key), base64.b64encode(self.site_key).decode())
        self.randomness = SimRandomness(self.lives)
        self.journal = await Journal.open(
            self.directory / "journal.db",
            self.executor,
            BayEventCodec(),
            clock=self.clock,
            connect=self.disk.connect,
        )
        try:
            self.range = Range(
                dict.fromkeys(self.bays, self.rules),
                journal=self.journal,
                clock=self.clock,
                randomness=self.randomness,
                log=self.log,
            )
            self.parts = CentralParts(
                Central(**{"auth": "none" if self.token is None else "bearer", **self.options}),
                Credentials(
                    site_key=self.site_key,
                    central_token=self.token,
                    central_login_pin=self.login_pin,
                    central_admin_password=self.admin_password,
                ),
                self.journal,
                self.range,
                transport=self.wire,
                horizon_ms=self.rules.booking_horizon_minutes * self.rules.minute_ms,
                clock=self.clock,
                randomness=self.randomness,
                log=self.log,
            )
            await self.parts.load()
            for observer in self.parts.observers:
                self.range.observe(observer)
            async with asyncio.TaskGroup() as tasks:
                roots = {"range": self.range.run(), **self.parts.roots(recovered)}
                running = [
                    tasks.create_task(self._alive(root), name=f"root-{name}") for name, root in roots.items()
                ]
                try:
                    if not self.disk.dead:
                        await self.range.ready.wait()
                    yield self
                finally:
                    for task in running:
                        task.cancel()
        finally:
            self.disk.dead = False  # the kernel closes the files of the dead
            await self.journal.aclose()

    async def _alive(self, root: Awaitable[None]) -> None:
        try:
            await root
        except Exception:
            if not self.disk.dead:
                raise

    async def lives_through(self, body: Callable[[], Awaitable[None]]) -> bool:
        """Run the body in one life. False: the PC died on the way, as the disk was told."""
        self.disk.died.clear()
        self.wire.dead = False
        self.disk.on_death = lambda: setattr(self.wire, "dead", True)
        try:
            async with asyncio.TaskGroup() as tasks:
                life = tasks.create_task(self._life(body), name="life")
                died = tasks.create_task(self.disk.died.wait(), name="death")
                await asyncio.wait({life, died}, return_when=asyncio.FIRST_COMPLETED)
                survived = not self.disk.died.is_set()
                for task in (life, died):
                    task.cancel()
        finally:
            self.disk.crash_at = None
            self.wire.dead = False
        return survived

    async def _life(self, body: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self.up():
                await body()
        except Exception:
            if not self.disk.died.is_set():
                raise

    # The desk: reception's own doors, beside the wire

    async def call(self, method: str, path: str, body: Json | None = None) -> Any:
        """The server's data. Raises AssertionError with a refusal's text."""
        status, document = await self.ask(method, path, body)
        assert status == 200, document
        assert document["success"] is True, json.dumps(document)
        return document["data"]

    async def ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        self.wire._time.exchanges += 1
        try:
            answer = await self._desk.request(
                method,
                f"{self.options['url']}{path}",
                headers={"Content-Type": "application/json", "Authorization": "Bearer right-token"},
                body=None if body is None else json.dumps(body).encode(),
                timeout_s=600,
            )
        finally:
            self.wire._time.exchanges -= 1
        return answer.status, json.loads(answer.body)

    async def book(self, bay: str = "101", minutes: int = 60, amount: int = 500) -> Json:
        session: Json = await self.call(
            "POST",
            "/session",
            {
                "billingUser": {"name": "Example Customer", "phoneNumber": CUSTOMER_PHONE},
                "bayNumber": bay,
                "duration": minutes,
                "amount": amount,
                "paymentType": {"type": "CASH"},
                "isDiscounted": False,
            },
        )
        keep_secret(session["pin"])
        return session

    async def page(self, session_id: Any) -> Json:
        page: Json = await self.call("GET", f"/session/{session_id}")
        return page

    async def history(self, per_page: int = 500) -> list[Json]:
        items: list[Json] = []
        number = 1
        while True:
            page = await self.call("GET", f"/session/history?page={number}&per_page={per_page}")
            items += page
            if len(page) < per_page:
                return items
            number += 1

    async def row(self, session_id: Any) -> Json:
        return next(row for row in await self.history() if row["id"] == int(session_id))

    # The bay

    def bay(self, number: str = "101") -> Bay:
        return self.range.get(number)

    def play(self, number: str = "101") -> PlaySession:
        """The session that plays there."""
        session = self.bay(number).session
        assert session is not None
        return session

    async def type_pin(self, pin: str, number: str = "101", key: str | None = None) -> Outcome:
        keep_secret(pin)
        key = key or self.randomness.new_id()
        return await self.parts.desk.enter(number, pin, key, refusals(key), answers(key))

    async def submit(self, request: i.Input | i.Move, number: str = "101") -> Outcome:
        return await self.range.submit(number, request)

    async def knows(self, session: Json, within_s: float = 30) -> None:
        """The bay has the booking, and its PIN where one is kept."""
        number, session_id = session["bay"]["number"], str(session["id"])
        self.parts.poller.poke()
        await self.until(lambda: self.bay(number).find_booking(session_id) is not None, within_s)
        if self.site_key is not None:
            await self.until(lambda: self.parts.vault.knows_all(self.bay(number)), within_s)

    async def until(self, holds: Callable[[], bool], within_s: float = 300) -> None:
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.1)

    async def delivered(self, within_s: float = 600) -> None:
        """Nothing waits any more; what was parked is parked."""
        await asyncio.sleep(0.1)
        await self.until(lambda: self.parts.outbox.view().waiting == 0, within_s)

    async def events(self, number: str | None = None) -> list[e.Event]:
        records = []
        seq = 0
        while batch := await self.journal.read(seq, bay=number, limit=500):
            records += batch
            seq = batch[-1].seq
        return [record.event for record in records]

    async def parked(self) -> list[str]:
        return [parked.reason for parked in await self.journal.parked("central")]

    def conflicts(self, number: str = "101") -> list[str]:
        return [conflict.code for conflict in self.bay(number).conflicts]

    def pass_by(self, seconds: float) -> None:
        """Let time pass as a suspended machine would see it."""
        loop: Any = asyncio.get_running_loop()
        loop.advance(seconds)


def refusals(key: str) -> AnswerMaker:
    def make(_bay: Bay, decision: Decision) -> Answer | None:
        return None if decision.refusal is None else Answer(key, "pin", 409, decision.refusal.code)

    return make


def answers(key: str) -> AnswerMaker:
    def make(_bay: Bay, decision: Decision) -> Answer | None:
        kinds = " ".join(type(event).__name__ for event in decision.events)
        return Answer(key, "pin", 200, kinds)

    return make


def recovered(_number: str, key: str | None) -> AnswerMaker | None:
    return None if key is None else answers(key)


@asynccontextmanager
async def central_world(
    directory: Path,
    server: str = "reference",
    *,
    settings: CentralSettings | None = None,
    rules: Rules | None = None,
    bays: tuple[str, ...] = BAYS,
    **options: Any,
) -> AsyncIterator[CentralWorld]:
    """`server`: reference or minimal. `options` are those of the `[central]` table."""
    clock, loop = SimClock(), asyncio.get_running_loop()
    server_step = {"ms": 0}
    minimal = MinimalServer() if server == "minimal" else None
    if minimal is None:
        app = make_app(
            directory / "central.db",
            clock=lambda: WALL_MS + round(loop.time() * 1000) + server_step["ms"],
            bays=bays,
            settings=settings,
            draw_pin=_drawn_pins(),
            thread=_NoThread(),
        )
    else:
        clock.wall_step_ms = MINIMAL_WALL_MS - WALL_MS
        app = minimal.app()
    held = HeldTime()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    try:
        held.exchanges += 1  # starting and stopping are exchanges, too
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        held.exchanges -= 1
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with asyncio.TaskGroup() as late:
            wire = Wire(url, held, late)
            world = CentralWorld(
                directory,
                wire,
                clock,
                {"url": url, "walk_in": WALK_IN, **options},
                bays,
                rules or Rules(),
                minimal=minimal,
                server_step=server_step,
            )
            try:
                yield world
            finally:
                await wire.aclose()
                await world._desk.aclose()
    finally:
        held.exchanges += 1
        await runner.cleanup()
        held.let_go()


def _drawn_pins() -> Callable[[], str]:
    """Digits that stand for nothing else in a log: no time, no count."""
    drawn = (f"{970_000 + number * 7_919 % 29_989:06d}" for number in itertools.count(1))
    return lambda: next(drawn)


def real_ms() -> float:
    """For figures only."""
    return time.perf_counter() * 1000
