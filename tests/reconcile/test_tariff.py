"""What more time costs, as the server says; times of day, clocks, arrears, and a server that says nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bayd.clients.central import GenericPrice
from bayd.core import inputs as i
from bayd.core.extensions import offers
from bayd.core.instant import Instant
from bayd.core.model import Tariff
from bayd.core.rules import ExtensionPolicy, Rules
from bayd.reconcile.tariff import TariffWatcher
from tests.reconcile.central_world import SCREEN, CentralWorld, central_world

pytestmark = pytest.mark.virtual_time

RULES = Rules(extension=ExtensionPolicy.ON_ACCOUNT, extension_minutes=(20,), extension_price=10)
HOUR_S = 3600
MIDNIGHT_MS = 1_790_035_200_000  # 2026-09-22T00:00:00Z


async def play(world: CentralWorld) -> None:
    session = await world.book()
    await world.knows(session)
    await world.type_pin(session["pin"])


async def test_the_servers_lengths_and_price_are_offered(quick_path: Path) -> None:
    async with central_world(quick_path, rules=RULES, price_minutes=60) as world, world.up():
        await world.parts.tariff.look()
        listed = await world.call("GET", f"/bay?bayNumber={world.bay().number}")
        amount = listed[0]["genericPrice"]["amount"]
        assert world.bay().tariff.intervals == (15, 30, 60)
        await play(world)
        offered = {offer.minutes: offer.amount for offer in offers(world.bay(), RULES)}
        whole_day = listed[0]["genericPrice"]["startTime"] == "00:00:00"
        assert offered[60] == (amount if whole_day else 600)


async def test_a_price_whose_unit_nobody_said_is_not_used(quick_path: Path) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        await world.parts.tariff.look()
        assert world.bay().tariff == Tariff(intervals=(15, 30, 60))


async def test_a_server_with_the_eight_calls_alone_leaves_it_to_the_configuration(quick_path: Path) -> None:
    async with central_world(quick_path, "minimal", rules=RULES) as world, world.up():
        await play(world)
        assert [offer.minutes for offer in offers(world.bay(), RULES)] == [20]


@pytest.mark.parametrize(
    ("start_h", "end_h", "at_h", "holds"),
    [(17, 22, 17, True), (17, 22, 22, False), (22, 6, 23, True), (22, 6, 5, True), (22, 6, 12, False)],
)
async def test_a_price_counts_at_its_time_of_day_at_the_site(
    quick_path: Path, start_h: int, end_h: int, at_h: int, holds: bool
) -> None:
    async with central_world(quick_path) as world, world.up():

        class At:
            boot_id = "b"
            instant = Instant(0, MIDNIGHT_MS + round((at_h - 5.5) * HOUR_S) * 1000)

            def now(self) -> Instant:
                return self.instant

        clock = At()
        watcher = TariffWatcher(
            world.parts.client,
            world.range,
            zone=ZoneInfo("Asia/Kolkata"),
            price_minutes=60,
            clock=clock,
            log=world.log,
        )
        price = GenericPrice(start_h * HOUR_S, end_h * HOUR_S, 500)
        assert watcher._is_now(price) is holds
        clock.instant = replace(clock.instant, synchronised=False)
        assert watcher._is_now(price) is False


async def test_a_price_of_another_time_of_day_does_not_outlive_the_server(quick_path: Path) -> None:
    """Away since the evening price began, or since before the daemon: nobody sells at that price by night."""
    async with central_world(quick_path, rules=RULES) as world, world.up():
        world.wire.down = True
        await asyncio.sleep(1)
        stale = Tariff((15, 30, 60), 5, 60)
        await world.submit(i.PricesSeen(stale))
        await world.until(lambda: world.bay().tariff == replace(stale, amount=None), 300)


async def test_what_is_owed_at_the_server_turns_a_press_into_a_question(quick_path: Path) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        await play(world)
        await world.call(
            "POST", "/transaction", {"amount": 70, "bayNumber": "101", "status": "DUE", "isDiscounted": False}
        )
        await world.until(lambda: world.bay().owed_at_server == 70, 60)
        offer = offers(world.bay(), RULES)[0]
        shown = i.Extend(
            "op1", offer.minutes, None, SCREEN, "", shown_amount=offer.amount, shown_at_once=True
        )
        await world.submit(shown)
        assert world.play().extension_asked is not None
