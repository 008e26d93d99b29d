"""PINs that the server may have taken without our knowing what became of it, until they are typed again.

A server may take a PIN once only: when its yes got lost it says no to the same PIN from then on. Whoever
types that PIN again is no guesser. Kept for minutes, as what runs later the desk may have started, and in
memory alone, as HMACs under a key that ends with the process.
"""

import asyncio
from dataclasses import dataclass

from bayd.clients.central import Secret
from bayd.core.bookings import started_elsewhere
from bayd.core.model import Bay
from bayd.reconcile.counted_pins import mark_of

_KEPT = 8  # of a bay, the newest
_KEPT_S = 300.0  # the guest stands there, and types it again


@dataclass(frozen=True, slots=True)
class Unsettled:
    sessions: tuple[str, ...]  # one of these it may have started at the server
    until: float  # of the loop's clock
    confirmed: bool = False  # the server said yes, and did not show the session


class UnsettledPins:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._kept: dict[str, dict[bytes, Unsettled]] = {}

    def remember(self, bay: Bay, pin: Secret) -> None:
        """It was sent, and no answer came."""
        running = started_elsewhere(bay)
        waiting = tuple(b.session_id for b in bay.bookings if b.session_id not in running)
        # What runs by now may have been started the first time.
        self._keep(bay, pin, self.find(bay, pin) or Unsettled(waiting, _until()))

    def confirm(self, bay: Bay, pin: Secret, session_id: str | None) -> None:
        """The server said yes, and its session could not be read; None: it named none."""
        waiting = tuple(b.session_id for b in bay.bookings)
        sessions = waiting if session_id is None else (session_id,)
        self._keep(bay, pin, Unsettled(sessions, _until(), confirmed=True))

    def find(self, bay: Bay, pin: Secret) -> Unsettled | None:
        return self._of(bay).get(mark_of(self._key, bay, pin))

    def has_any(self, bay: Bay) -> bool:
        """What has become active there, one of them may have started."""
        return bool(self._of(bay))

    def is_alone(self, bay: Bay) -> bool:
        """No two PINs of this bay are unsettled: what runs now, that one has started."""
        return len(self._of(bay)) < 2

    def settle(self, bay: Bay, pin: Secret) -> None:
        """What became of it is known."""
        self._of(bay).pop(mark_of(self._key, bay, pin), None)

    def _keep(self, bay: Bay, pin: Secret, unsettled: Unsettled) -> None:
        kept = self._of(bay)
        mark = mark_of(self._key, bay, pin)
        kept.pop(mark, None)
        kept[mark] = unsettled
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]

    def _of(self, bay: Bay) -> dict[bytes, Unsettled]:
        """Without the old ones, and those whose sessions have started or are over."""
        now = asyncio.get_running_loop().time()
        playing = None if bay.session is None else bay.session.session_id
        kept = self._kept.setdefault(bay.number, {})
        for mark, unsettled in list(kept.items()):
            open_ones = [
                session_id
                for session_id in unsettled.sessions
                if bay.find_booking(session_id) is not None
                or (unsettled.confirmed and session_id != playing and session_id not in bay.ended_ids)
            ]
            if not open_ones or now >= unsettled.until:
                del kept[mark]
        return kept


def _until() -> float:
    return asyncio.get_running_loop().time() + _KEPT_S
