"""A state of a page that people look at, and how a browser comes to see it.

They are listed in `bay_states` and `board_states`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from playwright.async_api import BrowserContext, Locator, Page, expect

from bayd.core.inputs import Actor, Role
from bayd.web.browsers import COOKIE
from tests.web.house import House

Before = Callable[[House], None]
Make = Callable[[House], Awaitable[None]]
Do = Callable[[House, Page], Awaitable[None]]


def prepare(house: House) -> None:
    """Before it opens: prices and sizes as a range would have them."""
    house.rules = {
        number: replace(rules, dispense_choices=(25, 50, 100), extension_price=20)
        for number, rules in house.rules.items()
    }


async def _nothing(_house: House, _page: Page) -> None:
    pass


@dataclass(frozen=True)
class State:
    """`before` the house opens, `make` before the page is opened, `do` on the page.

    `seen`, a test id or a selector that begins with `#` or `.`, is on it when it is there.
    """

    name: str
    make: Make
    seen: str
    do: Do = _nothing
    path: str = "/bay/109"
    paired: bool = True
    role: Role | None = None  # a page of the board, for somebody who signed in
    before: Before = prepare
    whole: bool = False  # all of the page belongs into its picture, not the first window alone
    bare: bool = False  # there is nothing yet that a heading could name

    @property
    def is_kiosk(self) -> bool:
        """Nobody can scroll it, and fingers press it."""
        return self.path != "/" and not self.path.startswith(("/day", "/handover", "/devices"))


async def let_in(house: House, context: BrowserContext, bay: str = "109") -> None:
    cookie = await house.let_in(bay=bay)
    value = cookie.partition("=")[2]
    await context.add_cookies(
        [{"name": COOKIE, "value": value, "url": house.url(""), "httpOnly": True, "sameSite": "Strict"}]
    )


async def sign_in(house: House, context: BrowserContext, role: Role = Role.STAFF) -> None:
    name = "asha" if role is Role.STAFF else "bo"
    _, token = house.sessions.begin_until_idle(Actor(role, name), 900_000)
    await context.add_cookies([{"name": COOKIE, "value": token, "url": house.url("")}])


async def show(house: House, context: BrowserContext, state: State) -> Page:
    """The page in this state."""
    await state.make(house)
    if state.role is not None:
        await sign_in(house, context, state.role)
    elif state.paired:
        await let_in(house, context)
    page = await context.new_page()
    await page.goto(state.path if "://" in state.path else house.url(state.path))
    await state.do(house, page)
    await expect(find(page, state.seen)).to_be_visible()
    await page.evaluate("document.fonts.ready")
    return page


def find(page: Page, seen: str) -> Locator:
    return (page.locator(seen) if seen[0] in "#." else page.get_by_test_id(seen)).first


def press(*test_ids: str) -> Do:
    async def do(_house: House, page: Page) -> None:
        for test_id in test_ids:
            await page.get_by_test_id(test_id).click()

    return do


async def type_pin(page: Page, pin: str) -> None:
    for digit in pin:
        await page.get_by_test_id("keys").get_by_role("button", name=digit, exact=True).click()
