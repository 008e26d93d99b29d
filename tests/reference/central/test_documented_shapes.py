"""The eight calls against the verbatim document: every body it shows is taken, every answer has its keys."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.reference.central.conftest import Central

DOCUMENT = (Path(__file__).parents[2] / "golden" / "session_component.md").read_text()


def _section(number: int) -> str:
    match = re.search(rf"^# {number}\.\).*?(?=^# \d+\.\)|\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match.group()


def _json_blocks(number: int) -> list[Any]:
    blocks = re.findall(r"```\n(.*?)```", _section(number), re.DOTALL)
    return [json.loads(block) for block in blocks if block.lstrip().startswith("{")]


def _differences(documented: Any, ours: Any, at: str = "") -> list[str]:
    """What a reader of the documented shape would stumble over.

    A documented null says nothing about the type; a documented empty list nothing about its items.
    """
    match documented, ours:
        case dict(), dict():
            missing = [f"{at}.{key} is missing" for key in documented.keys() - ours.keys()]
            added = [f"{at}.{key} is not documented" for key in ours.keys() - documented.keys()]
            shared = documented.keys() & ours.keys()
            deeper = [
                line for key in shared for line in _differences(documented[key], ours[key], f"{at}.{key}")
            ]
            return missing + added + deeper
        case list(), list():
            return [
                line
                for pair in zip(documented, ours, strict=False)
                for line in _differences(*pair, f"{at}[]")
            ]
        case None, _:
            return []
        case _ if type(documented) is not type(ours):
            return [f"{at} is {type(ours).__name__}, documented as {type(documented).__name__}"]
    return []


def test_the_document_is_read_as_it_stands() -> None:
    assert [len(_json_blocks(number)) for number in range(1, 9)] == [1, 1, 1, 1, 1, 1, 0, 1]
    assert "extenedSession" in DOCUMENT


async def _documented_session(central: Central) -> Any:
    """Call 1 with the document's own body, and two players as the document's answer of call 4 shows."""
    body = _json_blocks(1)[0]
    players = [
        {"name": "TEST USER 44", "phoneNumber": "9999999999"},
        {"name": "admin", "phoneNumber": "1111111111"},
    ]
    return (await central.call("POST", "/session", {**body, "sessionUsers": players})).data


async def test_1_post_session_takes_the_documented_body(central: Central) -> None:
    session = (await central.call("POST", "/session", _json_blocks(1)[0])).data
    assert re.fullmatch(r"[0-9]{6}", session["pin"])
    assert (session["bay"]["number"], session["duration"], session["active"]) == ("104", 60, False)
    assert session["billingUser"]["name"] == "User Test 1"


async def test_2_verify_takes_the_documented_body(central: Central, launch: Any) -> None:
    body = _json_blocks(2)[0]
    pins = iter([body["pin"]])
    chosen = await launch(draw_pin=lambda: next(pins))
    await chosen.call("POST", "/session", _json_blocks(1)[0])
    assert (await chosen.call("POST", "/session/verify", body)).data["active"] is True
    assert (await central.call("POST", "/session/verify", body)).refusal(422)["field"] == "pin"


async def test_3_list_has_the_documented_items(central: Central) -> None:
    for _ in range(46):
        await central.book("102", 3)
    answer = await central.call("GET", "/session?page=10&per_page=5")
    documented = _json_blocks(3)[0]
    assert len(answer.data) == 1
    assert _differences(documented, answer.document) == []


async def test_4_one_session_has_the_documented_keys(central: Central) -> None:
    session = await _documented_session(central)
    await central.call("PATCH", "/session", {"id": session["id"], "gameId": 3})
    answer = await central.call("GET", f"/session/{session['id']}")
    documented = _json_blocks(4)[0]
    # The one place where the document itself wanders: this customer has given an e-mail address.
    documented["data"]["billingUser"]["email"] = None
    for holder in (documented["data"]["lastActiveSessionUser"], *documented["data"]["sessionUsers"]):
        holder["user"] |= {"gender": None, "birthdate": None}
    assert _differences(documented, answer.document) == []
    assert [seat["user"]["name"] for seat in answer.data["sessionUsers"]] == ["admin", "TEST USER 44"]
    assert answer.data["lastActiveSessionUser"]["user"]["name"] == "TEST USER 44"


async def test_5_patch_takes_the_documented_body(central: Central) -> None:
    await central.book()
    await central.book()
    assert (await central.call("PATCH", "/session", _json_blocks(5)[0])).data["game"]["name"] == "GAME 1"


async def test_6_add_session_time_takes_the_documented_body(central: Central) -> None:
    session = await central.book()
    await central.call("POST", f"/session/addSessionTime/{session['id']}", _json_blocks(6)[0])
    item = await central.history(session["id"])
    assert (item["extendedTime"], item["duration"]) == (5, 60)
    assert [
        {"duration": one["duration"], "amount": one["amount"]} for one in item["extenedSession"]
    ] == _json_blocks(6)


async def test_7_end_needs_no_body(central: Central) -> None:
    session = await central.book()
    assert (await central.call("POST", f"/session/{session['id']}/end")).data["cancel"] is True


@pytest.mark.parametrize("extended", [False, True])
async def test_8_history_has_the_documented_items(central: Central, extended: bool) -> None:
    session = await central.book("102", 3, amount=0)
    if extended:
        await central.call(
            "POST", f"/session/addSessionTime/{session['id']}", {"duration": 5, "amount": 1000}
        )
    answer = await central.call("GET", "/session/history?page=1&per_page=15")
    documented = _json_blocks(8)[0]
    documented["data"][0]["billingUser"]["email"] = None
    assert _differences(documented, answer.document) == []
    if not extended:
        money = ("sessionTransaction", "extenedSession", "extendedTime", "paymentPending", "paymentReceived")
        assert {key: answer.data[0][key] for key in money} == {
            key: documented["data"][0][key] for key in money
        }


def test_the_comparison_can_fail() -> None:
    documented = _json_blocks(8)[0]["data"][0]
    spelt_right = {**documented, "extendedSession": documented["extenedSession"], "extendedTime": "0"}
    del spelt_right["extenedSession"]
    assert sorted(_differences(documented, spelt_right)) == [
        ".extendedSession is not documented",
        ".extendedTime is str, documented as int",
        ".extenedSession is missing",
    ]
