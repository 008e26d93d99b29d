"""A session is over and the central server knows: does it keep it as it was played?

Nothing is added to a session or moved after its end, so what differs then stays. Extensions are money, and
staff are shown what differs. The bay and the game are not: nobody can change them any more, so they go on
record alone, in the journal and in the log.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralMalformed,
    CentralRefused,
    ServerSession,
)
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.journal import CallState
from bayd.ports import Log
from bayd.reconcile.evidence import difference
from bayd.reconcile.once import NotShownError, OnceCalls
from bayd.runtime.range import Range


class AfterEnd:
    def __init__(
        self,
        client: CentralClient,
        once: OnceCalls,
        bays: Range,
        row: Callable[[int], Awaitable[ServerSession]],
        log: Log,
    ) -> None:
        """`row`: a session in the server's history; raises NotShownError."""
        self._client = client
        self._once = once
        self._bays = bays
        self._row = row
        self._log = log

    async def compare(self, number: str, ended: e.SessionEnded, server_id: int) -> None:
        """Raises CentralError and, where extensions wait to be compared, NotShownError to be called again: a
        list that does not show the session now may show it later."""
        has_extensions = bool(ended.own_extensions) and not self._client.idempotency_keys
        row = await self._find_row(server_id, wait=has_extensions)
        if has_extensions:
            await self._compare_extensions(number, ended, row)
        # All is read before anything goes on record: nobody could tell that it is there already.
        other_game = None if ended.game_id is None else await self._find_other_game(ended, server_id)
        if row is not None and row.bay_number != number:
            text = f"The server keeps the session at bay {row.bay_number}; it ended at bay {number}."
            await self._record(number, i.ServerContradicted("ended_elsewhere", ended.session_id, text))
        if other_game is not None:
            await self._record(number, other_game)

    async def _find_row(self, server_id: int, *, wait: bool) -> ServerSession | None:
        try:
            return await self._row(server_id)
        except (CapabilityMissing, CentralMalformed):
            return None
        except NotShownError:
            if wait:
                raise
            return None

    async def _compare_extensions(
        self, number: str, ended: e.SessionEnded, row: ServerSession | None
    ) -> None:
        if row is None or row.extensions is None:
            text = "The server does not show the session's extensions: compare them at the desk."
            fact = i.ServerContradicted("extensions_not_compared", ended.session_id, text)
            await self._bays.submit(number, fact)
            return
        delivered = [
            extension
            for extension in ended.own_extensions
            if (call := await self._once.find(extension.op_id)) is not None and call.state is CallState.DONE
        ]
        if text := difference(delivered, row.extensions):
            await self._bays.submit(number, i.ServerContradicted("extensions_differ", ended.session_id, text))

    async def _find_other_game(self, ended: e.SessionEnded, server_id: int) -> i.ServerContradicted | None:
        with suppress(CapabilityMissing, CentralMalformed, CentralRefused):
            page = await self._client.get_session(server_id)
            shown = None if page.game is None else page.game.id
            if page.game_known and shown != ended.game_id:
                text = f"The server keeps the session with game {shown}; game {ended.game_id} was played."
                return i.ServerContradicted("game_differs", ended.session_id, text)
        return None

    async def _record(self, number: str, fact: i.ServerContradicted) -> None:
        await self._bays.submit(number, fact)
        self._log.warning("session_kept_otherwise", bay=number, session=fact.session_id, reason=fact.text)
