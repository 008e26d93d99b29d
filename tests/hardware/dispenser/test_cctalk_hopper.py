"""The ccTalk driver in named situations, on virtual time, against the simulated hopper."""

import asyncio
from itertools import pairwise

import pytest

from hardware.dispenser import (
    DispenserUnavailableError,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    UnsupportedDispenserError,
    cctalk,
)
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.cctalk_hopper import CctalkHopper, HopperSettings
from hardware.link import LinkUnavailableError, MemoryLink
from hardware.sim.hopper import SCH2_NOENCRYPT, Fault, HopperSim, LevelSensors
from hardware.sim.hopper import HopperSettings as SimSettings
from tests.hardware.dispenser.hopper_rig import HopperRig

pytestmark = pytest.mark.virtual_time

KINDS = [SimSettings(), SCH2_NOENCRYPT]


async def settled(driver: CctalkHopper, balls: int, mark: Mark) -> Progress:
    """What the daemon does: ask until the motor stands."""
    for _ in range(3000):
        progress = await driver.progress(balls, mark)
        if not progress.running:
            return progress
        await asyncio.sleep(0.1)
    raise AssertionError("runs for ever")


async def connected(rig: HopperRig) -> CctalkHopper:
    await rig.driver.connect()
    return rig.driver


# ---- identity and level


async def test_a_flow_tells_who_it_is() -> None:
    rig = HopperRig(SimSettings())
    identity = await rig.driver.connect()
    assert (identity.driver, identity.manufacturer) == ("cctalk_hopper", "Suzo-Happ")
    assert (identity.product, identity.serial) == ("Flow", "345678")
    assert identity.software == "STC2010-V1.1F-PAYOUT"
    assert identity.details["dispense"] == "serial"
    assert identity.details["flags"] == "disabled, power-up seen"
    assert rig.driver.capabilities.level_sensors
    await rig.aclose()


async def test_an_sch2_without_encryption_gets_the_long_form() -> None:
    rig = HopperRig(SCH2_NOENCRYPT)
    assert (await rig.driver.connect()).details["dispense"] == "code"
    mark = await rig.driver.mark()
    await rig.driver.pay(2, mark)
    assert await settled(rig.driver, 2, mark) == Progress(2, running=False)
    assert rig.sim.ejected == 2
    await rig.aclose()


async def test_an_encrypted_hopper_is_refused_by_name() -> None:
    rig = HopperRig(SimSettings(product="SCH2", code_bytes=8))
    with pytest.raises(UnsupportedDispenserError, match="unsupported: encrypted"):
        await rig.driver.connect()
    await rig.aclose()


async def test_what_is_no_hopper_is_refused_by_name() -> None:
    rig = HopperRig(SimSettings(category="Coin Acceptor"))
    with pytest.raises(UnsupportedDispenserError, match="Coin Acceptor"):
        await rig.driver.connect()
    await rig.aclose()


async def test_two_drivers_for_one_address_are_a_mistake() -> None:
    rig = HopperRig(SimSettings())
    with pytest.raises(ValueError, match="address 3"):
        CctalkHopper(rig.bus, HopperSettings(address=3))
    await rig.aclose()


@pytest.mark.parametrize(
    ("sensors", "load", "level"),
    [
        (LevelSensors.EMPTY_FULL, 5, Level.EMPTY),
        (LevelSensors.EMPTY_FULL, 100, Level.OK),
        (LevelSensors.EMPTY_FULL, 900, Level.FULL),
        (LevelSensors.HIGH_LOW, 5, Level.LOW),
        (LevelSensors.HIGH_LOW, 100, Level.OK),
        (LevelSensors.HIGH_LOW, 900, Level.FULL),
        (LevelSensors.NONE, 5, Level.UNKNOWN),
    ],
)
async def test_level(sensors: LevelSensors, load: int, level: Level) -> None:
    rig = HopperRig(SimSettings(level=sensors))
    driver = await connected(rig)
    rig.sim.load = load
    assert await driver.level() is level
    assert driver.capabilities.level_sensors == (sensors is not LevelSensors.NONE)
    await rig.aclose()


# ---- one payout


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.product)
@pytest.mark.parametrize("fault", list(Fault))
async def test_a_dispense_command_that_goes_wrong_pays_once_or_not_at_all(
    kind: SimSettings, fault: Fault
) -> None:
    rig = HopperRig(kind)
    driver = await connected(rig)
    before = await driver.mark()
    await driver.pay(3, before)
    await settled(driver, 3, before)
    mark = await driver.mark()
    rig.sim.order(fault, header=167)
    try:
        await driver.pay(5, mark)
        outcome = "started"
    except NotStartedError:
        outcome = "not started"
    except OutcomeUnknownError:
        outcome = "unknown"
    progress = await settled(driver, 5, mark)
    expected = {
        Fault.REQUEST_LOST: ("not started", 0),
        Fault.COLLISION: ("not started", 0),
        Fault.NAK: ("not started", 0),
        Fault.BUSY: ("not started", 0),
        Fault.RESET_BEFORE: ("unknown", 0),
        Fault.RESET_AFTER: ("unknown", 0),
    }.get(fault, ("started", 5))
    assert (outcome, progress.paid) == expected
    assert rig.sim.ejected == 3 + expected[1]
    await rig.aclose()


