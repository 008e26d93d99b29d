"""Every state of every page, lying and upright, in every language: all is there, reachable and legible."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.states import STATES, State, prepare, show
from tests.web.house import House

_AXE = Axe()
_SMALLEST_TARGET_PX = 72

_FAULTS = Path(__file__).with_name("faults.js").read_text()


async def faults_of(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(_FAULTS, _SMALLEST_TARGET_PX)
    return found


async def violations_of(page: Page) -> list[str]:
    """Serious and critical ones, by axe-core."""
    results: Any = await _AXE.run(page)
    return [
        f"{violation['id']}: {node['target']} {node['any'][0]['message'] if node['any'] else ''}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


async def switch_language(page: Page) -> None:
    before = await page.evaluate("document.documentElement.lang")
    await page.get_by_test_id("language").click()
    await expect(page.locator("html")).not_to_have_attribute("lang", before)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
async def test_everything_is_there_and_can_be_read(
    closed_house: House, context: BrowserContext, state: State
) -> None:
    prepare(closed_house)
    async with closed_house.open() as house:
        page = await show(house, context, state)
        faults: dict[str, list[str]] = {}
        for size in (LANDSCAPE, PORTRAIT):
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            faults[f"{size}"] = await faults_of(page)
        violations = await violations_of(page)
        if state.paired:
            await switch_language(page)
            if state.reopens:  # a switch of language closes what was open
                await state.do(house, page)
            for size in (PORTRAIT, LANDSCAPE):
                await page.set_viewport_size({"width": size[0], "height": size[1]})
                faults[f"hi {size}"] = await faults_of(page)
        assert {where: found for where, found in faults.items() if found} == {}
        assert violations == []


async def test_what_is_cut_or_covered_is_found(closed_house: House, context: BrowserContext) -> None:
    """The look at the pages can fail."""
    prepare(closed_house)
    state = next(state for state in STATES if state.name == "playing")
    async with closed_house.open() as house:
        page = await show(house, context, state)
        await page.evaluate("window.sheet = document.styleSheets[1]")
        for rule, fault in (
            (".time { font-size: 400px }", "beyond time-panel"),
            (".tiles { margin-top: -60px }", "lies upon"),
            (".head-button { min-height: 0; padding: 0 }", "button.head-button"),
            (".fact { height: 40px; flex: none }", "beyond fact"),
        ):
            await page.evaluate("(rule) => sheet.insertRule(rule, sheet.cssRules.length)", rule)
            assert fault in "\n".join(await faults_of(page)), rule
            await page.evaluate("sheet.deleteRule(sheet.cssRules.length - 1)")
        assert await faults_of(page) == []


async def test_the_light_theme_can_be_read_too(closed_house: House, context: BrowserContext) -> None:
    from bayd.settings import Screens

    prepare(closed_house)
    closed_house.screens = Screens(theme="light")
    state = next(state for state in STATES if state.name == "five-minutes")
    async with closed_house.open() as house:
        page = await show(house, context, state)
        assert await violations_of(page) == []
