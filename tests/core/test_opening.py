"""Closed: nobody begins by PIN, whoever plays plays on, staff may."""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.extensions import offers
from bayd.core.model import Phase
from bayd.core.opening import is_open
from bayd.core.rules import OpenSpan
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing


def test_a_session_that_plays_when_the_range_closes_is_played_to_its_end() -> None:
    book = playing(60)
    book.at(60).when(booked("8", 30, created_s=5, cancelled=True)).when(i.OpeningSeen(False)).then(
        e.RangeClosed
    )
    book.when(i.OpeningSeen(False)).then()
    assert offers(book.bay, book.rules) == ()
    book.when(i.Extend("op1", 15, None, SCREEN, "")).refused("closed")
    book.when(i.Extend("op2", 15, 0, STAFF, "they may")).then(e.SessionExtended)
    book.when(i.Pause(STAFF, "phone")).when(i.PinEntered("a", None)).then(e.PinAttempted)
    assert book.bay.phase is Phase.PAUSED


def test_closed_no_pin_opens_a_bay_and_staff_may() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.OpeningSeen(False)).when(i.PinEntered("a", None)).refused("closed")
    assert book.bay.pad.failures == 0
    book.when(i.OpeningSeen(True)).then(e.RangeOpened)
    book.when(i.PinEntered("a", None)).then(e.PinAttempted)
    late = Playbook()
    late.when(booked("7", 60)).when(i.OpeningSeen(False))
    late.when(i.StartPlay(STAFF, "a late guest")).then(e.SessionStarted)


def test_hours_hold_to_the_minute_and_without_any_it_never_closes() -> None:
    spans = (OpenSpan(0, 480, 1320), OpenSpan(0, 1380, 1440), OpenSpan(1, 0, 60))
    asked = [(0, 479), (0, 480), (0, 1319), (0, 1320), (0, 1439), (1, 0), (1, 60), (2, 600)]
    assert [is_open(spans, *at) for at in asked] == [False, True, True, False, True, True, False, False]
    assert is_open((), 3, 200)
