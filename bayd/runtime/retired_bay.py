"""A bay that the journal knows and the configuration does not.

Nothing is driven there and no time passes: what was under way stands where the bay was served last. What
telling the central server brings to light is recorded as at any bay (the number of a walk-in, a
contradiction), and so is what staff decide about what the bay left open. No board has a row for such a bay:
the log says what was contradicted, and `bayd.wiring.retired_bays` warns of what is open.
"""

from collections.abc import Sequence
from dataclasses import replace

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.instant import AliveMark, Instant
from bayd.core.model import Bay
from bayd.core.restart import left_out
from bayd.core.rules import Rules
from bayd.journal import Batch, Journal
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.bay import BayObserver, BayTask
from bayd.runtime.requests import AnswerMaker, Outcome


class RetiredBay(BayTask):
    """As a `BayTask`, without rules of its own."""

    def __init__(
        self,
        number: str,
        *,
        journal: Journal[e.Event],
        clock: Clock,
        randomness: Randomness,
        observers: Sequence[BayObserver],
        log: Log,
    ) -> None:
        super().__init__(
            number,
            Rules(),
            journal=journal,
            clock=clock,
            randomness=randomness,
            observers=observers,
            log=log,
        )

    def restart_batch(self, mark: AliveMark, now: Instant, _boot_id: str) -> Batch[e.Event] | None:
        """That the bay was served until `mark`; None: it has stood still before, or nothing is under way."""
        events = left_out(self.bay, mark)
        return Batch(self.number, self._randomness.new_id(), events, now) if events else None

    async def submit(self, request: i.Input, make_answer: AnswerMaker | None = None) -> Outcome:
        outcome = await super().submit(request, make_answer)
        if isinstance(request, i.ServerContradicted) and outcome.decision.events:
            self._log.warning(
                "retired_bay_contradicted",
                bay=self.number,
                session=request.session_id,
                code=request.code,
                reason=request.text,
            )
        return outcome

    def _decide(self, bay: Bay, request: i.Input, now: Instant) -> Decision:
        left = self.bay.left
        return super()._decide(bay, request, now if left is None else replace(now, boot_ms=left.boot_ms))

    def _next_wake_ms(self) -> int | None:
        return None
