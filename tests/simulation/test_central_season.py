"""Thousands of operations over a network that drops, doubles and delays: both sides' books in the end."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bayd.core.rules import Rules
from tests.conftest import VirtualTimeLoop
from tests.reconcile.central_world import ADMIN_PASSWORD, central_world
from tests.simulation.central_season import DOUBLING, LAWFUL, LAWLESS, Audit, Season, Weather

BAYS = ("101", "102", "103", "104")
RULES = Rules(
    grace_minutes=1, booking_horizon_minutes=100 * 24 * 60
)  # the small server's calendar stands still


@dataclass
class Soak:
    """So many seasons of so many operations; what is met in them is counted over all."""

    operations: int
    seeds: range
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    flagged: int = 0

    def each(self, path: Path, judge: Callable[[Season, Audit], None], **options: Any) -> None:
        """Every season has a loop and a range of its own, so each can be had again by its seed."""
        failed = []
        first_seed = options.pop("first_seed")
        for seed in self.seeds:
            directory = path / str(seed)
            directory.mkdir()
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                season, audit = runner.run(
                    season_of(directory, self.operations, seed=first_seed + seed, **options)
                )
            self._count(season, audit)
            try:
                judge(season, audit)
            except AssertionError as error:
                error.add_note(f"season {seed}")
                print(f"\nseason {seed} failed: {error}")  # noqa: T201 # the last season may be far off
                failed.append(error)
        print(f"\n{self.figures()}")  # noqa: T201
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(self.seeds)} seasons", failed)

    def _count(self, season: Season, audit: Audit) -> None:
        self.done += season.done
        self.faults += season.faults
        self.crashes += season.crashes
        self.flagged += sum(one.flagged for one in audit.given_here())
        self.moves += Counter(
            here=audit.move_count(),
            desk=len(season.desk_moves),
            refused=audit.moves.refusals(),
            flagged=len(audit.moves.flagged),
            differ=len(audit.moves_that_differ()),
        )

    def figures(self) -> str:
        return (
            f"{len(self.seeds)} seasons, {self.done.total()} operations {dict(self.done)},"
            f" {self.crashes} crashes, faults {dict(self.faults)}, moves {dict(self.moves)},"
            f" flagged extensions {self.flagged}"
        )

    def assert_all_was_met(self, weather: Weather, *, moves: bool = True) -> None:
        """What met no fault, or no crash, shows nothing."""
        assert self.crashes
        assert len(self.faults) > 2
        if len(self.seeds) == 1:
            return
        assert set(self.faults) == set(weather.kinds)
        acts = {"extend", "end", "book", "pin", "walk_in", "staff_start", "game", "desk_extend"}
        assert acts | ({"move", "desk_move"} if moves else set()) <= set(self.done)
        if moves:
            assert all(self.moves[kind] for kind in ("here", "desk", "refused", "flagged", "differ"))
            assert self.moves["flagged"] > self.moves["differ"], "none was mended by itself"


# 10,000 operations are twenty ranges of their own: a year's list of sessions shows nothing more, only later.
@pytest.fixture(
    params=[
        pytest.param((60, 1), id="small"),
        pytest.param((500, 20), marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="whole"),
    ]
)
def soak(request: pytest.FixtureRequest) -> Soak:
    operations, seasons = request.param
    return Soak(operations, range(1, seasons + 1))


async def season_of(
    path: Path,
    operations: int,
    *,
    weather: Weather,
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
        f" {audit.move_count()} moves, {season.crashes} crashes, faults {dict(season.faults)}"
    )
    return season, audit


def test_with_idempotency_keys_only_moves_that_the_desk_forestalled_differ(
    quick_path: Path, soak: Soak
) -> None:
    soak.each(
        quick_path,
        lambda _, audit: audit.assert_no_difference(),
        weather=DOUBLING,
        keys=True,
        first_seed=100,
    )
    soak.assert_all_was_met(DOUBLING)


@pytest.mark.parametrize("server", ["reference", "minimal"])
def test_with_the_eight_calls_the_same_when_commits_land_in_time(
    quick_path: Path, soak: Soak, server: str
) -> None:
    soak.each(
        quick_path,
        lambda _, audit: audit.assert_no_difference(),
        weather=LAWFUL,
        server=server,
        first_seed=200,
    )
    soak.assert_all_was_met(LAWFUL, moves=server == "reference")


def test_what_differs_in_lawless_weather_is_what_the_daemon_has_flagged(quick_path: Path, soak: Soak) -> None:
    soak.each(
        quick_path, lambda _, audit: assert_flagged_is_what_differs(audit), weather=LAWLESS, first_seed=300
    )
    soak.assert_all_was_met(LAWLESS)
    if len(soak.seeds) > 1:
        assert soak.flagged, "otherwise nothing was shown"


def assert_flagged_is_what_differs(audit: Audit) -> None:
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
