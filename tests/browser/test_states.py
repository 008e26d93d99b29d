"""Every state of every page, lying and upright, in every language: all is there, reachable and legible."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.states import STATES, State, prepare, show
from tests.web.house import House

_AXE = Axe()
_SMALLEST_TARGET_PX = 90  # 15 mm on 10 inches

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


# One browser looks at several states: to open it takes as long as to look at one.
_GROUP = 6
GROUPS = [STATES[first : first + _GROUP] for first in range(0, len(STATES), _GROUP)]


@pytest.mark.parametrize("states", GROUPS, ids=lambda states: f"{states[0].name}..{states[-1].name}")
async def test_everything_is_there_and_can_be_read(
    tmp_path: Path, context: BrowserContext, states: Sequence[State]
) -> None:
    wrong: dict[str, list[str]] = {}
    for state in states:
        house = House(tmp_path / f"{state.name}.db")
        prepare(house)
        async with house.open():
            page = await show(house, context, state)
            wrong |= {
                f"{state.name} {where}": found for where, found in (await look(house, page, state)).items()
            }
            await page.close()
        await context.clear_cookies()
    assert wrong == {}


async def look(house: House, page: Page, state: State) -> dict[str, list[str]]:
    """What is wrong in this state, by size and language."""
    found: dict[str, list[str]] = {}
    for size in (LANDSCAPE, PORTRAIT):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        found[f"en {size}"] = await faults_of(page)
    found["axe"] = await violations_of(page)
    if await page.get_by_role("heading", level=1).count() != 1:
        found["heading"] = ["not one heading that says what this is"]
    if state.paired:
        await switch_language(page)
        if state.reopens:  # a switch of language closes what was open
            await state.do(house, page)
        for size in (PORTRAIT, LANDSCAPE):
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            found[f"hi {size}"] = await faults_of(page)
    return {where: faults for where, faults in found.items() if faults}


async def test_what_is_cut_or_covered_is_found(closed_house: House, context: BrowserContext) -> None:
    """The look at the pages can fail."""
    prepare(closed_house)
    state = next(state for state in STATES if state.name == "playing")
    async with closed_house.open() as house:
        page = await show(house, context, state)
        await page.evaluate("window.sheet = document.styleSheets[1]")
        for rule, fault in (
            ("p.time.time { font-size: 400px }", "beyond time-panel"),
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
