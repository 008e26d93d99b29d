"""`bayd reader …` against simulated readers on serial ports: what people and programs are told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bayd.cli import main
from bayd.core.rules import Rules
from bayd.devices.serial_ports import find_ports
from hardware.sim.r2000 import R2000Sim
from tests.integration.readers_at_work import SimulatedReader, reader_side, until
from tests.simulation.world import World

BALLS = ("E28011700000020A00000001", "E28011700000020A00000002")


async def bayd(*words: str) -> Result:
    """The command in a thread, while the simulated readers live in the loop."""
    return await asyncio.to_thread(CliRunner().invoke, main, list(words))


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def both(r2000: SimulatedReader, chafon: SimulatedReader) -> dict[str, SimulatedReader]:
    return {"r2000_a0": r2000, "uhfreader288": chafon}


@pytest.mark.parametrize(
    ("driver", "baudrate", "model"),
    [("r2000_a0", 115_200, "0xA0 8-port"), ("uhfreader288", 57_600, "UHFReader288MP")],
)
async def test_a_reader_is_identified_without_being_changed(
    both: dict[str, SimulatedReader], driver: str, baudrate: int, model: str
) -> None:
    reader = both[driver]
    reader.sim.flash_dbm = [30, 20, 20, 20, 20, 20, 20, 25]
    reader.sim.unplug_antenna(3)
    reader.port.plug()
    found = told(await bayd("reader", "identify", reader.link, "--json"))
    assert (found["driver"], found["baudrate"], found["model"]) == (driver, baudrate, model)
    assert found["port_count"] == 8
    assert found["power_dbm"] == [30, 20, 20, 20, 20, 20, 20, 25]
    assert found["antennas"] == {str(port): port != 3 for port in range(1, 9)}
    assert reader.sim.flash_writes == 0
    assert reader.listened == []
    assert reader.sim.commands[0x70] == 0  # nothing was reset
    text = (await bayd("reader", "identify", reader.link)).stdout
    assert f'driver = "{driver}"\nlink = "{reader.link}"' in text
    assert "port 3: 20 dBm, no antenna (return loss 1 dB)" in text


async def test_a_report_has_the_frames_and_nothing_personal(r2000: SimulatedReader, tmp_path: Path) -> None:
    assert isinstance(r2000.sim, R2000Sim)
    r2000.sim.identifier = b"BAY-OF-ANNA\xff"
    r2000.lay(1, BALLS[0])
    r2000.port.plug()
    report = tmp_path / "report.json"
    assert (await bayd("reader", "identify", r2000.link, "--report", str(report))).exit_code == 0
    text = report.read_text()
    document = json.loads(text)
    exchanges = {one["question"]: one for one in document["exchanges"]}
    assert exchanges["firmware"] == {
        "question": "firmware",
        "sent": "A0 03 FF 72 EC",
        "got": ["A0 05 01 72 01 09 DE"],
    }
    assert exchanges["identifier"]["got"] == ["withheld"]
    assert exchanges["return loss of port 8"]["got"] == ["A0 04 01 7E 0E CF"]
    for private in (r2000.link, "ANNA", b"ANNA".hex(" ").upper(), BALLS[0], str(tmp_path)):
        assert private not in text


async def test_nothing_there_is_said_with_what_to_look_at(r2000: SimulatedReader) -> None:
    r2000.sim.faults.dead = True
    r2000.port.plug()
    silent = await bayd("reader", "identify", r2000.link, "--driver", "r2000_a0", "--baudrate", "115200")
    assert silent.exit_code == 69
    assert "nothing answers as a reader" in silent.stderr
    r2000.port.unplug()
    gone = await bayd("reader", "identify", r2000.link)
    assert gone.exit_code == 69
    assert "is the adapter plugged in" in gone.stderr


async def test_a_port_that_the_daemon_holds_is_called_so(r2000: SimulatedReader, tmp_path: Path) -> None:
    r2000.port.plug()
    world = World(tmp_path / "journal.db", {"101": Rules()})
    settings = {"west": r2000.settings({"1": "101"})}
    async with reader_side(world, settings, frozenset(BALLS)) as (_, parts):
        await until(lambda: parts.antennas.view("west").state == "ok")
        for words in (("identify",), ("watch", "--seconds", "1"), ("power",), ("power", "--set", "20")):
            result = await bayd("reader", words[0], r2000.link, *words[1:])
            assert result.exit_code == 69
            assert "another process holds the port" in result.stderr
            assert "systemctl stop bayd" in result.stderr
        assert parts.antennas.view("west").state == "ok"
    assert told(await bayd("reader", "identify", r2000.link, "--json"))["driver"] == "r2000_a0"


@pytest.mark.parametrize("driver", ["r2000_a0", "uhfreader288"])
async def test_watch_shows_what_each_port_hears_and_leaves_the_powers(
    both: dict[str, SimulatedReader], driver: str
) -> None:
    reader = both[driver]
    reader.sim.flash_dbm = [30, 20, 20, 20, 20, 20, 20, 25]
    reader.lay(1, BALLS[0], -48)
    reader.lay(6, BALLS[1], -61)
    reader.port.plug()
    result = await bayd(
        "reader", "watch", reader.link, "--driver", driver, "--seconds", "1", "--json"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"event": "note", "text": "the reader answers"} in lines
    assert {(line["port"], line["epc"]) for line in lines if line["event"] == "tag"} == {
        (1, BALLS[0]),
        (6, BALLS[1]),
    }
    summary = lines[-1]
    assert summary["event"] == "summary"
    dbm = [-48, -61] if driver == "r2000_a0" else [None, None]
    assert [(tag["port"], tag["rssi_dbm"]) for tag in summary["tags"]] == [(1, dbm[0]), (6, dbm[1])]
    assert reader.sim.flash_writes == 0
    words = ("--port", "6", "--driver", driver, "--seconds", "1")
    only = await bayd("reader", "watch", reader.link, *words)
    assert only.exit_code == 0
    assert BALLS[1] in only.stdout
    assert BALLS[0] not in only.stdout
    assert {port for port, _, _ in reader.listened[-6:]} == {6}


@pytest.mark.parametrize("driver", ["r2000_a0", "uhfreader288"])
async def test_power_is_shown_set_and_held_to_the_region(
    both: dict[str, SimulatedReader], driver: str
) -> None:
    reader = both[driver]
    reader.port.plug()
    words = (reader.link, "--driver", driver)
    assert set(told(await bayd("reader", "power", *words, "--json"))["power_dbm"]) == {30}
    done = told(await bayd("reader", "power", *words, "--set", "22", "--port", "3", "--json"))
    assert done["power_dbm"] == [30, 30, 22, 30, 30, 30, 30, 30]
    assert (done["refused"], reader.sim.flash_writes) == ([], 1)
    too_much = await bayd("reader", "power", *words, "--set", "30")
    assert too_much.exit_code == 2
    assert "30 dBm is more than the 26 dBm that etsi allows" in too_much.stderr
    assert reader.sim.flash_writes == 1
    reader.sim.highest_dbm = 21
    refused = await bayd(
        "reader", "power", *words, "--set", "28", "--port", "1", "--region", "india", "--json"
    )  # fmt: skip
    assert refused.exit_code == 1
    assert "port 1: 28 dBm" in json.loads(refused.stdout)["refused"][0]


async def test_a_reader_of_the_configuration_is_called_by_its_name(
    chafon: SimulatedReader, tmp_path: Path
) -> None:
    chafon.port.plug()
    config = tmp_path / "bayd.toml"
    reader = f'driver = "uhfreader288"\nlink = "{chafon.link}"\nports = {{ 1 = "101" }}\n'
    config.write_text(f"[bays.101]\n[readers.east]\n{reader}")
    words = ("--config", str(config))
    assert told(await bayd("reader", "identify", "east", *words, "--json"))["driver"] == "uhfreader288"
    unknown = await bayd("reader", "identify", "west", *words)
    assert unknown.exit_code == 2
    assert "there is no reader 'west'" in unknown.stderr
    config.write_text("[readers]\n")
    assert (await bayd("reader", "identify", "east", "--config", str(tmp_path / "none.toml"))).exit_code == 78


async def test_scan_names_each_port_and_what_is_there(
    r2000: SimulatedReader, chafon: SimulatedReader, tmp_path: Path
) -> None:
    r2000.port.plug()
    chafon.port.plug()
    names = {
        "by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0": r2000,
        "by-path/pci-0000:00:14.0-usb-0:1:1.0-port0": r2000,
        "by-id/usb-1a86_USB_Serial-if00-port0": chafon,
        "by-path/pci-0000:00:14.0-usb-0:2:1.0-port0": chafon,
    }
    for name, reader in names.items():
        link = tmp_path / "serial" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(reader.link)
    rows = {row["link"]: row for row in told(await bayd("reader", "scan", "--dev", str(tmp_path), "--json"))}
    by_id = str(tmp_path / "serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0")
    by_path = str(tmp_path / "serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0")
    # A CH340 has no serial number: its twin would have the same name.
    assert set(rows) == {by_id, by_path}
    assert rows[by_id]["reader"]["driver"] == "r2000_a0"
    assert rows[by_path]["reader"]["driver"] == "uhfreader288"
    text = (await bayd("reader", "scan", "--dev", str(tmp_path))).stdout
    assert "r2000_a0: 0xA0 8-port, firmware 1.9, 8 ports at 115200 baud" in text


async def test_scan_of_a_machine_without_ports(tmp_path: Path) -> None:
    assert find_ports(tmp_path) == []
    assert told(await bayd("reader", "scan", "--dev", str(tmp_path), "--json")) == []
    assert "no serial port is known here" in (await bayd("reader", "scan", "--dev", str(tmp_path))).stdout
