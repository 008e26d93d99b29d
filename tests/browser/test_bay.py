"""What a guest does at the bay's screen, over the real core, journal and service."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Route, expect

from bayd.core.inputs import ModeSeen
from bayd.core.model import Mode
from bayd.core.rules import ExtensionPolicy
from bayd.settings import Screens
from bayd.web.browsers import COOKIE
from bayd.web.events import StreamLimits
from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.states import let_in, prepare, type_pin
from tests.web.house import PIN, STAFF, House

REASON = {"reason": "as the guest asked"}


@pytest_asyncio.fixture
async def screen(closed_house: House, context: BrowserContext) -> AsyncIterator[tuple[House, Page]]:
    """A paired screen of bay 109, where a booking waits."""
    prepare(closed_house)
    async with closed_house.open() as house:
        await house.book()
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_test_id("keys")).to_be_visible()
        yield house, page


async def shown_s(page: Page) -> int:
    seconds = 0
    for part in (await page.get_by_test_id("time").inner_text()).split(":"):
        seconds = seconds * 60 + int(part)
    return seconds


async def phase(page: Page, wanted: str) -> None:
    await expect(page.locator("#screen")).to_have_attribute("data-phase", wanted)


async def test_the_right_pin_starts_play(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    await phase(page, "playing")
    assert (await page.get_by_test_id("time").inner_text()).startswith(("59:", "1:00:00"))
    await expect(page.get_by_test_id("fact-player")).to_have_text("Test Person")
    assert PIN not in await page.content()
    assert "SessionStarted" in await house.kinds()


async def test_wrong_pins_lock_the_pad_until_staff_open_it(screen: tuple[House, Page]) -> None:
    house, page = screen
    for left in (4, 3, 2, 1):
        await type_pin(page, "000000")
        await expect(page.get_by_test_id("pad-message")).to_contain_text(f"{left} tr")
    await type_pin(page, "000000")
    await expect(page.get_by_test_id("lock-seconds")).to_be_visible()
    await expect(page.get_by_test_id("keys")).to_be_hidden()
    assert await page.get_by_test_id("lock-seconds").inner_text() in {
        "1:00",
        *(f"0:{s:02}" for s in range(60)),
    }
    await page.keyboard.type(PIN)  # the keyboard is as locked as the pad
    await house.press("unlock", REASON, token=STAFF)
    await expect(page.get_by_test_id("keys")).to_be_visible()
    await type_pin(page, PIN)
    await phase(page, "playing")
    assert (await house.kinds()).count("PinAttempted") == 6


async def test_more_time_is_asked_for_and_given(screen: tuple[House, Page]) -> None:
    house, page = screen
    await page.keyboard.type(PIN)
    await page.get_by_test_id("act-time").click()
    await expect(page.get_by_test_id("time-30")).to_contain_text("600")
    await page.get_by_test_id("time-30").click()
    await expect(page.get_by_test_id("act-time")).to_contain_text("30 minutes asked for")
    await expect(page.get_by_test_id("act-time")).to_be_disabled()
    approved = await house.press("extend/approve", {"payment": "cash"}, token=STAFF)
    assert approved.status == 200
    await expect(page.get_by_test_id("time")).to_contain_text("1:29:")
    await page.get_by_test_id("act-time").click()
    await page.get_by_test_id("time-15").click()
    await expect(page.get_by_test_id("act-time")).to_be_disabled()
    await house.press("extend/decline", {"reason": "a group comes"}, token=STAFF)
    await expect(page.get_by_test_id("note")).to_contain_text("a group comes")
    await expect(page.get_by_test_id("act-time")).to_be_enabled()


def change_price(house: House, price: int) -> None:
    task = house.bays.bays["109"]
    task.change_rules(replace(task.rules, extension_price=price))


async def test_an_open_panel_settles_on_another_price_and_what_is_shown_is_what_is_asked(
    screen: tuple[House, Page],
) -> None:
    house, page = screen
    await type_pin(page, PIN)
    asked: list[Any] = []

    async def keep(route: Route) -> None:
        asked.append(route.request.post_data_json)
        await route.continue_()

    await page.route("**/extend", keep)
    await page.get_by_test_id("act-time").click()
    await expect(page.get_by_test_id("time-30")).to_contain_text("₹600")
    await expect(page.locator(".settling")).to_have_count(0)
    await page.evaluate("""() => {
        window.settled = 0;
        const lower = document.querySelector(".lower");
        const look = () => { window.settled += lower.matches(".settling") ? 1 : 0; };
        new MutationObserver(look).observe(lower, { attributes: true });
    }""")
    await house.press("help")  # is no news of what is offered
    await expect(page.get_by_test_id("help")).to_contain_text("Staff called")
    assert await page.evaluate("window.settled") == 0
    change_price(house, 70)
    await expect(page.get_by_test_id("time-30")).to_contain_text("₹2,100")
    assert await page.evaluate("window.settled") > 0
    await page.get_by_test_id("time-30").click()
    await expect(page.get_by_test_id("act-time")).to_contain_text("30 minutes asked for")
    assert [(body["minutes"], body["shown_amount"]) for body in asked] == [(30, 2_100)]
    session = house.bays.get("109").session
    assert session is not None
    assert session.extension_asked is not None
    assert session.extension_asked.amount == 2_100


async def more_time_asked(house: House, context: BrowserContext) -> Page:
    """A guest plays, and looks at what more time there is."""
    await house.play()
    await let_in(house, context)
    page = await context.new_page()
    await page.goto(house.url("/bay/109"))
    await page.get_by_test_id("act-time").click()
    return page


async def test_a_price_that_changed_unseen_is_nobodys(closed_house: House, context: BrowserContext) -> None:
    prepare(closed_house)
    closed_house.stream_limits = StreamLimits(look_s=3_600)  # the screen has not heard of it
    async with closed_house.open() as house:
        page = await more_time_asked(house, context)
        await expect(page.get_by_test_id("time-30")).to_contain_text("₹600")
        change_price(house, 70)
        await page.get_by_test_id("time-30").click()
        await expect(page.get_by_test_id("told")).to_have_text(
            "The price has just changed. Please look again."
        )
        assert "ExtensionAsked" not in await house.kinds()
        await house.streams.look()
        await expect(page.get_by_test_id("time-30")).to_contain_text("₹2,100")
        await page.get_by_test_id("time-30").click()
        await expect(page.get_by_test_id("act-time")).to_contain_text("30 minutes asked for")


async def test_a_price_that_came_unseen_is_a_question_and_no_charge(
    closed_house: House, context: BrowserContext
) -> None:
    """On account, where a press is enough for a price that was shown."""
    prepare(closed_house)
    rules = closed_house.rules["109"]
    unpriced = replace(rules, extension=ExtensionPolicy.ON_ACCOUNT, extension_price=None)
    closed_house.rules["109"] = unpriced
    closed_house.stream_limits = StreamLimits(look_s=3_600)  # the screen has not heard of it
    async with closed_house.open() as house:
        page = await more_time_asked(house, context)
        await expect(page.get_by_test_id("time-30")).not_to_contain_text("₹")
        change_price(house, 70)
        await page.get_by_test_id("time-30").click()
        await expect(page.get_by_test_id("act-time")).to_contain_text("30 minutes asked for")
        assert "SessionExtended" not in await house.kinds()
        await house.press("extend/decline", {"reason": "ask again"}, token=STAFF)
        await house.streams.look()
        await page.get_by_test_id("act-time").click()
        await expect(page.get_by_test_id("time-30")).to_contain_text("₹2,100")
        await page.get_by_test_id("time-30").click()
        await expect(page.locator(".panel")).to_have_count(0)
        assert [due.amount for due in house.bays.get("109").dues] == [2_100]


@pytest.mark.parametrize("language", ["en", "hi"])
async def test_why_a_bay_is_closed_stays_to_be_read_beside_a_band(
    closed_house: House, context: BrowserContext, language: str
) -> None:
    closed_house.screens = Screens.model_validate({"language": language})
    async with closed_house.open() as house:
        now_ms = house.clock.now().wall_ms
        await house.bays.submit("109", ModeSeen(Mode.CLOSED, now_ms + 3_600_000, now_ms))
        await let_in(house, context)
        page = await context.new_page()
        for width, height in (LANDSCAPE, PORTRAIT):
            await page.set_viewport_size({"width": width, "height": height})
            await page.goto(house.url("/bay/109"))
            await expect(page.locator(".welcome-text")).to_be_visible()
            await page.get_by_test_id("help").click()
            await page.get_by_test_id("help").click()  # staff have been called: it says so once more
            await expect(page.get_by_test_id("told")).to_be_visible()
            await expect(page.locator(".welcome-text")).to_be_visible()
        await house.listener.aclose()
        await expect(page.get_by_test_id("stale")).to_be_visible()
        await expect(page.locator(".welcome-text")).to_be_in_viewport(ratio=1)


async def test_who_works_by_keyboard_keeps_a_place_when_the_time_is_over(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    await page.get_by_test_id("act-time").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("time-15")).to_be_visible()
    await page.get_by_test_id("time-15").focus()
    await page.keyboard.press("Enter")  # the tile that it came from rests until staff answer
    await expect(page.get_by_test_id("act-time")).to_be_disabled()
    await expect(page.locator(".time-label")).to_be_focused()
    await page.get_by_test_id("act-end").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("end-no")).to_be_visible()
    await page.get_by_test_id("end-no").focus()
    await page.evaluate(
        "const now = performance.now.bind(performance); performance.now = () => now() + 3_600_500"
    )
    await expect(page.get_by_test_id("act-end")).to_be_disabled()  # nothing is left
    await expect(page.locator(".time-label")).to_be_focused()
    await house.press("end", REASON, token=STAFF)
    await phase(page, "grace")
    await expect(page.locator(".welcome-title")).to_be_focused()


async def test_a_press_whose_answer_got_lost_counts_once(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await page.route("**/dispense", lose_the_first_answer)
    await page.get_by_test_id("act-balls").click()
    await page.get_by_test_id("balls-25").click()
    await expect(page.get_by_test_id("act-balls")).to_contain_text("25 balls are coming")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert (await house.kinds()).count("PayoutRequested") == 1


async def test_a_press_that_is_tried_again_by_hand_counts_once(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
            await route.fulfill(status=503, json={"code": "outcome_unknown"})
        else:
            await route.continue_()

    await page.route("**/dispense", lose_the_first_answer)
    await page.get_by_test_id("act-balls").click()
    await page.get_by_test_id("balls-25").click()
    await expect(page.get_by_test_id("told")).to_contain_text("not sure")
    await page.get_by_test_id("balls-25").click()
    await expect(page.get_by_test_id("act-balls")).to_contain_text("25 balls are coming")
    assert (len(keys), len(set(keys))) == (2, 1)
    assert (await house.kinds()).count("PayoutRequested") == 1


async def test_what_happens_meanwhile_swallows_no_touch(screen: tuple[House, Page]) -> None:
    from bayd.core import inputs as i

    house, page = screen
    await type_pin(page, PIN)
    await house.bays.submit("109", i.Dispense("p1", 25, i.Actor(i.Role.SCREEN, "screen")))
    await house.bays.submit("109", i.PayoutMarkTaken("p1", 25, {"pulse": 1}))
    for tap, opened, paid in (("act-time", "time-30", 5), ("time-30", "act-time", 6)):
        await page.get_by_test_id(tap).click(trial=True)
        await page.get_by_test_id(tap).hover()
        await page.mouse.down()
        await house.bays.submit("109", i.PayoutProgressed("p1", paid))
        await expect(page.locator("#screen")).to_have_attribute(
            "data-version", str(house.bays.get("109").version)
        )
        await page.mouse.up()
        await expect(page.get_by_test_id(opened)).to_be_visible()
    assert (await house.kinds()).count("ExtensionAsked") == 1


async def test_a_double_tap_is_one_press(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    for tap in ("act-end", "act-pause"):
        await page.get_by_test_id(tap).hover(force=True)
        await page.get_by_test_id(tap).click(trial=True)
        await page.mouse.down()
        await page.mouse.up()
        await page.wait_for_timeout(150)  # the second tap of a finger
        await page.mouse.down()
        await page.mouse.up()
        if tap == "act-end":
            await page.get_by_test_id("end-no").click()
    await phase(page, "paused")
    await page.get_by_test_id("act-go_on").click()
    await phase(page, "playing")
    kinds = await house.kinds()
    assert [kind for kind in kinds if kind in ("SessionPaused", "SessionResumed", "SessionEnded")] == [
        "SessionPaused",
        "SessionResumed",
    ]


async def test_what_is_opened_and_closed_leaves_nothing_behind(screen: tuple[House, Page]) -> None:
    _, page = screen
    await type_pin(page, PIN)
    await page.get_by_test_id("act-end").wait_for()
    await page.evaluate("""() => {
        window.added = 0;
        const add = EventTarget.prototype.addEventListener;
        const lower = document.querySelector(".lower");
        EventTarget.prototype.addEventListener = function (...all) {
            if (this === lower || this === document) window.added += 1;
            return add.apply(this, all);
        };
    }""")
    for _ in range(3):
        await page.get_by_test_id("act-end").click()
        await page.get_by_test_id("back").click()
        await expect(page.get_by_test_id("act-end")).to_be_focused()
    assert await page.evaluate("window.added") == 0


@pytest.mark.parametrize("taps", [("act-end", "end-yes"), ("act-pause",)], ids=lambda taps: taps[0])
async def test_a_press_that_comes_through_late_never_touches_the_next_guests_session(
    screen: tuple[House, Page], taps: tuple[str, ...]
) -> None:
    house, page = screen
    await type_pin(page, PIN)
    pressed: list[str] = []

    async def lose_the_first(route: Route) -> None:
        pressed.append(route.request.headers["idempotency-key"])
        if len(pressed) > 1:
            await route.continue_()
            return
        await house.press("end", REASON, token=STAFF)
        await house.book(session_id="8")
        await house.press("start", REASON, token=STAFF)
        await route.abort("connectionreset")

    await page.route(f"**/{taps[0].removeprefix('act-')}", lose_the_first)
    for tap in taps:
        await page.get_by_test_id(tap).click()
    await expect(page.get_by_test_id("told")).to_contain_text("That session is over")
    assert len(pressed) == 2
    session = house.bays.get("109").session
    assert session is not None
    assert (session.session_id, session.paused_at_ms) == ("8", None)


async def test_what_one_guest_left_open_is_closed_for_the_next(screen: tuple[House, Page]) -> None:
    from bayd.core import inputs as i
    from bayd.core.model import StartedBy

    house, page = screen
    await type_pin(page, PIN)
    await house.book(session_id="8")
    house.clock.go_on(56 * 60_000)
    await house.bays.submit("109", i.PinEntered("next", None))
    await house.bays.submit("109", i.PinWasRight("next", "8", StartedBy.PIN_ONLINE))
    await page.get_by_test_id("act-end").click()
    await expect(page.get_by_test_id("end-yes")).to_be_visible()
    house.clock.go_on(4 * 60_000)  # play follows play
    await expect(page.get_by_test_id("time")).to_contain_text("59:")
    await expect(page.get_by_test_id("end-yes")).to_have_count(0)
    await expect(page.get_by_test_id("act-end")).to_be_visible()


async def test_no_more_balls_are_offered_while_a_tray_still_tips(screen: tuple[House, Page]) -> None:
    from bayd.core import inputs as i
    from bayd.core.model import PayoutEnd

    house, page = screen
    await type_pin(page, PIN)
    await phase(page, "playing")
    await house.bays.submit("109", i.Dispense("p1", 25, i.Actor(i.Role.SCREEN, "screen")))
    await house.bays.submit("109", i.PayoutMarkTaken("p1", 25, {"pulse": 1}))
    await house.bays.submit("109", i.PayoutProgressed("p1", 25))
    await expect(page.get_by_test_id("act-balls")).to_contain_text("The last balls are coming")
    await expect(page.get_by_test_id("act-balls")).to_be_disabled()
    await house.bays.submit("109", i.PayoutEnded("p1", PayoutEnd.DONE, 25, ""))
    await expect(page.get_by_test_id("act-balls")).to_be_enabled()


async def test_the_language_is_the_guests_until_the_session_is_over(screen: tuple[House, Page]) -> None:
    house, page = screen
    await type_pin(page, PIN)
    await page.get_by_test_id("language").click()
    await expect(page.locator("html")).to_have_attribute("lang", "hi")
    await expect(page.get_by_test_id("act-time")).to_contain_text("और समय")
    await house.press("end", REASON, token=STAFF)
    await phase(page, "grace")
    await expect(page.locator("html")).to_have_attribute("lang", "hi")  # the guest reads the result
    await house.book(session_id="8")
    await house.press("start", REASON, token=STAFF)
    await phase(page, "playing")
    await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_a_call_for_help_is_seen_to_be_answered(screen: tuple[House, Page]) -> None:
    house, page = screen
    await page.get_by_test_id("help").click()
    await expect(page.get_by_test_id("told")).to_contain_text("Staff have been told")
    await expect(page.get_by_test_id("help")).to_contain_text("Staff called")
    await page.get_by_test_id("help").click()  # nothing more is called
    await house.press("help/acknowledge", token=STAFF)
    await expect(page.get_by_test_id("told")).to_contain_text("on their way")
    assert (await house.kinds()).count("HelpCalled") == 1


async def test_a_machine_that_is_broken_says_so_before_it_is_pressed(screen: tuple[House, Page]) -> None:
    from bayd.core import inputs as i
    from bayd.core.model import DeviceState

    house, page = screen
    await type_pin(page, PIN)
    await expect(page.get_by_test_id("act-balls")).to_be_enabled()
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    await expect(page.get_by_test_id("act-balls")).to_be_disabled()
    await expect(page.get_by_test_id("act-balls")).to_contain_text("Staff know")


async def test_an_end_is_asked_about_first(screen: tuple[House, Page]) -> None:
    _, page = screen
    await type_pin(page, PIN)
    await page.get_by_test_id("act-end").click()
    await page.get_by_test_id("end-no").click()
    await phase(page, "playing")
    await page.get_by_test_id("act-end").click()
    await page.get_by_test_id("end-yes").click()
    await phase(page, "grace")


async def test_a_screen_that_slept_shows_the_time_that_is_left(
    closed_house: House, context: BrowserContext
) -> None:
    closed_house.stream_limits = replace(StreamLimits(), heartbeat_s=0.5)
    async with closed_house.open() as house:
        await house.play()
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_test_id("time")).to_contain_text(re.compile("^59:|^1:00:00"))
        before = house.journal.last_seq
        house.clock.go_on(20 * 60_000)  # which the page's clock slept through
        await expect(page.get_by_test_id("time")).to_contain_text("39:")
        assert house.journal.last_seq == before


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
async def test_a_step_of_the_clock_moves_no_countdown(screen: tuple[House, Page], step_ms: int) -> None:
    _, page = screen
    await type_pin(page, PIN)
    await phase(page, "playing")
    await page.evaluate(f"const now = Date.now; Date.now = () => now() + {step_ms}")
    await page.wait_for_function(
        "(before) => document.querySelector('[data-testid=time]').textContent !== before",
        arg=await page.get_by_test_id("time").inner_text(),
    )
    assert (await page.get_by_test_id("time").inner_text()).startswith("59:")


async def test_the_screens_session_is_no_business_of_its_scripts(screen: tuple[House, Page]) -> None:
    _, page = screen
    assert COOKIE not in await page.evaluate("document.cookie")
    stored = await page.evaluate("[localStorage.length, sessionStorage.length]")
    assert stored == [0, 0]


async def test_no_menu_leads_out_of_the_screen(screen: tuple[House, Page]) -> None:
    _, page = screen
    press = "document.body.dispatchEvent(new MouseEvent('contextmenu', {bubbles: true, cancelable: true}))"
    assert await page.evaluate(press) is False


async def test_two_sizes_that_the_machine_cannot_pay_are_not_offered(
    closed_house: House, context: BrowserContext
) -> None:
    closed_house.rules = {"109": replace(closed_house.rules["109"], dispenser_step=25)}
    async with closed_house.open() as house:
        await house.play()
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await page.get_by_test_id("act-balls").click()
        await expect(page.get_by_test_id("balls-25")).to_be_visible()
        offered = await page.locator("[data-testid^=balls-]").all_inner_texts()
        assert all(int(text.split()[0]) % 25 == 0 for text in offered)


async def test_the_time_runs_out(closed_house: House, context: BrowserContext) -> None:
    quick = replace(closed_house.rules["109"], minute_ms=200, grace_minutes=25)
    closed_house.rules = {"109": quick}
    async with closed_house.open() as house:
        await house.book(minutes=30)
        await let_in(house, context)
        page = await context.new_page()
        await page.goto(house.url("/bay/109"))
        await type_pin(page, PIN)
        await phase(page, "playing")
        await expect(page.get_by_test_id("time-state")).to_contain_text("left")  # a warning, in words
        await phase(page, "grace")
        await expect(page.get_by_role("heading", name="Your session is over")).to_be_visible()
        await phase(page, "free")
        assert "WarningGiven" in await house.kinds()


async def test_a_guest_is_asked_for_the_game_when_the_session_has_none(screen: tuple[House, Page]) -> None:
    house, page = screen
    house.offer_games()
    await type_pin(page, PIN)  # the games are offered by themselves, without one whose limit is not known
    await expect(page.get_by_test_id("game-1")).to_contain_text("Longest drive")
    await expect(page.get_by_test_id("game-2")).to_contain_text("any number of balls")
    await expect(page.get_by_test_id("game-3")).to_have_count(0)
    await page.get_by_test_id("back").click()
    await expect(page.get_by_test_id("game-1")).to_have_count(0)
    await page.get_by_test_id("act-game").click()
    await page.get_by_test_id("game-1").click()
    await expect(page.get_by_test_id("fact-game")).to_have_text("Longest drive")
    await expect(page.get_by_test_id("fact-balls")).to_have_text("50 of 50")
    await expect(page.get_by_test_id("act-game")).to_have_count(0)
    assert "GameSelected" in await house.kinds()
    staff = (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json
    assert (staff["session"]["game"]["name"], staff["games"]) == ("Longest drive", [])


async def test_no_game_is_offered_where_none_is_configured(screen: tuple[House, Page]) -> None:
    _, page = screen
    await type_pin(page, PIN)
    await expect(page.get_by_test_id("act-end")).to_be_visible()
    await expect(page.get_by_test_id("act-game")).to_have_count(0)


async def test_half_a_pin_is_forgotten(screen: tuple[House, Page]) -> None:
    _, page = screen
    await page.clock.install()
    await page.reload()
    await type_pin(page, "246")
    await page.clock.fast_forward(9_000)
    await expect(page.locator(".cell.full")).to_have_count(3)
    await type_pin(page, "8")
    await page.clock.fast_forward(9_000)  # since the last digit
    await expect(page.locator(".cell.full")).to_have_count(4)
    await page.clock.fast_forward(6_000)
    await expect(page.locator(".cell.full")).to_have_count(0)


_TONES = """
window.tones = [];
const silent = new Proxy({}, { get: () => () => {} });
window.AudioContext = class {
  state = "running";
  currentTime = 0;
  destination = null;
  createGain = () => ({ gain: silent, connect: () => {} });
  createOscillator = () => ({
    frequency: { set value(hertz) { window.tones.push(hertz); } },
    connect: (gain) => gain, start: () => {}, stop: () => {},
  });
};
"""


async def test_what_happens_is_heard(closed_house: House, context: BrowserContext) -> None:
    """As tones, and as words for who hears the page instead of seeing it."""
    async with closed_house.open() as house:
        await house.book(minutes=11)
        await let_in(house, context)
        page = await context.new_page()
        await page.add_init_script(_TONES)
        await page.goto(house.url("/bay/109"))
        told, said = page.get_by_test_id("told"), page.locator("#said[aria-live=polite]")

        async def sounds(*hertz: int) -> None:
            await expect(page.locator("#screen")).to_have_attribute(
                "data-version", str(house.bays.get("109").version)
            )
            assert await page.evaluate("window.tones.splice(0)") == list(hertz)

        await type_pin(page, PIN)
        await phase(page, "playing")
        await sounds(523, 784)
        house.clock.go_on(65_000)
        await expect(told).to_contain_text("Less than 10 minutes left")
        await expect(said).to_have_text("Less than 10 minutes left")
        await sounds(880, 880, 880)
        house.clock.go_on(300_000)
        await expect(said).to_have_text("Less than 5 minutes left")
        await expect(page.get_by_test_id("time-state")).to_contain_text("Less than 5 minutes left")
        await sounds(880, 880, 880)
        await house.press("end", REASON, token=STAFF)
        await phase(page, "grace")
        await sounds(880, 660, 494)


async def test_silence_is_called_so_after_twelve_seconds(
    closed_house: House, context: BrowserContext
) -> None:
    closed_house.stream_limits = replace(StreamLimits(), heartbeat_s=600)
    async with closed_house.open() as house:
        await house.play()
        await let_in(house, context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_test_id("act-end")).to_be_enabled()
        await page.clock.fast_forward(8_500)
        await expect(page.get_by_test_id("stale")).to_be_hidden()
        await house.press("help")
        await expect(page.get_by_test_id("help")).to_contain_text("Staff called")
        await page.clock.fast_forward(8_500)  # since the last word; some real time passes, too
        await expect(page.get_by_test_id("stale")).to_be_hidden()
        await page.route("**/api/v1/events*", lambda route: route.abort())
        await page.clock.fast_forward(1_000)
        left = await shown_s(page)
        await page.get_by_test_id("language").click()
        assert await shown_s(page) <= left  # what is said anew is no news
        await page.clock.fast_forward(4_000)
        await expect(page.get_by_test_id("stale")).to_be_visible()
        assert await shown_s(page) < left
        await expect(page.get_by_test_id("act-end")).to_be_disabled()


async def test_a_file_that_did_not_come_leaves_no_dead_screen(
    closed_house: House, context: BrowserContext
) -> None:
    async with closed_house.open() as house:
        await let_in(house, context)
        page = await context.new_page()
        lost: list[str] = []

        async def lose_the_first(route: Route) -> None:
            lost.append(route.request.url)
            await (route.abort("connectionreset") if len(lost) == 1 else route.continue_())

        await page.route("**/bay/screen.js", lose_the_first)
        await page.goto(house.url("/bay/109"))
        await expect(page.get_by_text("Connecting to the bay")).to_be_visible()
        await expect(page.get_by_test_id("keys")).to_be_visible()
        assert len(lost) == 2
