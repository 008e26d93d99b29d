"""The rules behind the eight calls."""

from typing import Any

import pytest

from bayd.reference.central import CentralSettings
from tests.reference.central.conftest import MINUTE_MS, Central, Launch, booking, discount


async def _item(central: Central, session_id: int) -> Any:
    return (await central.call("GET", f"/session/{session_id}")).data


# --- Booking, PINs, the queue ---


async def test_a_second_booking_of_a_bay_waits_in_the_queue_until_the_first_is_settled(
    central: Central,
) -> None:
    first, second, elsewhere = await central.book(), await central.book(), await central.book("105")
    assert [first["isInQueue"], second["isInQueue"], elsewhere["isInQueue"]] == [False, True, False]
    await central.verify("104", first["pin"])
    assert (await _item(central, second["id"]))["isInQueue"] is True
    await central.call("POST", f"/session/{first['id']}/end")
    assert (await _item(central, second["id"]))["isInQueue"] is False


async def test_a_cancelled_booking_leaves_the_queue(central: Central) -> None:
    first, second = await central.book(), await central.book()
    await central.call("POST", f"/session/{first['id']}/end")
    assert (await _item(central, second["id"]))["isInQueue"] is False


async def test_a_queued_session_may_start_while_the_end_of_the_last_one_is_on_its_way(
    central: Central,
) -> None:
    await central.play()
    second = await central.book()
    started = (await central.verify("104", second["pin"])).data
    assert (started["active"], started["isInQueue"]) == (True, False)


async def test_a_pin_is_unique_among_the_unsettled_sessions_of_its_bay_only(launch: Launch) -> None:
    drawn = iter(["111111", "111111", "222222", "111111", "111111", "111111"])
    central = await launch(draw_pin=lambda: next(drawn))
    first = await central.book("104")
    assert first["pin"] == "111111"
    assert (await central.book("104"))["pin"] == "222222"
    assert (await central.book("105"))["pin"] == "111111"
    await central.call("POST", f"/session/{first['id']}/end")
    assert (await central.book("104"))["pin"] == "111111"


async def test_a_bay_without_a_free_pin_takes_no_booking(launch: Launch) -> None:
    central = await launch(draw_pin=lambda: "111111")
    await central.book("104")
    before = central.contents()
    answer = await central.call("POST", "/session", booking("104"))
    assert answer.refusal(409)["field"] == "bayNumber"
    assert central.contents() == before


async def test_a_bay_that_is_not_available_takes_no_booking(central: Central) -> None:
    await central.call("PATCH", "/bay", {"number": "104", "status": "Not Available"})
    assert (await central.call("POST", "/session", booking())).refusal(409)["field"] == "bayNumber"


async def test_one_customer_per_phone_number(central: Central) -> None:
    first = await central.book()
    renamed = {"name": "New Name", "phoneNumber": "1555010002"}
    second = await central.book("105", billingUser=renamed)
    assert second["billingUser"]["id"] == first["billingUser"]["id"]
    assert (await _item(central, first["id"]))["billingUser"]["name"] == "New Name"


# --- Verify ---


async def test_only_the_right_pin_at_the_right_bay_starts(launch: Launch) -> None:
    drawn = iter(["111111", "222222"])
    central = await launch(draw_pin=lambda: next(drawn))
    here, there = await central.book("104"), await central.book("105")
    assert (await central.verify("104", "333333")).refusal(422)["field"] == "pin"
    assert (await central.verify("104", there["pin"])).refusal(422)["field"] == "pin"
    assert (await central.verify("999", here["pin"])).refusal(422)["field"] == "bayNumber"
    assert (await _item(central, here["id"]))["active"] is False
    assert (await _item(central, there["id"]))["active"] is False
    started = (await central.verify("104", here["pin"])).data
    assert (started["id"], started["active"]) == (here["id"], True)
    assert (await _item(central, here["id"]))["active"] is True


