"""How full a machine is, told from sensors, stock and what happened; and the stock of several bays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayd.core import inputs as i
from bayd.core.model import Bay, Stock
from bayd.reconcile.ball_level import BallLevel, LevelRules
from bayd.reconcile.ball_stock import BallStock
from hardware.dispenser import Level


def told(level: BallLevel) -> str:
    """A call, because mypy would take the level of an earlier assertion for the present one."""
    return level.level.value


def left(stock: BallStock) -> int | None:
    return stock.left


def test_a_sensor_is_believed_when_it_says_the_same_for_a_while() -> None:
    level = BallLevel(LevelRules(steady_s=15))
    seen = []
    said = [
        (0, Level.OK),
        (5, Level.LOW),
        (10, Level.OK),
        (15, Level.LOW),
        (20, Level.LOW),
        (30, Level.LOW),
        (35, Level.OK),
        (40, Level.LOW),
    ]
    for at_s, sensed in said:
        level.sensed(sensed, at_s)
        seen.append(level.level)
    assert seen == [Level.OK] * 5 + [Level.LOW] * 3


@given(st.lists(st.tuples(st.floats(0.1, 14), st.sampled_from([Level.OK, Level.LOW])), max_size=40))
def test_a_sensor_that_flickers_changes_nothing(readings: list[tuple[float, Level]]) -> None:
    level, at_s = BallLevel(LevelRules(steady_s=15)), 0.0
    last, since = None, 0.0
    for wait_s, sensed in readings:
        at_s += wait_s
        if sensed is not last:
            last, since = sensed, at_s
        before = level.level
        level.sensed(sensed, at_s)
        if level.level is not before and before is not Level.UNKNOWN:
            assert at_s - since >= 15
            assert level.level is sensed


def test_a_sensor_outweighs_the_stock_and_the_stock_a_silent_sensor() -> None:
    level = BallLevel(LevelRules(low_balls=100))
    level.stocked(20)
    assert told(level) == "low"
    level.sensed(Level.OK, 0)
    assert told(level) == "ok"
    level.sensed(Level.UNKNOWN, 10)
    level.sensed(Level.UNKNOWN, 30)
    assert told(level) == "low"


@pytest.mark.parametrize(
    ("stocks", "levels"),
    [
        ([200, 101, 100, 120, 150, 151], "ok ok low low low ok"),
        ([0, 151, 400], "empty ok full"),
        ([-20], "empty"),
        ([None], "unknown"),
    ],
)
def test_the_stock_is_low_until_it_is_well_above_the_mark(stocks: list[int | None], levels: str) -> None:
    level = BallLevel(LevelRules(capacity_balls=400, low_balls=100, low_margin_balls=50))
    seen = []
    for stock in stocks:
        level.stocked(stock)
        seen.append(level.level.value)
    assert " ".join(seen) == levels


def test_what_ran_empty_stays_empty_until_a_sensor_or_a_person_says_otherwise() -> None:
    level = BallLevel()
    level.stocked(500)
    level.ran_empty()
    assert told(level) == "empty"
    level.filled()
    assert told(level) == "ok"
    level.ran_empty()
    level.sensed(Level.OK, 0)
    assert told(level) == "ok"


def test_minutes_to_empty_go_by_the_pace_of_the_last_hour() -> None:
    level = BallLevel()
    level.stocked(600)
    assert level.minutes_to_empty(0) is None
    for minute in range(10):
        level.paid(20, minute * 60)
    assert level.minutes_to_empty(200) is None  # too early to say
    # 200 balls in ten minutes.
    assert level.minutes_to_empty(600) == pytest.approx(30)
    # Half an hour without any: slower.
    assert level.minutes_to_empty(2400) == pytest.approx(120)
    assert level.minutes_to_empty(9 * 60 + 3601) is None
    level.stocked(None)
    level.paid(20, 5000)
    assert level.minutes_to_empty(5400) is None


# The stock of bays that share


def bay(number: str, refill_id: str | None, paid: int, *, wall_ms: int = 0, dispenser: str = "east") -> Bay:
    stock = None if refill_id is None else Stock(refill_id, dispenser, 500, wall_ms, paid)
    return Bay(number, stock=stock)


def test_what_each_bay_had_is_taken_off() -> None:
    stock = BallStock("east", ("109", "110"))
    assert left(stock) is None
    stock.note(bay("109", "r1", 30))
    stock.note(bay("110", "r1", 0))
    assert left(stock) == 470
    assert stock.note(bay("110", "r1", 12)) == (12, False)
    assert left(stock) == 458


def test_a_refill_at_one_bay_is_told_to_the_others_and_only_to_them() -> None:
    stock = BallStock("east", ("109", "110", "111"))
    stock.note(bay("109", "r1", 30))
    stock.note(bay("110", "r1", 10))
    assert stock.note(bay("110", "r2", 0)) == (0, True)
    assert left(stock) == 500
    # 111 was not seen yet.
    assert list(stock.not_yet_told()) == [("109", i.Refill("r2", 500, i.SYSTEM))]
    stock.note(bay("111", None, 0))
    assert [number for number, _ in stock.not_yet_told()] == ["109", "111"]
    stock.note(bay("109", "r2", 0))
    stock.note(bay("111", "r2", 0))
    assert list(stock.not_yet_told()) == []


def test_a_refill_is_newer_when_it_came_while_we_looked_whatever_the_wall_clock_says() -> None:
    stock = BallStock("east", ("109", "110"))
    stock.note(bay("109", "r1", 30, wall_ms=9_000))
    stock.note(bay("110", "r1", 0, wall_ms=9_000))
    stock.note(bay("110", "r2", 0, wall_ms=4_000))
    assert list(stock.not_yet_told()) == [("109", i.Refill("r2", 500, i.SYSTEM))]


def test_after_a_restart_the_later_one_is_the_newer() -> None:
    stock = BallStock("east", ("109", "110"))
    stock.note(bay("109", "r2", 3, wall_ms=9_000))
    stock.note(bay("110", "r1", 30, wall_ms=4_000))
    assert left(stock) == 497
    assert [number for number, _ in stock.not_yet_told()] == ["110"]


def test_the_stock_of_another_machine_is_not_ours() -> None:
    stock = BallStock("east", ("109",))
    stock.note(bay("109", "r1", 3, dispenser="west"))
    assert left(stock) is None
