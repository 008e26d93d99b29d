"""Moves that the central server cannot follow yet: for it somebody else plays there, the desk was quicker.

Such a move waits beside the outbox and holds up nothing: not what follows of its session, nor others. It is
tried again while the session plays where it went, and forgotten when it is over or has moved on. The journal
keeps it under a name of its own: it is not set aside for staff, though they may drop it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from bayd.clients.central import CentralError, CentralRefused
from bayd.core import events as e
from bayd.journal import Journal, Parked, Recorded
from bayd.ports import Clock, Log
from bayd.reconcile.delivery import Deliveries, session_of
from bayd.reconcile.once import NotNowError, NotShownError, ParkError
from bayd.reconcile.outbox_item import OutboxItem, waiting
from bayd.reconcile.server_door import ServerDoor
from bayd.reconcile.set_aside import Cause, Hindrance
from bayd.reconcile.telling import NOT_TAKEN
from bayd.reconcile.until_written import find_record, until_written
from bayd.runtime.range import Range

_NAME = "central-held-up"
_RETRY_S = 10.0


class HeldUpMoves:
    def __init__(
        self,
        deliveries: Deliveries,
        journal: Journal[e.Event],
        bays: Range,
        door: ServerDoor,
        *,
        park: Callable[[Recorded[e.Event], Hindrance], Awaitable[None]],
        clock: Clock,
        log: Log,
    ) -> None:
        """`park`: what is to become of one that the server refuses for good."""
        self._deliveries = deliveries
        self._journal = journal
        self._bays = bays
        self._door = door
        self._park = park
        self._clock = clock
        self._log = log
        self._moves: dict[int, tuple[Recorded[e.Event], Parked]] = {}  # by seq
        self._next_try_s: dict[str, float] = {}  # by bay, on the loop's clock

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        for row in await self._journal.parked(_NAME):
            record = await find_record(self._journal, row.bay, row.seq)
            if record is not None:
                self._moves[row.seq] = (record, row)

    async def hold_up(self, record: Recorded[e.Event], reason: str) -> None:
        session_id = session_of(record.event)
        self._log.warning("move_held_up", bay=record.bay, session=session_id, reason=reason)
        row = Parked(_NAME, record.bay, session_id, record.seq, reason, self._clock.now().wall_ms)
        await until_written(partial(self._journal.park, row))
        self._moves[record.seq] = (record, row)
        self._put_off(record.bay)

    async def forget(self, seq: int) -> None:
        await until_written(partial(self._journal.unpark, _NAME, seq))
        self._moves.pop(seq, None)

    def has(self, session_id: str) -> bool:
        return any(row.session_id == session_id for _, row in self._moves.values())

    def items(self) -> list[OutboxItem]:
        return [waiting(record, row.at_wall_ms, row.reason) for record, row in self._moves.values()]

    def next_try_s(self, number: str) -> float | None:
        """On the loop's clock; None: nothing of this bay is held up."""
        waits = any(record.bay == number for record, _ in self._moves.values())
        return self._next_try_s.get(number, 0.0) if waits else None

    async def try_again(self, number: str) -> None:
        """Once each. Nothing that fails here fails anything else."""
        for record, _ in list(self._moves.values()):
            if self._door.is_shut:
                break
            if record.bay != number:
                continue
            try:
                reason = await self._send(record)
            except (CentralError, NotShownError, NotNowError, *NOT_TAKEN) as error:
                self._log.debug("central_retry", bay=number, seq=record.seq, reason=str(error))
                continue
            if reason is not None:
                await self._park(record, Hindrance(Cause.REFUSED, reason))
            await self.forget(record.seq)
        self._put_off(number)

    async def _send(self, record: Recorded[e.Event]) -> str | None:
        """None: the server has been told, or does not need it any more. Or why it has to be parked."""
        if isinstance(record.event, e.SessionMovedAway) and not self._plays_at(record.event):
            return None
        try:
            await self._deliveries.send(record, held_up=True)
        except (ParkError, CentralRefused, ValueError) as error:
            return str(error)
        return None

    def _plays_at(self, moved: e.SessionMovedAway) -> bool:
        # A bay that is configured no more is told nothing new: that its move was not told stands there.
        there = self._bays.bays.get(moved.to)
        session = None if there is None else there.bay.session
        return session is not None and session.session_id == moved.session_id

    def _put_off(self, number: str) -> None:
        self._next_try_s[number] = asyncio.get_running_loop().time() + _RETRY_S
