"""When each antenna port was listened to, and for how long it should have been and was not.

The end of a round is the proof that a port was listened to. Between two of them lies a revisit, which is no
fault, unless it is longer than the reader's own watchdog would allow: then nobody listened meanwhile.

*Blind time* of a port: while its bay plays, the time from the end of the last round that covered the port -
or from when it was first to be read, if none did since - to the end of the next round that does. Such a gap
counts whole as soon as it is longer than `blind_after_ms`, and not at all below. A gap that is not over yet
counts up to now; one that play ends, up to the end of play.

*Deaf time* is what presence must not take for an absence: any gap without a proof, whether or not somebody
played. A tag that is heard proves it as well, and before the round ends: the first tag after a gap must
already find the ball that lay there all the time.

Pure: `now_ms` is a parameter.
"""

from collections import deque
from collections.abc import Iterable

from bayd.core.presence import PresenceRules

_REVISITS_KEPT = 16


def presence_rules(revisits_ms: Iterable[int], recount_after_s: int) -> PresenceRules:
    """The defaults, widened where a full round over the ports of a reader is slower than they assume.

    `revisits_ms`: the longest round of each reader. The ball's own bay must be asked once after a neighbour
    was, a second read may come with the next visit, and four visits in a row without a read are an absence.
    """
    plain, revisit_ms = PresenceRules(), max(revisits_ms, default=0)
    confirm_ms = max(plain.confirm_within_ms, revisit_ms * 5 // 4)
    arbitration_ms = max(plain.arbitration_ms, revisit_ms)
    absent_ms = max(plain.absent_after_ms, revisit_ms * 4)
    return PresenceRules(
        confirm_within_ms=confirm_ms,
        arbitration_ms=arbitration_ms,
        absent_after_ms=absent_ms,
        recount_after_s=max(recount_after_s, -(-absent_ms // 1_000)),
    )


class PortWatch:
    """One antenna port."""

    __slots__ = ("_blind_after_ms", "_blind_ms", "_proof_ms", "_revisits_ms", "_since_ms", "_visited")

    def __init__(self, blind_after_ms: int, now_ms: int) -> None:
        self._blind_after_ms = blind_after_ms
        self._blind_ms = 0  # gaps that are over
        self._since_ms: int | None = None  # the last round's end, or when it was first to be read
        self._visited = False  # `_since_ms` is a round's end
        self._proof_ms = now_ms
        self._revisits_ms: deque[int] = deque(maxlen=_REVISITS_KEPT)

    def allow(self, blind_after_ms: int) -> None:
        """How long a round may take from now on."""
        self._blind_after_ms = blind_after_ms

    @property
    def wanted(self) -> bool:
        return self._since_ms is not None

    @property
    def revisit_ms(self) -> int | None:
        """The longest of the last revisits; None: not visited twice since it is wanted."""
        return max(self._revisits_ms, default=None)

    def want(self, now_ms: int) -> None:
        """The port is to be read from now on."""
        if self._since_ms is None:
            self._since_ms = now_ms
            self._visited = False
            self._revisits_ms.clear()

    def rest(self, now_ms: int) -> None:
        """It is no longer to be read."""
        self._blind_ms = self.blind_ms(now_ms)
        self._since_ms = None

    def move(self, now_ms: int) -> None:
        """It belongs to another place: what it heard until now proves nothing there."""
        self.rest(now_ms)
        self._proof_ms = now_ms

    def is_blind(self, now_ms: int) -> bool:
        return self._since_ms is not None and now_ms - self._since_ms > self._blind_after_ms

    def blind_ms(self, now_ms: int) -> int:
        """Since the start of the daemon."""
        if self._since_ms is None or not self.is_blind(now_ms):
            return self._blind_ms
        return self._blind_ms + now_ms - self._since_ms

    def round_ended(self, now_ms: int) -> None:
        """The port was listened to once more."""
        if self._since_ms is None:
            return  # the last round of a plan that was given up
        if self.is_blind(now_ms):
            self._blind_ms += now_ms - self._since_ms
            self._revisits_ms.clear()
        elif self._visited:
            self._revisits_ms.append(now_ms - self._since_ms)
        self._since_ms = now_ms
        self._visited = True

    def proved(self, now_ms: int) -> int | None:
        """Somebody listens: answers since when nobody did, if that is long enough to matter."""
        since_ms, self._proof_ms = self._proof_ms, now_ms
        return since_ms if now_ms - since_ms > self._blind_after_ms else None
