"""The games of the site, as the central server lists them."""

import asyncio

from bayd.clients.central import CentralClient, CentralError
from bayd.core.model import Game
from bayd.ports import Log

_REFRESH_S = 300.0
_RETRY_S = 10.0


class GameCatalogue:
    """Keeps what was learned while the server is away. `run` is a root task."""

    def __init__(self, client: CentralClient, log: Log) -> None:
        self._client = client
        self._log = log
        self._games: dict[int, Game] = {}

    async def find(self, game_id: int) -> Game | None:
        """The game, asked for anew when it is not known yet."""
        if game_id not in self._games:
            await self._refresh()
        return self._games.get(game_id)

    async def run(self) -> None:
        while True:
            known = await self._refresh()
            await asyncio.sleep(_REFRESH_S if known else _RETRY_S)

    async def _refresh(self) -> bool:
        try:
            listing = await self._client.games()
        except CentralError as error:
            self._log.debug("games_not_read", reason=str(error))
            return False
        self._games |= {game.id: Game(game.id, game.name, game.balls_limit or 0) for game in listing.items}
        return True
