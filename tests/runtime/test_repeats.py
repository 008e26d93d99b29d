"""A log that stays readable when one thing fails for hours."""

from typing import Any

import pytest
import structlog

from bayd.runtime.repeats import BURST, WINDOW_S, RepeatLimit


class Log:
    """Counts what passes the limit."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._limit = RepeatLimit(lambda: self.now_s)

    def passes(self, **facts: Any) -> dict[str, Any] | None:
        try:
            return dict(self._limit(None, "", {"level": "warning", "event": "reader_lost", **facts}))
        except structlog.DropEvent:
            return None


@pytest.fixture
def log() -> Log:
    return Log()


def test_so_many_a_minute_and_then_a_count(log: Log) -> None:
    told = [log.passes(reader="a") for _ in range(BURST["warning"] + 3)]
    assert [line is not None for line in told] == [True] * BURST["warning"] + [False] * 3
    log.now_s = WINDOW_S
    line = log.passes(reader="a")
    assert line is not None
    assert line["repeats_held_back"] == 3
    later = log.passes(reader="a")
    assert later is not None
    assert "repeats_held_back" not in later


def test_another_bay_device_or_warning_is_no_repeat(log: Log) -> None:
    for _ in range(BURST["warning"]):
        assert log.passes(reader="a")
    assert log.passes(reader="a") is None
    assert log.passes(reader="b")
    assert log.passes(reader="a", port=3)
    assert log.passes(reader="a", event="power_refused")


def test_an_error_that_comes_every_second_is_limited_as_well(log: Log) -> None:
    """A full disk: each bay's end that cannot be written is tried every second."""
    passed = 0
    for second in range(3_600):
        log.now_s = float(second)
        passed += log.passes(level="error", event="act_not_recorded", bay="1") is not None
    assert passed == 60 * BURST["error"]


def test_rubbish_from_outside_does_not_fill_the_disk(log: Log) -> None:
    told = [log.passes(level="info", event="request_malformed") for _ in range(10_000)]
    assert sum(line is not None for line in told) == BURST["info"]


def test_news_of_an_evening_all_pass(log: Log) -> None:
    assert all(
        log.passes(level="info", event="session_started", bay=str(bay))
        for bay in range(128)
        for _ in range(5)
    )
    assert all(log.passes(level="debug") for _ in range(1_000))


def test_ever_new_texts_do_not_fill_the_memory(log: Log) -> None:
    for number in range(5_000):
        assert log.passes(bay=str(number))
    assert len(log._limit._windows) <= 1_000
