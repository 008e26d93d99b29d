"""Every state of a bay's screen, lying and upright, in every language: all is there and legible."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from playwright.async_api import BrowserContext

from bayd.settings import Screens, Staff
from bayd.settings.screens import Language
from bayd.web.pages.files import DIRECTORY
from tests.browser.bay_states import STATES
from tests.browser.board_states import BOARD_STATES
from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.look import ends_of, faults_of, groups_of, look_at_all, violations_of
from tests.browser.states import State, show
from tests.web.house import House

pytestmark = pytest.mark.timeout(240)  # much is looked at in one test


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("states", groups_of(STATES), ids=ends_of)
async def test_everything_is_there_and_can_be_read(
    tmp_path: Path, context: BrowserContext, states: Sequence[State], language: Language
) -> None:
    assert await look_at_all(tmp_path, context, states, language) == {}


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
        for state in (*STATES, *BOARD_STATES)
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
