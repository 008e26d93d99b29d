"""Where a session is told that the central server shows at another bay than we do.

It is told to the bay where it plays, wherever the server shows it: a move at the server ends no play. Where
the desk has moved it to another bay of this PC it is followed there, if that bay is free; else the two
contradict each other. A booking waits where the server shows it.
"""

from collections.abc import Callable, Collection

from bayd.core import inputs as i
from bayd.ports import Clock, Log
from bayd.reconcile.live_sessions import Live
from bayd.reconcile.telling import NOT_TAKEN, tell
from bayd.runtime.range import Range

_LAG_MS = 30_000  # a list may be behind what its server has just answered
_DESK = i.Actor(i.Role.SYSTEM, "central")


class ShownMoves:
    def __init__(self, bays: Range, is_moving: Callable[[str], bool], clock: Clock, log: Log) -> None:
        """`is_moving`: a move of this session was not told yet."""
        self._bays = bays
        self._is_moving = is_moving
        self._clock = clock
        self._log = log
        self._behind_since_ms: dict[str, int] = {}  # by session, while it plays: shown where it was

    def forget_all_but(self, live: Collection[Live]) -> None:
        playing = {one.session_id for one in live if one.plays}
        self._behind_since_ms = {one: at for one, at in self._behind_since_ms.items() if one in playing}

    async def place(self, live: Live, shown_at: str) -> Live | None:
        """Where it is told; None: a booking that was moved away, which its bay has been told."""
        session = self._bays.get(live.bay).session if live.plays else None
        behind = session is not None and shown_at in session.server_bays
        if not behind or self._is_moving(live.session_id):
            self._behind_since_ms.pop(live.session_id, None)
        elif shown_at != live.bay:
            await self._wait(live, shown_at)
        if shown_at == live.bay:
            return live
        if live.plays and await self._follow(live, shown_at):
            return Live(shown_at, live.session_id, plays=True)
        fact = i.ServerMovedAway(live.session_id, shown_at)
        await tell(self._bays, live.bay, fact, self._log)
        return live if live.plays else None

    async def _wait(self, live: Live, shown_at: str) -> None:
        """Told, and still shown where it was: an old picture, or the desk has put it back there. Neither is
        followed, since a guest who was moved here would be moved back by a list that is slow."""
        now_ms = self._clock.now().boot_ms
        if now_ms - self._behind_since_ms.setdefault(live.session_id, now_ms) >= _LAG_MS:
            text = f"The server shows the session that was moved here at bay {shown_at}, again or still."
            fact = i.ServerContradicted("moved_at_server", live.session_id, text)
            await tell(self._bays, live.bay, fact, self._log)

    async def _follow(self, live: Live, to: str) -> bool:
        """The desk has moved a session that plays here. What was moved at the bay is on its way there."""
        session = self._bays.get(live.bay).session
        if to not in self._bays.bays or session is None or session.server_bays:
            return False
        try:
            move = i.Move(to, _DESK, "moved at the desk", live.session_id)
            outcome = await self._bays.submit(live.bay, move)
        except NOT_TAKEN as error:
            self._log.warning("move_not_followed", bay=live.bay, to=to, reason=str(error))
            return False
        return outcome.decision.refusal is None
