"""Drives one ball dispenser for the bays that share it.

One payout at a time, in the order of the presses. A part of a payout is started only after the device's
mark is durable, and only once; whatever interrupts it, the device is asked. The reconciler holds no truth
of its own: after a crash it finds the open payout in the bay's state and goes on by asking.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.dispensing import DISPENSER
from bayd.core.model import Bay, DeviceFact, DeviceState, Payout, PayoutEnd, PayoutPart
from bayd.journal import NotWrittenError
from bayd.ports import Log
from bayd.runtime.bay import Outcome
from hardware.dispenser import (
    Dispenser,
    DispenserUnavailableError,
    Identity,
    Level,
    NotStartedError,
    OutcomeUnknownError,
)

_POLL_S = 0.1  # hoppers are asked this often while they pay (wire facts: 166 each 100 ms)
_SUPERVISE_S = 5.0  # an idle machine is asked for its level: a dead link is noticed before a customer does
_RECONNECT_S = (0.5, 1.0, 2.0, 3.0)
_STOP_WITHIN_S = 2.0
_RETRY_S = 1.0  # when the journal could not be written


class Bays(Protocol):
    """The part of the range that is needed here."""

    async def submit(self, number: str, request: i.Input) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class DispenserView:
    """What the status shows of the machine."""

    state: DeviceState
    reason: str
    identity: Identity | None
    level: Level
    queue: tuple[str, ...]  # bays, the one being served first


class DispenserReconciler:
    """One per machine. `run` is a root task."""

    def __init__(
        self, name: str, dispenser: Dispenser, bays: tuple[str, ...], submit_to: Bays, log: Log
    ) -> None:
        self._name = name
        self._dispenser = dispenser
        self._numbers = bays
        self._bays = submit_to
        self._log = log
        self._wishes: dict[str, Desired] = {}
        self._facts: dict[str, DeviceState] = {}  # of the machine, as each bay has it
        self._cleared_by_staff = False
        self._queue: list[str] = []  # bays with an open payout, whose turn is next first
        self._turns: dict[str, int] = {}  # payout -> runs of the motor it has had
        self._wake = asyncio.Event()
        self._state = DeviceState.UNKNOWN
        self._reason = ""
        self._identity: Identity | None = None
        self._level = Level.UNKNOWN
        self._lost_at: float | None = None
        self._motor_may_run = False

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        if bay.number not in self._numbers:
            return
        self._wishes[bay.number] = wish
        state = bay.devices.get(DISPENSER, DeviceFact()).state
        if self._facts.get(bay.number) is DeviceState.FAULT and state is DeviceState.UNKNOWN:
            self._cleared_by_staff = True
        self._facts[bay.number] = state
        if wish.payout is not None and bay.number not in self._queue:
            self._queue.append(bay.number)
            self._queue.sort(key=self._place)
        self._wake.set()

    def view(self) -> DispenserView:
        return DispenserView(self._state, self._reason, self._identity, self._level, tuple(self._queue))

    async def run(self) -> None:
        attempt = 0
        try:
            while True:
                try:
                    self._identity = await self._dispenser.connect()
                    attempt = 0
                    await self._report_state(DeviceState.OK, "")
                    await self._report_interruption()
                    await self._serve()
                except DispenserUnavailableError as error:
                    if self._lost_at is None:
                        self._lost_at = asyncio.get_running_loop().time()
                    await self._report_state(DeviceState.LOST, str(error))
                await asyncio.sleep(_RECONNECT_S[min(attempt, len(_RECONNECT_S) - 1)])
                attempt += 1
        finally:
            await self._make_safe()

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            if self._cleared_by_staff:
                await self._clear_fault()
            while self._queue:
                number = self._next()
                payout = self._wishes[number].payout
                settled = await self._turn(number)
                if payout is not None:
                    self._turns[payout.payout_id] = self._turns.get(payout.payout_id, 0) + 1
                if self._wishes[number].payout is None:
                    self._queue.remove(number)
                    self._turns.pop("" if payout is None else payout.payout_id, None)
                self._queue.sort(key=self._place)
                if not settled:
                    await asyncio.sleep(_RETRY_S)
            self._level = await self._dispenser.level()
            await self._pause(_SUPERVISE_S)

    def _place(self, number: str) -> tuple[int, int]:
        """In the order of the presses, also after a restart; a long payout lets a neighbour in between."""
        payout = self._wishes[number].payout
        if payout is None:
            return (0, 0)
        return (self._turns.get(payout.payout_id, 0), payout.not_after_ms)

    def _next(self) -> str:
        """What the device may still be working on comes first: nothing else may move its counters."""
        for number in self._queue:
            payout = self._wishes[number].payout
            if payout is not None and _is_under_way(payout):
                return number
        return self._queue[0]

    async def _turn(self, number: str) -> bool:
        """One run of the motor, or the question what became of one. False: the journal was not to be had."""
        payout = self._wishes[number].payout
        if payout is None:
            return True
        part = payout.part
        if part is not None and _is_under_way(payout):
            return await self._follow(number, payout, part)
        if payout.left == 0:
            return await self._close(number, payout, PayoutEnd.DONE, part.balls if part else 0, "")
        if not self._wishes[number].payout_may_start:
            paid = 0 if part is None else part.balls
            end = PayoutEnd.NEVER_STARTED if part is None else PayoutEnd.STOPPED
            return await self._close(number, payout, end, paid, "")
        return await self._start(number, payout)

    async def _start(self, number: str, payout: Payout) -> bool:
        balls = min(payout.left, self._dispenser.capabilities.max_per_payout)
        mark = await self._dispenser.mark()
        marked = await self._tell(number, i.PayoutMarkTaken(payout.payout_id, balls, mark))
        if marked is None:
            return False
        if marked.decision.refusal is not None:
            return True
        payout = marked.bay.payout or payout
        part = PayoutPart(balls, payout.paid, mark)
        if not self._wishes[number].payout_may_start:
            return await self._close(number, payout, PayoutEnd.NEVER_STARTED, 0, "")
        self._motor_may_run = True
        try:
            await self._dispenser.pay(balls, mark)
        except NotStartedError as error:
            self._motor_may_run = False
            return await self._close(number, payout, PayoutEnd.FAULT, 0, str(error))
        except OutcomeUnknownError as error:
            self._log.warning("payout_outcome_unclear", dispenser=self._name, bay=number, reason=str(error))
        return await self._follow(number, payout, part)

    async def _follow(self, number: str, payout: Payout, part: PayoutPart) -> bool:
        """Ask until the motor stands, reporting each ball."""
        self._motor_may_run = True
        stopped = False
        reported = payout.paid - part.paid_before
        while True:
            if self._wishes[number].payout_stop and not stopped:
                await self._dispenser.stop()
                stopped = True
            progress = await self._dispenser.progress(part.balls, part.mark)
            if progress.paid is not None and progress.paid > reported:
                told = await self._tell(number, i.PayoutProgressed(payout.payout_id, progress.paid))
                if told is None:
                    return False
                reported = progress.paid
            if not progress.running:
                break
            await asyncio.sleep(_POLL_S)
        self._motor_may_run = False
        if progress.paid is None:
            text = progress.fault or "the machine cannot say how many balls came out"
            return await self._close(number, payout, PayoutEnd.UNKNOWN, None, text)
        if progress.paid < part.balls and progress.fault is not None and not stopped:
            return await self._fail(number, payout, progress.paid, progress.fault)
        if progress.paid < part.balls:
            # Stopped by us, or by a power cut: nothing starts again by itself in this payout.
            wanted = stopped or self._wishes[number].payout_stop
            end = PayoutEnd.STOPPED if wanted else PayoutEnd.FAULT
            return await self._close(number, payout, end, progress.paid, progress.fault or "interrupted")
        if payout.balls == part.paid_before + part.balls:
            return await self._close(number, payout, PayoutEnd.DONE, progress.paid, "")
        return True

    async def _close(
        self, number: str, payout: Payout, end: PayoutEnd, part_paid: int | None, text: str
    ) -> bool:
        return await self._tell(number, i.PayoutEnded(payout.payout_id, end, part_paid, text)) is not None

    async def _fail(self, number: str, payout: Payout, part_paid: int, text: str) -> bool:
        """The machine stopped by itself: it wants a person before it is used again, by any bay."""
        closed = await self._close(number, payout, PayoutEnd.FAULT, part_paid, text)
        await self._report_state(DeviceState.FAULT, text)
        return closed

    async def _tell(self, number: str, report: i.Input) -> Outcome | None:
        try:
            return await self._bays.submit(number, report)
        except NotWrittenError:
            self._log.error("payout_not_recorded", bay=number, input=type(report).__name__)
            return None

    async def _report_state(self, state: DeviceState, reason: str) -> None:
        if (state, reason) == (self._state, self._reason):
            return
        self._state, self._reason = state, reason
        log = self._log.info if state is DeviceState.OK else self._log.warning
        log("dispenser_state_changed", dispenser=self._name, state=state.value, reason=reason)
        for number in self._numbers:
            await self._tell(number, i.DeviceReported(DISPENSER, state, reason))

    async def _clear_fault(self) -> None:
        """Staff looked at the machine at one bay: it serves all its bays again."""
        self._cleared_by_staff = False
        await self._dispenser.clear_faults()
        for number, state in list(self._facts.items()):
            if state is DeviceState.FAULT:
                await self._tell(number, i.ClearFault(DISPENSER, i.SYSTEM))
        self._state = DeviceState.UNKNOWN
        await self._report_state(DeviceState.OK, "")

    async def _report_interruption(self) -> None:
        if self._lost_at is None:
            return
        away_ms = round((asyncio.get_running_loop().time() - self._lost_at) * 1000)
        self._lost_at = None
        for number, payout in self._open_payouts().items():
            await self._tell(number, i.PayoutWasInterrupted(payout.payout_id, away_ms))

    def _open_payouts(self) -> Mapping[str, Payout]:
        return {n: w.payout for n, w in self._wishes.items() if w.payout is not None}

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until a wish changes (or has changed since the queue was looked at)."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _make_safe(self) -> None:
        """The daemon goes: no motor runs unwatched. What it paid is asked at the next start."""
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                if self._motor_may_run:
                    await self._dispenser.stop()
                await self._dispenser.aclose()
        except (DispenserUnavailableError, TimeoutError) as error:
            self._log.warning("dispenser_not_stopped", dispenser=self._name, reason=str(error))


def _is_under_way(payout: Payout) -> bool:
    """A part was marked and not every ball of it was seen: only the device knows."""
    part = payout.part
    return part is not None and payout.paid < part.paid_before + part.balls