async def test_a_refused_pin_is_not_repeated_in_the_answer(central: Central) -> None:
    answer = await central.verify("104", "314159")
    assert answer.refusal(422)
    assert "314159" not in answer.text


async def test_verify_again_while_active_says_yes_and_changes_nothing(central: Central) -> None:
    session = await central.play(minutes=10)
    central.clock.pass_minutes(9)
    before = central.contents()
    assert (await central.verify("104", session["pin"])).data["id"] == session["id"]
    assert central.contents() == before


@pytest.mark.parametrize("started", [False, True])
async def test_the_pin_of_a_settled_session_opens_nothing(central: Central, started: bool) -> None:
    session = await (central.play() if started else central.book())
    await central.call("POST", f"/session/{session['id']}/end")
    refusal = (await central.verify("104", session["pin"])).refusal(409)
    assert refusal["field"] == "pin"
    assert ("has ended" if started else "was cancelled") in refusal["message"]
    assert (await _item(central, session["id"]))["active"] is False


# --- The server's own computed end ---


async def test_active_turns_false_by_itself_after_the_granted_time_and_the_grace(central: Central) -> None:
    session = await central.play(minutes=10)
    central.clock.now_ms += 11 * MINUTE_MS - 1
    assert (await _item(central, session["id"]))["active"] is True
    central.clock.now_ms += 1
    assert (await _item(central, session["id"]))["active"] is False
    item = await central.history(session["id"])
    assert (item["active"], item["cancel"], item["releaseTime"]) == (False, False, None)
    assert "is over" in (await central.verify("104", session["pin"])).refusal(409)["message"]


async def test_an_extension_moves_the_computed_end_and_revives_a_session_that_lapsed(
    central: Central,
) -> None:
    session = await central.play(minutes=10)
    add = f"/session/addSessionTime/{session['id']}"
    await central.call("POST", add, {"duration": 5, "amount": 0})
    central.clock.pass_minutes(15.9)
    assert (await _item(central, session["id"]))["active"] is True
    central.clock.pass_minutes(0.2)
    assert (await _item(central, session["id"]))["active"] is False
    assert (await central.call("POST", add, {"duration": 1, "amount": 0})).data["active"] is False
    assert (await central.call("POST", add, {"duration": 5, "amount": 0})).data["active"] is True


async def test_a_lapsed_session_holds_no_queue_and_may_still_be_ended(central: Central) -> None:
    session = await central.play(minutes=10)
    waiting = await central.book()
    central.clock.pass_minutes(12)
    assert (await _item(central, waiting["id"]))["isInQueue"] is False
    ended = (await central.call("POST", f"/session/{session['id']}/end")).data
    assert ended["releaseTime"] is not None


async def test_without_the_setting_only_a_call_ends(launch: Launch) -> None:
    central = await launch(settings=CentralSettings(ends_by_itself=False))
    session = await central.play(minutes=1)
    central.clock.pass_minutes(10_000)
    assert (await _item(central, session["id"]))["active"] is True


async def test_the_length_of_a_booked_minute_follows_the_time_scale(launch: Launch) -> None:
    central = await launch(time_scale=30.0, settings=CentralSettings(end_grace_min=0))
    session = await central.play(minutes=10)
    central.clock.now_ms += 10 * 2000 - 1
    assert (await _item(central, session["id"]))["active"] is True
    central.clock.now_ms += 1
    assert (await _item(central, session["id"]))["active"] is False


# --- addSessionTime ---


@pytest.mark.parametrize(("raises", "duration"), [(False, 60), (True, 75)])
async def test_extensions_add_up(launch: Launch, raises: bool, duration: int) -> None:
    central = await launch(settings=CentralSettings(extension_raises_duration=raises))
    session = await central.play()
    add = f"/session/addSessionTime/{session['id']}"
    await central.call("POST", add, {"duration": 5, "amount": 1000})
    answer = (await central.call("POST", add, {"duration": 10, "amount": 0})).data
    assert answer == await central.history(session["id"])
    assert (answer["duration"], answer["extendedTime"]) == (duration, 15)
    assert [(one["duration"], one["amount"]) for one in answer["extenedSession"]] == [(5, 1000), (10, 0)]
    assert answer["extendedRequestTime"] == answer["extenedSession"][-1]["createdAt"]
    assert (answer["paymentReceived"], answer["paymentPending"]) == (500, 1000)


