"""Tells the central server what has happened here, in order, once.

The outbox is a cursor over the journal, one per bay, and a table of what was set aside (parked) beside it.
What an event means as calls is in `delivery`, how a call is made once in `once`; here it is decided when to
try, when to try again, and when to go on with the next.

- No answer, 408, 429, 5xx: again and again. An item that fails for an hour at a call that gets through for
  others is parked, and tried again by itself every quarter of an hour (`pulse` says what alone means).
- 401 and 403 stop everything (`server_door`).
- What the server refuses is parked, and with it what follows of the same session, except its end
  (`set_aside`). Other sessions go on.
- A session that was moved takes its place in its new bay's lane once the old one has told all of it; the
  move is told once the new one has told what came before: who played there is over for the server, too.
- A move to a bay where for the server somebody else plays is held up, and holds up nothing
  (`held_up_moves`).
- A bay that is configured no more has a lane, too. What it left longer than a week ago is parked: the desk
  will have entered it. It is told when staff say so, or when the bay is configured again. Where nobody keeps
  the clock nothing of it is told before the server has said how late it is (`least_time`).
- Staff's word (`DeliveryRetried`, `DeliveryDropped`) is in the journal too: a drop counts as soon as it is
  seen, a retry when its turn comes, with what was parked behind it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from bayd.clients.central import (
    CapabilityMissing,
    CentralError,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
)
from bayd.core import events as e
from bayd.core.desired import Desired
from bayd.core.model import Bay
from bayd.journal import Journal, Recorded, UnreadableEventError
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.delivery import Deliveries, is_deliverable
from bayd.reconcile.held_up_moves import HeldUpMoves
from bayd.reconcile.least_time import LeastTime
from bayd.reconcile.once import SINK, NotNowError, NotShownError, ParkError
from bayd.reconcile.outbox_item import OutboxItem, waiting
from bayd.reconcile.pulse import ServerPulse, Solitude
from bayd.reconcile.server_door import ServerDoor
from bayd.reconcile.set_aside import Cause, Hindrance, SetAside
from bayd.reconcile.telling import NOT_TAKEN
from bayd.reconcile.until_written import find_record, until_written
from bayd.runtime.range import Range

_BATCH = 200
_QUEUE_LIMIT = 2000  # items in memory for each bay; the journal has the rest
_RETIRED_STALE_MS = 7 * 86_400_000
_STALE = "older than seven days, of a bay that is not in the configuration any more"
_AGE_UNKNOWN = "its age is not known: nobody keeps this PC's clock, and the server has said nothing yet"
_CURSOR_LAG = 50  # events without a message may be passed over so long before the cursor is written
_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_UNAUTHORISED_RETRY_S = 60.0
_LANE_RETRY_S = 2.0
_MOVES = (e.SessionMovedAway, e.SessionMovedIn)
# What the rest of a session waits for, and what is read for it: without limit while it fails for everybody.
# Of all else, the payment of a due say, it is enough that the server writes at all.
_WAITED_FOR = ("create_session", "verify", "add_session_time", "end_session", "get_session", "history")


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What the status shows."""

    waiting: int
    oldest_wall_ms: int | None
    parked: int
    alarm: str  # "" or why nothing is delivered


@dataclass(slots=True)
class _Lane:
    """One bay's items, in order."""

    bay: str
    cursor: int
    scanned: int
    queue: deque[Recorded[e.Event]] = field(default_factory=deque)
    dropped: set[int] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""  # why the first one was not delivered yet
    is_announced: bool = False  # of a bay that is configured no more: what it left


