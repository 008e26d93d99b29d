"""One session as the central server shows it, told to its bay as it is; what it means is decided there.

The history carries what decides (cancel, active, release, extensions, PIN), the session's own page the game
and the players. A number that was used before gets an id of ours, by which the old session and the new are
never taken for each other.
"""

from bayd.clients.central import CentralClient, ServerSession
from bayd.core import inputs as i
from bayd.ports import Log
from bayd.reconcile.games import GameCatalogue
from bayd.reconcile.least_time import LeastTime
from bayd.reconcile.live_sessions import find_live, is_number_used, is_over_here, server_id_of
from bayd.reconcile.pin_vault import PinVault
from bayd.reconcile.players import Players
from bayd.reconcile.telling import tell
from bayd.runtime.range import Range


class SessionNews:
    def __init__(
        self,
        client: CentralClient,
        bays: Range,
        vault: PinVault,
        games: GameCatalogue,
        least_time: LeastTime,
        log: Log,
    ) -> None:
        self._client = client
        self._bays = bays
        self._vault = vault
        self._games = games
        self._least_time = least_time
        self._log = log
        self.players = Players()

    async def tell(self, number: str, session_id: str, row: ServerSession, page: ServerSession) -> None:
        """Of one that is live here. `page`: its own, or once more the row, where that cannot be had."""
        await self._tell(number, session_id, row, page, _is_released(row), was_live=True)

    async def tell_new(self, row: ServerSession, page: ServerSession) -> None:
        session_id = await self._name(row)
        if find_live(self._bays, str(row.id)) is not None or is_over_here(self._bays, row):
            return  # its PIN was typed while the page was read
        await self._tell(row.bay_number, session_id, row, page, _is_released(row))
        await self.keep_pin(row.bay_number, session_id, row)

    async def keep_pin(self, number: str, session_id: str, row: ServerSession) -> None:
        if row.pin is not None and not is_over(row):
            await self._vault.learn(self._bays.get(number), session_id, row.pin, row.created_at_ms)

    # Asked for one session

    async def learn(self, number: str, server_id: str) -> str | None:
        """A session that the server has just confirmed at this bay, before a poll shows it.

        Our id of it, or None when it is not live here. Raises CentralError.
        """
        live = find_live(self._bays, server_id)
        if live is None:
            row = await self._client.get_session(int(server_id))
            if row.bay_number == number and not is_over_here(self._bays, row) and not row.cancel:
                # The answer does not say that it was not released; the server has just taken its PIN.
                await self._tell(number, await self._name(row), row, row, released=False)
            live = find_live(self._bays, server_id)
        return live.session_id if live is not None and live.bay == number else None

    async def find_page(self, number: str, session_id: str) -> ServerSession | None:
        """What the server says now of a session of ours; None: it has no number yet. Raises CentralError."""
        server_id = server_id_of(self._bays.get(number).numbers, session_id)
        return None if server_id is None else await self._client.get_session(server_id)

    # Age

    def is_settled(self, row: ServerSession) -> bool:
        """Needs no more care: over, of another PC, or older than anybody comes for."""
        if is_over(row) or row.bay_number not in self._bays.bays:
            return True
        rules = self._bays.rules(row.bay_number)
        return (
            self._least_time.wall_ms() - row.created_at_ms > rules.booking_horizon_minutes * rules.minute_ms
        )

    # In the bay's words

    async def _name(self, row: ServerSession) -> str:
        """Our id of a session that is new here."""
        if not is_number_used(self._bays, row):
            return str(row.id)
        session_id = f"{row.id}-{row.created_at_ms // 1000}"
        self._log.warning("central_number_reused", bay=row.bay_number, session=session_id, number=row.id)
        await tell(self._bays, row.bay_number, i.ServerNumbered(session_id, str(row.id)), self._log)
        return session_id

    async def _tell(
        self,
        number: str,
        session_id: str,
        row: ServerSession,
        page: ServerSession,
        released: bool | None,
        *,
        was_live: bool = False,
    ) -> None:
        self.players.learn(session_id, page.players)
        said = i.ServerSaid(
            session_id=session_id,
            minutes=row.duration_min,
            extended_minutes=row.extended_min,
            created_wall_ms=row.created_at_ms,
            cancelled=row.cancel or page.cancel,
            active=page.active,
            released=released,
            game=None if page.game is None else self._games.of(page.game),
            player=page.customer_name,
            player_id=page.last_active_player_id,
            game_known=page.game_known,
            bay_booked=page.bay.booked,
            as_of_wall_ms=self._least_time.wall_ms(),
            shown_at=row.bay_number,
            was_live=was_live,
        )
        await tell(self._bays, number, said, self._log)


def is_over(row: ServerSession) -> bool:
    return row.cancel or row.released_at_ms is not None


def _is_released(row: ServerSession) -> bool | None:
    return row.released_at_ms is not None if row.released_known else None
