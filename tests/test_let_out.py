"""The suite's own rule that no secret leaves the daemon: it hears, and it can fail."""

import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.cli.command import bayd_here
from tests.let_out import LET_OUT, LetOut, hear, listen_to
from tests.reconcile.central_world import central_world
from tests.web.house import PIN, STAFF, House

_LEAKY = """
import logging
from tests.let_out import hear, keep_secret

def test_prints(): keep_secret("970123"); print("typed: 970123")
def test_logs(): keep_secret("15550100" "01"); logging.getLogger("x").warning("not %s", "15550100" "01")
def test_answers(): keep_secret("970123"); hear("answer", '{"pin":"970123"}')
def test_says_another_number(): keep_secret("970123"); print("97012, 1970123 and 0.970123")
def test_knows_only_its_own(): print("970123")
"""


def test_a_leak_fails_the_test_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "test_leaky.py").write_text(_LEAKY)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.let_out", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, "-c", "/dev/null", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    failed = set(re.findall(r"^FAILED .*::(\w+)", done.stdout, re.MULTILINE))
    assert failed == {"test_prints", "test_logs", "test_answers"}, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("secret", ["246813", "1555010099", "token-0123456789"])
def test_a_secret_is_found_wherever_it_was_heard(secret: str) -> None:
    let_out = LetOut()
    let_out.keep_secret(secret)
    let_out.hear("log", f"tried {secret[:5]}")
    assert let_out.leaks() == []
    let_out.hear("metrics", f'tries{{pin="{secret}"}} 1')
    assert len(let_out.leaks()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "op_id=0c246813e5",
        "session wf246813",
        "Content-Length: 246813",
        "(b'Content-Length', b'246813')",
        "0.246813",
    ],
)
def test_a_pin_is_not_found_by_chance(text: str) -> None:
    let_out = LetOut()
    let_out.keep_secret("246813")
    let_out.hear("answer", text)
    assert let_out.leaks() == []


def test_a_short_secret_is_refused_rather_than_found_everywhere() -> None:
    with pytest.raises(AssertionError, match="too short"):
        LetOut().keep_secret("hi")


def test_the_log_of_a_process_is_read_when_the_test_is_over(tmp_path: Path) -> None:
    let_out, log = LetOut(), tmp_path / "bayd.log"
    let_out.keep_secret("246813")
    let_out.read_log(log)
    assert let_out.leaks() == []
    log.write_text("event=pin_checked pin=246813\n")
    assert len(let_out.leaks()) == 1


async def test_what_a_daemon_in_another_process_answers_is_heard() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"secret": "not of this test"})

    app = web.Application()
    app.router.add_get("/status", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        for heard in (False, True):
            if heard:
                listen_to(server.port or 0)
            async with http.get(server.make_url("/status")) as reply:
                assert (await reply.json())["secret"]
            assert ("not of this test" in LET_OUT.heard("answer of a process")) is heard


async def test_what_the_service_answers_is_heard(tmp_path: Path) -> None:
    async with House(tmp_path / "journal.db").open() as house:
        await house.book()
        await house.press("pin", {"pin": PIN})
        for path in ("/status", "/metrics", "/api/v1/bays/109"):
            said = await house.ask("GET", path, token=STAFF)
            assert said.status == 200
            assert said.text in LET_OUT.heard("http"), path


@pytest.mark.virtual_time
async def test_the_log_and_the_addresses_of_a_world_are_heard(tmp_path: Path) -> None:
    async with central_world(tmp_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.log.info("something_happened", number=7)
        assert "something_happened" in LET_OUT.heard("log")
        assert "/session/history" in LET_OUT.heard("address asked")
        probe = LetOut()
        probe.keep_secret(session["pin"])
        probe.hear("log", f"pin {session['pin']}")
        assert probe.leaks(), "its PINs can be told from other numbers"


def test_what_a_command_says_is_heard() -> None:
    bayd_here("version")
    assert "0." in LET_OUT.heard("command line")


def test_what_is_heard_in_one_test_is_not_held_against_another() -> None:
    assert LET_OUT.heard("http") == LET_OUT.heard("log") == ""
    hear("log", "one line")
    assert LET_OUT.leaks() == []
