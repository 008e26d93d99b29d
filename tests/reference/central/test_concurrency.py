"""Many callers at the same time: nothing is lost, nothing is done by halves."""

import asyncio

from tests.reference.central.conftest import Central


async def test_two_bookings_of_a_bay_at_the_same_time_both_stand_one_behind_the_other(
    central: Central,
) -> None:
    booked = await asyncio.gather(*(central.book("104") for _ in range(2)))
    assert len({session["pin"] for session in booked}) == 2
    items = (await central.call("GET", "/session")).data
    assert [item["isInQueue"] for item in sorted(items, key=lambda item: item["id"])] == [False, True]


async def test_a_hundred_extensions_at_the_same_time_sum_exactly(central: Central) -> None:
    session = await central.play()
    path = f"/session/addSessionTime/{session['id']}"
    bodies = [{"duration": 1 + index % 7, "amount": index} for index in range(100)]
    await asyncio.gather(
        *(central.call("POST", path, body, key=f"add-{index}") for index, body in enumerate(bodies))
    )
    item = await central.history(session["id"])
    assert item["extendedTime"] == sum(body["duration"] for body in bodies)
    assert item["paymentPending"] == sum(body["amount"] for body in bodies)
    added = sorted((one["amount"], one["duration"]) for one in item["extenedSession"])
    assert added == [(body["amount"], body["duration"]) for body in bodies]
    assert len({one["id"] for one in item["extenedSession"]}) == 100


async def test_one_of_many_ends_at_the_same_time_is_the_end(central: Central) -> None:
    session = await central.play()
    answers = await asyncio.gather(
        *(central.call("POST", f"/session/{session['id']}/end") for _ in range(10))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9


async def test_of_many_verifies_with_the_right_pin_each_says_yes_and_one_starts(central: Central) -> None:
    session = await central.book()
    answers = await asyncio.gather(*(central.verify("104", session["pin"]) for _ in range(10)))
    assert [answer.data["active"] for answer in answers] == [True] * 10
    assert central.contents().count("'session.verified'") == 1


async def test_one_of_two_moves_to_the_same_bay_gets_it(central: Central) -> None:
    for bay in ("104", "105"):
        await central.play(bay)
    bodies = [{"currentBay": bay, "newBay": "103", "adminPassword": "demo-admin"} for bay in ("104", "105")]
    answers = await asyncio.gather(*(central.call("POST", "/bay/sessionBayChange", body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200, 409]
