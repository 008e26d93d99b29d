"""A screen finds its bay: the code, a thief of codes, a screen in another's place."""

import re

from playwright.async_api import Browser, BrowserContext, Page, expect

from bayd.web.browsers import COOKIE
from bayd.web.pairing import PAIRING_COOKIE
from tests.web.house import STAFF, House

CODE = re.compile("[CDFGHJKMNPQRTVWXY34679]{6}")


async def code_on(page: Page) -> str:
    shown = page.get_by_test_id("pairing-code")
    await expect(shown).to_have_text(CODE)
    return (await shown.inner_text()).strip()


async def pair(house: House, code: str, bay: str = "109", *, replace: bool = False) -> int:
    body = {"code": code, "bay": bay, "replace": replace}
    return (await house.ask("POST", "/api/v1/screens/pair", token=STAFF, body=body)).status


async def test_a_screen_joins_its_bay_by_a_code(house: House, context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto(house.url("/screen"))
    assert await pair(house, await code_on(page)) == 200
    await expect(page.get_by_test_id("bay-number")).to_have_text("109")
    assert page.url == house.url("/bay/109")
    (cookie,) = [one for one in await context.cookies() if one["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert cookie["value"] not in await page.content()
    assert await page.evaluate("document.cookie") == ""


async def test_a_stolen_code_opens_nothing_in_another_browser(
    house: House, context: BrowserContext, browser: Browser
) -> None:
    page = await context.new_page()
    await page.goto(house.url("/bay/109"))
    code = await code_on(page)
    thief = await browser.new_context()
    stolen = await thief.new_page()
    await stolen.goto(house.url("/bay/109"))
    assert await code_on(stolen) != code
    assert await pair(house, code) == 200
    await expect(page.get_by_test_id("bay-number")).to_have_text("109")
    assert await pair(house, code, "110") == 409
    await expect(stolen.get_by_test_id("pairing-code")).to_have_text(CODE)
    assert [cookie["name"] for cookie in await thief.cookies()] == [PAIRING_COOKIE]
    await thief.close()


async def test_a_screen_that_is_replaced_shows_a_code_again(
    house: House, context: BrowserContext, browser: Browser
) -> None:
    old = await context.new_page()
    await old.goto(house.url("/bay/109"))
    await pair(house, await code_on(old))
    await expect(old.get_by_test_id("bay-number")).to_have_text("109")
    other = await browser.new_context()
    new = await other.new_page()
    await new.goto(house.url("/bay/109"))
    code = await code_on(new)
    assert await pair(house, code) == 409
    assert await pair(house, code, replace=True) == 200
    await expect(new.get_by_test_id("bay-number")).to_have_text("109")
    await expect(old.get_by_test_id("pairing-code")).to_have_text(CODE)
    await other.close()
