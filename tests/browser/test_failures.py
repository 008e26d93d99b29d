"""What breaks at a bay, and what guest and staff then see: the table in docs/operations.md, row by row.

Two browsers look at the same bay 109: its screen, and the board of somebody who signed in.
"""

import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import DeviceState, PayoutEnd
from tests.browser import states
from tests.browser.states import let_in, prepare, type_pin
from tests.browser.test_board import act
from tests.browser.test_daemon import STAFF as DAEMONS_STAFF
from tests.browser.test_daemon import pair
from tests.browser.test_pairing import code_on
from tests.cli.daemon import configuration, free_port, started
from tests.journal.world import Fault, FaultyDisk
from tests.let_out import keep_secret
from tests.web.house import PIN, STAFF, House

TAP = Actor(Role.SCREEN, "screen")
_NOTICED_MS = 60_000  # a page notices silence after twelve seconds


@dataclass(frozen=True)
class Bay:
    """Bay 109, where a session of an hour plays, with what is seen of it."""

    house: House
    screen: Page
    row: Page
    context: BrowserContext

    async def plays_on(self) -> None:
        await expect(self.screen.locator("#screen")).to_have_attribute("data-phase", "playing")
        await expect(self.screen.get_by_test_id("time")).to_contain_text(re.compile("^59:|^1:00:00"))

    async def staff_see(self, text: str) -> None:
        await expect(self.row.locator("#bay-109")).to_contain_text(text)

    async def staff_read(self, text: str) -> None:
        """Of the whole range; the board asks every three seconds."""
        await expect(self.row.locator("#range")).to_contain_text(text)

    async def told(self, text: str) -> None:
        await expect(self.screen.get_by_test_id("told")).to_contain_text(text)

    async def warnings(self) -> set[str]:
        status = (await self.house.ask("GET", "/status")).json
        return {warning["code"] for warning in status["warnings"] if warning["bay"] == "109"}

    async def balls(self) -> tuple[int, int]:
        """Paid out, and owed."""
        balls = (await self.house.ask("GET", "/api/v1/bays/109", token=STAFF)).json["balls"]
        return balls["counted"], balls["balance"]


@pytest_asyncio.fixture
async def looked_at(house_with_rules: House, context: BrowserContext, browser: Browser) -> AsyncIterator[Bay]:
    """Booked, with screen and board open."""
    complaints: list[str] = []
    staff = await browser.new_context(reduced_motion="reduce")
    staff.on("weberror", lambda error: complaints.append(str(error.error)))
    async with house_with_rules.open() as house:
        await house.book()
        await let_in(house, context)
        await states.sign_in(house, staff)
        screen, board = await context.new_page(), await staff.new_page()
        await screen.goto(house.url("/bay/109"))
        await board.goto(house.url("/"))
        await expect(screen.get_by_test_id("keys")).to_be_visible()
        await expect(board.locator("html")).to_have_attribute("data-fresh", "true")
        yield Bay(house, screen, board, context)
        await staff.close()
        assert not complaints, "\n".join(complaints)


@pytest.fixture
def house_with_rules(closed_house: House) -> House:
    prepare(closed_house)
    return closed_house


@pytest_asyncio.fixture
async def bay(looked_at: Bay) -> Bay:
    await type_pin(looked_at.screen, PIN)
    await looked_at.plays_on()
    return looked_at


async def test_a_blind_reader_stops_no_play(bay: Bay) -> None:
    await bay.house.bays.submit("109", i.DeviceReported("reader", DeviceState.LOST, "no answer"))
    await bay.staff_see("no answer")
    assert await bay.warnings() == {"reader_lost"}
    await bay.plays_on()
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_enabled()
    await bay.house.press("dispense", {"balls": 25})
    await expect(bay.screen.get_by_test_id("act-balls")).to_contain_text("25 balls are coming")
    await bay.house.bays.submit("109", i.DeviceReported("reader", DeviceState.OK, ""))
    await expect(bay.row.locator("#bay-109")).not_to_contain_text("no answer")


@pytest.mark.parametrize("reason", ["jam", "empty"])
async def test_a_machine_that_stops_owes_the_rest(bay: Bay, reason: str) -> None:
    house = bay.house
    await bay.screen.get_by_test_id("act-balls").click()
    await bay.screen.get_by_test_id("balls-25").click()
    await expect(bay.screen.get_by_test_id("act-balls")).to_contain_text("25 balls are coming")
    payout = house.bays.get("109").payout
    assert payout is not None
    await house.bays.submit("109", i.PayoutMarkTaken(payout.payout_id, 25, {"event": 1}))
    await house.bays.submit("109", i.PayoutProgressed(payout.payout_id, 7))
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, reason))
    await house.bays.submit("109", i.PayoutEnded(payout.payout_id, PayoutEnd.FAULT, 7, reason))
    await expect(bay.screen.get_by_test_id("act-balls")).to_contain_text("Staff know")
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_disabled()
    await bay.staff_see(reason)
    assert "dispenser_fault" in await bay.warnings()
    assert await bay.balls() == (7, 18)
    await bay.plays_on()
    # Nothing starts by itself when a person has looked: a new press pays what is owed.
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.OK, ""))
    await house.press("fault/clear", {"device": "dispenser"}, token=STAFF)
    await expect(bay.screen.get_by_test_id("act-balls")).to_contain_text("18 balls are still yours")
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_enabled()
    assert house.bays.get("109").payout is None


