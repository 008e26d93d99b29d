"""Walk-ins at the central server: booked once, and told from everybody else's bookings."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bayd.core import inputs as i
from bayd.ports import HttpResponse
from bayd.reference.central import CentralSettings
from bayd.settings import WalkIn
from tests.reconcile.central_world import STAFF, WALK_IN, CentralWorld, central_world
from tests.reconcile.test_bookings import rewrite

pytestmark = pytest.mark.virtual_time
Json = dict[str, Any]


async def sell(world: CentralWorld) -> None:
    await world.submit(i.WalkIn("w1", 30, 700, STAFF, "cash"))


async def book_as(world: CentralWorld, name: str, phone_number: str, bay: str, minutes: int = 30) -> Json:
    """At the desk."""
    session: Json = await world.call(
        "POST",
        "/session",
        {
            "billingUser": {"name": name, "phoneNumber": phone_number},
            "bayNumber": bay,
            "duration": minutes,
            "amount": 700,
            "paymentType": {"type": "CASH"},
            "isDiscounted": False,
        },
    )
    return session


def customer(world: CentralWorld, **shown: Any) -> None:
    """The server shows its customers so."""
    for path in ("/session/history", "/session/"):
        rewrite(
            world,
            path,
            lambda data: (
                [{**row, "billingUser": {**row["billingUser"], **shown}} for row in data]
                if isinstance(data, list)
                else {**data, "billingUser": {**data["billingUser"], **shown}}
            ),
        )


async def ours(world: CentralWorld) -> list[Json]:
    rows = await world.history()
    return [row for row in rows if row["bay"]["number"] == "101" and row["duration"] == 30]


def test_a_name_of_the_settings_is_as_it_is_read_from_the_server() -> None:
    assert WalkIn(name=" Walk-in  guest ", phone_number="1555010000").name == "Walk-in guest"


@pytest.mark.parametrize("server", ["first name", "capitals", "no name", "country code", "numbers set back"])
async def test_after_a_lost_answer_a_walk_in_is_found_by_number_or_name(
    quick_path: Path, server: str
) -> None:
    settings = CentralSettings(keeps_first_name=server == "first name")
    async with central_world(quick_path, settings=settings) as world, world.up():
        if server == "first name":
            await book_as(world, "Reception", WALK_IN.phone_number, "102")
        elif server == "capitals":
            customer(world, name=WALK_IN.name.upper(), phoneNumber=None)
        elif server == "no name":
            customer(world, name=None)
        elif server == "country code":
            customer(world, name=None, phoneNumber=f"+91 {WALK_IN.phone_number}")
        else:  # an old session with a number that the server reaches again much later
            old = await book_as(world, "Example Customer", "1555010002", "102")
            as_old = {old["id"]: 1000}
            rewrite(
                world,
                "/session/history",
                lambda rows: [{**row, "id": as_old.get(row["id"], row["id"])} for row in rows],
            )
        await asyncio.sleep(10)
        world.wire.order("unanswered", "/session")
        await sell(world)
        await world.delivered()
        await asyncio.sleep(60)
        (row,) = await ours(world)
        assert world.bay().numbers == {str(row["id"]): world.play().session_id}
        assert world.bay().bookings == ()
        assert world.conflicts() == ["walk_in_doubtful"]
        assert await world.parked() == []


async def test_what_may_be_ours_is_never_repeated_blindly(quick_path: Path) -> None:
    """The server shows neither the name nor the number."""
    async with central_world(quick_path) as world, world.up():
        customer(world, name="Somebody", phoneNumber=None)
        world.wire.order("unanswered", "/session")
        await sell(world)
        await world.delivered()
        assert len(await ours(world)) == 1
        assert "staff decide" in (await world.parked())[0]


async def test_an_equal_booking_of_somebody_else_is_not_taken_for_ours(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        world.wire.order("lost", "/session")
        await sell(world)
        await asyncio.sleep(5)
        theirs = await book_as(world, "Example Customer", "1555010002", "101")
        await world.delivered()
        (mine,) = [row for row in await ours(world) if row["id"] != theirs["id"]]
        assert list(world.bay().numbers) == [str(mine["id"])]
        assert await world.parked() == []


async def test_what_the_desk_sold_to_the_same_account_before_is_not_taken_for_ours(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        theirs = await book_as(world, WALK_IN.name, WALK_IN.phone_number, "101")
        await world.call("POST", f"/session/{theirs['id']}/end")
        world.wire.order("lost", "/session")
        await sell(world)
        await world.delivered()
        (mine,) = [row for row in await ours(world) if row["id"] != theirs["id"]]
        assert list(world.bay().numbers) == [str(mine["id"])]
        assert await world.parked() == []


async def test_a_server_that_hides_who_booked_is_named_at_the_first_sale(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        real = world.wire.exchange

        async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
            response = await real(method, url, **options)
            if (method, url) != ("POST", f"{world.options['url']}/session"):
                return response
            document = json.loads(response.body)
            document["data"]["billingUser"] = {"id": 1, "name": "Somebody"}
            return HttpResponse(response.status, response.headers, json.dumps(document).encode())

        world.wire.exchange = exchange  # type: ignore[method-assign]
        await sell(world)
        await world.delivered()
        assert len(world.bay().numbers) == 1
        assert "walk_in_not_recognisable" in [event for _level, event, _facts in world.log.lines]
