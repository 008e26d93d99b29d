"""Every state of the pages that staff and technicians use, made by what brings it about."""

from collections.abc import Sequence
from dataclasses import replace

from playwright.async_api import Page, expect

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import DeviceState, Mode, PayoutEnd
from tests.browser.bay_states import after, asked, playing, with_rules
from tests.browser.states import Do, State, prepare, press
from tests.let_out import keep_secret
from tests.web.house import STAFF, House, Item

_REASON = {"reason": "as the guest asked"}
_SCREEN = Actor(Role.SCREEN, "screen")
_WRONG = "913640"
_HOUR_MS = 3_600_000


def many_bays(house: House) -> None:
    prepare(house)
    rules = replace(house.rules["109"], hold_minutes=15, games=("Longest drive", "Free play"))
    house.rules = {str(number): rules for number in range(101, 113)}
    house.qod_state = "available"


async def _devices_work(house: House) -> None:
    for number in house.bays.bays:
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
    task.change_rules(replace(task.rules, reader=False, dispenser=None))
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF)
    mode = {"mode": "free_play", "until": "day_end", "reason": "open day of the club"}
    await house.press("mode", mode, token=STAFF, bay="110")
    house.central.update(online=False, outbox=3, oldest_s=40.0)
    house.clock.go_on(4_000_000)


async def full(house: House) -> None:
    """A Saturday: each phase, and most of what a row can say."""
    await _devices_work(house)
    names = ("Asha Example", "Vikram Example", "Shri Venkatanarasimharajuvaripeta Subrahmanyam", "Meera")
    for number, name in zip(("102", "103", "104", "105"), names, strict=True):
        await house.play(number, f"1{number}", minutes=60, player=name)
        await house.press("game", {"game_id": 1}, token=STAFF, bay=number)
    await house.book("106", "206", player="Kabir Example")
    await house.book("106", "207", minutes=30, player="Zoya Example")
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF, bay="107")
    await house.press("service/stop", {"reason": "the mat is torn"}, token=STAFF, bay="108")
    await house.play("109", "7", minutes=90, player="Ishaan Example")
    await house.book("110", "210")
    now_ms = house.clock.now().wall_ms
    await house.bays.submit("111", i.ModeSeen(Mode.CLOSED, now_ms + 11 * _HOUR_MS, now_ms))
    await house.press(
        "mode", {"mode": "free_play", "until": "revoked", "reason": "club day"}, token=STAFF, bay="112"
    )
    house.clock.go_on(40 * 60_000)
    for number, level in (("102", "full"), ("103", "low"), ("104", "ok"), ("109", "empty")):
        await house.bays.submit(number, i.BallLevelSeen(level))
    for number, paid in (("102", 25), ("103", 18), ("109", 7)):
        await house.bays.submit(number, i.Dispense(f"p{number}", 25, _SCREEN))
        await house.bays.submit(number, i.PayoutMarkTaken(f"p{number}", 25, {"pulse": 1}))
        end = PayoutEnd.DONE if paid == 25 else PayoutEnd.FAULT
        await house.bays.submit(number, i.PayoutEnded(f"p{number}", end, paid, "" if paid == 25 else "jam"))
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "The hopper is jammed."))
    await house.bays.submit("103", i.DeviceReported("reader", DeviceState.LOST, "No answer for 30 s."))
    await house.press("pause", {"reason": "rain"}, token=STAFF, bay="104")
    more = {"minutes": 15, "amount": 300, "payment": "on_account", "reason": "their card failed"}
    await house.press("extend", more, token=STAFF, bay="109")
    await house.bays.submit(
        "109", i.ServerContradicted("payment_not_told", "7", "300 were not told.", "due-1")
    )
    for attempt in range(5):
        await house.bays.submit("110", i.PinEntered(f"wrong-{attempt}", None))
        await house.bays.submit("110", i.PinWasWrong(f"wrong-{attempt}"))
    house.clock.go_on(17 * 60_000)
    await house.press("help", token=STAFF, bay="102")
    await house.bays.submit("103", i.Extend("more", 30, None, _SCREEN, ""))
    await house.press("end", _REASON, token=STAFF, bay="105")
    house.central.update(online=False, outbox=3, oldest_s=40.0)


