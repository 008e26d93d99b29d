"""Tells the central server what has happened here, in order, once.

The outbox is a cursor over the journal, one per bay, and a table of what was set aside (parked) beside it.
What an event means as calls is in `delivery`, how a call is made once in `once`; here it is decided when to
try, when to try again, and when to go on with the next.

- No answer, 408, 429, 5xx: again and again. An item that fails for an hour at a call that gets through for
  others is parked, and tried again by itself every quarter of an hour (`pulse` says what alone means).
- 401 and 403 stop everything: one item asks now and then, the others wait, a person is called.
- What the server refuses is parked, and with it what follows of the same session, except its end, which is
  always tried: after what only waits behind another, since a session that is over takes no more time. A game,
  a move and a payment hold up nothing. Other sessions go on.
- A session that was moved takes its place in its new bay's lane once the old one has told all of it; the
  move is told once the new one has told what came before: who played there is over for the server, too.
- A move to a bay where for the server somebody else plays (the desk was quicker) is held up, and holds up
  nothing: it is tried again while the session plays there, and forgotten when it is over or has moved on.
- Staff's word (`DeliveryRetried`, `DeliveryDropped`) is in the journal too: a drop counts as soon as it is
  seen, a retry when its turn comes, with what was parked behind it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from bayd.clients.central import (
    CapabilityMissing,
    CentralClient,
    CentralError,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
    Secret,
    ServerSession,
)
from bayd.core import events as e
from bayd.core.desired import Desired
from bayd.core.model import Bay
from bayd.journal import Journal, JournalUnavailableError, NotWrittenError, Parked, Recorded, Writer
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.delivery import Deliveries, is_deliverable, session_of
from bayd.reconcile.once import SINK, NotNowError, NotShownError, ParkError
from bayd.reconcile.pulse import ServerPulse, Solitude
from bayd.reconcile.telling import NOT_TAKEN
from bayd.reconcile.walk_ins import WalkInAccount
from bayd.runtime.range import Range

T = TypeVar("T")

_BATCH = 200
_QUEUE_LIMIT = 2000  # items in memory for each bay; the journal has the rest
_CURSOR_LAG = 50  # events without a message may be passed over so long before the cursor is written
_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_UNAUTHORISED_RETRY_S = 60.0
_DISK_RETRY_S = 1.0
_LANE_RETRY_S = 2.0
# Begin the reasons of what is tried again by itself.
_ALONE = "alone in failing for an hour"
_BEHIND = "after item"
_ALONE_RETRY_S = 900.0

# What the rest of a session waits for, and what is read for it: without limit while it fails for everybody.
# Of all else, the payment of a due say, it is enough that the server writes at all.
_WAITED_FOR = ("create_session", "verify", "add_session_time", "end_session", "get_session", "history")

_HELD_UP = "central-held-up"  # where the journal keeps what is held up: it is not set aside for staff
_HELD_UP_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What the status shows."""

    waiting: int
    oldest_wall_ms: int | None
    parked: int
    alarm: str  # "" or why nothing is delivered


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """What has not been delivered, for staff."""

    seq: int
    bay: str
    session_id: str
    kind: str
    since_wall_ms: int
    reason: str  # of the last failure, or of being parked; "" while it only waits its turn
    parked: bool
    waits_for: int | None = None  # the parked item of its session that holds it up


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
    again_at_s: float | None = None  # on the loop's clock: when what failed alone is tried once more
    held_up: dict[int, Recorded[e.Event]] = field(default_factory=dict)  # moves, by seq
    held_up_until_s: float = 0.0  # on the loop's clock