async def test_a_busy_machine_shows_the_place_in_its_queue(bay: Bay) -> None:
    bay.house.queue["109"] = 1
    await bay.house.press("dispense", {"balls": 25})
    await expect(bay.screen.get_by_test_id("act-balls")).to_contain_text("1 bay before you")
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_disabled()
    await bay.plays_on()
    bay.house.queue["109"] = 0
    payout = bay.house.bays.get("109").payout
    assert payout is not None
    await bay.house.bays.submit("109", i.PayoutMarkTaken(payout.payout_id, 25, {"event": 1}))
    await bay.house.bays.submit("109", i.PayoutEnded(payout.payout_id, PayoutEnd.DONE, 25, ""))
    await expect(bay.screen.get_by_test_id("fact-balls")).to_have_text("25")
    assert await bay.balls() == (25, 0)


async def test_a_pin_that_is_known_plays_without_the_server(looked_at: Bay) -> None:
    house = looked_at.house
    house.verifier.away = True
    house.verifier.kept = {PIN: "7"}
    house.central.update(online=False, outbox=3, oldest_s=20.0)
    await type_pin(looked_at.screen, PIN)
    await looked_at.plays_on()
    await looked_at.staff_read("The central server does not answer; 3 messages wait for it.")
    status = (await house.ask("GET", "/status")).json
    assert (status["central"]["online"], status["central"]["outbox"]) == (False, 3)


async def test_a_pin_that_nobody_can_check_costs_no_try(looked_at: Bay) -> None:
    looked_at.house.verifier.away = True
    await type_pin(looked_at.screen, PIN)
    await expect(looked_at.screen.get_by_test_id("pad-message")).to_contain_text("cannot be checked now")
    assert looked_at.house.bays.get("109").pad.failures == 0
    await expect(looked_at.row.get_by_test_id("phase-109")).to_have_attribute("data-phase", "booked")
    await looked_at.house.press("start", {"reason": "the server is away"}, token=STAFF)
    await looked_at.plays_on()


async def test_a_right_pin_at_the_wrong_bay_is_told_so(looked_at: Bay) -> None:
    elsewhere = "135790"
    keep_secret(elsewhere)
    looked_at.house.verifier.elsewhere = frozenset({elsewhere})
    await type_pin(looked_at.screen, elsewhere)
    await expect(looked_at.screen.get_by_test_id("pad-message")).to_contain_text("opens another bay")
    assert looked_at.house.bays.get("109").pad.failures == 1
    await expect(looked_at.row.get_by_test_id("phase-109")).to_have_attribute("data-phase", "booked")
    await type_pin(looked_at.screen, PIN)
    await looked_at.plays_on()


async def test_a_locked_pad_says_for_how_long_and_staff_open_it(looked_at: Bay) -> None:
    for _ in range(5):
        await looked_at.house.press("pin", {"pin": "000000"})
    await expect(looked_at.screen.get_by_test_id("lock-seconds")).to_be_visible()
    await expect(looked_at.row.locator("#bay-109")).to_have_attribute("data-urgent", "1")
    await act(looked_at.row, "109", "unlock", reason="their slip was wet")
    await expect(looked_at.row.locator("#bay-109")).to_have_attribute("data-urgent", "0")
    await type_pin(looked_at.screen, PIN)
    await looked_at.plays_on()


async def test_an_operator_that_is_down_stops_no_play(bay: Bay) -> None:
    bay.house.qod = {
        "state": "unreachable",
        "states": {"degraded": 1},
        "sessions_today": 1,
        "minutes_today": 1.0,
        "orphans": [],
    }
    bay.house.qod_state = "degraded"
    bay.house.range_warnings.append(
        {"code": "qod_operator_away", "since": None, "text": "It does not answer."}
    )
    assert (await bay.house.ask("GET", "/status")).json["qod"]["state"] == "unreachable"
    assert 'bayd_qod_bays{state="degraded"} 1.0' in (await bay.house.ask("GET", "/metrics")).text
    await bay.plays_on()
    await bay.house.press("help")
    await expect(bay.screen.get_by_test_id("help")).to_contain_text("Staff called")
    await bay.staff_see("Low latency: not to be had")
    await bay.staff_read("The mobile operator does not answer")


async def test_a_screen_without_network_says_so_and_has_all_when_it_is_back(bay: Bay) -> None:
    await bay.context.set_offline(True)
    for viewer in tuple(bay.house.streams._viewers):  # what is open stays open over the loopback
        if viewer.caller.bay == "109":
            viewer.cut_off()
    await expect(bay.screen.get_by_test_id("stale")).to_be_visible(timeout=_NOTICED_MS)
    await expect(bay.screen.get_by_test_id("help")).to_be_disabled()
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_disabled()
    more = {"minutes": 30, "payment": "cash", "amount": 0, "reason": "as the guest asked"}
    extended = await bay.house.press("extend", more, token=STAFF)
    assert extended.status == 200
    await bay.context.set_offline(False)
    await expect(bay.screen.get_by_test_id("stale")).to_be_hidden(timeout=_NOTICED_MS)
    await expect(bay.screen.get_by_test_id("time")).to_contain_text("1:29:")
    await expect(bay.screen.get_by_test_id("act-balls")).to_be_enabled()


