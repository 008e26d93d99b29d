"""A daemon's local HTTP service as its neighbours see it: real range, journal and sockets.

The edges are written by hand: who checks PINs, which games there are, clock, chance and disk.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import Game, StartedBy
from bayd.core.rules import Rules
from bayd.credentials import ApiToken
from bayd.journal import InlineJournalExecutor, Journal, JournalUnavailableError
from bayd.journal.disk import Connect, connect
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import JournalExecutor
from bayd.reconcile.players import Player
from bayd.runtime.bay import AnswerMaker, Outcome
from bayd.runtime.range import Range
from bayd.settings import Screens, Staff
from bayd.web.access import Access
from bayd.web.app import make_app
from bayd.web.audit import AuditPage
from bayd.web.audit_book import AuditBook
from bayd.web.bays import BayApi, EnterPin
from bayd.web.browsers import COOKIE, WebSessions
from bayd.web.commission import CommissionPages
from bayd.web.commission_book import CommissionBook, changes
from bayd.web.connections import ConnectionLimits
from bayd.web.events import EventStreams, StreamLimits
from bayd.web.feed import EventFeed
from bayd.web.figures import FiguresPage
from bayd.web.limits import RateLimits
from bayd.web.listener import Listener
from bayd.web.local_socket import LocalSocket
from bayd.web.metrics import Counts, Metrics, Sources
from bayd.web.openapi import describe, description_route
from bayd.web.outbox import OutboxPage
from bayd.web.own_session import OwnSession
from bayd.web.pages.board import BoardFrame, BoardPage
from bayd.web.pages.day import DayPage
from bayd.web.pages.devices import DevicesPage
from bayd.web.pages.files import StaticFiles
from bayd.web.pages.handover import HandoverPage
from bayd.web.pages.screen import ScreenPages
from bayd.web.pairing import Pairing
from bayd.web.readers import ReaderPages, Tell, ToolRefusedError
from bayd.web.routes import Route
from bayd.web.sign_in_tries import SignInTries
from bayd.web.staff import StaffPages
from bayd.web.staff_accounts import StaffAccounts
from bayd.web.status import StatusPages
from bayd.web.views import BayViews
from bayd.wiring.retired_bays import open_matters
from bayd.wiring.warnings import Warnings
from tests.let_out import keep_secret
from tests.simulation.world import HeldExecutor, SimClock, SimLog, SimRandomness
from tests.web.promises import Promises

SCREEN = "screen-109-0123456789"
OTHER_SCREEN = "screen-110-0123456789"
STAFF = "staff-anna-0123456789"
TECHNICIAN = "technician-bo-0123456789"
TOKENS = (
    ApiToken(Actor(Role.SCREEN, "screen"), "109", SCREEN),
    ApiToken(Actor(Role.SCREEN, "screen"), "110", OTHER_SCREEN),
    ApiToken(Actor(Role.STAFF, "anna"), None, STAFF),
    ApiToken(Actor(Role.TECHNICIAN, "bo"), None, TECHNICIAN),
)
AUTO_LOCK_MS = 15 * 60_000
VERSION = "0.0.1"
PIN = "246813"
PLAYER = "Test Person"
GAMES = {
    1: Game(1, "Longest drive", 50),
    2: Game(2, "Free play", 0),
    3: Game(3, "Nearest the pin", None),
    4: Game(4, "Around the clock", 30),
    5: Game(5, "Beat the professional", 20),
    6: Game(6, "Target bingo", 100),
    7: Game(7, "Wedges", 40),
}


_CODEC = BayEventCodec()
_PROMISES: list[Promises] = []


def _promises(routes: Sequence[Route]) -> Promises:
    """Of all houses: they have the same calls, and a description takes its time."""
    if not _PROMISES:
        _PROMISES.append(Promises(describe(routes, VERSION)))
    return _PROMISES[0]


@dataclass
class Verifier:
    """Knows which PIN opens which session, as the central server does; may be away, be slow, or die."""

    bays: Range
    opens: dict[str, str] = field(default_factory=lambda: {PIN: "7"})
    elsewhere: frozenset[str] = frozenset()  # PINs that open other bays
    kept: dict[str, str] = field(default_factory=dict)  # PINs that can be checked while nobody is there
    away: bool = False
    dies: bool = False
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def enter(
        self, number: str, pin: str, key: str | None, answer_refusal: AnswerMaker, answer: AnswerMaker
    ) -> Outcome:
        attempt_id = f"attempt-{number}-{self.asked}-{key}"
        entered = await self.bays.submit(number, i.PinEntered(attempt_id, key), answer_refusal)
        if entered.decision.refusal is not None:
            return entered
        self.asked += 1
        self.reached.set()
        if self.dies:
            raise RuntimeError("killed between the attempt and its answer")
        await self.gate.wait()
        session_id = self.opens.get(pin)
        found: i.Input
        if self.away and pin in self.kept:
            found = i.PinWasRight(attempt_id, self.kept[pin], StartedBy.PIN_OFFLINE)
        elif self.away:
            found = i.PinNotChecked(attempt_id, "nobody there")
        elif session_id is None:
            found = i.PinWasWrong(attempt_id, wrong_bay=pin in self.elsewhere)
        else:
            found = i.PinWasRight(attempt_id, session_id, StartedBy.PIN_ONLINE)
        return await self.bays.submit(number, found, answer)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Of a problem document."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.text
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:bayd:problem:{problem['code']}"
        return str(problem["code"])


@dataclass(frozen=True)
class Item:
    """Of the outbox."""

    seq: int
    bay: str
    session_id: str
    kind: str
    since_wall_ms: int
    reason: str
    parked: bool
    waits_for: int | None = None


class Tools:
    """A technician's readers: `east` answers, `west` is away, bay 110 plays at port 2."""

    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.tried: list[tuple[int, frozenset[int]]] = []
        self.watching = asyncio.Event()

    def held(self) -> list[dict[str, Any]]:
        device = {
            "kind": "reader",
            "name": "east",
            "driver": "r2000_a0",
            "link": "/dev/ttyUSB0",
            "state": "ok",
        }
        return [
            {
                **device,
                "reason": "",
                "model": "0xA0",
                "firmware": "1.9",
                "bays": ["109"],
                "level": None,
                "details": {},
            }
        ]

    async def identify(self, name: str) -> dict[str, Any]:
        self._find(name)
        return {
            "driver": "r2000_a0",
            "baudrate": 115_200,
            "model": "0xA0 8-port",
            "firmware": "1.9",
            "port_count": 8,
            "power_dbm": [26],
            "antennas": {"1": True, "2": None},
            "return_loss_db": {"1": 14},
            "facts": {"temperature": "31 C"},
            "exchanges": [{"question": "firmware", "sent": "A0", "got": ["A0"]}],
        }

    async def powers(self, name: str) -> list[int]:
        self._find(name)
        return [26]

    def check_power(self, name: str, power_dbm: int, ports: Collection[int]) -> None:
        self._find(name, ports)
        if power_dbm > 26:
            raise ToolRefusedError("too_much_power", "26 dBm at most.", "power_dbm")
        if 2 in ports:
            raise ToolRefusedError("in_play", "Bay 110 plays at port 2.")

    async def set_power(
        self, name: str, power_dbm: int, ports: Collection[int]
    ) -> tuple[list[int], list[int], list[str]]:
        self.check_power(name, power_dbm, ports)
        self.tried.append((power_dbm, frozenset(ports)))
        return [26], [power_dbm], []

    @contextmanager
    def watched(self, name: str, ports: Collection[int], tell: Tell) -> Iterator[frozenset[int]]:
        self._find(name, ports)
        self.tell = tell
        self.watching.set()
        try:
            yield frozenset(ports or (1, 2))
        finally:
            self.tell = None

    def _find(self, name: str, ports: Collection[int] = ()) -> None:
        if name == "west":
            raise ToolRefusedError("reader_away", "Reader west cannot be asked now: unplugged.")
        if name != "east":
            raise ToolRefusedError("unknown_reader", "There is no such reader.")
        if not set(ports) <= {1, 2}:
            raise ToolRefusedError("unknown_port", "There is no such port.", "ports")


