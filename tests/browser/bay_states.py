"""Every state of a bay's screen, made by what brings it about."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Page, expect

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import DeviceState, Mode, PayoutEnd
from bayd.core.rules import ExtensionPolicy
from bayd.reconcile.players import Player
from tests.browser.states import Before, Do, Make, State, prepare, press, type_pin
from tests.let_out import keep_secret
from tests.web.house import PIN, STAFF, House

_REASON = {"reason": "as the guest asked"}
_SCREEN = Actor(Role.SCREEN, "screen")
_WRONG = "000000"
_ELSEWHERE = "135790"
_LONG_NAME = "Shri Venkatanarasimharajuvaripeta Subrahmanyam the Third"
_NOBODY = f"{(Path(__file__).parents[2] / 'systemd/kiosk/wait.html').as_uri()}#http://127.0.0.1:9/bay/109"


def with_rules(**changes: object) -> Before:
    def before(house: House) -> None:
        prepare(house)
        house.rules = {number: replace(rules, **changes) for number, rules in house.rules.items()}  # type: ignore[arg-type]

    return before


def then(*makes: Make) -> Make:
    """One after the other."""

    async def make(house: House) -> None:
        for one in makes:
            await one(house)

    return make


def after(*does: Do) -> Do:
    async def do(house: House, page: Page) -> None:
        for one in does:
            await one(house, page)

    return do


# Before the page is there


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


async def nobodys(house: House) -> None:
    await house.play(minutes=45, player="")


async def two_play(house: House) -> None:
    house.players["7"] = (Player(1, "Asha Example"), Player(2, "Vikram Example"), Player(3, None))
    await playing(house)
    await house.press("player", {"session_user_id": 2})


async def many_play(house: House) -> None:
    names = ("Asha", "Vikram", _LONG_NAME, "Meera", "Kabir", None, "Ishaan", "Zoya")
    house.players["7"] = tuple(Player(place, name) for place, name in enumerate(names, 1))
    await playing(house)
    await house.press("player", {"session_user_id": 3})


async def five_minutes(house: House) -> None:
    await house.play(minutes=4)


async def ten_minutes(house: House) -> None:
    await house.play(minutes=11)


async def one_minute(house: House) -> None:
    await house.play(minutes=1)


async def long_play(house: House) -> None:
    await house.play(minutes=150)


async def next_waits(house: House) -> None:
    await house.play(minutes=4)
    await house.book(session_id="8")


async def all_at_once(house: House) -> None:
    """As many tiles as there can be."""
    house.offer_games()
    house.players["7"] = (Player(1, _LONG_NAME), Player(2, "Vikram Example"))
    await next_waits(house)


async def paused(house: House) -> None:
    await playing(house)
    await house.press("pause", _REASON, token=STAFF)


async def paused_by_the_guest(house: House) -> None:
    await playing(house)
    await house.press("pause", {"session_id": "7"})


async def paying(house: House) -> None:
    await playing(house)
    await house.press("dispense", {"balls": 25})


async def queued(house: House) -> None:
    house.queue["109"] = 2
    await paying(house)


async def _paid(house: House, balls: int, of: int = 25) -> None:
    payout = house.bays.get("109").payout
    assert payout is not None
    await house.bays.submit("109", i.PayoutMarkTaken(payout.payout_id, of, {"event": 1}))
    await house.bays.submit("109", i.PayoutProgressed(payout.payout_id, balls))


async def rolling(house: House) -> None:
    await paying(house)
    await _paid(house, 25)


async def owing(house: House) -> None:
    """The machine stopped in the middle, and was seen to."""
    await paying(house)
    await _paid(house, 7)
    payout = house.bays.get("109").payout
    assert payout is not None
    await house.bays.submit("109", i.PayoutEnded(payout.payout_id, PayoutEnd.FAULT, 7, "jam"))


async def all_had(house: House) -> None:
    await playing(house)
    await house.press("dispense", {"balls": 50})
    await _paid(house, 50, 50)
    payout = house.bays.get("109").payout
    assert payout is not None
    await house.bays.submit("109", i.PayoutEnded(payout.payout_id, PayoutEnd.DONE, 50, ""))


async def broken_machine(house: House) -> None:
    await playing(house)
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))


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
    await house.press("end", _REASON, token=STAFF)


async def over_and_owed(house: House) -> None:
    await owing(house)
    await house.press("end", _REASON, token=STAFF)


async def next_comes(house: House) -> None:
    await house.book(session_id="8")


async def locked(house: House) -> None:
    await house.book()
    await _wrong_pins(house, 5)


async def _wrong_pins(house: House, times: int) -> None:
    for _ in range(times):
        await house.press("pin", {"pin": _WRONG})


async def nearly_locked(house: House) -> None:
    await house.book()
    await _wrong_pins(house, 3)


async def locked_for_the_next(house: House) -> None:
    await next_waits(house)
    await _wrong_pins(house, 5)


async def held(house: House) -> None:
    await house.press("hold", _REASON, token=STAFF)


async def out_of_service(house: House) -> None:
    await house.press("service/stop", _REASON, token=STAFF)


def in_mode(mode: str) -> Make:
    async def make(house: House) -> None:
        await house.press("mode", {"mode": mode, "until": "day_end", **_REASON}, token=STAFF)

    return make


async def closed_for_now(house: House) -> None:
    now_ms = house.clock.now().wall_ms
    await house.bays.submit("109", i.ModeSeen(Mode.CLOSED, now_ms + 11 * 3_600_000, now_ms))


async def nobody_checks(house: House) -> None:
    await house.book()
    house.verifier.away = True


async def slow_check(house: House) -> None:
    await house.book()
    house.verifier.gate.clear()


async def opens_elsewhere(house: House) -> None:
    keep_secret(_ELSEWHERE)
    await house.book()
    house.verifier.elsewhere = frozenset({_ELSEWHERE})


# On the page


def enter(pin: str = _WRONG) -> Do:
    async def do(_house: House, page: Page) -> None:
        await type_pin(page, pin)
        await expect(page.get_by_test_id("pad-message")).not_to_be_empty()

    return do


async def half_a_pin(_house: House, page: Page) -> None:
    await type_pin(page, "123")


async def cut_off(house: House, page: Page) -> None:
    await expect(page.locator("#screen[data-phase]")).to_be_visible()
    await house.listener.aclose()


async def next_pin(house: House, page: Page) -> None:
    house.verifier.opens = {PIN: "8"}
    await type_pin(page, PIN)


async def time_passes(house: House, page: Page) -> None:
    """Until ten minutes are left, with the page looking on."""
    await expect(page.get_by_test_id("time")).to_be_visible()
    house.clock.go_on(70_000)
    await house.bays.submit("109", i.DeviceReported("reader", DeviceState.OK, ""))


async def seen_to(house: House, page: Page) -> None:
    await expect(page.get_by_test_id("help")).to_have_class("head-button help called")
    await house.press("help/acknowledge", token=STAFF)


async def until_nothing_is_left(_house: House, page: Page) -> None:
    """The page's clock is there first: the daemon, which hangs, has not said that it is over."""
    await expect(page.get_by_test_id("time")).to_be_visible()
    await page.evaluate(
        "const now = performance.now.bind(performance); performance.now = () => now() + 60_500"
    )
    await expect(page.get_by_test_id("time")).to_have_text("0:00")


