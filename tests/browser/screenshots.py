"""`make screens`: every state of every page, in both languages, lying and upright, into docs/img.

python -m tests.browser.screenshots [NAME …]
"""

import asyncio
import base64
import os
import sys
import tempfile
from pathlib import Path
from typing import get_args

from playwright.async_api import Browser, Page, async_playwright, expect

from bayd.settings import Screens, Staff
from bayd.settings.screens import Language
from tests.browser.bay_states import STATES
from tests.browser.board_states import BOARD_STATES
from tests.browser.chromium import chromium
from tests.browser.look import drawn
from tests.browser.states import State, show
from tests.web.house import House

IMAGES = Path(__file__).parents[2] / "docs/img"
SIZES = {"wide": (1280, 800), "tall": (800, 1280)}
# Laid out at full size; the pictures are to stay small. Of the board, the small print is to be read.
_SCALE_KIOSK, _SCALE_BOARD = 0.5, 0.75
_QUALITY = 75
_LIGHT = frozenset(
    {
        "playing", "booked", "one-minute", "locked", "balls-coming", "machine-broken", "no-connection",
        "board", "board-full", "board-acts", "day", "handover", "devices",
    }
)  # fmt: skip  # shown in the light theme, too


async def _shoot(browser: Browser, state: State, screens: Screens, directory: Path, images: Path) -> None:
    house = House(directory / "journal.db")
    house.screens = screens
    house.staff_settings = Staff(language=screens.language, theme=screens.theme)
    state.before(house)
    async with house.open():
        context = await browser.new_context(
            reduced_motion="reduce",
            locale=f"{screens.language}-IN",
        )
        await take(await show(house, context, state), state, screens, images)
        await context.close()


async def take(page: Page, state: State, screens: Screens, images: Path) -> None:
    """Its pictures, lying and upright."""
    devtools = await page.context.new_cdp_session(page)
    for word, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        if state.whole:
            long = await page.evaluate("document.scrollingElement.scrollHeight")
            await page.set_viewport_size({"width": width, "height": max(height, long)})
        await drawn(page)
        viewport = page.viewport_size
        assert viewport is not None
        clip = {"x": 0, "y": 0, **viewport, "scale": _SCALE_KIOSK if state.is_kiosk else _SCALE_BOARD}
        asked = {"format": "webp", "quality": _QUALITY, "clip": clip}
        shot = await devtools.send("Page.captureScreenshot", asked)
        theme = "-light" if screens.theme == "light" else ""
        path = images / f"{state.name}-{screens.language}-{word}{theme}.webp"
        path.write_bytes(base64.b64decode(shot["data"]))
        sys.stdout.write(f"{path.name} {path.stat().st_size // 1024} kB\n")
        sys.stdout.flush()


async def shoot(names: set[str], images: Path) -> None:
    expect.set_options(timeout=20_000)
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
                        await _shoot(browser, state, screens, Path(directory), images)


def main() -> None:
    images = Path(os.environ.get("BAYD_IMAGES", IMAGES))
    images.mkdir(parents=True, exist_ok=True)
    asyncio.run(shoot(set(sys.argv[1:]), images))


if __name__ == "__main__":
    main()
