"""A day at the bays and the handover: what the pages tell, and to whom."""

import re
import sqlite3
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.inputs import Role
from bayd.core.model import DeviceState, Payment
from bayd.journal import Recorded
from bayd.journal.schema import PAYMENTS, PLAYS
from bayd.settings import Staff
from bayd.web.day import KINDS, Span, What, shared_outages, spans_of
from tests.web.house import STAFF, TECHNICIAN, House, Item

_MINUTE_MS = 60_000
_REASON = {"reason": "rain"}


async def page(house: House, path: str, token: str | None = STAFF) -> str:
    reply = await house.ask("GET", path, token=token, described=False)
    assert reply.status == 200
    return reply.text


def spans(text: str, bay: str) -> list[str]:
    """What stands in the list of one bay."""
    section = text.partition(f'data-testid="day-{bay}"')[2].partition("</section>")[0]
    return re.findall(r"<li>(.*?)</li>", section)


def test_the_index_holds_what_a_day_is_made_of() -> None:
    assert set(re.findall(r"'(\w+)'", PLAYS)) == set(KINDS)


def test_the_index_holds_all_with_which_money_may_be_taken() -> None:
    paid = {one.__name__ for one in get_args(e.Event) if "payment" in {field.name for field in fields(one)}}
    assert set(re.findall(r"'(\w+)'", PAYMENTS)) == paid


async def test_a_day_tells_plays_pauses_and_closed_bays(house: House) -> None:
    await house.play(minutes=60)
    house.clock.go_on(10 * _MINUTE_MS)
    await house.press("pause", _REASON, token=STAFF)
    house.clock.go_on(5 * _MINUTE_MS)
    await house.press("resume", token=STAFF)
    house.clock.go_on(5 * _MINUTE_MS)
    await house.press("end", _REASON, token=STAFF)
    await house.press("service/stop", _REASON, token=STAFF, bay="110")
    house.clock.go_on(7 * _MINUTE_MS)
    text = await page(house, "/day")
    said = [re.sub(r"\d\d:\d\d", "", line) for line in spans(text, "109")]
    assert said == ["Play  to ", "Pause  to "]
    times = [re.findall(r"(\d\d):(\d\d)", line) for line in spans(text, "109")]
    lengths = [(int(b[0]) * 60 + int(b[1]) - int(a[0]) * 60 - int(a[1])) % 1440 for a, b in times]
    assert lengths in ([20, 5], [20, 6], [21, 5])
    (closed,) = spans(text, "110")
    assert closed.startswith("Out of service")
    assert "rain" in text  # what staff did, and why


async def test_what_staff_did_is_told_in_words_with_what_it_changed(closed_house: House) -> None:
    closed_house.staff_settings = Staff(language="hi")
    async with closed_house.open() as house:
        await _some_acts(house)
        hindi = await page(house, "/day")
    assert "और समय दिया" in hindi
    assert not re.search(r"<td>[A-Za-z]*(Extend|Service|Pause)", hindi)


async def _some_acts(house: House) -> None:
    await house.play(minutes=60)
    more = {"minutes": 15, "amount": 600, "payment": "on_account", "reason": "their card failed"}
    await house.press("extend", more, token=STAFF)
    await house.press("pause", _REASON, token=STAFF)
    await house.press("service/stop", _REASON, token=STAFF, bay="110")
    await house.press("service/resume", token=STAFF, bay="110")


async def test_the_log_of_the_day_has_minutes_amounts_and_states(house: House) -> None:
    await _some_acts(house)
    text = re.sub(r"<[^>]+>", "|", await page(house, "/day"))
    assert "Gave more time||minutes: 15||amount: ₹600||payment: On account: pay later||time left: " in text
    assert "||minutes given: 60 → 75||due: ₹0 → ₹600|" in text
    assert "0 → —" not in text
    assert "0 → 0" not in text
    assert "Paused the session||state: Playing → Paused|" in text
    assert "Took the bay out of service||state: Free → Out of service|" in text
    assert "Put the bay back into service||state: Out of service → Free|" in text


async def test_what_runs_over_midnight_stands_on_both_days(house: House) -> None:
    await house.press("hold", _REASON, token=STAFF)
    house.clock.go_on(24 * 60 * _MINUTE_MS)
    (still,) = spans(await page(house, "/day"), "109")
    assert still.startswith("Held 00:00 to ")
    await house.press("release", token=STAFF)
    (over,) = spans(await page(house, "/day"), "109")
    assert over.startswith("Held 00:00 to ")
    assert spans(await page(house, "/day?day=2020-01-01"), "109") == []
    assert (await house.ask("GET", "/day?day=yesterday", token=STAFF, described=False)).status == 422


