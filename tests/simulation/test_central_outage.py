"""A day without the central server: forty sessions on eight bays, and what it is told when it is back."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from bayd.core import inputs as i
from bayd.core.model import Game, Phase, StartedBy
from tests.reconcile.central_world import SCREEN, STAFF, CentralWorld, Fault, Seen, central_world
from tests.simulation.central_season import LAWFUL, Json, Season

pytestmark = pytest.mark.virtual_time
BAYS = tuple(str(101 + n) for n in range(8))
FULL = pytest.param(8, 24 * 3600, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="a-day")
GAME = Game(2, "GAME 2", 30)
SOLD_AT = (3, 4)  # nobody is booked there any more: walk-ins


@pytest.mark.parametrize(("bays", "outage_s"), [pytest.param(3, 2 * 3600, id="two-hours"), FULL])
async def test_what_was_played_without_the_server_is_told_in_order_and_once(
    quick_path: Path, bays: int, outage_s: int
) -> None:
    numbers = BAYS[:bays]
    async with central_world(quick_path, bays=numbers, poll_s=15) as world:
        season = Season(world, LAWFUL, operations=0, seed=1)
        async with world.up():
            for number in numbers:
                for _ in range(5 - len(SOLD_AT)):
                    session = await world.book(number, outage_s // 24 // 60, 500)
                    season.booked[str(session["id"])] = session
                    season.prices[str(session["id"])] = 500
            for session in season.booked.values():
                await world.knows(session)
            world.wire.down = True
            for round_ in range(2):
                await evening(world, season, round_, outage_s // 24)
        async with world.up():  # the PC had a power cut
            for round_ in range(2, 5):
                await evening(world, season, round_, outage_s // 24)
            await asyncio.sleep(max(0, outage_s - asyncio.get_running_loop().time()))
            waiting = world.parts.outbox.view()
            assert waiting.waiting == bays * (5 * 4 + len(SOLD_AT)), (
                "a start, a game, an extension, an end; a walk-in's sale"
            )
            world.wire.seen.clear()
            world.wire.down = False
            began_s, real_s = asyncio.get_running_loop().time(), time.perf_counter()
            await world.delivered(within_s=3600)
            took_s = asyncio.get_running_loop().time() - began_s
            real_s = time.perf_counter() - real_s
            told = [one for one in world.wire.seen if one.method != "GET" and one.path != "/bay"]
            audit = await season.settle()
    print(  # noqa: T201 # a figure
        f"\n{waiting.waiting} items after {outage_s // 3600} h: all told {took_s:.0f} s after the server was"
        f" back, {waiting.waiting / real_s:.0f} a second on this machine"
    )
    audit.assert_no_difference()
    assert len(audit.sessions()) == bays * 5
    assert len(audit.walk_ins()) == bays * len(SOLD_AT)
    assert_in_order(told, audit.rows())


WRITELESS = pytest.param(
    4, 24 * 3600, 6, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="a-day-of-four-bays"
)


@pytest.mark.parametrize(("bays", "outage_s", "each"), [pytest.param(1, 5400, 2, id="90-min"), WRITELESS])
async def test_a_server_that_shows_all_and_writes_nothing_is_waited_for(
    quick_path: Path, bays: int, outage_s: int, each: int
) -> None:
    """Its disk is full, say. Nobody's calls get through, so nobody fails alone."""
    numbers = BAYS[:bays]
    async with central_world(quick_path, bays=numbers, poll_s=300) as world, world.up():
        season = Season(world, LAWFUL, operations=0, seed=1)
        for number in numbers:
            for _ in range(each):
                session = await world.book(number, 20, 500)
                season.booked[str(session["id"])] = session
                season.prices[str(session["id"])] = 500
        for session in season.booked.values():
            await world.knows(session)
        world.wire.chance = lambda method, path: None if method == "GET" else Fault("status", method, path)
        began_s = asyncio.get_running_loop().time()
        for round_ in range(each):
            for number in numbers:
                booking = world.bay(number).bookings[0].session_id
                await world.type_pin(season.booked[booking]["pin"], number)
                await world.submit(i.Extend(f"x-{number}-{round_}", 5, 100, STAFF, "cash"), number)
            await asyncio.sleep(1800)
        await asyncio.sleep(outage_s - asyncio.get_running_loop().time() + began_s)
        assert await world.parked() == []
        assert world.parts.outbox.view().waiting == bays * each * 3, "a start, an extension, an end"
        world.wire.chance = lambda _method, _path: None
        await world.delivered(within_s=3600)
        audit = await season.settle()
        audit.assert_no_difference()
        assert len(audit.sessions()) == bays * each