async def to_be_settled(house: House) -> None:
    """Unknown balls, dues, a conflict."""
    await _devices_work(house)
    await playing(house)
    await house.bays.submit("109", i.Dispense("p1", 25, _SCREEN))
    await house.bays.submit("109", i.PayoutMarkTaken("p1", 25, {"pulse": 1}))
    await house.bays.submit("109", i.PayoutEnded("p1", PayoutEnd.UNKNOWN, None, "restarted"))
    more = {"minutes": 15, "amount": 1_300, "payment": "on_account", "reason": "their card failed"}
    await house.press("extend", more, token=STAFF)
    await house.bays.submit(
        "109", i.ServerContradicted("payment_not_told", "7", "1300 were not told.", "due-1")
    )
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF, bay="110")
    now_ms = house.clock.now().wall_ms
    house.outbox = [Item(4, "109", "7", "SessionExtended", now_ms, "422: the session is over", parked=True)]


async def a_shift(house: House) -> None:
    """What is open at its end, and what was taken."""
    await to_be_settled(house)
    for payment, amount in (("cash", 1_300), ("card", 650), ("cash", 2_600)):
        more = {"minutes": 15, "amount": amount, "payment": payment, "reason": "asked for at the bay"}
        await house.press("extend", more, token=STAFF)


async def with_screens(house: House) -> None:
    await busy(house)
    await house.let_in(bay="109")
    await house.let_in(bay="110")


