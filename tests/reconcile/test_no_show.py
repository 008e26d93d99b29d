"""A booking that nobody comes for, where the site wants it cancelled: the server hears of it once."""

from pathlib import Path

import pytest

from bayd.core.model import Phase
from bayd.core.rules import NoShowPolicy, Rules
from tests.reconcile.central_world import central_world

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("policy", NoShowPolicy)
async def test_a_no_show_is_cancelled_at_the_server_only_where_the_site_wants_it(
    quick_path: Path, policy: NoShowPolicy
) -> None:
    rules = Rules(hold_minutes=2, no_show=policy)
    async with central_world(quick_path, rules=rules) as world, world.up():
        session = await world.book()
        await world.knows(session)
        waiting = world.bay().waiting
        assert waiting is not None
        await world.until(lambda: world.bay().waiting != waiting, 200)
        await world.delivered()
        released = policy is NoShowPolicy.RELEASE
        assert (await world.row(session["id"]))["cancel"] is released
        assert world.bay().phase is (Phase.FREE if released else Phase.BOOKED)
        assert len(world.wire.sent("POST", f"/session/{session['id']}/end")) == released
