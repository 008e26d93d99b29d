"""The operator as a process: restarts, kills, many callers at once, the audit, the start, what it keeps."""

import asyncio
import json
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc.jwk import RSAKey

from bayd.reference.qod import (
    ClientRegistration,
    OperatorStartError,
    issue_device_token,
    load_clients,
    make_app,
    register_client,
    serve,
)
from bayd.reference.qod.database import OperatorDatabase
from bayd.reference.qod.dialects import CAMARA_1_1, TMOBILE_0_10
from bayd.reference.qod.requests import parse_create
from bayd.reference.qod.sessions import QosSession
from tests.reference.qod.harness import (
    NOON,
    SECRET,
    CamaraCaller,
    Running,
    TmobileCaller,
    basic,
    camara_request,
    running,
    tmobile_request,
)
from tests.reference.qod.test_events import RealClock

PARALLEL = 100


async def test_of_many_parallel_creates_exactly_one_succeeds(tmobile: TmobileCaller) -> None:
    replies = await asyncio.gather(*(tmobile.create() for _ in range(PARALLEL)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * (PARALLEL - 1)
    assert len(await tmobile.operator.ledger()) == 1


async def test_parallel_creates_of_different_flows_all_succeed(tmobile: TmobileCaller) -> None:
    replies = await asyncio.gather(
        *(tmobile.create(device={"phoneNumber": f"15550{number:05}"}) for number in range(PARALLEL))
    )
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body["sessionId"] for reply in replies}) == PARALLEL


def test_two_processes_on_one_file_never_give_a_flow_twice(db: Path) -> None:
    """As threads, each with its own connection: what they do must not depend on who reads before whom."""
    rounds = 150
    request = parse_create(json.dumps(tmobile_request()).encode(), TMOBILE_0_10, min_duration_s=60)

    def contend(name: str) -> int:
        database, given = OperatorDatabase(db), 0
        for number in range(rounds):
            session = QosSession(
                session_id=f"{name}-{number}",
                client_id="bayd",
                profile="QOS_VC",
                duration_s=600,
                created_at=NOON + number,
                available_due_at=NOON + number,
                retention_s=360.0,
                echo=request.echo,
            )
            if database.create(session, request) is not None:
                given += 1
                assert database.create(replace(session, session_id=f"{name}-{number}-b"), request) is None
                database.delete(session.session_id, NOON + number)
        database.close()
        return given

    with ThreadPoolExecutor(max_workers=2) as threads:
        given = list(threads.map(contend, ("one", "other")))
    assert sum(given) > 0  # who gets how many is up to the scheduler
    database = OperatorDatabase(db)
    assert len(database.ledger(NOON + rounds)) == sum(given)
    database.close()


async def test_one_proof_sent_many_times_at_once_counts_once(tmobile: TmobileCaller) -> None:
    path = "/qod/v0/sessions"
    body = json.dumps(tmobile_request()).encode()
    headers = tmobile.headers("POST", path, body)
    replies = await asyncio.gather(
        *(tmobile.operator.send("POST", path, body=body, headers=headers) for _ in range(20))
    )
    assert sorted(reply.status for reply in replies) == [201] + [401] * 19


async def test_a_restart_keeps_sessions_tokens_clients_and_used_proofs(db: Path, key: RSAKey) -> None:
    options: dict[str, Any] = {"faults": True, "requested_delay_s": 1.0}
    async with running(db, **options) as operator:
        clock = operator.clock
        caller = TmobileCaller(operator, key)
        await caller.login()
        ending = (await caller.create(duration=60)).body["sessionId"]
        lasting = (await caller.create(device={"phoneNumber": "1555010002"})).body["sessionId"]
        path = f"/qod/v0/sessions/{lasting}"
        headers = caller.headers("GET", path)
        assert (await operator.send("GET", path, headers=headers)).status == 200
    clock.advance(65)
    async with running(db, clock=clock, **options) as operator:
        caller.operator = operator
        # What fell due meanwhile happened at its own time.
        assert (await caller.get(ending)).body["qosStatus"] == "UNAVAILABLE"
        assert (await caller.get(lasting)).body["qosStatus"] == "AVAILABLE"
        row = next(row for row in await operator.ledger() if row["session_id"] == ending)
        assert row["available_at"] == row["created_at"] + 1
        assert row["ended_at"] == row["created_at"] + 61
        assert row["network_s"] == 60
        assert (await caller.create(device={"phoneNumber": "1555010002"})).status == 409
        assert (await operator.send("GET", path, headers=headers)).status == 401


