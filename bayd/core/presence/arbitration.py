"""Whose ball is it, when several bays hear it?

The strongest read of each bay is compared. A bay more than the hysteresis below the strongest is a
neighbour that overhears; among the rest the one that heard the ball first keeps it. With two bays
that is: the first keeps it unless the other is stronger by more than the hysteresis; with more, the
answer does not depend on the order in which they are compared.

Only confirmed bays can win. One that was heard loudly but only once, on a family that wants two
reads, may be the ball's own bay between two visits of the reader: it is worth waiting for. A bay whose
reader reports no dBm can be compared with nobody: it is never pushed aside, and pushes nobody aside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contender:
    """What one bay has heard of one ball."""

    bay: str
    first_ms: int
    last_ms: int
    confirmed: bool
    rssi_dbm: int | None  # the strongest
    rssi_raw: int


def find_winner(contenders: Sequence[Contender], hysteresis_db: int) -> Contender | None:
    """The bay to credit; None while nobody is confirmed. Of equally early ones, the first listed."""
    confirmed = [contender for contender in contenders if contender.confirmed]
    heard_dbm = [contender.rssi_dbm for contender in confirmed if contender.rssi_dbm is not None]
    floor_dbm = max(heard_dbm) - hysteresis_db if heard_dbm else 0
    near = [each for each in confirmed if each.rssi_dbm is None or each.rssi_dbm >= floor_dbm]
    return min(near, key=lambda contender: contender.first_ms, default=None)


def worth_waiting_for(
    contenders: Iterable[Contender], winner: Contender, hysteresis_db: int
) -> list[Contender]:
    """The unconfirmed bays that would take the ball from the winner."""
    return [
        contender
        for contender in contenders
        if not contender.confirmed
        and contender.rssi_dbm is not None
        and winner.rssi_dbm is not None
        and contender.rssi_dbm - winner.rssi_dbm > hysteresis_db
    ]
