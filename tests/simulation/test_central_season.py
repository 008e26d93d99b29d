"""Thousands of operations over a network that drops, doubles and delays: both sides' books in the end."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bayd.core.rules import ExtensionPolicy, Rules
from tests.conftest import VirtualTimeLoop
from tests.reconcile.central_world import ADMIN_PASSWORD, central_world
from tests.simulation.central_audit import Audit, audit_of
from tests.simulation.central_season import DOUBLING, LAWFUL, LAWLESS, Season, Weather

BAYS = ("101", "102", "103", "104")
RULES = Rules(
    grace_minutes=1,
    booking_horizon_minutes=100 * 24 * 60,  # the small server's calendar stands still
    extension=ExtensionPolicy.ON_ACCOUNT,
    extension_minutes=(1, 2, 3),
    extension_price=100,
)
_AT_EVERY_SERVER = {
    *("book", "pin", "walk_in", "staff_start", "game", "extend", "press_for_more", "answer_press"),
    *("settle_due", "end", "desk_extend"),
}


@dataclass
class Soak:
    """So many seasons of so many operations; what is met in them is counted over all."""

    operations: int
    seeds: range
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    faults_of_moves: int = 0
    crashes: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    extensions: Counter[str] = field(default_factory=Counter)

    def each(self, path: Path, judge: Callable[[Audit], None], **options: Any) -> None:
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
                judge(audit)
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
        self.faults_of_moves += season.faults_of_moves
        self.crashes += season.crashes
        extensions = audit.extensions()
        self.extensions += Counter(
            given=sum(one.given for one in extensions),
            equal=sum(one.given > 1 for one in extensions),
            equal_at_the_desk=sum(one.desk > 0 for one in extensions),
            flagged=sum(one.flagged for one in extensions),
            differ=sum(one.differ for one in extensions),
        )
        self.moves += Counter(
            here=audit.move_count(),
            desk=len(season.desk_moves),
            flagged_in_play=len(audit.flagged_in_play()),
            differ=len(audit.bays_that_differ()),
        )

    def figures(self) -> str:
        return (
            f"{len(self.seeds)} seasons, {self.done.total()} operations {dict(self.done)},"
            f" {self.crashes} crashes, faults {dict(self.faults)}, {self.faults_of_moves} of them of moves,"
            f" moves {dict(self.moves)}, extensions {dict(self.extensions)}"
        )

    def assert_all_was_met(self, weather: Weather, server: str = "reference") -> None:
        """What met no fault, or no crash, shows nothing."""
        assert self.crashes
        assert len(self.faults) > 2
        if len(self.seeds) == 1:
            return
        assert set(self.faults) == set(weather.kinds)
        assert set(self.done) >= _AT_EVERY_SERVER
        assert self.extensions["equal"]
        if server == "reference":
            assert self.faults_of_moves
            assert self.moves["here"] > self.moves["desk"] > 0
        if weather.contrary:
            assert all(self.extensions[kind] for kind in ("equal_at_the_desk", "flagged", "differ"))
            assert all(self.moves[kind] for kind in ("flagged_in_play", "differ"))


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
            audit = await audit_of(season)
    print(  # noqa: T201 # a figure of the soak
        f"\n{sum(season.done.values())} operations {dict(season.done)}, {len(audit.sessions())} sessions,"
        f" {audit.move_count()} moves, {season.crashes} crashes, faults {dict(season.faults)}"
    )
    return season, audit


def test_with_idempotency_keys_nothing_differs(quick_path: Path, soak: Soak) -> None:
    soak.each(quick_path, Audit.assert_no_difference, weather=DOUBLING, keys=True, first_seed=100)
    soak.assert_all_was_met(DOUBLING)


@pytest.mark.parametrize("server", ["reference", "minimal"])
def test_with_the_eight_calls_nothing_differs_when_commits_land_in_time(
    quick_path: Path, soak: Soak, server: str
) -> None:
    soak.each(quick_path, Audit.assert_no_difference, weather=LAWFUL, server=server, first_seed=200)
    soak.assert_all_was_met(LAWFUL, server)


@pytest.mark.parametrize("server", ["reference", "minimal"])
def test_what_differs_in_lawless_weather_is_what_the_daemon_has_flagged(
    quick_path: Path, soak: Soak, server: str
) -> None:
    judge = Audit.assert_flagged_is_what_differs
    soak.each(quick_path, judge, weather=LAWLESS, server=server, first_seed=300)
    soak.assert_all_was_met(LAWLESS, server)
