"""From an operator's refusal to an error that says what to do; and nobody's data in it."""

import copy
import json
import time
import traceback

import pytest

from bayd.clients.qod import (
    AmbiguousError,
    ConflictError,
    CreateSession,
    CredentialsError,
    InvalidInputError,
    NotFoundError,
    QodError,
    RefusedError,
    RetryLaterError,
)
from bayd.clients.qod.answers import error_for, token_error_for
from bayd.clients.qod.backoff import parse_http_date
from bayd.clients.qod.dialects import Operation
from bayd.ports import HttpResponse

from .conftest import PHONE, MakeClient
from .peer import SESSION_ID, Answer, Peer

CREATE, GET, DELETE, EXTEND, RETRIEVE = (
    Operation.CREATE,
    Operation.GET,
    Operation.DELETE,
    Operation.EXTEND,
    Operation.RETRIEVE,
)
EVERY = tuple(Operation)
CHANGING = (CREATE, EXTEND)
READING = (GET, DELETE, RETRIEVE)
NAMING = (GET, DELETE, EXTEND)
# status, code, operations → what to do
TABLE: list[tuple[int, str | None, tuple[Operation, ...], type[QodError]]] = [
    (400, "INVALID_ARGUMENT", EVERY, RefusedError),
    (400, "OUT_OF_RANGE", EVERY, RefusedError),
    (400, "INVALID_CREDENTIAL", (CREATE,), RefusedError),
    (400, "INVALID_TOKEN", (CREATE,), RefusedError),
    (400, "INVALID_SINK", (CREATE,), RefusedError),
    (400, "QUALITY_ON_DEMAND.DURATION_OUT_OF_RANGE", (CREATE, EXTEND), RefusedError),
    (401, "UNAUTHENTICATED", EVERY, CredentialsError),
    (403, "PERMISSION_DENIED", EVERY, RefusedError),
    (404, "NOT_FOUND", NAMING, NotFoundError),
    (410, None, NAMING, NotFoundError),
    (404, "NOT_FOUND", (CREATE, RETRIEVE), RefusedError),
    (404, "IDENTIFIER_NOT_FOUND", (CREATE, RETRIEVE), RefusedError),
    (409, "CONFLICT", EVERY, ConflictError),
    (409, "QUALITY_ON_DEMAND.SESSION_EXTENSION_NOT_ALLOWED", (EXTEND,), ConflictError),
    (422, "MISSING_IDENTIFIER", (CREATE, RETRIEVE), RefusedError),
    (422, "UNSUPPORTED_IDENTIFIER", (CREATE, RETRIEVE), RefusedError),
    (422, "UNNECESSARY_IDENTIFIER", (CREATE, RETRIEVE), RefusedError),
    (422, "SERVICE_NOT_APPLICABLE", (CREATE, RETRIEVE), RefusedError),
    (422, "QUALITY_ON_DEMAND.QOS_PROFILE_NOT_APPLICABLE", (CREATE,), RefusedError),
    (429, "QUOTA_EXCEEDED", EVERY, RefusedError),
    (429, "TOO_MANY_REQUESTS", EVERY, RetryLaterError),
    (429, None, EVERY, RetryLaterError),
    (408, None, EVERY, RetryLaterError),
    (503, "UNAVAILABLE", EVERY, RetryLaterError),
    (500, "INTERNAL", CHANGING, AmbiguousError),
    (502, None, CHANGING, AmbiguousError),
    (504, "TIMEOUT", CHANGING, AmbiguousError),
    (520, None, CHANGING, AmbiguousError),
    (500, "INTERNAL", READING, RetryLaterError),
    (502, None, READING, RetryLaterError),
    (504, "TIMEOUT", READING, RetryLaterError),
    (501, "NOT_IMPLEMENTED", EVERY, RefusedError),
    (201, None, CHANGING, AmbiguousError),
    (200, None, READING, RetryLaterError),
    (307, None, EVERY, RefusedError),
    (405, None, EVERY, RefusedError),
    (415, None, EVERY, RefusedError),
]


