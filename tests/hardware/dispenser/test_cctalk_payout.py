"""The reasoning about one payout, case by case: what the hopper says, and what may be concluded."""

import pytest

from hardware.dispenser.cctalk import HopperFlag, HopperStatus
from hardware.dispenser.cctalk_payout import Verdict, count_since, judge, name_fault, next_event

FULL_CYCLE = 255


def mark(event: int = 7, paid: int = 20, unpaid: int = 0) -> dict[str, int]:
    return {"event": event, "paid": paid, "unpaid": unpaid}


def status(event: int, paid: int, unpaid: int = 0, remaining: int = 0) -> HopperStatus:
    return HopperStatus(event, remaining, paid, unpaid)


def test_the_event_counter_never_counts_to_zero() -> None:
    event, seen = 0, []
    for _ in range(2 * FULL_CYCLE):
        event = next_event(event)
        seen.append(event)
    assert seen == [*range(1, 256), *range(1, 256)]


@pytest.mark.parametrize(
    ("before", "now", "counted", "paid"),
    [
        # One more: it is this payout.
        (mark(7), status(8, 12, 8), 12, 12),
        (mark(7), status(8, 0, 20), 0, 0),
        (mark(255), status(1, 12, 8), 12, 12),
        (mark(0, 0), status(1, 12, 8), 12, 12),
        (mark(7), status(8, 12, 8), None, 12),
        # As many as before: obeyed with the same result, or refused with the old number still there?
        (mark(7, 20), status(8, 20), 20, 20),
        (mark(7, 20), status(8, 20), 0, 0),
        (mark(7, 20), status(8, 20), 5, None),
        (mark(7, 20), status(8, 20), None, None),
        (mark(7, 0), status(8, 0), None, 0),
        (mark(7, 30), status(8, 30), 0, 0),  # more than asked: refused, an older payout's number
        (mark(7, 30), status(8, 30), None, 0),
        (mark(7, 30), status(8, 30), 5, None),
        (mark(7, 20), status(8, 21), 21, None),  # more than asked, and not known
        # Unchanged: the command never came through.
        (mark(7), status(7, 20), 0, 0),
        (mark(7), status(7, 20), None, 0),
        (mark(7), status(7, 20), 3, None),
        # Further ahead: others paid too.
        (mark(7), status(9, 5), 0, 0),
        (mark(7), status(9, 5), 5, None),
        (mark(7), status(9, 5), None, None),
        (mark(255), status(2, 5), None, None),
        # Reset, registers kept.
        (mark(7, 20), status(0, 4, 16), 4, 4),
        (mark(7, 20), status(0, 20, 0), 0, 0),  # before it began: the older payout's 20
        (mark(7, 20), status(0, 20, 0), 20, 20),
        (mark(7, 20), status(0, 20, 0), None, None),
        (mark(7, 20), status(0, 4, 16), None, 4),
        (mark(7, 0), status(0, 0, 20), None, 0),
        # Reset, registers forgotten: the count decides.
        (mark(7, 20), status(0, 0), 4, 4),
        (mark(7, 20), status(0, 0), 0, 0),
        (mark(7, 20), status(0, 0), None, None),
        (mark(0, 0), status(0, 0), 0, 0),
        (mark(0, 0), status(0, 0), None, None),
        # Contradictions.
        (mark(7, 20), status(0, 4, 16), 6, None),
        (mark(7, 20), status(0, 0), 21, None),
    ],
)
def test_paid(before: dict[str, int], now: HopperStatus, counted: int | None, paid: int | None) -> None:
    verdict = judge(20, before, now, counted=counted, flags=frozenset())
    assert verdict.paid == paid
    if paid is None or (now.event == 0 and before["event"] != 0):
        assert verdict.fault


def test_a_payout_that_was_heard_to_be_accepted_needs_no_arbiter() -> None:
    verdict = judge(20, mark(7, 20), status(8, 20), counted=None, flags=frozenset(), accepted=True)
    assert verdict == Verdict(20)


@pytest.mark.parametrize("flag", [HopperFlag.POWER_FAIL, HopperFlag.CHECKSUM_A, HopperFlag.CHECKSUM_B])
def test_a_memory_that_confesses_is_not_believed(flag: HopperFlag) -> None:
    verdict = judge(20, mark(7), status(0, 4, 16), counted=4, flags=frozenset({flag}))
    assert (verdict.paid, verdict.fault) == (None, "reset, counters lost")


def test_the_dispense_count_wraps_and_may_be_cleared() -> None:
    assert count_since({"event": 1, "count": 0xFFFFFE}, 3) == 5
    assert count_since({"event": 1, "count": 500}, 0) is None  # somebody cleared it
    assert count_since({"event": 1}, 3) is None
    assert count_since({"event": 1, "count": 500}, None) is None


@pytest.mark.parametrize(
    ("flags", "low", "fault"),
    [
        ({HopperFlag.OVER_CURRENT, HopperFlag.PAYOUT_TIMEOUT}, None, "jam"),
        ({HopperFlag.OPTO_BLOCKED_PAYOUT}, None, "opto blocked"),
        ({HopperFlag.OPTO_SHORT_IDLE}, None, "opto fraud"),
        ({HopperFlag.PAYOUT_TIMEOUT}, True, "empty"),
        ({HopperFlag.PAYOUT_TIMEOUT}, None, "empty"),
        ({HopperFlag.PAYOUT_TIMEOUT, HopperFlag.MOTOR_REVERSED}, False, "jam"),
        ({HopperFlag.PAYOUT_TIMEOUT, HopperFlag.MOTOR_REVERSED}, True, "empty"),
        ({HopperFlag.PIN_ENABLED, HopperFlag.DISABLED}, None, "PIN required"),
        ({HopperFlag.POWER_UP, HopperFlag.DISABLED}, None, None),
    ],
)
def test_faults_by_name(flags: set[HopperFlag], low: bool | None, fault: str | None) -> None:
    assert name_fault(frozenset(flags), low=low) == fault
