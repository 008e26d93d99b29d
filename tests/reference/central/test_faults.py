"""Faults to order: each does what it says, to the requests that it names, and to no other."""

import asyncio
import errno
from typing import Any

import aiohttp
import pytest

from tests.reference.central.conftest import Central, Launch, booking


@pytest.fixture
async def faulty(launch: Launch) -> Central:
    return await launch(faults=True)


async def _order(central: Central, *rules: dict[str, Any]) -> None:
    assert len((await central.call("POST", "/_faults", list(rules))).data) >= len(rules)


async def _count(central: Central) -> int:
    return len((await central.call("GET", "/session/history")).data)


async def test_without_faults_nobody_can_order_one(central: Central) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert (await central.call(method, "/_faults", [{"kind": "non_json"}])).status == 404
    assert "/_faults" not in (await central.call("GET", "/openapi.json")).document["paths"]


@pytest.mark.parametrize(("kind", "done"), [("drop_before_commit", 0), ("drop_after_commit", 1)])
async def test_a_dropped_reply_is_a_reset_connection(faulty: Central, kind: str, done: int) -> None:
    await _order(faulty, {"method": "POST", "path": "/session", "kind": kind})
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await faulty.call("POST", "/session", booking())
    assert caught.value.errno == errno.ECONNRESET
    assert await _count(faulty) == done
    assert (await faulty.call("POST", "/session", booking())).status == 200


async def test_a_lost_reply_with_a_key_is_repeated_without_doing_it_twice(faulty: Central) -> None:
    await _order(faulty, {"path": "/session", "kind": "drop_after_commit"})
    with pytest.raises(aiohttp.ClientOSError):
        await faulty.call("POST", "/session", booking(), key="k-1")
    assert (await faulty.call("POST", "/session", booking(), key="k-1")).data["id"] == 1
    assert await _count(faulty) == 1


@pytest.mark.parametrize(("key", "times"), [(None, 2), ("k-1", 1)])
async def test_a_duplicated_request_is_served_twice(faulty: Central, key: str | None, times: int) -> None:
    await _order(faulty, {"method": "POST", "path": "/session", "kind": "duplicate"})
    assert (await faulty.call("POST", "/session", booking(), key=key)).data["id"] == 1
    assert await _count(faulty) == times


@pytest.mark.parametrize(
    ("kind", "content_type"), [("truncated_json", "application/json"), ("non_json", "text/html")]
)
async def test_an_answer_that_cannot_be_read(faulty: Central, kind: str, content_type: str) -> None:
    await _order(faulty, {"path": "/session", "kind": kind})
    answer = await faulty.call("POST", "/session", booking())
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, content_type)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        _ = answer.document
    assert await _count(faulty) == 1


@pytest.mark.parametrize("status", [500, 503, 404])
async def test_a_status_of_a_proxy(faulty: Central, status: int) -> None:
    await _order(faulty, {"path": "/session", "kind": "status", "status": status})
    answer = await faulty.call("POST", "/session", booking())
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (status, "text/plain")
    assert await _count(faulty) == 0


async def test_a_delayed_request_waits_and_is_served_even_when_the_caller_has_gone(faulty: Central) -> None:
    await _order(faulty, {"path": "/session", "kind": "delay", "delay_s": 0.5})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await faulty.call("POST", "/session", booking())
    assert await _count(faulty) == 0
    async with asyncio.timeout(30):
        while await _count(faulty) == 0:  # noqa: ASYNC110 - the server tells nobody who has gone
            await asyncio.sleep(0.02)
    assert await _count(faulty) == 1


async def test_a_rule_acts_on_the_nth_match_and_on_so_many_from_there(faulty: Central) -> None:
    rule = {"method": "GET", "path": "/bay", "kind": "status", "status": 502}
    await _order(faulty, {**rule, "nth": 2, "count": 2})
    statuses = []
    for path in ("/bay", "/game", "/bay", "/bay/screen/abc", "/bay", "/bay"):
        statuses.append((await faulty.call("GET", path)).status)
    assert statuses == [200, 200, 502, 502, 200, 200]
    (report,) = (await faulty.call("GET", "/_faults")).data
    assert (report["seen"], report["fired"]) == (5, 2)


async def test_a_rule_without_an_end_acts_until_all_are_cleared(faulty: Central) -> None:
    await _order(faulty, {"kind": "status", "count": None})
    assert [(await faulty.call("GET", "/game")).status for _ in range(5)] == [503] * 5
    assert (await faulty.call("DELETE", "/_faults")).data == []
    assert (await faulty.call("GET", "/game")).status == 200


async def test_delays_come_before_the_oldest_of_the_others(faulty: Central) -> None:
    await _order(
        faulty,
        {"path": "/game", "kind": "status", "status": 500},
        {"path": "/game", "kind": "delay", "delay_s": 0},
        {"path": "/game", "kind": "status", "status": 502},
    )
    assert (await faulty.call("GET", "/game")).status == 500
    assert [one["fired"] for one in (await faulty.call("GET", "/_faults")).data] == [1, 1, 1]


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"kind": "non_json"}, "body"),
        ([], "body"),
        ([{"kind": "explode"}], "0"),
        ([{"kind": "delay"}], "0.delay.delay_s"),
        ([{"kind": "status", "status": 200}], "0.status.status"),
        ([{"kind": "non_json", "nth": 0}], "0.non_json.nth"),
        ([{"kind": "non_json", "pth": "/"}], "0.non_json.pth"),
    ],
)
async def test_a_malformed_rule_is_refused(faulty: Central, rules: Any, field: str) -> None:
    assert (await faulty.call("POST", "/_faults", rules)).refusal(400)["field"] == field
    assert (await faulty.call("GET", "/_faults")).data == []
