"""The bay's status at the central server, by name: what staff see at the desk.

Written on our own transitions only, and over our own word only: a status that staff set there stays until
they take it back. What we wrote last is kept with the journal's calls, so that neither a restart nor an
outage turns into a transition, or hides one.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from bayd.clients.central import BayStatus, CapabilityMissing, CentralClient
from bayd.core.events import Event
from bayd.core.model import Phase
from bayd.journal import Call, CallState, Journal
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.latest import LatestValues
from bayd.runtime.range import Range

SINK = "central-status"
_REST_S = 0.2

STATUS_OF: Mapping[Phase, BayStatus] = {
    Phase.FREE: BayStatus.AVAILABLE,
    Phase.BOOKED: BayStatus.AVAILABLE,
    Phase.PLAYING: BayStatus.ONGOING,
    Phase.PAUSED: BayStatus.ONGOING,
    Phase.GRACE: BayStatus.ONGOING,
    Phase.HELD: BayStatus.ON_HOLD,
    Phase.OUT_OF_SERVICE: BayStatus.NOT_AVAILABLE,
}

# What play itself brings about; anything else, unless it is our own last word, was set by staff.
_OF_PLAY = (BayStatus.AVAILABLE, BayStatus.ONGOING)


class BayStatusPoster(LatestValues):
    """`run` is a root task."""

    def __init__(
        self,
        client: CentralClient,
        journal: Journal[Event],
        bays: Range,
        *,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        super().__init__(bays, rest_s=_REST_S, randomness=randomness, log=log)
        self._client = client
        self._journal = journal
        self._clock = clock

    async def _post(self, number: str) -> None:
        wanted = STATUS_OF[self._bays.get(number).phase]
        call = await self._journal.query(lambda reader: reader.find_call(_op_id(number)))
        if call is None:
            # The first look: what the server shows is not ours to correct.
            call = Call(_op_id(number), SINK, number, "", 0, "status", "{}")
            await self._journal.put_call(call)
            await self._remember(call, handled=wanted, written=None)
            return
        book = json.loads(call.baseline or "{}")
        written = book.get("written")
        if book.get("handled") == wanted:
            return
        shown = await self._shown(number)
        if shown is not None and shown not in (wanted, written, *_OF_PLAY):
            self._log.info("bay_status_left", bay=number, shown=shown, wanted=wanted.value)
            await self._remember(call, handled=wanted, written=written)
            return
        if shown != wanted:
            await self._client.set_bay_status(number, wanted)
        await self._remember(call, handled=wanted, written=wanted)

    async def _shown(self, number: str) -> str | None:
        """None: the server does not tell."""
        try:
            listing = await self._client.bays(bay_number=number)
        except CapabilityMissing:
            return None
        return next((bay.status for bay in listing.items if bay.number == number), None)

    async def _remember(self, call: Call, *, handled: BayStatus, written: str | None) -> None:
        baseline = json.dumps({"handled": handled.value, "written": written})
        now_ms = self._clock.now().wall_ms
        done = replace(call, baseline=baseline, state=CallState.DONE, last_sent_wall_ms=now_ms)
        await self._journal.update_call(done)


def _op_id(number: str) -> str:
    return f"status-{number}"
