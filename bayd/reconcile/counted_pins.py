"""PINs that counted as a try although nobody has called them wrong: the same one again is the same guess.

So a guest who types his PIN five times into a silence is not locked out, and a guesser gains nothing: for as
long as nobody waits or plays here who did not then. Which attempt it was is kept, to be forgiven once the PIN
proves right, or to be one try with that which proves it wrong. In memory alone, as HMACs under a key that
ends with the process: a restart counts it anew.
"""

import hashlib
import hmac
from dataclasses import dataclass

from bayd.clients.central import Secret
from bayd.core.model import Bay

_KEPT = 8  # of a bay, the newest


def mark_of(key: bytes, bay: Bay, pin: Secret) -> bytes:
    """By which a PIN that was typed at a bay is known again, and by nothing else."""
    return hmac.digest(key, f"{bay.number}\0{pin.reveal()}".encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Counted:
    attempt_id: str
    sessions: frozenset[str]  # that it was a guess at


class CountedPins:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._kept: dict[str, dict[bytes, _Counted]] = {}

    def is_counted(self, bay: Bay, pin: Secret) -> bool:
        counted = self._of(bay).get(mark_of(self._key, bay, pin))
        return counted is not None and _sessions(bay) <= counted.sessions

    def remember(self, bay: Bay, pin: Secret, attempt_id: str) -> None:
        kept = self._of(bay)
        mark = mark_of(self._key, bay, pin)
        kept.pop(mark, None)
        kept[mark] = _Counted(attempt_id, _sessions(bay))
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]

    def settle(self, bay: Bay, pin: Secret) -> str | None:
        """Right or wrong, it is known: the attempt that counted for it, if one did."""
        counted = self._of(bay).pop(mark_of(self._key, bay, pin), None)
        return None if counted is None else counted.attempt_id

    def _of(self, bay: Bay) -> dict[bytes, _Counted]:
        return self._kept.setdefault(bay.number, {})


def _sessions(bay: Bay) -> frozenset[str]:
    waiting = frozenset(booking.session_id for booking in bay.bookings)
    return waiting if bay.session is None else waiting | {bay.session.session_id}
