"""The readers as the daemon wires them, over serial ports: both families, unplugging, the status."""

import asyncio
from pathlib import Path

import pytest

from bayd.core.model import DeviceState
from bayd.core.rules import Rules
from tests.integration.readers_at_work import SimulatedReader, credits_in, reader_side, until
from tests.simulation.world import World

BALLS = tuple(f"E28011700000020A{number:08X}" for number in range(1, 9))
BAYS = ("101", "102", "103", "104")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal.db", {number: Rules() for number in BAYS})


async def test_both_families_credit_their_bays_and_show_it(
    world: World, r2000: SimulatedReader, chafon: SimulatedReader
) -> None:
    r2000.port.plug()
    chafon.port.plug()
    settings = {
        "west": r2000.settings({"1": "101", "8": "102"}, power=24),
        "east": chafon.settings({"2": "103", "6": "104"}, power=22, port_power={"6": 18}),
    }
    async with reader_side(world, settings, frozenset(BALLS)) as (_, parts):
        for number in BAYS:
            await world.play(number, f"7{number}")
        for reader, port, ball in ((r2000, 1, 0), (r2000, 8, 1), (chafon, 2, 2), (chafon, 6, 3)):
            reader.lay(port, BALLS[ball])
        await until(lambda: all(_read(world, number) == 1 for number in BAYS))
        assert sorted(await credits_in(world)) == list(zip(BAYS, BALLS[:4], strict=True))
        assert {port for port, _, _ in r2000.listened} == {1, 8}
        assert {port for port, _, _ in chafon.listened} == {2, 6}
        assert [r2000.sim.power_dbm(port) for port in (1, 8)] == [24, 24]
        assert [chafon.sim.power_dbm(port) for port in (2, 6)] == [22, 18]
        await until(lambda: parts.antennas.view("east").ports[6].revisit_ms is not None)
        shown = parts.devices()["readers"]
        assert [shown[name]["state"] for name in ("west", "east")] == ["ok", "ok"]
        assert shown["east"]["model"].startswith("UHFReader288")
        assert shown["west"]["ports"]["8"]["place"] == "102"
        assert shown["west"]["ports"]["8"]["listening"] is True
        assert 0 < shown["east"]["ports"]["6"]["revisit_s"] < 5
        assert parts.devices()["balls"]["credits_shed"] == 0
        assert parts.warnings() == []


async def test_after_a_replug_the_port_is_read_again_and_the_gap_is_its_blind_time(
    world: World, r2000: SimulatedReader
) -> None:
    r2000.port.plug()
    settings = {"west": r2000.settings({"2": "101", "7": "102"}, power=21, fault_after_s=1, reopen_s=[60])}
    async with reader_side(world, settings, frozenset(BALLS)) as (bays, parts):
        await world.play("101", "7")
        await until(lambda: len(r2000.listened) > 5)
        r2000.port.unplug()
        last = max(ended for _, _, ended in r2000.listened)
        await until(lambda: bays.get("101").devices["reader"].state is DeviceState.LOST)
        await asyncio.sleep(2.5)
        assert [warning["code"] for warning in parts.warnings()] == ["reader_away"]
        r2000.sim.flash_dbm = [11] * 8  # another one in its place
        r2000.port.plug()
        loop = asyncio.get_running_loop()
        plugged = loop.time()
        await until(lambda: any(began > plugged for _, began, _ in r2000.listened), within_s=10)
        first = min(ended for _, began, ended in r2000.listened if began > plugged)
        await until(lambda: not parts.antennas.view("west").ports[2].blind_now)
        assert {port for port, began, _ in r2000.listened if began > plugged} == {2}
        assert r2000.sim.power_dbm(2) == 21
        view = parts.antennas.view("west")
        # The rounds' ends reach us a moment after the antenna fell silent.
        assert view.ports[2].blind_ms / 1000 == pytest.approx(first - last, abs=1.0)
        assert view.ports[7].blind_ms == 0
        await until(lambda: bays.get("101").devices["reader"].state is DeviceState.OK)
        assert parts.warnings() == []
        r2000.lay(2, BALLS[0])
        await until(lambda: _read(world, "101") == 1)


async def test_what_a_reader_refuses_and_what_it_misses_is_shown(
    world: World, r2000: SimulatedReader
) -> None:
    r2000.sim.highest_dbm = 20
    r2000.sim.unplug_antenna(7)
    r2000.port.plug()
    settings = {"west": r2000.settings({"2": "101", "7": "pit:S1_1"}, power=21)}
    async with reader_side(world, settings, frozenset(BALLS)) as (_, parts):
        await world.play("101", "7")
        await until(lambda: len(parts.warnings()) == 3)
        codes = sorted(warning["code"] for warning in parts.warnings())
        assert codes == ["antenna_missing", "power_refused", "power_refused"]
        port = parts.devices()["readers"]["west"]["ports"]["7"]
        assert (port["place"], port["antenna_missing"], port["listening"]) == ("pit:S1_1", True, False)


def _read(world: World, number: str) -> int:
    session = world.range.get(number).session
    return 0 if session is None else session.balls.read
