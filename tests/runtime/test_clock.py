"""Whether the wall clock may be trusted."""

import ctypes

from bayd.runtime.clock import SystemClock, _Timex

NOBODY = "no time service keeps it"
HOUR_MS = 3_600_000


def test_a_clock_that_was_kept_is_trusted_without_the_network_until_it_is_set() -> None:
    clock = SystemClock("boot")
    found = []
    for hour, offset_ms, problem in (
        (0, 1_000_000, NOBODY),
        (1, 5_000_000, None),
        (48, 5_001_500, NOBODY),  # the line is down; it drifts a little
        (49, 5_001_500 + HOUR_MS, NOBODY),  # somebody sets it by an hour
        (50, 5_001_500, NOBODY),  # and back: that proves nothing
    ):
        clock._check(hour * HOUR_MS, offset_ms, problem)
        found.append(clock.problem)
    assert found == [NOBODY, None, None, NOBODY, NOBODY]


def test_a_clock_that_nothing_keeps_is_warned_of_after_a_while() -> None:
    clock = SystemClock("boot")
    now_ms = clock.now().boot_ms
    clock._check_at_ms = now_ms + HOUR_MS
    clock._check(now_ms, 0, None)
    clock._check(now_ms, 2 * HOUR_MS, NOBODY)
    assert clock.warnings() == []
    clock._since_ms = now_ms - HOUR_MS
    assert [warning["code"] for warning in clock.warnings()] == ["clock_unsynchronised"]


def test_the_kernel_is_asked_in_its_own_layout() -> None:
    """`maxerror` stands behind `modes` (padded), `offset` and `freq`; 208 bytes are written (adjtimex(2))."""
    long = ctypes.sizeof(ctypes.c_long)
    assert _Timex.maxerror.offset == 3 * long
    assert ctypes.sizeof(_Timex) >= 208
