"""The desk and the staff at the bays send two guests to the same bay in the same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Phase
from tests.reconcile.central_world import ADMIN_PASSWORD, STAFF, CentralWorld, central_world

pytestmark = pytest.mark.virtual_time

BAYS = ("101", "102", "103", "104")
HERE = i.Move("102", STAFF, "the net is torn")


@dataclass
class Race:
    """X was moved from 101 to 102 at the bay, Y from 103 to 102 at the desk; the desk was quicker."""

    world: CentralWorld
    x: Any
    y: Any
    ends_at_ms: tuple[int, int]

    async def shown(self) -> tuple[str, str]:
        pages = [await self.world.page(session["id"]) for session in (self.x, self.y)]
        return pages[0]["bay"]["number"], pages[1]["bay"]["number"]

    async def shows(self, x: str, y: str) -> None:
        for _ in range(240):
            if await self.shown() == (x, y):
                return
            await asyncio.sleep(0.5)
        assert await self.shown() == (x, y)

    async def flags(self) -> list[tuple[str, str]]:
        """All that there ever were, of moves."""
        codes = ("move_not_told", "moved_at_server")
        seen = [event for event in await self.world.events() if isinstance(event, e.ConflictSeen)]
        return [(event.session_id, event.code) for event in seen if event.code in codes]

    def standing(self) -> list[tuple[str, str]]:
        return [(number, code) for number in BAYS for code in self.world.conflicts(number)]


async def starts(world: CentralWorld, number: str) -> Any:
    session = await world.book(number)
    await world.knows(session)
    await world.type_pin(session["pin"], number)
    return session


async def desk_moves(world: CentralWorld, old: str, new: str) -> None:
    body = {"currentBay": old, "newBay": new, "adminPassword": ADMIN_PASSWORD}
    await world.call("POST", "/bay/sessionBayChange", body)


@asynccontextmanager
async def race(path: Path, *, keys: bool) -> AsyncIterator[Race]:
    async with central_world(path, bays=BAYS, idempotency_keys=keys) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            x, y = await starts(world, "101"), await starts(world, "103")
            ends = world.play("101").ends_at_ms, world.play("103").ends_at_ms
            world.wire.down = True
            await world.submit(HERE, "101")
            await desk_moves(world, "103", "102")
            world.wire.down = False
            await world.delivered()
        yield Race(world, x, y, ends)


keys = pytest.mark.parametrize("keys", [True, False])


@keys
async def test_both_play_on_where_they_are_and_each_is_flagged_once(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        world = found.world
        await world.submit(i.Extend("op1", 15, 100, STAFF, "more"), "102")
        await world.submit(i.Extend("op2", 10, 70, STAFF, "more"), "103")
        await world.delivered()
        await asyncio.sleep(120)
        assert (world.play("102").session_id, world.play("103").session_id) == (
            str(found.x["id"]),
            str(found.y["id"]),
        )
        assert await found.flags() == [
            (str(found.x["id"]), "move_not_told"),
            (str(found.y["id"]), "moved_at_server"),
        ]
        assert world.play("102").ends_at_ms - found.ends_at_ms[0] == 15 * 60_000
        assert world.play("103").ends_at_ms - found.ends_at_ms[1] == 10 * 60_000
        for session, extended, money in ((found.x, 15, 600), (found.y, 10, 570)):
            row = await world.row(session["id"])
            assert (row["extendedTime"], row["paymentPending"] + row["paymentReceived"]) == (extended, money)
        assert await world.parked() == []
        (item,) = await world.parts.outbox.items()
        assert (item.bay, item.kind, item.parked) == ("101", "SessionMovedAway", False)
        assert "told by itself" in item.reason


@keys
async def test_it_is_told_by_itself_when_the_other_is_over(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        await found.world.submit(i.End(STAFF, "left"), "103")
        await found.shows("102", "102")  # the other was there last, for the server
        await found.world.until(lambda: found.world.play("102").server_bays == ())
        assert found.standing() == []
        assert await found.world.parts.outbox.items() == []


@keys
async def test_it_is_told_by_itself_when_the_desk_takes_its_move_back(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        await asyncio.sleep(60)
        await desk_moves(found.world, "102", "103")
        await found.shows("102", "103")
        await found.world.until(lambda: found.standing() == [])
        assert found.world.play("102").ends_at_ms == found.ends_at_ms[0]
        assert found.world.play("103").ends_at_ms == found.ends_at_ms[1]


@keys
async def test_moved_on_it_makes_way(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        await found.world.submit(i.Move("104", STAFF, "the other was first"), "102")
        await found.shows("104", "102")
        await found.world.until(lambda: found.world.bay("102").session is not None)
        await found.world.until(lambda: found.standing() == [])
        assert found.world.play("104").ends_at_ms == found.ends_at_ms[0]
        assert found.world.play("102").ends_at_ms == found.ends_at_ms[1]
        await asyncio.sleep(60)
        assert await found.shown() == ("104", "102")
        assert await found.world.parts.outbox.items() == []


@keys
async def test_moved_back_there_is_nothing_to_tell(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        await found.world.submit(i.Move("101", STAFF, "the other was first"), "102")
        await found.world.until(lambda: found.world.bay("102").session is not None)
        await asyncio.sleep(60)
        assert await found.shown() == ("101", "102")
        assert await found.world.parts.outbox.items() == []
        assert found.standing() == []


@keys
async def test_over_it_is_forgotten_and_the_other_follows(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        await found.world.submit(i.End(STAFF, "left"), "102")
        await found.world.until(lambda: found.world.bay("102").session is not None)
        await found.world.delivered()
        assert (await found.world.row(found.x["id"]))["releaseTime"] is not None
        await asyncio.sleep(60)
        assert await found.shown() == ("101", "102")
        assert await found.world.parts.outbox.items() == []
        assert found.standing() == []


@keys
async def test_who_plays_since_where_it_left_is_not_moved_in_its_place(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        world = found.world
        next_one = await starts(world, "101")
        await world.submit(i.End(STAFF, "left"), "103")
        await asyncio.sleep(120)
        assert (await world.page(next_one["id"]))["bay"]["number"] == "101"
        assert world.play("101").session_id == str(next_one["id"])
        await world.submit(i.End(STAFF, "left"), "101")
        await found.shows("102", "102")


@keys
async def test_a_time_given_at_the_desk_meanwhile_is_kept(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        body = {"duration": 20, "amount": 200}
        await found.world.call("POST", f"/session/addSessionTime/{found.x['id']}", body)
        await found.world.until(lambda: found.world.play("102").minutes == 80)
        await found.world.submit(i.End(STAFF, "left"), "103")
        await found.shows("102", "102")
        told = found.world.wire.sent("POST", "/bay/sessionBayChange")[-1]
        assert told.body is not None
        assert b'"newDuration":"80"' in told.body


async def test_what_is_asked_anew_is_what_a_repeat_says(quick_path: Path) -> None:
    async with race(quick_path, keys=True) as found, found.world.up():
        wire, world = found.world.wire, found.world
        await world.call("POST", f"/session/addSessionTime/{found.x['id']}", {"duration": 20, "amount": 200})
        await world.until(lambda: world.play("102").minutes == 80)
        await asyncio.sleep(60)
        before = len(wire.sent("POST", "/bay/sessionBayChange"))
        wire.order("lost", "/bay/sessionBayChange")
        await world.submit(i.End(STAFF, "left"), "103")
        await found.shows("102", "102")
        told = wire.sent("POST", "/bay/sessionBayChange")[before:]
        assert len(told) == 2
        assert all(one.body is not None and b'"newDuration":"80"' in one.body for one in told)


@keys
async def test_staff_may_give_it_up(quick_path: Path, keys: bool) -> None:
    async with race(quick_path, keys=keys) as found, found.world.up():
        (item,) = await found.world.parts.outbox.items()
        await found.world.submit(i.DropDelivery(item.seq, STAFF, "settled at the desk"), "101")
        await asyncio.sleep(30)
        await found.world.submit(i.End(STAFF, "left"), "103")
        await asyncio.sleep(120)
        assert (await found.shown())[0] == "101"
        assert await found.world.parts.outbox.items() == []
        assert found.world.bay("102").phase is Phase.PLAYING


@keys
async def test_it_is_not_told_while_the_desk_shows_another_where_it_left(
    quick_path: Path, keys: bool
) -> None:
    """The call names bays: the server would move the other, who was there first."""
    async with central_world(quick_path, bays=BAYS, idempotency_keys=keys) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            y = await starts(world, "103")
            x = await world.book("101")
            await world.knows(x)
            await desk_moves(world, "103", "101")
            await world.type_pin(x["pin"], "101")
            await world.submit(HERE, "101")
            await asyncio.sleep(60)
            assert (await world.page(y["id"]))["bay"]["number"] == "101"
            assert (await world.page(x["id"]))["bay"]["number"] == "101"
            await world.until(lambda: world.bay("101").session is not None)
            assert world.play("101").session_id == str(y["id"])
            await world.submit(i.End(STAFF, "left"), "101")
            await world.until(lambda: world.play("102").server_bays == ())
            assert (await world.page(x["id"]))["bay"]["number"] == "102"
            assert world.conflicts("102") == []


async def test_to_a_bay_that_is_gone_it_is_forgotten_and_stays_flagged(
    quick_path: Path,
) -> None:
    async with race(quick_path, keys=False) as found:
        found.world.bays = tuple(number for number in BAYS if number != "102")
        async with found.world.up():
            await found.world.delivered()
            assert await found.world.parts.outbox.items() == []
            flags = {(one.get("bay"), one["code"]) for one in found.world.parts.warnings()}
            assert ("102", "move_not_told") in flags
