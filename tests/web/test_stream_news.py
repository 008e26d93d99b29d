"""What is new and no event: told to those who watch, soon, once, and to nobody else."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bayd.core.model import DeviceState, Game
from bayd.core.rules import Rules
from bayd.reconcile.antenna_ports import ReaderView
from bayd.reconcile.players import Player
from bayd.settings.readers import Reader
from bayd.web.events import StreamLimits
from bayd.web.views import rfc3339
from bayd.wiring.reader_status import reader_warnings
from tests.processor_time import best_of, no_collection
from tests.web import house as houses
from tests.web.house import OTHER_SCREEN, PLAYER, SCREEN, STAFF, TECHNICIAN, House
from tests.web.test_events import Viewer, press_help, watching

SEATS = (Player(1, "Asha Example"), Player(2, None))


@pytest.fixture
def closed_house(closed_house: House) -> House:
    closed_house.stream_limits = replace(StreamLimits(), look_s=0.02)
    return closed_house


@asynccontextmanager
async def playing(house: House, token: str = STAFF) -> AsyncIterator[Viewer]:
    """At bay 109, where balls are asked for; what was said at the beginning has been read."""
    await house.play()
    await house.press("dispense", {"balls": 5})
    await house.told()
    async with watching(house, token) as viewer:
        assert (await viewer.next()) is not None
        yield viewer


def other_price(house: House) -> None:
    task = house.bays.bays["109"]
    task.change_rules(replace(task.rules, extension_price=70))


def other_games(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    task = house.bays.bays["109"]
    task.change_rules(replace(task.rules, games=("Putting",)))
    monkeypatch.setitem(houses.GAMES, 8, Game(8, "Putting", 0))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda house: house.queue.update({"109": 2}), lambda bay: bay["balls"]["queue_place"] == 2),
        (
            lambda house: house.players.update({"7": SEATS}),
            lambda bay: [one["name"] for one in bay["session"]["players"]] == ["Asha Example", None],
        ),
        (
            lambda house: setattr(house, "qod_state", "available"),
            lambda bay: bay["qod"]["state"] == "available",
        ),
        (
            other_price,
            lambda bay: (
                [(offer["minutes"], offer["amount"]) for offer in bay["extension"]["offers"]]
                == [(15, 70 * 15), (30, 70 * 30), (60, 70 * 60)]
            ),
        ),
    ],
    ids=["queue", "players", "low-latency", "price"],
)
async def test_what_is_no_event_comes_as_the_state_of_its_bay(
    house: House, change: Callable[[House], None], shown: Callable[[Any], bool]
) -> None:
    async with playing(house) as viewer:
        change(house)
        message = await viewer.next()
        assert message is not None
        assert message.event == "bays"
        assert shown(message.data["bays"]["109"])
        assert int(message.id) == message.data["seq"] == house.journal.last_seq


async def test_games_that_are_listed_anew_come(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(house) as viewer:
        other_games(house, monkeypatch)
        message = await viewer.next()
        assert message is not None
        assert [game["name"] for game in message.data["bays"]["109"]["games"]] == ["Putting"]


async def test_what_changes_often_between_two_looks_is_told_once(house: House) -> None:
    async with playing(house) as viewer:
        for place in (4, 3, 2, 1):
            house.queue["109"] = place
        message = await viewer.next()
        assert message is not None
        assert (list(message.data["bays"]), message.data["bays"]["109"]["balls"]["queue_place"]) == (
            ["109"],
            1,
        )
        await press_help(house, 1)
        following = await viewer.next()
        assert following is not None
        assert following.data["kind"] == "HelpCalled"


async def test_what_came_with_an_event_does_not_come_again(closed_house: House) -> None:
    closed_house.stream_limits = StreamLimits(look_s=3_600)  # looked at by hand
    async with closed_house.open() as house, playing(house) as viewer:
        house.queue["109"] = 3
        await press_help(house, 1)
        messages = await viewer.until("HelpAcknowledged")
        assert [message.event for message in messages] == ["message", "message"]
        assert messages[0].data["state"]["balls"]["queue_place"] == 3
        await house.streams.look()
        await press_help(house, 1)
        following = await viewer.next()
        assert following is not None
        assert following.event == "message"


async def test_only_those_hear_of_it_who_may(house: House) -> None:
    async with playing(house, TECHNICIAN) as technician, watching(house, OTHER_SCREEN) as other:
        await other.next()
        house.players["7"] = SEATS
        message = await technician.next()
        assert message is not None
        assert PLAYER not in str(message.data)
        assert "Asha" not in str(message.data)
        await press_help(house, 1, bay="110")
        following = await other.next()
        assert following is not None
        assert following.data["bay"] == "110"
        assert other.range == []


async def test_a_stream_that_goes_on_has_what_changed_meanwhile_without_an_event(house: House) -> None:
    async with playing(house, SCREEN):
        last = house.journal.last_seq
    house.queue["109"] = 2
    async with watching(house):  # somebody else looks on
        await house.streams.look()
        async with watching(house, SCREEN, last_id=str(last)) as viewer:
            message = await viewer.next()
            assert message is not None
            assert message.data["bays"]["109"]["balls"]["queue_place"] == 2


async def test_a_stream_that_goes_on_with_another_daemon_has_all_that_no_event_tells(
    closed_house: House,
) -> None:
    async with closed_house.open() as house:
        await house.play()
    closed_house.qod_state = "degraded"
    async with closed_house.open() as house:
        last = house.journal.last_seq  # of the restart itself: nothing has happened since
        async with watching(house, SCREEN, last_id=str(last)) as viewer:
            message = await viewer.next()
            assert message is not None
            assert message.data["bays"]["109"]["qod"]["state"] == "degraded"


@pytest.fixture
async def seldom(closed_house: House) -> AsyncIterator[House]:
    """Nobody looks but by hand, and at an opening."""
    closed_house.stream_limits = StreamLimits(look_s=3_600)
    async with closed_house.open() as house:
        yield house


async def queue_places(viewer: Viewer, until: int) -> list[int]:
    """As they were told, each once."""
    told: list[int] = []
    while not told or told[-1] != until:
        message = await viewer.next()
        assert message is not None
        state = message.data["state"] if message.event == "message" else message.data["bays"]["109"]
        if told[-1:] != [state["balls"]["queue_place"]]:
            told.append(state["balls"]["queue_place"])
    return told


@pytest.mark.parametrize("goes_on", [False, True], ids=["first", "goes-on"])
async def test_what_changes_back_before_the_first_look_is_told_back(seldom: House, *, goes_on: bool) -> None:
    async with playing(seldom, SCREEN) as before:
        last = seldom.journal.last_seq
        await press_help(seldom, 1)
        await before.until("HelpAcknowledged")
    seldom.queue["109"] = 2  # nobody has looked
    async with watching(seldom, SCREEN, last_id=str(last) if goes_on else None) as viewer:
        assert await queue_places(viewer, 2) == [2]
        seldom.queue["109"] = 0
        await seldom.streams.look()
        assert (await queue_places(viewer, 0))[-1] == 0


async def test_what_changes_back_though_it_was_news_behind_the_last_event_is_told_back(seldom: House) -> None:
    async with playing(seldom, SCREEN):
        last = seldom.journal.last_seq
        seldom.queue["109"] = 1
        await seldom.streams.look()
    seldom.queue["109"] = 2  # nobody has looked
    async with watching(seldom, SCREEN, last_id=str(last)) as viewer:
        assert await queue_places(viewer, 2) == [2]
        seldom.queue["109"] = 1
        await seldom.streams.look()
        assert (await queue_places(viewer, 1))[-1] == 1


async def test_an_opening_takes_nothing_from_those_who_watch_already(seldom: House) -> None:
    async with playing(seldom) as first:
        seldom.queue["109"] = 2
        seldom.central.update(online=False)
        async with watching(seldom) as second:
            assert await queue_places(second, 2) == [2]
            await seldom.streams.look()
            assert await queue_places(first, 2) == [2]
            await press_help(seldom, 1)
            for viewer in (first, second):
                await viewer.until("HelpAcknowledged")
            assert [news["central"]["online"] for news in first.range] == [True, False]
            assert [news["central"]["online"] for news in second.range] == [False]


async def test_what_waits_for_a_server_that_answers_is_no_news(seldom: House) -> None:
    async with playing(seldom) as viewer:
        for waiting in (1, 2, 0, 1):
            seldom.central.update(outbox=waiting, oldest_s=0.1)
            await seldom.streams.look()
        for waiting in (1, 2):  # shown from now on
            seldom.central.update(online=False, outbox=waiting)
            await seldom.streams.look()
        await press_help(seldom, 1)
        await viewer.until("HelpAcknowledged")
    told = [(news["central"]["online"], news["central"]["outbox"]) for news in viewer.range]
    assert told == [(True, 0), (False, 1), (False, 2)]


async def test_a_reader_that_is_away_is_news_once_and_not_with_each_second(seldom: House) -> None:
    settings = Reader.model_validate({"link": "socket://203.0.113.7:4001", "ports": {"1": "109"}})
    away_ms = seldom.clock.now().wall_ms

    async def look(lost_ms: int) -> None:
        view = ReaderView(DeviceState.LOST, "unplugged", away_ms, lost_ms, None, 0, 0, {})
        seldom.range_warnings = reader_warnings("east", view, settings)
        await seldom.streams.look()

    async with playing(seldom) as viewer:
        for seconds in (1, 59, 60, 61, 62, 600):
            await look(1_000 * seconds)
        await press_help(seldom, 1)
        await viewer.until("HelpAcknowledged")
    told = [[(one["code"], one["since"]) for one in news["warnings"]] for news in viewer.range]
    assert told == [[("no_ball_registry", None)], [], [("reader_away", rfc3339(away_ms))]]


async def test_what_concerns_the_range_comes_at_the_beginning_and_when_it_changes(house: House) -> None:
    async with playing(house) as viewer:
        house.central.update(online=False, outbox=3, oldest_s=1.0)
        await house.streams.look()
        house.central["oldest_s"] = 2.0  # the clock alone
        await house.streams.look()
        house.range_warnings.append({"code": "disk_full", "since": None, "text": "The disk is full."})
        await house.streams.look()
        await press_help(house, 1)
        await viewer.until("HelpAcknowledged")
    told = [(news["central"]["online"], [one["code"] for one in news["warnings"]]) for news in viewer.range]
    assert told == [
        (True, ["no_ball_registry"]),
        (False, ["no_ball_registry"]),
        (False, ["no_ball_registry", "disk_full"]),
    ]


async def test_a_look_at_a_large_range_where_nothing_is_new_costs_little(tmp_path: Path) -> None:
    """It is taken twice in a second, for ever: beside it, one answer about all of the range."""
    house = House(tmp_path / "journal.db")
    house.rules = {str(number): Rules(dispenser="east") for number in range(101, 229)}
    async with house.open(), watching(house) as viewer:
        await viewer.next()
        await house.streams.look()

        async def looks_by_answer() -> float:
            with no_collection():
                times_s = [time.thread_time()]
                for _ in range(20):
                    await house.streams.look()
                times_s.append(time.thread_time())
                await house.ask("GET", "/status", described=False)
                times_s.append(time.thread_time())
            began_s, looked_s, asked_s = times_s
            return (looked_s - began_s) / (asked_s - looked_s)

        assert await best_of(looks_by_answer) < 1
