"""What the bays of one machine are told of it: its state, and how full it is.

A fault is the machine's, not a bay's: what one bay has on record is told to all, also when the daemon died
between two of them, and it stays until staff clear it at any one. What a bay could not record is told again.
"""

from collections.abc import Awaitable, Callable

from bayd.core import inputs as i
from bayd.core.model import DISPENSER, Bay, DeviceFact, DeviceState
from bayd.ports import Log
from bayd.runtime.bay import Outcome
from hardware.dispenser import Level

Tell = Callable[[str, i.Input], Awaitable[Outcome | None]]  # None: it was not recorded


class MachineFacts:
    """One machine's. `state` and `reason` are what was last seen of it here."""

    def __init__(self, name: str, numbers: tuple[str, ...], tell: Tell, log: Log) -> None:
        self.state = DeviceState.UNKNOWN
        self.reason = ""
        self.cleared = False  # staff have seen to it; the machine has not heard of it yet
        self._name = name
        self._numbers = numbers
        self._tell = tell
        self._log = log
        self._at_bays: dict[str, DeviceFact] = {}
        self._level: Level | None = None
        self._levels_told: dict[str, Level] = {}

    @property
    def fault(self) -> str | None:
        """Why nothing may start. None: something may."""
        if self.cleared:
            return None
        if self.state is DeviceState.FAULT:
            return self.reason
        return next((fact.reason for fact in self._at_bays.values() if _is_fault(fact)), None)

    def note(self, bay: Bay) -> None:
        """What a bay has on record."""
        before, fact = self._at_bays.get(bay.number), bay.devices.get(DISPENSER, DeviceFact())
        if before is not None and _is_fault(before) and fact.state is DeviceState.UNKNOWN:
            self.cleared = True
        self._at_bays[bay.number] = fact

    async def report(self, state: DeviceState, reason: str) -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            log = self._log.info if state is DeviceState.OK else self._log.warning
            log("dispenser_state_changed", dispenser=self._name, state=state.value, reason=reason)
        await self.share()

    async def share(self) -> None:
        """Tell every bay what it does not have on record yet."""
        fault = self.fault
        state, reason = self.state, self.reason
        if fault is not None:
            state, reason = DeviceState.FAULT, fault
        elif state in (DeviceState.UNKNOWN, DeviceState.FAULT):
            return  # nothing was seen of it, or nothing since staff were there
        for number in self._numbers:
            fact = self._at_bays.get(number, DeviceFact())
            if not _is_fault(fact) and (fact.state, fact.reason) != (state, reason):
                await self._tell(number, i.DeviceReported(DISPENSER, state, reason))

    async def forget_fault(self) -> None:
        """The machine has been told: it serves all its bays again."""
        everywhere = True
        for number, fact in tuple(self._at_bays.items()):
            if _is_fault(fact) and await self._tell(number, i.ClearFault(DISPENSER, i.SYSTEM)) is None:
                everywhere = False
        self.cleared = not everywhere
        self.state = DeviceState.UNKNOWN
        await self.report(DeviceState.OK, "")

    async def report_level(self, level: Level, stock: int | None) -> None:
        if level is not self._level:
            log = self._log.warning if level in (Level.LOW, Level.EMPTY) else self._log.info
            log("ball_level_changed", dispenser=self._name, level=level.value, stock=stock)
            self._level = level
        for number in self._numbers:
            if self._levels_told.get(number) is level:
                continue
            if await self._tell(number, i.BallLevelSeen(level.value)) is not None:
                self._levels_told[number] = level


def _is_fault(fact: DeviceFact) -> bool:
    return fact.state is DeviceState.FAULT