async def test_a_full_disk_refuses_the_press_and_not_the_play(
    house_with_rules: House, context: BrowserContext, browser: Browser
) -> None:
    disk = FaultyDisk()
    house_with_rules.connect = disk.connect
    async with house_with_rules.open() as house:
        await house.play()
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_test_id("time")).to_be_visible()
        desk = await browser.new_context(reduced_motion="reduce")
        await states.sign_in(house, desk)
        board = await desk.new_page()
        before = house.journal.last_seq
        disk.faults.append(Fault("INSERT INTO events", code=sqlite3.SQLITE_FULL, times=99))
        await page.get_by_test_id("help").click()
        await expect(page.get_by_test_id("told")).to_have_attribute("data-tone", "alarm")
        await expect(page.locator("#screen")).to_have_attribute("data-phase", "playing")
        assert house.journal.last_seq == before
        assert house.journal.health.disk_full
        assert "bayd_journal_disk_full 1.0" in (await house.ask("GET", "/metrics")).text
        house.range_warnings.append({"code": "disk_full", "since": None, "text": "The disk is full."})
        await board.goto(house.url("/"))
        await expect(board.locator("#range")).to_contain_text("disk is full")
        await expect(board.get_by_test_id("phase-109")).to_have_text("Playing")
        await act(board, "109", "pause", reason="rain")
        await expect(board.get_by_test_id("refused")).to_contain_text("disk")
        await desk.close()
        disk.faults.clear()
        await page.get_by_test_id("help").click()
        await expect(page.get_by_test_id("help")).to_contain_text("Staff called")


async def test_a_call_that_nobody_answers_stays_called_and_grows_late(bay: Bay) -> None:
    await bay.screen.get_by_test_id("help").click()
    await expect(bay.screen.get_by_test_id("help")).to_contain_text("Staff called")
    call = bay.row.get_by_test_id("call-help-109")
    await expect(call).to_contain_text("calls for help")
    bay.house.clock.go_on(121_000)
    await bay.house.bays.submit("109", i.DeviceReported("reader", DeviceState.OK, ""))  # some news of the bay
    await expect(call).to_have_class(re.compile("late"))
    await expect(bay.screen.get_by_test_id("help")).to_contain_text("Staff called")
    await bay.row.get_by_test_id("help/acknowledge-109").click()
    await bay.told("on their way")


async def test_a_session_goes_on_after_a_kill_and_after_a_reboot(
    tmp_path: Path, context: BrowserContext
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = configuration(tmp_path, port)
    config.write_text(config.read_text() + '[central.walk_in]\nphone_number = "1555010000"\n')
    env = {"BAYD_API_TOKENS": f"{DAEMONS_STAFF} staff anna", "BAYD_BOOT_ID": "first"}
    page = await context.new_page()
    with started("run", "--config", config, env=env) as daemon:
        daemon.wait_for("event=bayd_ready")
        await page.goto(f"{url}/bay/109")
        await pair(url, DAEMONS_STAFF, await code_on(page), "109")
        await expect(page.get_by_test_id("keys")).to_be_visible()
        await _walk_in(url)
        await expect(page.get_by_test_id("time")).to_contain_text(re.compile("^29:|^30:00"))
        should_end = await _ends_at(url)
        daemon.stop(signal.SIGKILL)
        killed_at = time.monotonic()
        await expect(page.get_by_test_id("stale")).to_be_visible()
        await expect(page.get_by_test_id("time")).to_contain_text(re.compile("^29:|^30:00"))
    for boot in ("first", "second"):  # the daemon alone, then the PC
        with started("run", "--config", config, env={**env, "BAYD_BOOT_ID": boot}) as daemon:
            await expect(page.get_by_test_id("stale")).to_be_hidden(timeout=_NOTICED_MS)
            await expect(page.get_by_test_id("act-end")).to_be_enabled()
            await expect(page.get_by_test_id("time")).to_contain_text(re.compile("^2[6789]:"))
            if boot == "first":
                # Counted as play, not credited: it ends when it should have ended anyway.
                away_s = time.monotonic() - killed_at
                assert abs((await _ends_at(url) - should_end).total_seconds()) < away_s / 2
            daemon.stop(signal.SIGKILL)


async def _ends_at(url: str) -> datetime:
    headers = {"Authorization": f"Bearer {DAEMONS_STAFF}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/v1/bays/109", headers=headers) as answer,
    ):
        return datetime.fromisoformat((await answer.json())["session"]["ends_at"])


async def _walk_in(url: str) -> None:
    headers = {"Authorization": f"Bearer {DAEMONS_STAFF}", "Idempotency-Key": "walk-in"}
    body = {"minutes": 30, "amount": 0, "reason": "a walk-in"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/v1/bays/109/walk-in", json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
