"""What breaks around a bay, with all that is real: the daemon, machines on their lines, server and operator.

Rows of the table in docs/operations.md. Two guests at one machine, and staff at their board.
"""

import asyncio
import json
import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from bayd.demo.doors import Booked, Doors
from bayd.demo.stage import Stage
from tests.browser.states import type_pin
from tests.browser.test_daemon import joined
from tests.cli.command import command, environment
from tests.demo.staged import book, heed
from tests.let_out import keep_secret

pytestmark = pytest.mark.timeout(300)  # four processes and a browser start first

_FIRST, _SECOND = "101", "102"  # at the machine "east"
_STAFF_PIN = "864209"
_MINUTES = 90  # of two seconds each
_PATIENCE_S = 60.0
_PATIENCE_MS = 1_000 * _PATIENCE_S


@dataclass(frozen=True)
class Around:
    """`screens` by bay; the board of somebody who signed in."""

    stage: Stage
    doors: Doors
    screens: dict[str, Page]
    board: Page

    async def booked(self, bay: str) -> Booked:
        """And the bay knows it."""
        slip = await book(self.doors, bay, _MINUTES, 500)
        await expect(self.screens[bay].get_by_role("heading", name="Your bay is ready")).to_be_visible()
        return slip

    async def begin(self, slip: Booked) -> None:
        status, _ = await self.doors.type_pin(slip.bay, slip.pin)
        assert status == 200
        await expect(self.screens[slip.bay].get_by_test_id("time")).to_be_visible()

    async def press_for_balls(self, bay: str, balls: int) -> None:
        """And wait at the machine."""
        await self.stage.order("wait_for_balls", bay=bay, balls=balls)
        await self.screens[bay].get_by_test_id("act-balls").click()
        await self.screens[bay].get_by_test_id(f"balls-{balls}").click()

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The status, once it does."""
        async with asyncio.timeout(_PATIENCE_S):
            while not holds(status := await self.doors.status()):  # noqa: ASYNC110 # its poll
                await asyncio.sleep(0.1)
        return status

    async def staff_read(self, text: str) -> None:
        """Of the whole range."""
        await expect(self.board.locator("#range")).to_contain_text(text, timeout=_PATIENCE_MS)

    async def staff_read_no(self, text: str) -> None:
        await expect(self.board.locator("#range")).not_to_contain_text(text, timeout=_PATIENCE_MS)


@pytest_asyncio.fixture
async def around(tmp_path: Path, browser: Browser) -> AsyncIterator[Around]:
    keep_secret(_STAFF_PIN)
    async with aiohttp.ClientSession() as http, Stage(tmp_path) as stage:
        heed(stage)
        contexts = [await browser.new_context(reduced_motion="reduce") for _ in range(3)]
        screens = {
            _FIRST: await joined(stage, contexts[0], _FIRST),
            _SECOND: await joined(stage, contexts[1], _SECOND),
        }
        board = await contexts[2].new_page()
        await _sign_in(stage, board)
        yield Around(stage, Doors(stage, http), screens, board)
        for context in contexts:
            await context.close()


async def _sign_in(stage: Stage, board: Page) -> None:
    add = command("staff", "add", "asha", "--socket", stage.directory / "state/bayd.sock")
    adding = await asyncio.create_subprocess_exec(*add, stdin=subprocess.PIPE, env=environment())
    await adding.communicate(f"{_STAFF_PIN}\n".encode())
    assert adding.returncode == 0
    await board.goto(stage.url("bayd"))
    await board.get_by_label("Name").fill("asha")
    await board.get_by_label("PIN").fill(_STAFF_PIN)
    await board.get_by_test_id("login").click()
    await expect(board.locator("html")).to_have_attribute("data-fresh", "true")


@asynccontextmanager
async def _away(stage: Stage, name: str) -> AsyncIterator[None]:
    await stage.stop(name)
    yield
    await stage.start(name)


def _rows(file: Path, sql: str, *values: object) -> list[Any]:
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.close()


def _journaled(stage: Stage, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Events of this kind with their bays, in their order."""
    found = _rows(stage.journal, "SELECT bay, payload FROM events WHERE kind = ? ORDER BY seq", kind)
    return [(bay, json.loads(payload)) for bay, payload in found]


