"""What the central server keeps of a session that is over, beside what was played."""

import asyncio
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from tests.reconcile.central_world import ADMIN_PASSWORD, SCREEN, STAFF, CentralWorld, central_world

pytestmark = pytest.mark.virtual_time


async def plays(world: CentralWorld) -> str:
    session = await world.book("101")
    await world.knows(session)
    await world.type_pin(session["pin"])
    return str(session["id"])


async def choose(world: CentralWorld, game_id: int) -> None:
    await world.until(lambda: world.parts.games.known(game_id) is not None)
    game = world.parts.games.known(game_id)
    assert game is not None
    await world.submit(i.SelectGame(game, SCREEN))


async def on_record(world: CentralWorld, session_id: str) -> list[str]:
    seen = [event for event in await world.events() if isinstance(event, e.ConflictSeen)]
    return [one.code for one in seen if one.session_id == session_id]


@pytest.mark.parametrize("kind", ["doubled", "delayed", None])
async def test_an_earlier_game_that_comes_late_goes_on_record(quick_path: Path, kind: str | None) -> None:
    """The network brings the first choice again after the second, too late for the bay to follow."""
    async with central_world(quick_path, poll_s=600) as world, world.up():
        session_id = await plays(world)
        if kind is not None:
            world.wire.order(kind, method="PATCH", delay_s=100)
        await choose(world, 1)
        await world.delivered()
        await choose(world, 2)
        await world.delivered()
        await asyncio.sleep(120)
        await world.submit(i.End(STAFF, "left"))
        await world.delivered()
        shown = (await world.page(session_id))["game"]["id"]
        assert (shown, await on_record(world, session_id)) == (
            (2, []) if kind is None else (1, ["game_differs"])
        )
        assert world.conflicts() == [], "nobody can change it any more"


@pytest.mark.parametrize("told", [True, False])
async def test_a_session_that_ended_where_the_server_does_not_show_it_goes_on_record(
    quick_path: Path, told: bool
) -> None:
    async with central_world(quick_path) as world:
        world.admin_password = ADMIN_PASSWORD if told else None
        async with world.up():
            session_id = await plays(world)
            await world.submit(i.Move("102", STAFF, "the net is torn"))
            await world.delivered()
            await world.submit(i.End(STAFF, "left"), "102")
            await world.delivered()
            assert await on_record(world, session_id) == (
                [] if told else ["move_not_told", "ended_elsewhere"]
            )
            assert ("session_kept_otherwise" in world.log.events()) == (not told)
            assert world.conflicts("102") == []


async def test_what_goes_on_record_is_there_once_though_a_page_cannot_be_read_for_long(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world, world.up():
        session_id = await plays(world)
        await choose(world, 1)
        await world.delivered()
        await world.submit(i.Move("102", STAFF, "the net is torn"))
        await world.delivered()
        world.wire.order("status", f"/session/{session_id}", "GET", times=200)
        await world.submit(i.End(STAFF, "left"), "102")
        await asyncio.sleep(600)
        world.wire.faults.clear()
        await world.delivered()
        assert await on_record(world, session_id) == ["move_not_told", "ended_elsewhere"]
        assert world.log.events().count("session_kept_otherwise") == 1


async def test_money_of_the_next_session_does_not_wait_for_a_comparison(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session_id = await plays(world)
        await choose(world, 1)
        await world.delivered()
        world.wire.order("status", f"/session/{session_id}", "GET", times=100_000)
        await world.submit(i.End(STAFF, "left"))
        following = str((await world.book("101"))["id"])
        await world.until(lambda: world.bay().find_booking(following) is not None)
        await world.type_pin((await world.page(following))["pin"])
        await world.submit(i.Extend("op1", 15, 1000, STAFF, "cash"))
        await world.delivered(within_s=60)
        assert (await world.row(following))["extendedTime"] == 15
        assert "session_not_compared" in world.log.events()
