"""More time: what the screen offers, what staff make of a request, and what is owed for it."""

from dataclasses import replace

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.extensions import offers
from bayd.core.model import Offer, Payment, Tariff
from bayd.core.rules import ExtensionPolicy, Rules
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing, seen

PRICED = Rules(extension_minutes=(15, 30), extension_price=10)
ON_ACCOUNT = Rules(extension=ExtensionPolicy.ON_ACCOUNT, extension_minutes=(15, 30), extension_price=10)


def press(minutes: int = 15, op_id: str = "op1") -> i.Extend:
    """From a screen that shows no price."""
    return i.Extend(op_id, minutes, None, SCREEN, "")


def agreed(book: Playbook, minutes: int = 15, op_id: str = "op1") -> i.Extend:
    """From a screen that shows what is offered now."""
    offer = next(offer for offer in offers(book.bay, book.rules) if offer.minutes == minutes)
    return replace(press(minutes, op_id), shown_amount=offer.amount, shown_at_once=offer.at_once)


def approve(payment: Payment = Payment.CASH, amount: int | None = None) -> i.ApproveExtension:
    return i.ApproveExtension(STAFF, "asked at the bay", payment, amount)


def left_s(book: Playbook) -> float:
    assert book.bay.session is not None
    return book.bay.session.remaining_ms(book.now_ms) / 1000


def owed(book: Playbook) -> list[tuple[str, int]]:
    return [(due.due_id, due.amount) for due in book.bay.dues]


def test_a_request_that_staff_approve_is_time_at_the_price_that_was_shown() -> None:
    book = playing(60, rules=PRICED)
    book.at(600).when(press(30)).then(seen(e.ExtensionAsked, minutes=30, amount=300))
    assert left_s(book) == 3000
    book.at(660).when(approve()).then(
        seen(e.SessionExtended, op_id="op1", own=True, minutes=30, amount=300, payment=Payment.CASH)
    )
    assert left_s(book) == 2940 + 1800
    assert owed(book) == []
    book.when(approve()).refused("nothing_asked")


def test_without_a_price_staff_have_to_say_one() -> None:
    book = playing(60, rules=Rules(extension=ExtensionPolicy.ON_ACCOUNT))
    book.when(press(15)).then(seen(e.ExtensionAsked, amount=None))
    book.when(approve()).refused("amount_missing")
    book.when(approve(amount=0)).then(seen(e.SessionExtended, amount=0))


def test_a_request_that_staff_decline_shows_why_and_may_be_asked_again() -> None:
    book = playing(60, rules=PRICED)
    book.when(press())
    book.when(i.DeclineExtension(STAFF, " ")).refused("reason_missing")
    book.when(i.DeclineExtension(STAFF, "we close")).then(seen(e.ExtensionDeclined, reason="we close"))
    assert book.bay.session is not None
    assert book.bay.session.extension_declined == "we close"
    book.when(press(op_id="op2")).then(e.ExtensionAsked)
    assert book.bay.session.extension_declined == ""


def test_a_request_lapses_with_its_session() -> None:
    book = playing(60, rules=PRICED)
    book.at(3590).when(press()).then(e.WarningGiven, e.ExtensionAsked)
    book.at(3600).when(approve()).refused("nothing_asked", e.SessionEnded)
    assert owed(book) == []


def test_an_act_for_one_session_never_answers_the_next_ones_request() -> None:
    book = playing(60, rules=PRICED)
    book.when(press())
    late = i.ApproveExtension(STAFF, "", Payment.CASH, session_id="6")
    book.when(late).refused("session_over")
    book.when(i.DeclineExtension(STAFF, "no", session_id="6")).refused("session_over")


def test_an_answer_to_one_request_never_answers_the_next_of_the_same_session() -> None:
    book = playing(60, rules=PRICED)
    book.when(press()).when(i.DeclineExtension(STAFF, "we close", "7", "op1")).when(press(30, "op2"))
    book.when(i.ApproveExtension(STAFF, "", Payment.CASH, None, "7", "op1")).refused("request_changed")
    book.when(i.DeclineExtension(STAFF, "no", "7", "op1")).refused("request_changed")
    book.when(i.ApproveExtension(STAFF, "", Payment.CASH, None, "7", "op2")).then(
        seen(e.SessionExtended, op_id="op2", minutes=30)
    )
    book.when(i.ApproveExtension(STAFF, "", Payment.CASH, None, "7", "op2")).refused("nothing_asked")


def test_a_second_request_waits_for_the_answer_to_the_first() -> None:
    playing(60, rules=PRICED).when(press()).when(press(op_id="op2")).refused("already_asked")


def test_on_account_is_granted_at_once_and_owed() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.at(60).when(agreed(book)).then(
        seen(e.SessionExtended, minutes=15, amount=150, payment=Payment.ON_ACCOUNT)
    )
    assert left_s(book) == 3540 + 900
    assert owed(book) == [("op1", 150)]


