"""`bayd dispenser`: what a trial says that came out, and which PLCs a scan finds."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bayd.cli.daemon import Daemon
from bayd.cli.dispenser import pay_on_trial
from bayd.devices.dispenser_talk import Found, scan_line
from hardware.sim.plc import ModbusLine, PlcProgram, PlcSlave
from hardware.sim.ptys import PtyPort

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
