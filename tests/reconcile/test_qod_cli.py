"""`bayd qod …` against the reference operator, and a journal that a daemon left behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from bayd.cli import main
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.decide import decide
from bayd.core.evolve import evolve_all
from bayd.core.model import Bay, StartedBy
from bayd.core.qos_words import Cause, Trouble
from bayd.core.rules import Rules
from bayd.journal import Batch, Journal, ThreadJournalExecutor
from bayd.journal.event_codec import BayEventCodec
from bayd.reference.qod import ClientRegistration, make_app
from bayd.runtime.clock import SystemClock
from tests.let_out import hear, keep_secret

SECRET = "a-client-secret-of-the-tests"
PHONE = "+15550100"


@dataclass
class Desk:
    config: Path
    origin: str
    journal: Path

    async def run(self, *words: str) -> Result:
        runner = CliRunner(env={"BAYD_QOD_CLIENT_ID": "bayd", "BAYD_QOD_CLIENT_SECRET": SECRET})
        command = ["qod", *words, "--config", str(self.config)]
        result = await asyncio.to_thread(runner.invoke, main, command)
        hear("command line", result.output)
        assert PHONE not in result.output
        assert SECRET not in result.output
        return result

    async def json(self, *words: str) -> Any:
        result = await self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        # The operator lives in this process, and what it logs is captured too.
        return json.loads(result.output.splitlines()[-1])

    async def live(self) -> list[str]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.origin}/_ledger") as answer:
            rows = (await answer.json())["sessions"]
        return [row["session_id"] for row in rows if row["ended_at"] is None]

    async def note(self, bay: str, *requests: i.Input) -> None:
        """What a daemon would have recorded."""
        clock, executor = SystemClock(), ThreadJournalExecutor()
        journal: Journal[e.Event] = await Journal.open(self.journal, executor, BayEventCodec(), clock=clock)
        state = Bay(bay)
        for number, request in enumerate(requests):
            decision = decide(state, request, clock.now(), Rules())
            assert decision.refusal is None, decision.refusal
            state = evolve_all(state, decision.events)
            await journal.append(Batch(bay, f"{bay}-{number}", decision.events, clock.now()))
        await journal.aclose()
        executor.close()


@asynccontextmanager
async def desk_of(tmp_path: Path, dialect: str) -> AsyncIterator[Desk]:
    keep_secret(SECRET, PHONE.removeprefix("+"))
    clients = {"bayd": ClientRegistration(secret=SECRET)}
    app = make_app(
        tmp_path / "operator.db", dialect=dialect, clients=clients, faults=True, requested_delay_s=0.0
    )
    async with TestServer(app) as server:
        origin = f"http://127.0.0.1:{server.port}"
        state = tmp_path / "state"
        state.mkdir()
        config = tmp_path / "bayd.toml"
        config.write_text(
            f'[state]\ndir = "{state}"\n'
            f'[qod]\ndialect = "{dialect}"\nbase_url = "{origin}/quality-on-demand/v1"\n'
            'profile = "QOS_E"\napplication_server = "203.0.113.10"\n'
            f'[bays.101]\nrfid = false\n[bays.101.qod]\nphone_number = "{PHONE}"\n'
            "[bays.102]\nrfid = false\n"
        )
        yield Desk(config, origin, state / "journal.db")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_of(tmp_path, "camara-1.1") as desk:
        yield desk


def playing(session: str, created: q.QosCreated, intent: q.QosCreateIntended) -> list[i.Input]:
    wall_ms = SystemClock().now().wall_ms
    return [
        i.ServerSaid(session, 60, 0, wall_ms, False, False, False),
        i.PinEntered("a", None),
        i.PinWasRight("a", session, StartedBy.PIN_ONLINE),
        i.QosWanted(intent, "today"),
        i.QosReported(created, "today"),
    ]


async def test_by_hand_from_create_to_delete(desk: Desk) -> None:
    created = await desk.json("create", "101", "--minutes", "5")
    assert created["duration_s"] == 300
    got = await desk.json("get", created["session_id"])
    assert got["status"] == "AVAILABLE"
    longer = await desk.json("extend", created["session_id"], "--minutes", "10")
    assert longer["duration_s"] == 900
    assert await desk.live() == [created["session_id"]]
    again = await desk.run("create", "101")
    assert again.exit_code == 1
    assert "CONFLICT" in again.output
    assert (await desk.json("delete", created["session_id"]))["deleted"]
    assert await desk.live() == []
    gone = await desk.run("get", created["session_id"])
    assert (gone.exit_code, "does not know" in gone.output) == (1, True)
    assert "status" in (await desk.run("create", "101")).output


async def test_what_is_wrong_is_said_with_its_exit_code(desk: Desk) -> None:
    assert (await desk.run("create", "102")).exit_code == 2
    assert (await desk.run("create", "999")).exit_code == 2
    assert (await desk.run("list")).exit_code == 69
    assert "no journal" in (await desk.run("reap")).output
    text = desk.config.read_text()
    desk.config.write_text(text.replace(desk.origin, "http://127.0.0.1:1"))
    assert (await desk.run("create", "101")).exit_code == 69
    desk.config.write_text(text.replace('dialect = "camara-1.1"', 'dialect = "tmobile-0.10"'))
    refused = await desk.run("create", "101")
    assert (refused.exit_code, "qod_private_key" in refused.output) == (78, True)
    desk.config.write_text(text.partition("[qod]")[0])
    assert (await desk.run("list")).exit_code == 78


async def test_what_the_journal_knows_and_nobody_needs_is_reaped(desk: Desk) -> None:
    """One in use, one of a bay that is free, one that a bay has forgotten, one whose id is lost."""
    now_ms = SystemClock().now().boot_ms
    ids = [(await desk.json("create", "101", "--minutes", "60"))["session_id"]]
    # The operator gives one session per device: the others exist in the journal alone.
    ids += [f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2)]

    def intent(bay: str, correlator: str) -> q.QosCreateIntended:
        return q.QosCreateIntended(bay, "7", correlator, "flow", 3_600, now_ms)

    def created(bay: str, qos_id: str) -> q.QosCreated:
        return q.QosCreated(bay, qos_id, "AVAILABLE", now_ms + 3_600_000, 3_600, now_ms)

    def report(event: q.Event) -> i.QosReported:
        return i.QosReported(event, "today")

    staff = i.Actor(i.Role.STAFF, "anna")
    await desk.note("101", *playing("7", created("101", ids[0]), intent("101", "x-1")))
    await desk.note(
        "102", *playing("7", created("102", ids[1]), intent("102", "x-2")), i.End(staff, "over"),
        report(q.QosEndIntended("102", ids[1], Cause.UNWANTED, now_ms)),
    )  # fmt: skip
    await desk.note(
        "103", *playing("7", created("103", ids[2]), intent("103", "x-3")),
        report(q.QosRecovered("103", now_ms)), i.QosWanted(intent("103", "x-4"), "today"),
        report(q.QosDegraded("103", Trouble.ORPHAN, None, now_ms + 3_600_000, now_ms)),
    )  # fmt: skip
    await desk.note(
        "104", *playing("7", created("104", "over"), intent("104", "x-5")),
        report(q.QosDeleted("104", "over", now_ms)),
    )  # fmt: skip

    known = await desk.json("list")
    told = {(row["bay"], row["session_id"], row["state"], row["wanted"]) for row in known}
    assert told == {
        ("101", ids[0], "available", True),
        ("102", ids[1], "ending", False),
        ("103", ids[2], "forgotten", False),
        ("103", None, "degraded", False),
    }
    assert "its id is lost" in (await desk.run("list")).output

    dry = await desk.json("reap", "--dry-run")
    assert [row["deleted"] for row in dry["sessions"]] == [False, False]
    reaped = await desk.json("reap")
    assert {row["session_id"] for row in reaped["sessions"] if row["deleted"]} == {ids[1], ids[2]}
    assert [row["bay"] for row in reaped["lost"]] == ["103"]
    assert await desk.live() == [ids[0]], "a bay that plays keeps its own"
    await desk.json("reap", "--all")
    assert await desk.live() == []


async def test_what_cannot_be_deleted_is_said(desk: Desk) -> None:
    now_ms = SystemClock().now().boot_ms
    intent = q.QosCreateIntended("101", "7", "x-1", "flow", 3_600, now_ms)
    created = q.QosCreated("101", "00000000-0000-4000-8000-000000000001", "AVAILABLE", None, 3_600, now_ms)
    await desk.note("101", *playing("7", created, intent))
    async with aiohttp.ClientSession() as http:
        fault = {"kind": "refuse", "operation": "delete", "status": 403, "times": None}
        async with http.post(f"{desk.origin}/_faults", json=fault) as answer:
            assert answer.status == 200
    result = await desk.run("reap", "--all")
    assert result.exit_code == 69
    assert "refuses" in result.output


async def test_what_the_operator_has_and_the_journal_does_not_is_reaped(desk: Desk) -> None:
    """Made by hand and forgotten, or left by a crash whose journal is gone."""
    await desk.note("101")
    made = (await desk.json("create", "101", "--minutes", "30"))["session_id"]
    dry = await desk.json("reap", "--dry-run")
    assert [(row["session_id"], row["state"], row["deleted"]) for row in dry["sessions"]] == [
        (made, "not in the journal", False)
    ]
    assert dry["sessions"][0]["over_by"] is not None
    assert await desk.live() == [made]
    reaped = await desk.run("reap")
    assert (reaped.exit_code, f"{made}  deleted" in reaped.output) == (0, True)
    assert await desk.live() == []
    assert "nothing to delete" in (await desk.run("reap")).output


async def test_a_session_that_a_daemon_is_creating_is_left_alone(desk: Desk) -> None:
    made = (await desk.json("create", "101", "--minutes", "30"))["session_id"]
    now_ms = SystemClock().now().boot_ms
    intent = q.QosCreateIntended("101", "7", "x-1", "flow", 1_800, now_ms)
    created = q.QosCreated("101", made, "AVAILABLE", None, 1_800, now_ms)
    await desk.note("101", *playing("7", created, intent)[:-1])
    reaped = await desk.json("reap")
    assert reaped["sessions"] == []
    assert [row["state"] for row in reaped["lost"]] == ["creating"]
    assert await desk.live() == [made]
    forced = await desk.json("reap", "--all")
    assert [row["session_id"] for row in forced["sessions"]] == [made]
    assert await desk.live() == []


async def test_a_device_that_cannot_be_asked_for_is_said(desk: Desk) -> None:
    await desk.note("101")
    async with aiohttp.ClientSession() as http:
        fault = {"kind": "refuse", "operation": "retrieve", "status": 403, "times": None}
        async with http.post(f"{desk.origin}/_faults", json=fault) as answer:
            assert answer.status == 200
    result = await desk.run("reap")
    assert (result.exit_code, "bay 101  its sessions are not known" in result.output) == (69, True)


async def test_a_session_id_that_is_none_is_wrong_usage(desk: Desk) -> None:
    for command in (("get", "../sessions"), ("delete", "a b"), ("extend", "..", "--minutes", "5")):
        result = await desk.run(*command)
        assert (result.exit_code, "session_id" in result.output) == (2, True), command
