"""Pages in a real browser: Debian's Chromium, driven by Playwright.

Most tests look at a page of `House`, the real service over hand-written edges, in the same process: each
state is made by what people and devices do. Those about the whole way start a daemon.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.browser.chromium import chromium
from tests.web.house import House

LANDSCAPE = (1280, 800)
PORTRAIT = (800, 1280)
WAIT_MS = 20_000  # for what takes a moment on an idle machine
expect.set_options(timeout=WAIT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("no_browser") is None:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def devtools() -> Iterator[str]:
    with chromium() as address:
        yield address


@pytest_asyncio.fixture
async def browser(devtools: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(devtools)
        yield browser


@pytest_asyncio.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh profile. A page whose script fails, or meets the security policy, fails the test."""
    complaints: list[str] = []
    context = await browser.new_context(
        viewport={"width": LANDSCAPE[0], "height": LANDSCAPE[1]}, reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT_MS)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", _keeper(complaints))
    yield context
    await context.close()
    assert not complaints, "\n".join(complaints)


def _keeper(complaints: list[str]) -> Callable[[Any], None]:
    def keep(message: Any) -> None:
        # A refused request is no fault of the page: refusals are what half of the tests are about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    return keep


@pytest.fixture
def closed_house(tmp_path: Path) -> House:
    return House(tmp_path / "journal.db")


@pytest_asyncio.fixture
async def house(closed_house: House) -> AsyncIterator[House]:
    async with closed_house.open() as house:
        yield house
