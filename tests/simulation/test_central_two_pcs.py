"""Two bay PCs at one central server with idempotency keys: neither gets the other's answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.central_world import ADMIN_PASSWORD, CentralWorld, Wire, central_world
from tests.simulation.central_audit import Audit, audit_of
from tests.simulation.central_season import DOUBLING, Season
from tests.simulation.test_central_season import RULES

pytestmark = pytest.mark.virtual_time
BAYS = ("101", "102", "103", "104")


class OnePc(CentralWorld):
    """Of the server's sessions those at its own bays: the others are somebody else's."""

    async def history(self, per_page: int = 500) -> list[dict[str, Any]]:
        rows = await super().history(per_page)
        return [row for row in rows if row["bay"]["number"] in self.bays]


@pytest.mark.parametrize(
    "operations", [20, pytest.param(500, marks=[pytest.mark.soak, pytest.mark.timeout(0)])]
)
async def test_two_pcs_with_keys_have_no_difference_at_all(quick_path: Path, operations: int) -> None:
    async with central_world(quick_path, bays=BAYS, rules=RULES, poll_s=15, idempotency_keys=True) as server:
        pcs = [pc(server, "a", BAYS[:2]), pc(server, "b", BAYS[2:])]
        try:
            async with asyncio.TaskGroup() as tasks:
                audits = [
                    tasks.create_task(season_of(one, operations, seed), name=f"pc-{seed}")
                    for seed, one in enumerate(pcs, start=400)
                ]
            keys = [{one.key for one in pc.wire.seen if one.key is not None} for pc in pcs]
            games = [{key for key in each if key.startswith("game-")} for each in keys]
        finally:
            for one in pcs:
                await one.wire.aclose()
                await one._desk.aclose()
    for audit in audits:
        audit.result().assert_no_difference()
    assert all(keys)
    assert all(games) or operations < 100, "of so many some choose a game, at both"
    assert keys[0] & keys[1] == set()


def pc(server: CentralWorld, name: str, bays: tuple[str, ...]) -> CentralWorld:
    """With a journal, a network and a random source of its own."""
    directory = server.directory / name
    directory.mkdir()
    wire = Wire(server.wire._url, server.wire._time, server.wire._late)
    return OnePc(
        directory,
        wire,
        server.clock,
        server.options,
        bays,
        RULES,
        admin_password=ADMIN_PASSWORD,
        lives=ord(name) * 1000,
    )


async def season_of(world: CentralWorld, operations: int, seed: int) -> Audit:
    season = Season(world, DOUBLING, operations, seed)
    await season.run()
    async with world.up():
        return await audit_of(season)
