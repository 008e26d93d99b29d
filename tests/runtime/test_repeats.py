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
    told = [log.passes(reader="a") for _ in range(BURST + 3)]
    assert [line is not None for line in told] == [True] * BURST + [False] * 3
    log.now_s = WINDOW_S
    line = log.passes(reader="a")
    assert line is not None
    assert line["repeats_held_back"] == 3
    later = log.passes(reader="a")
    assert later is not None
    assert "repeats_held_back" not in later


def test_another_bay_device_or_warning_is_no_repeat(log: Log) -> None:
    for _ in range(BURST):
        assert log.passes(reader="a")
    assert log.passes(reader="a") is None
    assert log.passes(reader="b")
    assert log.passes(reader="a", port=3)
    assert log.passes(reader="a", event="power_refused")


@pytest.mark.parametrize("level", ["error", "critical", "info"])
def test_errors_and_news_always_pass(log: Log, level: str) -> None:
    assert all(log.passes(level=level, bay="1") for _ in range(10 * BURST))


def test_ever_new_texts_do_not_fill_the_memory(log: Log) -> None:
    for number in range(5_000):
        assert log.passes(bay=str(number))
    assert len(log._limit._windows) <= 1_000
