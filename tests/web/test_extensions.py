"""More time over the API: offers, requests, what staff answer, dues."""

from dataclasses import replace
from pathlib import Path

import pytest

from bayd.core.rules import ExtensionPolicy, Rules
from tests.web.house import STAFF, House

ON_ACCOUNT = Rules(extension=ExtensionPolicy.ON_ACCOUNT, extension_minutes=(15, 30), extension_price=10)


async def test_a_request_is_shown_with_its_price_and_approved(house: House) -> None:
    house.bays.bays["109"].rules = Rules(extension_minutes=(15, 30), extension_price=10)
    await house.play()
    asked = (await house.press("extend", {"minutes": 30})).json
    assert asked["extension_asked"] == 30
    request = asked["extension"]["asked"]
    assert (request["minutes"], request["amount"]) == (30, 300)
    assert 0 <= request["waits_s"] < 60
    assert asked["extension"]["offers"][0] == {"minutes": 15, "amount": 150, "at_once": False}
    given = (await house.press("extend/approve", {"payment": "on_account"}, token=STAFF)).json
    assert given["session"]["minutes"] == 90
    assert given["extension"]["asked"] is None
    assert [(due["minutes"], due["amount"], due["session_id"]) for due in given["dues"]] == [(30, 300, "7")]
    body = {"due_id": given["dues"][0]["due_id"], "payment": "card", "reason": "at the bay"}
    assert (await house.press("dues/settle", body, token=STAFF)).json["dues"] == []


async def test_an_answer_names_the_request_that_was_seen(house: House) -> None:
    """Two people at two boards: one declines, the guest asks again, and then the other one presses."""
    await house.play()
    first = (await house.press("extend", {"minutes": 15})).json["extension"]["asked"]["request_id"]
    seen = {"session_id": "7", "request_id": first}
    await house.press("extend/decline", {"reason": "a group comes", **seen}, token=STAFF)
    asked = (await house.press("extend", {"minutes": 30})).json["extension"]["asked"]
    for act, body in (("approve", {"payment": "cash", "amount": 100}), ("decline", {"reason": "no"})):
        late = await house.press(f"extend/{act}", {**body, **seen}, token=STAFF)
        assert (late.status, late.code) == (409, "request_changed")
    body = {"payment": "cash", "amount": 300, "request_id": asked["request_id"]}
    assert (await house.press("extend/approve", body, token=STAFF)).json["session"]["minutes"] == 90


async def test_a_request_waits_as_long_as_it_does_whatever_the_clock_on_the_wall(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")

    async def waits_s() -> float:
        bay = (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json
        return float(bay["extension"]["asked"]["waits_s"])

    async with house.open():
        await house.play()
        await house.press("extend", {"minutes": 15})
        house.clock.wall_step_ms -= 3_600_000
        house.clock.go_on(180_000)
        assert 180 <= await waits_s() < 240
        house.clock.wall_step_ms += 7_200_000
        assert await waits_s() < 240
    house.clock.reboot()
    async with house.open():
        assert await waits_s() < 300  # from the last sign of life on, as all that waits


async def test_a_refusal_shows_its_reason_on_the_screen(house: House) -> None:
    await house.play()
    await house.press("extend", {"minutes": 15})
    declined = await house.press("extend/decline", {"reason": "we close at ten"}, token=STAFF)
    assert declined.json["extension"]["declined"] == "we close at ten"
    assert "we close at ten" not in (await house.ask("GET", "/status")).text


async def test_the_screen_books_a_due_and_has_no_say_in_money(house: House) -> None:
    house.bays.bays["109"].rules = ON_ACCOUNT
    await house.play()
    for field, value in (("amount", 0), ("payment", "cash")):
        refused = await house.press("extend", {"minutes": 15, field: value})
        assert (refused.status, refused.code, refused.json["field"]) == (403, "staff_only", field)
    agreed = {"minutes": 15, "shown_amount": 150, "shown_at_once": True}
    given = (await house.press("extend", agreed)).json
    assert given["dues"][0]["amount"] == 150
    assert [offer["at_once"] for offer in given["extension"]["offers"]] == [False, False]


async def test_a_press_for_a_price_that_holds_no_more_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    house.rules["109"] = ON_ACCOUNT
    async with house.open():
        await house.play()
        task = house.bays.bays["109"]
        task.change_rules(replace(task.rules, extension_price=20))
        before = await house.state()
        agreed = {"minutes": 15, "shown_amount": 150, "shown_at_once": True}
        late = await house.press("extend", agreed)
        assert (late.status, late.code) == (409, "price_changed")
        assert await house.state() == before
        given = (await house.press("extend", {**agreed, "shown_amount": 300})).json
        assert [due["amount"] for due in given["dues"]] == [300]


@pytest.mark.parametrize(
    "shown",
    [{}, {"shown_amount": None, "shown_at_once": False}, {"shown_at_once": True}, {"shown_amount": 150}],
    ids=["says-nothing", "no-price", "no-amount", "to-be-asked"],
)
async def test_what_no_screen_showed_is_a_question_to_staff_and_no_charge(
    house: House, shown: dict[str, object]
) -> None:
    house.bays.bays["109"].rules = ON_ACCOUNT
    await house.play()
    asked = (await house.press("extend", {"minutes": 15, **shown})).json
    assert asked["dues"] == []
    assert asked["session"]["minutes"] == 60
    assert asked["extension"]["asked"]["minutes"] == 15


async def test_what_a_screen_shows_binds_no_staff(house: House) -> None:
    house.bays.bays["109"].rules = ON_ACCOUNT
    await house.play()
    more = {"minutes": 15, "amount": 100, "reason": "rain", "shown_amount": 150, "shown_at_once": True}
    given = await house.press("extend", more, token=STAFF)
    assert (given.status, given.json["session"]["minutes"], given.json["dues"]) == (200, 75, [])
