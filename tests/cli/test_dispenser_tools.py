"""`bayd dispenser`: what a trial says that came out, and which PLCs a scan finds."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bayd.cli.daemon import Daemon
from bayd.cli.dispenser import pay_on_trial
from bayd.devices.dispenser_talk import Found, scan_line
from hardware.sim.hopper import HopperLine, HopperSettings, HopperSim
from hardware.sim.plc import ModbusLine, PlcProgram, PlcSlave
from hardware.sim.ptys import PtyPort
from tests.cli.command import Ran, bayd_here
from tests.cli.daemon import started
from tests.free_ports import free_port

COUNTED: dict[str, Any] = {"details": {}}
BLIND: dict[str, Any] = {"details": {"counted": "no"}}
OK = {"state": "ok", "reason": ""}


class DaemonSaying:
    """Tells how the trial ended, after a payout that somebody else had."""

    def __init__(self, payout: dict[str, Any], machine: dict[str, str]) -> None:
        self._payout = payout
        self._state = {"devices": {"dispenser": machine}}

    async def get(self, _path: str) -> dict[str, Any]:
        return {"bays": {"101": {"session": None}}}

    async def post(self, _path: str, _body: object) -> None:
        pass

    async def stream(self, _path: str) -> AsyncIterator[Any]:
        theirs = {**self._payout, "test": False, "end": "done", "paid": 999}
        yield SimpleNamespace(json={"bays": {}})
        yield SimpleNamespace(json={"payout": theirs, "state": self._state})
        yield SimpleNamespace(json={"payout": None, "state": self._state})
        yield SimpleNamespace(json={"payout": self._payout, "state": self._state})


@pytest.mark.parametrize(
    ("device", "end", "machine", "expected"),
    [
        (COUNTED, {"end": "done", "paid": 5}, OK, (True, 5, "5 counted")),
        (COUNTED, {"end": "done", "paid": 5, "surplus": 2}, OK, (True, 7, "7 counted")),
        (BLIND, {"end": "done", "paid": 5}, OK, (True, None, "5 by its pulses; count the balls")),
        # Its power blinked: nothing is broken, and three balls are missing all the same.
        (COUNTED, {"end": "fault", "paid": 2}, OK, (False, 2, "2 counted (fault)")),
        (COUNTED, {"end": "never_started", "paid": 0}, OK, (False, 0, "0 counted (never started)")),
        (
            COUNTED,
            {"end": "unknown", "paid": 1, "unknown": 4},
            OK,
            (False, 1, "1 counted, 4 unknown: count the balls (unknown)"),
        ),
        (
            COUNTED,
            {"end": "fault", "paid": 1},
            {"state": "fault", "reason": "jam"},
            (False, 1, "1 counted (fault, fault: jam)"),
        ),
    ],
)
async def test_a_trial_is_done_when_all_came_out_for_certain(
    device: dict[str, Any],
    end: dict[str, Any],
    machine: dict[str, str],
    expected: tuple[bool, int | None, str],
) -> None:
    payout = {"payout_id": "p1", "surplus": 0, "unknown": 0, "test": True, **end}
    daemon = cast("Daemon", DaemonSaying(payout, machine))
    outcome = await pay_on_trial(daemon, device, ["101"], {"balls": 5, "reason": "new"})
    assert (outcome["done"], outcome["counted"], outcome["text"]) == expected
    assert outcome["bay"] == "101"


async def test_a_scan_finds_the_plcs_of_a_line_and_starts_nothing(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "line")
    line = ModbusLine(port.send, baudrate=9600)
    port.on_bytes = line.receive
    programs = {unit: PlcProgram() for unit in (1, 3)}
    # One has other registers than we ask for: its refusal is an answer, too.
    programs[3].registers.pop(0)
    for unit, program in programs.items():
        line.attach(unit, PlcSlave(program))
    port.plug()
    try:
        found = await scan_line(str(tmp_path / "line"), hoppers=(3,), units=(1, 2, 3))
    finally:
        port.unplug()
    assert found == (Found("modbus", 1, ""), Found("modbus", 3, ""))
    assert [(program.commanded, program.ejected) for program in programs.values()] == [(0, 0), (0, 0)]


async def test_a_machine_is_cleared_and_filled_from_the_command_line(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "hopper")
    line = HopperLine(port.send)
    port.on_bytes = line.receive
    hopper = HopperSim(line, HopperSettings())
    port.plug()
    config = tmp_path / "bayd.toml"
    config.write_text(
        f'[http]\nlisten = ["127.0.0.1:{free_port()}"]\n[state]\ndir = "{tmp_path / "state"}"\n'
        f'[central]\nurl = "http://127.0.0.1:{free_port()}"\npoll_s = 60\n'
        f'[dispensers.east]\nlink = "{tmp_path / "hopper"}"\n[dispensers.spare]\nlink = "{tmp_path / "no"}"\n'
        '[bays.101]\nrfid = false\ndispenser = "east"\n[bays.102]\nrfid = false\ndispenser = "east"\n'
    )

    async def bayd(*words: object) -> Ran:
        return await asyncio.to_thread(bayd_here, *words, "--config", config)

    async def until(state: str) -> None:
        async with asyncio.timeout(20):
            while json.loads((await bayd("dispenser", "identify", "east", "--json")).out)["state"] != state:
                continue

    alone = await bayd("dispenser", "clear", "east", "--reason", "looked")
    assert (alone.code, "systemctl start bayd" in alone.err) == (69, True)
    with started("run", "--config", config) as daemon:
        await asyncio.to_thread(daemon.wait_for, "event=bayd_ready")
        await until("ok")
        early = await bayd("dispenser", "clear", "east", "--reason", "looked")
        assert (early.code, "no_fault" in early.err) == (1, True)
        # Without a capacity nobody knows what full is.
        full = await bayd("dispenser", "refill", "east", "--reason", "morning")
        assert (full.code, "balls_missing" in full.err) == (1, True)
        filled = await bayd("dispenser", "refill", "east", "--balls", "500", "--reason", "morning")
        assert (filled.code, filled.out) == (0, "east: 500 balls in it now\n")
        hopper.jam_after = 1
        jammed = await bayd("dispenser", "test", "east", "--balls", "3", "--reason", "new motor")
        assert jammed.code == 1
        await until("fault")
        hopper.forget_faults()
        cleared = await bayd("dispenser", "clear", "east", "--reason", "ball taken out", "--json")
        assert (cleared.code, json.loads(cleared.out)["number"]) == (0, "101")
        await until("ok")
        status = json.loads((await bayd("status", "--json")).out)
        assert status["devices"]["dispensers"]["east"]["stock"] == 499
        spare = await bayd("dispenser", "clear", "spare", "--reason", "looked")
        assert (spare.code, "no bay has dispenser" in spare.err) == (2, True)
        done = json.loads((await bayd("audit", "--json")).out)
        assert [(row["act"], row["reason"]) for row in done] == [
            ("Refill", "morning"),
            ("TestDispense", "new motor"),
            ("ClearFault", "ball taken out"),
        ]
        assert await asyncio.to_thread(daemon.stop) == 0
    port.unplug()