async def test_the_host_dies_in_the_middle_of_a_payout() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(20, mark)
    await asyncio.sleep(1.0)
    rig.restart()
    driver = await connected(rig)
    running = await driver.progress(20, mark)
    assert running.running and 0 < (running.paid or 0) < 20
    assert await settled(driver, 20, mark) == Progress(20, running=False)
    assert rig.sim.ejected == 20
    await rig.aclose()


async def test_the_counter_wraps_from_255_to_1() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    rig.sim.event = 255
    mark = await driver.mark()
    assert mark["event"] == 255
    rig.sim.order(Fault.REPLY_LOST, header=167)
    await driver.pay(4, mark)
    assert rig.sim.event == 1
    assert (await settled(driver, 4, mark)).paid == 4
    await rig.aclose()


@pytest.mark.parametrize("counts", [True, False])
async def test_a_payout_by_somebody_else_in_between(counts: bool) -> None:
    rig = HopperRig(SimSettings(dispense_count=counts))
    driver = await connected(rig)
    mark = await driver.mark()
    for balls in (2, 3):
        other = await driver.mark()
        await driver.pay(balls, other)
        await settled(driver, balls, other)
    assert await driver.progress(2, mark) == Progress(None, running=False, fault="other payouts since")
    await rig.aclose()


async def test_refused_commands_by_somebody_else_do_not_hide_that_nothing_fell() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    for _ in range(3):
        rig.sim.order(Fault.NAK, header=167)
        with pytest.raises(NotStartedError):
            await driver.pay(2, await driver.mark())
    assert (await driver.progress(2, mark)).paid == 0
    await rig.aclose()


async def test_the_same_mark_is_paid_only_once() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(2, mark)
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            await driver.pay(2, mark)
        assert (await settled(driver, 2, mark)).paid == 2
    assert rig.sim.ejected == 2
    await rig.aclose()


async def test_no_mark_and_no_payout_while_another_one_runs() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(20, mark)
    with pytest.raises(DispenserUnavailableError, match="still pays"):
        await driver.mark()
    assert (await settled(driver, 20, mark)).paid == 20
    await rig.aclose()


@pytest.mark.parametrize("balls", [0, -1, 256])
async def test_sizes_that_one_payout_cannot_have(balls: int) -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    with pytest.raises(NotStartedError, match="1 to 255"):
        await driver.pay(balls, await driver.mark())
    assert rig.sim.commanded == 0
    await rig.aclose()


async def test_a_driver_that_does_not_know_its_hopper_does_not_pay() -> None:
    rig = HopperRig(SimSettings())
    mark = await rig.driver.mark()
    with pytest.raises(NotStartedError, match="connect first"):
        await rig.driver.pay(1, mark)
    await rig.aclose()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("counts", [True, False])
async def test_power_is_lost_in_the_middle_of_a_payout(kept: bool, counts: bool) -> None:
    rig = HopperRig(SimSettings(keeps_last_payout=kept, dispense_count=counts), zero_payout=True)
    driver = await connected(rig)
    mark = await driver.mark()
    rig.sim.reset_after = 4
    await driver.pay(9, mark)
    await asyncio.sleep(3.0)
    rig.restart()
    progress = await settled(await connected(rig), 9, mark)
    known = kept or counts
    assert progress.paid == (4 if known else None)
    assert progress.fault == ("reset" if known else "reset, payout forgotten")
    assert rig.sim.ejected == 4
    await rig.aclose()


async def test_a_dispense_count_that_is_not_to_be_trusted_is_not_asked() -> None:
    rig = HopperRig(SimSettings(), use_dispense_count=False)
    driver = await connected(rig)
    assert "count" not in await driver.mark()
    await rig.aclose()


async def test_another_hopper_in_its_place_cannot_answer_for_it() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = {**await driver.mark(), "serial": 999}
    assert await driver.progress(3, mark) == Progress(None, running=False, fault="another hopper answers")
    await rig.aclose()


async def test_a_jam_is_named_and_cleared_by_hand() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    rig.sim.jam_after = 3
    await driver.pay(9, mark)
    assert await settled(driver, 9, mark) == Progress(3, running=False, fault="jam")
    with pytest.raises(NotStartedError):
        await driver.pay(1, await driver.mark())
    rig.sim.clear_jam()
    await driver.clear_faults()
    mark = await driver.mark()
    await driver.pay(1, mark)
    assert await settled(driver, 1, mark) == Progress(1, running=False)
    await rig.aclose()