async def test_the_ledger_adds_up(tmobile: TmobileCaller) -> None:
    """Every session that ever was, with its cause and the time that the network gave it."""
    clock = tmobile.operator.clock
    deleted = await tmobile.create()
    clock.advance(100)
    await tmobile.delete(deleted.body["sessionId"])
    await tmobile.create(duration=60)
    clock.advance(200)
    await tmobile.create()
    clock.advance(30)
    await tmobile.operator.order("terminate_now")
    clock.advance(1000)  # all are released by now, the ledger still knows them
    await tmobile.create()
    clock.advance(5)
    rows = await tmobile.operator.ledger()
    assert [(row["cause"], row["network_s"]) for row in rows] == [
        ("DELETE_REQUESTED", 100),
        ("DURATION_EXPIRED", 60),
        ("NETWORK_TERMINATED", 30),
        (None, 5),
    ]
    assert rows[0]["session_id"] == deleted.body["sessionId"]
    assert rows[0]["x_correlator"] == deleted.headers["x-correlator"]
    assert rows[0]["client_id"] == "bayd"


# As a process


@asynccontextmanager
async def served(
    db: Path, clients: Path, **options: Any
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    program = (
        "import asyncio, pathlib, sys\n"
        "from bayd.reference.qod import serve\n"
        "db, clients, options = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), eval(sys.argv[3])\n"
        "ready = lambda url: print(url, flush=True)\n"
        "asyncio.run(serve(db, 0, clients_file=clients, on_ready=ready, **options))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(db),
        str(clients),
        repr(options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while not (line := (await process.stdout.readline()).decode().strip()).startswith("http"):
                assert process.returncode is None
        yield process, line
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def clients_file(tmp_path: Path, key: RSAKey) -> Path:
    path = tmp_path / "clients.json"
    entry = {"secret": SECRET, "public_key_pem": key.as_pem(private=False).decode()}
    path.write_text(json.dumps({"bayd": entry}))
    return path


async def test_a_killed_operator_loses_nothing_that_it_answered(
    tmp_path: Path, clients_file: Path, key: RSAKey
) -> None:
    db = tmp_path / "killed.db"
    async with aiohttp.ClientSession() as http:
        async with served(db, clients_file, faults=True) as (process, url):
            assert url.endswith("/qod/v0")
            caller = TmobileCaller(Running(url.removesuffix("/qod/v0"), RealClock(), http), key)
            await caller.login()
            ids = [
                (await caller.create(device={"phoneNumber": f"155501{number:04}"})).body["sessionId"]
                for number in range(5)
            ]
            process.send_signal(signal.SIGKILL)
        async with served(db, clients_file, faults=True) as (process, url):
            caller.operator = Running(url.removesuffix("/qod/v0"), RealClock(), http)
            assert [(await caller.get(session_id)).status for session_id in ids] == [200] * 5
            assert [row["session_id"] for row in await caller.operator.ledger()] == ids


async def test_serve_runs_until_it_is_cancelled(tmp_path: Path) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            serve(tmp_path / "operator.db", 0, dialect="camara-1.1", on_ready=ready.set_result)
        )
        url = await ready
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/quality-on-demand/v1")
        async with aiohttp.ClientSession() as http, http.get(f"{url}/sessions/1") as response:
            assert response.status == 401
        task.cancel()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(url)


async def test_it_ends_at_once_although_a_call_hangs(db: Path) -> None:
    """A held call must not hold the end."""
    async with asyncio.timeout(25), running(db, dialect="camara-1.1", faults=True) as operator:
        caller = CamaraCaller(operator)
        await caller.login()
        await operator.order("delay", delay_s=600.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await caller.create()
        await operator.order("lose_reply", stage="after_commit", hang_s=600.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await caller.create()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
async def test_faults_are_for_loopback_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(OperatorStartError, match="this machine only"):
        await serve(tmp_path / "operator.db", 0, host=host, faults=True)
    assert not (tmp_path / "operator.db").exists()


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OperatorStartError, match=f"port {port}.*choose another"):
            await serve(tmp_path / "operator.db", port)


async def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "operator.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(OperatorStartError, match="cannot be opened"):
        await serve(path, 0)
    with pytest.raises(OperatorStartError, match="cannot be opened"):
        await serve(tmp_path / "nowhere" / "operator.db", 0)


async def test_an_unknown_dialect_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OperatorStartError, match=r"tmobile-0\.10, camara-1\.1"):
        await serve(tmp_path / "operator.db", 0, dialect="camara-9")


# Clients


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "object of client ids"),
        ('{"a": []}', "a: must be an object"),
        ('{"a": {"password": "x"}}', "a: must be an object of secret, public_key_pem"),
        ('{"a": {"secret": 5}}', "a.secret: must be a string"),
    ],
)
def test_a_bad_clients_file_says_where(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "clients.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        load_clients(path)


def test_a_missing_clients_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        load_clients(tmp_path / "clients.json")


@pytest.mark.parametrize(
    ("client_id", "entry", "reason"),
    [
        ("", ClientRegistration("a-secret"), "client_id"),
        ("a:b", ClientRegistration("a-secret"), "client_id"),
        ("a", ClientRegistration(), "needs a secret"),
        ("a", ClientRegistration("a-secret", "no key"), "public_key_pem"),
    ],
)
def test_a_bad_registration_is_refused(
    tmp_path: Path, client_id: str, entry: ClientRegistration, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        make_app(tmp_path / "operator.db", clients={client_id: entry})
    with pytest.raises(ValueError, match=reason):
        register_client(tmp_path / "operator.db", client_id, entry.secret, entry.public_key_pem)


def test_a_private_key_is_not_registered(tmp_path: Path, key: RSAKey) -> None:
    with pytest.raises(ValueError, match="register its public half"):
        register_client(tmp_path / "operator.db", "a", public_key_pem=key.as_pem(private=True).decode())


def test_a_device_token_is_for_a_registered_client(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not registered"):
        issue_device_token(tmp_path / "operator.db", "nobody", "1555010001", "x")


async def test_clients_given_to_the_app_or_registered_beside_it_are_known(
    tmp_path: Path, key: RSAKey
) -> None:
    db = tmp_path / "operator.db"
    pem = key.as_pem(private=False).decode()
    async with running(db, clients={"early": ClientRegistration(SECRET, pem)}) as operator:
        early = TmobileCaller(operator, key, client_id="early")
        late = TmobileCaller(operator, key, client_id="late")
        assert (await early.login()).status == 200
        assert (await late.login()).status == 401
        register_client(db, "late", SECRET, pem)  # as another process would
        assert (await late.login()).status == 200
        register_client(db, "late", "another-secret", pem)
        assert (await late.login()).status == 401


# What is kept, and what is said


def test_what_names_a_device_or_opens_a_sink_is_forgotten_with_the_session(db: Path) -> None:
    """Even from the free pages of the file."""
    phone, opener = "1555019876", "the-key-to-the-sink"
    sink = {
        "sink": "https://127.0.0.1/events",
        "sinkCredential": {
            "credentialType": "ACCESSTOKEN",
            "accessToken": opener,
            "accessTokenExpiresUtc": "2030-01-01T00:00:00Z",
            "accessTokenType": "bearer",
        },
    }
    body = json.dumps(camara_request(device={"phoneNumber": f"+{phone}"}, **sink)).encode()
    request = parse_create(body, CAMARA_1_1, min_duration_s=60)
    session = QosSession(
        session_id="00000000-0000-4000-8000-000000000001",
        client_id="bayd",
        profile="QOS_E",
        duration_s=600,
        created_at=NOON,
        available_due_at=NOON,
        retention_s=360.0,
        echo=request.echo,
    )
    database = OperatorDatabase(db)
    database.create(session, request)
    assert phone.encode() in all_bytes_of(db)
    assert opener.encode() in all_bytes_of(db)
    database.delete(session.session_id, NOON + 1)
    events = database.due_events(NOON + 1)
    assert len(events) == 2
    for event in events:
        database.event_done(event)
    database.close()
    assert phone.encode() not in all_bytes_of(db)
    assert opener.encode() not in all_bytes_of(db)


async def test_no_secret_of_a_client_is_in_the_file(tmobile: TmobileCaller, db: Path) -> None:
    await tmobile.create()
    kept = all_bytes_of(db)
    assert SECRET.encode() not in kept
    assert tmobile.token.encode() not in kept


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    register_client(tmp_path / "operator.db", "bayd", SECRET)
    assert (tmp_path / "operator.db").stat().st_mode & 0o077 == 0


def all_bytes_of(db: Path) -> bytes:
    """Of the file, and of its journal while there is one."""
    return b"".join(path.read_bytes() for path in db.parent.glob(f"{db.name}*"))


async def test_no_log_and_no_refusal_names_the_device(
    tmobile: TmobileCaller, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""
    for phone in ("1555019876", "155501987x", "15550198761555019876"):
        for _ in range(2):
            reply = await tmobile.create(device={"phoneNumber": phone})
            if reply.status >= 400:
                said += reply.raw.decode()
    assert "message" in said
    written = capfd.readouterr()
    log = written.out + written.err
    assert "qod_call_answered" in log
    for secret in ("155501987", tmobile.token, SECRET, basic()):
        assert secret not in said + log


async def test_a_defect_is_a_500_that_says_nothing(
    tmobile: TmobileCaller, db: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(db) as other:
        other.execute("ALTER TABLE sessions RENAME COLUMN echo TO other")
    other.close()
    reply = await tmobile.create(device={"phoneNumber": "1555019876"})
    assert reply.error == (500, "INTERNAL")
    log = capfd.readouterr().out
    assert "qod_call_failed" in log
    assert "1555019876" not in log + reply.raw.decode()
