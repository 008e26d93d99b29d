"""The service as its own process: start, stop, crash, start again."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bayd.reference.central import make_app, serve
from tests.reference.central.conftest import Central, booking

# What the command line does: serve until the process ends, and say where.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from bayd.reference.central import serve
say = lambda url: print(url, flush=True)
asyncio.run(serve(Path(sys.argv[1]), 0, faults=True, minute_s=2.0, on_ready=say))
"""


@contextlib.asynccontextmanager
async def _process(db: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(db), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(50):
            url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(base_url=url) as http:
            yield process, http
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _post(http: aiohttp.ClientSession, path: str, body: Any, key: str) -> Any:
    async with http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
        assert answer.status == 200
        return (await answer.json())["data"]


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as answer:
        return (await answer.json())["data"]


async def test_a_killed_server_has_everything_it_had_answered(tmp_path: Path) -> None:
    db = tmp_path / "central.db"
    async with _process(db) as (process, http):
        session = await _post(http, "/session", booking(), "k-book")
        add = f"/session/addSessionTime/{session['id']}"
        await _post(http, add, {"duration": 5, "amount": 10}, "k-add")
        await _post(http, "/session/verify", {"bayNumber": "104", "pin": session["pin"]}, "k-verify")
        await _post(http, "/bay/state", {"bay": "104", "state": "PLAYING", "seq": 7}, "k-state")
        before = [await _get(http, path) for path in ("/session/history", "/bay", "/bay/state")]
        process.kill()
        await process.wait()
    async with _process(db) as (_, http):
        assert [await _get(http, path) for path in ("/session/history", "/bay", "/bay/state")] == before
        assert before[0][0]["active"] is True
        await _post(http, add, {"duration": 5, "amount": 10}, "k-add")
        assert (await _get(http, "/session/history"))[0]["extendedTime"] == 5


async def test_a_restart_keeps_everything(central: Central) -> None:
    session = await central.play("104", minutes=10)
    await central.call("PATCH", "/session", {"id": session["id"], "gameId": 3})
    await central.call("PATCH", "/bay", {"number": "105", "status": "Bay on Hold"})
    await central.book("105", isDiscounted=False)
    before = central.contents()
    await central.restart(bays=["999"])
    assert central.contents() == before
    assert (await central.call("GET", f"/session/{session['id']}")).data["game"]["id"] == 3
    central.clock.pass_minutes(11)
    await central.restart()
    assert (await central.call("GET", f"/session/{session['id']}")).data["active"] is False


async def test_serve_stops_when_cancelled_and_frees_its_port(tmp_path: Path) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        served = group.create_task(
            serve(tmp_path / "central.db", 0, on_ready=ready.set_result), name="central"
        )
        url = await ready
        async with aiohttp.ClientSession(base_url=url) as http, http.get("/events") as stream:
            assert len(await _get(http, "/bay")) == 42
            served.cancel()
            assert (await stream.content.read()).startswith(b": connected")  # an open stream ends too
    assert served.cancelled()
    async with aiohttp.ClientSession(base_url=url) as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await _get(http, "/bay")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
async def test_faults_stay_on_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="faults are on"):
        await serve(tmp_path / "central.db", 0, host=host, faults=True)
    assert not (tmp_path / "central.db").exists()


@pytest.mark.parametrize("minute_s", [0.0, -1.0, float("nan")])
async def test_a_minute_has_a_length(tmp_path: Path, minute_s: float) -> None:
    with pytest.raises(ValueError, match="minute_s"):
        await serve(tmp_path / "central.db", 0, minute_s=minute_s)


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time_scale"):
        make_app(tmp_path / "central.db", time_scale=0)
    with pytest.raises(ValueError, match="bays"):
        make_app(tmp_path / "central.db", bays=[])


async def test_the_file_of_a_newer_version_is_refused_and_left_alone(central: Central) -> None:
    await central.end_server()
    connection = sqlite3.connect(central.db)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('bayd.reference.central', 'm999_from_the_future', '')"
    )
    connection.commit()
    connection.close()
    before = central.contents()
    with pytest.raises(RuntimeError, match="m999_from_the_future"):
        await serve(central.db, 0)
    assert central.contents() == before


async def test_a_database_that_fails_is_said_and_is_no_crash(central: Central) -> None:
    session = await central.book()
    blocker = sqlite3.connect(central.db, isolation_level=None)
    blocker.execute("DROP TABLE extensions")
    answer = await central.call(
        "POST", f"/session/addSessionTime/{session['id']}", {"duration": 5, "amount": 0}, key="k-1"
    )
    blocker.close()
    assert "not known" in answer.refusal(503)["message"]
    assert (await central.call("GET", "/bay")).status == 200
