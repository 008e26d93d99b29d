"""Readers, antennas and balls that change while bays play: drivers over ptys, a central server over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bayd.clients.central import CentralClient
from bayd.clients.transport import AiohttpTransport
from bayd.core.inputs import Actor, Role, SelectGame
from bayd.core.model import DeviceState, Game
from bayd.core.rules import Rules
from bayd.reconcile.asked_listing import AskedListing
from bayd.reference.central import make_app
from bayd.wiring.readers import ReaderPlan
from hardware.rfid import AntennaPlan, Asides
from tests.integration.readers_at_work import SimulatedReader, credits_in, reader_side, until
from tests.simulation.world import SimLog, World

BALLS = tuple(f"E28011700000020A{number:08X}" for number in range(1, 9))
BAYS = ("101", "102", "103", "104")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db", {number: Rules() for number in BAYS})


@pytest.fixture
async def west(tmp_path: Path) -> AsyncIterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty-west", "r2000_a0")
    reader.port.plug()
    yield reader
    reader.close()


@pytest.fixture
async def east(tmp_path: Path) -> AsyncIterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty-east", "uhfreader288")
    reader.port.plug()
    yield reader
    reader.close()


@pytest.fixture
async def central_url(tmp_path: Path) -> AsyncIterator[str]:
    server = TestServer(make_app(tmp_path / "central.db"))
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def test_antennas_and_balls_change_without_the_link_being_opened_anew(
    world: World, west: SimulatedReader
) -> None:
    before = west.settings({"1": "101", "8": "102"}, power=24)
    async with reader_side(world, {"west": before}, frozenset()) as (_, parts):
        for number in BAYS[:3]:
            await world.play(number, f"7{number}")
        await until(lambda: {port for port, _, _ in west.listened} == {1, 8})
        driver = parts.drivers["west"]
        after = west.settings({"1": "102", "5": "103"}, power=21)
        parts.reload(ReaderPlan({"west": after}, frozenset(BALLS)))
        await until(lambda: 5 in {port for port, _, _ in west.listened})
        for port, ball in ((1, 0), (5, 1), (8, 2)):
            west.lay(port, BALLS[ball])
        await until(lambda: _read(world, "102") + _read(world, "103") == 2)
        assert sorted(await credits_in(world)) == [("102", BALLS[0]), ("103", BALLS[1])]
        assert [west.sim.power_dbm(port) for port in (1, 5)] == [21, 21]
        assert parts.drivers["west"] is driver
        assert world.log.events().count("reader_online") == 1


async def test_readers_come_and_go_and_a_port_passes_to_another_one(
    world: World, west: SimulatedReader, east: SimulatedReader
) -> None:
    async with reader_side(world, {"west": west.settings({"1": "101"})}, frozenset(BALLS)) as (bays, parts):
        await world.play("101", "7")
        await world.play("103", "8")
        await until(lambda: west.listened)
        # The same line under another name, and one reader more.
        plan = {"other": west.settings({"2": "101"}), "east": east.settings({"3": "103"})}
        parts.reload(ReaderPlan(plan, frozenset(BALLS)))
        west.lay(2, BALLS[0])
        east.lay(3, BALLS[1])
        await until(lambda: _read(world, "101") == _read(world, "103") == 1)
        assert parts.devices()["readers"].keys() == {"other", "east"}
        parts.reload(ReaderPlan({"east": plan["east"]}, frozenset(BALLS)))
        await until(lambda: bays.get("101").devices["reader"].state is DeviceState.UNKNOWN)
        heard = len(west.listened)
        await until(lambda: len(east.listened) > 30)
        assert len(west.listened) <= heard + 2
        assert parts.warnings() == []


async def test_the_servers_word_moves_antennas_and_what_it_cannot_be_is_shown(
    world: World, west: SimulatedReader, central_url: str
) -> None:
    antennas = [
        {"bayNumber": bay, "antennaName": f"aabbccddeeff0011_{port}", "power": power, "location": bay}
        for bay, port, power in (("101", 3, "22"), ("102", 1, "33"), ("103", 4, "33"), ("901", 6, "20"))
    ]
    async with aiohttp.ClientSession() as http:
        floor = {"floorNumber": "1", "bayObject": antennas}
        answer = await http.post(f"{central_url}/bay/createOrUpdate", json=floor)
        assert answer.status == 200, await answer.text()
    transport, log = AiohttpTransport(), SimLog()
    client = CentralClient(transport, central_url, log=log)
    settings = {
        "aabbccddeeff0011": west.settings({"1": "101", "2": "102"}, power=20),
        "0011aabbccddeeff": west.settings({"4": "104"}).model_copy(update={"link": "socket://127.0.0.1:9"}),
    }
    async with reader_side(world, settings, frozenset(BALLS)) as (_, parts), asyncio.TaskGroup() as tasks:
        for number in BAYS:
            await world.play(number, f"7{number}")
        poller = tasks.create_task(
            AskedListing(client.antenna_pairs, parts.server_says, every_s=60, log=log).run(), name="pairs"
        )
        await until(lambda: {port for port, _, _ in west.listened[-6:]} == {1, 3, 4})
        west.lay(3, BALLS[0])
        west.lay(1, BALLS[1])
        await until(lambda: _read(world, "101") == _read(world, "102") == 1)
        assert sorted(await credits_in(world)) == [("101", BALLS[0]), ("102", BALLS[1])]
        assert [west.sim.power_dbm(port) for port in (3, 1)] == [22, 20]
        refused = [w["text"] for w in parts.warnings() if w["code"] == "antenna_route_refused"]
        assert len(refused) == 3
        unknown, too_strong, elsewhere = refused
        assert unknown == (
            "Reader 0011aabbccddeeff: the server does not know it: its antennas stay as they were."
        )
        assert too_strong.startswith(
            "Reader aabbccddeeff0011 port 1, 4: power 33 dBm is more than the 26 dBm"
        )
        assert elsewhere.startswith("Reader aabbccddeeff0011 port 6: its location 901 is no bay of this PC")
        assert world.log.events().count("antenna_route_refused") == 4
        # A server that has lost its list takes no antenna away, nor a power that is being tried out.
        parts.antennas.try_power("aabbccddeeff0011", frozenset({3}), 11)
        parts.server_says(())
        await until(lambda: west.sim.power_dbm(3) == 11)
        parts.reload(ReaderPlan(settings, frozenset(BALLS)))
        await until(lambda: west.sim.power_dbm(3) == 22)
        assert parts.antennas.view("aabbccddeeff0011").ports.keys() == {1, 3, 4}
        poller.cancel()
    await transport.aclose()


async def test_a_shot_is_worth_what_the_server_says(
    world: World, west: SimulatedReader, central_url: str
) -> None:
    """Targets of the reference server: an antenna of S2 is worth four points in each game."""
    transport, log = AiohttpTransport(), SimLog()
    client = CentralClient(transport, central_url, log=log)
    settings = {"west": west.settings({"1": "101"})}
    async with reader_side(world, settings, frozenset(BALLS)) as (bays, parts), asyncio.TaskGroup() as tasks:
        asked = AskedListing(
            client.scores, parts.server_scores, every_s=60, wanted=parts.has_targets, log=log
        )
        await world.play("101", "7")
        await bays.submit("101", SelectGame(Game(3, "GAME 3", 30), Actor(Role.STAFF, "anna")))
        assert not parts.has_targets(), "nobody asks for points where there is no target"
        parts.reload(ReaderPlan({"west": west.settings({"1": "101", "8": "pit:S2_1"})}, frozenset(BALLS)))
        poller = tasks.create_task(asked.run(), name="scores")
        await until(lambda: parts.antennas.points)
        west.lay(1, BALLS[0])
        await until(lambda: _read(world, "101") == 1)
        west.lift(BALLS[0])
        west.lay(8, BALLS[0])
        await until(lambda: (session := bays.get("101").session) is not None and session.balls.shots == 1)
        session = bays.get("101").session
        assert session is not None
        assert session.balls.points == 4
        poller.cancel()
    await transport.aclose()


def _read(world: World, number: str) -> int:
    session = world.range.get(number).session
    return 0 if session is None else session.balls.read


class _Broken:
    """A driver with a defect."""

    reads_to_confirm = 1

    def __init__(self) -> None:
        self.asides = Asides(lambda: None)
        self.started = 0

    def set_plan(self, plan: AntennaPlan) -> None:
        pass

    async def run(self) -> None:
        self.started += 1
        raise ValueError("port 9: this request has ports 1 to 8")


async def test_a_driver_with_a_defect_takes_nothing_but_its_own_reader(
    world: World, west: SimulatedReader, east: SimulatedReader
) -> None:
    settings = {"west": west.settings({"1": "101"}), "east": east.settings({"1": "102"})}
    async with reader_side(world, settings, frozenset(BALLS)) as (bays, parts):
        parts.drivers["east"] = broken = _Broken()
        parts.antennas.attach("east", broken)
        for number in BAYS[:2]:
            await world.play(number, f"7{number}")
        await until(lambda: west.listened)
        west.lay(1, BALLS[0])
        await until(lambda: _read(world, "101") == 1)
        assert broken.started == 1  # and no sooner than after a pause again
        assert "a defect of its driver (ValueError)" in bays.get("102").devices["reader"].reason
        assert "reader_failed" in world.log.events()