async def test_an_empty_hopper_is_named() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    rig.sim.load = 2
    mark = await driver.mark()
    await driver.pay(9, mark)
    assert await settled(driver, 9, mark) == Progress(2, running=False, fault="empty")
    await rig.aclose()


# ---- stop


async def test_stop_ends_the_payout_and_the_rest_stays_owed() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(20, mark)
    await asyncio.sleep(1.0)
    await driver.stop()
    progress = await settled(driver, 20, mark)
    assert 0 < (progress.paid or 0) < 20
    assert rig.sim.ejected == progress.paid
    assert not rig.sim.running
    await rig.aclose()


async def test_stop_overtakes_a_payout_that_waits_for_the_line() -> None:
    rig = HopperRig(SimSettings(address=3), SimSettings(address=4))
    first, second = rig.drivers
    await first.connect()
    await second.connect()
    mark = await first.mark()
    async with asyncio.TaskGroup() as tasks, rig.bus.turn(4) as turn:
        paying = tasks.create_task(_outcome_of(first, 5, mark))
        stopping = tasks.create_task(first.stop())
        await asyncio.sleep(0)
        await turn.hush()
    assert stopping.done()
    assert paying.result() == "not started"
    assert rig.sim.commanded == 0
    await rig.aclose()


async def _outcome_of(driver: CctalkHopper, balls: int, mark: Mark) -> str:
    try:
        await driver.pay(balls, mark)
    except NotStartedError:
        return "not started"
    return "started"


async def test_stop_goes_before_all_questions_that_wait() -> None:
    rig = HopperRig(*(SimSettings(address=address) for address in range(3, 11)))
    for driver in rig.drivers:
        await driver.connect()
    order: list[str] = []

    async def ask(driver: CctalkHopper) -> None:
        await driver.level()
        order.append("level")

    async def stop() -> None:
        await rig.driver.stop()
        order.append("stop")

    async with asyncio.TaskGroup() as tasks:
        for driver in rig.drivers[1:]:
            tasks.create_task(ask(driver))
        await asyncio.sleep(0)
        tasks.create_task(stop())
    assert order.index("stop") <= 1  # behind the exchange that was already under way
    await rig.aclose()


# ---- the line


async def test_a_lost_link_is_opened_again() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(12, mark)
    rig.wire.opener.unplug()
    for _ in range(20):
        with pytest.raises(DispenserUnavailableError):
            await driver.progress(12, mark)
        await asyncio.sleep(0.1)
    rig.wire.opener.plug()
    await asyncio.sleep(5.0)
    assert await settled(driver, 12, mark) == Progress(12, running=False)
    await rig.aclose()


async def test_opening_is_tried_ever_more_rarely_but_a_stop_tries_at_once() -> None:
    attempts: list[float] = []

    class Absent:
        name = "/dev/absent"

        async def open(self) -> MemoryLink:
            attempts.append(asyncio.get_running_loop().time())
            raise LinkUnavailableError("/dev/absent: not there")

        async def returned(self) -> None:
            await asyncio.Event().wait()

    driver = CctalkHopper(CctalkBus(Absent()))
    for _ in range(600):
        with pytest.raises(DispenserUnavailableError, match="not there"):
            await driver.connect()
        await asyncio.sleep(0.1)
    gaps = [later - earlier for earlier, later in pairwise(attempts)]
    assert len(attempts) < 25
    assert max(gaps) < 6 and gaps[-1] > 4
    tried = len(attempts)
    with pytest.raises(DispenserUnavailableError):
        await driver.stop()
    assert len(attempts) > tried
    await driver.aclose()


@pytest.mark.parametrize(("name", "silence_s"), [("socket://198.51.100.7:4001", 1.0), ("/dev/hoppers", 0.1)])
async def test_a_new_link_is_silent_before_the_first_question(name: str, silence_s: float) -> None:
    """What a dead process sent may still be on its way, above all through a network."""
    rig = HopperRig(SimSettings(), link_name=name)
    began = asyncio.get_running_loop().time()
    heard_at: list[float] = []
    receive = rig.line.receive

    def listen(data: bytes) -> None:
        heard_at.append(asyncio.get_running_loop().time())
        receive(data)

    rig.line.receive = listen  # type: ignore[method-assign]
    await rig.driver.connect()
    assert heard_at[0] - began >= silence_s
    await rig.aclose()