class CentralOutbox:
    """`run` is a root task with one child per bay; `load` comes before it."""

    def __init__(
        self,
        deliveries: Deliveries,
        journal: Journal[e.Event],
        bays: Range,
        least_time: LeastTime,
        *,
        pulse: ServerPulse,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._journal = journal
        self._bays = bays
        self._least_time = least_time
        self._pulse = pulse
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._deliveries = deliveries
        self._lanes = {number: _Lane(number, 0, 0) for number in bays.bays}
        self._door = ServerDoor(log)
        self._set_aside = SetAside(deliveries, journal, bays.bays, clock, log)
        self._held_up = HeldUpMoves(
            deliveries, journal, bays, self._door, park=self._set_aside.park, clock=clock, log=log
        )

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        lane = self._lanes.get(bay.number)
        if lane is not None:
            lane.wake.set()

    def view(self) -> OutboxView:
        queues = [lane.queue for lane in self._lanes.values() if lane.queue]
        oldest = min((queue[0].wall_ms for queue in queues), default=None)
        waits = sum(len(queue) for queue in queues)
        return OutboxView(waits, oldest, self._set_aside.count, self._door.alarm)

    async def items(self) -> list[OutboxItem]:
        """All that is not delivered: first what is parked. Raises JournalUnavailableError."""
        parked = await self._set_aside.items()
        queued = [
            waiting(record, record.wall_ms, lane.reason if position == 0 else "")
            for lane in self._lanes.values()
            for position, record in enumerate(lane.queue)
        ]
        return parked + self._held_up.items() + queued

    def is_selling(self) -> bool:
        """A walk-in may be on its way to the server: sold at any bay, it may have gone to another since."""
        return any(isinstance(event, e.WalkInSold) for event in self._queued())

    def is_moving(self, session_id: str) -> bool:
        """A move of it was not told yet."""
        moves = (event for event in self._queued() if isinstance(event, e.SessionMovedAway))
        return any(move.session_id == session_id for move in moves) or self._held_up.has(session_id)

    async def has_untold_move(self, number: str) -> bool:
        """Somebody was moved away from this bay, or to it, and the server was not told yet. Raises
        JournalUnavailableError."""
        lane = self._lanes[number]
        if any(isinstance(record.event, _MOVES) for record in lane.queue):
            return True
        kinds = [kind.__name__ for kind in _MOVES]
        return await self._journal.holds(lane.scanned, bay=number, kinds=kinds)

    def _queued(self) -> Iterator[e.Event]:
        return (record.event for lane in self._lanes.values() for record in lane.queue)

    async def load(self) -> None:
        """Where each bay stands."""
        await self._set_aside.load()
        await self._held_up.load()
        for lane in self._lanes.values():
            await self._open(lane)
        self._bays.observe_retired(self)
        await self._bays.recall()
        for number in tuple(self._bays.retired):
            try:
                await self._open_retired(number)
            except UnreadableEventError as error:  # the bays that are configured come up all the same
                self._bays.unreadable.add(number)
                self._log.warning("retired_bay_unreadable", bay=number, reason=str(error))

    async def _open(self, lane: _Lane) -> None:
        lane.cursor = lane.scanned = await self._journal.cursor(SINK, lane.bay)
        await self._scan(lane)

    async def _open_retired(self, number: str) -> None:
        lane = _Lane(number, 0, 0)
        await self._open(lane)
        self._lanes[number] = lane
        if self._least_time.is_told:
            self._announce(lane)

    def _announce(self, lane: _Lane) -> None:
        lane.is_announced = True
        stale = sum(self._is_stale(record) for record in lane.queue)
        if stale:
            self._log.warning("retired_bay_stale", bay=lane.bay, waiting=stale)
        if len(lane.queue) > stale:
            self._log.warning("retired_bay_untold", bay=lane.bay, waiting=len(lane.queue) - stale)

    def _is_stale(self, record: Recorded[e.Event]) -> bool:
        """Of a bay that is configured no more: the desk has long entered it by hand, and another PC may
        serve the bay."""
        if record.bay not in self._bays.retired or isinstance(record.event, e.DeliveryRetried):
            return False
        return record.synchronised and self._least_time.wall_ms() - record.wall_ms > _RETIRED_STALE_MS

    async def run(self) -> None:
        await self._bays.ready.wait()
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(self._run_lane(lane), name=f"outbox-{lane.bay}")

    # One bay

    async def _run_lane(self, lane: _Lane) -> None:
        while True:
            lane.wake.clear()
            await until_written(partial(self._scan, lane))
            if lane.queue:
                record = lane.queue[0]
                if record.seq not in lane.dropped:
                    await self._deliver(lane, record)
                lane.reason = ""
                lane.queue.popleft()
                await self._advance(lane, record.seq)
            elif lane.scanned - lane.cursor > _CURSOR_LAG:
                await self._advance(lane, lane.scanned)
            else:
                due = (self._set_aside.next_try_s(lane.bay), self._held_up.next_try_s(lane.bay))
                await self._sleep_until(lane, min((at_s for at_s in due if at_s is not None), default=None))
            if _is_due(self._set_aside.next_try_s(lane.bay)):
                await self._set_aside.try_again(lane.bay, partial(self._try, lane))
            if _is_due(self._held_up.next_try_s(lane.bay)):
                await self._held_up.try_again(lane.bay)

    async def _scan(self, lane: _Lane) -> None:
        """What the journal has that is not in the queue yet. Drops count from here on.

        Only what the bay has taken: a batch that the disk wrote too late is there, and expires.
        """
        while len(lane.queue) < _QUEUE_LIMIT:
            records = await self._journal.read(lane.scanned, bay=lane.bay, limit=_BATCH)
            for record in records:
                if self._bays.ready.is_set() and record.seq > self._bays.last_seq(lane.bay):
                    return
                match record.event:
                    case e.DeliveryDropped(seq):
                        await self._drop(lane, seq)
                    case e.DeliveryRetried():
                        lane.queue.append(record)
                    case event if is_deliverable(event):
                        lane.queue.append(record)
                    case _:
                        pass
                lane.scanned = record.seq
            if len(records) < _BATCH:
                return

    async def _deliver(self, lane: _Lane, record: Recorded[e.Event]) -> None:
        """Until it is delivered, parked or dropped."""
        if isinstance(record.event, e.DeliveryRetried):
            await self._set_aside.retry(lane.bay, record.event.seq, record.seq, partial(self._try, lane))
            return
        if isinstance(record.event, e.SessionMovedIn):
            await self._wait_for(lane, record.event.come_from, record.seq)
            return
        if record.bay in self._bays.retired and not await self._learns_age(lane, record.seq):
            return
        if self._is_stale(record):
            await self._set_aside.park(record, Hindrance(Cause.STALE, _STALE))
            return
        if isinstance(record.event, e.SessionMovedAway):
            await self._wait_for(lane, record.event.to, record.seq)
            if record.seq in lane.dropped:
                return
        if isinstance(record.event, e.SessionEnded):
            await self._set_aside.tell_before_end(record.event, partial(self._try, lane))
        elif (holding := await self._set_aside.find_holding(record)) is not None:
            await self._set_aside.park_behind(record, holding)
            return
        why = await self._try(lane, record, ages=True)
        if why is not None:
            await self._set_aside.park(record, why)

    async def _learns_age(self, lane: _Lane, seq: int) -> bool:
        """The poller asks the server all the time. False: staff have dropped the item meanwhile."""
        while not self._least_time.is_told:
            lane.reason = _AGE_UNKNOWN
            if await self._is_dropped_within(lane, seq, _LANE_RETRY_S):
                return False
        if not lane.is_announced:
            self._announce(lane)
        return True

    async def _wait_for(self, lane: _Lane, number: str, seq: int) -> None:
        """Until the lane of that bay is done with all before `seq`, or staff have dropped the item."""
        other = self._lanes.get(number)
        while other is not None and not await self._is_past(other, seq):
            if await self._is_dropped_within(lane, seq, _LANE_RETRY_S):
                return

    async def _is_past(self, lane: _Lane, seq: int) -> bool:
        if any(record.seq < seq for record in lane.queue):
            return False
        read_to = lane.scanned
        while read_to < seq:
            unseen = await until_written(partial(self._journal.read, read_to, bay=lane.bay, limit=_BATCH))
            if any(record.seq < seq and is_deliverable(record.event) for record in unseen):
                return False
            if len(unseen) < _BATCH:
                break
            read_to = unseen[-1].seq
        return True

    async def _try(
        self, lane: _Lane, record: Recorded[e.Event], *, once: bool = False, ages: bool = False
    ) -> Hindrance | None:
        """Until it is delivered or dropped: None. Or why it has to be parked; with `once` at its first
        failure, with `ages` also once it is stale."""
        alone = Solitude(self._pulse, self._clock)
        attempt = 0
        try:
            while True:
                await self._door.admitted(lane.bay)
                if ages and self._is_stale(record):
                    return Hindrance(Cause.STALE, _STALE)
                retry_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                pause_s = retry_s * (0.5 + 0.5 * self._randomness.jitter())
                try:
                    await self._deliveries.send(record)
                except NotNowError as error:
                    await self._held_up.hold_up(record, str(error))
                    return None
                except (ParkError, CentralRefused) as error:
                    return Hindrance(Cause.REFUSED, str(error))
                except ValueError as error:  # what no request can be made of; the text repeats no value
                    return Hindrance(Cause.REFUSED, f"this cannot be written to the server: {error}")
                except CentralUnauthorised as error:
                    lane.reason = str(error)
                    self._door.found_shut(lane.bay, lane.reason)
                    pause_s = _UNAUTHORISED_RETRY_S
                except NOT_TAKEN as error:
                    lane.reason = str(error)
                except (CentralError, NotShownError) as error:
                    lane.reason = str(error)
                    if alone.failed(_call_that_failed(error)) or once:
                        return Hindrance(Cause.ALONE, f"alone in failing for an hour: {error}")
                    self._note_failure(record, error, first=attempt == 0)
                    if isinstance(error, CentralUnavailable):
                        pause_s = max(pause_s, error.retry_after_s or 0)
                else:
                    return None
                attempt += 1
                if await self._is_dropped_within(lane, record.seq, pause_s):
                    return None
        finally:
            self._door.leave(lane.bay)

    async def _is_dropped_within(self, lane: _Lane, seq: int, pause_s: float) -> bool:
        """Wait; staff may drop the item meanwhile."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + pause_s
        while seq not in lane.dropped and loop.time() < until_s:
            lane.wake.clear()
            await until_written(partial(self._scan, lane))
            if seq in lane.dropped:
                break
            await self._sleep_until(lane, until_s)
        return seq in lane.dropped

    async def _sleep_until(self, lane: _Lane, until_s: float | None) -> None:
        """Or until something happens at the bay."""
        try:
            async with asyncio.timeout_at(until_s):
                await lane.wake.wait()
        except TimeoutError:
            return

    def _note_failure(self, record: Recorded[e.Event], error: Exception, *, first: bool) -> None:
        reason = str(error)
        if first and not isinstance(error, CentralUnavailable):
            self._log.warning("central_answer_odd", bay=record.bay, seq=record.seq, reason=reason)
        else:
            self._log.debug("central_retry", bay=record.bay, seq=record.seq, reason=reason)

    async def _drop(self, lane: _Lane, seq: int) -> None:
        record = await find_record(self._journal, lane.bay, seq)
        if record is None:  # a typing error: another bay's item, or one that is still to come
            self._log.warning("delivery_not_found", bay=lane.bay, seq=seq)
            return
        await self._deliveries.give_up(record)
        await self._set_aside.drop(lane.bay, seq)
        await self._held_up.forget(seq)
        lane.dropped.add(seq)
        self._log.warning("delivery_dropped", bay=lane.bay, seq=seq)

    async def _advance(self, lane: _Lane, seq: int) -> None:
        await until_written(partial(self._journal.advance, SINK, lane.bay, seq))
        lane.cursor = seq
        lane.dropped = {dropped for dropped in lane.dropped if dropped > seq}


def _call_that_failed(error: CentralError | NotShownError) -> str | None:
    """As `Solitude.failed` wants it."""
    if isinstance(error, CentralError) and not isinstance(error, CapabilityMissing):
        return error.operation if error.operation in _WAITED_FOR else None
    return None


def _is_due(at_s: float | None) -> bool:
    return at_s is not None and asyncio.get_running_loop().time() >= at_s
