"""Who shares a session, as the central server's page of the session says.

Kept in memory alone: names are learned anew with the next poll, and nothing that counts depends on them.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from bayd.clients.central import ServerPlayer

_SESSIONS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Player:
    id: int  # of the seat in the session, as in `player_id`
    name: str | None = field(repr=False)


class Players:
    """By session."""

    def __init__(self) -> None:
        self._by_session: OrderedDict[str, tuple[Player, ...]] = OrderedDict()

    def learn(self, session_id: str, players: tuple[ServerPlayer, ...] | None) -> None:
        """None: this answer does not say."""
        if players is None:
            return
        # The server names the newest first; people stand in the order in which they came.
        seats = tuple(Player(one.id, one.display_name) for one in sorted(players, key=lambda one: one.id))
        self._by_session[session_id] = seats
        self._by_session.move_to_end(session_id)
        if len(self._by_session) > _SESSIONS_KEPT:
            self._by_session.popitem(last=False)

    def of(self, session_id: str) -> tuple[Player, ...]:
        return self._by_session.get(session_id, ())