async def test_a_technician_sees_the_day_without_what_staff_wrote(house: House) -> None:
    await house.press("hold", {"reason": "for a friend"}, token=STAFF)
    assert "for a friend" in await page(house, "/day")
    assert "for a friend" not in await page(house, "/day", TECHNICIAN)


async def test_the_handover_names_all_that_is_open(house: House) -> None:
    house.outbox = [
        Item(17, "109", "7", "SessionExtended", 1_790_000_000_000, "it cannot be told", parked=True),
        Item(18, "109", "7", "SessionEnded", 1_790_000_000_000, "", parked=False),
    ]
    await house.play()
    await house.press("help")
    await house.press("extend", {"minutes": 30})
    await house.press("extend/approve", {"payment": "on_account", "amount": 600}, token=STAFF)
    await house.press("extend", {"minutes": 15})
    await house.press("hold", _REASON, token=STAFF, bay="110")
    text = await page(house, "/handover")
    for wanted in (
        "Open calls and requests (2)",
        "Bay 109 calls for help since",
        "Bay 109 asks for 15 more minutes",
        "Bay 109: ₹600, session 7, Test Person",
        "Deliveries set aside (1)",
        "Bay 109, session 7, more time: it cannot be told",
        "Bay 110: Held, since ",
        f", {_REASON['reason']}</li>",
        "Balls are not counted.",
    ):
        assert wanted in text, wanted
    assert "Balls to settle (0)" in text
    assert _REASON["reason"] not in await page(house, "/handover", TECHNICIAN)


def section(text: str, name: str) -> list[str]:
    """What the handover lists there, or what it says instead."""
    found = text.partition(f'data-testid="handover-{name}"')[2].partition("</section>")[0]
    return re.findall(r"<(?:li|p)[^>]*>(.*?)</(?:li|p)>", found)


async def take(house: House, name: str, payment: str, amount: int, bay: str = "109") -> None:
    actor = i.Actor(Role.STAFF, name)
    extend = i.Extend(house.randomness.new_id(), 15, amount, actor, "asked for", payment=Payment(payment))
    await house.bays.submit(bay, extend)


async def test_the_handover_sums_what_was_taken_at_the_bays_today_by_payment_and_person(house: House) -> None:
    assert section(await page(house, "/handover"), "taken") == ["None."]
    await house.play()
    for name, payment, amount in (
        ("anna", "cash", 100_001), ("bo", "cash", 299), ("anna", "card", 45), ("anna", "cash", 20_000),
        ("anna", "desk", 7), ("anna", "on_account", 600), ("anna", "cash", 0),
    ):  # fmt: skip
        await take(house, name, payment, amount)
    cash = "Cash, at the bay: ₹1,20,300 (anna ₹1,20,001, bo ₹299)"
    card = "Card, at the bay: ₹45 (anna ₹45)"
    assert section(await page(house, "/handover"), "taken") == [cash, card]
    (due,) = house.bays.bays["109"].bay.dues
    paid = {"due_id": due.due_id, "payment": "card", "reason": "paid at last"}
    assert (await house.press("dues/settle", paid, token=STAFF)).status == 200
    card = "Card, at the bay: ₹645 (anna ₹645)"
    assert section(await page(house, "/handover"), "taken") == [cash, card]
    house.clock.go_on(24 * 60 * _MINUTE_MS)
    assert section(await page(house, "/handover"), "taken") == ["None."]
    await house.press("end", _REASON, token=STAFF)
    sale = i.WalkIn("s9", 30, 500, i.Actor(Role.STAFF, "bo"), "walked in", payment=Payment.CASH)
    await house.bays.submit("109", sale)
    assert section(await page(house, "/handover"), "taken") == ["Cash, at the bay: ₹500 (bo ₹500)"]


