"""Powers that a reader did not take: each is told once, not with every round or reconnection."""

from collections.abc import Callable

from hardware.rfid.reader import PowerRefused


class RefusedPowers:
    """Kept over a lost link."""

    def __init__(self, report: Callable[[PowerRefused], None]) -> None:
        self._report = report
        self._told: dict[int, int] = {}

    def refused(self, port: int, power_dbm: int, reason: str) -> None:
        if self._told.get(port) != power_dbm:
            self._told[port] = power_dbm
            self._report(PowerRefused(port, power_dbm, reason))

    def taken(self, port: int) -> None:
        self._told.pop(port, None)
