"""`bayd dispenser` and `bayd commission` beside a real daemon with reader and hopper on serial ports."""

import asyncio
import json
from pathlib import Path
from typing import Any

from hardware.sim.hopper import HopperLine, HopperSettings, HopperSim
from hardware.sim.ptys import PtyPort
from tests.cli.command import Ran, bayd_here
from tests.cli.daemon import started
from tests.free_ports import free_port
from tests.integration.readers_at_work import SimulatedReader

BALL = "E28011700000020A00000001"


def told(ran: Ran) -> Any:
    assert ran.code == 0, ran
    return json.loads(ran.out)


async def test_a_bay_is_taken_into_service(tmp_path: Path) -> None:
    fallen: list[int] = []
    port = PtyPort(tmp_path / "hopper")
    line = HopperLine(port.send)
    port.on_bytes = line.receive
    hopper = HopperSim(line, HopperSettings(), on_ball=fallen.append)
    port.plug()
    reader = SimulatedReader(tmp_path / "reader", "r2000_a0")
    reader.port.plug()
    reader.lay(1, BALL, -45)
    config = tmp_path / "bayd.toml"
    config.write_text(
        f'[http]\nlisten = ["127.0.0.1:{free_port()}"]\n[state]\ndir = "{tmp_path / "state"}"\n'
        f'[central]\nurl = "http://127.0.0.1:{free_port()}"\npoll_s = 60\n'
        f'[dispensers.east]\nlink = "{tmp_path / "hopper"}"\n[bays.101]\ndispenser = "east"\n[bays.102]\n'
        f'[readers.west]\nlink = "{reader.link}"\nports = {{ 1 = "101", 2 = "102" }}\n'
    )

    async def bayd(*words: object) -> Ran:
        return await asyncio.to_thread(bayd_here, *words, "--config", config)

    # The port is free: the tools ask the machine themselves, and pay nothing.
    (row,) = told(await bayd("dispenser", "scan", tmp_path / "hopper", "--json"))
    assert [(one["protocol"], one["address"]) for one in row["found"]] == [("cctalk", 3)]
    assert told(await bayd("dispenser", "identify", "east", "--json"))["details"]["serial"]
    refused = await bayd("dispenser", "test", "east", "--reason", "new")
    assert (refused.code, "systemctl start bayd" in refused.err) == (69, True)
    assert fallen == []
    with started("run", "--config", config) as daemon:
        await asyncio.to_thread(daemon.wait_for, "event=reader_online")
        (row,) = told(await bayd("dispenser", "scan", tmp_path / "hopper", "--json"))
        assert (row["found"], row["held"]["name"]) == ([], "east")
        async with asyncio.timeout(20):  # until it has said what it is
            while told(await bayd("dispenser", "identify", "east", "--json"))["state"] != "ok":
                continue
        paid = told(await bayd("dispenser", "test", "east", "--balls", "2", "--reason", "new", "--json"))
        assert (paid["bay"], paid["done"], paid["counted"], len(fallen)) == ("101", True, 2, 2)
        words = ("commission", "101", "--no-questions", "--json")
        report = await bayd(*words, "--seconds", "10", "--skip", "booking")
        document = told(report)
        assert {step["name"]: step["outcome"] for step in document["steps"]} == {
            "antenna": "pass",
            "neighbour": "pass",
            "payout": "pass",
            "level": document["steps"][3]["outcome"],
            "screen": "skipped",
            "booking": "skipped",
        }
        assert BALL in document["steps"][0]["text"]
        assert "-45 dBm" in document["steps"][0]["text"]
        assert document["by"].startswith("local:")
        assert len(fallen) == 3
        # The neighbour hears it as loud, and the server is away: it fails, and says since when.
        reader.lay(2, BALL, -44)
        worse = await bayd(*words, "--seconds", "10", "--skip", "payout", "--skip", "screen")
        assert worse.code == 1
        document = json.loads(worse.out)
        assert "neighbour: pass before, fail now" in document["changes"]
        assert document["steps"][5]["outcome"] == "fail"
        assert (await bayd("commission", "102", "--list")).out == "bay 102: no report yet\n"
        listed = told(await bayd("commission", "101", "--list", "--json"))
        assert [one["passed"] for one in listed] == [True, False]
        unknown = await bayd("commission", "999", "--no-questions")
        assert unknown.code == 1
        assert "unknown_bay" in unknown.err
        assert await asyncio.to_thread(daemon.stop) == 0
    assert hopper.ejected == 3
    files = sorted((tmp_path / "state" / "commission").iterdir())
    assert [file.suffix for file in files] == [".json", ".txt"] * 2
    reader.close()
    port.unplug()
