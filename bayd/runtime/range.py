"""All bays of one PC: their tasks, the last-alive mark, and what happens at a restart."""

import asyncio
from collections.abc import Iterator, Mapping

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.instant import AliveMark, Instant
from bayd.core.model import Bay
from bayd.core.rules import Rules
from bayd.journal import Batch, Journal, JournalError, JournalUnavailableError, NotWrittenError, Writer
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.bay import AnswerMaker, BayMeter, BayObserver, BayTask, Outcome
from bayd.runtime.mover import Mover
from bayd.runtime.retired_bay import RetiredBay

_ALIVE_EVERY_S = 10.0
_RETRY_S = 1.0


class UnknownBayError(Exception):
    """This PC has no bay of that number."""


class Range:
    """The bays by number. `run` is a root task; `ready` is set when every bay has its state."""

    def __init__(
        self,
        rules: Mapping[str, Rules],
        *,
        journal: Journal[e.Event],
        clock: Clock,
        randomness: Randomness,
        log: Log,
        meter: BayMeter | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._observers: list[BayObserver] = []
        self.ready = asyncio.Event()
        self.bays = {
            number: BayTask(
                number,
                bay_rules,
                journal=journal,
                clock=clock,
                randomness=randomness,
                observers=self._observers,
                log=log,
                meter=meter,
            )
            for number, bay_rules in rules.items()
        }
        self.retired: dict[str, RetiredBay] = {}
        self.unreadable: set[str] = set()  # of them those of which nobody can tell what they left
        self._retired_observers: list[BayObserver] = []
        self._mover = Mover(journal, clock=clock, randomness=randomness, log=log)

    def observe(self, observer: BayObserver) -> None:
        """Before `run`: an observer sees every bay once at the start and after each change."""
        self._observers.append(observer)

    def observe_retired(self, observer: BayObserver) -> None:
        """Before `run`: of the bays that are configured no more it sees every change."""
        self._retired_observers.append(observer)

    async def recall(self) -> None:
        """The bays that the journal knows and the configuration does not: from here on in `retired`, or in
        `unreadable`. `run` does it too. Raises JournalUnavailableError."""
        for number in await self._journal.bays():
            if number in self.bays or number in self.retired or number in self.unreadable:
                continue
            retired = RetiredBay(
                number,
                journal=self._journal,
                clock=self._clock,
                randomness=self._randomness,
                observers=self._retired_observers,
                log=self._log,
            )
            try:
                await retired.load()
            except JournalUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 # whatever its past holds, the others come up all the same
                self.unreadable.add(number)
                # What a validator says of a snapshot quotes it, names and all.
                reason = str(error) if isinstance(error, JournalError) else type(error).__name__
                self._log.warning("retired_bay_unreadable", bay=number, reason=reason)
                continue
            self.retired[number] = retired
            if retired.bay.session is not None:
                self._log.warning("bay_left_out", bay=number, session=retired.bay.session.session_id)

    def known(self) -> Iterator[Bay]:
        """Also those that are configured no more, after the others."""
        return (task.bay for task in (*self.bays.values(), *self.retired.values()))

    def get(self, number: str) -> Bay:
        """Raises UnknownBayError."""
        return self._task(number).bay

    def last_seq(self, number: str) -> int:
        """The newest of the journal's events that the bay has taken. Raises UnknownBayError."""
        return self._task(number).last_seq

    def rules(self, number: str) -> Rules:
        """Raises UnknownBayError."""
        return self._task(number).rules

    async def submit(
        self, number: str, request: i.Input | i.Move, make_answer: AnswerMaker | None = None
    ) -> Outcome:
        """See `BayTask.submit`. Raises UnknownBayError too."""
        task = self._task(number)
        if isinstance(request, i.Move):
            return await self._mover.submit(task, self.bays.get(request.to), request, make_answer)
        if isinstance(request, (i.BallHeard, i.BallInPit)):
            task = self._where_its_session_is(task, request)
        return await task.submit(request, make_answer)

    def _where_its_session_is(self, task: BayTask, ball: i.BallHeard | i.BallInPit) -> BayTask:
        """Heard before its player went, decided about or landed afterwards: it counts where he is now."""
        moved = task.bay.moved
        if moved is None:
            return task
        there = next((other for other in self.bays.values() if other.bay.knows(moved.session_id)), task)
        match ball:
            case i.BallHeard():
                return there if ball.at_ms <= moved.at_ms else task
            case i.BallInPit():
                theirs, ours = there.bay.find_credit(ball.epc), task.bay.find_credit(ball.epc)
                if theirs is None or theirs.session_id != moved.session_id:
                    return task
                return there if ours is None or ours.at_ms < theirs.at_ms else task

    async def report(self, number: str, fact: i.Input) -> Outcome | None:
        """Tell a bay a fact; it may be lost with a broken disk, which is logged."""
        try:
            return await self.submit(number, fact)
        except NotWrittenError:
            self._log.warning("fact_not_recorded", bay=number, input=type(fact).__name__)
            return None

    async def run(self) -> None:
        for bay in self.bays.values():
            await bay.load()
        await self.recall()
        await self._settle_outage()
        async with asyncio.TaskGroup() as tasks:
            for bay in (*self.bays.values(), *self.retired.values()):
                tasks.create_task(bay.run(), name=f"bay-{bay.number}")
            for bay in self.bays.values():
                bay.announce()
            tasks.create_task(self._mover.run(), name="mover")
            self.ready.set()
            tasks.create_task(self._keep_alive_mark(), name="alive-mark")

    async def _settle_outage(self) -> None:
        """Every bay's outage and the new mark in one commit, before anything else is decided.

        Apart, a crash in between would shift the deadlines of some bays twice. The same for the bays that are
        left out of the configuration: the new mark takes the place of the one that is theirs.
        """
        tasks: dict[str, BayTask] = {**self.bays, **self.retired}
        mark = await self._journal.read_alive()
        marks = {
            number: task.bay.left or await self._last_sign_of_life(task, mark)
            for number, task in tasks.items()
        }
        while True:
            now = self._clock.now()
            batches = {
                number: batch
                for number, sign in marks.items()
                if sign is not None
                and (batch := tasks[number].restart_batch(sign, now, self._clock.boot_id)) is not None
            }

            def write(
                writer: Writer[e.Event], batches: Mapping[str, Batch[e.Event]] = batches, now: Instant = now
            ) -> dict[str, tuple[int, ...]]:
                writer.write_alive(now)
                return {number: writer.append(batch) for number, batch in batches.items()}

            try:
                seqs = await self._journal.transact(write)
            except NotWrittenError:
                self._log.error("outage_not_recorded")
                await asyncio.sleep(_RETRY_S)
                continue
            for number, batch in batches.items():
                tasks[number].restarted(batch, seqs[number])
            return

    async def _last_sign_of_life(self, bay: BayTask, mark: AliveMark | None) -> AliveMark | None:
        """The mark, or the bay's newest event: the mark may be ten seconds old. A mark of another boot is of
        a run that knew no such bay, or one without a clock that ran: its outage would be an event."""
        newest = await self._journal.read(bay.last_seq - 1, bay=bay.number, limit=1)
        if not newest:
            return mark
        event = newest[0]
        if mark is not None and mark.boot_id == event.boot_id and mark.boot_ms >= event.boot_ms:
            return mark
        return AliveMark(event.boot_id, event.boot_ms, event.wall_ms, event.synchronised)

    async def _keep_alive_mark(self) -> None:
        while True:
            try:
                await self._journal.write_alive(self._clock.now())
            except NotWrittenError:
                self._log.warning("alive_mark_not_written")
            await asyncio.sleep(_ALIVE_EVERY_S)

    def _task(self, number: str) -> BayTask:
        task = self.bays.get(number) or self.retired.get(number)
        if task is None:
            raise UnknownBayError(f"there is no bay {number} here")
        return task
