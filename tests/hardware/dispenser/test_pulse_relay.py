"""Relay boards and the open-loop driver in named situations, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from hardware.dispenser import (
    DispenserUnavailableError,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    relay_frames,
)
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.pulse_relay import PulseRelay, PulseSettings
from hardware.dispenser.relay_boards import KmtronicBoard, LcusBoard, NumatoBoard, WaveshareBoard
from hardware.sim.plc import ModbusLine
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine, WaveshareSim
from tests.hardware.dispenser.rigs import RelayRig
from tests.hardware.dispenser.wires import MemoryWire, nowhere

# ---- bytes


@pytest.mark.parametrize(
    ("channel", "on", "raw"),
    [
        (1, True, "A0 01 01 A2"),
        (1, False, "A0 01 00 A1"),
        (2, True, "A0 02 01 A3"),
        (2, False, "A0 02 00 A2"),
        (3, True, "A0 03 01 A4"),
        (4, True, "A0 04 01 A5"),
        (8, True, "A0 08 01 A9"),
        (8, False, "A0 08 00 A8"),
    ],
)
def test_lcus_bytes(channel: int, on: bool, raw: str) -> None:
    assert relay_frames.lcus_set(channel, on=on) == bytes.fromhex(raw)


def test_kmtronic_bytes() -> None:
    assert relay_frames.kmtronic_set(1, on=True) == bytes.fromhex("FF 01 01")
    assert relay_frames.kmtronic_set(4, on=False) == bytes.fromhex("FF 04 00")
    assert relay_frames.kmtronic_read(2) == bytes.fromhex("FF 02 03")
    assert relay_frames.find_kmtronic_state(bytes.fromhex("00 FF 02 01"), 2) is True
    assert relay_frames.find_kmtronic_state(bytes.fromhex("FF 02 00"), 2) is False
    assert relay_frames.find_kmtronic_state(bytes.fromhex("FF 01 01 FF 02"), 2) is None


def test_numato_bytes() -> None:
    assert relay_frames.numato_set(1, on=True) == b"relay on 0\r"
    assert relay_frames.numato_set(11, on=False) == b"relay off A\r"
    assert relay_frames.numato_read(16) == b"relay read F\r"
    assert relay_frames.numato_read_input(0) == b"gpio read 0\r"


@pytest.mark.parametrize(
    ("heard", "command", "answer"),
    [
        (b"relay read 0\n\ron\n\r>", b"relay read 0\r", "on"),
        (b"relay read 0\r\n\roff\n\r>", b"relay read 0\r", "off"),
        (b"relay on 0\n\r>", b"relay on 0\r", ""),  # the echo's own "on" is no answer
        (b"gpio read 1\n\r0\n\r>", b"gpio read 1\r", "0"),  # nor is its digit
        (b">relay read 0\n\ron\n\r>", b"relay read 0\r", "on"),  # an older prompt
        (b"relay read 0\n\ron", b"relay read 0\r", None),
        (b"relay re", b"relay read 0\r", None),
        (b"\xff\xfe>", b"relay read 0\r", None),
    ],
)
def test_numato_answers(heard: bytes, command: bytes, answer: str | None) -> None:
    assert relay_frames.numato_answer(heard, command) == answer


@pytest.mark.parametrize(
    "build",
    [
        partial(relay_frames.lcus_set, 9, on=True),
        partial(relay_frames.kmtronic_set, 0, on=True),
        partial(relay_frames.numato_set, 17, on=True),
    ],
)
def test_channels_that_a_board_does_not_have(build: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError, match="has channels 1 to"):
        build()


def test_boards_and_drivers_that_cannot_be() -> None:
    wire = MemoryWire("/dev/relays", SerialBoardSim(BoardKind.LCUS, [], nowhere))
    with pytest.raises(ValueError, match="1 to 8"):
        LcusBoard(wire.opener, channels=9)
    board = KmtronicBoard(wire.opener, channels=2)
    PulseRelay(board, PulseSettings(channel=1))
    with pytest.raises(ValueError, match="two dispensers"):
        PulseRelay(board, PulseSettings(channel=1))
    with pytest.raises(ValueError, match="channels 1 to 2, not 3"):
        PulseRelay(board, PulseSettings(channel=3))


# ---- boards and driver

KINDS = [None, *BoardKind]


def is_closed(machine: TrayMachine) -> bool:
    return machine.closed


def rig_with_a_stuck_contact(kind: BoardKind | None) -> RelayRig:
    rig = RelayRig(kind)
    for machine in rig.machines:
        machine.contact(closed=True)
    return rig


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS)
async def test_every_channel_is_off_after_connect_stop_and_close(kind: BoardKind | None) -> None:
    rig = rig_with_a_stuck_contact(kind)
    await rig.driver.connect()
    assert [machine.closed for machine in rig.machines] == [False, False]
    for end in (rig.driver.stop, rig.driver.aclose):
        for machine in rig.machines:
            machine.contact(closed=True)
        await end()
        assert [machine.closed for machine in rig.machines] == [False, False]


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", BoardKind)
async def test_every_channel_is_off_after_the_link_came_back(kind: BoardKind) -> None:
    """Between losing the board and finding it again a contact may have stayed closed."""
    rig = RelayRig(kind)
    await rig.driver.connect()
    rig.unplug()
    with pytest.raises(DispenserUnavailableError):
        await rig.driver.mark()
    rig.machines[1].contact(closed=True)
    rig.plug()
    await asyncio.sleep(6)
    await rig.driver.mark()
    assert not is_closed(rig.machines[1])
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS)
async def test_the_pulse_has_the_set_width_and_the_next_one_keeps_its_distance(
    kind: BoardKind | None,
) -> None:
    rig = RelayRig(kind)
    loop = asyncio.get_running_loop()
    machine = rig.machines[1]
    driver = PulseRelay(rig.relays, PulseSettings(channel=2, payout_s=0.0))
    edges: list[tuple[bool, float]] = []
    contact = machine.contact

    def watched(*, closed: bool) -> None:
        if closed != machine.closed:
            edges.append((closed, loop.time()))
        contact(closed=closed)

    machine.contact = watched  # type: ignore[method-assign]
    await driver.connect()
    for _ in range(3):
        await driver.pay(25, await driver.mark())
    assert [closed for closed, _ in edges] == [True, False] * 3
    times = [at for _, at in edges]
    widths = [times[at + 1] - times[at] for at in (0, 2, 4)]
    gaps = [times[at + 1] - times[at] for at in (1, 3)]
    assert all(0.099 <= width <= 0.25 for width in widths)
    assert all(0.499 <= gap <= 1.0 for gap in gaps)
    await driver.aclose()
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS)
async def test_any_other_number_than_one_tray_is_refused(kind: BoardKind | None) -> None:
    rig = RelayRig(kind)
    await rig.driver.connect()
    for balls in (0, 1, 20, 26, 50):
        with pytest.raises(NotStartedError, match="one pulse of 25 balls"):
            await rig.driver.pay(balls, await rig.driver.mark())
    assert rig.machine.closures == 0
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", [BoardKind.KMTRONIC, BoardKind.NUMATO])
async def test_a_relay_that_does_not_close_leaves_the_pulse_in_doubt(kind: BoardKind) -> None:
    rig = RelayRig(kind)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.board.deaf_to_on = True
    with pytest.raises(OutcomeUnknownError, match="does not switch on"):
        await rig.driver.pay(rig.payout, mark)
    await asyncio.sleep(10)
    assert await rig.driver.progress(rig.payout, mark) == Progress(
        None, running=False, fault="pulse not confirmed"
    )
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", BoardKind)
async def test_the_plug_is_pulled_while_the_contact_is_closed(kind: BoardKind) -> None:
    rig = RelayRig(kind)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.board.cut_after_on = rig.unplug
    with pytest.raises(OutcomeUnknownError):
        await rig.driver.pay(rig.payout, mark)
    assert is_closed(rig.machine)
    await asyncio.sleep(10)
    assert (await rig.driver.progress(rig.payout, mark)).paid is None
    rig.plug()
    await asyncio.sleep(6)
    await rig.driver.connect()
    assert not is_closed(rig.machine)
    await rig.aclose()


@pytest.mark.virtual_time
async def test_the_first_pulse_waits_for_a_tray_that_may_still_tip_from_before() -> None:
    """Its balls are not the new pulse's, and the machine may not heed a pulse while it tips."""
    rig = RelayRig(BoardKind.NUMATO)
    loop = asyncio.get_running_loop()
    await rig.driver.connect()
    connected_at = loop.time()
    mark = await rig.driver.mark()
    await rig.driver.pay(rig.payout, mark)
    assert loop.time() - connected_at >= 4
    # The pulse was seen: its balls are certain while they still roll.
    assert await rig.driver.progress(rig.payout, mark) == Progress(rig.payout, running=True)
    await asyncio.sleep(4)
    assert await rig.driver.progress(rig.payout, mark) == Progress(rig.payout, running=False)
    assert rig.ejected == rig.payout
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_pulse_opens_the_contact_all_the_same(kind: BoardKind | None) -> None:
    rig = RelayRig(kind)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    await asyncio.sleep(5)  # a tray of before could still tip
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.08):
            await rig.driver.pay(rig.payout, mark)
    assert rig.machine.closures == 1
    await asyncio.sleep(0.2)
    assert not is_closed(rig.machine)
    assert (await rig.driver.progress(rig.payout, mark)).paid is None
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS)
async def test_stop_cuts_a_pulse_short(kind: BoardKind | None) -> None:
    rig = RelayRig(kind)
    driver = PulseRelay(rig.relays, PulseSettings(channel=2, pulse_s=5.0))
    await driver.connect()
    mark = await driver.mark()
    await asyncio.sleep(5)  # a tray of before could still tip
    async with asyncio.TaskGroup() as tasks:
        paying = tasks.create_task(_unknown(driver.pay(25, mark)))
        await asyncio.sleep(1)
        assert is_closed(rig.machines[1])
        await driver.stop()
        assert not is_closed(rig.machines[1])
    assert paying.result()
    await driver.aclose()
    await rig.aclose()


