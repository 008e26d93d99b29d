"""The small commands: version, schema, reference services, make-safe, usage errors."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import bayd as package
from hardware.sim.hopper import HopperLine, HopperSettings, HopperSim
from hardware.sim.ptys import PtyPort
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine
from tests.cli.command import bayd, bayd_here, command, environment
from tests.cli.daemon import configuration, free_port, started


def test_version() -> None:
    assert bayd_here("version").out == f"{package.__version__}\n"
    assert json.loads(bayd_here("version", "--json").out) == {"version": package.__version__}
    assert bayd("--version").out == f"bayd, version {package.__version__}\n"


def test_the_schema_and_the_reference_page_are_printed() -> None:
    schema = json.loads(bayd_here("config", "schema").out)
    assert "central" in schema["properties"]
    assert schema["additionalProperties"] is False
    page = bayd_here("config", "reference")
    assert (page.code, page.out.splitlines()[0]) == (0, "# Configuration")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run", "--nonsense"),
        ("run", "--log-level", "loud"),
        ("status", "--url"),
        ("check-config", "one.toml", "two.toml"),
        ("reference", "central"),
        ("reference", "central", "--db", "c.db", "--port", "70000"),
        ("reference", "qod", "--db", "q.db", "--port", "0", "--dialect", "klingon"),
        ("demo", "--json"),
        ("demo", "--once", "--sabotage", "nonsense"),
        ("sim", "jam"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_starts_nothing(arguments: tuple[str, ...]) -> None:
    ran = bayd_here(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error: " in ran.err


def test_every_command_explains_itself() -> None:
    shown = bayd_here("--help")
    assert shown.code == 0
    names = [line.split()[0] for line in shown.out.partition("Commands:\n")[2].splitlines() if line.strip()]
    assert {"run", "check-config", "status", "make-safe", "reference", "demo", "version"} <= set(names)


# Reference services.


@pytest.mark.parametrize(
    ("service", "path", "expected"),
    [
        (("central",), "/bay", 200),
        (("qod",), "/sessions/none", 401),
        (("qod", "--dialect", "camara-1.1"), "/sessions/none", 401),
    ],
)
def test_a_reference_service_says_where_it_listens_and_stops(
    tmp_path: Path, service: tuple[str, ...], path: str, expected: int
) -> None:
    name, *options = service
    with started("reference", name, "--db", tmp_path / "its.db", "--port", "0", *options) as running:
        url = running.wait_for("listening on ").split()[-1]
        try:
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        code = running.stop()
    assert (status, code) == (expected, 0)
    assert url.startswith("http://127.0.0.1:")
    assert (tmp_path / "its.db").exists()


@pytest.mark.parametrize("name", ["central", "qod"])
def test_a_reference_service_that_cannot_listen_is_69_and_says_why(tmp_path: Path, name: str) -> None:
    with started("reference", "central", "--db", tmp_path / "first.db", "--port", "0") as first:
        port = first.wait_for("listening on ").rpartition(":")[2].strip()
        ran = bayd("reference", name, "--db", tmp_path / "second.db", "--port", port)
    assert ran.code == 69
    assert port in ran.err
    assert "Traceback" not in ran.err


# make-safe.


def test_without_dispensers_all_is_safe(tmp_path: Path) -> None:
    ran = bayd_here("make-safe", "--config", configuration(tmp_path, free_port()))
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_dispenser_that_is_not_reached_is_69_and_named(tmp_path: Path) -> None:
    more = (
        f'[dispensers.dead]\nlink = "{tmp_path / "not-there"}"\n'
        f'[dispensers.away]\nlink = "socket://127.0.0.1:{free_port()}"\n'
    )
    ran = bayd_here("make-safe", "--config", configuration(tmp_path, free_port(), more))
    assert ran.code == 69
    assert sorted(line.partition(":")[0] for line in ran.err.splitlines()) == ["away", "dead"]


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    ran = bayd_here("make-safe", "--config", tmp_path / "nowhere.toml")
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
    ran = bayd_here("make-safe", "--config", config, env={"BAYD_NO_SUCH": "1"})
    assert ran.code == 69
    assert "50-cut-off.toml: is not TOML" in ran.err
    assert "dispensers.wrong.adress: is no setting" in ran.err
    assert [line.partition(":")[0] for line in ran.err.splitlines()][-1] == "away"
    assert "nmae" not in ran.err


def test_wrong_secrets_do_not_keep_it_from_stopping_motors(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    assert bayd_here("make-safe", "--config", config, env={"BAYD_SITE_KEY": "wrong"}).code == 0


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
