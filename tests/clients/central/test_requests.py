"""The strict writer: the siblings' exact spellings, no nulls, and no value in a complaint."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bayd.clients.central import BayStatus, Discount, NewSession, Secret, ServerAntenna, ServerGame
from bayd.clients.central import requests as calls
from bayd.clients.central.requests import Request

from .peers import NAME, PHONE, PIN, secret


def _new(**changes: Any) -> NewSession:
    fields: dict[str, Any] = {
        "bay_number": "104",
        "duration_min": 60,
        "amount": 500,
        "customer_name": NAME,
        "phone_number": Secret(PHONE),
    }
    return NewSession(**{**fields, **changes})


@pytest.mark.parametrize(
    ("request_", "line", "body"),
    [
        (calls.bays(), "GET /bay", None),
        (
            calls.bays(
                floor="1", status="Ask Extension", fill_balls=True, bay_number="10/3", bill_generate=False
            ),
            "GET /bay?floorNo=1&status=Ask%20Extension&fillBalls=true&bayNumber=10%2F3&billGenerate=false",
            None,
        ),
        (
            calls.set_bay_status("104", BayStatus.ON_HOLD),
            "PATCH /bay",
            {"number": "104", "status": "Bay on Hold"},
        ),
        (calls.bay_of_screen("f80d7654/../b9"), "GET /bay/screen/f80d7654%2F..%2Fb9", None),
        (calls.bind_screen("abc", "105"), "PATCH /bay/screenId", {"screenId": "abc", "number": "105"}),
        (
            calls.session_bay_change("104", "103", Secret("101010"), 10),
            "POST /bay/sessionBayChange",
            {"currentBay": "104", "newBay": "103", "adminPassword": "101010", "newDuration": "10"},
        ),
        (
            calls.post_bay_state("104", {"phase": "playing"}, 7),
            "POST /bay/state",
            {"bay": "104", "state": {"phase": "playing"}, "seq": 7},
        ),
        (calls.games(), "GET /game", None),
        (calls.time_intervals(), "GET /timeIntervals", None),
        (calls.antenna_pairs(), "GET /reader/antennaPairs", None),
        (calls.antenna_pairs("test10"), "GET /reader/antennaPairs?readerId=test10", None),
        (calls.system_variable("Game Extention"), "GET /systemVariable?name=Game%20Extention", None),
        (calls.scores(1), "GET /score?gameId=1", None),
        (
            calls.post_score(ServerGame(1, "GAME 1", 0), ServerAntenna("Reader2_1", 1, power="30"), 2),
            "POST /score",
            [
                {
                    "game": {"id": 1, "name": "GAME 1", "ballsLimit": 0},
                    "pitAntenna": {"name": "Reader2_1", "port": 1, "power": "30"},
                    "score": 2,
                }
            ],
        ),
        (calls.transactions(6), "GET /transaction/session/6", None),
        (calls.pending_dues("103"), "GET /transaction/pendingDue/bayNumber/103", None),
        (
            calls.post_due("103", 1000, Discount(Secret("123456"), 200, "test")),
            "POST /transaction",
            {
                "amount": 1000,
                "bayNumber": "103",
                "status": "DUE",
                "isDiscounted": True,
                "discount": {"password": "123456", "type": "fixed", "value": 200, "reason": "test"},
            },
        ),
        (
            calls.mark_paid(24, Secret("101010"), "hello"),
            "PATCH /transaction",
            {
                "transcationId": 24,
                "status": "PAID",
                "paymentType": {"type": "CASH"},
                "adminPassword": "101010",
                "reason": "hello",
            },
        ),
        (calls.login(Secret(PHONE), Secret(PIN)), "POST /auth/login", {"phoneNumber": PHONE, "pin": PIN}),
        (calls.refresh_token(), "GET /auth/refresh-token", None),
    ],
    ids=lambda value: value.operation if isinstance(value, Request) else "",
)
def test_the_siblings_documented_spellings(request_: Request, line: str, body: object) -> None:
    assert f"{request_.method} {request_.path}" == line
    assert (None if request_.body is None else json.loads(request_.body)) == body
    assert b"null" not in (request_.body or b"")


def test_a_booking_with_a_discount_has_all_of_it() -> None:
    request = calls.create_session(_new(discount=Discount(Secret("123456"), 200, "hi")))
    assert request.body is not None
    body = json.loads(request.body)
    assert body["isDiscounted"] is True
    assert body["discount"] == {"password": "123456", "type": "fixed", "value": 200, "reason": "hi"}


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: calls.verify("104", Secret("12345")), "pin"),
        (lambda: calls.verify("104", Secret("1234567")), "pin"),
        (lambda: calls.verify("104", Secret("12345\n")), "pin"),
        (lambda: calls.verify("104", Secret("１２３４５６")), "pin"),
        (lambda: calls.verify("", secret()), "bay_number"),
        (lambda: calls.verify("1\n2", secret()), "bay_number"),
        (lambda: calls.create_session(_new(duration_min=0)), "duration_min"),
        (lambda: calls.create_session(_new(duration_min=1441)), "duration_min"),
        (lambda: calls.create_session(_new(duration_min=True)), "duration_min"),
        (lambda: calls.create_session(_new(duration_min=7.5)), "duration_min"),
        (lambda: calls.create_session(_new(amount=-1)), "amount"),
        (lambda: calls.create_session(_new(customer_name="")), "customer_name"),
        (lambda: calls.create_session(_new(phone_number=Secret(" "))), "phone_number"),
        (lambda: calls.list_sessions(0, 10), "page"),
        (lambda: calls.get_session(0), "session_id"),
        (lambda: calls.end_session(1, idempotency_key="a b"), "idempotency_key"),
        (lambda: calls.end_session(1, idempotency_key="a\r\nb"), "idempotency_key"),
    ],
)
def test_a_wrong_argument_is_named_and_not_repeated(make: Callable[[], Request], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        make()
    assert not any(value in str(caught.value) for value in ("12345", "7.5", "1441"))


def test_a_request_does_not_show_what_is_in_it() -> None:
    requests = [
        calls.create_session(_new()),
        calls.verify("104", secret()),
        calls.login(Secret(PHONE), secret()),
    ]
    for request in requests:
        assert not any(value in repr(request) for value in (PIN, PHONE, NAME))
        assert not any(value in request.path for value in (PIN, PHONE, NAME))
    assert not any(value in repr(_new()) for value in (PHONE, NAME))
