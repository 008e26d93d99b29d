"""A bay is taken out of the configuration before the central server has heard all of it."""

import asyncio
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from tests.reconcile.central_world import ADMIN_PASSWORD, STAFF, CentralWorld, central_world
from tests.reconcile.test_outbox import end, extend, extensions, is_ended, playing

pytestmark = pytest.mark.virtual_time


async def shown_of(world: CentralWorld, session_id: str) -> tuple[list[tuple[int, int]], bool]:
    row = await world.row(session_id)
    return extensions(row), is_ended(row)


@pytest.mark.parametrize("keys", [False, True])
async def test_what_it_left_is_told_once_and_in_order(quick_path: Path, keys: bool) -> None:
    async with central_world(quick_path, idempotency_keys=keys) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            assert world.parts.outbox.view().waiting == 2
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000)], True)
        assert world.log.events().count("retired_bay_untold") == 1
        async with world.up():
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000)], True)
        assert world.log.events().count("retired_bay_untold") == 1, "all is told"


async def test_a_walk_in_that_it_sold_gets_its_number(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            world.wire.down = True
            await world.submit(i.WalkIn("w1", 30, 700, STAFF, "cash"), "102")
            await extend(world, number="102")
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            assert await world.parked() == []
            numbers = [event for event in await world.events("102") if isinstance(event, e.SessionNumbered)]
        (row,) = await world.history()
        assert len(numbers) == 1
        assert (row["duration"], extensions(row), is_ended(row)) == (30, [(15, 1000)], True)


@pytest.mark.parametrize("password", [ADMIN_PASSWORD, None])
async def test_a_session_that_went_from_it_to_another_bay(quick_path: Path, password: str | None) -> None:
    """What lies in the one lane before the move, and in the other after it."""
    async with central_world(quick_path) as world:
        world.admin_password = password
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
            await world.submit(i.Move("101", STAFF, "the net is torn"), "102")
            await extend(world, "op2", minutes=30)
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            await end(world)
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000), (30, 1000)], True)
        told = (await world.page(session["id"]))["bay"]["number"] == "101"
        assert told == (password is not None)


async def test_a_session_that_went_to_it(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            session = await playing(world, "101")
            world.wire.down = True
            await extend(world)
            await world.submit(i.Move("102", STAFF, "the net is torn"))
            await extend(world, "op2", "102", minutes=30)
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000), (30, 1000)], True)


async def test_what_a_board_would_show_stands_in_the_log(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
        world.bays = ("101",)
        async with world.up():
            world.wire.order("unanswered", f"/session/addSessionTime/{session['id']}")
            world.wire.down = False
            await world.delivered()
            codes = [event.code for event in await world.events("102") if isinstance(event, e.ConflictSeen)]
        assert "extension_doubtful" in codes
        assert "retired_bay_contradicted" in world.log.events()


async def test_what_is_older_than_a_week_is_not_told_behind_the_desks_back(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
        world.bays = ("101",)
        world.pass_by(8 * 86_400)
        async with world.up():
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([], False)
        assert world.log.events().count("retired_bay_stale") == 1
        world.bays = ("101", "102")
        async with world.up():
            await world.delivered()
        assert (await shown_of(world, session["id"]))[0] == [(15, 1000)], "put back, it is told"


async def test_a_walk_in_of_another_pc_at_that_bay_is_not_taken_for_its_own(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            world.wire.order("unanswered", "/session")
            await world.submit(i.WalkIn("w1", 30, 700, STAFF, "cash"), "102")
            await asyncio.sleep(1)
        world.bays = ("101",)
        async with world.up():
            await world.delivered()
            numbers = [event for event in await world.events("102") if isinstance(event, e.SessionNumbered)]
        assert numbers == []