async def test_an_extension_before_the_start_counts_from_verify(central: Central) -> None:
    session = await central.book(minutes=10)
    await central.call("POST", f"/session/addSessionTime/{session['id']}", {"duration": 10, "amount": 0})
    await central.verify("104", session["pin"])
    central.clock.pass_minutes(20.5)
    assert (await _item(central, session["id"]))["active"] is True
    central.clock.pass_minutes(0.6)
    assert (await _item(central, session["id"]))["active"] is False


# --- End ---


async def test_end_before_the_start_cancels(central: Central) -> None:
    session = await central.book()
    ended = (await central.call("POST", f"/session/{session['id']}/end")).data
    assert (ended["cancel"], ended["active"], ended["releaseTime"]) == (True, False, None)


async def test_end_after_the_start_releases(central: Central) -> None:
    session = await central.play()
    central.clock.pass_minutes(3)
    ended = (await central.call("POST", f"/session/{session['id']}/end")).data
    assert (ended["cancel"], ended["active"]) == (False, False)
    assert ended["releaseTime"] == "2026-05-28T20:29:40.123Z"


@pytest.mark.parametrize("started", [False, True])
async def test_a_settled_session_takes_nothing_more(central: Central, started: bool) -> None:
    session = await (central.play() if started else central.book())
    number = session["id"]
    await central.call("POST", f"/session/{number}/end")
    before = central.contents()
    for method, path, body in (
        ("POST", f"/session/{number}/end", None),
        ("POST", f"/session/addSessionTime/{number}", {"duration": 5, "amount": 0}),
        ("PATCH", "/session", {"id": number, "gameId": 1}),
    ):
        assert (await central.call(method, path, body)).refusal(409)["field"] == "id"
    assert central.contents() == before


# --- Game, pages, money ---


async def test_the_game_is_chosen_and_shown(central: Central) -> None:
    session = await central.book()
    assert (await central.call("PATCH", "/session", {"id": session["id"], "gameId": 2})).data["game"][
        "id"
    ] == 2
    assert (await central.call("GET", "/session")).data[0]["game"]["name"] == "GAME 2"
    unknown = await central.call("PATCH", "/session", {"id": session["id"], "gameId": 99})
    assert unknown.refusal(404)["field"] == "gameId"
    assert (await _item(central, session["id"]))["game"]["id"] == 2


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("path", ["/session", "/session/history"])
async def test_pages_count_from_one_and_a_short_page_is_the_last(
    launch: Launch, newest_first: bool, path: str
) -> None:
    central = await launch(settings=CentralSettings(newest_first=newest_first))
    booked = [(await central.book())["id"] for _ in range(7)]
    pages = [(await central.call("GET", f"{path}?page={page}&per_page=3")).data for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    read = [item["id"] for page in pages for item in page]
    assert read == (booked[::-1] if newest_first else booked)


async def test_a_discount_counts_only_when_the_flag_is_set(central: Central) -> None:
    ignored = await central.book("101", isDiscounted=False, discount=discount())
    wrong = await central.book("102", isDiscounted=False, discount={"type": 7})
    taken = await central.book("103", isDiscounted=True, discount=discount())
    money = [await central.history(one["id"]) for one in (ignored, wrong, taken)]
    assert [item["paymentReceived"] for item in money] == [500, 500, 300]
    transaction = money[2]["sessionTransaction"][0]
    assert (transaction["discountType"], transaction["amountDiscounted"]) == ("FIXED", 200)
    assert money[0]["sessionTransaction"][0]["discountType"] is None
    assert "demo-discount" not in central.contents()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [(discount(password="guess"), "discount.password"), (discount(value=501), "discount.value")],
)
async def test_a_discount_that_is_not_allowed_books_nothing(central: Central, wrong: Any, field: str) -> None:
    before = central.contents()
    answer = await central.call("POST", "/session", booking(isDiscounted=True, discount=wrong))
    assert answer.refusal(422)["field"] == field
    assert central.contents() == before


