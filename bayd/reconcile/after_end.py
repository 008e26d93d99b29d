"""A session is over and the central server knows: does it keep it as it was played?

Nothing is added to a session or moved after its end, so what differs then stays. Extensions are money, and
staff are shown what differs. The bay and the game are not: nobody can change them any more, so they go on
record alone, in the journal and in the log. The bay's next messages, money among them, wait for it no longer
than a few tries: what cannot be read then is not compared.
"""

from collections.abc import Awaitable, Callable

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralError,
    CentralMalformed,
    CentralRefused,
    CentralUnauthorised,
    ServerSession,
)
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.journal import CallState
from bayd.ports import Log
from bayd.reconcile.evidence import difference
from bayd.reconcile.once import NotShownError, OnceCalls
from bayd.runtime.range import Range

_TRIES = 5  # of what is read for the record alone; the outbox pauses a few seconds between them


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
        self._failed: dict[str, int] = {}  # by session: its tries

    async def compare(self, number: str, ended: e.SessionEnded, server_id: int) -> None:
        """Raises CentralError and, where extensions wait to be compared, NotShownError to be called again: a
        list that does not show the session now may show it later."""
        # All is read before anything goes on record: nobody could tell that it is there already.
        has_extensions = bool(ended.own_extensions) and not self._client.idempotency_keys
        if has_extensions:
            row = await self._find_row(server_id)
        else:
            row = await self._if_readable(number, ended, self._row(server_id))
        page = None
        if ended.game_id is not None:
            page = await self._if_readable(number, ended, self._client.get_session(server_id))
        if has_extensions:
            await self._compare_extensions(number, ended, row)
        if row is not None and row.bay_number != number:
            text = f"The server keeps the session at bay {row.bay_number}; it ended at bay {number}."
            await self._record(number, i.ServerContradicted("ended_elsewhere", ended.session_id, text))
        shown = None if page is None or page.game is None else page.game.id
        if page is not None and page.game_known and shown != ended.game_id:
            text = f"The server keeps the session with game {shown}; game {ended.game_id} was played."
            await self._record(number, i.ServerContradicted("game_differs", ended.session_id, text))
        self._failed.pop(ended.session_id, None)

    async def _find_row(self, server_id: int) -> ServerSession | None:
        try:
            return await self._row(server_id)
        except (CapabilityMissing, CentralMalformed):
            return None

    async def _if_readable(
        self, number: str, ended: e.SessionEnded, reading: Awaitable[ServerSession]
    ) -> ServerSession | None:
        """For the record alone. Raises CentralError for some tries, then it goes without."""
        try:
            return await reading
        except (CapabilityMissing, CentralMalformed, CentralRefused, NotShownError):
            return None
        except CentralUnauthorised:  # nothing at all is told meanwhile
            raise
        except CentralError as error:
            tries = self._failed.get(ended.session_id, 0) + 1
            self._failed[ended.session_id] = tries
            if tries < _TRIES:
                raise
            self._log.warning("session_not_compared", bay=number, session=ended.session_id, reason=str(error))
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

    async def _record(self, number: str, fact: i.ServerContradicted) -> None:
        await self._bays.submit(number, fact)
        self._log.warning("session_kept_otherwise", bay=number, session=fact.session_id, reason=fact.text)