def test_a_bay_in_arrears_asks_until_the_due_is_settled() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.when(agreed(book))
    assert [offer.at_once for offer in offers(book.bay, book.rules)] == [False, False]
    book.when(agreed(book, 30, "op2")).then(e.ExtensionAsked)
    book.when(approve(Payment.ON_ACCOUNT)).then(seen(e.SessionExtended, payment=Payment.ON_ACCOUNT))
    assert owed(book) == [("op1", 150), ("op2", 300)]
    for due_id in ("op1", "op2"):
        book.when(i.SettleDue(due_id, Payment.CASH, STAFF, "paid at the bay")).then(e.DueSettled)
    book.when(agreed(book, 15, "op3")).then(seen(e.SessionExtended, payment=Payment.ON_ACCOUNT))


def test_arrears_at_the_server_count_too() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.when(i.ArrearsSeen(500)).then(seen(e.ArrearsChanged, owed=500))
    book.when(i.ArrearsSeen(500)).then()
    book.when(agreed(book)).then(e.ExtensionAsked)
    book.when(i.ArrearsSeen(0)).then(e.ArrearsChanged)
    assert [offer.at_once for offer in offers(book.bay, book.rules)] == [True, True]


def test_a_due_outlives_its_session_and_is_paid_once() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.when(agreed(book))
    book.when(i.End(STAFF, "left")).then(e.SessionEnded)
    book.when(i.SettleDue("op1", Payment.ON_ACCOUNT, STAFF, "later")).refused("payment_invalid")
    book.when(i.SettleDue("op1", Payment.CARD, STAFF, "")).refused("reason_missing")
    book.when(i.SettleDue("op1", Payment.CARD, STAFF, "at the door")).then(
        seen(e.DueSettled, amount=150, session_id="7", payment=Payment.CARD)
    )
    book.when(i.SettleDue("op1", Payment.CARD, STAFF, "at the door")).refused("nothing_due")


@pytest.mark.parametrize(
    "block", [booked("8", 30, created_s=5), booked("7", 60, active=True, bay_booked=True)]
)
def test_nothing_is_offered_where_somebody_comes_next(block: i.ServerSaid) -> None:
    book = playing(60, rules=ON_ACCOUNT)
    assert len(offers(book.bay, book.rules)) == 2
    book.when(block)
    assert offers(book.bay, book.rules) == ()
    book.when(press()).refused("next_booking")


def test_the_servers_lengths_and_prices_come_before_the_configured_ones() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    tariff = Tariff(intervals=(20, 60), amount=1000, per_minutes=60)
    book.when(i.PricesSeen(tariff)).then(seen(e.TariffChanged, tariff=tariff))
    book.when(i.PricesSeen(tariff)).then()
    assert offers(book.bay, book.rules) == (Offer(20, 334, True), Offer(60, 1000, True))
    book.when(press(15)).refused("minutes_not_offered")
    book.when(agreed(book, 20)).then(seen(e.SessionExtended, amount=334))


@pytest.mark.parametrize("rules", [ON_ACCOUNT, PRICED], ids=["on-account", "asked"])
def test_a_price_that_the_screen_does_not_show_any_more_is_nobodys(rules: Rules) -> None:
    book = playing(60, rules=rules)
    shown = offers(book.bay, book.rules)[0]
    book.when(i.PricesSeen(Tariff(intervals=(15,), amount=1000, per_minutes=15)))
    book.when(replace(press(15), shown_amount=shown.amount)).refused("price_changed")
    book.when(agreed(book))
    (taken,) = book.decision.events
    assert isinstance(taken, e.SessionExtended | e.ExtensionAsked)
    assert taken.amount == 1000


def test_a_price_that_the_screen_did_not_show_is_asked_for_and_never_charged() -> None:
    book = playing(60, rules=Rules(extension=ExtensionPolicy.ON_ACCOUNT, extension_minutes=(15,)))
    unpriced = agreed(book)
    book.when(i.PricesSeen(Tariff(intervals=(15,), amount=1000, per_minutes=15)))
    assert offers(book.bay, book.rules) == (Offer(15, 1000, True),)
    book.when(unpriced).then(seen(e.ExtensionAsked, minutes=15, amount=1000))
    assert owed(book) == []


def test_what_the_screen_said_that_staff_are_asked_for_is_never_charged() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.when(i.ArrearsSeen(500))
    to_be_asked = agreed(book)
    book.when(i.ArrearsSeen(0))
    assert offers(book.bay, book.rules)[0] == Offer(15, 150, True)
    book.when(to_be_asked).then(seen(e.ExtensionAsked, amount=150))
    assert owed(book) == []


def test_a_press_that_names_no_price_agrees_to_none() -> None:
    book = playing(60, rules=ON_ACCOUNT)
    book.when(replace(press(15), shown_at_once=True)).then(e.ExtensionAsked)


def test_the_screen_offers_nothing_where_staff_alone_give_time() -> None:
    book = playing(60, rules=Rules(extension=ExtensionPolicy.STAFF_ONLY, extension_price=10))
    assert offers(book.bay, book.rules) == ()
    book.when(press()).refused("staff_only")


def test_what_the_desk_gives_answers_the_request() -> None:
    book = playing(60, rules=PRICED)
    book.when(press(15))
    book.at(5).when(booked("7", 60, active=True, extended_minutes=15)).then(
        seen(e.SessionExtended, own=False)
    )
    book.when(approve()).refused("nothing_asked")