async def _unknown(paying: Awaitable[None]) -> bool:
    try:
        await paying
    except OutcomeUnknownError:
        return True
    return False


@pytest.mark.virtual_time
async def test_a_board_that_is_not_there_is_found_out_before_the_pulse() -> None:
    rig = RelayRig(BoardKind.KMTRONIC)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.board.power_off()
    with pytest.raises(NotStartedError, match="no answer"):
        await rig.driver.pay(rig.payout, mark)
    assert await rig.driver.progress(rig.payout, mark) == Progress(0, running=False)
    rig.board.power_on()
    await rig.driver.pay(rig.payout, mark)
    await asyncio.sleep(10)
    assert (await rig.driver.progress(rig.payout, mark)).paid == rig.ejected == rig.payout
    await rig.aclose()


@pytest.mark.virtual_time
async def test_a_pulse_of_another_life_stays_unknown_for_ever() -> None:
    rig = RelayRig(BoardKind.LCUS)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.restart()
    await rig.driver.connect()
    other = await rig.driver.mark()
    assert other["pulse"] == mark["pulse"] and other != mark
    progress = await rig.driver.progress(rig.payout, mark)
    assert (progress.paid, progress.fault) == (None, "restarted during an uncounted payout")
    with pytest.raises(OutcomeUnknownError):
        await rig.driver.pay(rig.payout, mark)
    await rig.aclose()


