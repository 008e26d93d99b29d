"""Balls are paid and none is read: when a warning follows."""

import asyncio
from pathlib import Path

import pytest

from bayd.core import inputs as i
from bayd.core.model import PayoutEnd
from bayd.core.rules import Rules
from bayd.reconcile.unread_balls import Unread, UnreadBalls
from bayd.runtime.range import Range
from bayd.web.documents import StatusWarning
from bayd.wiring.readers import ReaderParts, ReaderPlan
from tests.simulation.world import World

pytestmark = pytest.mark.virtual_time

SCREEN = i.Actor(i.Role.SCREEN, "screen")
STAFF = i.Actor(i.Role.STAFF, "anna")


class Bench:
    def __init__(self, path: Path) -> None:
        self.world = World(path, {n: Rules(dispenser="east") for n in ("109", "110")})
        self.unread = UnreadBalls(
            {"109"}, balls=10, after_ms=180_000, clock=self.world.clock, log=self.world.log
        )

    async def pay(self, bays: Range, number: str, payout: str, balls: int) -> None:
        await bays.submit(number, i.Dispense(payout, balls, SCREEN))
        await bays.submit(number, i.PayoutMarkTaken(payout, balls, {"event": 1}))
        await bays.submit(number, i.PayoutProgressed(payout, balls))
        await bays.submit(number, i.PayoutEnded(payout, PayoutEnd.DONE, balls, ""))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "journal.db")


async def test_many_balls_and_much_time_without_a_read_bring_a_warning(bench: Bench) -> None:
    async with bench.world.up(bench.unread) as bays:
        await bench.world.play("109", "7")
        await bench.world.play("110", "8")
        await bench.pay(bays, "109", "p1", 9)
        await bench.pay(bays, "110", "p2", 30)  # this bay has no antenna
        await asyncio.sleep(300)
        assert bench.unread.found() == []
        await bench.pay(bays, "109", "p3", 1)
        many_since_ms = bench.world.clock.now().wall_ms
        await asyncio.sleep(179)
        assert bench.unread.found() == []
        await asyncio.sleep(1)
        assert bench.unread.found() == [Unread("109", 10, many_since_ms)]
        await asyncio.sleep(60)
        assert bench.unread.found() == [Unread("109", 10, many_since_ms)]
        assert bench.world.log.events().count("balls_not_read") == 1


async def test_one_ball_that_is_read_clears_it(bench: Bench) -> None:
    async with bench.world.up(bench.unread) as bays:
        await bench.world.play("109", "7")
        await bench.pay(bays, "109", "p1", 20)
        await asyncio.sleep(200)
        assert [found.balls for found in bench.unread.found()] == [20]
        await bays.submit("109", i.BallHeard("E28011700000020A00000001", bench.world.clock.now().boot_ms))
        assert bench.unread.found() == []
        await bench.pay(bays, "109", "p2", 12)
        await asyncio.sleep(200)
        assert [found.balls for found in bench.unread.found()] == [12]


async def test_a_pause_and_the_end_of_the_session_are_no_fault_of_an_antenna(bench: Bench) -> None:
    async with bench.world.up(bench.unread) as bays:
        await bench.world.play("109", "7")
        await bench.pay(bays, "109", "p1", 20)
        await asyncio.sleep(100)
        await bays.submit("109", i.Pause(STAFF, "rain"))
        await asyncio.sleep(500)
        assert bench.unread.found() == []
        await bays.submit("109", i.Resume(STAFF))
        await asyncio.sleep(179)
        assert bench.unread.found() == []
        await asyncio.sleep(1)
        assert len(bench.unread.found()) == 1
        await bays.submit("109", i.End(STAFF, "over"))
        assert bench.unread.found() == []


async def test_after_a_restart_what_nobody_read_still_counts(bench: Bench) -> None:
    async with bench.world.up(bench.unread) as bays:
        await bench.world.play("109", "7")
        await bench.pay(bays, "109", "p1", 20)
    again = UnreadBalls({"109"}, balls=10, after_ms=180_000, clock=bench.world.clock, log=bench.world.log)
    async with bench.world.up(again):
        await asyncio.sleep(180)
        assert [found.balls for found in again.found()] == [20]


async def test_the_status_can_show_the_warning_with_its_bay(bench: Bench) -> None:
    world = bench.world
    async with world.up() as bays:
        parts = ReaderParts(
            ReaderPlan({}, frozenset()), bays, clock=world.clock, randomness=world.randomness, log=world.log
        )
        parts.unread.watch({"109"}, balls=10, after_ms=180_000)
        bays.observe(parts.unread)
        await world.play("109", "7")
        await bench.pay(bays, "109", "p1", 20)
        await asyncio.sleep(200)
        (shown,) = [StatusWarning(**warning) for warning in parts.warnings()]
        assert (shown.code, shown.bay) == ("balls_not_read", "109")
