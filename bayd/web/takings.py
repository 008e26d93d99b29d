"""What staff at the bays have taken, told from the journal: for who counts a drawer. Pure.

What the desk settles, or stands on account, is in nobody's drawer here; what is paid later counts then.
"""

from collections.abc import Iterable, Mapping

from bayd.core import events as e
from bayd.core.extensions import is_taken_here
from bayd.core.model import Payment


def takings_of(happened: Iterable[e.Event]) -> Mapping[Payment, Mapping[str, int]]:
    """Way of payment -> who took it -> the sum, in the server's unit."""
    sums: dict[Payment, dict[str, int]] = {}
    for event in happened:
        match event:
            case e.WalkInSold() | e.SessionExtended() | e.DueSettled():
                if event.amount and is_taken_here(event.payment):
                    of = sums.setdefault(event.payment, {})
                    of[event.by] = of.get(event.by, 0) + event.amount
            case _:
                pass
    return {payment: sums[payment] for payment in Payment if payment in sums}
