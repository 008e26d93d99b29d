"""Which bays wait at one machine, and whose turn is next. Pure.

What the device may still be working on comes first, nothing else may move its counters; then what has begun,
and then the order of the presses, which also outlives a restart and a reboot.
"""

from bayd.core.model import Payout


class PayoutQueue:
    """The open payouts of one machine, one a bay at most."""

    def __init__(self) -> None:
        self._payouts: dict[str, Payout] = {}
        self._known_since: dict[str, float] = {}
        self._order: list[str] = []

    def note(self, number: str, payout: Payout | None, now_s: float) -> None:
        """What the bay wants now."""
        before = self._payouts.get(number)
        if payout is None:
            if before is not None:
                del self._payouts[number], self._known_since[number]
                self._order.remove(number)
            return
        if before is None:
            self._order.append(number)
        if before is None or before.payout_id != payout.payout_id:
            self._known_since[number] = now_s
        self._payouts[number] = payout
        self._order.sort(key=self._turn)

    @property
    def bays(self) -> tuple[str, ...]:
        """The one whose turn it is first."""
        return tuple(self._order)

    @property
    def next(self) -> str | None:
        return self._order[0] if self._order else None

    def place(self, number: str) -> int:
        """How many payouts come before that of this bay, or would if it pressed now."""
        return self._order.index(number) if number in self._order else len(self._order)

    def payouts(self) -> dict[str, Payout]:
        """By bay, as they are at this moment."""
        return dict(self._payouts)

    def known_since(self, number: str) -> float | None:
        """When the open payout of this bay was first seen; None: it has none."""
        return self._known_since.get(number)

    def _turn(self, number: str) -> tuple[bool, bool, int]:
        payout = self._payouts[number]
        return (not is_under_way(payout), payout.part is None, payout.pressed_wall_ms)


def is_under_way(payout: Payout | None) -> bool:
    """A part was marked and not every ball of it was seen: only the device knows."""
    part = None if payout is None else payout.part
    return payout is not None and part is not None and payout.paid < part.paid_before + part.balls
