"""The `Idempotency-Key` extension: the same key gives the same answer, and nothing is done twice."""

import asyncio
from typing import Any

import pytest

from tests.reference.central.conftest import Central, booking

DAY_MIN = 24 * 60


async def test_the_same_key_books_once_also_after_a_restart(central: Central) -> None:
    first = await central.call("POST", "/session", booking(), key="k-1")
    before = central.contents()
    again = await central.call("POST", "/session", booking(), key="k-1")
    await central.restart()
    afterwards = await central.call("POST", "/session", booking(), key="k-1")
    assert [first.text, first.text] == [again.text, afterwards.text]
    assert len((await central.call("GET", "/session")).data) == 1
    assert central.contents() == before


async def test_another_key_or_none_is_another_request(central: Central) -> None:
    for key in ("k-1", "k-2", None, None):
        await central.call("POST", "/session", booking(), key=key)
    assert len((await central.call("GET", "/session")).data) == 4


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/session", booking(minutes=61)),
        ("POST", "/session/verify", {"bayNumber": "104", "pin": "314159"}),
        ("PATCH", "/session", {"id": 1, "gameId": 1}),
        ("POST", "/session/1/end", None),
    ],
)
async def test_the_key_of_another_request_is_refused(
    central: Central, method: str, path: str, body: Any
) -> None:
    await central.call("POST", "/session", booking(), key="k-1")
    before = central.contents()
    assert (await central.call(method, path, body, key="k-1")).refusal(422)["field"] == "Idempotency-Key"
    assert central.contents() == before


async def test_the_same_json_in_another_spelling_is_the_same_request(central: Central) -> None:
    session = await central.book()
    path = f"/session/addSessionTime/{session['id']}"
    first = await central.call("POST", path, raw=b'{"duration":5,"amount":1000}', key="k-1")
    again = await central.call("POST", path, raw=b'{ "amount": 1000, "duration": 5 }', key="k-1")
    assert again.text == first.text
    assert (await central.history(session["id"]))["extendedTime"] == 5


async def test_every_writing_call_of_a_session_is_done_once(central: Central) -> None:
    session = await central.book()
    number = session["id"]
    for key, method, path, body in (
        ("k-verify", "POST", "/session/verify", {"bayNumber": "104", "pin": session["pin"]}),
        ("k-game", "PATCH", "/session", {"id": number, "gameId": 2}),
        ("k-add", "POST", f"/session/addSessionTime/{number}", {"duration": 5, "amount": 10}),
        ("k-end", "POST", f"/session/{number}/end", None),
    ):
        first = await central.call(method, path, body, key=key)
        assert first.data["id"] == number
        events = central.contents().count('INSERT INTO "events"')
        assert (await central.call(method, path, body, key=key)).text == first.text
        assert central.contents().count('INSERT INTO "events"') == events
    item = await central.history(number)
    assert (item["extendedTime"], len(item["extenedSession"]), item["paymentPending"]) == (5, 1, 10)


async def test_a_refusal_is_repeated_too(central: Central) -> None:
    wrong = await central.call("PATCH", "/session", {"id": 1, "gameId": 1}, key="k-1")
    assert wrong.refusal(404)
    await central.book()
    again = await central.call("PATCH", "/session", {"id": 1, "gameId": 1}, key="k-1")
    assert (again.status, again.text) == (404, wrong.text)
    assert (await central.call("PATCH", "/session", {"id": 1, "gameId": 1}, key="k-2")).data["id"] == 1


async def test_a_malformed_request_does_not_use_its_key_up(central: Central) -> None:
    assert (await central.call("POST", "/session", {}, key="k-1")).refusal(400)
    assert (await central.call("POST", "/session", booking(), key="k-1")).data["id"] == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 201])
async def test_a_malformed_key_is_refused(central: Central, key: str) -> None:
    answer = await central.call("POST", "/session", booking(), key=key)
    assert answer.refusal(400)["field"] == "Idempotency-Key"
    assert (await central.call("GET", "/session")).data == []


async def test_many_at_once_with_one_key_do_it_once(central: Central) -> None:
    session = await central.book()
    path = f"/session/addSessionTime/{session['id']}"
    answers = await asyncio.gather(
        *(central.call("POST", path, {"duration": 5, "amount": 1}, key="k-1") for _ in range(20))
    )
    assert len({answer.text for answer in answers}) == 1
    assert (await central.history(session["id"]))["extendedTime"] == 5


async def test_keys_are_forgotten_after_a_week(central: Central) -> None:
    await central.call("POST", "/session", booking(), key="k-1")
    central.clock.pass_minutes(6 * DAY_MIN)
    await central.call("POST", "/session", booking(), key="k-2")
    await central.call("POST", "/session", booking(), key="k-1")
    assert len((await central.call("GET", "/session")).data) == 2
    central.clock.pass_minutes(2 * DAY_MIN)
    await central.call("POST", "/session", booking(), key="k-3")
    await central.call("POST", "/session", booking(), key="k-1")
    assert len((await central.call("GET", "/session")).data) == 4
