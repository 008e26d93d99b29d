"""Blind and deaf time of a port, by hand."""

import pytest

from bayd.core.presence import PresenceRules, Tee
from bayd.reconcile.antenna_ports import PortRoute, ReaderRoutes
from bayd.reconcile.listening import PortWatch, presence_rules

BLIND_AFTER_MS = 1_000


@pytest.fixture
def watch() -> PortWatch:
    return PortWatch(BLIND_AFTER_MS, now_ms=0)


def test_a_gap_counts_whole_once_it_is_longer_than_a_round_may_be(watch: PortWatch) -> None:
    watch.want(10_000)
    watch.round_ended(10_300)
    watch.round_ended(11_300)
    assert watch.blind_ms(12_300) == 0
    assert watch.blind_ms(12_301) == 1_001
    watch.round_ended(15_000)
    assert watch.blind_ms(15_000) == 3_700
    watch.round_ended(15_500)
    assert watch.blind_ms(15_600) == 3_700


def test_before_the_first_round_it_counts_from_when_the_port_was_wanted(watch: PortWatch) -> None:
    assert watch.blind_ms(60_000) == 0
    watch.want(60_000)
    watch.want(61_000)  # another plan changes nothing
    assert watch.blind_ms(64_000) == 4_000
    watch.rest(65_000)
    assert watch.blind_ms(90_000) == 5_000
    watch.round_ended(91_000)  # of the plan that was given up
    assert watch.blind_ms(91_000) == 5_000
    watch.want(100_000)
    watch.round_ended(100_500)
    assert watch.blind_ms(100_500) == 5_000


def test_the_revisit_is_the_longest_of_the_last_ones_and_no_gap(watch: PortWatch) -> None:
    watch.want(0)
    seen = []
    for at_ms in (900, 1_300, 2_000, 9_000, *range(9_100, 11_000, 100)):
        watch.round_ended(at_ms)
        seen.append(watch.revisit_ms)
    assert seen[:5] == [None, 400, 700, None, 100]
    assert set(seen[5:]) == {100}


def test_deafness_is_told_once_and_includes_the_time_when_nobody_wanted_to_listen(watch: PortWatch) -> None:
    watch.want(30_000)
    assert watch.proved(30_400) == 0  # nobody listened since the start
    assert watch.proved(30_800) is None
    watch.rest(31_000)
    watch.want(900_000)
    assert watch.proved(900_200) == 30_800
    assert watch.proved(900_400) is None


def test_a_fast_reader_leaves_the_rules_of_presence_as_they_are() -> None:
    assert presence_rules([480, 120], 120) == PresenceRules()
    assert presence_rules([], 120) == PresenceRules()


def test_a_slow_round_widens_the_windows_of_presence() -> None:
    rules = presence_rules([120, 960], 120)
    assert rules.arbitration_ms == 960
    assert rules.confirm_within_ms == 1_200
    assert rules.absent_after_ms == 3_840
    assert presence_rules([1_920], 2).recount_after_s == 8  # a presence must be able to end before


def test_the_longest_round_is_the_drivers_watchdog() -> None:
    ports = {port: PortRoute(Tee(str(port)), 20) for port in range(1, 9)}
    assert ReaderRoutes(ports, 2, 60).blind_after_ms == 1_460
    assert ReaderRoutes(ports, 2, 60, grace_ms=200).blind_after_ms == 1_160
