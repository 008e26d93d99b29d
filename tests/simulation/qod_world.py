"""Bays that play, the real QoD reconciler and client, an operator in memory: all on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bayd.clients.qod import QodClient
from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.qos_lease import State, name_of
from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.journal import Recorded
from bayd.reconcile.qod import BayLine, QodReconciler
from bayd.reconcile.qod_flow import flow_of, make_client, terms_of
from bayd.reconcile.qod_keeper import Tools
from bayd.reconcile.qod_purse import Purse
from bayd.reconcile.qod_sink import EventSink, SinkTokens
from bayd.runtime.range import Range
from bayd.settings import BayQod, Qod
from tests.let_out import keep_secret
from tests.simulation.qod_operator import SimOperator
from tests.simulation.world import World

SCREEN = i.Actor(i.Role.SCREEN, "screen")
SINK_SECRET = b"\x07" * 32
STAFF = i.Actor(i.Role.STAFF, "anna")
DialectName = Literal["tmobile-0.10", "camara-1.1"]
DIALECTS: tuple[DialectName, ...] = ("tmobile-0.10", "camara-1.1")
_NUMBER_CHARS = 8
_BASE = {"tmobile-0.10": "/qod/v0", "camara-1.1": "/quality-on-demand/v1"}


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory for journals that no disk slows down: what is tested here is not the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def private_pem() -> str:
    return (
        _key()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def public_pem() -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return _key().public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


def phone(number: int) -> str:
    """Reserved for fiction."""
    return f"+1555010{number:04d}"


def identifiers(screen: BayQod) -> list[str]:
    """All by which the connection of a screen can be told, without a number's plus sign."""
    given = screen.model_dump(mode="json", exclude_none=True)
    return [value.lstrip("+") for value in _texts(given) if len(value) >= _NUMBER_CHARS]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)


class QodWorld:
    """Leaving `up` is a crash of bayd; the operator lives on."""

    def __init__(
        self,
        path: Path,
        dialect: DialectName = "tmobile-0.10",
        *,
        bays: int = 1,
        rules: Rules | None = None,
        max_sessions: int | None = None,
        max_seconds: int | None = None,
        **settings: Any,
    ) -> None:
        self.numbers = tuple(str(101 + n) for n in range(bays))
        self.world = World(path, {number: rules or Rules() for number in self.numbers})
        self.operator = SimOperator(dialect, lambda: self.world.clock.now().wall_ms / 1000)
        self.qod = Qod(
            dialect=dialect,
            base_url=f"http://127.0.0.1:4010{_BASE[dialect]}",
            profile="QOS_VC" if dialect == "tmobile-0.10" else "QOS_E",
            application_server="203.0.113.10",
            **settings,
        )
        self.credentials = Credentials(
            qod_client_id="bayd",
            qod_client_secret="a-secret",
            qod_private_key=private_pem() if dialect == "tmobile-0.10" else None,
        )
        self.screens: dict[str, BayQod | None] = {
            number: BayQod(phone_number=phone(n)) for n, number in enumerate(self.numbers)
        }
        self.max_sessions = max_sessions
        self.max_seconds = max_seconds
        self.jitter: Callable[[], float] = lambda: 0.5
        self.client: QodClient
        self.reconciler: QodReconciler
        self.sink: EventSink  # with a webhook in the settings

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Range]:
        async with self.world.up() as bays:
            self.reconciler = self.make(bays)
            bays.observe(self.reconciler)
            for task in bays.bays.values():
                task.announce()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(self.reconciler.run(), name="qod")
                try:
                    yield bays
                finally:
                    running.cancel()

    def make(self, bays: Range) -> QodReconciler:
        keep_secret(self.credentials.qod_client_secret, *private_pem().splitlines()[1:3])
        for screen in self.screens.values():
            if screen is not None:
                keep_secret(*identifiers(screen))
        clock, log = self.world.clock, self.world.log
        randomness = _Jittery(self.world.randomness.new_id, self.world.randomness.new_uuid, self.jitter)
        purse = Purse(clock, UTC, max_sessions=self.max_sessions, max_seconds=self.max_seconds)
        self.client = make_client(
            self.qod, self.credentials, self.operator, clock=clock, randomness=randomness
        )
        lines = {}
        for number, screen in self.screens.items():
            flow = None if screen is None else flow_of(number, self.qod, screen)
            enabled = screen is not None and screen.enabled
            lines[number] = BayLine(terms_of(self.qod, flow, 1.0), flow, enabled)
        tokens = None if self.qod.webhook is None else SinkTokens(self.qod.webhook.url, SINK_SECRET)
        webhook = None if tokens is None else tokens.webhook
        reconciler = QodReconciler(
            self.client.session,
            lambda: self.client.circuit,
            lines,
            bays,
            Tools(purse, clock, randomness, log, webhook),
            bays.ready,
        )
        if tokens is not None:
            self.sink = EventSink(tokens, reconciler.poke, log)
        return reconciler

    # What happens at the bays

    async def play(self, minutes: int = 60, *, session: str = "7", bay: str = "101") -> None:
        await self.world.play(bay, session, minutes)

    async def submit(self, request: i.Input, bay: str = "101") -> None:
        outcome = await self.world.range.submit(bay, request)
        assert outcome.decision.refusal is None, outcome.decision.refusal

    async def end(self, bay: str = "101") -> None:
        await self.submit(i.End(STAFF, "over"), bay)

    # What is to be seen

    def state(self, bay: str = "101") -> str:
        return self.reconciler.state(bay)

    def lease(self, bay: str = "101") -> State:
        return self.world.range.get(bay).qos

    async def until(self, state: str, bay: str = "101", *, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while self.state(bay) != state:  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(0.05)

    async def journal(self) -> list[Recorded[Any]]:
        records: list[Recorded[Any]] = []
        while more := await self.world.journal.read(records[-1].seq if records else 0):
            records += more
        return records

    async def kinds(self) -> list[str]:
        return [type(r.event).__name__ for r in await self.journal() if isinstance(r.event, q.Event)]

    def durable_state(self, bay: str = "101") -> str:
        return name_of(self.lease(bay))


SECRETS = ("1555010", "a-secret", "access-token", "PRIVATE KEY", "203.0.113.10")


class _Jittery:
    def __init__(
        self, new_id: Callable[[], str], new_uuid: Callable[[], str], jitter: Callable[[], float]
    ) -> None:
        self.new_id = new_id
        self.new_uuid = new_uuid
        self.jitter = jitter
