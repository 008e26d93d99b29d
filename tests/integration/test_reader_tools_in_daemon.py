"""A technician asks while the daemon drives the reader: between rounds, nothing lost, nothing credited."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bayd.core.rules import Rules
from bayd.web.readers import ToolRefusedError
from bayd.wiring.reader_tools import ReaderTools
from tests.cli.command import Ran, bayd_here
from tests.cli.daemon import started
from tests.free_ports import free_port
from tests.integration.readers_at_work import SimulatedReader, credits_in, reader_side, until
from tests.simulation.world import World

BALLS = ("E28011700000020A00000001", "E28011700000020A00000002")


@pytest.fixture(params=["r2000_a0", "uhfreader288"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty", request.param)
    yield reader
    reader.close()


async def test_play_goes_on_while_a_technician_asks(reader: SimulatedReader, tmp_path: Path) -> None:
    reader.port.plug()
    world = World(tmp_path / "journal.db", {"101": Rules(), "102": Rules()})
    settings = {"west": reader.settings({"1": "101", "2": "102"}, power=24)}
    async with reader_side(world, settings, frozenset(BALLS)) as (bays, parts):
        tools = ReaderTools(parts, bays.get, world.log)
        await until(lambda: parts.antennas.view("west").state == "ok")
        await world.play("101", minutes=30)
        await until(lambda: parts.antennas.view("west").ports[1].revisit_ms is not None)
        rounds = parts.antennas.view("west").rounds
        heard: list[tuple[str, dict[str, Any]]] = []

        with tools.watched("west", (), lambda name, data: heard.append((name, data))) as ports:
            assert ports == {1, 2}
            reader.lay(1, BALLS[0])
            reader.lay(2, BALLS[1])  # nobody plays there
            found = await tools.identify("west")
            assert found["driver"] == reader.driver
            assert found["exchanges"]

            def watched() -> set[tuple[int, str]]:
                return {
                    (r["port"], r["epc"]) for name, data in heard if name == "reads" for r in data["reads"]
                }

            await until(lambda: watched() == {(1, BALLS[0]), (2, BALLS[1])})
        await until(lambda: len(bays.get("101").credits) == 1)
        with pytest.raises(ToolRefusedError) as refused:
            await tools.set_power("west", 20, [1])
        assert refused.value.problem.code == "in_play"
        before, after, problems = await tools.set_power("west", 20, [2])
        assert (before[:2], after[:2], problems) == ([24, 24], [24, 20], [])
        view = parts.antennas.view("west")
        assert view.rounds > rounds
        assert view.ports[1].blind_ms == 0  # nobody was kept from listening
        assert view.state == "ok"
        assert await credits_in(world) == [("101", BALLS[0])]
        # The trial outlasts the start of play: it is not put back behind the technician's back.
        await world.play("102", "8", minutes=30)
        await until(lambda: len(bays.get("102").credits) == 1)
        assert (await tools.powers("west"))[1] == 20


async def test_a_reader_that_is_away_is_called_so_at_once(reader: SimulatedReader, tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"101": Rules()})
    async with reader_side(world, {"west": reader.settings({"1": "101"})}, frozenset()) as (bays, parts):
        tools = ReaderTools(parts, bays.get, world.log)
        for ask in (tools.identify("west"), tools.powers("west"), tools.set_power("west", 20, [1])):
            with pytest.raises(ToolRefusedError) as refused:
                await ask
            assert refused.value.problem.code == "reader_away"
        reader.port.plug()
        await until(lambda: parts.antennas.view("west").state == "ok")
        asked = asyncio.gather(tools.identify("west"), return_exceptions=True)
        await asyncio.sleep(0)
        reader.port.unplug()  # in the middle of it
        (outcome,) = await asked
        assert isinstance(outcome, ToolRefusedError)
        for port, complaint in ((7, "unknown_port"), (1, "too_much_power")):
            with pytest.raises(ToolRefusedError) as refused:
                await tools.set_power("west", 33, [port])
            assert refused.value.problem.code == complaint
        with pytest.raises(ToolRefusedError, match="there is west"):
            await tools.powers("east")


# The command line, beside a real daemon.


def daemon_configuration(directory: Path, port: int, link: str, driver: str) -> Path:
    file = directory / "bayd.toml"
    file.write_text(
        f'[http]\nlisten = ["127.0.0.1:{port}"]\n[state]\ndir = "{directory / "state"}"\n'
        f'[central]\nurl = "http://127.0.0.1:{free_port()}"\npoll_s = 60\n[bays.101]\n[bays.102]\n'
        f'[readers.west]\ndriver = "{driver}"\nlink = "{link}"\nports = {{ 1 = "101", 2 = "102" }}\n'
    )
    return file


def told(ran: Ran) -> Any:
    assert ran.code == 0, ran
    return json.loads(ran.out)


@pytest.mark.system
@pytest.mark.parametrize("reader", ["r2000_a0"], indirect=True)
async def test_the_commands_go_through_the_daemon_that_holds_the_port(
    reader: SimulatedReader, tmp_path: Path
) -> None:
    reader.sim.flash_dbm = [24] * 8
    reader.port.plug()
    reader.lay(2, BALLS[0])
    config = daemon_configuration(tmp_path, free_port(), reader.link, reader.driver)
    by_id = tmp_path / "dev" / "serial" / "by-id" / "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    by_id.parent.mkdir(parents=True)
    by_id.symlink_to(reader.link)

    async def bayd(*words: object) -> Ran:
        return await asyncio.to_thread(bayd_here, "reader", *words, "--config", config)

    with started("run", "--config", config) as daemon:
        await asyncio.to_thread(daemon.wait_for, "event=reader_online")
        found = told(await bayd("identify", "west", "--json"))
        assert (found["driver"], found["port_count"]) == (reader.driver, 8)
        report = tmp_path / "report.json"
        by_link = await bayd("identify", str(by_id), "--report", report)
        assert by_link.code == 0, by_link
        document = json.loads(report.read_text())
        assert document["exchanges"][0]["got"]
        assert str(tmp_path) not in report.read_text()
        watched = await bayd("watch", "west", "--seconds", "1", "--json")
        assert watched.code == 0, watched
        lines = [json.loads(line) for line in watched.out.splitlines()]
        assert lines[0] == {
            "event": "note",
            "text": "bayd holds the reader and lets us hear its ports 1, 2",
        }
        assert [(tag["port"], tag["epc"]) for tag in lines[-1]["tags"]] == [(2, BALLS[0])]
        assert told(await bayd("power", "west", "--json"))["power_dbm"] == [20, 20] + [24] * 6
        tried = await bayd("power", "west", "--set", "22", "--port", "2", "--json")
        assert told(tried)["power_dbm"][1] == 22
        assert "until bayd starts again" in tried.err
        wrong = await bayd("power", "west", "--set", "22", "--port", "5")
        assert (wrong.code, "ports: Port 5 is not among [readers.west.ports]" in wrong.err) == (1, True)
        (row,) = told(await bayd("scan", "--dev", tmp_path / "dev", "--json"))
        assert (row["reader"], row["held"]["name"], row["held"]["state"]) == (None, "west", "ok")
        text = (await bayd("scan", "--dev", tmp_path / "dev")).out
        assert "held by bayd: reader west, " in text
        assert ", ok, bays 101, 102" in text
        assert await asyncio.to_thread(daemon.stop) == 0
    # The port is free again, and the tool asks it by itself.
    assert told(await bayd("identify", "west", "--json"))["driver"] == reader.driver
