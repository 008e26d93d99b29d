"""Whatever is malformed gets a 4xx that names the field, and leaves the file as it was."""

import copy
from typing import Any

import pytest

from tests.reference.central.conftest import Central, booking, discount

# Every writing call with a body that is taken as it stands.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/session"): booking(),
    ("POST", "/session/verify"): {"bayNumber": "104", "pin": "314159"},
    ("PATCH", "/session"): {"id": 1, "gameId": 1},
    ("POST", "/session/addSessionTime/1"): {"duration": 5, "amount": 1000},
    ("PATCH", "/bay"): {"number": "104", "status": "Bay on Hold"},
    ("PATCH", "/bay/screenId"): {"screenId": "abc", "number": "104"},
    ("POST", "/bay/sessionBayChange"): {
        "currentBay": "104", "newBay": "103", "adminPassword": "demo-admin", "newDuration": "10",
    },
    ("POST", "/bay/createOrUpdate"): {
        "floorNumber": "4",
        "bayObject": [{"bayNumber": "401", "antennaName": "reader_1", "power": "20", "location": "401"}],
    },
    ("POST", "/bay/state"): {"bay": "104", "state": {"phase": "FREE"}, "seq": 1},
    ("POST", "/score"): [{"game": {"name": "GAME 1"}, "pitAntenna": {"name": "r_1"}, "score": 1}],
    ("POST", "/transaction"): {"amount": 1000, "bayNumber": "104", "status": "DUE"},
    ("PATCH", "/transaction"): {
        "transcationId": 1, "status": "PAID", "paymentType": {"type": "CASH"},
        "adminPassword": "demo-admin", "reason": "paid",
    },
    ("POST", "/auth/login"): {"phoneNumber": "1555010001", "pin": "demo"},
}  # fmt: skip

