"""The event stream as a browser reads it: nothing missing, nothing twice, nothing for the wrong eyes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.model import Bay, PayoutEnd
from bayd.core.rules import Rules
from bayd.web.events import StreamLimits
from tests.simulation.world import HeldExecutor
from tests.web.house import OTHER_SCREEN, PLAYER, SCREEN, STAFF, TECHNICIAN, House

PATIENCE_S = 20.0
ANNA = i.Actor(i.Role.STAFF, "anna")
TAP = i.Actor(i.Role.SCREEN, "screen")


@dataclass(frozen=True)
class Message:
    id: str
    event: str
    data: Any


class Viewer:
    """Reads a stream as the standard says; keeps signs of life and news of the range to itself."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.alive = 0
        self.moving: dict[str, Any] = {}  # what the last sign of life said
        self.range: list[Any] = []
        self.retry = ""

    async def next(self) -> Message | None:
        """The next message; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for raw in self._answer.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    event = fields.get("event", "message")
                    if event == "alive":
                        self.alive += 1
                        self.moving = json.loads(fields["data"])["bays"]
                        fields.clear()
                        continue
                    if event == "range":
                        self.range.append(json.loads(fields["data"]))
                        fields.clear()
                        continue
                    return Message(fields.get("id", ""), event, json.loads(fields["data"]))
                else:
                    self.retry = fields.pop("retry", self.retry)
        return None

    async def until(self, kind: str) -> list[Message]:
        messages: list[Message] = []
        while not messages or messages[-1].data.get("kind") != kind:
            message = await self.next()
            assert message is not None, f"the stream ended before {kind}"
            messages.append(message)
        return messages


@asynccontextmanager
async def watching(
    house: House, token: str = STAFF, *, query: str = "", last_id: str | None = None
) -> AsyncIterator[Viewer]:
    headers = {"Authorization": f"Bearer {token}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with house.http.get(house.url(f"/api/v1/events{query}"), headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        yield Viewer(answer)


async def press_help(house: House, times: int, bay: str = "109") -> None:
    for _ in range(times):
        await house.bays.submit(bay, i.CallHelp(TAP))
        await house.bays.submit(bay, i.AcknowledgeHelp(ANNA))


async def test_a_stream_opens_with_all_states_and_goes_on_with_what_happens(house: House) -> None:
    await house.play()
    async with watching(house) as viewer:
        first = await viewer.next()
        assert first is not None
        assert (first.event, set(first.data["bays"])) == ("bays", {"109", "110"})
        assert first.data["bays"]["109"]["phase"] == "playing"
        assert int(first.id) == first.data["seq"] == house.journal.last_seq
        assert viewer.retry == "2000"
        await house.press("help")
        await house.press("pause", {"reason": "rain"}, token=STAFF)
        called, paused = await viewer.until("SessionPaused")
    assert (called.event, called.data["kind"], called.data["bay"]) == ("message", "HelpCalled", "109")
    assert called.data["state"]["help_called"]
    assert called.data["clock_synchronised"] is True
    assert called.data["at"].endswith("Z")
    assert paused.data["state"]["phase"] == "paused"
    assert [int(m.id) for m in (called, paused)] == [first.data["seq"] + 1, first.data["seq"] + 2]
    assert set(paused.data) == {"seq", "bay", "kind", "at", "clock_synchronised", "state", "payout"}
    assert paused.data["payout"] is None


async def test_the_end_of_a_payout_says_what_came_out(house: House) -> None:
    anna = i.Actor(i.Role.STAFF, "anna")
    async with watching(house) as viewer:
        await house.bays.submit("109", i.TestDispense("p1", 5, anna, "new"))
        await house.bays.submit("109", i.PayoutMarkTaken("p1", 5, {"event": 1}))
        await house.bays.submit("109", i.PayoutEnded("p1", PayoutEnd.FAULT, 2, "reset"))
        closed = (await viewer.until("PayoutClosed"))[-1]
    assert closed.data["payout"] == {
        "payout_id": "p1",
        "end": "fault",
        "paid": 2,
        "surplus": 0,
        "unknown": 0,
        "test": True,
    }


async def test_no_event_comes_without_its_effect(house: House) -> None:
    async with watching(house) as viewer:
        await house.play()
        for message in (await viewer.until("SessionStarted"))[1:]:
            assert message.data["state"]["version"] >= message.data["seq"]


async def test_a_stream_goes_on_behind_its_last_id_without_a_gap(house: House) -> None:
    await house.play()
    async with watching(house) as viewer:
        await viewer.next()
        await press_help(house, 3)
        seen = [(await viewer.next()) for _ in range(4)]
    last = seen[-1]
    assert last is not None
    await press_help(house, 300)  # while nobody looks: more than a page of the journal
    async with watching(house, last_id=last.id) as viewer:
        await press_help(house, 2)
        rest = [(await viewer.next()) for _ in range(606)]
    ids = [int(message.id) for message in (*seen, *rest) if message is not None]
    assert ids == list(range(ids[0], ids[0] + 610))
    assert {message.event for message in rest if message is not None} == {"message"}


async def test_nothing_is_lost_or_doubled_however_often_the_screen_comes_and_goes(house: House) -> None:
    await house.play()
    begin = last = house.journal.last_seq
    seen: list[int] = []

    async def happen() -> None:
        for _ in range(100):
            await press_help(house, 1)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(happen(), name="happen")
        while len(seen) < 200:
            async with watching(house, last_id=str(last)) as viewer:
                for _ in range(min(7, 200 - len(seen))):
                    message = await viewer.next()
                    assert message is not None
                    seen.append(int(message.id))
                last = seen[-1]
    assert seen == list(range(begin + 1, begin + 201))


async def test_the_stream_goes_on_across_a_restart_of_the_daemon(closed_house: House) -> None:
    async with closed_house.open() as house:
        await house.play()
        async with watching(house) as viewer:
            first = await viewer.next()
            await press_help(house, 1)
            last = await viewer.next()
        assert first is not None
        assert last is not None
    async with closed_house.open() as house, watching(house, last_id=last.id) as viewer:
        message = await viewer.next()
        assert message is not None
        assert (message.event, int(message.id)) == ("message", int(last.id) + 1)
        assert message.data["kind"] == "HelpAcknowledged"


@pytest.mark.parametrize("last_id", ["99999", "0"])
async def test_a_last_id_of_another_journal_starts_anew(house: House, last_id: str) -> None:
    """One that is ahead cannot be continued; 0 is before everything, and can."""
    await house.play()
    async with watching(house, last_id=last_id) as viewer:
        first = await viewer.next()
    assert first is not None
    assert (first.event, first.id) == (
        ("bays", str(house.journal.last_seq)) if last_id != "0" else ("message", "1")
    )


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "9" * 30, "\u0661"])
async def test_an_id_that_is_none_is_refused(house: House, last_id: str) -> None:
    headers = {"Last-Event-ID": last_id}
    reply = await house.ask("GET", "/api/v1/events", token=STAFF, headers=headers)
    assert (reply.status, reply.code, reply.json["field"]) == (422, "invalid", "Last-Event-ID")


async def test_each_sees_what_is_theirs(house: House) -> None:
    expected = {
        SCREEN: ({"109"}, PLAYER),
        OTHER_SCREEN: ({"110"}, None),
        STAFF: ({"109", "110"}, PLAYER),
        TECHNICIAN: ({"109", "110"}, None),
    }
    async with contextlib.AsyncExitStack() as stack:
        viewers = {token: await stack.enter_async_context(watching(house, token)) for token in expected}
        states = {token: await viewer.next() for token, viewer in viewers.items()}
        await house.play("109", "7")
        await house.play("110", "8")
        await house.bays.submit("109", i.Pause(ANNA, "x"))
        await house.bays.submit("110", i.Pause(ANNA, "x"))
        for token, (bays, player) in expected.items():
            state = states[token]
            assert state is not None
            assert set(state.data["bays"]) == bays
            seen = []
            for _ in bays:
                seen += await viewers[token].until("SessionPaused")
            assert {message.data["bay"] for message in seen} == bays
            if "109" in bays:
                names = {
                    m.data["state"]["session"]["player"] for m in seen if m.data["kind"] == "SessionStarted"
                }
                assert names == {player}
            assert player is not None or PLAYER not in str(seen) or token == OTHER_SCREEN


async def test_staff_may_follow_one_bay(house: House) -> None:
    async with watching(house, query="?bay=110") as viewer:
        first = await viewer.next()
        await press_help(house, 2, "109")
        await press_help(house, 1, "110")
        message = await viewer.next()
    assert first is not None
    assert set(first.data["bays"]) == {"110"}
    assert message is not None
    assert message.data["bay"] == "110"


@pytest.mark.parametrize(
    ("token", "query", "status", "code"),
    [
        (None, "", 401, "token_missing"),
        ("nobody-knows-this-one", "", 401, "token_unknown"),
        (SCREEN, "?bay=110", 403, "other_bay"),
        (STAFF, "?bay=111", 404, "unknown_bay"),
        (STAFF, "?bay=109&bay=111", 404, "unknown_bay"),
        (STAFF, "?bays=109", 422, "invalid"),
    ],
)
async def test_who_may_not_look_sees_nothing(
    house: House, token: str | None, query: str, status: int, code: str
) -> None:
    reply = await house.ask("GET", f"/api/v1/events{query}", token=token)
    assert (reply.status, reply.code) == (status, code)
    assert house.streams.viewers == 0


async def test_a_silent_stream_shows_that_it_lives(closed_house: House) -> None:
    closed_house.stream_limits = replace(StreamLimits(), heartbeat_s=0.05)
    async with closed_house.open() as house, watching(house) as viewer:
        await viewer.next()
        waiting = asyncio.gather(viewer.next())
        async with asyncio.timeout(PATIENCE_S):
            while viewer.alive < 3:  # noqa: ASYNC110 # the other side is a server
                await asyncio.sleep(0.01)
        await press_help(house, 1)
        (message,) = await waiting
        assert message is not None
        assert message.data["kind"] == "HelpCalled"


async def test_a_sign_of_life_says_what_the_clock_has_moved(closed_house: House) -> None:
    """Also while things happen at other bays."""
    closed_house.stream_limits = replace(StreamLimits(), heartbeat_s=0.05)
    async with closed_house.open() as house, watching(house) as viewer:
        await viewer.next()
        await house.play()
        await house.press("help")
        await house.book("110", "8")
        for _ in range(5):
            await house.press("pin", {"pin": "000000"}, bay="110", token=STAFF)
        house.clock.go_on(40_000)
        async with asyncio.timeout(PATIENCE_S):
            while (viewer.moving.get("109", {}).get("remaining_s") or 3_600) > 3_560:
                await press_help(house, 1, "110")
                await viewer.until("HelpAcknowledged")
        bay, other = viewer.moving["109"], viewer.moving["110"]
        assert 3_500 < bay["remaining_s"] <= 3_560
        assert bay["help_for_s"] >= 40
        assert 0 < other["locked_for_s"] <= 20
        assert (other["remaining_s"], other["waits_s"]) == (None, None)


async def test_a_stream_that_goes_on_hears_at_once_what_the_clock_has_moved(house: House) -> None:
    """A PC that slept missed no event."""
    await house.play()
    house.clock.go_on(600_000)
    async with watching(house, last_id=str(house.journal.last_seq)) as viewer:
        await house.press("help")
        await viewer.until("HelpCalled")
        assert viewer.moving["109"]["remaining_s"] <= 3_000


async def deaf_viewer(house: House, token: str) -> socket.socket:
    """Asks for the stream and never reads; its own buffer is as small as it can be."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", house.port))
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    return sock