def answer(status: int, body: object = None, **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def read(operation: Operation, response: HttpResponse, sent: frozenset[str] = frozenset()) -> QodError:
    return error_for(operation, response, x_correlator="tx-1", sent=sent, now_s=1_750_000_000)


@pytest.mark.parametrize(
    ("status", "code", "operation", "kind"),
    [(status, code, operation, kind) for status, code, operations, kind in TABLE for operation in operations],
    ids=lambda value: value.name if isinstance(value, Operation) else None,
)
def test_each_refusal_says_what_to_do(
    status: int, code: str | None, operation: Operation, kind: type[QodError]
) -> None:
    body = {"status": status, "code": code, "message": "as the specification has it"} if code else None
    error = read(operation, answer(status, body))
    assert type(error) is kind
    assert (error.status, error.code, error.x_correlator) == (status, code, "tx-1")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            {"status": 400, "code": "INVALID_ARGUMENT", "message": "Schema validation failed"},
            "INVALID_ARGUMENT",
        ),
        ({"reasonCode": "GENERAL_1004", "systemMessage": "a", "userMessage": "b"}, "GENERAL_1004"),
        ({"code": "GENERAL_1004", "userMessage": "b", "systemMessage": None}, "GENERAL_1004"),
        ({"error": "invalid_request", "error_description": "x"}, "invalid_request"),
        ({"code": 1004, "message": ["no", "text"]}, None),
        ({"code": "two words"}, None),
        ({"code": "15550100"}, None),
        ({"code": "x" * 5000}, None),
        ([], None),
        ("refused", None),
        (b"<html><body>400 Bad Request</body></html>", None),
        (b"\xff\xfe\x00", None),
        (b"[" * 100_000, None),
        (b'{"code": "CONF', None),
        (b"", None),
    ],
)
def test_bodies_of_every_make_are_read(body: object, code: str | None) -> None:
    error = read(CREATE, answer(400, body))
    assert type(error) is RefusedError
    assert error.code == code
    assert len(str(error)) < 500


def test_the_http_status_is_believed_not_the_body() -> None:
    error = read(CREATE, answer(503, {"status": 400, "code": "INVALID_ARGUMENT", "message": "x"}))
    assert (type(error), error.status) == (RetryLaterError, 503)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Sun, 15 Jun 2025 15:07:40 GMT", 60),
        ("Sun, 15 Jun 2025 15:05:40 GMT", 0),
        ("Sun, 15 Jun 2025 15:07:40 -0000", 60),
        ("Sun, 15 Jun 2025 15:07:40", 60),
        ("999999999", 86_400),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_handed_on(status: int, header: str, seconds: float | None) -> None:
    assert read(CREATE, answer(status, retry_after=header)).retry_after_s == seconds


def test_a_date_without_a_zone_is_not_read_in_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert parse_http_date("Sun, 15 Jun 2025 15:06:40 -0000") == 1_750_000_000
        assert parse_http_date("Sun, 15 Jun 2025 15:06:40 GMT") == 1_750_000_000
    finally:
        monkeypatch.undo()
        time.tzset()


def test_errors_tell_status_code_and_correlator() -> None:
    error = read(
        CREATE, answer(409, {"status": 409, "code": "CONFLICT", "message": "Another session exists"})
    )
    assert str(error) == (
        "it conflicts with a session at the operator: Another session exists"
        " (status 409, CONFLICT, x-correlator tx-1)"
    )


def test_an_error_can_be_told_to_another_call() -> None:
    first = read(CREATE, answer(503, retry_after="9"))
    second = first.again(x_correlator="tx-2")
    assert type(second) is type(first)
    assert (second.status, second.retry_after_s, second.x_correlator) == (503, 9, "tx-2")
    local = InvalidInputError("duration", "too long").again(x_correlator="tx-3")
    assert (local.field, str(local)) == ("duration", "duration: too long (x-correlator tx-3)")
    assert str(copy.copy(first)) == str(first)


