"""Every state of every page, lying and upright, in every language: all is there, reachable and legible."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, Page

from bayd.settings import Screens, Staff
from bayd.settings.screens import Language
from bayd.web.pages.files import DIRECTORY
from tests.browser.bay_states import STATES
from tests.browser.board_states import BOARD_STATES
from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.states import State, show
from tests.web.house import House

_AXE = Axe()
# A guest touches a screen in passing: 15 mm on 10 inches. Staff know the board, at arm's length.
_KIOSK = {"smallest": 90, "text": 22, "kiosk": True}
_BOARD = {"smallest": 44, "text": 13, "kiosk": False}

pytestmark = pytest.mark.timeout(240)  # much is looked at in one test

_FAULTS = Path(__file__).with_name("faults.js").read_text()


async def faults_of(page: Page, *, kiosk: bool = True) -> list[str]:
    found: list[str] = await page.evaluate(_FAULTS, _KIOSK if kiosk else _BOARD)
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


# One browser looks at several states: to open it takes as long as to look at one.
_GROUP = 4
_ALL = (*STATES, *BOARD_STATES)
GROUPS = [_ALL[first : first + _GROUP] for first in range(0, len(_ALL), _GROUP)]


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("states", GROUPS, ids=lambda states: f"{states[0].name}..{states[-1].name}")
async def test_everything_is_there_and_can_be_read(
    tmp_path: Path, context: BrowserContext, states: Sequence[State], language: Language
) -> None:
    wrong: dict[str, list[str]] = {}
    for state in states:
        house = House(tmp_path / f"{state.name}.db")
        house.screens = Screens(language=language)
        house.staff_settings = Staff(language=language)
        state.before(house)
        async with house.open():
            page = await show(house, context, state)
            wrong |= {f"{state.name} {where}": found for where, found in (await look(page, state)).items()}
            house.verifier.gate.set()  # whose check still hangs has its answer
            await page.close()
        await context.clear_cookies()
    assert wrong == {}


async def look(page: Page, state: State) -> dict[str, list[str]]:
    """What is wrong in this state."""
    found: dict[str, list[str]] = {}
    for width, height in (PORTRAIT, LANDSCAPE):
        await page.set_viewport_size({"width": width, "height": height})
        if not state.is_kiosk:  # may be scrolled: all of it is looked at
            long = await page.evaluate("document.scrollingElement.scrollHeight")
            await page.set_viewport_size({"width": width, "height": max(height, long)})
        found[f"{width}x{height}"] = await faults_of(page, kiosk=state.is_kiosk)
    found["axe"] = await violations_of(page)
    if not state.bare and await page.locator("h1").count() != 1:
        found["heading"] = ["not one heading that says what this is"]
    return {where: faults for where, faults in found.items() if faults}


async def test_every_refusal_has_room_where_it_is_told(closed_house: House, context: BrowserContext) -> None:
    """On the pad and in the band, however long: they come too seldom for a state each."""
    wrong: dict[str, list[str]] = {}
    async with closed_house.open() as house:
        await house.book()
        page = await show(house, context, State("booked", _nothing, "keys"))
        for language in get_args(Language):
            texts = json.loads((DIRECTORY / f"i18n/bay.{language}.json").read_text())
            told = {key: text for key, text in texts.items() if key.startswith(("refusal.", "pin.wrong"))}
            assert len(told) > 20
            for width, height in (PORTRAIT, LANDSCAPE):
                await page.set_viewport_size({"width": width, "height": height})
                for key, text in told.items():
                    await page.get_by_test_id("pad-message").evaluate(
                        "(e, text) => e.textContent = text", text
                    )
                    await page.get_by_test_id("told").evaluate(
                        "(e, text) => { e.hidden = false; e.textContent = text; }", text
                    )
                    wrong[f"{language} {key} {width}"] = await faults_of(page)
    assert {where: faults for where, faults in wrong.items() if faults} == {}


async def _nothing(_house: House) -> None:
    pass


async def test_what_is_cut_or_covered_is_found(closed_house: House, context: BrowserContext) -> None:
    """The look at the pages can fail."""
    state = next(state for state in STATES if state.name == "playing")
    state.before(closed_house)
    async with closed_house.open() as house:
        page = await show(house, context, state)
        await page.evaluate("window.sheet = document.styleSheets[1]")
        for rule, fault in (
            ("p.time.time { font-size: 400px }", "beyond time-panel"),
            (".tiles { margin-top: -60px }", "lies upon"),
            (".head-button { min-height: 0; padding: 0 }", "button.head-button"),
            (".fact.fact { height: 40px; flex: none }", "beyond fact"),
            (".site { width: 60px; flex: none; padding: 0 }", "cut at its side: p.site"),
            (".time-ends { height: 20px; overflow: hidden }", "cut below: p.time-ends"),
            (".fact dd { flex: 0 1 20px; min-height: 0 }", "cut below: dd"),
            (".facts { transform: translateX(300px) }", "beyond the screen: dd"),
            (".facts { transform: translateX(-700px); background: black }", "lies under div.fact"),
            (".time-label { position: relative; top: 90px }", "h1.time-label"),
            (".tile .label { overflow-wrap: anywhere; width: 70px }", "broken in a word: session"),
            (".hint { font-size: 18px }", "small print of 18px"),
            (".place { padding-bottom: 900px }", "to be scrolled"),
            ("#screen { width: 1400px }", "the page is 1400 wide"),
        ):
            await page.evaluate("(rule) => sheet.insertRule(rule, sheet.cssRules.length)", rule)
            assert fault in "\n".join(await faults_of(page)), rule
            await page.evaluate("sheet.deleteRule(sheet.cssRules.length - 1)")
        assert await faults_of(page) == []


@pytest.mark.parametrize(
    "state",
    [
        state
        for state in _ALL
        if state.name
        in ("five-minutes", "one-minute", "locked", "balls-coming", "machine-broken", "board-full")
    ],
    ids=lambda state: state.name,
)
async def test_the_light_theme_can_be_read_too(
    closed_house: House, context: BrowserContext, state: State
) -> None:
    closed_house.screens = Screens(theme="light")
    closed_house.staff_settings = Staff(theme="light")
    state.before(closed_house)
    async with closed_house.open() as house:
        page = await show(house, context, state)
        assert await violations_of(page) == []
