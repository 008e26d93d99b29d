"""What people did, kept with what they did: who, why, before, after; as JSON and as a table."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.audit import audit_note
from bayd.core.decide import decide
from bayd.core.evolve import evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Bay, Booking
from bayd.core.rules import Rules
from bayd.journal import ThreadJournalExecutor
from tests.journal.world import Fault, FaultyDisk
from tests.simulation.world import WALL_MS
from tests.web.house import PLAYER, SCREEN, STAFF, TECHNICIAN, House, Reply
from tests.web.test_pairing import Browser, pair, paired, screens

TODAY = datetime.fromtimestamp(WALL_MS / 1000, UTC).date().isoformat()


async def audit(house: House, day: str = TODAY, *, token: str = STAFF, form: str = "") -> Reply:
    return await house.ask("GET", f"/api/v1/audit?day={day}{form}", token=token)


async def acts(house: House) -> list[dict[str, Any]]:
    reply = await audit(house)
    assert reply.status == 200
    found: list[dict[str, Any]] = reply.json["acts"]
    return found


async def test_an_act_of_staff_is_kept_with_its_reason_and_what_it_changed(house: House) -> None:
    await house.play()
    reply = await house.press("pause", {"reason": "rain"}, token=STAFF)
    assert reply.status == 200
    paused = (await acts(house))[-1]
    assert (paused["who"], paused["role"], paused["act"], paused["reason"]) == (
        "anna",
        "staff",
        "Pause",
        "rain",
    )
    assert (paused["before"]["phase"], paused["after"]["phase"]) == ("playing", "paused")
    assert paused["bay"] == "109"


async def test_money_that_staff_took_is_in_the_row(house: House) -> None:
    await house.play()
    await house.press("extend", {"minutes": 15, "amount": 300, "reason": "paid cash"}, token=STAFF)
    row = (await acts(house))[-1]
    assert (row["asked"]["minutes"], row["asked"]["amount"]) == (15, 300)
    assert row["after"]["granted_min"] - row["before"]["granted_min"] == 15


async def test_money_that_nobody_named_is_in_the_row_too(house: House) -> None:
    """The price that the customer was shown, that of the minutes that staff gave, the due that was paid."""
    house.bays.bays["109"].rules = Rules(extension_minutes=(15, 30), extension_price=10)
    await house.play()
    await house.press("extend", {"minutes": 30})
    given = (await house.press("extend/approve", {"payment": "on_account"}, token=STAFF)).json
    await house.press("extend", {"minutes": 20, "reason": "asked at the desk"}, token=STAFF)
    body = {"due_id": given["dues"][0]["due_id"], "payment": "card", "reason": "at the bay"}
    await house.press("dues/settle", body, token=STAFF)
    rows = [(row["act"], row["asked"]["amount"], row["asked"]["payment"]) for row in await acts(house)]
    assert rows[-3:] == [
        ("ApproveExtension", 300, "on_account"),
        ("Extend", 200, "desk"),
        ("SettleDue", 300, "card"),
    ]
    await house.press("extend/decline", {"reason": "no"}, token=STAFF)
    await house.press("pause", {"reason": "rain"}, token=STAFF)
    assert "amount" not in (await acts(house))[-1]["asked"]


async def test_a_customers_press_and_a_refused_act_leave_no_row(house: House) -> None:
    await house.play()
    before = await acts(house)
    assert (await house.press("help", token=SCREEN)).status == 200
    assert (await house.press("resume", {}, token=STAFF)).status == 409
    assert await acts(house) == before


async def test_a_move_is_kept_with_where_it_went_and_why(house: House) -> None:
    await house.play()
    assert (await house.press("move", {"to": "110", "reason": "net torn"}, token=STAFF)).status == 200
    row = (await acts(house))[-1]
    assert (row["bay"], row["who"], row["act"], row["reason"]) == ("109", "anna", "Move", "net torn")
    assert row["asked"]["to"] == "110"
    assert (row["before"]["session"], row["after"]["session"]) == ("7", None)


def test_a_refused_act_leaves_no_row_when_the_clock_brings_something_about() -> None:
    """The very decision that refuses the hold gives a warning that was due."""
    anna, now = i.Actor(i.Role.STAFF, "anna"), Instant(1_000, WALL_MS, synchronised=True)
    bay = evolve_all(Bay("109"), (e.BookingLearned(Booking("7", 20, 20, 0)),))
    bay = evolve_all(bay, decide(bay, i.StartPlay(anna, "no slip"), now, Rules()).events)
    later = replace(now, boot_ms=now.boot_ms + 11 * 60_000)
    hold = i.Hold(anna, "rain")
    refused = decide(bay, hold, later, Rules())
    assert refused.refusal is not None
    assert [type(event) for event in refused.events] == [e.WarningGiven]
    after = evolve_all(bay, refused.events)
    assert audit_note(hold, refused, bay, after, later) is None


async def test_the_same_press_twice_is_one_row(house: House) -> None:
    await house.play()
    before = len(await acts(house))
    for _ in range(2):
        await house.press("pause", {"reason": "rain"}, token=STAFF, key="once")
    assert len(await acts(house)) == before + 1


async def test_what_was_never_recorded_leaves_no_row(closed_house: House) -> None:
    disk = FaultyDisk()
    closed_house.connect, closed_house.executor = disk.connect, ThreadJournalExecutor()
    async with closed_house.open() as house:
        await house.play()
        before = len(await acts(house))
        disk.faults.append(Fault("INSERT INTO audit"))
        paid = {"minutes": 15, "amount": 300, "reason": "paid cash"}
        assert (await house.press("extend", paid, token=STAFF)).status == 503
        assert len(await acts(house)) == before
        assert "SessionExtended" not in await house.kinds()


async def test_no_customer_is_named_and_only_staff_may_look(house: House) -> None:
    await house.play()
    await house.press("pause", {"reason": "rain"}, token=STAFF)
    assert PLAYER not in (await audit(house)).text
    for token in (SCREEN, TECHNICIAN):
        assert (await audit(house, token=token)).status == 403


async def test_another_day_is_empty_and_a_day_that_is_none_is_refused(house: House) -> None:
    await house.play()
    await house.press("pause", {"reason": "rain"}, token=STAFF)
    assert (await audit(house, "2001-01-01")).json == {"day": "2001-01-01", "acts": []}
    assert (await audit(house, "0001-01-02")).json["acts"] == []
    for day in ("2026-02-30", "yesterday", "2026-13-01", "9999-12-31"):  # no day comes behind the last
        reply = await audit(house, day)
        assert (reply.status, reply.json["field"]) == (422, "day"), day
    assert (await audit(house, form="&format=xml")).json["field"] == "format"


async def test_the_table_can_be_opened_and_runs_nothing(house: House) -> None:
    await house.play()
    await house.press("pause", {"reason": "=HYPERLINK(1)"}, token=STAFF)
    reply = await audit(house, form="&format=csv")
    assert reply.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in reply.headers["Content-Disposition"]
    row = list(csv.DictReader(io.StringIO(reply.text)))[-1]
    assert (row["who"], row["act"], row["reason"]) == ("anna", "Pause", "'=HYPERLINK(1)")


async def test_screens_that_are_paired_replaced_and_put_out_are_in_the_audit(house: House) -> None:
    await paired(house)
    ((_, first),) = await screens(house)
    new = Browser(house)
    code = await new.code()
    body = {"code": code, "bay": "109", "replace": True, "reason": "cracked glass"}
    assert (await house.ask("POST", "/api/v1/screens/pair", token=STAFF, body=body)).status == 200
    assert len(await acts(house)) == 1  # nothing is replaced before the new one comes
    await new.claim()
    ((_, second),) = await screens(house)
    out = {"id": second, "reason": "to the workshop"}
    assert (await house.ask("POST", "/api/v1/screens/unbind", token=STAFF, body=out)).status == 200
    rows = await acts(house)
    assert {(row["bay"], row["who"], row["role"]) for row in rows} == {("109", "anna", "staff")}
    assert [(row["act"], row["reason"], row["before"]["screen"], row["after"]["screen"]) for row in rows] == [
        ("ScreenPaired", "", None, first),
        ("ScreenReplaced", "cracked glass", first, second),
        ("ScreenUnbound", "to the workshop", second, None),
    ]
    assert not any(secret in str(rows) for secret in (code, *new.cookies.values()))


async def test_a_screen_whose_pairing_cannot_be_recorded_replaces_nobody(closed_house: House) -> None:
    disk = FaultyDisk()
    closed_house.connect, closed_house.executor = disk.connect, ThreadJournalExecutor()
    async with closed_house.open() as house:
        await paired(house)
        before = await screens(house), await acts(house)
        new = Browser(house)
        await pair(house, await new.code(), replace=True)
        disk.faults.append(Fault("INSERT INTO audit"))
        assert (await new.claim()).code == "not_recorded"
        assert (await screens(house), await acts(house)) == before
        assert (await new.claim()).json["state"] == "bound"  # asked again: now it is
        assert [row["act"] for row in await acts(house)] == ["ScreenPaired", "ScreenReplaced"]
