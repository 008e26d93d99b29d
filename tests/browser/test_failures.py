"""What breaks at a bay, and what guest and staff then see: the table in docs/operations.md, row by row.

Two browsers look at the same bay 109: its screen, and the board of somebody who signed in.
"""

import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.instant import Instant
from bayd.core.model import DeviceState, PayoutEnd, Phase
from bayd.core.pins import locked_for_ms
from tests.browser import states
from tests.browser.states import let_in, prepare, type_pin
from tests.browser.test_board import act
from tests.browser.test_daemon import STAFF as DAEMONS_STAFF
from tests.browser.test_daemon import pair
from tests.browser.test_pairing import code_on
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port
from tests.journal.world import Fault, FaultyDisk
from tests.let_out import keep_secret
from tests.simulation.world import Wishes
from tests.web.house import OTHER_SCREEN, PIN, STAFF, House

TAP = Actor(Role.SCREEN, "screen")
_MARK_MS = 10_000  # the last sign of life may be so old
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


async def test_a_full_disk_refuses_the_press_and_ends_play_in_time(
    house_with_rules: House, context: BrowserContext, browser: Browser
) -> None:
    disk, wishes = FaultyDisk(), Wishes()
    house_with_rules.connect = disk.connect
    house_with_rules.rules["109"] = replace(house_with_rules.rules["109"], grace_minutes=10)
    async with house_with_rules.open() as house:
        house.bays.observe(wishes)
        await house.play()
        await _have_paid(house, 25)
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_test_id("fact-balls")).to_have_text("25")
        desk = await browser.new_context(reduced_motion="reduce")
        await states.sign_in(house, desk)
        board = await desk.new_page()
        await board.goto(house.url("/"))
        await expect(board.get_by_test_id("phase-109")).to_have_text("Playing")
        before = house.journal.last_seq

        disk.faults.append(Fault("INSERT INTO events", code=sqlite3.SQLITE_FULL, times=1_000_000))
        await page.get_by_test_id("act-balls").click()
        await page.get_by_test_id("balls-25").click()
        await expect(page.get_by_test_id("told")).to_have_attribute("data-tone", "alarm")
        await expect(page.locator("#screen")).to_have_attribute("data-phase", "playing")
        assert house.journal.last_seq == before
        assert house.bays.get("109").payout is None
        assert "bayd_journal_disk_full 1.0" in (await house.ask("GET", "/metrics")).text
        await expect(board.locator("#range")).to_contain_text("disk is full")
        await act(board, "109", "extend", minutes="15", amount="0", reason="as the guest asked")
        await expect(board.get_by_test_id("refused")).to_contain_text("disk")
        await board.keyboard.press("Escape")

        # The time comes while nothing can be written: it is over for the guest, and for what is driven.
        assert wishes.last().antennas_on
        house.clock.go_on(3_600_000)
        await expect(page.get_by_test_id("time-state")).to_have_text("Your time is over")
        await expect(page.get_by_test_id("act-balls")).to_be_disabled()
        await expect(page.get_by_test_id("act-time")).to_be_disabled()
        await expect(board.get_by_test_id("left-109")).to_have_text("0:00")
        assert not wishes.last().antennas_on
        assert house.journal.last_seq == before

        disk.faults.clear()  # somebody made room
        await expect(page.locator("#screen")).to_have_attribute("data-phase", "grace")
        await expect(page.get_by_test_id("result")).to_contain_text("25 balls")
        await expect(board.get_by_test_id("phase-109")).to_have_attribute("data-phase", "grace")
        await expect(board.locator("#range")).not_to_contain_text("disk is full")
        (ended,) = [r.event for r in await house.journal.read(before) if isinstance(r.event, e.SessionEnded)]
        assert ended.played_ms == 3_600_000
        await desk.close()


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


