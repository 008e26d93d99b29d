"""`make screens`: every state of every page, in both languages, lying and upright, into docs/img.

python -m tests.browser.screenshots [NAME …]
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import get_args

from playwright.async_api import Browser, async_playwright

from bayd.settings import Screens, Staff
from bayd.settings.screens import Language
from tests.browser.chromium import chromium
from tests.browser.states import BOARD_STATES, STATES, State, prepare, show
from tests.web.house import House

IMAGES = Path(__file__).parents[2] / "docs/img"
SIZES = {"wide": (1280, 800), "tall": (800, 1280)}
SCALE = 0.5  # the pages are laid out at full size; the pictures are to stay small
_LIGHT = frozenset({"playing", "booked", "board", "day"})  # shown in the light theme, too


async def _shoot(browser: Browser, state: State, screens: Screens, directory: Path) -> None:
    house = House(directory / "journal.db")
    house.screens = screens
    house.staff_settings = Staff(language=screens.language, theme=screens.theme)
    prepare(house)
    async with house.open():
        context = await browser.new_context(
            viewport={"width": 1280, "height": 800}, reduced_motion="reduce", device_scale_factor=SCALE
        )
        page = await show(house, context, state)
        for word, (width, height) in SIZES.items():
            await page.set_viewport_size({"width": width, "height": height})
            theme = "-light" if screens.theme == "light" else ""
            path = IMAGES / f"{state.name}-{screens.language}-{word}{theme}.png"
            await page.screenshot(path=path, animations="disabled")
            sys.stdout.write(f"{path.name} {path.stat().st_size // 1024} kB\n")
        await context.close()


async def shoot(names: set[str]) -> None:
    with chromium() as devtools:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(devtools)
            for state in (*STATES, *BOARD_STATES):
                if names and state.name not in names:
                    continue
                looks = [Screens(language=language) for language in get_args(Language)]
                if state.name in _LIGHT:
                    looks.append(Screens(language="en", theme="light"))
                for screens in looks:
                    with tempfile.TemporaryDirectory() as directory:
                        await _shoot(browser, state, screens, Path(directory))


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(shoot(set(sys.argv[1:])))


if __name__ == "__main__":
    main()