async def test_a_payout_of_a_dead_host_that_the_network_still_held_back_is_seen() -> None:
    rig = HopperRig(
        SimSettings(),
        link_name="socket://198.51.100.7:4001",
        delay_s=lambda data: 0.9 if data[3] == 167 else 0.02,
    )
    driver = await connected(rig)
    mark = await driver.mark()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await driver.pay(5, mark)
    assert rig.sim.commanded == 0
    rig.restart()
    assert await settled(await connected(rig), 5, mark) == Progress(5, running=False)
    assert rig.sim.ejected == 5
    await rig.aclose()


async def test_a_call_that_is_cancelled_leaves_no_reply_for_the_next_one() -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    for milliseconds in range(1, 60):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(milliseconds / 1000):
                while True:
                    await driver.level()
        assert (await driver.mark())["event"] == 0
    assert rig.bus.collisions == 0
    await rig.aclose()


async def test_a_reset_while_the_lost_reply_is_waited_for_is_no_proof_that_nothing_fell() -> None:
    rig = HopperRig(SimSettings(), link_name="socket://198.51.100.7:4001")
    driver = await connected(rig)
    mark = await driver.mark()
    assert mark["event"] == 0
    rig.sim.order(Fault.REPLY_LOST, header=167)
    rig.sim.reset_after = 3
    with pytest.raises(OutcomeUnknownError):
        await driver.pay(9, mark)
    progress = await settled(driver, 9, mark)
    assert (progress.paid, progress.fault) == (rig.sim.ejected, "reset")
    assert rig.sim.ejected == 3
    await rig.aclose()


@pytest.mark.parametrize("late_ms", range(110, 240, 5))
async def test_a_late_reply_is_nobody_elses(late_ms: int) -> None:
    """Without an echo nothing but silence keeps the late reply away from the next question."""
    rig = HopperRig(SimSettings(slow_reply_s=late_ms / 1000), echo=False)
    rig.sim.order(Fault.REPLY_SLOW, header=242)
    serial = await rig.bus.ask(3, cctalk.SERIAL_NUMBER)
    count = await rig.bus.ask(3, cctalk.DISPENSE_COUNT)
    assert (cctalk.parse_serial(serial), cctalk.parse_count(count)) == (345678, 0)
    await rig.aclose()


@pytest.mark.parametrize("after", [0, 1])
async def test_one_wrong_answer_with_a_right_checksum_decides_nothing(after: int) -> None:
    rig = HopperRig(SimSettings())
    driver = await connected(rig)
    rig.sim.order(Fault.REPLY_TWISTED, header=166, after=after)
    rig.sim.order(Fault.REPLY_TWISTED, header=168, after=after)
    mark = await driver.mark()
    assert (mark["event"], mark["count"]) == (0, 0)
    await driver.pay(4, mark)
    await asyncio.sleep(3)
    rig.sim.order(Fault.REPLY_TWISTED, header=166, after=1 + after)
    assert await settled(driver, 4, mark) == Progress(4, running=False)
    await rig.aclose()


async def test_a_line_without_any_echo_is_explained() -> None:
    rig = HopperRig(SimSettings())
    rig.line._echo = False
    rig.sim.power_off()
    with pytest.raises(DispenserUnavailableError, match="gives no echo"):
        await rig.driver.connect()
    await rig.aclose()


async def test_an_adapter_that_takes_the_echo_off_is_explained() -> None:
    rig = HopperRig(SimSettings(), echo=True)
    rig.line._echo = False
    with pytest.raises(DispenserUnavailableError, match="set echo = false"):
        await rig.driver.connect()
    await rig.aclose()


@pytest.mark.parametrize("crc", [False, True])
@pytest.mark.parametrize("echo", [False, True])
async def test_both_checksums_with_and_without_echo(crc: bool, echo: bool) -> None:
    rig = HopperRig(SimSettings(), crc=crc, echo=echo)
    driver = await connected(rig)
    mark = await driver.mark()
    await driver.pay(6, mark)
    assert await settled(driver, 6, mark) == Progress(6, running=False)
    await rig.aclose()


async def test_each_ball_is_told_once_and_in_order() -> None:
    balls: list[tuple[int, float]] = []
    rig = HopperRig(SimSettings(balls_per_s=10))
    loop = asyncio.get_running_loop()
    rig.sim.on_ball = lambda index: balls.append((index, loop.time()))
    driver = await connected(rig)
    for payout in (4, 6):
        mark = await driver.mark()
        await driver.pay(payout, mark)
        await settled(driver, payout, mark)
    assert [index for index, _ in balls] == list(range(10))
    gaps = [later[1] - earlier[1] for earlier, later in pairwise(balls[4:])]
    assert gaps == pytest.approx([0.1] * 5)
    await rig.aclose()


def test_two_simulated_hoppers_cannot_share_an_address() -> None:
    rig_line = HopperRig(SimSettings()).line
    with pytest.raises(ValueError, match="address 3"):
        HopperSim(rig_line, SimSettings())
