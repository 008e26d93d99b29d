"""Drives one ball dispenser for the bays that share it.

One payout at a time, in the order of the presses. A part of a payout is started only after the device's
mark is durable, and only once; whatever interrupts it, the device is asked. The reconciler holds no truth
of its own: after a crash it finds the open payout in the bay's state and goes on by asking.

A disk may hang while a motor runs: the report waits for it, and a stop that is wished meanwhile is obeyed.

A machine that cannot tell what it paid (open loop) is given one pulse at a time, each a part with a mark of
its own: a crash leaves one pulse in doubt, never more.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.model import Bay, DeviceState, Payout, PayoutEnd, PayoutPart
from bayd.journal import NotWrittenError
from bayd.ports import Log
from bayd.reconcile.ball_level import BallLevel, LevelRules
from bayd.reconcile.ball_stock import BallStock
from bayd.reconcile.machine_facts import MachineFacts
from bayd.reconcile.payout_queue import PayoutQueue, is_under_way
from bayd.runtime.bay import Outcome
from bayd.runtime.closing import to_the_end
from hardware.dispenser import (
    RESET,
    Dispenser,
    DispenserUnavailableError,
    Identity,
    Level,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
)

_POLL_S = 0.1  # hoppers are asked this often while they pay (wire facts: 166 each 100 ms)
_SUPERVISE_S = 5.0  # an idle machine is asked for its level: a dead link is noticed before a customer does
_RECONNECT_S = (0.5, 1.0, 2.0, 3.0)
_STOP_WITHIN_S = 2.0
_RETRY_S = 1.0  # when the journal could not be written
_STARTS = 3  # of a payout that certainly did not begin: a lost command is no reason to send a customer away
_START_AGAIN_S = 0.5
_STUCK_S = 60.0  # a motor that runs without a ball: every machine gives up long before
_STUCK = "its motor runs and no ball comes"
_STALL_S = 2.0  # a report that took longer to become durable: meanwhile nothing was driven
_EMPTY = "empty"  # as the drivers name it


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
    stock: int | None  # balls left, as far as they are counted
    minutes_to_empty: float | None


class DispenserReconciler:
    """One per machine. `run` is a root task."""

    def __init__(
        self,
        name: str,
        dispenser: Dispenser,
        bays: tuple[str, ...],
        submit_to: Bays,
        log: Log,
        level_rules: LevelRules | None = None,
    ) -> None:
        self._name = name
        self._dispenser = dispenser
        self._numbers = bays
        self._bays = submit_to
        self._log = log
        self._wishes: dict[str, Desired] = {}
        self._facts = MachineFacts(name, bays, self._tell, log)
        self._queue = PayoutQueue()
        self._wake = asyncio.Event()
        self._identity: Identity | None = None
        self._level = BallLevel(level_rules)
        self._level_at = 0.0
        self._stock = BallStock(name, bays)
        self._away_since: float | None = None  # nobody drove the machine since then
        self._motor_for: str | None = None  # the bay for which the motor may run
        self._stuck = False  # that motor runs without a ball
        self._stopped = False  # we told it to stand

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        number = bay.number
        self._note_stock(bay)
        if number not in self._numbers:
            return
        self._wishes[number] = wish
        self._facts.note(bay)
        self._queue.note(number, wish.payout, self._now())
        self._wake.set()

    def view(self) -> DispenserView:
        state, reason, fault = self._facts.state, self._facts.reason, self._facts.fault
        if fault is not None and state is not DeviceState.LOST:
            state, reason = DeviceState.FAULT, fault
        return DispenserView(
            state,
            reason,
            self._identity,
            self._level.level,
            self._queue.bays,
            self._level.stock,
            self._level.minutes_to_empty(self._now()),
        )

    def queue_place(self, number: str) -> int:
        """How many payouts come before that of this bay, or would if it pressed now."""
        return self._queue.place(number)

    async def run(self) -> None:
        attempt = 0
        try:
            while True:
                try:
                    self._identity = await self._dispenser.connect()
                    attempt = 0
                    await self._facts.report(DeviceState.OK, "")
                    await self._report_interruption()
                    await self._serve()
                except DispenserUnavailableError as error:
                    self._stopped = False  # whatever it did meanwhile
                    if self._away_since is None:
                        self._away_since = self._now()
                    await self._facts.report(DeviceState.LOST, str(error))
                    await self._give_up_what_waits(self._away_since)
                await asyncio.sleep(_RECONNECT_S[min(attempt, len(_RECONNECT_S) - 1)])
                attempt += 1
        finally:
            await to_the_end(self._make_safe())

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            await self._facts.share()
            await self._share_refill()
            while (number := self._queue.next) is not None:
                # What the device may still be working on is settled first: clearing moves its counters.
                if self._facts.cleared and not is_under_way(self._wishes[number].payout):
                    await self._clear_fault()
                if not await self._turn(number):
                    await asyncio.sleep(_RETRY_S)
                elif self._now() - self._level_at >= _SUPERVISE_S:
                    await self._look_at_level()
            if self._facts.cleared:
                await self._clear_fault()
            await self._look_at_level()
            await self._pause(_SUPERVISE_S)

    # ---- one payout

    async def _turn(self, number: str) -> bool:
        """One run of the motor, or the question what became of one. False: try again in a moment."""
        await self._report_interruption()
        payout = self._wishes[number].payout
        if payout is None:
            return True
        part = payout.part
        if part is not None and is_under_way(payout):
            return await self._follow(number, payout, part)
        if payout.left == 0:
            return await self._close(number, payout, PayoutEnd.DONE, _settled(part), "")
        if not self._may_start(number):
            end = PayoutEnd.NEVER_STARTED if part is None else PayoutEnd.STOPPED
            return await self._close(number, payout, end, _settled(part), "")
        return await self._start(number, payout)

    def _may_start(self, number: str) -> bool:
        """The bay allows it, and no bay knows of a fault of the machine."""
        return self._wishes[number].payout_may_start and self._facts.fault is None

    async def _start(self, number: str, payout: Payout) -> bool:
        """Mark, record the mark, pay; again, with a new mark, when it certainly did not begin."""
        capabilities = self._dispenser.capabilities
        balls = min(payout.left, capabilities.max_per_payout)
        balls -= balls % capabilities.step
        if not balls:
            text = f"this machine pays multiples of {capabilities.step} balls"
            return await self._close(number, payout, PayoutEnd.DONE, _settled(payout.part), text)
        starts_left = _STARTS
        while True:
            mark = await self._dispenser.mark()
            if not await self._record_mark(number, payout, balls, mark):
                return False
            marked = self._wishes[number].payout
            if marked is None or marked.part is None:
                return True
            if not self._may_start(number):
                end = PayoutEnd.STOPPED if marked.paid else PayoutEnd.NEVER_STARTED
                return await self._close(number, marked, end, 0, "")
            self._motor_for, self._stopped = number, False
            try:
                await self._dispenser.pay(balls, mark)
            except NotStartedError as error:
                self._motor_for = None
                self._log.warning("payout_not_begun", dispenser=self._name, bay=number, reason=str(error))
                starts_left -= 1
                if not starts_left:
                    return await self._give_up(number, marked, marked.part, str(error))
                await asyncio.sleep(_START_AGAIN_S)
                continue
            except OutcomeUnknownError as error:
                self._log.warning(
                    "payout_outcome_unclear", dispenser=self._name, bay=number, reason=str(error)
                )
            return await self._follow(number, marked, marked.part)

    async def _give_up(self, number: str, payout: Payout, part: PayoutPart, text: str) -> bool:
        """A machine that refuses for a reason of its own says so; else only the command was lost."""
        refusal = (await self._dispenser.progress(part.balls, part.mark)).fault
        if refusal is None or refusal == RESET:
            return await self._close(number, payout, PayoutEnd.FAULT, 0, text)
        return await self._fail(number, payout, 0, refusal)

    async def _record_mark(self, number: str, payout: Payout, balls: int, mark: Mapping[str, int]) -> bool:
        marked = await self._tell(number, i.PayoutMarkTaken(payout.payout_id, balls, mark))
        if marked is None or marked.decision.refusal is not None:
            return False
        await self._report_interruption()
        return True

    async def _follow(self, number: str, payout: Payout, part: PayoutPart) -> bool:
        """Ask until the motor stands, reporting each ball."""
        self._motor_for, self._stuck = number, False
        reported = payout.paid - part.paid_before
        moved_at = self._now()
        while True:
            await self._stop_if_it_must()
            progress = await self._dispenser.progress(part.balls, part.mark)
            if progress.paid is not None and progress.paid > reported:
                if await self._tell(number, i.PayoutProgressed(payout.payout_id, progress.paid)) is None:
                    return False
                reported, moved_at = progress.paid, self._now()
            if not progress.running:
                break
            if progress.paid is not None and self._now() - moved_at > _STUCK_S and not self._stuck:
                self._stuck, self._stopped = True, False
                await self._facts.report(DeviceState.FAULT, _STUCK)
            await asyncio.sleep(_POLL_S)
        self._motor_for = None
        stopped = self._wishes[number].payout_stop or (self._stopped and not self._stuck)
        if self._stuck and progress.fault is None:
            progress = replace(progress, fault=_STUCK)
        return await self._settle(number, payout, part, progress, stopped=stopped)

    async def _settle(
        self, number: str, payout: Payout, part: PayoutPart, progress: Progress, *, stopped: bool
    ) -> bool:
        """The motor stands."""
        paid, step = progress.paid, self._dispenser.capabilities.step
        if paid is None:
            text = progress.fault or "the machine cannot say how many balls came out"
            return await self._close(number, payout, PayoutEnd.UNKNOWN, None, text)
        # A machine that lost its power is well again: that wants no person, only another press.
        if paid < part.balls and progress.fault is not None and progress.fault != RESET and not stopped:
            return await self._fail(number, payout, paid, progress.fault)
        if paid < part.balls and (step == 1 or progress.fault == RESET):
            # Stopped by us, or by a power cut: nothing starts again by itself in this payout.
            end = PayoutEnd.STOPPED if stopped else PayoutEnd.FAULT
            return await self._close(number, payout, end, paid, progress.fault or "interrupted")
        left = payout.balls - part.paid_before - paid
        if left < step:
            text = "the last tray held fewer" if left > 0 else ""
            return await self._close(number, payout, PayoutEnd.DONE, paid, text)
        current = self._wishes[number].payout
        if paid >= part.balls or current is None:
            return True
        # A tray that held fewer: only here and now it is known that it is done with.
        if not self._may_start(number):
            return await self._close(number, payout, PayoutEnd.STOPPED, paid, "")
        return await self._start(number, current)

    async def _close(
        self, number: str, payout: Payout, end: PayoutEnd, part_paid: int | None, text: str
    ) -> bool:
        return await self._tell(number, i.PayoutEnded(payout.payout_id, end, part_paid, text)) is not None

    async def _fail(self, number: str, payout: Payout, part_paid: int, text: str) -> bool:
        """The machine stopped by itself: it wants a person before it is used again, by any bay."""
        if text == _EMPTY:
            self._level.ran_empty()
        await self._facts.report(DeviceState.FAULT, text)
        return await self._close(number, payout, PayoutEnd.FAULT, part_paid, text)

    async def _stop_if_it_must(self) -> None:
        number = self._motor_for
        if number is None or self._stopped:
            return
        if self._stuck or self._wishes[number].payout_stop:
            await self._stop()
            self._stopped = True

    async def _stop(self) -> None:
        try:
            await self._dispenser.stop()
        except DispenserUnavailableError:
            # One without a stop of its own pays to the end: that is asked, not given up.
            if self._dispenser.capabilities.emergency_stop:
                raise

    # ---- what the bays are told

    async def _tell(self, number: str, report: i.Input) -> Outcome | None:
        """Wait for the record of it, however long; a motor that is to stand meanwhile is stopped."""
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._submit(number, report), name=f"tell-{self._name}")
            while not (await asyncio.wait({telling}, timeout=_POLL_S))[0]:
                try:
                    await self._stop_if_it_must()
                except DispenserUnavailableError:
                    pass  # tried again in a moment; whoever next asks the machine finds out
        return telling.result()

    async def _submit(self, number: str, report: i.Input) -> Outcome | None:
        began_at = self._now()
        try:
            outcome = await self._bays.submit(number, report)
            if self._now() - began_at >= _STALL_S and self._away_since is None:
                self._away_since = began_at
            return outcome
        except NotWrittenError:
            self._log.error("payout_not_recorded", bay=number, input=type(report).__name__)
            return None

    async def _report_interruption(self) -> None:
        """The link was gone, or the disk: whoever pressed may have left. A payout that was asked for in the
        meantime waits since then only."""
        if self._away_since is None:
            return
        away_since, self._away_since = self._away_since, None
        await self._tell_how_long(away_since)

    async def _tell_how_long(self, away_since: float) -> None:
        for number, payout in self._queue.payouts().items():
            known_since = self._queue.known_since(number) or away_since  # it may close while we tell
            away_ms = round((self._now() - max(away_since, known_since)) * 1000)
            await self._tell(number, i.PayoutWasInterrupted(payout.payout_id, away_ms))

    async def _give_up_what_waits(self, away_since: float) -> None:
        """A machine that stays away: what it never heard of is owed, and the bay may ask again."""
        await self._tell_how_long(away_since)
        for number, payout in self._queue.payouts().items():
            if payout.part is None and not self._may_start(number):
                await self._close(number, payout, PayoutEnd.NEVER_STARTED, 0, self._facts.reason)

    async def _clear_fault(self) -> None:
        """Staff looked at the machine at one bay: it serves all its bays again."""
        await self._dispenser.clear_faults()
        self._level.filled()
        await self._facts.forget_fault()

    # ---- level and stock

    async def _look_at_level(self) -> None:
        sensed = await self._dispenser.level()
        self._level_at = self._now()
        self._level.sensed(sensed, self._level_at)
        await self._facts.report_level(self._level.level, self._level.stock)

    def _note_stock(self, bay: Bay) -> None:
        came_out, filled = self._stock.note(bay)
        if filled:
            self._level.filled()
            if self._facts.fault == _EMPTY:
                self._facts.cleared = True
        if came_out:
            self._level.paid(came_out, self._now())
        self._level.stocked(self._stock.left)

    async def _share_refill(self) -> None:
        """Told at one bay, kept by all: what each has had since is taken off."""
        for number, refill in self._stock.not_yet_told():
            await self._tell(number, refill)

    # ---- time

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

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
                try:
                    if self._motor_for is not None:
                        await self._stop()
                finally:
                    await self._dispenser.aclose()
        except (DispenserUnavailableError, TimeoutError) as error:
            self._log.warning("dispenser_not_stopped", dispenser=self._name, reason=str(error))


def _settled(part: PayoutPart | None) -> int:
    """Every ball of it was seen, or it was never marked."""
    return 0 if part is None else part.balls
