"""How many balls of one payout are out, from what a ccTalk hopper says. Pure reasoning, no questions.

Known are the mark (the hopper's registers before the payout) and its registers now. The event counter counts
every well-formed dispense command, a refused one too, and is 0 only after a reset (SCH2 manual p. 41). `paid`
belongs to the last payout and is kept over a reset, as long as the power-fail electronics work (p. 25, 26);
a refused command may leave the older payout's number there. The dispense count (header 168) runs through all
payouts and is the arbiter wherever `paid` may be somebody else's or is lost. Where two registers contradict
each other, or nothing speaks for this payout, the answer is None: a person has to count.
"""

from dataclasses import dataclass

from hardware.dispenser.cctalk import HopperFlag, HopperStatus
from hardware.dispenser.dispenser import RESET, Mark

COUNT_MODULUS = 1 << 24  # header 168 has three bytes (SCH2 p. 39)

# With one of these the registers of before a power cut were not, or not rightly, saved (SCH2 p. 43, 55).
_MEMORY_FLAGS = frozenset((HopperFlag.POWER_FAIL, HopperFlag.CHECKSUM_A, HopperFlag.CHECKSUM_B))


@dataclass(frozen=True, slots=True)
class Verdict:
    paid: int | None
    fault: str | None = None


def next_event(event: int) -> int:
    """1 follows 255: 0 belongs to the reset alone (SCH2 p. 41)."""
    return 1 if event == 255 else event + 1


def count_since(mark: Mark, count: int | None) -> int | None:
    """Balls by the dispense count since the mark; None when not known, or when the count was cleared."""
    before = mark.get("count")
    if before is None or count is None:
        return None
    delta = (count - before) % COUNT_MODULUS
    return delta if delta < COUNT_MODULUS // 2 else None


def judge(
    balls: int,
    mark: Mark,
    status: HopperStatus,
    *,
    counted: int | None,
    flags: frozenset[HopperFlag],
    accepted: bool = False,
) -> Verdict:
    """What became of the payout of `balls` after `mark`, on a hopper whose motor stands.

    `counted` is `count_since`; `accepted`: the hopper was heard to accept this very payout.
    """
    before = mark["event"]
    if status.event == 0:
        return _after_reset(balls, mark, status, counted, flags)
    if status.event == before:
        # Not even a refused command came by. A count that moved all the same is beyond explanation.
        return Verdict(0) if not counted else Verdict(None, "count moved without a payout")
    if status.event == next_event(before):
        return _last_payout(balls, mark, status, counted, accepted)
    # Others paid out as well. Where no ball left at all, none of ours did.
    return Verdict(0 if counted == 0 else None, "other payouts since")


def _last_payout(
    balls: int, mark: Mark, status: HopperStatus, counted: int | None, accepted: bool
) -> Verdict:
    older = mark["paid"]
    if status.paid > balls:
        # Refused, when this is an older payout's number; else it is nobody's that we know.
        if status.paid == older and not counted:
            return Verdict(0)
        return Verdict(None, "paid more than asked")
    if accepted or status.paid == 0 or status.paid != older:
        return Verdict(status.paid)
    # Refused, with the number of an older payout still standing there, or obeyed with the same result?
    if counted in (0, status.paid):
        return Verdict(counted)
    return Verdict(None, "payout not told from an older one")


def _after_reset(
    balls: int,
    mark: Mark,
    status: HopperStatus,
    counted: int | None,
    flags: frozenset[HopperFlag],
) -> Verdict:
    if flags & _MEMORY_FLAGS:
        return Verdict(None, "reset, counters lost")
    older = mark["paid"]
    if counted is not None:
        # `paid` is ours, or an older payout's, or forgotten (0): in the last two the count alone speaks.
        if counted <= balls and status.paid in (counted, older, 0):
            untouched = mark["event"] == 0 and counted == 0
            return Verdict(counted, None if untouched else RESET)
        return Verdict(None, "reset, counters contradict each other")
    if 0 < status.paid <= balls and status.paid != older:
        return Verdict(status.paid, RESET)
    if status.paid == 0 and status.unpaid > 0 and (older, mark["unpaid"]) != (0, status.unpaid):
        return Verdict(0, RESET)  # kept: interrupted before the first ball
    return Verdict(None, "reset, payout forgotten")


def name_fault(flags: frozenset[HopperFlag], *, low: bool | None) -> str | None:
    """The reason why a payout ended early, by name. `low`: the level sensor sees few balls or none."""
    if HopperFlag.OVER_CURRENT in flags:
        return "jam"
    if flags & {HopperFlag.OPTO_BLOCKED_PAYOUT, HopperFlag.OPTO_BLOCKED_IDLE}:
        return "opto blocked"
    if flags & {HopperFlag.OPTO_SHORT_PAYOUT, HopperFlag.OPTO_SHORT_IDLE}:
        return "opto fraud"
    if HopperFlag.PAYOUT_TIMEOUT in flags:
        return "jam" if low is False and HopperFlag.MOTOR_REVERSED in flags else "empty"
    if HopperFlag.PIN_ENABLED in flags:
        return "PIN required"
    return None
