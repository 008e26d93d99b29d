"""Thousands of operations over a network that drops, doubles and delays: both sides' books in the end."""

from pathlib import Path

import pytest

from bayd.core.rules import Rules
from tests.reconcile.central_world import ADMIN_PASSWORD, central_world
from tests.simulation.central_season import DOUBLING, LAWFUL, LAWLESS, Audit, Season, Weather

pytestmark = pytest.mark.virtual_time
BAYS = ("101", "102", "103", "104")
RULES = Rules(
    grace_minutes=1, booking_horizon_minutes=100 * 24 * 60
)  # the small server's calendar stands still
_LONG = 500
# 10,000 operations are twenty ranges of their own: a year's list of sessions shows nothing more, only later.
SEASONS = [
    (60, 1),
    *(
        pytest.param(_LONG, seed, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id=f"season-{seed}")
        for seed in range(1, 21)
    ),
]
each_season = pytest.mark.parametrize(("operations", "seed"), SEASONS)


async def season_of(
    path: Path,
    operations: int,
    weather: Weather,
    *,
    server: str = "reference",
    keys: bool = False,
    seed: int = 1,
) -> tuple[Season, Audit]:
    async with central_world(path, server, bays=BAYS, rules=RULES, poll_s=15, idempotency_keys=keys) as world:
        world.admin_password = ADMIN_PASSWORD if server == "reference" else None
        season = Season(world, weather, operations, seed)
        await season.run()
        async with world.up():
            audit = await season.settle()
    print(  # noqa: T201 # a figure of the soak
        f"\n{sum(season.done.values())} operations {dict(season.done)}, {len(audit.sessions())} sessions,"
        f" {audit.moves()} moves, {season.crashes} crashes, faults {dict(season.faults)}"
    )
    return season, audit


def assert_all_was_met(season: Season) -> None:
    """A run that met no fault, or no crash, shows nothing."""
    assert season.crashes
    assert len(season.faults) > 2
    if season.operations >= _LONG:
        assert set(season.faults) == set(season.weather.kinds)
        acts = {"extend", "end", "book", "pin", "walk_in", "staff_start", "game", "desk_extend"}
        if season.world.minimal is None:
            acts |= {"move", "desk_move"}
        assert acts <= set(season.done)


@each_season
async def test_with_idempotency_keys_there_is_no_difference_at_all(
    quick_path: Path, operations: int, seed: int
) -> None:
    season, audit = await season_of(quick_path, operations, DOUBLING, keys=True, seed=100 + seed)
    assert_all_was_met(season)
    audit.assert_no_difference()


@each_season
@pytest.mark.parametrize("server", ["reference", "minimal"])
async def test_with_the_eight_calls_there_is_none_when_commits_land_in_time(
    quick_path: Path, operations: int, seed: int, server: str
) -> None:
    season, audit = await season_of(quick_path, operations, LAWFUL, server=server, seed=200 + seed)
    assert_all_was_met(season)
    audit.assert_no_difference()


@each_season
async def test_what_differs_in_lawless_weather_is_what_the_daemon_has_flagged(
    quick_path: Path, operations: int, seed: int
) -> None:
    season, audit = await season_of(quick_path, operations, LAWLESS, seed=300 + seed)
    assert_all_was_met(season)
    given = audit.given_here()
    alone = [one for one in given if not one.desk]
    assert [one for one in alone if one.flagged != (one.shown != 1)] == [], "flagged are those that differ"
    # An equal one of the desk's cannot be told from ours: flagged is what is not shown as often as it was
    # given here, and what was set aside; where one was taken for the other, that its answer had got lost.
    beside = [one for one in given if one.desk]
    assert [one for one in beside if one.flagged != (one.shown != 1 or one.parked)] == []
    missing = [one for one in beside if one.shown != 1 + one.desk and not one.flagged]
    assert [one for one in missing if not one.doubted or one.shown != 1] == []
    assert audit.unclaimed_walk_ins() == audit.flagged("walk_in_unclaimed")
    assert audit.strange_extensions() == []
    assert audit.strangers() == set()
    # A doubled move may move the next guest there, too: the bay follows at its next look, and flags nothing.
    doubted = {one.session for one in given if one.flagged or one.doubted}
    parked = audit.parked_sessions()
    assert {one.session for one in audit.money_that_differs()} <= doubted | parked
    assert {one.session for one in audit.ends_that_differ()} <= parked
    assert {one.session for one in audit.games_that_differ()} <= parked
    assert {one.session for one in audit.walk_ins_that_differ()} <= parked
    if operations >= _LONG:
        assert any(one.flagged for one in given), "otherwise nothing was shown"
