"""What staff do at the board."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from bayd.core.inputs import Actor, DeviceReported, Role, ServerContradicted, ServerSaid
from bayd.core.model import DeviceState, Mode
from bayd.settings import Staff
from tests.browser import states
from tests.browser.look import drawn, violations_of
from tests.browser.states import prepare
from tests.browser.test_pairing import code_on
from tests.journal.world import Fault, FaultyDisk
from tests.let_out import keep_secret
from tests.web.house import AUTO_LOCK_MS, STAFF, House
from tests.web.test_retired_bays import left_open

RIGHT = "480275"
WRONG = "913640"


@pytest.fixture
def closed_house(closed_house: House) -> House:
    prepare(closed_house)
    return closed_house


async def sign_in(house: House, context: BrowserContext, path: str = "/") -> Page:
    """A page of somebody who signed in as `asha` before."""
    await states.sign_in(house, context)
    page = await context.new_page()
    await page.goto(house.url(path))
    return page


async def act(page: Page, bay: str, name: str, **fields: str) -> None:
    await page.get_by_test_id(f"open-{bay}").click()
    await page.get_by_test_id(f"do-{name}").click()
    for field, value in fields.items():
        place = page.get_by_test_id(f"field-{field}")
        if await place.evaluate("e => e.tagName") == "SELECT":
            await place.select_option(value)
        else:
            await place.fill(value)
    await page.get_by_test_id("go").click()


async def test_signing_in_shows_who_plays(house: House, context: BrowserContext) -> None:
    keep_secret(RIGHT, WRONG)
    await house.accounts.put("asha", Role.STAFF, RIGHT, Actor(Role.STAFF, "local:root"))
    await house.play()
    page = await context.new_page()
    await page.goto(house.url("/"))
    assert "Test Person" not in await page.content()
    await page.get_by_label("Name").fill("asha")
    await page.get_by_label("PIN").fill(WRONG)
    await page.get_by_test_id("login").click()
    await expect(page.get_by_test_id("login-refused")).to_have_text("Name or PIN is wrong. 4 tries left.")
    for _ in range(4):
        await page.get_by_label("PIN").fill(WRONG)
        await page.get_by_test_id("login").click()
        await expect(page.get_by_test_id("login")).to_be_enabled()
    await page.get_by_label("PIN").fill(RIGHT)
    await page.get_by_test_id("login").click()
    await expect(page.get_by_test_id("login-refused")).to_contain_text("Too many wrong PINs")
    house.clock.go_on(61_000)
    await page.get_by_label("PIN").fill(RIGHT)
    await page.get_by_test_id("login").click()
    await expect(page.locator("#bay-109")).to_contain_text("Test Person")
    await expect(page.locator("#who")).to_contain_text("asha")
    await page.get_by_test_id("sign-out").click()
    await expect(page.get_by_test_id("login")).to_be_visible()
    await expect(page.locator("#bay-109")).not_to_contain_text("Test Person")


async def test_every_page_says_who_is_signed_in_and_lets_them_out(
    house: House, context: BrowserContext
) -> None:
    page = await context.new_page()
    for path in ("/day", "/handover", "/devices"):
        await states.sign_in(house, context)
        await page.goto(house.url(path))
        await expect(page.locator("#who")).to_contain_text("Signed in as asha")
        await page.get_by_test_id("sign-out").click()
        await expect(page.get_by_test_id("login")).to_be_visible()
        await page.goto(house.url(path))
        await expect(page.get_by_test_id("login")).to_be_visible()


async def test_a_page_that_is_only_read_goes_when_the_session_is_over(
    house: House, context: BrowserContext
) -> None:
    keep_secret(RIGHT)
    await house.accounts.put("asha", Role.STAFF, RIGHT, Actor(Role.STAFF, "local:root"))
    await states.sign_in(house, context)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(house.url("/day"))
    await expect(page.locator("#who")).to_contain_text("asha")
    house.clock.go_on(AUTO_LOCK_MS)
    await page.clock.fast_forward(60_000)
    await expect(page.get_by_test_id("login-why")).to_contain_text("You are signed out")
    await _sign_in_by_hand(page)
    await page.wait_for_url(house.url("/day"))
    await expect(page.locator("#who")).to_contain_text("asha")


async def test_a_page_that_was_asked_for_comes_after_the_sign_in(
    house: House, context: BrowserContext
) -> None:
    keep_secret(RIGHT)
    await house.accounts.put("asha", Role.STAFF, RIGHT, Actor(Role.STAFF, "local:root"))
    page = await context.new_page()
    await page.goto(house.url("/handover"))
    await expect(page.get_by_test_id("login-why")).to_contain_text("Sign in first")
    await _sign_in_by_hand(page)
    await page.wait_for_url(house.url("/handover"))
    await page.goto(house.url("/"))
    house.clock.go_on(AUTO_LOCK_MS)
    house.sessions.end_idle()
    await expect(page.get_by_test_id("login-why")).to_contain_text("You are signed out")
    await _sign_in_by_hand(page)
    await expect(page.locator("html")).to_have_attribute("data-fresh", "true")
    assert page.url == house.url("/")


async def _sign_in_by_hand(page: Page) -> None:
    await page.get_by_label("Name").fill("asha")
    await page.get_by_label("PIN").fill(RIGHT)
    await page.get_by_test_id("login").click()


async def test_the_mode_of_a_bay_is_set_with_a_reason_and_shown(
    house: House, context: BrowserContext
) -> None:
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF, bay="110")
    page = await sign_in(house, context)
    row = page.locator("#bay-109")
    await act(page, "109", "mode", mode="configured", reason="as ever")
    await expect(page.get_by_test_id("refused")).to_contain_text("follows the hours of the site already")
    assert await violations_of(page) == []
    await page.get_by_test_id("field-mode").select_option("free_play")
    await page.get_by_test_id("go").click()
    await expect(row).to_contain_text("free play, set by staff for today")
    await expect(row).to_contain_text("as ever")
    await expect(page.locator("#bay-110")).to_contain_text("a lesson at six")
    await expect(page.locator("#bay-110")).not_to_contain_text("Mode")
    await page.reload()  # and the first paint says the same
    await expect(row).to_contain_text("free play, set by staff for today")
    assert house.bays.get("109").mode is Mode.FREE_PLAY
    rows = await house.journal.audit(0, 2**62)
    assert [(r.note.who, r.note.act, r.note.reason) for r in rows][1:] == [("asha", "SetMode", "as ever")]
    await act(page, "109", "mode", mode="configured", reason="over")
    await expect(row).not_to_contain_text("Mode")


async def test_staff_choose_the_game_of_a_session_that_has_none(
    house: House, context: BrowserContext
) -> None:
    house.offer_games()
    await house.play()
    page = await sign_in(house, context)
    await act(page, "109", "game", game_id="1")
    await expect(page.locator("#bay-109")).to_contain_text("Longest drive")
    (row,) = await house.journal.audit(0, 2**62)
    assert (row.note.who, row.note.act, row.note.asked["game"]) == ("asha", "SelectGame", "Longest drive")


async def test_a_booked_bay_says_for_whom_and_walk_ins_are_offered_where_they_can_be_sold(
    house: House, context: BrowserContext
) -> None:
    await house.book(minutes=45)
    no_walk_ins = house.bays.bays["110"]
    page = await sign_in(house, context)
    await expect(page.locator("#bay-109")).to_contain_text("Test Person, 45 minutes")
    await page.get_by_test_id("open-109").click()
    await expect(page.get_by_test_id("about")).to_contain_text("Next: Test Person, 45 minutes")
    await page.keyboard.press("Escape")
    await page.get_by_test_id("open-110").click()
    await page.get_by_test_id("do-walk-in").click()
    await expect(page.get_by_label("Amount, INR")).to_be_visible()
    await page.get_by_test_id("field-payment").select_option("card")
    await page.keyboard.press("Escape")
    no_walk_ins.change_rules(replace(no_walk_ins.rules, walk_ins=False))
    await house.bays.submit("110", DeviceReported("reader", DeviceState.OK, ""))
    await page.get_by_test_id("open-110").click()
    await expect(page.get_by_test_id("dialog")).to_contain_text("Walk-ins are sold at the desk")
    await expect(page.get_by_test_id("do-walk-in")).to_have_count(0)


async def test_a_call_for_help_is_seen_and_answered(house: House, context: BrowserContext) -> None:
    await house.play()
    page = await sign_in(house, context)
    await expect(page.get_by_test_id("no-calls")).to_be_visible()
    await house.press("help")
    call = page.get_by_test_id("call-help-109")
    await expect(call).to_contain_text("Bay 109 calls for help")
    await expect(page.locator("html")).to_have_attribute("data-calls", "some")
    await page.get_by_test_id("help/acknowledge-109").click()
    await expect(call).to_have_count(0)
    assert not (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json["help_called"]


# The pitch of every note, and how loud the loudest was.
HEARD = """
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) {
  const heard = document.documentElement.dataset;
  heard.heard = `${heard.heard ?? ""}${this.frequency.value} `;
  return start.apply(this, at);
};
const ramp = AudioParam.prototype.linearRampToValueAtTime;
AudioParam.prototype.linearRampToValueAtTime = function (...to) {
  document.documentElement.dataset.loudness = to[0];
  return ramp.apply(this, to);
};
"""


@pytest.mark.parametrize("path", ["/", "/day"])
async def test_a_call_is_heard_and_grows_urgent(house: House, context: BrowserContext, path: str) -> None:
    await house.play()
    await states.sign_in(house, context)
    page = await context.new_page()
    await page.add_init_script(HEARD)
    await page.goto(house.url(path))
    root = page.locator("html")
    await expect(root).to_have_attribute("data-calls", "none")
    assert await root.get_attribute("data-heard") is None
    await house.press("help")
    await expect(root).to_have_attribute("data-heard", "660 880 ")  # once: again after twenty seconds
    calm = float(await root.get_attribute("data-loudness") or 0)
    await expect(page.get_by_test_id("call-help-109")).to_contain_text(
        re.compile("^Bay 109 calls for helpwaiting for 0:")
    )
    house.clock.go_on(121_000)
    await page.reload()
    await expect(page.get_by_test_id("call-help-109")).to_contain_text("Not answered for 2:")
    await expect(page.locator("html")).to_have_attribute("data-calls", "late")
    urgent = "988 740 988 740 988 "  # again after five seconds
    await expect(root).to_have_attribute("data-heard", re.compile(f"^{urgent}{urgent}"))
    assert float(await root.get_attribute("data-loudness") or 0) > calm
    if path == "/":
        assert await violations_of(page) == []
        # However far down one has scrolled.
        await page.set_viewport_size({"width": 1280, "height": 300})
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await expect(page.get_by_test_id("call-help-109")).to_be_in_viewport()


async def test_a_request_for_time_is_approved(house: House, context: BrowserContext) -> None:
    await house.play()
    await house.press("extend", {"minutes": 30})
    page = await sign_in(house, context)
    await page.get_by_test_id("extend/approve-109").click()
    await expect(page.get_by_label("Amount (empty: ₹600, the price shown), INR")).to_be_visible()
    assert await violations_of(page) == []
    await page.get_by_test_id("field-payment").select_option("on_account")
    await page.get_by_test_id("go").click()
    await expect(page.get_by_test_id("call-time-109")).to_have_count(0)
    await expect(page.locator("#bay-109")).to_contain_text("Due")
    session = house.bays.get("109").session
    assert session is not None
    assert session.minutes == 90


async def test_a_request_for_time_is_declined_with_a_reason(house: House, context: BrowserContext) -> None:
    await house.play()
    await house.press("extend", {"minutes": 30})
    page = await sign_in(house, context)
    await page.get_by_test_id("extend/decline-109").click()
    await page.get_by_test_id("field-reason").fill("a group comes")
    await page.get_by_test_id("go").click()
    await expect(page.get_by_test_id("call-time-109")).to_have_count(0)
    session = house.bays.get("109").session
    assert session is not None
    assert session.extension_declined == "a group comes"


async def test_a_dialog_closes_when_whom_it_is_for_is_gone(house: House, context: BrowserContext) -> None:
    gone = "Closed: bay 109 has changed meanwhile"
    await house.book(session_id="7")
    page = await sign_in(house, context)
    dialog, told = page.get_by_test_id("dialog"), page.get_by_test_id("toast")
    await page.get_by_test_id("open-109").click()
    await page.get_by_test_id("do-start").click()
    await house.bays.submit("109", ServerSaid("7", 60, 0, 0, cancelled=True, active=False, released=True))
    await house.book(session_id="8")
    await expect(told).to_contain_text(gone)
    await expect(dialog).to_have_count(0)
    async with page.expect_request("**/start") as sent:
        await act(page, "109", "start", reason="forgot the PIN")
    body = (await sent.value).post_data_json or {}
    assert body["session_id"] == "8"
    await expect(page.get_by_test_id("phase-109")).to_have_text("Playing")
    # The same with a request, …
    await house.press("extend", {"minutes": 15})
    await page.get_by_test_id("extend/approve-109").click()
    await house.press("extend/decline", {"reason": "a group comes"}, token=STAFF)
    await house.press("extend", {"minutes": 30})
    await expect(told).to_contain_text(gone)
    await page.get_by_test_id("extend/approve-109").click()
    async with page.expect_request("**/approve") as sent:
        await page.get_by_test_id("go").click()
    body = (await sent.value).post_data_json or {}
    assert (body["session_id"], bool(body["request_id"])) == ("8", True)
    await expect(told).to_contain_text("Done: Approve")
    # … and with who plays.
    await page.get_by_test_id("open-109").click()
    await page.get_by_test_id("do-end").click()
    await house.press("end", {"reason": "somebody was quicker"}, token=STAFF)
    await house.play(session_id="9")
    await expect(told).to_contain_text(gone)
    await expect(dialog).to_have_count(0)
    session = house.bays.get("109").session
    assert session is not None
    assert session.session_id == "9"


async def test_a_press_that_is_tried_again_by_hand_counts_once(house: House, context: BrowserContext) -> None:
    await house.play()
    page = await sign_in(house, context)
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
            await route.fulfill(status=503, json={"code": "outcome_unknown", "detail": "Unknown."})
        else:
            await route.continue_()

    await page.route("**/109/extend", lose_the_first_answer)
    await act(page, "109", "extend", minutes="15", payment="cash", reason="paid")
    await expect(page.get_by_test_id("refused")).to_have_text("Unknown.")
    await page.get_by_test_id("go").click()
    await expect(page.get_by_test_id("toast")).to_be_visible()
    assert (len(keys), len(set(keys))) == (2, 1)
    assert (await house.kinds()).count("SessionExtended") == 1


async def test_a_screen_that_is_put_out_while_the_disk_hangs_leaves_the_list(
    closed_house: House, context: BrowserContext
) -> None:
    disk = FaultyDisk()
    closed_house.connect = disk.connect
    async with closed_house.open() as house:
        for bay in ("109", "110"):
            await house.let_in(bay=bay)
        page = await sign_in(house, context)
        await page.get_by_test_id("screens").click()
        await expect(page.get_by_test_id("unbind-109")).to_be_visible()
        disk.faults.append(Fault("COMMIT", times=1_000))
        await page.get_by_test_id("unbind-reason-109").fill("stolen")
        await page.get_by_test_id("unbind-109").click()
        await expect(page.get_by_test_id("refused")).to_contain_text("The screen is out.")
        await expect(page.get_by_test_id("unbind-109")).to_have_count(0)
        await expect(page.get_by_test_id("unbind-110")).to_be_visible()
        await expect(page.get_by_test_id("refused")).to_contain_text("The screen is out.")
        disk.faults.clear()


async def test_a_session_is_moved(house: House, context: BrowserContext) -> None:
    await house.play()
    page = await sign_in(house, context)
    await act(page, "109", "move", to="110", reason="the mat is wet")
    await expect(page.get_by_test_id("phase-110")).to_have_text("Playing")
    await expect(page.get_by_test_id("phase-109")).not_to_have_text("Playing")
    assert house.bays.get("110").session is not None
    assert house.bays.get("109").session is None


async def test_a_move_with_no_bay_free_says_so_and_sends_nothing(
    house: House, context: BrowserContext
) -> None:
    for bay in house.bays.bays:
        await house.play(bay, f"session-{bay}")
    page = await sign_in(house, context)
    await page.get_by_test_id("open-109").click()
    await page.get_by_test_id("do-move").click()
    await expect(page.get_by_test_id("hindered")).to_have_text("No bay is free.")
    await expect(page.get_by_test_id("go")).to_have_count(0)
    assert await violations_of(page) == []
    await page.get_by_test_id("back").click()
    await expect(page.get_by_test_id("dialog")).to_have_count(0)


async def test_a_session_moves_to_no_bay_that_is_out_of_service_kept_or_booked(
    closed_house: House, context: BrowserContext
) -> None:
    closed_house.rules |= dict.fromkeys(("111", "112", "113"), closed_house.rules["110"])
    async with closed_house.open() as house:
        await house.play()
        await house.press("service/stop", {"reason": "the mat is torn"}, token=STAFF, bay="110")
        await house.press("hold", {"reason": "a lesson"}, token=STAFF, bay="112")
        await house.book("113", "9")
        page = await sign_in(house, context)
        await page.get_by_test_id("open-109").click()
        await page.get_by_test_id("do-move").click()
        offered = page.get_by_test_id("field-to").locator("option")
        assert await offered.all_inner_texts() == ["111"]
        await page.get_by_test_id("back").click()
        await house.press("service/stop", {"reason": "no net"}, token=STAFF, bay="111")
        await page.get_by_test_id("open-109").click()
        await expect(page.get_by_test_id("phase-111")).to_have_text("Out of service")
        await page.get_by_test_id("do-move").click()
        await expect(page.get_by_test_id("hindered")).to_have_text("No bay is free.")


async def test_a_session_that_ends_before_the_next_picture_is_no_defect(
    house: House, context: BrowserContext
) -> None:
    """A tab in the background draws no pictures, and its clocks go on: a script that fails is a complaint."""
    await house.play()
    page = await context.new_page()
    await states.sign_in(house, context)
    await page.clock.install()
    await page.goto(house.url("/"))
    await expect(page.get_by_test_id("left-109")).to_be_visible()
    await page.evaluate("window.requestAnimationFrame = (draw) => { window.toDraw = draw; }")
    await house.press("end", {"reason": "lightning"}, token=STAFF)
    await page.wait_for_function("window.toDraw !== undefined")
    await page.clock.run_for(2_000)
    await page.evaluate("window.toDraw()")
    await expect(page.get_by_test_id("left-109")).to_have_count(0)


async def test_an_end_needs_its_reason_and_stands_in_the_audit(house: House, context: BrowserContext) -> None:
    await house.play()
    page = await sign_in(house, context)
    await act(page, "109", "end", reason="   ")
    await expect(page.get_by_test_id("refused")).to_have_text("Staff give a reason.")
    await page.get_by_test_id("field-reason").fill("lightning")
    await page.get_by_test_id("go").click()
    await expect(page.get_by_test_id("toast")).to_contain_text("End session")
    await expect(page.get_by_test_id("phase-109")).to_have_text("Over")
    (row,) = await house.journal.audit(0, 2**62)
    assert (row.note.who, row.note.act, row.note.reason) == ("asha", "End", "lightning")


async def test_a_screen_is_paired_and_put_out_at_the_board(house: House, context: BrowserContext) -> None:
    assert context.browser is not None
    kiosk = await context.browser.new_context()
    let_through = asyncio.Event()

    async def hold(route: Route) -> None:
        await let_through.wait()
        await route.continue_()

    await kiosk.route("**/events*", hold)
    screen = await kiosk.new_page()
    await screen.goto(house.url("/screen"))
    code = await code_on(screen)
    page = await sign_in(house, context)
    await page.get_by_test_id("screens").click()
    await page.get_by_test_id("field-code").fill("NNNNNN")
    await page.get_by_test_id("pair").click()
    await expect(page.get_by_test_id("refused")).to_contain_text("No screen shows this code")
    await page.get_by_test_id("field-code").fill(code.lower())
    await page.get_by_test_id("field-bay").select_option("110")
    await page.get_by_test_id("field-reason").fill("a new tablet")
    await page.get_by_test_id("pair").click()
    await expect(page.locator(".screens")).to_contain_text("Bay 110 not connected")
    await expect(page.get_by_test_id("given")).to_contain_text("comes within seconds")
    let_through.set()
    await expect(screen.get_by_test_id("bay-number")).to_have_text("110")
    await expect(page.get_by_test_id("given")).to_have_text("Bay 110 has its screen now.")
    assert "not connected" not in await page.locator(".screens").inner_text()
    await page.get_by_test_id("unbind-reason-110").fill("goes to the workshop")
    assert await violations_of(page) == []
    await page.get_by_test_id("unbind-110").click()
    await expect(screen.get_by_test_id("pairing-code")).to_be_visible()
    await kiosk.close()
    rows = await house.journal.audit(0, 2**62)
    assert [(row.note.who, row.note.act, row.note.reason) for row in rows] == [
        ("asha", "ScreenPaired", "a new tablet"),
        ("asha", "ScreenUnbound", "goes to the workshop"),
    ]


async def test_a_technician_sees_what_a_technician_may(house: House, context: BrowserContext) -> None:
    await house.play()
    await house.press("help")
    await states.sign_in(house, context, Role.TECHNICIAN)
    page = await context.new_page()
    await page.goto(house.url("/"))
    await expect(page.get_by_test_id("call-help-109")).to_be_visible()
    await expect(page.locator("#who")).to_have_text(
        re.compile("^Sound is (on|off: switch it on)Signed in as boSign out$")
    )
    await expect(page.get_by_test_id("help/acknowledge-109")).to_have_count(0)
    await expect(page.locator("#bay-109")).not_to_contain_text("Test Person")


async def test_the_first_paint_needs_no_script(house: House, context: BrowserContext) -> None:
    assert context.browser is not None
    await house.play()
    await house.press("hold", {"reason": "a lesson"}, token=STAFF, bay="110")
    bare = await context.browser.new_context(java_script_enabled=False)
    page = await sign_in(house, bare)
    await expect(page.locator("#bay-109")).to_contain_text("Playing")
    await expect(page.locator("#bay-109")).to_contain_text("Test Person")
    await expect(page.locator("#bay-110")).to_contain_text("Held")
    await expect(page.locator("#bay-110")).to_contain_text("a lesson")
    await expect(page.locator("#range")).to_contain_text("Balls are not counted.")
    await bare.close()


async def test_what_is_out_of_date_is_called_so_and_cannot_be_pressed(
    house: House, context: BrowserContext
) -> None:
    await house.play()
    await house.press("help")
    page = await sign_in(house, context)
    await page.get_by_test_id("open-109").click()
    await page.get_by_test_id("do-extend").click()
    await expect(page.get_by_test_id("go")).to_be_enabled()
    await context.set_offline(True)
    for viewer in tuple(house.streams._viewers):
        viewer.cut_off()
    await expect(page.get_by_test_id("stale")).to_be_visible()
    await expect(page.get_by_test_id("dialog-stale")).to_be_visible()
    await expect(page.get_by_test_id("go")).to_be_disabled()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("help/acknowledge-109")).to_be_disabled()
    await page.get_by_test_id("open-109").click()
    await expect(page.get_by_test_id("do-pause")).to_be_disabled()
    await house.press("pause", {"reason": "rain"}, token=STAFF)
    await context.set_offline(False)
    await expect(page.get_by_test_id("stale")).to_be_hidden()
    await expect(page.get_by_test_id("phase-109")).to_have_text("Paused")
    await expect(page.get_by_test_id("do-resume")).to_be_enabled()


async def test_a_locked_pad_counts_down_and_its_lock_ends_by_the_clock(
    house: House, context: BrowserContext
) -> None:
    await house.book()
    for _ in range(5):
        await house.press("pin", {"pin": "000000"})
    await states.sign_in(house, context)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(house.url("/"))
    row = page.locator("#bay-109")
    await expect(row).to_contain_text("PIN pad locked for")
    await page.clock.fast_forward(5_000)
    await expect(row).to_contain_text(re.compile("PIN pad locked for 0:[1-5][0-9]"))
    await expect(row).to_have_attribute("data-urgent", "1")
    await page.clock.fast_forward(60_000)
    await expect(row).not_to_contain_text("locked")
    await expect(row).to_have_attribute("data-urgent", "0")


async def test_who_is_locked_out_leaves_the_board_at_once(house: House, context: BrowserContext) -> None:
    page = await sign_in(house, context)
    await expect(page.get_by_test_id("no-calls")).to_be_visible()
    await house.sessions.end_of_person("asha")
    await expect(page.get_by_test_id("login")).to_be_visible()


async def test_the_board_is_worked_by_keyboard(house: House, context: BrowserContext) -> None:
    await house.play()
    page = await sign_in(house, context)
    await page.get_by_test_id("open-109").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("do-extend")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("open-109")).to_be_focused()
    # Whatever is drawn anew, the focus stays where it was.
    await house.bays.submit("109", DeviceReported("reader", DeviceState.LOST, "no answer"))
    await expect(page.locator("#bay-109")).to_contain_text("no answer")
    await expect(page.get_by_test_id("open-109")).to_be_focused()
    await house.press("help", token=STAFF, bay="110")
    await expect(page.locator("#bays tr").first).to_have_attribute("data-bay", "110")
    await expect(page.get_by_test_id("open-109")).to_be_focused()
    await page.get_by_test_id("help/acknowledge-110").focus()
    await house.press("help")
    await expect(page.get_by_test_id("call-help-109")).to_be_visible()
    await expect(page.get_by_test_id("help/acknowledge-110")).to_be_focused()


async def test_who_works_by_keyboard_keeps_a_place_where_something_vanishes(
    house: House, context: BrowserContext
) -> None:
    await house.press("help")
    await house.press("help", token=STAFF, bay="110")
    page = await sign_in(house, context)
    await page.get_by_test_id("help/acknowledge-110").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("call-help-110")).to_have_count(0)
    await expect(page.locator("#calls")).to_be_focused()  # not the next call: a second Enter means nothing
    await page.get_by_test_id("open-109").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("dialog")).to_be_visible()
    await house.bays.submit("109", DeviceReported("reader", DeviceState.LOST, "no answer"))
    await expect(page.locator("#bay-109")).to_contain_text("no answer")  # its row is another one now
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("open-109")).to_be_focused()


async def test_the_device_page_shows_what_readers_do(house: House, context: BrowserContext) -> None:
    page = await sign_in(house, context, "/devices")
    row = page.locator("#readers tr")
    await expect(row).to_contain_text("east")
    house.reader["reads"] = 107
    await expect(page.locator("#plot-reads-now")).to_contain_text("last three minutes")
    await expect(page.locator("#plot-outbox-now")).to_have_text("0 waiting for the central server")
    await expect(page.locator("#plot-journal-now")).to_have_text("0 writes wait for the disk")
    house.central["outbox"] = 12
    house.reader["line_errors"] = 3
    house.reader["ports"]["1"]["blind_s"] = 1000.5
    await expect(page.locator("#plot-line_errors-now")).to_have_text("3 since the start")
    await expect(page.locator("#plot-blind_rate-now")).to_contain_text("1000.5 s in all")
    house.reader["state"], house.reader["reason"] = "lost", "unplugged"
    await expect(page.locator("#plot-outbox-now")).to_have_text("12 waiting for the central server")
    await expect(row).to_contain_text("lost: unplugged")
    assert await violations_of(page) == []


OUTSIDE = """() => {
  const found = [];
  for (const box of document.querySelectorAll(".table-place, .plain")) {
    if (box.scrollWidth > box.clientWidth) found.push(`a table of ${box.scrollWidth} in ${box.clientWidth}`);
  }
  for (const one of document.querySelectorAll("button, a, input")) {
    const { left, right } = one.getBoundingClientRect();
    if (left < 0 || right > innerWidth) found.push(`${one.textContent}: ${left} to ${right}`);
  }
  return found;
}"""


@pytest.mark.parametrize("path", ["/", "/day", "/handover", "/devices"])
async def test_every_page_can_be_read_by_everybody(house: House, context: BrowserContext, path: str) -> None:
    """Also with long names, and with warnings that no line can be broken in."""
    await house.play(player="Shri Venkatanarasimharajuvaripeta Subrahmanyam the Third")
    await house.press("pause", {"reason": "rain" * 20}, token=STAFF)
    await house.press("help")
    doubt = ServerContradicted("payment_not_told", "7", "Enter it: no central_admin_password_is_set_up_here.")
    await house.bays.submit("109", doubt)
    await house.bays.submit("109", DeviceReported("dispenser", DeviceState.LOST, f"/dev/{'tty-east' * 9}"))
    house.reader["reason"] = f"/dev/serial/by-id/{'usb-adapter' * 9}"
    page = await sign_in(house, context, path)
    await expect(page.get_by_test_id("call-help-109")).to_contain_text("Bay 109 calls for help")
    await expect(page).to_have_title(re.compile(r"^\(1\) Example range"))
    await expect(page.get_by_test_id("sound")).to_be_visible()
    for width, height in ((1280, 800), (800, 1280)):
        await page.set_viewport_size({"width": width, "height": height})
        await drawn(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(OUTSIDE) == [], width
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            assert await violations_of(page) == [], (width, scheme)


async def test_staff_are_warned_in_their_own_language(closed_house: House, context: BrowserContext) -> None:
    closed_house.staff_settings = Staff(language="hi")
    away = {"code": "reader_away", "since": None, "text": "Reader east is away: unplugged"}
    async with closed_house.open() as house:
        page = await sign_in(house, context)
        await expect(page.get_by_test_id("no-calls")).to_be_visible()
        house.range_warnings = [{**away, "facts": {"reader": "east", "reason": "unplugged"}}]
        await expect(page.locator("#range")).to_contain_text("रीडर east से लंबे समय से संपर्क नहीं: “unplugged”")


async def test_staff_are_refused_in_their_own_language(closed_house: House, context: BrowserContext) -> None:
    disk = FaultyDisk()
    closed_house.connect = disk.connect
    closed_house.staff_settings = Staff(language="hi")
    async with closed_house.open() as house:
        await house.play()
        await states.sign_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/"))
        disk.faults.append(Fault("COMMIT", times=1_000))
        await act(page, "109", "extend", minutes="15", amount="0", reason="as asked")
        await expect(page.get_by_test_id("refused")).to_contain_text("डिस्क ने दर्ज करने से मना किया")
        disk.faults.clear()


async def test_staff_settle_what_a_bay_left_open_that_is_gone(
    context: BrowserContext, tmp_path: Path
) -> None:
    house = await left_open(tmp_path)
    prepare(house)
    del house.rules["110"]
    async with house.open():
        page = await sign_in(house, context)
        around = page.locator("#range")
        await expect(page.locator("#bays")).to_contain_text("109")
        await expect(page.locator("#bays")).not_to_contain_text("110")
        await expect(page.get_by_test_id("retired-110")).to_have_count(3)
        assert await violations_of(page) == []
        for act_name, said, fields in (
            ("conflicts/settle", "1000 were not told", {}),
            ("balls/settle", "5 balls may or may not", {"came_out": "3"}),
            ("dues/settle", "went on account", {"payment": "desk"}),
        ):
            await expect(around).to_contain_text(said)
            await page.get_by_test_id("retired-110").first.click()
            await expect(page.get_by_test_id("do-hold")).to_have_count(0)
            await page.get_by_test_id(f"do-{act_name}").click()
            for field, value in {**fields, "reason": "looked at"}.items():
                place = page.get_by_test_id(f"field-{field}")
                if field == "payment":
                    await place.select_option(value)
                else:
                    await place.fill(value)
            await page.get_by_test_id("go").click()
            await expect(around).not_to_contain_text(said)
        await expect(page.get_by_test_id("retired-110")).to_have_count(0)
        bay = house.bays.get("110")
        assert (bay.conflicts, bay.unsettled, bay.dues) == ((), (), ())


async def test_a_double_click_on_an_act_without_a_form_is_one_press(
    house: House, context: BrowserContext
) -> None:
    await house.press("help")
    page = await sign_in(house, context)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.get_by_test_id("help/acknowledge-109").dblclick()
    await expect(page.get_by_test_id("call-help-109")).to_have_count(0)
    await expect(page.get_by_test_id("toast")).to_be_visible()
    await expect(page.get_by_test_id("dialog")).to_have_count(0)
    assert sent == [house.url("/api/v1/bays/109/help/acknowledge")]


async def test_a_double_click_answers_no_call_that_stands_where_the_first_one_stood(
    house: House, context: BrowserContext
) -> None:
    await house.press("help")
    house.clock.go_on(5_000)
    await house.press("help", token=STAFF, bay="110")
    page = await sign_in(house, context)
    await expect(page.get_by_test_id("help/acknowledge-110")).to_be_enabled()
    await expect(page.locator("#calls.settling")).to_have_count(0)
    await page.evaluate("""() => {
        window.under = [];
        const place = document.querySelector("#calls");
        const look = () => {
            const next = place.querySelector("button");
            if (place.matches(".settling") && next) window.under.push(getComputedStyle(next).pointerEvents);
        };
        new MutationObserver(look).observe(place, { attributes: true });
    }""")
    await page.get_by_test_id("help/acknowledge-109").click()
    await expect(page.get_by_test_id("call-help-109")).to_have_count(0)
    await expect(page.get_by_test_id("call-help-110")).to_be_visible()
    assert "none" in await page.evaluate("window.under")
    await page.get_by_test_id("help/acknowledge-110").click()  # a moment later it can be answered
    await expect(page.get_by_test_id("call-help-110")).to_have_count(0)


async def test_a_double_click_opens_what_a_bay_left_once(context: BrowserContext, tmp_path: Path) -> None:
    house = await left_open(tmp_path)
    prepare(house)
    del house.rules["110"]
    async with house.open():
        page = await sign_in(house, context)
        await page.get_by_test_id("retired-110").first.dblclick()
        await expect(page.get_by_test_id("do-dues/settle")).to_be_visible()
        await expect(page.get_by_test_id("dialog")).to_have_count(1)
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id("dialog")).to_have_count(0)


async def test_what_a_bay_left_that_nobody_can_read_is_not_offered_to_be_opened(
    house: House, context: BrowserContext
) -> None:
    text = "This bay is not in the configuration any more, and what it left cannot be read."
    house.range_warnings = [{"code": "retired_bay_unreadable", "since": None, "text": text, "bay": "111"}]
    page = await sign_in(house, context)
    await expect(page.locator("#range svg")).to_be_visible()  # the script has drawn it
    await expect(page.locator("#range")).to_contain_text(text)
    await expect(page.get_by_test_id("retired-111")).to_have_count(0)


async def test_what_is_wrong_in_the_range_says_since_when(house: House, context: BrowserContext) -> None:
    at = "2026-11-22T09:05:00+05:30"
    house.range_warnings = [{"code": "reader_away", "since": at, "text": "Reader east is away: unplugged"}]
    page = await sign_in(house, context)
    await expect(page.locator("#range svg")).to_be_visible()  # the script has drawn it
    await expect(page.locator("#range")).to_contain_text(re.compile(r"unplugged since .*09:05"))