OPTIONAL = {"isDiscounted", "newDuration", "seq"}
MALFORMED: tuple[Any, ...] = (None, True, -1, 1.5, 10**30, "", "x" * 300, "a\nb", "\U0001f3cc", [], {}, [[]])


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every field of a body, by its path."""
    match value:
        case dict():
            items: Any = value.items()
        case list():
            items = enumerate(value)
        case _:
            return [at]
    deeper = [path for key, item in items for path in _paths(item, (*at, key))]
    return deeper if not at else [at, *deeper]


def _with(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    return changed


def _without(body: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(body)
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return changed


def _is_legal(call: tuple[str, str], path: tuple[Any, ...], value: Any) -> bool:
    """The few malformed-looking values that a field does take."""
    name: str | int = path[-1]
    if value is None:
        return name in {"newDuration", "seq"} or (name == "paymentType" and call[1] == "/session")
    if value is True:
        return name == "isDiscounted"
    if value == "\U0001f3cc":
        return name in {"name", "reason", "adminPassword"} or (name, call[1]) == ("pin", "/auth/login")
    return False


@pytest.mark.parametrize("call", BODIES, ids="-".join)
async def test_a_malformed_field_is_named_and_changes_nothing(
    central: Central, call: tuple[str, str]
) -> None:
    await central.book()
    body = BODIES[call]
    before = central.contents()
    for path in _paths(body):
        name = ".".join(str(part) for part in path)
        if not path or path[0] == "state":
            continue
        for value in MALFORMED:
            if _is_legal(call, path, value):
                continue
            refusal = (await central.call(*call, _with(body, path, value))).refusal(400)
            assert refusal["field"] == name or refusal["field"].startswith(f"{name}."), (value, refusal)
            assert refusal["message"].startswith(refusal["field"])
        optional = path[-1] in OPTIONAL or (path[-1] == "paymentType" and call[1] == "/session")
        if not optional and not isinstance(path[-1], int):
            assert (await central.call(*call, _without(body, path))).refusal(400)["field"] == name
    assert central.contents() == before


NOT_AN_OBJECT = (
    b"", b"{", b"null", b"true", b"7", b'"text"', b"\xff\xfe",
    b'{"duration": NaN}', b'{"a": "\\ud800"}', b"[" * 500,
)  # fmt: skip


@pytest.mark.parametrize("call", BODIES, ids="-".join)
async def test_a_body_that_is_no_json_object_is_refused(central: Central, call: tuple[str, str]) -> None:
    await central.book()
    before = central.contents()
    for raw in NOT_AN_OBJECT:
        assert (await central.call(*call, raw=raw)).refusal(400)["field"], raw
    assert central.contents() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/session?page=0", 400, "page"),
        ("GET", "/session?page=-1", 400, "page"),
        ("GET", "/session?page=1.0", 400, "page"),
        ("GET", "/session?page=", 400, "page"),
        ("GET", "/session?page=%D9%A1", 400, "page"),
        ("GET", "/session?page=99999999999999999999", 400, "page"),
        ("GET", "/session?page=1&page=2", 400, "page"),
        ("GET", "/session/history?per_page=501", 400, "per_page"),
        ("GET", "/session/history?per_page=0", 400, "per_page"),
        ("GET", "/session/abc", 400, "id"),
        ("GET", "/session/0", 400, "id"),
        ("GET", "/session/1e3", 400, "id"),
        ("GET", "/session/%FF", 400, "id"),
        ("GET", "/session/2147483648", 400, "id"),
        ("GET", "/session/77", 404, "id"),
        ("POST", "/session/77/end", 404, "id"),
        ("POST", "/session/abc/end", 400, "id"),
        ("GET", "/bay?floorNo=one", 400, "floorNo"),
        ("GET", "/bay?status=Broken", 400, "status"),
        ("GET", "/bay?fillBalls=yes", 400, "fillBalls"),
        ("GET", "/bay?bayNumber=%20", 400, "bayNumber"),
        ("GET", "/bay/screen/%00", 400, "screenId"),
        ("GET", "/ant?type=both", 400, "type"),
        ("GET", "/score?gameId=x", 400, "gameId"),
        ("GET", "/transaction/session/77", 404, "id"),
        ("GET", "/transaction/pendingDue/bayNumber/999", 404, "number"),
    ],
)
async def test_a_malformed_address_is_refused(
    central: Central, method: str, path: str, status: int, field: str
) -> None:
    before = central.contents()
    assert (await central.call(method, path)).refusal(status)["field"] == field
    assert central.contents() == before


@pytest.mark.parametrize(
    ("call", "body", "field"),
    [
        (("POST", "/session"), booking("999"), "bayNumber"),
        (("POST", "/session/addSessionTime/77"), {"duration": 5, "amount": 0}, "id"),
        (("PATCH", "/session"), {"id": 77, "gameId": 1}, "id"),
        (("PATCH", "/bay"), {"number": "999", "status": "Bay on Hold"}, "number"),
        (("PATCH", "/bay/screenId"), {"screenId": "abc", "number": "999"}, "number"),
        (("POST", "/transaction"), {"amount": 1, "bayNumber": "999", "status": "DUE"}, "bayNumber"),
    ],
)
async def test_an_unknown_thing_is_named(
    central: Central, call: tuple[str, str], body: Any, field: str
) -> None:
    before = central.contents()
    assert (await central.call(*call, body)).refusal(404)["field"] == field
    assert central.contents() == before


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({**discount(), "type": "percent"}, "discount.type"),
        ({**discount(), "value": -1}, "discount.value"),
        ({**discount(), "reason": ""}, "discount.reason"),
        (None, "discount"),
    ],
)
async def test_a_discount_that_counts_is_checked(central: Central, wrong: Any, field: str) -> None:
    answer = await central.call("POST", "/session", booking(isDiscounted=True, discount=wrong))
    assert answer.refusal(400)["field"] == field
    missing = await central.call("POST", "/session", booking(isDiscounted=True))
    assert missing.refusal(400)["field"] == "discount"


async def test_a_refusal_repeats_no_value(central: Central) -> None:
    body = {"bayNumber": "104", "pin": "31415926"}
    answer = await central.call("POST", "/session/verify", body)
    assert answer.refusal(400)["field"] == "pin"
    assert "314159" not in answer.text


async def test_a_body_that_is_too_large_is_refused(central: Central) -> None:
    answer = await central.call("POST", "/session", raw=b"{" + b" " * 300_000 + b"}")
    assert answer.refusal(413)["field"] == "body"


async def test_a_body_that_is_not_encoded_as_it_says_is_refused(central: Central) -> None:
    answer = await central.call("POST", "/session", raw=b"not gzip", headers={"Content-Encoding": "gzip"})
    assert answer.refusal(400)["field"] == "body"


async def test_numbers_that_no_json_reader_takes_are_refused_in_a_state(central: Central) -> None:
    for number in (b"1e999", b"NaN", b"1" * 5000):
        for raw in (b'{"bay": "104", "state": {"x": %b}}', b'{"bay": "104", "state": 1, "more": [%b]}'):
            answer = await central.call("POST", "/bay/state", raw=raw % number)
            assert answer.refusal(400)["field"] == "body"
    assert (await central.call("GET", "/bay/state")).data == []


async def test_a_page_of_another_site_can_change_nothing(central: Central) -> None:
    before = central.contents()
    for origin in ("https://example.com", "null"):
        answer = await central.call("POST", "/session", booking(), headers={"Origin": origin})
        assert answer.refusal(403)["field"] == "Origin"
    assert central.contents() == before
    own = {"Origin": central.url}
    assert (await central.call("POST", "/session", booking(), headers=own)).data["id"] == 1


async def test_what_does_not_exist_is_told_from_what_is_unknown(central: Central) -> None:
    """A caller with a wrong base address must not take a route's 404 for an answer of the server."""
    missing = await central.call("POST", "/api/session/verify", {"bayNumber": "104", "pin": "314159"})
    assert (missing.status, missing.headers["Content-Type"].partition(";")[0]) == (404, "text/plain")
    wrong_method = await central.call("DELETE", "/session")
    assert (wrong_method.status, wrong_method.headers["Allow"]) == (405, "GET, PATCH, POST")