async def test_a_screen_that_stops_reading_is_cut_off_and_slows_nobody(closed_house: House) -> None:
    closed_house.stream_limits = replace(StreamLimits(), buffer=50)
    async with closed_house.open() as house:
        await house.play()
        deaf = await deaf_viewer(house, SCREEN)
        try:
            async with watching(house) as viewer:
                await viewer.next()
                async with asyncio.timeout(PATIENCE_S):
                    while house.streams.viewers < 2:  # noqa: ASYNC110 # the other side is a server
                        await asyncio.sleep(0.01)
                happened = 0
                async with asyncio.timeout(PATIENCE_S * 2):
                    while house.streams.cut_off == 0:
                        await press_help(house, 10)
                        for _ in range(20):
                            message = await viewer.next()
                            assert message is not None
                        happened += 20
                assert house.streams.viewers == 1
                assert "event_stream_cut_off" in house.log.events()
                # It is the kernel's buffers that were filled, not ours.
                assert happened < 5_000
        finally:
            deaf.close()


async def test_a_viewer_that_reads_nothing_and_hears_nothing_is_cut_off_in_time(closed_house: House) -> None:
    """Its buffer never overflows, for hardly anything happens: the write that nobody takes shows it."""
    closed_house.stream_limits = replace(StreamLimits(), buffer=100_000, stall_s=0.3)
    async with closed_house.open() as house:
        await house.play()
        deaf = await deaf_viewer(house, SCREEN)
        try:
            async with asyncio.timeout(PATIENCE_S * 2):
                while house.streams.cut_off == 0:
                    await press_help(house, 20)
                    await asyncio.sleep(0.01)
            assert house.streams.viewers == 0
        finally:
            deaf.close()


