"""A bay that is configured no more: staff are told what it left open, and settle it as at any bay."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import DeviceState, Payment, PayoutEnd
from bayd.web.acts import ACTS
from bayd.web.idempotency import REPLAYED_HEADER
from tests.cli.test_outbox import outbox
from tests.web.house import OTHER_SCREEN, STAFF, TECHNICIAN, House, Item
from tests.web.test_acts import ACTS_BY_ROLE, REASON

ANNA = i.Actor(i.Role.STAFF, "anna")
SCREEN = i.Actor(i.Role.SCREEN, "screen")
CONFLICT = "payment_not_told/8/op1"
SETTLED = {
    "conflicts/settle": ({"conflict": CONFLICT, **REASON}, e.ConflictSettled),
    "balls/settle": ({"payout_id": "p1", "came_out": 2, **REASON}, e.UnknownSettled),
    "dues/settle": ({"due_id": "op", "payment": "desk", **REASON}, e.DueSettled),
    "delivery/retry": ({"seq": 17, **REASON}, e.DeliveryRetried),
    "delivery/drop": ({"seq": 17, **REASON}, e.DeliveryDropped),
}


async def left_open(path: Path) -> House:
    """Bay 110 goes, with a due, balls that nobody could count, a payment that the server does not know."""
    house = House(path / "journal.db")
    async with house.open():
        await house.play("110", "8")
        given = i.Extend("op", 15, 600, ANNA, "asked for it", payment=Payment.ON_ACCOUNT)
        await house.bays.submit("110", given)
        await house.bays.submit("110", i.Dispense("p1", 5, SCREEN))
        await house.bays.submit("110", i.PayoutMarkTaken("p1", 5, {"pulse": 1}))
        await house.bays.submit("110", i.PayoutEnded("p1", PayoutEnd.UNKNOWN, None, "restarted"))
        said = i.ServerContradicted("payment_not_told", "8", "1000 were not told.", "op1")
        await house.bays.submit("110", said)
        await house.bays.submit("110", i.End(ANNA, "left early"))
    return house


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """It is gone."""
    house = await left_open(tmp_path)
    del house.rules["110"]
    house.outbox = [Item(17, "110", "8", "SessionExtended", 0, "refused", parked=True)]
    async with house.open():
        yield house


async def warned(house: House) -> dict[str, str | None]:
    """What the status warns of at bay 110: code and what `conflicts/settle` takes."""
    document = (await house.ask("GET", "/status")).json
    assert "110" not in document["bays"]
    return {one["code"]: one["conflict"] for one in document["warnings"] if one["bay"] == "110"}


async def test_everybody_who_is_to_know_is_told(house: House) -> None:
    codes = {"payment_not_told": CONFLICT, "balls_unknown": None, "retired_bay_due": None}
    assert await warned(house) == codes
    near = (await house.ask("GET", "/api/v1/range", token=STAFF)).json["warnings"]
    assert {one["code"] for one in near if one["bay"] == "110"} == set(codes)
    for path in ("/", "/handover"):
        text = (await house.ask("GET", path, token=STAFF, described=False)).text
        assert "Bay 110: 1000 were not told. This bay is not in the configuration any more" in text


async def test_the_handover_counts_it_with_all_else(house: House) -> None:
    text = (await house.ask("GET", "/handover", token=STAFF, described=False)).text
    for wanted in ("Dues (1)", "Bay 110: ₹600, session 8", "Balls to settle (1)"):
        assert wanted in text, wanted


async def test_staff_settle_each_once(house: House) -> None:
    for act, (body, event) in SETTLED.items():
        for token in (OTHER_SCREEN, TECHNICIAN):
            assert (await house.press(act, body, token=token, bay="110")).code == "role_not_allowed"
        first = await house.press(act, body, token=STAFF, bay="110", key=act)
        assert first.status == 200, first.text
        assert (first.json["number"], first.json["retired"]) == ("110", True)
        again = await house.press(act, body, token=STAFF, bay="110", key=act)
        assert (again.json, again.headers[REPLAYED_HEADER]) == (first.json, "true")
        events = [record.event for record in await house.journal.read(0, bay="110", limit=500)]
        assert [type(one) for one in events].count(event) == 1
        row = (await house.journal.audit(0, house.clock.now().wall_ms + 1))[-1]
        assert (row.bay, row.note.who, row.note.reason) == ("110", "anna", REASON["reason"])


async def test_what_is_settled_is_warned_of_no_more(house: House) -> None:
    for act in ("conflicts/settle", "balls/settle", "dues/settle"):
        assert (await house.press(act, SETTLED[act][0], token=STAFF, bay="110")).status == 200
    assert await warned(house) == {}
    gone = await house.press("conflicts/settle", SETTLED["conflicts/settle"][0], token=STAFF, bay="110")
    assert (gone.status, gone.code) == (409, "no_conflict")


async def test_nothing_else_can_be_done_there(house: House) -> None:
    before = house.journal.last_seq
    for act in {*ACTS, "pin", "game"} - {*SETTLED}:
        body, _, allowed = ACTS_BY_ROLE[act]
        token = STAFF if "staff" in allowed else OTHER_SCREEN
        reply = await house.press(act, body, token=token, bay="110")
        assert (reply.status, reply.code) == (404, "unknown_bay"), act
    assert house.journal.last_seq == before


async def test_staff_look_at_it_and_no_screen_does(house: House) -> None:
    shown = (await house.ask("GET", "/api/v1/bays/110", token=STAFF)).json
    assert (shown["retired"], [due["amount"] for due in shown["dues"]]) == (True, [600])
    assert [warning["code"] for warning in shown["warnings"]] == ["payment_not_told", "balls_unknown"]
    assert (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json["retired"] is False
    for path in ("/api/v1/bays/110", "/api/v1/events?bay=110"):
        refused = await house.ask("GET", path, token=OTHER_SCREEN)
        assert (refused.status, refused.code) == (404, "unknown_bay")


@pytest.mark.parametrize("decision", ["retry", "drop"])
async def test_the_outboxs_tool_decides_about_what_was_set_aside_there(house: House, decision: str) -> None:
    assert "17  bay 110" in (await outbox(house, "list", "--parked")).out
    said = await outbox(house, decision, "17", "--reason", "entered at the desk")
    assert (said.code, said.err) == (0, "")
    kind = "DeliveryRetried" if decision == "retry" else "DeliveryDropped"
    assert (await house.kinds("110"))[-1] == kind


async def test_its_devices_and_its_time_stand_still(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    async with house.open():
        await house.play("110", "8")
        await house.bays.submit("110", i.DeviceReported("reader", DeviceState.LOST, "unplugged"))
    del house.rules["110"]
    async with house.open():
        house.clock.go_on(600_000)
        shown = (await house.ask("GET", "/api/v1/bays/110", token=STAFF)).json
        assert (shown["session"]["remaining_s"], shown["warnings"]) == (pytest.approx(3600, abs=15), [])
        assert list(await warned(house)) == ["bay_left_out"]


async def test_put_back_the_bay_shows_what_is_still_open_once(tmp_path: Path) -> None:
    house = await left_open(tmp_path)
    rules = house.rules.pop("110")
    async with house.open():
        await house.press("dues/settle", SETTLED["dues/settle"][0], token=STAFF, bay="110")
    house.rules["110"] = rules
    async with house.open():
        document = (await house.ask("GET", "/status", token=STAFF)).json
        at_110 = [one["code"] for one in document["warnings"] if one["bay"] == "110"]
        assert at_110 == ["payment_not_told", "balls_unknown"]
        assert (document["bays"]["110"]["retired"], document["bays"]["110"]["dues"]) == (False, [])
