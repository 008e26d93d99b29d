"""Routes that change while bays play, with the real 0xA0 driver against the simulated reader."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bayd.core.presence import Place, Route, Tee
from bayd.reconcile.antenna_ports import PortRoute, ReaderRoutes
from tests.reconcile.reader_row import BALLS, POWER_DBM, Row

pytestmark = pytest.mark.virtual_time

LAYOUT: Mapping[str, Mapping[int, Place]] = {
    "west": {1: Tee("101"), 2: Tee("102")},
    "east": {1: Tee("103"), 6: Tee("104")},
}


@pytest.fixture
def row(tmp_path: Path) -> Iterator[Row]:
    made = Row(tmp_path / "journal.db", LAYOUT)
    yield made
    made.close()


def reroute(row: Row, layout: Mapping[str, Mapping[int, Place]], power_dbm: int = POWER_DBM) -> None:
    row.presence.reroute(
        [Route(name, port, place) for name, ports in layout.items() for port, place in ports.items()]
    )
    row.antennas.reroute(
        {
            name: ReaderRoutes({port: PortRoute(place, power_dbm) for port, place in ports.items()}, 2, 60)
            for name, ports in layout.items()
        }
    )


async def test_a_port_that_moves_to_another_bay_credits_that_one(row: Row) -> None:
    async with row.open():
        await row.play("101", "102")
        await asyncio.sleep(1)
        reroute(row, {"west": {1: Tee("102"), 5: Tee("101")}, "east": LAYOUT["east"]}, 21)
        await asyncio.sleep(1)
        moved = asyncio.get_running_loop().time()
        row.lay("west", 1, BALLS[0])
        row.lay("west", 5, BALLS[1])
        await asyncio.sleep(3)
        assert sorted(await row.credits()) == [("101", BALLS[1]), ("102", BALLS[0])]
        assert row.heard_since(moved) == {("west", 1), ("west", 5)}
        assert [row.sims["west"].power_dbm(port) for port in (1, 5)] == [21, 21]
        assert row.antennas.view("west").ports.keys() == {1, 5}


async def test_a_port_that_keeps_its_place_is_not_disturbed(row: Row) -> None:
    """Its blind time goes on, and the ball that lies there does not count again."""
    row.rigs["west"].unplug()
    async with row.open():
        await row.play("101")
        await asyncio.sleep(20)
        row.rigs["west"].plug()
        row.lay("west", 1, BALLS[0])
        await asyncio.sleep(10)
        blind_ms = row.antennas.view("west").ports[1].blind_ms
        assert blind_ms > 19_000
        reroute(row, {"west": {1: Tee("101"), 8: Tee("102")}, "east": LAYOUT["east"]})
        await asyncio.sleep(200)
        assert row.antennas.view("west").ports[1].blind_ms == blind_ms
        assert await row.credits() == [("101", BALLS[0])]


async def test_a_bay_without_an_antenna_knows_that_nobody_listens(row: Row) -> None:
    async with row.open():
        await row.play("101", "102")
        await asyncio.sleep(2)
        row.rigs["west"].unplug()
        await asyncio.sleep(2)
        assert [row.reader_fact(bay)[0] for bay in ("101", "102", "103")] == ["lost", "lost", "ok"]
        reroute(row, {"west": {1: Tee("101")}, "east": {1: Tee("103"), 6: Tee("104")}})
        await asyncio.sleep(1)
        assert [row.reader_fact(bay) for bay in ("102", "103")] == [("unknown", ""), ("ok", "")]
        reroute(row, {"west": {1: Tee("101")}, "east": {1: Tee("103"), 6: Tee("102")}})
        await asyncio.sleep(1)
        assert [row.reader_fact(bay)[0] for bay in ("101", "102", "104")] == ["lost", "ok", "unknown"]
        row.lay("east", 6, BALLS[3])
        await asyncio.sleep(3)
        assert await row.credits() == [("102", BALLS[3])]


async def test_an_antenna_that_was_missing_is_still_missed_when_its_port_comes_back(row: Row) -> None:
    """The driver tells it once, not with every plan."""
    async with row.open():
        row.sims["west"].unplug_antenna(2)
        await row.play("101", "102")
        await asyncio.sleep(5)
        assert row.reader_fact("102")[0] == "lost"
        reroute(row, {"west": {1: Tee("101")}, "east": LAYOUT["east"]})
        await asyncio.sleep(5)
        assert row.reader_fact("102")[0] == "unknown"
        reroute(row, LAYOUT)
        await asyncio.sleep(5)
        assert row.reader_fact("102") == ("lost", "reader west: no antenna at port 2")


async def test_a_reader_that_is_taken_away_is_forgotten(row: Row) -> None:
    async with row.open():
        await row.play("103")
        await asyncio.sleep(2)
        reroute(row, {"west": {1: Tee("101"), 3: Tee("103")}})
        row.lay("west", 3, BALLS[0])
        await asyncio.sleep(3)
        assert await row.credits() == [("103", BALLS[0])]
        assert row.reader_fact("104") == ("unknown", "")
