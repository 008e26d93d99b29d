"""What is wrong with a page as people see it: cut, covered, too small, illegible to those who see badly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, Page

from bayd.settings import Screens, Staff
from bayd.settings.screens import Language
from tests.browser.conftest import LANDSCAPE, PORTRAIT
from tests.browser.states import State, show
from tests.web.house import House

_AXE = Axe()
# A guest touches a screen in passing: 15 mm on 10 inches. Staff know the board, at arm's length.
_KIOSK = {"smallest": 90, "text": 22, "kiosk": True}
_BOARD = {"smallest": 44, "text": 13, "kiosk": False}
_FAULTS = Path(__file__).with_name("faults.js").read_text()
_GROUP = 9  # one browser looks at several states


def groups_of(states: Sequence[State]) -> list[Sequence[State]]:
    return [states[first : first + _GROUP] for first in range(0, len(states), _GROUP)]


def ends_of(states: Sequence[State]) -> str:
    """What a group is called."""
    return f"{states[0].name}..{states[-1].name}"


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


async def drawn(page: Page) -> None:
    """What follows the window's size one frame later has done so."""
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


async def look(page: Page, state: State) -> dict[str, list[str]]:
    """What is wrong in this state, upright and lying."""
    found: dict[str, list[str]] = {}
    for width, height in (PORTRAIT, LANDSCAPE):
        await page.set_viewport_size({"width": width, "height": height})
        if not state.is_kiosk:  # may be scrolled: all of it is looked at
            long = await page.evaluate("document.scrollingElement.scrollHeight")
            await page.set_viewport_size({"width": width, "height": max(height, long)})
        await drawn(page)
        found[f"{width}x{height}"] = await faults_of(page, kiosk=state.is_kiosk)
    found["axe"] = await violations_of(page)
    if not state.bare and await page.locator("h1").count() != 1:
        found["heading"] = ["not one heading that says what this is"]
    return {where: faults for where, faults in found.items() if faults}


async def look_at_all(
    directory: Path, context: BrowserContext, states: Sequence[State], language: Language
) -> dict[str, list[str]]:
    """What is wrong in each of these states, by its name and where."""
    wrong: dict[str, list[str]] = {}
    for state in states:
        house = House(directory / f"{state.name}.db")
        house.screens = Screens(language=language)
        house.staff_settings = Staff(language=language)
        state.before(house)
        async with house.open():
            if not context.pages:
                # It stays open: as long as a page of the site is there, the next one needs no new process.
                await (await context.new_page()).goto(house.url("/healthz"))
            page = await show(house, context, state)
            wrong |= {f"{state.name} {where}": found for where, found in (await look(page, state)).items()}
            house.verifier.gate.set()  # whose check still hangs has its answer
            await page.close()
        await context.clear_cookies()
    return wrong
