"""A bay that the journal knows and the configuration does not.

Nothing is driven there and no time passes: what was under way stands where the bay was served last. Where the
central server has not heard all of it, what telling it brings to light is recorded as at any bay: the number
of a walk-in, a contradiction. No board shows such a bay, so the log says it, too.
"""

import asyncio
from dataclasses import replace

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.evolve import REDUCER_VERSION, evolve_all
from bayd.core.instant import AliveMark, Instant
from bayd.core.model import Bay
from bayd.core.restart import left_out
from bayd.core.rules import Rules
from bayd.journal import Batch, Journal
from bayd.journal.event_codec import restore_bay
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.requests import Outcome


class RetiredBay:
    def __init__(
        self, number: str, *, journal: Journal[e.Event], clock: Clock, randomness: Randomness, log: Log
    ) -> None:
        self.bay = Bay(number)
        self.last_seq = 0  # as a BayTask's
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._turn = asyncio.Lock()

    @property
    def number(self) -> str:
        return self.bay.number

    async def load(self) -> None:
        """The state that the journal tells. Raises JournalUnavailableError."""
        loaded = await self._journal.load(self.bay.number, REDUCER_VERSION)
        self.bay, self.last_seq = restore_bay(self.bay.number, loaded)

    def left_out_batch(self, last_served: AliveMark, now: Instant) -> Batch[e.Event] | None:
        """None: it has stood still before, or nothing is under way."""
        events = left_out(self.bay, last_served)
        return Batch(self.number, self._randomness.new_id(), events, now) if events else None

    async def submit(self, fact: i.Input) -> Outcome:
        """Raises NotWrittenError and JournalUnavailableError."""
        async with self._turn:
            await self.load()  # the journal may hold what it could not tell before
            now = self._clock.now()
            left = self.bay.left
            its_time = now if left is None else replace(now, boot_ms=left.boot_ms)
            decision = decide(self.bay, fact, its_time, Rules())
            if decision.events:
                batch = Batch(self.bay.number, self._randomness.new_id(), decision.events, now)
                seqs = await self._journal.append(batch)
                self.bay, self.last_seq = evolve_all(self.bay, decision.events), seqs[-1]
                if isinstance(fact, i.ServerContradicted):
                    self._log.warning(
                        "retired_bay_contradicted",
                        bay=self.bay.number,
                        session=fact.session_id,
                        code=fact.code,
                        reason=fact.text,
                    )
            return Outcome(decision, self.bay, None)
