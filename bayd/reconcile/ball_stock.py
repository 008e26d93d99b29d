"""What is left in a machine that several bays share, from what each of them knows.

A refill is told at one bay, becomes durable there, and is then told to all others, under the same id; each
counts what it had since. What came out at another bay in that moment is lost to the stock, a few balls. Of a
session that moved to a bay of another machine the unknown balls are settled there: what stayed in this one is
put back.
"""

from collections.abc import Iterator

from bayd.core import inputs as i
from bayd.core.model import Bay, PutBack, Stock


class BallStock:
    """One machine's."""

    def __init__(self, dispenser: str, bays: tuple[str, ...]) -> None:
        self._dispenser = dispenser
        self._bays = bays
        self._stocks: dict[str, Stock | None] = {}
        self._put_back: dict[str, tuple[PutBack, ...]] = {}  # by bays of other machines
        self._refill: Stock | None = None  # the newest

    @property
    def left(self) -> int | None:
        """None: nobody said how many balls there were."""
        if self._refill is None:
            return None
        refill = self._refill
        put_back = (back for backs in self._put_back.values() for back in backs)
        back = sum(one.balls for one in put_back if one.refill_id == refill.refill_id)
        return refill.balls - sum(stock.paid for stock in self._of_this_refill()) + back

    def note(self, bay: Bay) -> tuple[int, bool]:
        """A bay has changed: how many balls it had since, and whether somebody filled the machine.

        Of a bay of another machine only what it puts back is of interest here.
        """
        if bay.put_back:
            self._put_back[bay.number] = bay.put_back
        if bay.number not in self._bays:
            return 0, False
        seen_before, before = bay.number in self._stocks, self._stocks.get(bay.number)
        stock = bay.stock if bay.stock is not None and bay.stock.dispenser == self._dispenser else None
        self._stocks[bay.number] = stock
        if stock is None:
            return 0, False
        if before is not None and before.refill_id == stock.refill_id:
            return max(0, stock.paid - before.paid), False
        known = self._refill
        if known is not None and known.refill_id == stock.refill_id:
            return 0, False
        # What changes while we look is news; of what was there at the start the later one is.
        if known is None or seen_before or stock.wall_ms > known.wall_ms:
            self._refill = stock
            return 0, seen_before
        return 0, False

    def not_yet_told(self) -> Iterator[tuple[str, i.Refill]]:
        refill = self._refill
        if refill is None:
            return
        for number in self._bays:
            stock = self._stocks.get(number)
            if number in self._stocks and (stock is None or stock.refill_id != refill.refill_id):
                yield number, i.Refill(refill.refill_id, refill.balls, i.SYSTEM)

    def _of_this_refill(self) -> Iterator[Stock]:
        for stock in self._stocks.values():
            if stock is not None and self._refill is not None and stock.refill_id == self._refill.refill_id:
                yield stock
