"""`bayd make-safe`: what it stops, and what does not keep it from that."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from bayd.devices.driven_dispensers import find_kept, keep
from bayd.settings.dispensers import Dispenser
from hardware.sim.hopper import HopperLine, HopperSettings, HopperSim
from hardware.sim.ptys import PtyPort
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine
from tests.cli.command import bayd, bayd_here, command, environment
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port


def test_without_dispensers_all_is_safe(tmp_path: Path) -> None:
    ran = bayd("make-safe", "--config", configuration(tmp_path, free_port()))
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_dispenser_that_is_not_reached_is_69_and_named(tmp_path: Path) -> None:
    more = (
        f'[dispensers.dead]\nlink = "{tmp_path / "not-there"}"\n'
        f'[dispensers.away]\nlink = "socket://127.0.0.1:{free_port()}"\n'
    )
    ran = bayd("make-safe", "--config", configuration(tmp_path, free_port(), more))
    assert ran.code == 69
    assert sorted(line.partition(":")[0] for line in ran.err.splitlines()) == ["away", "dead"]


def test_it_ends_though_nobody_reads_what_it_says(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), f'[dispensers.dead]\nlink = "{tmp_path / "none"}"\n')
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, bytes(4096)):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        ran = subprocess.run(
            command("make-safe", "--config", config),
            stdin=subprocess.DEVNULL, stderr=writing, check=False, timeout=60, env=environment(),
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert ran.returncode == 69


def test_what_it_cannot_stop_is_an_error_in_the_journal(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), f'[dispensers.dead]\nlink = "{tmp_path / "none"}"\n')
    ran = bayd("make-safe", "--config", config, env={"JOURNAL_STREAM": "8:1"})
    assert ran.code == 69
    assert ran.err.startswith("<3>dead: ")


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    ran = bayd("make-safe", "--config", tmp_path / "nowhere.toml")
    assert ran.code == 78
    assert "nowhere.toml" in ran.err


def test_whatever_else_is_wrong_the_dispensers_are_still_stopped(tmp_path: Path) -> None:
    """A motor must not run on because of a typing error elsewhere; nor one machine because of another."""
    more = (
        f'[dispensers.away]\nlink = "socket://127.0.0.1:{free_port()}"\n'
        '[dispensers.wrong]\nlink = "/dev/x"\nadress = 3\n'
        '[site]\nnmae = "typing error"\n[bays.110]\ndispenser = "nobody"\n'
    )
    config = configuration(tmp_path, free_port(), more)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "50-cut-off.toml").write_text("[qod")
    ran = bayd("make-safe", "--config", config, env={"BAYD_NO_SUCH": "1"})
    assert ran.code == 69
    assert "50-cut-off.toml: is not TOML" in ran.err
    assert "dispensers.wrong.adress: is no setting" in ran.err
    assert [line.partition(":")[0] for line in ran.err.splitlines()][-1] == "away"
    assert "nmae" not in ran.err


def test_wrong_secrets_do_not_keep_it_from_stopping_motors(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    assert bayd_here("make-safe", "--config", config, env={"BAYD_SITE_KEY": "wrong"}).code == 0


DISPENSERS = {
    "hopper": {"link": "/dev/serial/by-id/h", "address": 5, "checksum": "crc16", "echo": False},
    "plc": {
        "driver": "modbus_rtu", "link": "socket://127.0.0.1:1", "levels": {"1": "low"}, "faults": {7: "jam"},
    },
    "relay": {
        "driver": "pulse_relay", "board": "numato", "link": "/dev/serial/by-id/r",
        "feedback": {"input": "gpio", "number": 2},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DISPENSERS)
def test_what_bayd_was_started_with_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    adapter: TypeAdapter[Dispenser] = TypeAdapter(Dispenser)
    settings = adapter.validate_python(DISPENSERS[name])
    place, config = tmp_path / "dispensers.json", tmp_path / "bayd.toml"
    keep(place, config, {name: settings})
    assert {n: adapter.validate_python(table) for n, table in find_kept(place, config).items()} == {
        name: settings
    }
    assert find_kept(place, tmp_path / "another.toml") == {}


def test_a_started_daemon_leaves_its_dispensers_for_when_the_file_is_no_toml_any_more(tmp_path: Path) -> None:
    """Also those that a change of the file would have made somebody else: they are the ones that run."""
    first, second, third = free_port(), free_port(), free_port()
    away = '[dispensers.{name}]\nlink = "socket://127.0.0.1:{port}"\n'
    config = configuration(tmp_path, free_port(), away.format(name="east", port=first))
    runtime = tmp_path / "run"
    runtime.mkdir()
    env = {"RUNTIME_DIRECTORY": str(runtime)}
    with started("run", "--config", config, env=env) as daemon:
        daemon.wait_for("event=bayd_ready")
        daemon.stop(signal.SIGKILL)
    good = config.read_text()
    config.write_text(good + "[dispensers.east\n")
    ran = bayd("make-safe", "--config", config, env=env)
    assert ran.code == 69
    assert "bayd.toml: is not TOML" in ran.err
    assert "known all the same, and being stopped: east\n" in ran.err
    assert ran.err.splitlines()[-1].startswith("east: ")
    config.write_text(good.replace(str(first), str(second)) + away.format(name="west", port=third))
    ran = bayd("make-safe", "--config", config, env=env)
    named = sorted(line.partition(":")[0] for line in ran.err.splitlines())
    assert named == ["east", "east (as configured now)", "west"]
    (runtime / "dispensers.json").write_text("{")
    ran = bayd("make-safe", "--config", config, env=env)
    assert "dispensers.json: does not tell what bayd was started with" in ran.err
    assert sorted(line.partition(":")[0] for line in ran.err.splitlines())[-2:] == [
        "known all the same, and being stopped",
        "west",
    ]


def frame(header: int, *data: int) -> bytes:
    """ccTalk from host 1 to hopper 3: Dest Len Src Header Data… Chk, sum 0."""
    raw = bytes((3, len(data), 1, header, *data))
    return raw + bytes((-sum(raw) % 256,))


async def test_silent_machines_are_given_up_in_time_and_relays_are_off(tmp_path: Path) -> None:
    """Seven machines on four lines say nothing, one board obeys: three seconds for all, here fivefold."""
    lines = [PtyPort(tmp_path / f"silent-{number}") for number in range(4)]
    board_port = PtyPort(tmp_path / "board")
    machine = TrayMachine()
    board = SerialBoardSim(BoardKind.LCUS, [machine], board_port.send)
    board_port.on_bytes = board.receive
    for port in (*lines, board_port):
        port.plug()
    board.receive(bytes((0xA0, 1, 1, 0xA2)))  # channel 1 on, as a daemon that died in a pulse left it
    assert (machine.closures, machine.closed) == (1, True)
    more = f'[dispensers.relay]\ndriver = "pulse_relay"\nboard = "lcus"\nlink = "{tmp_path}/board"\n'
    hoppers = {f"hopper-{number}-{address}": (number, address) for number in range(3) for address in (3, 4)}
    for name, (number, address) in hoppers.items():
        more += f'[dispensers.{name}]\nlink = "{tmp_path}/silent-{number}"\naddress = {address}\n'
    more += f'[dispensers.plc]\ndriver = "modbus_rtu"\nlink = "{tmp_path}/silent-3"\n'
    config = configuration(tmp_path, free_port(), more)
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command("make-safe", "--config", config),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=environment(),
    )  # fmt: skip
    _, said = await process.communicate()
    took_s = time.monotonic() - began
    for port in (*lines, board_port):
        port.unplug()
    names = sorted(line.partition(":")[0] for line in said.decode().splitlines())
    assert names == sorted([*hoppers, "plc"])
    assert process.returncode == 69
    assert not machine.closed
    assert took_s < 5 * 3


async def test_a_motor_that_runs_is_stopped(tmp_path: Path) -> None:
    ball = asyncio.Event()
    port = PtyPort(tmp_path / "hopper")
    line = HopperLine(port.send)
    hopper = HopperSim(line, HopperSettings(), on_ball=lambda _index: ball.set())
    # Somebody, now gone, let it run: enabled (164), then 200 balls (167 with the serial number).
    line.receive(frame(164, 0xA5))
    line.receive(frame(167, *HopperSettings().serial.to_bytes(3, "little"), 200))
    await ball.wait()
    port.on_bytes = line.receive
    port.plug()
    config = configuration(tmp_path, free_port(), f'[dispensers.east]\nlink = "{tmp_path / "hopper"}"\n')
    process = await asyncio.create_subprocess_exec(
        *command("make-safe", "--config", config), stdin=asyncio.subprocess.DEVNULL, env=environment()
    )
    code = await process.wait()
    if hopper.running:  # the ball that is on its way still leaves
        ball.clear()
        await ball.wait()
        await asyncio.sleep(0)
    port.unplug()
    assert code == 0
    assert not hopper.running
    assert hopper.ejected < 200
