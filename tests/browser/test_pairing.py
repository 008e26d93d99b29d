"""A screen finds its bay: the code, a thief of codes, a screen in another's place."""

import re

from playwright.async_api import BrowserContext, Page, expect

from bayd.web.browsers import COOKIE
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
