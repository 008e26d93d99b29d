"""Dispensers as people write them: what is refused and how it is said, and the drivers that come of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bayd.core.rules import FaultPolicy, StepPolicy, UnknownPolicy
from bayd.devices.dispensers import make_dispensers
from bayd.settings import Configuration, ConfigurationError, load
from hardware.dispenser.cctalk_hopper import CctalkHopper
from hardware.dispenser.modbus_rtu import ModbusPlc
from hardware.dispenser.pulse_relay import PulseRelay
from hardware.sim.hopper import HopperLine, HopperSettings, HopperSim
from hardware.sim.plc import ModbusLine, PlcProgram, PlcSlave
from hardware.sim.ptys import PtyPort
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine, WaveshareSim

HOPPER = '[dispensers.east]\nlink = "/dev/hoppers"\n'
PLC = '[dispensers.west]\ndriver = "modbus_rtu"\nlink = "/dev/rs485"\n'
TRAY = '[dispensers.south]\ndriver = "pulse_relay"\nlink = "/dev/relays"\nboard = "numato"\n'
BAY = '[bays.101]\nrfid = false\ndispenser = "{}"\n'


def configured(path: Path, text: str) -> Configuration:
    file = path / "bayd.toml"
    file.write_text(text)
    return load(file, {})


def complaints(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        configured(path, text)
    return [str(complaint) for complaint in caught.value.complaints]


def test_each_driver_comes_from_its_own_table(tmp_path: Path) -> None:
    made = make_dispensers(configured(tmp_path, HOPPER + PLC + TRAY).settings.dispensers)
    assert [type(driver) for driver in made.values()] == [CctalkHopper, ModbusPlc, PulseRelay]
    assert [driver.capabilities.step for driver in made.values()] == [1, 1, 25]
    assert [driver.capabilities.counted for driver in made.values()] == [True, True, False]


def test_what_the_tables_say_reaches_the_drivers(tmp_path: Path) -> None:
    text = (
        PLC
        + 'max_per_payout = 40\n[dispensers.west.registers]\nrequest = 100\nstop = "none"\nlevel = "none"\n'
        + TRAY
        + 'balls_per_pulse = 30\nfeedback = { input = "gpio", number = 2 }\n'
    )
    plc, tray = make_dispensers(configured(tmp_path, text).settings.dispensers).values()
    assert (plc.capabilities.max_per_payout, plc.capabilities.emergency_stop) == (40, False)
    assert not plc.capabilities.level_sensors
    assert (tray.capabilities.step, tray.capabilities.max_per_payout) == (30, 30)
    assert tray.capabilities.counted


def hoppers(port: PtyPort) -> str:
    line = HopperLine(port.send)
    for address in (3, 4):
        HopperSim(line, HopperSettings(address=address))
    port.on_bytes = line.receive
    return "".join(f'[dispensers.h{at}]\nlink = "{port.path}"\naddress = {at}\n' for at in (3, 4))


def plc_and_relays(port: PtyPort) -> str:
    line = ModbusLine(port.send)
    line.attach(1, PlcSlave(PlcProgram()))
    line.attach(2, WaveshareSim([TrayMachine(), TrayMachine()]))
    port.on_bytes = line.receive
    plc = f'[dispensers.plc]\ndriver = "modbus_rtu"\nlink = "{port.path}"\n'
    return plc + trays(port, "waveshare_flash", "unit = 2\nchannels = 2\n")


def relays(port: PtyPort) -> str:
    board = SerialBoardSim(BoardKind.NUMATO, [TrayMachine(), TrayMachine()], port.send)
    port.on_bytes = board.receive
    return trays(port, "numato", "channels = 2\n")


def trays(port: PtyPort, board: str, more: str) -> str:
    return "".join(
        f'[dispensers.tray{channel}]\ndriver = "pulse_relay"\nboard = "{board}"\nlink = "{port.path}"\n'
        f"channel = {channel}\n{more}"
        for channel in (1, 2)
    )


@pytest.mark.parametrize("machines", [hoppers, plc_and_relays, relays])
async def test_machines_on_one_line_share_it(tmp_path: Path, machines: Callable[[PtyPort], str]) -> None:
    """Two owners of one port lock each other out: the second could never open it."""
    port = PtyPort(tmp_path / "line")
    text = machines(port)
    port.plug()
    try:
        made = make_dispensers(configured(tmp_path, text).settings.dispensers)
        links = {(await driver.connect()).details["link"].split(",")[0] for driver in made.values()}
        assert links == {str(port.path)}
        for driver in made.values():
            await driver.aclose()
    finally:
        port.unplug()


async def test_a_beam_on_a_line_of_its_own_gives_that_line_back(tmp_path: Path) -> None:
    board, inputs = PtyPort(tmp_path / "board"), PtyPort(tmp_path / "inputs")
    machine = TrayMachine()
    board.on_bytes = SerialBoardSim(BoardKind.KMTRONIC, [machine], board.send).receive
    line = ModbusLine(inputs.send)
    line.attach(7, WaveshareSim([machine]))
    inputs.on_bytes = line.receive
    text = (
        f'[dispensers.tray]\ndriver = "pulse_relay"\nboard = "kmtronic"\nchannels = 1\n'
        f'link = "{board.path}"\n'
        f'feedback = {{ input = "modbus", link = "{inputs.path}", unit = 7, baudrate = 19200 }}\n'
    )
    board.plug()
    inputs.plug()
    try:
        for _ in range(2):
            (tray,) = make_dispensers(configured(tmp_path, text).settings.dispensers).values()
            assert (await tray.connect()).details["counted"] == "yes"
            await tray.aclose()
    finally:
        board.unplug()
        inputs.unplug()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[dispensers.east]\ndriver = "coins"\nlink = "/dev/x"\n',
            "dispensers.east.driver: there is no such driver; there are cctalk_hopper, modbus_rtu, pulse_",
        ),
        ("[dispensers.east]\ndriver = 5\n", "dispensers.east.driver: there is no such driver"),
        ("[dispensers.east]\naddress = 3\n", "dispensers.east.link: is missing"),
        (HOPPER + "unit = 1\n", "dispensers.east.unit: is no setting"),
        (PLC + "address = 3\n", "dispensers.west.address: is no setting"),
        (PLC + 'registers = { stop = "never" }\n', "dispensers.west.registers.stop"),
        (
            PLC + "registers = { stop = 1 }\n",
            "dispensers.west.registers: stop: register 1 is used twice (also the request id after request)",
        ),
        (
            PLC + "registers = { ack_id = 400 }\n",
            "dispensers.west.registers: ack_id, delivered, state, fault and total span 390 registers",
        ),
        (PLC + 'levels = { 0 = "half" }\n', "dispensers.west.levels.0"),
        (TRAY + "channel = 9\n", "dispensers.south: channel: the board has channels 1 to 8"),
        (TRAY + "channels = 17\n", "dispensers.south: channels: a board of the kind numato has at most 16"),
        (TRAY + "unit = 2\n", "dispensers.south: unit: only for waveshare_flash"),
        (
            TRAY.replace("numato", "lcus") + 'feedback = { input = "gpio" }\n',
            "dispensers.south: feedback.input: only a numato board has inputs of its own",
        ),
        (TRAY + 'feedback = { input = "modbus" }\n', "dispensers.south: feedback.link: is missing"),
        (TRAY + "pulse_s = 0\n", "dispensers.south.pulse_s"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    found = complaints(tmp_path, text)
    assert any(complaint.startswith(said) for complaint in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HOPPER + HOPPER.replace("east", "west"), "dispensers.west.address: is used twice on this line"),
        (
            HOPPER + HOPPER.replace("east", "west") + 'address = 4\nchecksum = "crc16"\n',
            "dispensers.west.link: the port is used twice: dispensers.east needs ccTalk with sum8",
        ),
        (PLC + PLC.replace("west", "far"), "dispensers.far.unit: is used twice on this line"),
        (
            PLC + PLC.replace("west", "far") + "unit = 2\nbaudrate = 19200\n",
            "dispensers.far.link: the port is used twice: dispensers.west needs Modbus at 9600 8N1 there, "
            "this Modbus at 19200 8N1",
        ),
        (
            PLC + TRAY.replace("/dev/relays", "/dev/rs485").replace("numato", "waveshare_flash"),
            "dispensers.south.unit: dispensers.west is another kind of device under the same number",
        ),
        (TRAY + TRAY.replace("south", "north"), "dispensers.north.channel: is used twice on this line"),
        (
            TRAY + TRAY.replace("south", "north").replace("numato", "lcus") + "channel = 2\n",
            "dispensers.north.link: the port is used twice",
        ),
        (
            PLC
            + "baudrate = 19200\n"
            + TRAY
            + 'feedback = { input = "modbus", link = "/dev/rs485", unit = 9 }\n',
            "dispensers.south.feedback.link: the port is used twice",
        ),
        (
            HOPPER + '[readers.r1]\nlink = "/dev/hoppers"\nports = {}\n',
            "dispensers.east.link: the port is used twice (also readers.r1.link)",
        ),
    ],
)
def test_machines_that_get_into_each_others_way_are_named(tmp_path: Path, text: str, said: str) -> None:
    found = complaints(tmp_path, text)
    assert [complaint for complaint in found if complaint.startswith(said)], found


@pytest.mark.parametrize(
    ("play", "said"),
    [
        ("dispense_choices = [20, 50]", "play.dispense_choices: 20 is no multiple: dispensers.south pays 25"),
        ("dispense_choices = [500]", "play.dispense_choices: 500 is more than dispense_max_balls (200)"),
        ("dispense_cap_balls = 20", "play.dispense_cap_balls: 20 is too few: dispensers.south pays 25"),
        ("dispense_max_balls = 20", "play.dispense_max_balls: 20 is too few: dispensers.south pays 25"),
        (
            'dispense_choices = [20, 50]\ndispense_step = "round_down"',
            "play.dispense_choices: 20 rounded down is nothing: dispensers.south pays 25",
        ),
        ('dispense_step = "guess"', "play.dispense_step"),
        ('unknown_balls = "forget"', "play.unknown_balls"),
        ("variance_percent = 101", "play.variance_percent"),
    ],
)
def test_sizes_that_a_machine_cannot_pay_are_refused_before_a_customer_presses(
    tmp_path: Path, play: str, said: str
) -> None:
    found = complaints(tmp_path, TRAY + f"[play]\n{play}\n")
    assert [complaint for complaint in found if complaint.startswith(said)], found


def test_a_rounding_site_may_offer_any_size(tmp_path: Path) -> None:
    text = TRAY + BAY.format("south") + '[play]\ndispense_choices = [20, 50]\ndispense_step = "round_up"\n'
    assert configured(tmp_path, text).rules("101").dispense_choices == (20, 50)


def test_the_rules_of_a_bay_are_those_of_its_machine_and_of_the_site(tmp_path: Path) -> None:
    text = (
        TRAY
        + "capacity_balls = 400\n"
        + BAY.format("south")
        + '[play]\nunknown_balls = "owe"\ndispenser_fault = "pause"\ndispense_cap_balls = 100\n'
        + 'dispense_step = "round_down"\nvariance_grant = true\n'
    )
    rules = configured(tmp_path, text).rules("101")
    assert (rules.dispenser_step, rules.dispenser_capacity, rules.cap_balls) == (25, 400, 100)
    assert (rules.step_policy, rules.unknown_balls) == (StepPolicy.ROUND_DOWN, UnknownPolicy.OWE)
    assert (rules.dispenser_fault, rules.variance_grant) == (FaultPolicy.PAUSE, True)
    # No antenna, no list of balls: nothing that is read proves anything.
    assert not rules.reads_balls


def test_the_machine_of_one_bay_says_nothing_about_another(tmp_path: Path) -> None:
    text = HOPPER + TRAY + BAY.format("east") + BAY.format("south").replace("101", "102")
    configuration = configured(tmp_path, text)
    assert [configuration.rules(number).dispenser_step for number in ("101", "102")] == [1, 25]