async def test_a_machine_that_pays_another_bay_pays_this_one_next(around: Around) -> None:
    for bay in (_SECOND, _FIRST):
        await around.begin(await around.booked(bay))
    await around.press_for_balls(_SECOND, 50)
    await expect(around.screens[_SECOND].get_by_test_id("act-balls")).to_contain_text("balls are coming")
    await around.press_for_balls(_FIRST, 10)
    mine = around.screens[_FIRST].get_by_test_id("act-balls")
    await expect(mine).to_contain_text("1 bay before you")
    await expect(mine).to_be_disabled()
    await expect(around.board.locator(f"#bay-{_FIRST}")).to_contain_text("1 bay before it at the machine")
    await expect(around.board.locator(f"#bay-{_SECOND}")).to_contain_text("balls are coming")
    status = await around.doors.status()
    assert status["devices"]["dispensers"]["east"]["queue"] == [_SECOND, _FIRST]
    assert status["bays"][_FIRST]["balls"]["counted"] == 0
    for bay, balls in ((_SECOND, 50), (_FIRST, 10)):
        fact = around.screens[bay].get_by_test_id("fact-balls")
        await expect(fact).to_have_text(str(balls), timeout=_PATIENCE_MS)
    await expect(mine).to_be_enabled()
    await around.until(lambda status: status["devices"]["dispensers"]["east"]["queue"] == [])
    # All of the books: the journal's, and of one who stood at the machine.
    paid = [(bay, event["paid"]) for bay, event in _journaled(around.stage, "PayoutClosed")]
    assert paid == [(_SECOND, 50), (_FIRST, 10)]
    marks = [bay for bay, _ in _journaled(around.stage, "PayoutMarked")]
    assert marks == [_SECOND, _FIRST]
    assert (await around.stage.order("look"))["paid"]["east"] == 60
    fell = _rows(around.stage.plan.book, "SELECT bay, count(*) FROM balls GROUP BY bay ORDER BY bay")
    assert fell == [(_FIRST, 10), (_SECOND, 50)]


async def test_a_server_that_is_away_stops_no_play_and_is_told_afterwards(around: Around) -> None:
    slip = await around.booked(_FIRST)
    async with _away(around.stage, "central"):
        await around.staff_read("The central server does not answer")
        await type_pin(around.screens[_FIRST], slip.pin)
        await expect(around.screens[_FIRST].get_by_test_id("time")).to_be_visible()
        await around.staff_read("1 message waits for it")
        await around.press_for_balls(_FIRST, 10)
        await expect(around.screens[_FIRST].get_by_test_id("fact-balls")).to_have_text("10")
        status = await around.doors.status()
        assert (status["central"]["online"], status["central"]["outbox"]) == (False, 1)
        session = status["bays"][_FIRST]["session"]
        assert session["minutes"] == _MINUTES
        ((verified,),) = _rows(
            around.stage.central_db, "SELECT verified_ms FROM sessions WHERE id = ?", slip.session
        )
        assert verified is None
    await around.staff_read_no("central server")
    status = await around.until(lambda status: status["central"]["outbox"] == 0)
    assert status["bays"][_FIRST]["session"]["id"] == session["id"]
    assert status["bays"][_FIRST]["session"]["minutes"] == _MINUTES
    ((verified,),) = _rows(
        around.stage.central_db, "SELECT verified_ms FROM sessions WHERE id = ?", slip.session
    )
    assert verified is not None
    assert len(_journaled(around.stage, "SessionStarted")) == 1


async def test_an_operator_that_is_down_stops_no_play_and_is_asked_again(around: Around) -> None:
    slips = [await around.booked(bay) for bay in (_FIRST, _SECOND)]
    async with _away(around.stage, "qod"):
        for slip in slips:
            await around.begin(slip)
        await around.staff_read("The mobile operator does not answer")
        status = await around.until(lambda status: status["qod"]["state"] == "unreachable")
        assert "qod_operator_away" in {warning["code"] for warning in status["warnings"]}
        assert status["bays"][_FIRST]["qod"]["state"] != "available"
        await around.press_for_balls(_FIRST, 10)
        await expect(around.screens[_FIRST].get_by_test_id("fact-balls")).to_have_text("10")
        await around.screens[_FIRST].get_by_test_id("help").click()
        await expect(around.screens[_FIRST].get_by_test_id("help")).to_contain_text("Staff called")
        await expect(around.screens[_FIRST].get_by_test_id("time")).to_contain_text(re.compile("^[12]:"))
        assert _rows(around.stage.qod_db, "SELECT count(*) FROM sessions") == [(0,)]
    await around.staff_read_no("mobile operator")
    for bay in (_FIRST, _SECOND):
        row = around.board.locator(f"#bay-{bay}")
        await expect(row).to_contain_text("Low latency: on", timeout=_PATIENCE_MS)
    assert _rows(around.stage.qod_db, "SELECT count(*) FROM sessions") == [(2,)]
