"""Sold at the bay, for cash, whether or not the central server is there."""

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import EndReason, OwnExtension, Payment, Phase, StartedBy
from tests.core.playbook import STAFF, Playbook, booked, playing, seen

WALK_IN = i.WalkIn("w1", 30, 500, STAFF, "paid in cash")


def test_a_walk_in_is_sold_and_starts() -> None:
    book = Playbook()
    book.at(5).when(WALK_IN).then(
        seen(e.WalkInSold, session_id="w1", minutes=30, amount=500, by="anna"),
        seen(e.SessionStarted, session_id="w1", started_by=StartedBy.STAFF, ends_at_ms=1_805_000),
    )
    assert book.bay.phase is Phase.PLAYING
    assert book.bay.bookings == ()


def test_a_walk_in_may_follow_in_the_grace_of_the_session_before() -> None:
    book = playing(1)
    book.at(60).when(i.TimeCame()).when(WALK_IN).then(e.WalkInSold, e.SessionStarted)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (i.WalkIn("w1", 30, 500, STAFF, " "), "reason_missing"),
        (i.WalkIn("w1", 0, 500, STAFF, "cash"), "minutes_invalid"),
        (i.WalkIn("w1", 1441, 500, STAFF, "cash"), "minutes_invalid"),
        (i.WalkIn("w1", 30, -1, STAFF, "cash"), "amount_invalid"),
        (i.WalkIn("w1", 30, 500, STAFF, "later", Payment.ON_ACCOUNT), "payment_invalid"),
        (i.WalkIn("w1", 30, 500, STAFF, "later", Payment.DESK), "payment_invalid"),
    ],
)
def test_a_sale_is_checked(request_: i.WalkIn, code: str) -> None:
    Playbook().when(request_).refused(code)


def test_a_bay_that_is_taken_is_not_sold() -> None:
    Playbook().when(booked("7", 60)).when(WALK_IN).refused("booked")
    playing(60).when(WALK_IN).refused("already_playing")
    Playbook().when(i.Hold(STAFF, "VIP")).when(WALK_IN).refused("held")
    Playbook().when(i.StopService(STAFF, "net torn")).when(WALK_IN).refused("out_of_service")


def test_the_servers_number_is_kept_once() -> None:
    book = Playbook()
    book.when(WALK_IN).when(i.ServerNumbered("w1", "144")).then(e.SessionNumbered)
    book.when(i.ServerNumbered("w1", "144")).then()
    assert book.bay.numbers == {"144": "w1"}


def test_a_booking_that_turns_out_to_be_the_walk_in_is_withdrawn() -> None:
    book = Playbook()
    book.when(WALK_IN).when(booked("144", 30)).then(e.BookingLearned)
    book.when(i.ServerNumbered("w1", "144")).then(
        e.SessionNumbered, seen(e.BookingWithdrawn, session_id="144", reason=EndReason.MOVED)
    )
    assert book.bay.bookings == ()


def test_what_the_server_says_of_it_counts_as_of_any_session() -> None:
    book = Playbook()
    book.when(WALK_IN)
    book.at(10).when(booked("w1", 30)).then()
    book.at(20).when(booked("w1", 30, active=True)).then(e.ServerActivitySeen)
    book.at(30).when(booked("w1", 30, active=True, extended_minutes=15)).then(e.SessionExtended)
    book.at(40).when(booked("w1", 30, released=True)).then(seen(e.SessionEnded, reason=EndReason.RELEASED))


def test_the_end_tells_what_was_added_here() -> None:
    book = playing(60)
    book.when(i.Extend("op1", 15, 1000, STAFF, "a gift"))
    book.when(booked("7", 60, active=True, extended_minutes=45)).then(seen(e.SessionExtended, own=False))
    book.when(i.End(STAFF, "closing")).then(
        seen(e.SessionEnded, own_extensions=(OwnExtension("op1", 15, 1000),))
    )


def test_what_staff_decide_about_a_delivery_is_on_record_and_wants_a_reason() -> None:
    book = Playbook()
    book.when(i.RetryDelivery(17, STAFF, "corrected")).then(seen(e.DeliveryRetried, seq=17, by="anna"))
    book.when(i.DropDelivery(17, STAFF, "entered by hand")).then(seen(e.DeliveryDropped, seq=17))
    book.when(i.RetryDelivery(17, STAFF, "")).refused("reason_missing")
    book.when(i.DropDelivery(17, STAFF, " ")).refused("reason_missing")
    assert book.bay.phase is Phase.FREE
