"""A technician's calls about readers: who may, what they answer, and the stream of live reads."""

import asyncio

import pytest

from bayd.journal import ThreadJournalExecutor
from tests.journal.world import Fault, FaultyDisk
from tests.web.house import SCREEN, STAFF, TECHNICIAN, House

EAST = "/api/v1/devices/readers/east"


async def test_devices_are_for_staff_and_technicians(house: House) -> None:
    for path in ("/api/v1/devices", f"{EAST}/identify", f"{EAST}/power", f"{EAST}/watch"):
        assert (await house.ask("GET", path)).code == "token_missing"
        assert (await house.ask("GET", path, token=SCREEN)).code == "role_not_allowed"
    for token in (STAFF, TECHNICIAN):
        assert (await house.ask("GET", "/api/v1/devices", token=token)).json["devices"][0]["name"] == "east"
        assert (await house.ask("GET", f"{EAST}/identify", token=token)).json["firmware"] == "1.9"
        assert (await house.ask("GET", f"{EAST}/power", token=token)).json["power_dbm"] == [26]


async def test_a_power_is_tried_under_the_name_of_who_tries_it(house: House) -> None:
    body = {"power_dbm": 20, "ports": [1]}
    done = await house.ask("PUT", f"{EAST}/power", token=TECHNICIAN, body=body)
    assert done.json == {"before_dbm": [26], "power_dbm": [20], "refused": []}
    assert house.tools.tried == [(20, frozenset({1}))]
    (row,) = await house.journal.audit(0, 2**62)
    assert (row.note.who, row.note.role, row.note.act) == ("bo", "technician", "ReaderPowerTried")
    assert dict(row.note.asked) == {"reader": "east", "ports": "1", "power_dbm": 20}


async def test_a_power_is_not_tried_where_that_cannot_be_recorded(closed_house: House) -> None:
    disk = FaultyDisk()
    closed_house.connect, closed_house.executor = disk.connect, ThreadJournalExecutor()
    async with closed_house.open() as house:
        disk.faults.append(Fault("INSERT INTO audit"))
        body = {"power_dbm": 20, "ports": [1]}
        reply = await house.ask("PUT", f"{EAST}/power", token=TECHNICIAN, body=body)
        assert (reply.status, reply.code, house.tools.tried) == (503, "not_recorded", [])
    closed_house.executor.close()


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        (f"{EAST}/power", {"power_dbm": 27}, 422, "too_much_power", "power_dbm"),
        (f"{EAST}/power", {"power_dbm": 34}, 422, "invalid", "power_dbm"),
        (f"{EAST}/power", {"power_dbm": 20, "ports": [7]}, 422, "unknown_port", "ports"),
        (f"{EAST}/power", {"power_dbm": "20"}, 422, "invalid", "power_dbm"),
        (f"{EAST}/power", {}, 422, "invalid", "power_dbm"),
        (f"{EAST}/power", {"power_dbm": 20, "ports": [2]}, 409, "in_play", None),
        ("/api/v1/devices/readers/west/power", {"power_dbm": 20}, 503, "reader_away", None),
        ("/api/v1/devices/readers/north/power", {"power_dbm": 20}, 404, "unknown_reader", None),
    ],
)
async def test_a_power_that_cannot_be_is_refused_with_its_reason(
    house: House, path: str, body: dict[str, object], status: int, code: str, field: str | None
) -> None:
    reply = await house.ask("PUT", path, token=TECHNICIAN, body=body)
    assert (reply.status, reply.code, reply.json.get("field")) == (status, code, field)
    assert house.tools.tried == []


async def test_live_reads_come_as_they_are_heard_until_nobody_looks(house: House) -> None:
    url, headers = house.url(f"{EAST}/watch?ports=1"), {"Authorization": f"Bearer {TECHNICIAN}"}
    async with house.http.get(url, headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readuntil(b"\n\n") == b'event: listening\ndata: {"ports": [1]}\n\n'
        assert house.tools.tell is not None
        house.tools.tell("note", {"text": "the reader answers"})
        assert b"the reader answers" in await stream.content.readuntil(b"\n\n")
    async with asyncio.timeout(20):
        while house.tools.tell is not None:
            house.tools.tell("note", {"text": "more"})
            await asyncio.sleep(0.01)


async def test_a_slow_terminal_loses_the_oldest_and_the_daemon_nothing(house: House) -> None:
    async with house.http.get(
        house.url(f"{EAST}/watch"), headers={"Authorization": f"Bearer {TECHNICIAN}"}
    ) as stream:
        await stream.content.readuntil(b"\n\n")
        assert house.tools.tell is not None
        for number in range(1_000):
            house.tools.tell("note", {"text": f"note {number}"})
        first = await stream.content.readuntil(b"\n\n")
        assert b"note 744" in first  # 256 are kept
        last = first
        while b"note 999" not in last:
            last = await stream.content.readuntil(b"\n\n")


async def test_the_stop_of_the_daemon_ends_the_stream(house: House) -> None:
    async with house.http.get(
        house.url(f"{EAST}/watch"), headers={"Authorization": f"Bearer {STAFF}"}
    ) as stream:
        await stream.content.readuntil(b"\n\n")
        await house.listener.aclose()
        assert await stream.content.read() == b""


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("ports=", 422, "invalid"),
        ("ports=1;2", 422, "invalid"),
        ("ports=1&ports=2", 422, "invalid"),
        ("ports=1,,2", 422, "invalid"),
        ("port=1", 422, "invalid"),
        ("ports=9", 422, "unknown_port"),
    ],
)
async def test_what_is_no_list_of_ports_is_said(house: House, query: str, status: int, code: str) -> None:
    reply = await house.ask("GET", f"{EAST}/watch?{query}", token=TECHNICIAN, described=False)
    assert (reply.status, reply.code) == (status, code)


async def test_only_so_many_watch(house: House) -> None:
    headers = {"Authorization": f"Bearer {TECHNICIAN}"}
    streams = [await house.http.get(house.url(f"{EAST}/watch"), headers=headers) for _ in range(8)]
    try:
        reply = await house.ask("GET", f"{EAST}/watch", token=TECHNICIAN)
        assert (reply.status, reply.code) == (503, "too_many_watch")
    finally:
        for stream in streams:
            stream.close()
