"""The games of the site, as the central server lists them."""

import asyncio
from collections.abc import Iterable

from bayd.clients.central import CapabilityMissing, CentralClient, CentralError, ServerGame
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
        self._listed: tuple[Game, ...] = ()
        self._missing = False

    async def find(self, game_id: int) -> Game | None:
        """The game, asked for anew when it is not known yet."""
        if game_id not in self._games:
            await self._refresh()
        return self._games.get(game_id)

    def known(self, game_id: int) -> Game | None:
        """Without asking anybody."""
        return self._games.get(game_id)

    def listed(self) -> tuple[Game, ...]:
        """As the server listed them last; empty: not read yet."""
        return self._listed

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Of these names those that no listed game has; none, while nothing was read."""
        known = {game.name for game in self._listed}
        return sorted(set(names) - known) if known else []

    def of(self, game: ServerGame) -> Game:
        """A game as some answer shows it; a limit that cannot be read there may be known here."""
        limit = game.balls_limit
        if limit is None and (known := self._games.get(game.id)) is not None:
            limit = known.balls_limit
        return Game(game.id, game.name, limit)

    async def run(self) -> None:
        while True:
            known = await self._refresh()
            await asyncio.sleep(_REFRESH_S if known else _RETRY_S)

    async def _refresh(self) -> bool:
        """False: worth asking again soon."""
        try:
            listing = await self._client.games()
        except CapabilityMissing as error:
            if not self._missing:
                self._log.warning("central_capability_missing", operation=error.operation)
            self._missing = True
            return True
        except CentralError as error:
            self._log.debug("games_not_read", reason=str(error))
            return False
        self._missing = False
        self._listed = tuple(self.of(game) for game in listing.items)
        self._games |= {game.id: game for game in self._listed}
        return True
