"""A screen and a daemon, each in a process of its own, that start, stop and fall silent as they like."""

import os
import signal
from pathlib import Path

import aiohttp
from playwright.async_api import BrowserContext, Page, expect

from bayd.demo.doors import Doors
from bayd.demo.stage import Stage
from tests.browser.states import type_pin
from tests.browser.test_pairing import code_on
from tests.cli.daemon import configuration, started
from tests.demo.staged import book, heed
from tests.free_ports import free_port

WAIT_PAGE = Path(__file__).parents[2] / "systemd/kiosk/wait.html"
STAFF = "staff-token-for-the-screens-test"
_SILENCE_MS = 60_000  # the page notices after twelve seconds


async def pair(url: str, token: str, code: str, bay: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/v1/screens/pair", json={"code": code, "bay": bay}, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_a_screen_waits_for_the_daemon_and_outlasts_it(tmp_path: Path, context: BrowserContext) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = configuration(tmp_path, port)
    env = {"BAYD_API_TOKENS": f"{STAFF} staff anna"}
    page = await context.new_page()
    await page.goto(f"{WAIT_PAGE.as_uri()}#{url}/bay/109")
    await expect(page.locator("#text")).to_have_text("One moment, please")
    with started("run", "--config", config, env=env) as daemon:
        await pair(url, STAFF, await code_on(page), "109")
        await expect(page.get_by_test_id("keys")).to_be_visible()
        assert page.url == f"{url}/bay/109"
        stale = page.get_by_test_id("stale")
        await expect(stale).to_be_hidden()
        # It lives and says nothing: only the missing signs of life tell.
        os.kill(daemon.process.pid, signal.SIGSTOP)
        await expect(stale).to_be_visible(timeout=_SILENCE_MS)
        await expect(page.get_by_test_id("help")).to_be_disabled()
        os.kill(daemon.process.pid, signal.SIGCONT)
        await expect(stale).to_be_hidden(timeout=_SILENCE_MS)
        daemon.stop(signal.SIGKILL)
        await expect(stale).to_be_visible()
    await page.evaluate("window.release = 'old'")
    await page.route("**/icon.svg", lambda route: route.fulfill(status=404), times=1)
    with started("run", "--config", config, env=env):
        # Its files are another release's: the page is loaded anew.
        await page.wait_for_function("() => window.release === undefined", timeout=_SILENCE_MS)
        await expect(stale).to_be_hidden(timeout=_SILENCE_MS)
        await expect(page.get_by_test_id("help")).to_be_enabled()
        await page.get_by_test_id("help").click()
        await expect(page.get_by_test_id("help")).to_contain_text("Staff called")


async def joined(stage: Stage, context: BrowserContext, bay: str) -> Page:
    page = await context.new_page()
    await page.goto(f"{stage.url('bayd')}/bay/{bay}")
    await pair(stage.url("bayd"), stage.tokens.staff, await code_on(page), bay)
    await expect(page.get_by_test_id("bay-number")).to_have_text(bay)
    return page


async def test_from_the_pin_to_the_end(tmp_path: Path, context: BrowserContext) -> None:
    """A guest at a simulated bay: booked at reception, plays, takes balls and more time, and goes."""
    bay = "104"
    async with aiohttp.ClientSession() as http, Stage(tmp_path) as stage:
        doors = Doors(stage, http)
        heed(stage)
        page = await joined(stage, context, bay)
        await expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        booked = await book(doors, bay, 90, 500)
        await expect(page.get_by_role("heading", name="Your bay is ready")).to_be_visible()
        await type_pin(page, "111111" if booked.pin != "111111" else "222222")
        await expect(page.get_by_test_id("pad-message")).to_contain_text("does not open this bay")
        await type_pin(page, booked.pin)
        await expect(page.get_by_test_id("time")).to_be_visible()

        await stage.order("wait_for_balls", bay=bay, balls=10)
        await page.get_by_test_id("act-balls").click()
        await page.get_by_test_id("balls-10").click()
        await expect(page.get_by_test_id("fact-balls")).to_have_text("10")

        await page.get_by_test_id("act-time").click()
        await page.locator(".choices button").first.click()
        await expect(page.get_by_test_id("act-time")).to_contain_text("asked for")
        status, _ = await doors.press(bay, "extend/approve", {"payment": "cash", "amount": 100}, staff=True)
        assert status == 200
        await expect(page.get_by_test_id("act-time")).to_be_enabled()

        root = page.locator("#screen")
        await page.get_by_test_id("act-end").click()
        await page.get_by_test_id("end-yes").click()
        await expect(root).to_have_attribute("data-phase", "grace")
        await expect(page.get_by_test_id("result")).to_contain_text("10 balls")
        await expect(root).to_have_attribute("data-phase", "free", timeout=60_000)
        shown = (await doors.status())["bays"][bay]
        assert (shown["phase"], shown["session"]) == ("free", None)