async def test_a_drawer_is_counted_by_the_sites_day_and_over_all_bays(closed_house: House) -> None:
    """Midnight at the site is 18:30 UTC: two days there, one and the same in UTC."""
    closed_house.rules["111"] = closed_house.rules["110"]
    async with closed_house.open() as house:
        now = datetime.fromtimestamp(house.clock.now().wall_ms / 1000, ZoneInfo("Asia/Kolkata"))
        before_midnight = now.replace(hour=23, minute=50)
        await house.play(minutes=600)
        await house.play("110", "8", minutes=600)
        house.clock.go_on(int((before_midnight - now).total_seconds() * 1000))
        for bay, amount in (("109", 300), ("110", 45)):
            await take(house, "anna", "cash", amount, bay)
        assert section(await page(house, "/handover"), "taken") == ["Cash, at the bay: ₹345 (anna ₹345)"]
        house.clock.go_on(20 * _MINUTE_MS)
        assert section(await page(house, "/handover"), "taken") == ["None."]
        assert (await house.press("move", {"to": "111", **_REASON}, token=STAFF, bay="110")).status == 200
        for bay, amount in (("111", 7), ("109", 600)):
            await take(house, "bo", "card", amount, bay)
        assert section(await page(house, "/handover"), "taken") == ["Card, at the bay: ₹607 (bo ₹607)"]