@pytest.mark.parametrize(
    ("away_s", "trusted", "credited"),
    [(45, True, False), (300, True, True), (45, False, True)],
    ids=["short", "long", "nobody-kept-the-clock"],
)
async def test_a_reboot_counts_or_credits_to_the_millisecond(
    house_with_rules: House,
    context: BrowserContext,
    browser: Browser,
    away_s: int,
    trusted: bool,
    credited: bool,
) -> None:
    """And what was owed is owed, a locked pad is locked for as long, a bay that staff hold is held."""
    house = house_with_rules
    house.rules["111"] = house.rules["109"]
    locked = await browser.new_context(reduced_motion="reduce")
    async with house.open():
        await house.play()
        house.clock.go_on(600_000)
        await _have_paid(house, 25, come_out=7)
        await house.book("110", "8")
        for _ in range(5):
            await house.press("pin", {"pin": "000000"}, bay="110", token=OTHER_SCREEN)
        await house.press("hold", {"reason": "a lesson"}, bay="111", token=STAFF)
        await let_in(house, context)
        await let_in(house, locked, "110")
        screen, pad = await context.new_page(), await locked.new_page()
        await screen.goto(house.url("/bay/109"))
        await pad.goto(house.url("/bay/110"))
        await expect(screen.get_by_test_id("time")).to_contain_text(re.compile("^49:|^50:00"))
        await expect(pad.get_by_test_id("lock-seconds")).to_be_visible()
        left_ms, locked_ms = await _left_at_mark(house, "109"), await _locked_at_mark(house, "110")
        before = house.journal.last_seq
    off_s = time.monotonic()
    await expect(screen.get_by_test_id("stale")).to_be_visible()
    await expect(screen.get_by_test_id("act-balls")).to_be_disabled()
    house.clock.go_on(away_s * 1000)
    house.clock.reboot()
    house.clock.synchronised = trusted
    async with house.open():
        took_ms = round((time.monotonic() - off_s) * 1000)
        seen = {r.bay: r.event for r in await house.journal.read(before) if isinstance(r.event, e.OutageSeen)}
        outage_ms = seen["109"].outage_ms or 0
        assert seen["109"].flagged is not trusted
        if trusted:
            assert away_s * 1000 <= outage_ms <= away_s * 1000 + took_ms + _MARK_MS
        session, owed = house.bays.get("109").session, await Bay(house, screen, pad, context).balls()
        assert session is not None
        assert seen["109"].credited is credited
        assert session.remaining_ms(seen["109"].at_ms) == left_ms - (0 if credited else outage_ms)
        assert owed == (7, 18)
        assert locked_for_ms(house.bays.get("110"), Instant(seen["110"].at_ms, 0, True)) == locked_ms
        assert (await house.press("pin", {"pin": PIN}, bay="110", token=OTHER_SCREEN)).status == 423
        assert (house.bays.get("111").phase, house.bays.get("111").kept_reason) == (Phase.HELD, "a lesson")

        await expect(screen.get_by_test_id("stale")).to_be_hidden(timeout=_NOTICED_MS)
        shown = "49:|^50:00" if credited else "49:|^48:"
        await expect(screen.get_by_test_id("time")).to_contain_text(re.compile(f"^{shown}"))
        await expect(screen.get_by_test_id("act-balls")).to_contain_text("18 balls are still yours")
        await expect(screen.get_by_test_id("act-balls")).to_be_enabled()
        await expect(pad.get_by_test_id("lock-seconds")).to_be_visible()
        await states.sign_in(house, locked)
        await pad.goto(house.url("/"))
        await expect(pad.get_by_test_id("phase-109")).to_have_text("Playing")
        await expect(pad.locator("#bay-110")).to_contain_text("PIN pad locked")
        await expect(pad.locator("#bay-111")).to_contain_text("a lesson")
    await locked.close()


async def _mark_ms(house: House, number: str) -> int:
    """The last sign of life that an outage is counted from."""
    alive = await house.journal.read_alive()
    newest = (await house.journal.read(0, bay=number))[-1]
    return max(newest.boot_ms, 0 if alive is None else alive.boot_ms)


async def _left_at_mark(house: House, number: str) -> int:
    session = house.bays.get(number).session
    assert session is not None
    return session.remaining_ms(await _mark_ms(house, number))


async def _locked_at_mark(house: House, number: str) -> int:
    return locked_for_ms(house.bays.get(number), Instant(await _mark_ms(house, number), 0, True))


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
        await expect(page.get_by_test_id("stale")).to_be_visible()
        await expect(page.get_by_test_id("time")).to_contain_text(re.compile("^29:|^30:00"))
    for boot in ("first", "second"):  # the daemon alone, then the PC
        killed_at = time.monotonic()
        with started("run", "--config", config, env={**env, "BAYD_BOOT_ID": boot}) as daemon:
            await expect(page.get_by_test_id("stale")).to_be_hidden(timeout=_NOTICED_MS)
            await expect(page.get_by_test_id("act-end")).to_be_enabled()
            later_s = (await _ends_at(url) - should_end).total_seconds()
            if boot == "first":  # counted as play: it ends when it should have ended anyway
                assert abs(later_s) < 1
            else:  # counted or credited, as nobody may keep this machine's clock; taken from no guest
                assert -1 < later_s < time.monotonic() - killed_at + _MARK_MS / 1000
            daemon.stop(signal.SIGKILL)


async def _have_paid(house: House, balls: int, *, come_out: int | None = None) -> None:
    """`come_out`: of them, and no more."""
    await house.press("dispense", {"balls": balls})
    payout = house.bays.get("109").payout
    assert payout is not None
    await house.bays.submit("109", i.PayoutMarkTaken(payout.payout_id, balls, {"event": 1}))
    end = PayoutEnd.DONE if come_out is None else PayoutEnd.FAULT
    await house.bays.submit("109", i.PayoutEnded(payout.payout_id, end, come_out or balls, ""))


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