class House:
    def __init__(self, path: Path) -> None:
        keep_secret(PIN, *(token.token for token in TOKENS))
        self.path = path
        self.rules = {number: Rules(dispenser="east", guest_pauses=9) for number in ("109", "110")}
        self.clock = SimClock()
        self.randomness = SimRandomness()
        self.log = SimLog()
        self.executor: JournalExecutor = InlineJournalExecutor()
        self.connect: Connect = connect
        self.limits = RateLimits()
        self.connection_limits = ConnectionLimits()
        self.allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1")
        self.stream_limits = StreamLimits()
        self.screens = Screens()
        self.staff_settings = Staff()
        self.players: dict[str, tuple[Player, ...]] = {}
        self.queue: dict[str, int] = {}  # bay -> payouts before its own
        self.patience_s = 5.0
        self.body_within_s = 10.0
        self.stalled: str | None = None
        self.range_warnings: list[dict[str, Any]] = [
            {"code": "no_ball_registry", "since": None, "text": "Balls are not counted."}
        ]
        self.qod_state = "off"  # of every bay
        self.outbox: list[Item] | None = []
        self.journal: Journal[e.Event]
        self.bays: Range
        self.verifier: Verifier
        self.enter_pin: EnterPin
        self.counts: Counts
        self.feed: EventFeed
        self.streams: EventStreams
        self.routes: list[Route]
        self.promises: Promises
        self.listener: Listener
        self.api: BayApi
        self.sessions: WebSessions
        self.site_key: bytes | None = bytes(range(32))
        self.accounts: StaffAccounts
        self.http: aiohttp.ClientSession
        self.port = 0  # any for the first life, then the same
        self.socket: Path | None = None  # of the local tools
        self.local_socket: LocalSocket
        self._keys = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["House"]:
        """The service runs; leaving is a crash of the bays, and a stop of the listener."""
        async with AsyncExitStack() as stack:
            self.journal = await Journal.open(
                self.path, self.executor, _CODEC, clock=self.clock, connect=self.connect
            )
            stack.push_async_callback(self.journal.aclose)
            self.counts = Counts()
            self.bays = Range(
                self.rules,
                journal=self.journal,
                clock=self.clock,
                randomness=self.randomness,
                log=self.log,
                meter=self.counts,
            )
            checks = await self.attach_pin_desk()
            self.feed = EventFeed(self.bays, self.journal, self.log)
            self.feed.listen(self.counts.happened)
            self.bays.observe(self.feed)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for name, root in {"range": self.bays.run(), "feed": self.feed.run(), **checks}.items():
                stack.callback(tasks.create_task(root, name=name).cancel)
            await self.bays.ready.wait()
            self.listener = await self._listen()
            stack.callback(tasks.create_task(self.streams.run(), name="streams").cancel)
            stack.push_async_callback(self.listener.aclose)
            (self.port,) = self.listener.ports
            self.http = await stack.enter_async_context(aiohttp.ClientSession())
            if isinstance(self.executor, HeldExecutor):
                stack.callback(self.executor.free.set)  # a failed test must not hang as well
            yield self

    async def attach_pin_desk(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Who checks PINs from now on, and the root tasks of that."""
        self.verifier = Verifier(self.bays)
        self.enter_pin = self.verifier.enter
        return {}

    async def told(self) -> None:
        """Everything that is durable has been handed on."""
        async with asyncio.timeout(20):
            while self.feed.seq < self.journal.last_seq:  # noqa: ASYNC110 # the feed is a task of its own
                await asyncio.sleep(0)

    async def _listen(self) -> Listener:
        async def find_game(game_id: int) -> Game | None:
            return GAMES.get(game_id)

        views = BayViews(
            self.bays,
            self.clock,
            qod_state=lambda _number: self.qod_state,
            queue_place=lambda number: self.queue.get(number, 0),
            players=lambda session_id: self.players.get(session_id, ()),
            games=lambda: tuple(GAMES.values()),
        )
        self.api = BayApi(
            self.bays,
            self.journal,
            enter_pin=self.enter_pin,
            find_game=find_game,
            list_outbox=self.list_outbox,
            views=views,
            clock=self.clock,
            randomness=self.randomness,
            patience_s=self.patience_s,
            body_within_s=self.body_within_s,
            limits=self.limits,
        )
        reader: dict[str, Any] = {
            "state": "ok",
            "reason": "",
            "firmware": "1.2",
            "reads": 7,
            "rounds": 9,
            "blind_s": {"1": 0.5},
            "ports": {
                "1": {"place": "109", "listening": True, "blind_s": 0.5, "revisit_s": 0.24},
                "8": {"place": "return", "listening": False, "blind_s": 0.0, "revisit_s": None},
            },
        }
        self.reader = reader
        self.central: dict[str, Any] = {"online": True, "outbox": 0, "oldest_s": None, "parked": 0}
        self.qod: dict[str, Any] = {"state": "off"}
        self.devices: dict[str, Any] = {"readers": {"east": reader}, "dispensers": {}}
        sources = Sources(
            bays=self.bays,
            journal=self.journal,
            clock=self.clock,
            version=VERSION,
            devices=lambda: self.devices,
            central=lambda: self.central,
            qod=lambda: self.qod,
            warnings=lambda: 1,
            viewers=lambda: (self.streams.viewers, self.streams.cut_off),
            sheds=lambda: {"credits": 3},
        )
        status = StatusPages(
            self.bays,
            version=VERSION,
            time_scale=1.0,
            sections={
                "devices": lambda: self.devices,
                "central": lambda: self.central,
                "qod": lambda: self.qod,
            },
            warnings=lambda: [
                *self.range_warnings,
                *open_matters(self.bays),
                *Warnings((), self.journal, self.clock, self.log).all(),
            ],
            stalled=lambda: self.stalled,
            views=views,
            clock=self.clock,
        )
        self.streams = EventStreams(
            self.bays,
            self.feed,
            views=views,
            range_news=status.range_news,
            log=self.log,
            limits=self.stream_limits,
        )
        self.sessions = WebSessions(self.journal, self.clock, self.randomness)
        await self.sessions.load()
        self.sessions.on_ended(self.streams.session_ended)
        tries = SignInTries(self.journal, Rules(), self.clock)
        self.accounts = StaffAccounts(self.journal, self.site_key, tries, self.clock, self.randomness)
        await self.accounts.load()
        staff = StaffPages(
            self.accounts,
            self.sessions,
            idle_ms=AUTO_LOCK_MS,
            clock=self.clock,
            log=self.log,
            limits=self.limits,
        )
        pairing = Pairing(
            self.sessions,
            self.bays.bays,
            connected=self.streams.follows,
            clock=self.clock,
            randomness=self.randomness,
            log=self.log,
            limits=self.limits,
        )
        files = StaticFiles()
        screen = ScreenPages(
            files,
            self.bays.bays,
            site_name="Example range",
            currency="INR",
            timezone="Asia/Kolkata",
            settings=self.screens,
        )
        frame = BoardFrame(
            files,
            site_name="Example range",
            currency="INR",
            timezone="Asia/Kolkata",
            zone=ZoneInfo("Asia/Kolkata"),
            settings=self.staff_settings,
        )
        board = BoardPage(frame, self.bays, views, status.range_document, self.clock)
        access = Access(TOKENS, self.sessions, self.allowed_hosts, self.clock, self.limits)

        outbox = OutboxPage(self.list_outbox)
        figures = FiguresPage(
            lambda: self.devices,
            lambda: self.central,
            lambda: tuple(self.counts.last_commits_s),
            lambda: self.journal.health.waiting,
            self.clock,
        )
        devices_page = DevicesPage(frame, files, figures.document)
        day = DayPage(frame, self.bays, self.journal.plays, self.journal.audit, self.clock)
        handover = HandoverPage(frame, status, self.list_outbox, self.journal.payments, self.clock)
        self.tools = Tools()
        audit_book = AuditBook(self.journal, self.clock, self.randomness)
        readers = ReaderPages(self.tools, audit_book.record, self.log)
        commission = CommissionPages(
            CommissionBook(self.path.parent),
            lambda: tuple(self.bays.bays),
            changes,
            version=VERSION,
            configuration=lambda: "c" * 64,
            record=audit_book.record,
            clock=self.clock,
            log=self.log,
        )
        metrics = Metrics(self.counts, sources)
        served = (
            self.api,
            status,
            self.streams,
            outbox,
            AuditPage(self.journal.audit, UTC),
            readers,
            commission,
            metrics,
            OwnSession(self.sessions),
            pairing,
            staff,
            files,
            screen,
            board,
            day,
            handover,
            figures,
            devices_page,
        )
        self.routes = [route for one in served for route in one.routes()]
        self.routes.append(description_route(self.routes, VERSION))
        self.promises = _promises(self.routes)
        app = make_app(
            self.routes, access, self.log, meter=self.counts, at_stop=[self.streams.close, readers.close]
        )
        self.local_socket = LocalSocket(self.socket, self.log)
        return await Listener.open(
            app,
            [("127.0.0.1", self.port)],
            self.log,
            local=self.local_socket.open(),
            limits=self.connection_limits,
        )

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        described: bool = True,
    ) -> Reply:
        """One request. What the API description does not know of its answer is a failure of any test."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.http.request(
            method, self.url(path), data=data, headers=sent, allow_redirects=False
        ) as answer:
            reply = Reply(answer.status, answer.headers, await answer.text())
        if described:
            self.promises.check(method, path, reply.status, reply.headers, reply.text)
        return reply

    async def let_in(self, role: Role = Role.SCREEN, bay: str | None = "109") -> str:
        """The Cookie header of a browser that was let in."""
        name = "screen" if role is Role.SCREEN else "anna"
        _, token = await self.sessions.begin(Actor(role, name), bay)
        return f"{COOKIE}={token}"

    async def press(
        self,
        act: str,
        body: object = None,
        *,
        token: str | None = SCREEN,
        bay: str = "109",
        key: str | None = None,
        **more: Any,
    ) -> Reply:
        """One act at a bay, under a fresh key unless one is given."""
        self._keys += 1
        if act == "pin" and isinstance(body, dict) and re.fullmatch("[0-9]{6}", str(body.get("pin"))):
            keep_secret(str(body["pin"]))
        headers = {"Idempotency-Key": key or f"key-{self._keys}", **more.pop("headers", {})}
        body = {} if body is None and "raw" not in more else body
        return await self.ask(
            "POST", f"/api/v1/bays/{bay}/{act}", token=token, body=body, headers=headers, **more
        )

    async def book(
        self, number: str = "109", session_id: str = "7", minutes: int = 60, player: str = PLAYER
    ) -> None:
        """A booking waits for its PIN."""
        said = i.ServerSaid(
            session_id, minutes, 0, self.clock.now().wall_ms, False, False, False, player=player
        )
        await self.bays.submit(number, said)

    async def play(
        self, number: str = "109", session_id: str = "7", minutes: int = 60, player: str = PLAYER
    ) -> None:
        """A session is booked and started."""
        await self.book(number, session_id, minutes, player)
        attempt = self.randomness.new_id()
        await self.bays.submit(number, i.PinEntered(attempt, None))
        await self.bays.submit(number, i.PinWasRight(attempt, session_id, StartedBy.PIN_ONLINE))

    def offer_games(self) -> None:
        """From now on, at every bay: all that there are."""
        for task in self.bays.bays.values():
            offered = tuple(game.name for game in GAMES.values())
            task.change_rules(replace(task.rules, games=offered))

    async def kinds(self, bay: str | None = None) -> list[str]:
        return [type(r.event).__name__ for r in await self.journal.read(0, bay=bay)]

    async def list_outbox(self) -> list[Item]:
        if self.outbox is None:
            raise JournalUnavailableError("no disk")
        return self.outbox

    async def state(self) -> object:
        """All that may not change when a request is refused."""
        return (self.journal.last_seq, {number: task.bay for number, task in self.bays.bays.items()})
