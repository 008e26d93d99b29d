"""What every dispenser driver promises, each against its own simulated device.

Modbus also against pymodbus' server, untouched, over ptys and in real time; all others on virtual time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from hardware.dispenser import (
    Dispenser,
    DispenserUnavailableError,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
)
from hardware.sim.hopper import SCH2_NOENCRYPT, HopperSettings
from hardware.sim.relay import BoardKind
from tests.hardware.dispenser.rigs import CctalkRig, PlcRig, PymodbusRig, RelayRig, Rig

RIGS: dict[str, Callable[[], Rig]] = {
    "cctalk flow": lambda: CctalkRig(HopperSettings()),
    "cctalk sch2": lambda: CctalkRig(SCH2_NOENCRYPT),
    "modbus": PlcRig,
    "waveshare": lambda: RelayRig(None),
    "waveshare, beam": lambda: RelayRig(None, beam=True),
    "numato, beam": lambda: RelayRig(BoardKind.NUMATO, beam=True),
    **{kind.value: partial(RelayRig, kind) for kind in BoardKind},
}


async def settled(driver: Dispenser, balls: int, mark: Mark) -> Progress:
    """What the daemon does: ask until the machine stands."""
    for _ in range(3000):
        progress = await driver.progress(balls, mark)
        if not progress.running:
            return progress
        await asyncio.sleep(0.1)
    raise AssertionError("runs for ever")


async def stands(rig: Rig) -> None:
    """By the device's own word, not by the driver's."""
    async with asyncio.timeout(30):
        while rig.running:  # noqa: ASYNC110  a device tells nobody when it stands
            await asyncio.sleep(0.05)


async def started(driver: Dispenser, balls: int, mark: Mark) -> bool | None:
    """None: the driver does not know."""
    try:
        await driver.pay(balls, mark)
    except NotStartedError:
        return False
    except OutcomeUnknownError:
        return None
    return True


async def available(driver: Dispenser) -> None:
    for _ in range(100):
        try:
            await driver.connect()
            return
        except DispenserUnavailableError:
            await asyncio.sleep(0.2)
    raise AssertionError("never available again")


async def die_in(after_s: float, paying: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(after_s):
            await paying
            await asyncio.sleep(after_s)
    except TimeoutError:
        pass


class Contract:
    async def test_connecting_names_the_machine_and_starts_nothing(self, rig: Rig) -> None:
        identity = await rig.driver.connect()
        assert identity.driver in ("cctalk_hopper", "modbus_rtu", "pulse_relay")
        assert identity.details["link"]
        assert rig.commanded == 0

    async def test_what_is_asked_for_is_what_falls(self, rig: Rig) -> None:
        await rig.driver.connect()
        for payouts in (1, 2, 3):
            mark = await rig.driver.mark()
            await rig.driver.pay(rig.payout, mark)
            assert await settled(rig.driver, rig.payout, mark) == Progress(rig.payout, running=False)
            assert rig.ejected == payouts * rig.payout
            assert not rig.running

    async def test_the_capabilities_are_kept(self, rig: Rig) -> None:
        await rig.driver.connect()
        capabilities = rig.driver.capabilities
        assert rig.payout % capabilities.step == 0
        assert capabilities.max_per_payout % capabilities.step == 0
        for balls in (0, capabilities.max_per_payout + 1):
            with pytest.raises(NotStartedError):
                await rig.driver.pay(balls, await rig.driver.mark())
        mark = await rig.driver.mark()
        await rig.driver.pay(capabilities.step, mark)
        assert (await settled(rig.driver, capabilities.step, mark)).paid == capabilities.step
        level = await rig.driver.level()
        assert (level is not Level.UNKNOWN) == capabilities.level_sensors

    async def test_a_mark_survives_the_journal(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        again = json.loads(json.dumps(dict(mark)))
        assert again == mark
        assert all(type(value) is int and abs(value) < 2**53 for value in mark.values())
        await rig.driver.pay(rig.payout, again)
        assert (await settled(rig.driver, rig.payout, json.loads(json.dumps(again)))).paid == rig.payout

    async def test_progress_only_asks(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        for _ in range(5):
            assert await rig.driver.progress(rig.payout, mark) == Progress(0, running=False)
        assert rig.commanded == 0
        await rig.driver.pay(rig.payout, mark)
        for _ in range(5):
            await rig.driver.progress(rig.payout, mark)
        assert rig.commanded == rig.payout
        assert (await settled(rig.driver, rig.payout, mark)).paid == rig.ejected

    async def test_what_is_counted_grows_until_it_is_complete(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        await rig.driver.pay(rig.payout, mark)
        seen = [0]
        while (progress := await rig.driver.progress(rig.payout, mark)).running:
            if progress.paid is not None:
                seen.append(progress.paid)
            await asyncio.sleep(0.05)
        assert seen == sorted(seen)
        assert progress.paid == rig.ejected == rig.payout

    async def test_a_command_that_is_lost_pays_nothing(self, rig: Rig) -> None:
        if not rig.acknowledges:
            # By its nature such a board cannot tell; the machine at least must not be left closed.
            assert (await rig.driver.connect()).driver == "pulse_relay"
            return
        await rig.driver.connect()
        mark = await rig.driver.mark()
        rig.lose_request()
        assert await started(rig.driver, rig.payout, mark) is not True or rig.driver.capabilities.counted
        progress = await settled(rig.driver, rig.payout, mark)
        assert rig.ejected == 0
        assert progress.paid in ({0} if rig.driver.capabilities.counted else {0, None})

    async def test_a_reply_that_is_lost_does_not_pay_twice(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        rig.lose_reply()
        assert await started(rig.driver, rig.payout, mark) is not False
        progress = await settled(rig.driver, rig.payout, mark)
        await stands(rig)
        assert rig.ejected == rig.commanded == rig.payout
        assert progress.paid in ({rig.payout} if rig.driver.capabilities.counted else {rig.payout, None})

    async def test_a_mark_is_paid_once(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        await rig.driver.pay(rig.payout, mark)
        await settled(rig.driver, rig.payout, mark)
        with pytest.raises(OutcomeUnknownError):
            await rig.driver.pay(rig.payout, mark)
        assert (await settled(rig.driver, rig.payout, mark)).paid == rig.payout
        assert rig.commanded == rig.payout

    async def test_the_host_dies_and_the_mark_is_all_that_is_left(
        self, rig: Rig, dies_after_s: float
    ) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        await die_in(dies_after_s, rig.driver.pay(rig.payout, mark))
        rig.restart()
        await available(rig.driver)
        progress = await settled(rig.driver, rig.payout, mark)
        await stands(rig)
        assert rig.ejected in (0, rig.payout)
        knows = not isinstance(rig, RelayRig)
        assert progress.paid == (rig.ejected if knows else None)

    async def test_stop_leaves_no_motor_running_and_the_books_right(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        await rig.driver.pay(rig.payout, mark)
        await asyncio.sleep(0.3)
        await rig.driver.stop()
        progress = await settled(rig.driver, rig.payout, mark)
        assert progress.paid == rig.ejected
        if rig.driver.capabilities.emergency_stop:
            assert rig.ejected < rig.payout
        # And it works again.
        mark = await rig.driver.mark()
        before = rig.ejected
        await rig.driver.pay(rig.payout, mark)
        assert (await settled(rig.driver, rig.payout, mark)).paid == rig.payout
        assert rig.ejected - before == rig.payout

    async def test_without_its_link_every_call_says_so_and_nothing_is_paid(self, rig: Rig) -> None:
        await rig.driver.connect()
        mark = await rig.driver.mark()
        rig.unplug()
        for call in (rig.driver.connect, rig.driver.mark, rig.driver.stop):
            with pytest.raises(DispenserUnavailableError, match="/"):
                await call()
        with pytest.raises(NotStartedError, match="/"):
            await rig.driver.pay(rig.payout, mark)
        rig.plug()
        await available(rig.driver)
        assert rig.commanded == 0
        mark = await rig.driver.mark()
        await rig.driver.pay(rig.payout, mark)
        assert (await settled(rig.driver, rig.payout, mark)).paid == rig.payout

    async def test_closing_twice_and_opening_again(self, rig: Rig) -> None:
        await rig.driver.connect()
        await rig.driver.aclose()
        await rig.driver.aclose()
        await rig.driver.connect()
        mark = await rig.driver.mark()
        await rig.driver.pay(rig.payout, mark)
        assert (await settled(rig.driver, rig.payout, mark)).paid == rig.payout


@pytest.mark.virtual_time
class TestSimulated(Contract):
    @pytest.fixture(params=[0.02, 0.08, 0.15, 0.3, 0.7, 1.3, 2.5])
    def dies_after_s(self, request: pytest.FixtureRequest) -> float:
        return float(request.param)

    @pytest.fixture(params=[*RIGS])
    async def rig(self, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
        rig = RIGS[request.param]()
        yield rig
        await rig.aclose()


class TestPymodbus(Contract):
    @pytest.fixture(params=[0.02, 0.2])
    def dies_after_s(self, request: pytest.FixtureRequest) -> float:
        return float(request.param)

    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[Rig]:
        rig = PymodbusRig(tmp_path)
        await rig.open()
        yield rig
        await rig.aclose()