@pytest.mark.virtual_time
async def test_waveshare_times_its_own_pulse() -> None:
    """The host dies right after FLASH-ON; nobody has to open the contact."""
    rig = RelayRig(None)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    await asyncio.sleep(5)  # a tray of before could still tip
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.06):
            await rig.driver.pay(rig.payout, mark)
    rig.unplug()
    assert is_closed(rig.machine)
    await asyncio.sleep(0.2)
    assert not is_closed(rig.machine)
    rig.plug()
    await rig.aclose()


@pytest.mark.virtual_time
async def test_a_waveshare_relay_seen_on_after_a_lost_reply_proves_the_pulse() -> None:
    machine = TrayMachine()
    line = ModbusLine(nowhere)
    line.attach(1, WaveshareSim([machine]))
    wire = MemoryWire("/dev/relays", line)
    driver = PulseRelay(
        WaveshareBoard(ModbusBus(wire.opener, baudrate=19200), channels=1), PulseSettings(pulse_s=2.0)
    )
    await driver.connect()
    mark = await driver.mark()
    wire.on_said = lambda data: b"" if data[1] == 5 else data
    await driver.pay(25, mark)
    wire.on_said = None
    await asyncio.sleep(10)
    assert (await driver.progress(25, mark)).paid == machine.ejected == 25
    await driver.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", [None, BoardKind.NUMATO])