async def a_day(house: House) -> None:
    """Hours of it: play, a pause, a bay out of service."""
    house.clock.go_on(9 * _HOUR_MS)
    await playing(house)
    await house.press("service/stop", _REASON, token=STAFF, bay="110")
    house.clock.go_on(_HOUR_MS // 3)
    await house.press("pause", _REASON, token=STAFF)
    house.clock.go_on(_HOUR_MS // 2)
    await house.press("resume", token=STAFF)
    house.clock.go_on(_HOUR_MS // 3)
    await house.press("end", _REASON, token=STAFF)
    await house.press("service/resume", token=STAFF, bay="110")
    house.clock.go_on(_HOUR_MS)
    await house.press("hold", {"reason": "a lesson at six"}, token=STAFF, bay="110")
    house.clock.go_on(2 * _HOUR_MS)


async def no_devices(house: House) -> None:
    house.devices.update(readers={}, dispensers={})


# On the page


async def wrong_name(_house: House, page: Page) -> None:
    keep_secret(_WRONG)
    await page.locator("#name").fill("asha")
    await page.locator("#pin").fill(_WRONG)
    await page.get_by_test_id("login").click()
    await expect(page.get_by_test_id("login-refused")).not_to_be_empty()


async def locked_out(house: House, page: Page) -> None:
    keep_secret(_WRONG)
    await house.accounts.put("asha", Role.STAFF, "480275", Actor(Role.STAFF, "local:root"))
    for _ in range(5):
        await page.locator("#name").fill("asha")
        await page.locator("#pin").fill(_WRONG)
        await page.get_by_test_id("login").click()
        await expect(page.get_by_test_id("login")).to_be_enabled()
    await expect(page.get_by_test_id("login-refused")).not_to_be_empty()


async def away(house: House, page: Page) -> None:
    await expect(page.locator("html")).to_have_attribute("data-fresh", "true")
    await house.listener.aclose()


async def figures_away(house: House, page: Page) -> None:
    await expect(page.locator("#plot-outbox-now")).not_to_be_empty()
    await house.listener.aclose()


def filled(**fields: str) -> Do:
    """Into the open form; then it is sent."""

    async def do(_house: House, page: Page) -> None:
        for name, value in fields.items():
            place = page.get_by_test_id(f"field-{name}")
            if await place.evaluate("e => e.tagName") == "SELECT":
                await place.select_option(value)
            else:
                await place.fill(value)
        await page.get_by_test_id("go").click()

    return do


async def next_guest(house: House, _page: Page) -> None:
    await house.press("end", _REASON, token=STAFF)


async def three_minutes(house: House, page: Page) -> None:
    """Of reads, blind antennas and broken frames, for the plots."""
    reader, central = house.reader, house.central
    await page.clock.install()
    await page.reload()
    for tick in range(60):
        await page.wait_for_function("() => document.querySelector('#plot-outbox-now').textContent")
        busy_now = 20 < tick % 40 < 32
        reader["reads"] += 12 + (tick * 7) % 9 if busy_now else tick % 3
        reader["ports"]["1"]["blind_s"] += 2.0 if 44 <= tick < 50 else 0.0
        reader["line_errors"] = (reader.get("line_errors") or 0) + (1 if tick % 17 == 3 else 0)
        central["outbox"] = max(0, 12 - tick) if tick < 30 else 0
        house.clock.go_on(2_000)
        async with page.expect_response("**/devices/figures"):
            await page.clock.run_for(2_000)


def _machines(house: House) -> None:
    house.devices["dispensers"] = {
        "east": {
            "state": "ok", "reason": "", "product": "tip tray", "level": "low", "queue": ["109", "110"],
            "stock": 310, "minutes_to_empty": 42.0,
        },
        "west": {
            "state": "fault", "reason": "The hopper is jammed.", "product": "tip tray", "level": "unknown",
            "queue": [], "stock": None, "minutes_to_empty": None,
        },
    }  # fmt: skip


async def devices_work(house: House) -> None:
    await busy(house)
    _machines(house)


async def devices_fail(house: House) -> None:
    await busy(house)
    _machines(house)
    house.reader.update(state="lost", reason="/dev/ttyUSB0 is gone: look at the cable and the adapter.")
    house.reader["ports"]["1"].update(listening=False, blind_s=341.2)


_STAFF = Role.STAFF

BOARD_STATES: Sequence[State] = (
    State("board-sign-in", playing, "login", path="/", paired=False),
    State("board-sign-in-wrong", playing, "login-refused", wrong_name, path="/", paired=False),
    State("board-sign-in-locked", playing, "login-refused", locked_out, path="/", paired=False),
    State("board", busy, "call-time-109", path="/", role=_STAFF),
    State("board-quiet", quiet, "phase-110", path="/", role=_STAFF),
    State("board-full", full, "phase-112", path="/", role=_STAFF, before=many_bays, whole=True),
    State("board-technician", busy, "call-help-110", path="/", role=Role.TECHNICIAN),
    State("board-away", busy, "stale", away, path="/", role=_STAFF),
    State("board-acts", busy, "do-end", press("open-109"), path="/", role=_STAFF),
    State(
        "board-acts-free",
        quiet,
        "do-mode",
        press("open-110"),
        path="/",
        role=_STAFF,
        before=with_rules(walk_ins=False),
    ),
    State("board-acts-away", busy, "dialog-stale", after(press("open-109"), away), path="/", role=_STAFF),
    State("board-act", busy, "go", press("open-109", "do-extend"), path="/", role=_STAFF),
    State(
        "board-act-refused",
        busy,
        "refused",
        after(press("open-109", "do-end"), filled(reason="   ")),
        path="/",
        role=_STAFF,
    ),
    State("board-act-done", busy, "toast", press("help/acknowledge-110"), path="/", role=_STAFF),
    State(
        "board-act-gone", busy, "toast", after(press("open-109", "do-end"), next_guest), path="/", role=_STAFF
    ),
    State("board-approve", busy, "go", press("extend/approve-109"), path="/", role=_STAFF),
    State("board-mode", quiet, "go", press("open-109", "do-mode"), path="/", role=_STAFF),
    State("board-service", busy, "go", press("open-109", "do-service/stop"), path="/", role=_STAFF),
    State("board-settle", to_be_settled, "do-balls/settle", press("open-109"), path="/", role=_STAFF),
    State(
        "board-settle-balls", to_be_settled, "go", press("open-109", "do-balls/settle"), path="/", role=_STAFF
    ),
    State(
        "board-settle-warning",
        to_be_settled,
        "go",
        press("open-109", "do-conflicts/settle"),
        path="/",
        role=_STAFF,
    ),
    State("board-screens", busy, "pair", press("screens"), path="/", role=_STAFF),
    State("board-screens-paired", with_screens, "unbind-110", press("screens"), path="/", role=_STAFF),
    State("day", a_day, "day-109", path="/day", role=_STAFF, whole=True),
    State("day-empty", playing, "day-109", path="/day?day=2020-02-29", role=_STAFF, whole=True),
    State("handover", busy, "handover-calls", path="/handover", role=_STAFF, whole=True),
    State("handover-much", a_shift, "handover-calls", path="/handover", role=_STAFF, whole=True),
    State("devices", devices_work, "readers-east", three_minutes, path="/devices", role=_STAFF, whole=True),
    State("devices-fail", devices_fail, "readers-east", path="/devices", role=Role.TECHNICIAN, whole=True),
    State("devices-none", no_devices, ".plots", path="/devices", role=_STAFF, whole=True),
    State("devices-away", devices_work, "stale", figures_away, path="/devices", role=_STAFF),
)
