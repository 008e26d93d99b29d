"""Every state of every page that people look at, made by what brings it about."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from playwright.async_api import BrowserContext, Page, expect

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import DeviceState
from bayd.reconcile.players import Player
from bayd.web.browsers import COOKIE
from tests.web.house import STAFF, House

_STAFF_REASON = {"reason": "as the guest asked"}

Make = Callable[[House], Awaitable[None]]
Do = Callable[[House, Page], Awaitable[None]]


async def _nothing(_house: House, _page: Page) -> None:
    pass


@dataclass(frozen=True)
class State:
    """`make` before the page is opened, `do` on the page; `seen` is on it when it is there."""

    name: str
    make: Make
    seen: str
    do: Do = _nothing
    path: str = "/bay/109"
    paired: bool = True
    staff: bool = False  # a page of the board, for somebody who signed in
    reopens: bool = False  # `do` opens what a switch of language closes


def prepare(house: House) -> None:
    """Before it opens: prices and sizes as a range would have them."""
    house.rules = {
        number: replace(rules, dispense_choices=(25, 50, 100), extension_price=20)
        for number, rules in house.rules.items()
    }


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
    if state.staff:
        await sign_in(house, context)
    elif state.paired:
        await let_in(house, context)
    page = await context.new_page()
    await page.goto(house.url(state.path))
    await state.do(house, page)
    await expect(page.get_by_test_id(state.seen).first).to_be_visible()
    await page.evaluate("document.fonts.ready")
    return page


def press(*test_ids: str) -> Do:
    async def do(_house: House, page: Page) -> None:
        for test_id in test_ids:
            await page.get_by_test_id(test_id).click()

    return do


async def type_pin(page: Page, pin: str) -> None:
    for digit in pin:
        await page.get_by_test_id("keys").get_by_role("button", name=digit, exact=True).click()


# The bays


async def free(_house: House) -> None:
    pass


async def booked(house: House) -> None:
    await house.book()


async def playing(house: House) -> None:
    await house.play(minutes=45)
    await house.press("game", {"game_id": 1})


async def no_game(house: House) -> None:
    house.offer_games()
    await house.play(minutes=45)


async def two_play(house: House) -> None:
    house.players["7"] = (Player(1, "Asha Example"), Player(2, "Vikram Example"), Player(3, None))
    await playing(house)
    await house.press("player", {"session_user_id": 2})


async def five_minutes(house: House) -> None:
    await house.play(minutes=4)


async def one_minute(house: House) -> None:
    await house.play(minutes=1)


async def long_play(house: House) -> None:
    await house.play(minutes=150)


async def next_waits(house: House) -> None:
    await house.play(minutes=4)
    await house.book(session_id="8")


async def paused(house: House) -> None:
    await playing(house)
    await house.press("pause", _STAFF_REASON, token=STAFF)


async def paying(house: House) -> None:
    await playing(house)
    await house.press("dispense", {"balls": 25})


async def broken_machine(house: House) -> None:
    await playing(house)
    fault = i.DeviceReported("dispenser", DeviceState.FAULT, "jam")
    await house.bays.submit("109", fault)


async def asked(house: House) -> None:
    await playing(house)
    await house.press("extend", {"minutes": 30})


async def declined(house: House) -> None:
    await asked(house)
    await house.press("extend/decline", {"reason": "a group is booked"}, token=STAFF)


async def helped(house: House) -> None:
    await playing(house)
    await house.press("help")


async def over(house: House) -> None:
    await playing(house)
    await house.press("end", _STAFF_REASON, token=STAFF)


async def over_and_next(house: House) -> None:
    await house.play()
    await house.book(session_id="8")
    await house.press("end", _STAFF_REASON, token=STAFF)


async def locked(house: House) -> None:
    await house.book()
    for _ in range(5):
        await house.press("pin", {"pin": "000000"})


async def held(house: House) -> None:
    await house.press("hold", _STAFF_REASON, token=STAFF)


async def out_of_service(house: House) -> None:
    await house.press("service/stop", _STAFF_REASON, token=STAFF)


async def wrong_pin(_house: House, page: Page) -> None:
    await type_pin(page, "000000")
    await expect(page.get_by_test_id("pad-message")).not_to_be_empty()


async def half_a_pin(_house: House, page: Page) -> None:
    await type_pin(page, "123")


async def cut_off(house: House, page: Page) -> None:
    await expect(page.get_by_test_id("time")).to_be_visible()
    await house.listener.aclose()


async def refused(_house: House, page: Page) -> None:
    await page.get_by_test_id("help").click()


STATES = (
    State("pairing", free, "pairing-code", path="/screen", paired=False),
    State("pairing-bay", free, "pairing-code", paired=False),
    State("free", free, "keys"),
    State("booked", booked, "keys"),
    State("booked-typing", booked, "keys", half_a_pin),
    State("wrong-pin", booked, "pad-message", wrong_pin),
    State("locked", locked, "lock-seconds"),
    State("playing", playing, "time"),
    State("playing-long", long_play, "time"),
    State("playing-players", two_play, "act-players"),
    State("games", no_game, "game-2", press("act-game"), reopens=True),
    State("players", two_play, "player-2", press("act-players"), reopens=True),
    State("balls", playing, "balls-50", press("act-balls"), reopens=True),
    State("balls-coming", paying, "act-balls"),
    State("machine-broken", broken_machine, "act-balls"),
    State("more-time", playing, "time-30", press("act-time"), reopens=True),
    State("more-time-asked", asked, "act-time"),
    State("more-time-declined", declined, "note"),
    State("end-question", playing, "end-yes", press("act-end"), reopens=True),
    State("five-minutes", five_minutes, "time-state"),
    State("one-minute", one_minute, "time-state"),
    State("next-guest", next_waits, "keys", press("act-next"), reopens=True),
    State("paused", paused, "time-state"),
    State("help-called", helped, "help"),
    State("help-told", playing, "told", refused),
    State("help-told-pad", booked, "told", refused),
    State("help-told-next", next_waits, "told", press("act-next", "help"), reopens=True),
    State("grace", over, "bay-number"),
    State("grace-next", over_and_next, "keys"),
    State("held", held, "bay-number"),
    State("out-of-service", out_of_service, "bay-number"),
    State("no-connection", playing, "stale", cut_off),
)


# The board


async def _devices_work(house: House) -> None:
    for number in ("109", "110"):
        for device in ("reader", "dispenser"):
            await house.bays.submit(number, i.DeviceReported(device, DeviceState.OK, ""))


async def busy(house: House) -> None:
    """Help called for long, more time asked for, a machine that failed."""
    await _devices_work(house)
    await house.play("110", "8", minutes=30)
    await house.press("help", token=STAFF, bay="110")
    house.clock.go_on(130_000)
    await asked(house)
    fault = i.DeviceReported("dispenser", DeviceState.FAULT, "The hopper is jammed.")
    await house.bays.submit("109", fault)


async def quiet(house: House) -> None:
    """One bay held for a lesson, another open to all: nobody plays. The central server is away."""
    await _devices_work(house)
    task = house.bays.bays["110"]
    task.change_rules(replace(task.rules, reader=False), dispenser=None)
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF)
    mode = {"mode": "free_play", "until": "day_end", "reason": "open day of the club"}
    await house.press("mode", mode, token=STAFF, bay="110")
    house.central.update(online=False, outbox=3, oldest_s=40.0)
    house.clock.go_on(4_000_000)


async def a_day(house: House) -> None:
    """Hours of it: play, a pause, a bay out of service."""
    hour_ms = 3_600_000
    house.clock.go_on(9 * hour_ms)
    await playing(house)
    await house.press("service/stop", _STAFF_REASON, token=STAFF, bay="110")
    house.clock.go_on(hour_ms // 3)
    await house.press("pause", _STAFF_REASON, token=STAFF)
    house.clock.go_on(hour_ms // 2)
    await house.press("resume", token=STAFF)
    house.clock.go_on(hour_ms // 3)
    await house.press("end", _STAFF_REASON, token=STAFF)
    await house.press("service/resume", token=STAFF, bay="110")
    house.clock.go_on(hour_ms)
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF, bay="110")
    house.clock.go_on(2 * hour_ms)


async def reads(house: House, page: Page) -> None:
    house.reader["reads"] = 97
    await expect(page.locator("#plot-reads-now")).not_to_be_empty()


BOARD_STATES = (
    State("board-sign-in", playing, "login", path="/", paired=False),
    State("board", busy, "call-time-109", path="/", staff=True),
    State("board-quiet", quiet, "phase-110", path="/", staff=True),
    State("board-mode", quiet, "go", press("open-109", "do-mode"), path="/", staff=True),
    State("board-acts", busy, "do-end", press("open-109"), path="/", staff=True),
    State("board-act", busy, "go", press("open-109", "do-extend"), path="/", staff=True),
    State("board-screens", busy, "pair", press("screens"), path="/", staff=True),
    State("day", a_day, "day-109", path="/day", staff=True),
    State("handover", busy, "handover-calls", path="/handover", staff=True),
    State("devices", busy, "readers-east", reads, path="/devices", staff=True),
)