@pytest.mark.parametrize(("load", "fault"), [(None, None), (9, None), (0, "empty")])
async def test_a_beam_counts_what_really_fell(
    kind: BoardKind | None, load: int | None, fault: str | None
) -> None:
    rig = RelayRig(kind, beam=True)
    await rig.driver.connect()
    rig.machine.load = load
    mark = await rig.driver.mark()
    await rig.driver.pay(rig.payout, mark)
    progress = await rig.driver.progress(rig.payout, mark)
    assert progress == Progress(rig.ejected, running=False, fault=fault)
    assert rig.ejected == (25 if load is None else load)
    await rig.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", [None, BoardKind.NUMATO])
async def test_a_blocked_beam_forbids_the_pulse(kind: BoardKind | None) -> None:
    rig = RelayRig(kind, beam=True)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.machine.beam_stuck = True
    with pytest.raises(NotStartedError, match="beam is blocked"):
        await rig.driver.pay(rig.payout, mark)
    assert rig.machine.closures == 0
    assert await rig.driver.progress(rig.payout, mark) == Progress(0, running=False, fault="beam blocked")
    await rig.aclose()


@pytest.mark.virtual_time
async def test_a_beam_that_is_read_too_slowly_counts_nothing() -> None:
    """Between two looks a ball may have passed: what was seen is no count."""
    rig = RelayRig(BoardKind.NUMATO, beam=True)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.machine.on_ball = lambda index: setattr(rig.board, "reply_delay_s", 0.1 if index < 3 else 0.005)
    await rig.driver.pay(rig.payout, mark)
    progress = await rig.driver.progress(rig.payout, mark)
    assert progress == Progress(None, running=False, fault="beam read too slowly to count")
    await rig.aclose()


@pytest.mark.virtual_time
async def test_a_beam_that_falls_silent_makes_the_count_unknown() -> None:
    rig = RelayRig(BoardKind.NUMATO, beam=True)
    await rig.driver.connect()
    mark = await rig.driver.mark()
    rig.machine.on_ball = lambda index: setattr(rig.board, "dumb", index >= 5)
    await rig.driver.pay(rig.payout, mark)
    assert await rig.driver.progress(rig.payout, mark) == Progress(
        None, running=False, fault="beam not readable"
    )
    rig.machine.on_ball = None
    rig.board.dumb = False
    await rig.aclose()


@pytest.mark.virtual_time
async def test_neighbours_on_one_board_do_not_cut_each_others_pulses() -> None:
    machines = [TrayMachine(), TrayMachine()]
    board_sim = SerialBoardSim(BoardKind.NUMATO, machines, nowhere)
    wire = MemoryWire("/dev/relays", board_sim)
    board = NumatoBoard(wire.opener, channels=2)
    first, second = (PulseRelay(board, PulseSettings(channel=channel, pulse_s=0.4)) for channel in (1, 2))
    await first.connect()
    await second.connect()
    await asyncio.sleep(1)
    marks = [await first.mark(), await second.mark()]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.pay(25, marks[0]))
        tasks.create_task(second.pay(25, marks[1]))
        await asyncio.sleep(0.1)
        tasks.create_task(second.connect())
    await asyncio.sleep(10)
    assert [machine.ejected for machine in machines] == [25, 25]
    await first.aclose()
    await second.aclose()
