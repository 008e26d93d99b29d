"""What gives way on a nearly full disk: measurements and choices, never money, play or payouts."""

from typing import get_args

from bayd.core import events as e
from bayd.core.deferrable import DEFERRABLE, is_deferrable
from bayd.core.model import Game

MONEY_AND_PLAY = {
    e.WalkInSold, e.SessionExtended, e.DueSettled, e.SessionNumbered, e.ExtensionAsked, e.ExtensionDeclined,
    e.BookingLearned, e.BookingWithdrawn, e.PinAttempted, e.PinAccepted, e.PinRefused, e.SessionStarted,
    e.SessionPaused, e.SessionResumed, e.SessionEnded, e.SessionMovedAway, e.SessionMovedIn,
    e.PayoutRequested, e.PayoutMarked, e.BallsPaid, e.PayoutClosed, e.UnknownSettled, e.IntentExpired,
    e.DeliveryRetried, e.DeliveryDropped, e.OutageSeen, e.ServerActivitySeen,
}  # fmt: skip


def test_what_gives_way_is_neither_money_nor_play() -> None:
    known = set(get_args(e.Event))
    assert set(DEFERRABLE) <= known
    assert known >= MONEY_AND_PLAY
    assert MONEY_AND_PLAY.isdisjoint(DEFERRABLE)


def test_a_game_gives_way_and_an_end_does_not() -> None:
    assert is_deferrable(e.GameSelected("7", Game(2, "GAME 2", 30), own=True))
    assert not is_deferrable(e.DeliveryDropped(1, "anna", "settled at the desk"))
