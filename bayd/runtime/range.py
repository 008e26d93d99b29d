"""All bays of one PC: their tasks, the last-alive mark, and what happens at a restart."""

import asyncio
from collections.abc import Mapping

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Bay
from bayd.core.rules import Rules
from bayd.journal import Journal, NotWrittenError
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.bay import AnswerMaker, BayObserver, BayTask, Outcome

_ALIVE_EVERY_S = 10.0


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
    ) -> None:
        self._journal = journal
        self._clock = clock
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
            )
            for number, bay_rules in rules.items()
        }

    def observe(self, observer: BayObserver) -> None:
        """Before `run`: an observer sees every bay once at the start and after each change."""
        self._observers.append(observer)

    def get(self, number: str) -> Bay:
        """Raises UnknownBayError."""
        return self._task(number).bay

    def rules(self, number: str) -> Rules:
        """Raises UnknownBayError."""
        return self._task(number).rules

    async def submit(self, number: str, request: i.Input, make_answer: AnswerMaker | None = None) -> Outcome:
        """See `BayTask.submit`. Raises UnknownBayError too."""
        return await self._task(number).submit(request, make_answer)

    async def report(self, number: str, fact: i.Input) -> Outcome | None:
        """Tell a bay a fact; it may be lost with a broken disk, which is logged."""
        try:
            return await self.submit(number, fact)
        except NotWrittenError:
            self._log.warning("fact_not_recorded", bay=number, input=type(fact).__name__)
            return None

    async def run(self) -> None:
        mark = await self._journal.read_alive()
        for bay in self.bays.values():
            await bay.load()
        async with asyncio.TaskGroup() as tasks:
            for bay in self.bays.values():
                tasks.create_task(bay.run(), name=f"bay-{bay.number}")
            if mark is not None:
                same_boot = mark.boot_id == self._clock.boot_id
                restarted = i.Restarted(
                    mark_boot_ms=mark.boot_ms,
                    mark_wall_ms=mark.wall_ms,
                    same_boot=same_boot,
                    wall_trusted=mark.synchronised and self._clock.now().synchronised,
                )
                for bay in self.bays.values():
                    await bay.submit(restarted)
            for bay in self.bays.values():
                bay.announce()
            self.ready.set()
            tasks.create_task(self._keep_alive_mark(), name="alive-mark")

    async def _keep_alive_mark(self) -> None:
        while True:
            try:
                await self._journal.write_alive(self._clock.now())
            except NotWrittenError:
                self._log.warning("alive_mark_not_written")
            await asyncio.sleep(_ALIVE_EVERY_S)

    def _task(self, number: str) -> BayTask:
        try:
            return self.bays[number]
        except KeyError:
            raise UnknownBayError(f"there is no bay {number} here") from None