class CentralOutbox:
    """`run` is a root task with one child per bay; `load` comes before it."""

    def __init__(
        self,
        client: CentralClient,
        journal: Journal[e.Event],
        bays: Range,
        *,
        walk_in: WalkInAccount | None,
        password: Secret | None,
        settle_s: float,
        pulse: ServerPulse,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._journal = journal
        self._bays = bays
        self._pulse = pulse
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._deliveries = Deliveries(
            client,
            journal,
            bays,
            walk_in=walk_in,
            password=password,
            settle_s=settle_s,
            clock=clock,
            log=log,
        )
        self._lanes = {number: _Lane(number, 0, 0) for number in bays.bays}
        self._parked = 0
        self._alarm = ""
        self._asking: _Lane | None = None  # while we are not let in: who tries
        self._let_in = asyncio.Event()
        self._let_in.set()
        self._moving = asyncio.Lock()  # one move at a time, as they were made

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        lane = self._lanes.get(bay.number)
        if lane is not None:
            lane.wake.set()

    def view(self) -> OutboxView:
        queues = [lane.queue for lane in self._lanes.values() if lane.queue]
        oldest = min((queue[0].wall_ms for queue in queues), default=None)
        return OutboxView(sum(len(queue) for queue in queues), oldest, self._parked, self._alarm)

    async def items(self) -> list[OutboxItem]:
        """All that is not delivered: first what is parked. Raises JournalUnavailableError."""
        parked: list[OutboxItem] = []
        holding: dict[str, int] = {}  # by session
        for one in sorted(await self._journal.parked(SINK), key=lambda one: one.seq):
            record = await self._find(one.bay, one.seq)
            kind = "" if record is None else type(record.event).__name__
            is_end = record is not None and isinstance(record.event, e.SessionEnded)
            waits_for = None if is_end else holding.get(one.session_id)
            parked.append(
                OutboxItem(
                    one.seq, one.bay, one.session_id, kind, one.at_wall_ms, one.reason, True, waits_for
                )
            )
            if record is None or await self._deliveries.holds_up(record):
                holding.setdefault(one.session_id, one.seq)
        waiting = [
            OutboxItem(
                record.seq,
                record.bay,
                session_of(record.event),
                type(record.event).__name__,
                record.wall_ms,
                lane.reason if position == 0 else "",
                parked=False,
            )
            for lane in self._lanes.values()
            for position, record in enumerate(lane.queue)
        ]
        return parked + await self._items_held_up() + waiting

    async def _items_held_up(self) -> list[OutboxItem]:
        """They wait, too, but for no turn."""
        return [
            OutboxItem(
                one.seq, one.bay, one.session_id, "SessionMovedAway", one.at_wall_ms, one.reason, parked=False
            )
            for one in await self._journal.parked(_HELD_UP)
        ]

    def is_walk_in(self, row: ServerSession) -> bool:
        """Sold by a bay, not booked at the desk."""
        return self._deliveries.is_walk_in(row)

    def is_selling(self) -> bool:
        """A walk-in may be on its way to the server: sold at any bay, it may have gone to another since."""
        waiting = (record for lane in self._lanes.values() for record in lane.queue)
        return any(isinstance(record.event, e.WalkInSold) for record in waiting)

    def is_moving(self, session_id: str) -> bool:
        """A move of it was not told yet."""
        lanes = self._lanes.values()
        waiting = (record for lane in lanes for record in (*lane.queue, *lane.held_up.values()))
        events = (record.event for record in waiting)
        return any(isinstance(one, e.SessionMovedAway) and one.session_id == session_id for one in events)

    async def load(self) -> None:
        """Where each bay stands."""
        self._parked = len(await self._journal.parked(SINK))
        for lane in self._lanes.values():
            lane.cursor = lane.scanned = await self._journal.cursor(SINK, lane.bay)
            await self._scan(lane)
            await self._plan_again(lane)
        for one in await self._journal.parked(_HELD_UP):
            record = await self._find(one.bay, one.seq)
            if record is not None and one.bay in self._lanes:
                self._lanes[one.bay].held_up[one.seq] = record

    async def run(self) -> None:
        await self._bays.ready.wait()
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(self._run_lane(lane), name=f"outbox-{lane.bay}")

    # One bay

    async def _run_lane(self, lane: _Lane) -> None:
        while True:
            lane.wake.clear()
            await self._durably(lambda: self._scan(lane))
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
                await self._sleep_until(lane, self._next_try_s(lane))
            now_s = asyncio.get_running_loop().time()
            if lane.again_at_s is not None and now_s >= lane.again_at_s:
                await self._try_again(lane)
            if lane.held_up and now_s >= lane.held_up_until_s:
                await self._try_held_up(lane)
                lane.held_up_until_s = asyncio.get_running_loop().time() + _HELD_UP_RETRY_S

    def _next_try_s(self, lane: _Lane) -> float | None:
        due = (lane.again_at_s, lane.held_up_until_s if lane.held_up else None)
        return min((at_s for at_s in due if at_s is not None), default=None)

    async def _try_held_up(self, lane: _Lane) -> None:
        """Once each. Nothing that fails here fails anything else."""
        for seq, record in list(lane.held_up.items()):
            if self._asking is not None:
                return
            try:
                reason = await self._send_held_up(record)
            except (CentralError, NotShownError, NotNowError, *NOT_TAKEN) as error:
                self._log.debug("central_retry", bay=lane.bay, seq=seq, reason=str(error))
                continue
            if reason is not None:
                await self._park(record, reason)
            await self._durably(partial(self._journal.unpark, _HELD_UP, seq))
            lane.held_up.pop(seq, None)

    async def _send_held_up(self, record: Recorded[e.Event]) -> str | None:
        """None: the server has been told, or does not need it any more. Or why it has to be parked."""
        if isinstance(record.event, e.SessionMovedAway) and not self._plays_at(record.event):
            return None
        try:
            await self._send(record, held_up=True)
        except (ParkError, CentralRefused, ValueError) as error:
            return str(error)
        return None

    def _plays_at(self, moved: e.SessionMovedAway) -> bool:
        session = self._bays.get(moved.to).session
        return session is not None and session.session_id == moved.session_id

    async def _send(self, record: Recorded[e.Event], *, held_up: bool = False) -> None:
        """Raises as `Deliveries.send`."""
        if isinstance(record.event, e.SessionMovedAway):
            async with self._moving:
                await self._deliveries.send(record, held_up=held_up)
        else:
            await self._deliveries.send(record)

    async def _scan(self, lane: _Lane) -> None:
        """What the journal has that is not in the queue yet. Drops count from here on.

        Only what the bay has taken: a batch that the disk wrote too late is there, and expires.
        """
        while len(lane.queue) < _QUEUE_LIMIT:
            records = await self._journal.read(lane.scanned, bay=lane.bay, limit=_BATCH)
            for record in records:
                if self._bays.ready.is_set() and record.seq > self._bays.bays[lane.bay].last_seq:
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
            await self._retry(lane, record.event.seq, order=record.seq)
            return
        if isinstance(record.event, e.SessionMovedIn):
            await self._wait_for(lane, record.event.come_from, record.seq)
            return
        if isinstance(record.event, e.SessionMovedAway):
            await self._wait_for(lane, record.event.to, record.seq)
            if record.seq in lane.dropped:
                return
        session_id = session_of(record.event)
        if isinstance(record.event, e.SessionEnded):
            await self._tell_before_end(lane, session_id)
        elif (holding := await self._find_holding(session_id, record.seq)) is not None:
            await self._park(record, f"{_BEHIND} {holding}, which is parked")
            return
        reason = await self._try(lane, record)
        if reason is not None:
            await self._park(record, reason)

    async def _find_holding(self, session_id: str, seq: int) -> int | None:
        """What is parked of a session, came before, and holds up the rest."""
        for parked in await self._parked_of(session_id):
            if parked.seq < seq:
                record = await self._durably(partial(self._find, parked.bay, parked.seq))
                if record is None or await self._durably(partial(self._deliveries.holds_up, record)):
                    return parked.seq
        return None

    async def _tell_before_end(self, lane: _Lane, session_id: str) -> None:
        """What is parked of a session that is over: nothing can be added to it after its end.

        What waited behind another is told now, and what failed alone gets a last try. What that leaves
        unclear is for staff: read back later, what was told past it might be taken for it.
        """
        every = await self._parked_of(session_id)
        for parked in every:
            record = await self._durably(partial(self._find, parked.bay, parked.seq))
            if record is None or not await self._durably(partial(self._deliveries.holds_up, record)):
                continue
            told = await self._try_parked(lane, parked, record)
            if not told and parked is not every[-1]:
                await self._durably(partial(self._deliveries.leave_unclear, record))

    async def _parked_of(self, session_id: str) -> list[Parked]:
        return await self._durably(partial(self._journal.parked, SINK, session_id=session_id))

    async def _wait_for(self, lane: _Lane, number: str, seq: int) -> None:
        """Until the lane of that bay is done with all before `seq`, or staff have dropped the item."""
        other = self._lanes.get(number)
        while other is not None and not await self._is_past(other, seq):
            if await self._is_dropped_within(lane, seq, _LANE_RETRY_S):
                return

    async def _is_past(self, lane: _Lane, seq: int) -> bool:
        if any(record.seq < seq for record in lane.queue):
            return False
        unseen = await self._durably(partial(self._journal.read, lane.scanned, bay=lane.bay, limit=_BATCH))
        return not any(record.seq < seq and is_deliverable(record.event) for record in unseen)

    async def _retry(self, lane: _Lane, seq: int, *, order: int) -> None:
        """What staff want to be tried again, and what was parked behind it."""
        wanted = await self._durably(partial(self._find, lane.bay, seq))
        if wanted is None:
            return
        is_end = isinstance(wanted.event, e.SessionEnded)
        earlier = await self._find_holding(session_of(wanted.event), seq)
        if earlier is not None and not is_end:
            self._log.warning("delivery_out_of_order", bay=lane.bay, seq=seq, earlier=earlier)
            return
        if any(parked.seq == seq for parked in await self._parked_of(session_of(wanted.event))):
            await self._durably(partial(self._deliveries.start_anew, wanted, order))
        await self._try_from(lane, seq, session_of(wanted.event), patient=True)

    async def _try_from(self, lane: _Lane, seq: int, session_id: str, *, patient: bool = False) -> None:
        """What is parked under this number, and what is parked behind it."""
        held = False
        for parked in await self._parked_of(session_id):
            record = await self._durably(partial(self._find, parked.bay, parked.seq))
            if record is None or parked.seq < seq or (held and not isinstance(record.event, e.SessionEnded)):
                continue
            if not await self._try_parked(lane, parked, record, patient=patient):
                held = held or await self._durably(partial(self._deliveries.holds_up, record))

    async def _try_parked(
        self, lane: _Lane, parked: Parked, record: Recorded[e.Event], *, patient: bool = False
    ) -> bool:
        """As any other item; but what has failed alone before gets one try, unless `patient`."""
        once = parked.reason.startswith(_ALONE) and not patient
        reason = await self._try(lane, record, once=once)
        if reason is None:
            await self._unpark(parked.seq)
        elif reason != parked.reason:
            await self._park(record, reason, again=True)
        return reason is None

    async def _try_again(self, lane: _Lane) -> None:
        """What failed alone, or waits for nothing any more, with what was parked behind it."""
        for parked in await self._durably(partial(self._journal.parked, SINK, bay=lane.bay)):
            alone, behind = (parked.reason.startswith(why) for why in (_ALONE, _BEHIND))
            if alone or (behind and await self._find_holding(parked.session_id, parked.seq) is None):
                await self._try_from(lane, parked.seq, parked.session_id)
        await self._plan_again(lane)

    async def _plan_again(self, lane: _Lane) -> None:
        parked = await self._durably(partial(self._journal.parked, SINK, bay=lane.bay))
        again = any(one.reason.startswith((_ALONE, _BEHIND)) for one in parked)
        lane.again_at_s = asyncio.get_running_loop().time() + _ALONE_RETRY_S if again else None

    async def _try(self, lane: _Lane, record: Recorded[e.Event], *, once: bool = False) -> str | None:
        """Until it is delivered or dropped: None. Or why it has to be parked; with `once` at its first
        failure."""
        alone = Solitude(self._pulse, self._clock)
        attempt = 0
        try:
            while True:
                while self._asking not in (None, lane):
                    await self._let_in.wait()
                retry_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                pause_s = retry_s * (0.5 + 0.5 * self._randomness.jitter())
                try:
                    await self._send(record)
                except NotNowError as error:
                    await self._hold_up(record, str(error))
                    return None
                except (ParkError, CentralRefused) as error:
                    return str(error)
                except ValueError as error:  # what no request can be made of; the text repeats no value
                    return f"this cannot be written to the server: {error}"
                except CentralUnauthorised as error:
                    self._stop(lane, str(error))
                    pause_s = _UNAUTHORISED_RETRY_S
                except NOT_TAKEN as error:
                    lane.reason = str(error)
                except (CentralError, NotShownError) as error:
                    lane.reason = str(error)
                    if alone.failed(_call_that_failed(error)) or once:
                        return f"{_ALONE}: {error}"
                    self._note_failure(record, error, first=attempt == 0)
                    if isinstance(error, CentralUnavailable):
                        pause_s = max(pause_s, error.retry_after_s or 0)
                else:
                    return None
                attempt += 1
                if await self._is_dropped_within(lane, record.seq, pause_s):
                    return None
        finally:
            self._go_on(lane)

    async def _is_dropped_within(self, lane: _Lane, seq: int, pause_s: float) -> bool:
        """Wait; staff may drop the item meanwhile."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + pause_s
        while seq not in lane.dropped and loop.time() < until_s:
            lane.wake.clear()
            await self._durably(lambda: self._scan(lane))
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

    # Not let in

    def _stop(self, lane: _Lane, reason: str) -> None:
        if not self._alarm:
            self._log.error("central_credentials_refused", reason=reason)
        self._alarm = lane.reason = reason
        if self._asking is None:
            self._asking = lane
            self._let_in.clear()

    def _go_on(self, lane: _Lane) -> None:
        if self._asking is lane:
            self._asking = None
            self._alarm = ""
            self._let_in.set()

    # What is set aside

    async def _park(self, record: Recorded[e.Event], reason: str, *, again: bool = False) -> None:
        """`again`: it was parked before, for another reason."""
        session_id = session_of(record.event)
        self._log.error(
            "delivery_parked",
            bay=record.bay,
            session=session_id,
            kind=type(record.event).__name__,
            reason=reason,
        )
        parked = Parked(SINK, record.bay, session_id, record.seq, reason, self._clock.now().wall_ms)

        def park(writer: Writer[e.Event]) -> None:
            if again and writer.unpark(SINK, record.seq) is None:
                return  # staff dropped it meanwhile
            writer.park(parked)

        await self._durably(lambda: self._journal.transact(park))
        await self._count_parked()
        lane = self._lanes.get(record.bay)
        if lane is not None and lane.again_at_s is None:
            await self._plan_again(lane)

    async def _hold_up(self, record: Recorded[e.Event], reason: str) -> None:
        session_id = session_of(record.event)
        self._log.warning("move_held_up", bay=record.bay, session=session_id, reason=reason)
        held_up = Parked(_HELD_UP, record.bay, session_id, record.seq, reason, self._clock.now().wall_ms)
        await self._durably(lambda: self._journal.park(held_up))
        lane = self._lanes[record.bay]
        lane.held_up[record.seq] = record
        lane.held_up_until_s = asyncio.get_running_loop().time() + _HELD_UP_RETRY_S

    async def _unpark(self, seq: int) -> None:
        await self._durably(lambda: self._journal.unpark(SINK, seq))
        await self._count_parked()

    async def _drop(self, lane: _Lane, seq: int) -> None:
        record = await self._find(lane.bay, seq)
        if record is None:  # a typing error: another bay's item, or one that is still to come
            self._log.warning("delivery_not_found", bay=lane.bay, seq=seq)
            return
        await self._deliveries.give_up(record)
        await self._journal.unpark(SINK, seq)
        await self._journal.unpark(_HELD_UP, seq)
        lane.held_up.pop(seq, None)
        lane.dropped.add(seq)
        lane.again_at_s = 0.0  # what waited for it need not wait any more
        self._log.warning("delivery_dropped", bay=lane.bay, seq=seq)
        await self._count_parked()

    async def _count_parked(self) -> None:
        self._parked = len(await self._durably(lambda: self._journal.parked(SINK)))

    async def _find(self, number: str, seq: int) -> Recorded[e.Event] | None:
        records = await self._journal.read(seq - 1, bay=number, limit=1)
        return records[0] if records and records[0].seq == seq else None

    # The journal

    async def _advance(self, lane: _Lane, seq: int) -> None:
        await self._durably(lambda: self._journal.advance(SINK, lane.bay, seq))
        lane.cursor = seq
        lane.dropped = {dropped for dropped in lane.dropped if dropped > seq}

    async def _durably(self, call: Callable[[], Awaitable[T]]) -> T:
        """Until the disk takes it."""
        while True:
            try:
                return await call()
            except (NotWrittenError, JournalUnavailableError):
                await asyncio.sleep(_DISK_RETRY_S)


def _call_that_failed(error: CentralError | NotShownError) -> str | None:
    """As `Solitude.failed` wants it."""
    if isinstance(error, CentralError) and not isinstance(error, CapabilityMissing):
        return error.operation if error.operation in _WAITED_FOR else None
    return None
