"""A restart that was asked for waits for the guests, and for a configuration that lets it start again."""

import asyncio
from pathlib import Path

import pytest

from bayd.core import inputs as i
from bayd.runtime.idle_restart import FAILED, WANTED, IdleRestart
from bayd.runtime.range import Range
from tests.simulation.world import World

pytestmark = pytest.mark.virtual_time

STAFF = i.Actor(i.Role.STAFF, "anna")


class Configured:
    def __init__(self) -> None:
        self.obstacle: str | None = None

    async def find_obstacle(self) -> str | None:
        return self.obstacle


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db")


def make(world: World, bays: Range, directory: Path | None, configured: Configured) -> IdleRestart:
    environment = {} if directory is None else {"RUNTIME_DIRECTORY": f"{directory}:/run/other"}
    return IdleRestart(bays, environment, find_obstacle=configured.find_obstacle, log=world.log)


def codes(restart: IdleRestart) -> list[str]:
    return [warning["code"] for warning in restart.warnings()]


async def test_it_waits_for_the_end_of_play(world: World, tmp_path: Path) -> None:
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        restart = make(world, bays, tmp_path, Configured())
        await world.play(minutes=30)
        running = tasks.create_task(restart.run())
        (tmp_path / WANTED).write_text("release 2\n")
        await asyncio.sleep(1_700)
        assert not running.done()
        assert codes(restart) == ["restart_pending"]
        assert "release 2" in restart.warnings()[0]["text"]
        await asyncio.sleep(101)
        assert bays.get("109").session is None
        assert not running.done()  # the guest looks at the result
        await asyncio.sleep(world.rules["109"].grace_ms / 1000 + 2)
        assert running.done()


async def test_while_a_pin_is_checked_nothing_restarts(world: World, tmp_path: Path) -> None:
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        await bays.submit("109", i.ServerSaid("7", 30, 0, world.clock.now().wall_ms, False, False, False))
        await bays.submit("109", i.PinEntered("a1", None))
        (tmp_path / WANTED).touch()
        running = tasks.create_task(make(world, bays, tmp_path, Configured()).run())
        await asyncio.sleep(5)
        assert not running.done()
        await bays.submit("109", i.PinWasWrong("a1"))
        await asyncio.sleep(2)
        assert running.done()


async def test_with_a_configuration_that_would_not_start_it_goes_on(world: World, tmp_path: Path) -> None:
    configured = Configured()
    configured.obstacle = "site.nmae: is no setting"
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        restart = make(world, bays, tmp_path, configured)
        (tmp_path / WANTED).write_text("release 2")
        running = tasks.create_task(restart.run())
        await asyncio.sleep(30)
        assert not running.done()
        assert "site.nmae" in restart.warnings()[0]["text"]
        assert world.log.events().count("restart_held_up") == 1
        configured.obstacle = None
        await asyncio.sleep(11)
        assert running.done()


async def test_it_may_be_called_off(world: World, tmp_path: Path) -> None:
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        restart = make(world, bays, tmp_path, Configured())
        await world.play(minutes=30)
        (tmp_path / WANTED).touch()
        running = tasks.create_task(restart.run())
        await asyncio.sleep(2)
        assert restart.pending is not None
        (tmp_path / WANTED).unlink()
        await asyncio.sleep(3_600)
        assert not running.done()
        assert codes(restart) == []
        running.cancel()


async def test_a_failed_upgrade_is_told(world: World, tmp_path: Path) -> None:
    async with world.up() as bays:
        (tmp_path / FAILED).write_text("Release 2 did not become ready.\n")
        assert codes(make(world, bays, tmp_path, Configured())) == ["upgrade_failed"]


async def test_without_systemd_nothing_is_pending(world: World) -> None:
    async with world.up() as bays, asyncio.TaskGroup() as tasks:
        restart = make(world, bays, None, Configured())
        running = tasks.create_task(restart.run())
        await asyncio.sleep(5)
        assert (running.done(), restart.warnings()) == (False, [])
        running.cancel()
