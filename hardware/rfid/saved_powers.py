"""Output powers that a reader keeps in its flash, one per port.

Flash wears out: what the reader has is read first, and written only when it differs. When the reader refuses
several changes at once they are tried one by one, and what it has afterwards is read back, because some say
yes and do not do it. A power that was not taken is reported once, not with every reconnection.
"""

from collections.abc import Awaitable, Callable, Mapping

from hardware.rfid.reader import PowerRefused


class RefusedPowers:
    """What was told already; kept over a lost link."""

    def __init__(self, report: Callable[[PowerRefused], None]) -> None:
        self._report = report
        self._told: dict[int, int] = {}

    def refused(self, port: int, power_dbm: int, reason: str) -> None:
        if self._told.get(port) != power_dbm:
            self._told[port] = power_dbm
            self._report(PowerRefused(port, power_dbm, reason))

    def taken(self, port: int) -> None:
        self._told.pop(port, None)

    def within(self, lowest: int, highest: int, powers: Mapping[int, int]) -> dict[int, int]:
        """Those in the range that the family can express; the others are refused."""
        able = {port: dbm for port, dbm in powers.items() if lowest <= dbm <= highest}
        for port in powers.keys() - able.keys():
            self.refused(port, powers[port], f"must be {lowest} to {highest} dBm here")
        return able


# What the reader has, one value per port; None: it does not tell.
Read = Callable[[], Awaitable[tuple[int, ...] | None]]
# Writes all ports; answers why it was refused, or None. No answer is no refusal: it is read back.
Write = Callable[[tuple[int, ...]], Awaitable[str | None]]


async def bring_powers(
    wanted: Mapping[int, int], read: Read, write: Write, refused: RefusedPowers, *, first_port: int = 1
) -> None:
    """Make the reader have these powers (by port), where it takes them."""
    before = await read()
    if before is None:
        for port, dbm in wanted.items():
            refused.refused(port, dbm, "the reader does not tell its power, so none was written")
        return
    changes = {port: dbm for port, dbm in wanted.items() if before[port - first_port] != dbm}
    for port in wanted.keys() - changes.keys():
        refused.taken(port)
    if not changes:
        return

    def with_changes(some: Mapping[int, int]) -> tuple[int, ...]:
        return tuple(some.get(first_port + index, dbm) for index, dbm in enumerate(before))

    reasons = dict.fromkeys(changes, await write(with_changes(changes)))
    if len(changes) > 1 and any(reasons.values()):
        # One bad value spoils the whole write: find out which.
        reasons = {port: await write(with_changes({port: dbm})) for port, dbm in changes.items()}
        good = {port: dbm for port, dbm in changes.items() if reasons[port] is None}
        if good:
            await write(with_changes(good))
    after = await read() or before
    for port, dbm in changes.items():
        has_dbm = after[port - first_port]
        if has_dbm == dbm:
            refused.taken(port)
        else:
            reason = reasons[port] or "the reader does not keep it"
            refused.refused(port, dbm, f"{reason}; it has {has_dbm} dBm")