async def no_events(_house: House, page: Page) -> None:
    """The stream is open, and nothing has come yet."""
    await page.add_init_script("window.EventSource = class extends EventTarget { close() {} }")
    await page.reload()


async def no_code(_house: House, page: Page) -> None:
    await page.route("**/screens/code", lambda route: route.abort())
    await page.reload()


async def not_answered(_house: House, page: Page) -> None:
    """Long enough to say which address it waits for."""
    await page.clock.install()
    await page.reload()
    while not await page.locator("#why").inner_text():
        await page.clock.run_for(1_000)


STATES: Sequence[State] = (
    State("waiting", free, "#text", path=_NOBODY, paired=False, bare=True),
    State("waiting-long", free, "#why", not_answered, path=_NOBODY, paired=False, bare=True),
    State("no-such-bay", free, ".message", path="/bay/999", paired=False, bare=True),
    State("connecting", free, ".connecting", no_events, bare=True),
    State("pairing-connecting", free, ".pairing-state", no_code, paired=False),
    State("pairing", free, "pairing-code", path="/screen", paired=False),
    State("pairing-bay", free, "pairing-code", paired=False),
    State("free", free, "keys"),
    State("free-practice", in_mode("free_play"), "keys"),
    State("closed", in_mode("closed"), "bay-number"),
    State("closed-until", closed_for_now, "bay-number"),
    State("booked", booked, "keys"),
    State("booked-typing", booked, "keys", half_a_pin),
    State("pin-checked", slow_check, "pad-message", enter()),
    State("wrong-pin", booked, "pad-message", enter()),
    State("wrong-pin-last-try", nearly_locked, "pad-message", enter()),
    State("wrong-bay", opens_elsewhere, "pad-message", enter(_ELSEWHERE)),
    State("pin-not-checked", nobody_checks, "pad-message", enter()),
    State("locked", locked, "lock-seconds"),
    State("playing", playing, "time"),
    State("playing-long", long_play, "time"),
    State("playing-players", two_play, "act-players"),
    State("playing-many", many_play, "act-players"),
    State("playing-bare", nobodys, "time", before=with_rules(dispenser=None, guest_pauses=0)),
    State("playing-all-tiles", all_at_once, "act-game"),
    State("games", no_game, "game-2", press("act-game")),
    State("players", two_play, "player-2", press("act-players")),
    State("players-many", many_play, "player-2", press("act-players")),
    State("balls", playing, "balls-50", press("act-balls")),
    State("balls-coming", paying, "act-balls"),
    State("balls-queued", queued, "act-balls"),
    State("balls-last", rolling, "act-balls"),
    State("balls-owed", owing, "act-balls"),
    State("balls-owed-choice", owing, "balls-25", press("act-balls"), before=with_rules(dispense_choices=())),
    State("balls-all-had", all_had, "act-balls"),
    State("machine-broken", broken_machine, "act-balls"),
    State("more-time", playing, "time-30", press("act-time")),
    State(
        "more-time-at-once",
        playing,
        "time-30",
        press("act-time"),
        before=with_rules(extension=ExtensionPolicy.ON_ACCOUNT),
    ),
    State(
        "more-time-unpriced", playing, "time-30", press("act-time"), before=with_rules(extension_price=None)
    ),
    State("more-time-asked", asked, "act-time"),
    State("more-time-declined", declined, "note"),
    State(
        "more-time-at-reception", playing, "act-time", before=with_rules(extension=ExtensionPolicy.STAFF_ONLY)
    ),
    State("end-question", playing, "end-yes", press("act-end")),
    State("ten-minutes", ten_minutes, "told", time_passes),
    State("five-minutes", five_minutes, "time-state"),
    State("one-minute", one_minute, "time-state"),
    State("no-time", one_minute, "time-state", until_nothing_is_left),
    State("next-guest-waits", next_waits, "act-next"),
    State("next-guest", next_waits, "keys", press("act-next")),
    State("next-guest-wrong", next_waits, "pad-message", after(press("act-next"), enter())),
    State("next-guest-locked", locked_for_the_next, "lock-seconds", press("act-next")),
    State("next-guest-known", next_waits, "told", after(press("act-next"), next_pin)),
    State("paused", paused, "time-state"),
    State("paused-pin", paused, "keys", press("act-resume")),
    State("paused-by-guest", paused_by_the_guest, "act-go_on"),
    State("help-called", helped, "help"),
    State("help-told", playing, "told", press("help")),
    State("help-told-pad", booked, "told", press("help")),
    State("help-told-next", next_waits, "told", press("act-next", "help")),
    State("help-told-games", no_game, "told", press("act-game", "help")),
    State("help-seen", helped, "told", seen_to),
    State("grace", over, "bay-number"),
    State("grace-owed", over_and_owed, "result"),
    State("grace-next", then(over, next_comes), "keys"),
    State("grace-next-owed", then(over_and_owed, next_comes), "result"),
    State("held", held, "bay-number"),
    State("out-of-service", out_of_service, "bay-number"),
    State("no-connection", playing, "stale", cut_off),
    State("no-connection-free", booked, "stale", cut_off),
    State("no-connection-next", next_waits, "stale", after(press("act-next"), cut_off)),
    State("no-connection-all-tiles", all_at_once, "stale", cut_off),
)