async def test_what_is_not_paid_is_pending(central: Central) -> None:
    session = await central.book(paymentType=None)
    item = await central.history(session["id"])
    assert (item["paymentPending"], item["paymentReceived"]) == (500, 0)


# --- Moving a session ---


def _move(**changed: Any) -> dict[str, Any]:
    return {
        "currentBay": "104",
        "newBay": "103",
        "adminPassword": "demo-admin",
        "newDuration": "10",
        **changed,
    }


async def test_a_move_keeps_the_session_and_takes_its_new_length(central: Central) -> None:
    session = await central.play(minutes=60)
    central.clock.pass_minutes(30)
    moved = (await central.call("POST", "/bay/sessionBayChange", _move(newDuration="40"))).data
    assert (moved["id"], moved["bay"]["number"], moved["duration"]) == (session["id"], "103", 40)
    assert (moved["active"], moved["pin"]) == (True, session["pin"])
    central.clock.pass_minutes(10.9)
    assert (await _item(central, session["id"]))["active"] is True
    central.clock.pass_minutes(0.2)
    assert (await _item(central, session["id"]))["active"] is False


async def test_a_move_without_new_minutes_keeps_the_time(central: Central) -> None:
    session = await central.play(minutes=10)
    body = _move()
    del body["newDuration"]
    assert (await central.call("POST", "/bay/sessionBayChange", body)).data["duration"] == 10
    central.clock.pass_minutes(11.1)
    assert (await _item(central, session["id"]))["active"] is False


async def test_a_move_gives_a_new_pin_where_the_old_one_is_taken(launch: Launch) -> None:
    drawn = iter(["111111", "111111", "111111", "222222"])
    central = await launch(draw_pin=lambda: next(drawn))
    await central.book("103")
    moving = await central.book("104")
    moved = (await central.call("POST", "/bay/sessionBayChange", _move())).data
    assert (moved["id"], moved["pin"], moved["isInQueue"]) == (moving["id"], "222222", True)


async def test_the_session_that_plays_moves_before_one_that_waits(central: Central) -> None:
    waiting = await central.book()
    playing = await central.play()
    assert (await central.call("POST", "/bay/sessionBayChange", _move())).data["id"] == playing["id"]
    assert (await central.call("POST", "/bay/sessionBayChange", _move(newBay="105"))).data["id"] == waiting[
        "id"
    ]


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"adminPassword": "guess"}, 422, "adminPassword"),
        ({"currentBay": "999"}, 404, "currentBay"),
        ({"newBay": "999"}, 404, "newBay"),
        ({"newBay": "104"}, 422, "newBay"),
        ({"newBay": "105"}, 409, "newBay"),
        ({"newBay": "106"}, 409, "newBay"),
        ({"currentBay": "101"}, 409, "currentBay"),
        ({"newDuration": 10}, 400, "newDuration"),
        ({"newDuration": "0"}, 400, "newDuration"),
        ({"newDuration": "1441"}, 400, "newDuration"),
    ],
)
async def test_a_move_that_cannot_be_changes_nothing(
    central: Central, changed: dict[str, Any], status: int, field: str
) -> None:
    await central.play("104")
    await central.play("105")
    await central.call("PATCH", "/bay", {"number": "106", "status": "Not Available"})
    before = central.contents()
    answer = await central.call("POST", "/bay/sessionBayChange", _move(**changed))
    assert answer.refusal(status)["field"] == field
    assert central.contents() == before
