"""The site's games: which of the central server's the screen offers, and what a choice brings about."""

from pathlib import Path

import pytest

from bayd.core import inputs as i
from bayd.core.decision import Refusal
from bayd.core.model import Balls, Bay, Game, Phase, PlaySession, StartedBy
from bayd.core.rules import Rules
from bayd.core.staff import offered_games, select_game
from tests.reconcile.central_world import SCREEN, central_world


@pytest.mark.virtual_time
async def test_a_game_that_the_guest_chooses_is_the_sessions_here_and_at_the_server(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        games = world.parts.games
        await world.until(lambda: bool(games.listed()))
        names = [game["name"] for game in await world.call("GET", "/game")]
        assert [game.name for game in games.listed()] == names
        assert games.unknown([names[0], "Cricket"]) == ["Cricket"]
        rules = Rules(games=(names[1], "Cricket", names[0]))
        assert offered_games(world.bay(), rules, games.listed()) == ()  # nobody plays
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        offered = offered_games(world.bay(), rules, games.listed())
        assert [game.name for game in offered] == [names[1], names[0]]
        await world.submit(i.SelectGame(offered[0], SCREEN))
        assert offered_games(world.bay(), rules, games.listed()) == ()
        await world.delivered()
        shown = await world.call("GET", f"/session/{session['id']}")
        assert shown["game"]["name"] == names[1]


@pytest.mark.parametrize(("limit", "is_offered"), [(0, True), (20, True), (19, False), (None, False)])
def test_a_game_that_would_be_refused_is_not_offered(limit: int | None, is_offered: bool) -> None:
    balls = Balls(commanded=20, balance=20)
    session = PlaySession("7", None, None, None, StartedBy.STAFF, 0, 0, 600_000, 600_000, 10, balls=balls)
    bay, game = Bay("101", Phase.PLAYING, session=session), Game(1, "GAME 1", limit)
    taken = not isinstance(select_game(bay, i.SelectGame(game, SCREEN)), Refusal)
    assert taken == is_offered
    assert offered_games(bay, Rules(games=("GAME 1",)), [game]) == ((game,) if is_offered else ())
    assert offered_games(bay, Rules(), [game]) == ()