async def evening(world: CentralWorld, season: Season, round_: int, hour_s: int) -> None:
    """One session at every bay, all at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for place, number in enumerate(world.bays):
            tasks.create_task(play(world, season, number, place, round_, hour_s), name=f"guest-{number}")


async def play(
    world: CentralWorld, season: Season, number: str, place: int, round_: int, hour_s: int
) -> None:
    """The session lasts an hour and some minutes, of a day that has 24."""
    minutes = hour_s // 60
    await asyncio.sleep(10 * place)
    if round_ in SOLD_AT:
        await world.submit(i.WalkIn(f"w-{number}-{round_}", minutes, 700, STAFF, "cash"), number)
    elif (round_ + place) % 3 == 0:
        await world.submit(i.StartPlay(STAFF, "the screen is broken"), number)
    else:
        booking = world.bay(number).bookings[0].session_id
        await world.type_pin(season.booked[booking]["pin"], number)
        assert world.play(number).started_by is StartedBy.PIN_OFFLINE
    assert world.bay(number).phase is Phase.PLAYING
    await world.submit(i.SelectGame(GAME, SCREEN), number)
    await asyncio.sleep(hour_s / 2)
    await world.submit(i.Extend(f"x-{number}-{round_}", 5 + round_, 100 + round_, STAFF, "cash"), number)
    if place % 2:
        await asyncio.sleep(hour_s / 4)
        await world.submit(i.End(STAFF, "left early"), number)
    await asyncio.sleep(3 * hour_s + 600)
    assert world.bay(number).session is None


def assert_in_order(told: list[Seen], rows: dict[str, Json]) -> None:
    """Bay by bay: each session whole, in the order in which they were played."""
    bay_of = {server_id: row["bay"]["number"] for server_id, row in rows.items()}
    by_pin = {(bay_of[server_id], row["pin"]): server_id for server_id, row in rows.items()}
    lanes: dict[str, list[tuple[str, str]]] = {number: [] for number in sorted(set(bay_of.values()))}
    for one in told:
        body = json.loads(one.body or b"{}")
        match one.path.split("/")[2:]:
            case ["verify"]:
                server_id = by_pin[body["bayNumber"], body["pin"]]
                lanes[body["bayNumber"]].append(("start", server_id))
            case ["addSessionTime", server_id]:
                lanes[bay_of[server_id]].append(("extend", server_id))
            case [server_id, "end"]:
                lanes[bay_of[server_id]].append(("end", server_id))
            case [] if one.method == "PATCH":
                lanes[bay_of[str(body["id"])]].append(("game", str(body["id"])))
            case []:
                lanes[body["bayNumber"]].append(("sale", ""))
    for number, lane in lanes.items():
        sessions = list(dict.fromkeys(server_id for what, server_id in lane if what == "start"))
        booked = [
            server_id
            for server_id in sessions
            if not rows[server_id]["billingUser"]["name"].startswith("Walk-in")
        ]
        assert booked == sorted(booked, key=int), "the oldest booking plays first"
        wanted = []
        for round_, server_id in enumerate(sessions):
            wanted += [("sale", "")] if round_ in SOLD_AT else []
            wanted += [(what, server_id) for what in ("start", "game", "extend", "end")]
        assert lane == wanted, number