ECHOES = [
    f"The number {PHONE} is not a subscriber",
    f"msisdn={PHONE.removeprefix('+')};state=0",
    "device 1-555-0100 unknown, +1 (555) 010-0 neither",
    "no session for 203.0.113.77 / 2001:db8:85a3::8a2e:370:7344",
    "prefix 2001:db8::/64, ::ffff:203.0.113.77 and fe80::1",
    "user bay7@operator.example.com is barred",
    "sink https://bay.example.com/hook?token=SeCrEt1 is not reachable",
    "invalid token eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl",
    "Authorization: Bearer abc and Basic dXNlcjpwYXNz",
    "call +1555\u200b0100 or +1555\n0100",
    "fullwidth １５５５０１００",
    "x" * 1580 + f" padding {PHONE}",
]
SECRETS = [
    "5550100",
    "555-0100",
    "555) 010",
    "203.0.113",
    "8a2e:370",
    "fe80",
    "bay7",
    "SeCrEt1",
    "bay.example",
    "eyJ",
    "dXNl",
    "Bearer abc",
    "0100",
    "５５５",
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("name", ["message", "userMessage", "systemMessage", "error_description", "code"])
def test_an_echo_of_a_person_never_reaches_the_error(name: str, echo: str) -> None:
    error = read(GET, answer(403, {name: echo}))
    for shown in (str(error), repr(error), error.message, str(error.code)):
        assert not [secret for secret in SECRETS if secret in shown], shown


def test_half_a_number_at_the_end_of_a_long_text_is_dropped() -> None:
    """What is redacted shortens the text: its far end comes into view, where it was cut for length."""
    url = "https://bay.example.com/" + "x" * 1571
    error = read(GET, answer(403, {"message": f"{url} 1555010001"}))
    assert error.message == "the operator refuses it: [redacted]"


def test_what_was_sent_is_taken_out_even_if_it_looks_like_nothing() -> None:
    sent = frozenset({"hole-in-one", "12345"})
    error = read(
        CREATE, answer(400, {"code": "HOLE-IN-ONE", "message": "token Hole-In-One, number 12345"}), sent
    )
    assert (error.code, "one" in str(error).lower(), "12345" in str(error)) == (None, False, False)


def test_a_refused_secret_is_not_repeated() -> None:
    body = {"error": "invalid_client", "error_description": "the secret correct-horse is wrong"}
    error = token_error_for(answer(401, body), sent=frozenset({"correct-horse"}), now_s=0)
    assert (type(error), error.code) == (CredentialsError, "invalid_client")
    assert "horse" not in str(error)


@pytest.mark.virtual_time
async def test_no_traceback_names_anybody(make_client: MakeClient, booking: CreateSession) -> None:
    peer = Peer()
    peer.script(
        "create", Answer(400, {"code": "INVALID_ARGUMENT", "message": f"phoneNumber {PHONE} is wrong"})
    )
    client = make_client(peer)
    with pytest.raises(RefusedError) as caught:
        await client.session.create_session(booking)
    shown = "".join(traceback.format_exception(caught.value)) + repr(booking) + repr(client) + str(booking)
    assert "5550100" not in shown
    assert "203.0.113" not in shown
    assert "INVALID_ARGUMENT" in shown


@pytest.mark.virtual_time
@pytest.mark.parametrize("status", [404, 410])
async def test_deleting_what_is_gone_is_done(make_client: MakeClient, status: int) -> None:
    peer = Peer()
    peer.script("delete", Answer(status, {"status": status, "code": "NOT_FOUND", "message": "no session"}))
    await make_client(peer).session.delete_session(SESSION_ID)
    assert len(peer.calls("delete")) == 1
