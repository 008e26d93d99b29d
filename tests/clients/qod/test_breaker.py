"""The circuit breaker alone: a value that is stepped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.clients.qod.breaker import (
    BreakerLimits,
    BreakerState,
    Closed,
    Open,
    Probing,
    abandoned,
    admit,
    failed,
    succeeded,
)

LIMITS = BreakerLimits(failures=3, open_s=30, open_max_s=100)


def test_it_opens_at_the_limit_and_not_before() -> None:
    state: BreakerState = Closed()
    for _ in range(2):
        state = failed(state, LIMITS, 0)
        assert admit(state, 0) == (state, None)
    state = failed(state, LIMITS, 0)
    assert admit(state, 10) == (Open(30, 30), 20)


def test_a_success_starts_the_count_anew() -> None:
    state = failed(failed(Closed(), LIMITS, 0), LIMITS, 0)
    state = failed(failed(succeeded(state), LIMITS, 0), LIMITS, 0)
    assert state == Closed(2)


def test_after_the_pause_there_is_one_probe() -> None:
    state, wait_s = admit(Open(30, 30), 30)
    assert (state, wait_s) == (Probing(30), None)
    again, wait_s = admit(state, 30)
    assert again == state
    assert wait_s is not None and wait_s > 0


def test_failed_probes_double_the_pause_up_to_its_bound() -> None:
    state: BreakerState = Open(30, 30)
    now_s, pauses = 30.0, []
    for _ in range(4):
        state, _wait_s = admit(state, now_s)
        state = failed(state, LIMITS, now_s)
        assert isinstance(state, Open)
        pauses.append(state.until_s - now_s)
        now_s = state.until_s
    assert pauses == [60, 100, 100, 100]


def test_stragglers_move_nothing() -> None:
    opened = Open(30, 30)
    assert failed(opened, LIMITS, 5) == opened
    assert abandoned(opened, 5) == opened
    assert abandoned(Closed(2), 5) == Closed(2)


def test_an_abandoned_probe_gives_its_place_back() -> None:
    state = abandoned(Probing(60), 500)
    assert admit(state, 500) == (Probing(60), None)
    assert failed(Probing(60), LIMITS, 500) == Open(600, 100)


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["fail", "success", "abandon", "ask"]), st.floats(0, 200))))
def test_it_never_stays_shut_for_longer_than_its_bound(steps: list[tuple[str, float]]) -> None:
    state: BreakerState = Closed()
    now_s = 0.0
    for step, passed_s in steps:
        now_s += passed_s
        match step:
            case "fail":
                state = failed(state, LIMITS, now_s)
            case "success":
                state = succeeded(state)
            case "abandon":
                state = abandoned(state, now_s)
            case _:
                state, wait_s = admit(state, now_s)
                assert wait_s is None or 0 < wait_s <= LIMITS.open_max_s
    if isinstance(state, Open):
        assert admit(state, now_s + LIMITS.open_max_s)[1] is None


@pytest.mark.parametrize("failures", [1, 5])
def test_the_limit_is_a_count_in_a_row(failures: int) -> None:
    limits = BreakerLimits(failures=failures, open_s=1, open_max_s=1)
    state: BreakerState = Closed()
    for _ in range(failures):
        assert isinstance(state, Closed)
        state = failed(state, limits, 0)
    assert isinstance(state, Open)