async def test_a_payment_that_cannot_be_read_leaves_no_sum_and_the_handover_stands(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    async with house.open():
        await house.play()
        await take(house, "anna", "cash", 300)
        await house.play("110", "8")
        sold = i.Extend("op", 15, 600, i.Actor(Role.STAFF, "bo"), "asked for", payment=Payment.CASH)
        await house.bays.submit("110", sold)
    with closing(sqlite3.connect(house.path)) as journal, journal:
        journal.execute("UPDATE events SET version = 99 WHERE bay = '110'")
        journal.execute("DELETE FROM snapshots WHERE bay = '110'")
    del house.rules["110"]
    async with house.open():
        assert house.bays.unreadable == {"110"}
        assert section(await page(house, "/handover"), "taken") == ["The journal cannot be read now."]
        day = await house.ask("GET", "/day", token=STAFF, described=False)
        assert (day.status, day.code) == (503, "unavailable")


async def test_what_is_set_aside_is_named_for_people_in_both_languages(closed_house: House) -> None:
    closed_house.outbox = [
        Item(17, "109", "7", "SessionEnded", 0, "HTTP 422", parked=True),
        Item(18, "110", "8", "DueSettled", 0, "HTTP 422", parked=True),
    ]
    async with closed_house.open() as house:
        assert section(await page(house, "/handover"), "parked") == [
            "Bay 109, session 7, the end: HTTP 422", "Bay 110, session 8, a payment: HTTP 422",
        ]  # fmt: skip
    closed_house.staff_settings = Staff(language="hi")
    async with closed_house.open() as house:
        assert section(await page(house, "/handover"), "parked") == [
            "बे 109, सत्र 7, समाप्ति: HTTP 422", "बे 110, सत्र 8, भुगतान: HTTP 422",
        ]  # fmt: skip


async def test_a_warning_is_said_in_hindi_with_what_it_names(closed_house: House) -> None:
    closed_house.staff_settings = Staff(language="hi")
    away = {"code": "reader_away", "since": None, "text": "Reader east is away: unplugged"}
    closed_house.range_warnings = [{**away, "facts": {"reader": "east", "reason": "unplugged"}}]
    async with closed_house.open() as house:
        await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
        for path in ("/", "/handover"):
            text = await page(house, path)
            assert "रीडर east से लंबे समय से संपर्क नहीं: “unplugged”" in text
            assert "गेंद मशीन रुक गई: “jam”" in text
            assert "is away" not in text


async def test_the_handover_says_since_when_something_is_wrong_at_the_first_of_its_bays(house: House) -> None:
    lost = {"code": "reader_lost", "text": "unplugged"}
    house.range_warnings = [
        {**lost, "bay": "109", "since": "2020-01-02T03:36:00.000Z"},
        {**lost, "bay": "110", "since": "2020-01-02T03:35:00.000Z"},
        {"code": "no_ball_registry", "since": None, "text": "Balls are not counted."},
    ]
    assert section(await page(house, "/handover"), "warnings") == [
        "Bays 109, 110: Reader lost: unplugged (since 2020-01-02 09:05)", "Balls are not counted.",
    ]  # fmt: skip


async def test_a_day_on_which_staff_did_nothing_says_so(house: House) -> None:
    said = "Staff have done nothing on this day."
    text = await page(house, "/day")
    assert said in text
    assert "<tbody>" not in text
    await house.press("hold", _REASON, token=STAFF)
    text = await page(house, "/day")
    assert said not in text
    assert "<tbody><tr>" in text
    assert said in await page(house, "/day?day=2020-01-01")


async def test_the_handover_says_that_the_central_server_is_away(house: House) -> None:
    said = "The central server does not answer; 2 messages wait for it."
    assert said not in await page(house, "/handover")
    house.central |= {"online": False, "outbox": 2}
    assert said in await page(house, "/handover")


async def test_a_machine_that_bays_share_is_one_thing_to_see_to(house: House) -> None:
    for bay in ("109", "110"):
        await house.bays.submit(bay, i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    await house.bays.submit("110", i.DeviceReported("reader", DeviceState.LOST, "unplugged"))
    text = await page(house, "/handover")
    assert "Bays 109, 110: Ball machine stopped: jam" in text
    assert "Bay 110: Reader lost: unplugged" in text
    assert text.count("jam") == 1


async def test_the_pages_behind_the_board_are_for_those_who_signed_in(house: House) -> None:
    for path in ("/day", "/handover"):
        stranger = await house.ask("GET", path, described=False)
        assert (stranger.status, stranger.headers["Location"]) == (303, f"/#{path}")
        screen = await house.ask("GET", path, headers={"Cookie": await house.let_in()}, described=False)
        assert (screen.status, screen.headers["Location"]) == (303, "/bay/109")
        staff = {"Cookie": await house.let_in(Role.STAFF, None)}
        assert (await house.ask("GET", path, headers=staff, described=False)).status == 200


async def test_the_first_paint_of_the_board_says_who_waits_and_what_is_owed(house: House) -> None:
    await house.book("109", "6")
    await house.play("110", "7", minutes=30)
    await house.press("extend", {"minutes": 30}, bay="110", token=STAFF)
    await house.press("help", token=STAFF, bay="110")
    more = {"minutes": 15, "amount": 600, "payment": "on_account", "reason": "their card failed"}
    await house.press("extend", more, bay="110", token=STAFF)
    text = await page(house, "/")
    assert text.index('id="bay-110"') < text.index('id="bay-109"')
    assert 'data-testid="call-help-110"' in text
    assert "Bay 110 calls for help" in text
    assert "Due: ₹600" in text
    assert "Test Person, 60 minutes" in text  # who is booked, for staff alone
    assert "60 minutes" not in await page(house, "/", TECHNICIAN)


async def test_the_board_tells_strangers_no_name(house: House) -> None:
    await house.play()
    await house.bays.submit("110", i.Hold(i.Actor(Role.STAFF, "anna"), "x"))
    stranger = await page(house, "/", None)
    assert "Test Person" not in stranger
    assert "Playing" in stranger
    assert "Test Person" in await page(house, "/")
    assert "Test Person" not in await page(house, "/", TECHNICIAN)


async def test_an_outage_stands_at_every_bay(closed_house: House) -> None:
    """Also where no clock ran, and nothing could tell of it."""
    async with closed_house.open() as house:
        await house.play()
    closed_house.clock.go_on(20 * _MINUTE_MS)
    async with closed_house.open() as house:
        text = await page(house, "/day")
    away = [line for line in spans(text, "110") if line.startswith("bayd was away")]
    assert len(away) == 1
    assert away[0] in spans(text, "109")


def test_a_bay_that_was_left_out_of_the_configuration_was_out_by_itself() -> None:
    def outage(at_ms: int, outage_ms: int, *, alone: bool) -> Recorded[e.Event]:
        seen = e.OutageSeen(outage_ms, True, False, 0, 0, False, at_ms, alone)
        return Recorded(1, "110", seen, at_ms, at_ms, "boot-1", True, "batch")

    lines = {
        "109": spans_of([outage(900, 50, alone=False)], 0, 1_000, None),
        "110": spans_of([outage(700, 400, alone=True), outage(900, 50, alone=False)], 0, 1_000, None),
    }
    away = Span(What.OUTAGE, 850, 900)
    assert shared_outages(lines) == {"109": [away], "110": [Span(What.OUT, 300, 700), away]}


async def test_the_day_shows_where_it_is_and_a_short_session(house: House) -> None:
    await house.play(minutes=1)
    house.clock.go_on(_MINUTE_MS // 2)
    await house.press("end", _REASON, token=STAFF)
    text = await page(house, "/day")
    line = text.partition('data-testid="day-109"')[2].partition("</section>")[0]
    (wide,) = re.findall(r'width="([\d.]+)"[^>]*class="span-play"', line)
    assert float(wide) >= 6  # of 1440; half a minute would be half of one
    assert re.search(r"<li>.*?Now: \d\d:\d\d</li>", text)
    assert 'class="now"' in line
    yesterday = await page(house, "/day?day=2026-01-01")
    assert 'class="now"' not in yesterday
    assert "Now:" not in yesterday
