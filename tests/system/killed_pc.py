"""A daemon that is killed with SIGKILL and started again, between pages that press again and a server whose
wire is cut: every process is real, and so is every signal.

A press is repeated under its key until it is answered, over as many deaths as it takes; what it was answered
is what the bay has promised.
"""

import asyncio
import random
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bayd.core import events as e
from bayd.journal import Reader, Recorded
from bayd.journal.disk import open_reading
from bayd.journal.event_codec import BayEventCodec
from tests.cli.daemon import Service, started
from tests.free_ports import free_port
from tests.let_out import keep_secret, listen_to
from tests.system.cut_wire import CutWire

Json = dict[str, Any]
MINUTE_S = 2.0  # a booked minute
PATIENCE_S = 120.0  # two cores may be busy, and several deaths may come in between
STAFF = "staff-token-of-the-tests"
SCREEN = "screen-token-of-the-tests-"  # and the bay's number
ADMIN_PASSWORD = "demo-admin"  # the reference server's own
WALK_IN_PHONE = "1555010000"
GUEST_PHONES = "15550101"  # followed by a guest's number
_AGAIN_S = 0.1
_COME_AGAIN = ("busy", "not_recorded", "stopping", "starting", "too_many_requests")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a press got, and gets for ever under its key."""

    bay: str
    act: str
    body: Json
    staff: bool
    key: str
    status: int
    document: Json
    lives: int  # the daemon's deaths between the first sending and the answer


class KilledPc:
    """`configuration` is what the daemon has beside its server and its rules of play. Default: its bays,
    without any device."""

    def __init__(
        self,
        directory: Path,
        http: aiohttp.ClientSession,
        bays: tuple[str, ...],
        *,
        eight_only: bool,
        configuration: str = "",
    ) -> None:
        self.bays = bays
        self.kills = 0
        self.said: list[str] = []
        self.answers: list[Answered] = []
        self.ports = {name: free_port() for name in ("central", "wire", "bayd")}
        self.wire = CutWire(self.url("central"), http, eight_only=eight_only)
        self.eight_only = eight_only
        self._directory = directory
        self._http = http
        self._guests = 0
        self._daemon: Service | None = None
        self._life = ExitStack()
        keep_secret(STAFF, *(SCREEN + bay for bay in bays), ADMIN_PASSWORD, WALK_IN_PHONE, GUEST_PHONES)
        listen_to(self.ports["bayd"])
        (directory / "bayd.toml").write_text(self._configuration(configuration))

    def _configuration(self, more: str) -> str:
        lines = [
            f'[http]\nlisten = ["127.0.0.1:{self.ports["bayd"]}"]',
            f'[state]\ndir = "{self._directory / "state"}"',
            f'[central]\nurl = "{self.url("wire")}"\npoll_s = 0.5\ntimeout_s = 1\nsettle_s = 1.5',
        ]
        if not self.eight_only:
            lines += ["idempotency_keys = true", "bay_state = true"]
        lines += [
            f'[central.walk_in]\nphone_number = "{WALK_IN_PHONE}"',
            '[play]\ngrace_minutes = 0\nextension = "ask"',
        ]
        bays = [f"[bays.{bay}]\nrfid = false" for bay in self.bays]
        return "\n".join([*lines, more or "\n".join(bays)]) + "\n"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """The server, the wire, and a daemon; at the end it is killed once more."""
        with self._server():
            async with self.wire.up(self.ports["wire"]):
                try:
                    await self.start()
                    yield
                except BaseException as error:
                    error.add_note("\n".join(self._last_events()))
                    raise
                finally:
                    await self.kill()

    @contextmanager
    def _server(self) -> Iterator[None]:
        bays = [word for bay in self.bays for word in ("--bay", bay)]
        words = ("--db", self._directory / "central.db", "--port", self.ports["central"], *bays)
        with started("reference", "central", *words, "--minute-s", MINUTE_S) as server:
            server.wait_for("http://")
            yield

    # Its lives

    def spawn(self) -> None:
        environment = {
            "BAYD_TIME_SCALE": str(60 / MINUTE_S),
            "BAYD_SITE_KEY": "0a" * 32,
            "BAYD_API_TOKENS": "\n".join(
                [f"{STAFF} staff anna", *(f"{SCREEN}{bay} screen {bay}" for bay in self.bays)]
            ),
        }
        if not self.eight_only:
            environment["BAYD_CENTRAL_ADMIN_PASSWORD"] = ADMIN_PASSWORD
        arguments = ("run", "--config", self._directory / "bayd.toml")
        # Each look is to show what is so now: a status that is dear to tell is kept for a second otherwise.
        now = "from bayd.web import sparing\nsparing.DEAR_S = 3600.0"
        self._daemon = self._life.enter_context(started(*arguments, env=environment, before=now))

    async def start(self) -> None:
        self.spawn()
        assert self._daemon is not None
        await asyncio.to_thread(self._daemon.wait_for, "bayd_ready")

    async def kill(self) -> None:
        if self._daemon is None:
            return
        daemon, self._daemon = self._daemon, None
        assert daemon.process.poll() is None, "it ended by itself:\n" + "".join(daemon.said)
        assert await asyncio.to_thread(daemon.stop, signal.SIGKILL) == -signal.SIGKILL
        self.kills += 1
        self.said += daemon.said
        self._life.close()
        self.wire.died()

    # What people do

    async def press(self, bay: str, act: str, body: Json, *, staff: bool = False) -> Answered:
        """As a page: the same press, under its key, until it is answered."""
        key, kills = uuid.uuid4().hex, self.kills
        async with asyncio.timeout(PATIENCE_S):
            while True:
                status, document, wait_s = await self._post(bay, act, body, key, staff=staff)
                if status and document.get("code") not in _COME_AGAIN:
                    break
                await asyncio.sleep(wait_s)
        assert document.get("code") != "outcome_unknown", (act, document)
        answered = Answered(bay, act, body, staff, key, status, document, self.kills - kills)
        self.answers.append(answered)
        return answered

    async def press_again(self, old: Answered) -> None:
        """Whoever asks again under the same key is told the same."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                again = await self._post(old.bay, old.act, old.body, old.key, staff=old.staff)
                status, document, wait_s = again
                if status and document.get("code") not in _COME_AGAIN:
                    break
                await asyncio.sleep(wait_s)
        assert (status, document) == (old.status, old.document), (old, status, document)

    async def _post(
        self, bay: str, act: str, body: Json, key: str, *, staff: bool
    ) -> tuple[int, Json, float]:
        """Status 0: nobody answered."""
        token = STAFF if staff else f"{SCREEN}{bay}"
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        url = f"{self.url('bayd')}/api/v1/bays/{bay}/{act}"
        try:
            async with self._http.post(url, json=body, headers=headers) as answer:
                wait_s = float(answer.headers.get("Retry-After", _AGAIN_S))
                return answer.status, await answer.json(content_type=None), wait_s
        except (aiohttp.ClientError, ConnectionError):
            return 0, {}, _AGAIN_S

    async def book(self, bay: str, minutes: int, amount: int) -> Json:
        """Reception does, at the server itself."""
        self._guests += 1
        booking = {
            "billingUser": {
                "name": f"Guest {self._guests}",
                "phoneNumber": f"{GUEST_PHONES}{self._guests:03d}",
            },
            "bayNumber": bay, "duration": minutes, "amount": amount,
            "paymentType": {"type": "CASH"}, "isDiscounted": False,
        }  # fmt: skip
        async with self._http.post(f"{self.url('central')}/session", json=booking) as answer:
            document = await answer.json()
        assert answer.status < 300, document
        booked: Json = document["data"]
        keep_secret(booked["pin"])
        return booked

    # What is to be seen

    async def status(self) -> Json | None:
        """None: it is dead, or not ready."""
        try:
            async with self._http.get(f"{self.url('bayd')}/status") as answer:
                document: Json = await answer.json(content_type=None)
                return document if answer.status == 200 else None
        except (aiohttp.ClientError, ConnectionError):
            return None

    async def until(self, holds: Callable[[Json], object], what: str = "") -> Json:
        """The status that it holds of, over as many deaths as it takes."""
        document: Json | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    document = await self.status()
                    if document is not None and holds(document):
                        return document
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE_S:g} s in vain {what}: {_gist(document)}") from None

    async def rows(self) -> dict[str, Json]:
        """The server's history, by its numbers."""
        rows: dict[str, Json] = {}
        page = 1
        while more := await self.central(f"/session/history?page={page}&per_page=50"):
            rows |= {str(row["id"]): row for row in more}
            page += 1
        return rows

    async def central(self, path: str) -> Any:
        async with self._http.get(self.url("central") + path) as answer:
            return (await answer.json())["data"]

    def journal(self) -> list[Recorded[e.Event]]:
        records: list[Recorded[e.Event]] = []
        with open_reading(self._directory / "state" / "journal.db") as connection:
            reader: Reader[e.Event] = Reader(connection, BayEventCodec())
            while more := reader.read(records[-1].seq if records else 0, limit=1_000):
                records += more
        return records

    def _last_events(self) -> list[str]:
        """What a failure shows."""
        return [f"{one.seq} {one.bay} {one.wall_ms} {one.event!s:.200}" for one in self.journal()[-60:]]

    def some_answers(self, chance: random.Random, count: int) -> list[Answered]:
        kept = [one for one in self.answers if one.act != "pin" and one.status in (200, 401, 409)]
        return chance.sample(kept, min(count, len(kept)))


def _gist(document: Json | None) -> Json | None:
    """What a failure shows of a status."""
    if document is None:
        return None
    names = ("phase", "booked", "session", "pin", "warnings")
    bays = {bay: {name: shown[name] for name in names} for bay, shown in document["bays"].items()}
    return {"bays": bays, "central": document["central"], "warnings": document["warnings"]}
