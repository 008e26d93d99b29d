"""The push stream extension: what changed, in order, without a gap."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bayd.reference.central import CentralSettings, make_app
from bayd.reference.central.streams import events_handler
from tests.reference.central.conftest import Central, Launch, booking


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> dict[str, Any]:
        """The next one; comments are left out."""
        fields: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while True:
                line = (await self.response.content.readline()).decode().rstrip("\n")
                if not line and "event" in fields:
                    return {**fields, "data": json.loads(fields["data"])}
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
                elif not line and self.response.content.at_eof():
                    raise EOFError


@asynccontextmanager
async def _listening(central: Central, **headers: str) -> AsyncIterator[Stream]:
    async with central.http.get("/events", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        await response.content.readline()  # the greeting: from here on nothing is missed
        yield Stream(response)


async def test_every_change_of_a_session_is_told_in_order(central: Central) -> None:
    async with _listening(central) as stream:
        session = await central.play("104", minutes=1)
        number = session["id"]
        await central.call("PATCH", "/session", {"id": number, "gameId": 1})
        await central.call("POST", f"/session/addSessionTime/{number}", {"duration": 1, "amount": 0})
        await central.call("PATCH", "/bay", {"number": "104", "status": "Ongoing Game"})
        central.clock.pass_minutes(3)
        await central.call("POST", f"/session/{number}/end")
        told = [await stream.event() for _ in range(7)]
    assert [event["event"] for event in told] == [
        "session.booked",
        "session.verified",
        "session.game",
        "session.extended",
        "bay.status",
        "session.lapsed",
        "session.ended",
    ]
    assert {event["data"]["bayNumber"] for event in told} == {"104"}
    assert [event["data"]["sessionId"] for event in told] == [number] * 4 + [None] + [number] * 2
    assert session["pin"] not in json.dumps([event["data"] for event in told])


async def test_a_computed_end_is_told_without_any_request(launch: Launch) -> None:
    central = await launch(settings=CentralSettings(end_grace_min=0))
    await central.play(minutes=1)
    async with _listening(central) as stream:
        central.clock.pass_minutes(1)
        assert (await stream.event())["event"] == "session.lapsed"


async def test_a_change_is_told_at_once_not_at_the_next_look(central: Central) -> None:
    app = make_app(central.db)
    app.router.add_get("/unhurried", events_handler(poll_s=3600))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(base_url=url) as http, http.get("/unhurried") as response:
            await response.content.readline()
            async with http.post("/session", json=booking("104")) as answer:
                assert answer.status == 200
            assert (await Stream(response).event())["event"] == "session.booked"
    finally:
        await runner.cleanup()


async def test_a_stream_resumes_without_a_gap_also_after_a_restart(central: Central) -> None:
    async with _listening(central) as stream:
        await central.book("101")
        last = (await stream.event())["id"]
    await central.book("102")
    await central.restart()
    await central.book("103")
    async with _listening(central, **{"Last-Event-ID": last}) as stream:
        assert [(await stream.event())["data"]["bayNumber"] for _ in range(2)] == ["102", "103"]


async def test_a_position_that_the_server_does_not_know_means_read_everything_anew(central: Central) -> None:
    await central.book()
    async with central.http.get("/events", headers={"Last-Event-ID": "999"}) as response:
        event = await Stream(response).event()
    assert (event["event"], event["id"]) == ("reset", "1")


async def test_a_refused_call_tells_nothing(central: Central) -> None:
    async with _listening(central) as stream:
        await central.verify("104", "314159")
        await central.book("105")
        assert (await stream.event())["data"]["bayNumber"] == "105"


async def test_open_streams_end_with_the_server(central: Central) -> None:
    async with _listening(central) as stream:
        await central.end_server()
        with pytest.raises((EOFError, aiohttp.ClientError)):
            await stream.event()


async def test_the_stream_wants_a_token_and_a_whole_number(strict_central: Central, central: Central) -> None:
    assert (await strict_central.call("GET", "/events")).refusal(401)
    async with strict_central.http.get(
        "/events", headers={"Authorization": "Bearer fixed-token"}
    ) as response:
        assert response.status == 200
    wrong = await central.call("GET", "/events", headers={"Last-Event-ID": "last"})
    assert wrong.refusal(400)["field"] == "Last-Event-ID"