async def test_a_screen_that_goes_away_is_forgotten(closed_house: House) -> None:
    closed_house.stream_limits = replace(StreamLimits(), heartbeat_s=0.05)
    async with closed_house.open() as house:
        async with watching(house) as viewer:
            await viewer.next()
            assert house.streams.viewers == 1
        async with asyncio.timeout(PATIENCE_S):
            while house.streams.viewers:  # noqa: ASYNC110 # the other side is a server
                await asyncio.sleep(0.01)
        assert house.streams.cut_off == 0
        assert "request_failed" not in house.log.events()


async def test_streams_are_bounded(closed_house: House) -> None:
    closed_house.stream_limits = replace(StreamLimits(), viewers=3, viewers_per_caller=2)
    async with closed_house.open() as house, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(watching(house, SCREEN))
        reply = await house.ask("GET", "/api/v1/events", token=SCREEN)
        assert (reply.status, reply.code) == (429, "too_many_streams")
        await stack.enter_async_context(watching(house, STAFF))
        reply = await house.ask("GET", "/api/v1/events", token=STAFF)
        assert (reply.status, reply.code) == (429, "too_many_streams")
        assert (await house.ask("GET", "/status")).status == 200


async def test_streams_end_when_the_daemon_stops_and_hold_nothing_up(house: House) -> None:
    loop = asyncio.get_running_loop()
    async with watching(house) as viewer, watching(house, SCREEN) as other:
        await viewer.next()
        await other.next()
        await press_help(house, 1)
        await house.told()
        began = loop.time()
        await house.listener.aclose()
        took_s = loop.time() - began
        # What was under way is told, and then the stream ends as it should, not as a broken connection.
        assert [m.data["kind"] for m in await viewer.until("HelpAcknowledged")] == [
            "HelpCalled",
            "HelpAcknowledged",
        ]
        assert await viewer.next() is None
        await other.until("HelpAcknowledged")
        assert await other.next() is None
    assert took_s < 2.5  # an open stream would hold the stop for three seconds


@dataclass
class HangWhenDecided:
    disk: HeldExecutor
    done: bool = False

    def bay_changed(self, _bay: Bay, _wish: Desired) -> None:
        if not self.done:
            self.done = True
            self.disk.free.clear()


async def test_what_a_hung_disk_recorded_too_late_is_never_shown(closed_house: House) -> None:
    disk = HeldExecutor()
    closed_house.executor = disk
    closed_house.rules = {"109": Rules(dispenser="east", intent_ttl_ms=300)}
    async with closed_house.open() as house:
        await house.play()
        async with watching(house) as viewer:
            await viewer.next()
            house.bays.observe(HangWhenDecided(disk))
            assert (await house.press("dispense", {"balls": 5})).status == 503
            disk.free.set()
            await press_help(house, 1)
            kinds = [message.data["kind"] for message in await viewer.until("HelpAcknowledged")]
    assert kinds == ["IntentExpired", "HelpCalled", "HelpAcknowledged"]
