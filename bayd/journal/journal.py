"""The journal's face, for the loop's side.

Every call goes into one queue. The writer, when it is free, takes all that waits: the writes become one
transaction with one fsync (group commit, no added delay), then the reads see the result. What came first is
written first. Nothing here is a task: a call that was handed in is carried out, whether or not anybody still
awaits it.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from sqlite_utils import Migrations

from bayd.core.instant import AliveMark
from bayd.journal import disk, schema
from bayd.journal.books import Reader, Writer
from bayd.journal.database import OwnedDatabase
from bayd.journal.errors import JournalClosedError
from bayd.journal.records import (
    Answer,
    AuditRow,
    Batch,
    Call,
    EventCodec,
    JournalHealth,
    Loaded,
    Parked,
    Pruned,
    Recorded,
    StoredPin,
)
from bayd.journal.store import Done, Failed, Outcome, Store, Write
from bayd.ports import Clock, Instant, JournalExecutor

E = TypeVar("E")
T = TypeVar("T")

BALLAST_BYTES = 1024 * 1024  # thousands of events: days of money at a range where nobody makes room


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[E]):
    work: Write[E] | Callable[[Reader[E]], Any]
    future: asyncio.Future[Any]
    since_boot_ms: int


class Journal(Generic[E]):
    """What has happened at the bays, on disk.

    A write (`append`, `expire`, `transact` and all that is built on it) has one of these ends:

    - it returns: durable;
    - NotWrittenError: certainly not written, now or later; it may be tried again. DiskFullError is one: all
      get it on a full disk, and what is deferrable gets it before, while the journal lives on its reserve;
    - another error of its own (an answer that exists, a lookup that fails): likewise nothing was written;
    - JournalUnavailableError: unknown. Only when the journal is being closed on a dead disk, or inline. Ask
      again with the same batch id;
    - it takes long, because the disk hangs or cannot be reopened: see `stalled_since`. Cancelling the await
      neither undoes nor repeats it. The caller decides how long to wait, and may `expire` the batch.
    """

    def __init__(
        self,
        store: Store[E],
        path: Path,
        executor: JournalExecutor,
        side: JournalExecutor,
        clock: Clock,
        on_the_loop: Callable[[], bool],
        is_deferrable: Callable[[E], bool],
    ) -> None:
        """Use `open`."""
        self._store = store
        self._path = path
        self._executor = executor
        self._side = side
        self._clock = clock
        self._on_the_loop = on_the_loop  # inline: nothing may wait there
        self._is_deferrable = is_deferrable
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()  # of the next two, shared with the writer's thread
        self._queue: list[_Waiting[E]] = []
        self._draining = False
        self._unanswered: dict[_Waiting[E], None] = {}  # in order
        self._last_seq = 0
        self._subscribers: dict[object, Callable[[int], object]] = {}
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        executor: JournalExecutor,
        codec: EventCodec[E],
        *,
        clock: Clock,
        side_executor: JournalExecutor | None = None,
        ballast_bytes: int = BALLAST_BYTES,
        connect: disk.Connect = disk.connect,
        migrations: Migrations = schema.migrations,
        is_deferrable: Callable[[E], bool] = lambda _event: False,
        copy_first: bool = True,
    ) -> "Journal[E]":
        """Own and open the journal, creating or migrating it; its directory must exist.

        A batch of nothing but deferrable events is refused while the disk is nearly full (see `Store`).
        `side_executor` runs backups and checks, which take long; without it the writer runs them. Before a
        migration a copy `NAME.before-MIGRATION` is made, unless `copy_first` is not set. Both executors stay
        the caller's to close.
        Raises JournalLockedError, JournalTooNewError, JournalUnavailableError.
        """
        loop_thread = threading.get_ident()

        def on_the_loop() -> bool:
            return threading.get_ident() == loop_thread

        database = OwnedDatabase(
            path,
            ballast_bytes=ballast_bytes,
            connect=connect,
            migrations=migrations,
            copy_first=copy_first,
        )
        store = Store(database, codec, boot_id=clock.boot_id, may_wait=lambda: not on_the_loop())
        await executor.submit(store.open)
        journal = cls(store, path, executor, side_executor or executor, clock, on_the_loop, is_deferrable)
        journal._last_seq = store.last_seq
        return journal

    async def aclose(self) -> None:
        """Write what waits and close. With a dead disk what waits ends in JournalUnavailableError."""
        if self._closed:
            return
        self._closed = True
        self._store.stop()
        await self._executor.submit(self._store.close)

    # Events

    async def append(self, batch: Batch[E]) -> tuple[int, ...]:
        """Write a batch, once per `batch_id`; answers the numbers of its events.

        Raises BatchExpiredError, AnswerExistsError, and see the class.
        """
        # Without an event there is but the answer to a refused press: anybody can make thousands of them.
        deferrable = all(map(self._is_deferrable, batch.events)) and batch.audit is None
        seqs: tuple[int, ...] = await self._write(
            lambda writer: writer.append(batch), batch.batch_id, deferrable=deferrable
        )
        return seqs

    async def expire(self, batch_id: str, batch: Batch[E]) -> tuple[int, ...]:
        """Declare `batch_id` expired, written or not, and write `batch`, which says so, in one commit.

        From then on readers skip the expired batch, its answer is gone, and it can no longer be appended.
        """
        seqs: tuple[int, ...] = await self._write(
            lambda writer: writer.expire(batch_id, batch), batch.batch_id
        )
        return seqs

    async def load(self, bay: str, reducer_version: int) -> Loaded[E]:
        """All that makes a bay's state; see `Reader.load`."""
        return await self.query(lambda reader: reader.load(bay, reducer_version))

    async def save_snapshot(self, bay: str, seq: int, reducer_version: int, state_json: str) -> None:
        """Keep the bay's state after event `seq`; an older one than the stored one is ignored. Deferrable."""
        await self._write(
            lambda writer: writer.save_snapshot(bay, seq, reducer_version, state_json), None, deferrable=True
        )

    async def bays(self) -> tuple[str, ...]:
        return await self.query(lambda reader: reader.bays())

    async def read(self, after_seq: int, *, bay: str | None = None, limit: int = 500) -> list[Recorded[E]]:
        """The next events after `after_seq`, of one bay or of all, oldest first."""
        return await self.query(lambda reader: reader.read(after_seq, bay=bay, limit=limit))

    async def holds(self, after_seq: int, *, bay: str, kinds: Collection[str]) -> bool:
        """Whether the bay has an event of one of these kinds after `after_seq`."""
        return await self.query(lambda reader: reader.holds(after_seq, bay, kinds))

    @property
    def last_seq(self) -> int:
        """The newest event known to be durable."""
        return self._last_seq

    def on_appended(self, callback: Callable[[int], object]) -> Callable[[], None]:
        """Call back in the loop with `last_seq` after each commit that wrote events.

        Answers the function that ends the subscription.
        """
        key = object()
        self._subscribers[key] = callback
        return lambda: self._subscribers.pop(key, None) and None

    # Anything else

    async def transact(self, apply: Callable[[Writer[E]], T], *, deferrable: bool = False) -> T:
        """Run a function in a savepoint of the next group commit: all it writes is written, or nothing.

        It runs on the writer's thread and must not keep the writer. When the disk was full it may be run a
        second time after the first was undone; otherwise once. What it raises is raised here, undone.
        """
        result: T = await self._write(apply, None, deferrable=deferrable)
        return result

    async def query(self, ask: Callable[[Reader[E]], T]) -> T:
        """Run a function that reads, on the writer's thread, after the writes that were handed in before.

        Raises JournalUnavailableError, UnreadableEventError.
        """
        result: T = await self._hand_in(ask)
        return result

    # Requests, life signs, PINs

    async def find_answer(self, key: str) -> Answer | None:
        """What a request with this idempotency key was answered."""
        return await self.query(lambda reader: reader.find_answer(key))

    async def write_alive(self, at: Instant) -> None:
        await self.transact(lambda writer: writer.write_alive(at))

    async def read_alive(self) -> AliveMark | None:
        return await self.query(lambda reader: reader.read_alive())

    async def store_pin(self, bay: str, session_id: str, digest: bytes, expires_wall_ms: int) -> None:
        await self.transact(lambda writer: writer.store_pin(bay, session_id, digest, expires_wall_ms))

    async def find_pins(self, bay: str) -> list[StoredPin]:
        """The bay's hashes, also those past their expiry: the caller knows what time it is."""
        return await self.query(lambda reader: reader.find_pins(bay))

    async def purge_pin(self, bay: str, session_id: str) -> None:
        await self.transact(lambda writer: writer.purge_pin(bay, session_id))

    # Delivery: where each sink stands, what it has under way, what it set aside

    async def cursor(self, sink: str, bay: str) -> int:
        """The last event of the bay that the sink is done with; 0 at the beginning."""
        return await self.query(lambda reader: reader.cursor(sink, bay))

    async def advance(self, sink: str, bay: str, seq: int) -> None:
        """Move the sink's cursor forward; it never goes back."""
        await self.transact(lambda writer: writer.advance(sink, bay, seq))

    async def put_call(self, call: Call) -> None:
        """Write an intent. One that is there already stays as it is."""
        await self.transact(lambda writer: writer.put_call(call))

    async def update_call(self, call: Call) -> None:
        """Write how far a call has come. Raises LookupError."""
        await self.transact(lambda writer: writer.update_call(call))

    async def plays(self, from_wall_ms: int, to_wall_ms: int) -> list[Recorded[E]]:
        """What makes a day at the bays, oldest first. Raises JournalUnavailableError."""
        return await self.query(lambda reader: reader.plays(from_wall_ms, to_wall_ms))

    async def payments(self, from_wall_ms: int, to_wall_ms: int) -> list[Recorded[E]]:
        """All with which money may have been taken, oldest first. Raises JournalUnavailableError."""
        return await self.query(lambda reader: reader.payments(from_wall_ms, to_wall_ms))

    async def audit(self, from_wall_ms: int, to_wall_ms: int) -> list[AuditRow]:
        """What people did from then until before then, oldest first."""
        return await self.query(lambda reader: reader.audit(from_wall_ms, to_wall_ms))

    async def park(self, parked: Parked) -> None:
        """Set an event aside. One that is parked already keeps its first reason."""
        await self.transact(lambda writer: writer.park(parked))

    async def parked(
        self, sink: str, *, bay: str | None = None, session_id: str | None = None
    ) -> list[Parked]:
        return await self.query(lambda reader: reader.parked(sink, bay=bay, session_id=session_id))

    async def unpark(self, sink: str, seq: int) -> Parked | None:
        """Take one event out of the parked ones; answers what stood there."""
        return await self.transact(lambda writer: writer.unpark(sink, seq))

    # Upkeep

    async def prune(
        self,
        now: Instant,
        *,
        open_sessions: Iterable[tuple[str, int]],
        sinks: Collection[str],
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Pruned:
        """Remove what nothing needs any more; the rules are in `bayd.journal.pruning`.

        `open_sessions` are (bay, first event) of what is still going on; `sinks` those whose undelivered
        events must stay; `names` says in which kinds of event a person's name is, and where (a JSON path).
        """
        keep = tuple(open_sessions)
        ends = await self.transact(lambda writer: writer.old_ends(now, keep, sinks))
        events = 0
        while removed := await self.transact(lambda writer: writer.remove_events(ends.removable)):
            events += removed
        while await self.transact(lambda writer: writer.forget_names(ends.names, names)):
            pass
        answers, pins, calls = await self.transact(lambda writer: writer.remove_rest(now, ends.events))
        await self._executor.submit(self._store.checkpoint)
        return Pruned(events, answers, pins, calls)

    async def backup(self, to: Path) -> None:
        """Copy the journal, without the PIN hashes, into one file while it is in use. Raises JournalError."""
        await self._side.submit(lambda: disk.copy_database(self._path, to, give_way=self._store.gives_way))

    async def quick_check(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file; empty when it is sound. Raises JournalError."""
        return await self._side.submit(lambda: disk.quick_check(self._path, give_way=self._store.gives_way))

    @property
    def stalled_since(self) -> int | None:
        """The boot time in ms since when the oldest call waits; None when none does.

        Under load something waits most of the time, for milliseconds: compare it with now.
        """
        return next((waiting.since_boot_ms for waiting in self._unanswered), None)

    @property
    def disk_full(self) -> bool:
        return self._store.disk_full

    @property
    def health(self) -> JournalHealth:
        store = self._store
        return JournalHealth(
            self.stalled_since, len(self._unanswered), store.disk_full, store.recoveries, store.last_error
        )

    # The queue

    async def _write(
        self, apply: Callable[[Writer[E]], Any], batch_id: str | None, *, deferrable: bool = False
    ) -> Any:
        return await self._hand_in(Write(apply, batch_id, deferrable))

    def _hand_in(self, work: Write[E] | Callable[[Reader[E]], Any]) -> asyncio.Future[Any]:
        if self._closed:
            raise JournalClosedError("the journal is closed")
        waiting = _Waiting(work, self._loop.create_future(), self._clock.now().boot_ms)
        self._unanswered[waiting] = None
        with self._guard:
            self._queue.append(waiting)
            idle, self._draining = not self._draining, True
        if idle:
            self._executor.submit(self._drain)
        return waiting.future

    def _drain(self) -> None:
        """On the writer's thread, until nothing waits."""
        while True:
            with self._guard:
                group, self._queue = self._queue, []
                self._draining = bool(group)
            if not group:
                return
            try:
                answers = self._carry_out(group)
            except Exception as error:  # noqa: BLE001  # a defect of ours: whoever waits must learn of it
                answers = [(waiting, Failed(error)) for waiting in group]
            self._post(answers, self._store.last_seq)

    def _carry_out(self, group: list[_Waiting[E]]) -> list[tuple[_Waiting[E], Outcome]]:
        pairs = [(waiting, waiting.work) for waiting in group]
        writes = [(waiting, work) for waiting, work in pairs if isinstance(work, Write)]
        answers: list[tuple[_Waiting[E], Outcome]] = []
        if writes:
            outcomes = self._store.commit([work for _, work in writes])
            answers += zip((waiting for waiting, _ in writes), outcomes, strict=True)
        for waiting, work in pairs:
            if not isinstance(work, Write):
                answers.append((waiting, self._read(work)))
        return answers

    def _read(self, ask: Callable[[Reader[E]], Any]) -> Outcome:
        try:
            return Done(self._store.read(ask))
        except Exception as error:  # noqa: BLE001  # handed to the one who asked
            return Failed(error)

    def _post(self, answers: list[tuple[_Waiting[E], Outcome]], last_seq: int) -> None:
        if self._on_the_loop():
            self._loop.call_soon(self._deliver, answers, last_seq)
            return
        try:
            self._loop.call_soon_threadsafe(self._deliver, answers, last_seq)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told

    def _deliver(self, answers: list[tuple[_Waiting[E], Outcome]], last_seq: int) -> None:
        grown, self._last_seq = last_seq > self._last_seq, last_seq
        for waiting, outcome in answers:
            del self._unanswered[waiting]
            if waiting.future.done():  # its task was cancelled
                continue
            match outcome:
                case Done(value):
                    waiting.future.set_result(value)
                case Failed(error):
                    waiting.future.set_exception(error)
        if grown:
            for callback in tuple(self._subscribers.values()):
                self._loop.call_soon(callback, last_seq)
