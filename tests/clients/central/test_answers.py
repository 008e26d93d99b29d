"""What each answer means, for verify and for the other calls: one table, read twice."""

import json
from typing import Any

import pytest

from bayd.clients.central import (
    CapabilityMissing,
    Cause,
    CentralClient,
    CentralError,
    CentralMalformed,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
    Secret,
    VerifyAccepted,
    VerifyAnswer,
    VerifyRefused,
    VerifyUnavailable,
)
from bayd.ports import HttpResponse, TransportError

from .peers import (
    NAME,
    PHONE,
    PIN,
    SECRETS,
    Answer,
    RecordingLog,
    ScriptedTransport,
    answer,
    client_of,
    done,
    item,
    secret,
)

HTML = b"<html><body>502 Bad Gateway</body></html>"
NO = {"success": False, "message": "Invalid pin"}
DEEP = b"[" * 100_000

Meaning = tuple[type[VerifyAnswer] | Cause, type[CentralError] | None]
_YES: Meaning = (VerifyAccepted, None)
_REFUSED: Meaning = (VerifyRefused, CentralRefused)
_UNAUTHORISED: Meaning = (Cause.UNAUTHORISED, CentralUnauthorised)
_NO_ROUTE: Meaning = (Cause.NO_ROUTE, CapabilityMissing)
_ODD: Meaning = (Cause.NOT_UNDERSTOOD, CentralUnavailable)
_BUSY: Meaning = (Cause.BUSY, CentralUnavailable)
_FAILED: Meaning = (Cause.SERVER_ERROR, CentralUnavailable)

# Each answer, what verify makes of it, and what a call that changes something raises (None: it is done).
ANSWERS: dict[str, tuple[Answer, type[VerifyAnswer] | Cause, type[CentralError] | None]] = {
    "yes": (done({"id": 24}), *_YES),
    "yes, created": (done({"id": 24}, 201), *_YES),
    "yes without data": (answer({"success": True}), *_YES),
    "yes without success": (answer({"data": {"id": 24}}), *_YES),
    "yes with a text for a flag": (answer({"success": "true", "data": None}), *_YES),
    "yes with a byte order mark": (answer(b'\xef\xbb\xbf{"success": true}'), *_YES),
    "yes under another label": (HttpResponse(200, {"content-type": "text/x"}, b'{"success": true}'), *_YES),
    "no with 200": (answer(NO), *_REFUSED),
    "no with 400": (answer(NO, 400), *_REFUSED),
    "no with 404, of the object": (answer(NO, 404), *_REFUSED),
    "no with 409": (answer(NO, 409), *_REFUSED),
    "no with 422": (answer({"success": 0, "error": {"message": "no"}}, 422), *_REFUSED),
    "401": (answer(NO, 401), *_UNAUTHORISED),
    "403": (answer(NO, 403), *_UNAUTHORISED),
    "403 in HTML": (answer(HTML, 403), *_UNAUTHORISED),
    "404 of the route": (answer(b"Cannot POST /session/verify", 404), *_NO_ROUTE),
    "404 of the route, other JSON": (answer({"statusCode": 404}, 404), *_NO_ROUTE),
    "404 of the route, enveloped": (answer({**NO, "message": "Cannot PATCH /session"}, 404), *_NO_ROUTE),
    "405": (answer(b"405: Method Not Allowed", 405), *_NO_ROUTE),
    "400 of a proxy": (answer(HTML, 400), *_ODD),
    "4xx that says yes": (answer({"success": True}, 400), *_ODD),
    "408": (answer(NO, 408), *_BUSY),
    "429": (answer(NO, 429), *_BUSY),
    "500 in the envelope": (answer(NO, 500), *_FAILED),
    "502 in HTML": (answer(HTML, 502), *_FAILED),
    "302": (answer(b"", 302, location="/login"), *_ODD),
    "304": (answer(b"", 304), *_ODD),
    "200 of a portal": (answer(HTML), *_ODD),
    "200, truncated": (answer(b'{"success": true, "data": {"id"'), *_ODD),
    "200, empty": (answer(b""), *_ODD),
    "204": (answer(b"", 204), *_ODD),
    "200, another document": (answer({"ok": True}), *_ODD),
    "200, a list": (answer([NO]), *_ODD),
    "200, success unreadable": (answer({"success": "perhaps", "data": 1}), *_ODD),
    "200, success null": (answer({"success": None, "data": 1}), *_ODD),
    "200, not JSON's numbers": (answer(b'{"success": true, "data": NaN}'), *_ODD),
    "200, not UTF-8": (answer(b'{"success": true, "data": "\xff"}'), *_ODD),
    "200, too deep": (answer(DEEP), *_ODD),
    "200, too many digits": (answer(b'{"success": true, "data": ' + b"1" * 5000 + b"}"), *_ODD),
    "time-out": (TransportError("no answer within 2 s", sent=True), Cause.NO_ANSWER, CentralUnavailable),
    "refused": (TransportError("no connection", sent=False), Cause.NOT_REACHED, CentralUnavailable),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_verify_has_three_outcomes(name: str) -> None:
    reply, expected, _ = ANSWERS[name]
    outcome = await client_of(ScriptedTransport(reply)).verify("104", secret())
    if isinstance(expected, Cause):
        assert isinstance(outcome, VerifyUnavailable)
        assert outcome.cause is expected
        assert outcome.reason
        reached = expected not in (Cause.NOT_REACHED, Cause.UNAUTHORISED, Cause.NO_ROUTE)
        assert outcome.sent is reached
        assert outcome.seen is (expected is not Cause.NOT_REACHED), "turned away, it may have been looked at"
    else:
        assert type(outcome) is expected


@pytest.mark.parametrize("name", ANSWERS)
async def test_other_calls_raise_by_what_to_do(name: str) -> None:
    reply, _, expected = ANSWERS[name]
    client = client_of(ScriptedTransport(reply))
    if expected is None:
        assert await client.end_session(24) is None
        return
    with pytest.raises(CentralError) as caught:
        await client.end_session(24)
    assert type(caught.value) is expected
    assert str(caught.value).startswith("end_session: ")
    if isinstance(caught.value, CentralUnavailable):
        assert caught.value.sent is (name != "refused")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_no_to_a_password_in_the_request_is_no_no_to_us(status: int) -> None:
    """But only in the server's own envelope, and only where there was one."""
    refusing = answer({"success": False, "message": "wrong password: s3cret-of-the-desk"}, status)
    password = Secret("s3cret-of-the-desk")
    with pytest.raises(CentralRefused) as caught:
        await client_of(ScriptedTransport(refusing)).mark_paid(7, password, "paid at the bay")
    assert caught.value.status == status
    assert password.reveal() not in str(caught.value)
    with pytest.raises(CentralRefused):
        await client_of(ScriptedTransport(refusing)).session_bay_change("101", "102", password, 60)
    with pytest.raises(CentralUnauthorised):
        await client_of(ScriptedTransport(answer(HTML, status))).mark_paid(7, password, "paid at the bay")
    with pytest.raises(CentralUnauthorised):
        await client_of(ScriptedTransport(refusing)).post_due("104", 100)


@pytest.mark.parametrize("data", [{"id": 24}, {"affected": 1}, None, "done", [], item(bay=None)])
async def test_a_change_that_was_done_is_done_whatever_its_answer_shows(data: object) -> None:
    assert await client_of(ScriptedTransport(done(data))).add_session_time(24, 5, 100) is None


async def test_a_change_gives_the_session_where_the_answer_shows_it() -> None:
    session = await client_of(ScriptedTransport(done(item(24, duration=65)))).add_session_time(24, 5, 100)
    assert session is not None
    assert session.duration_min == 65


async def test_what_is_read_and_wrong_is_named() -> None:
    with pytest.raises(CentralMalformed) as caught:
        await client_of(ScriptedTransport(done(item(6, duration="long")))).get_session(6)
    assert caught.value.field == "data.duration"
    assert str(caught.value) == "get_session: the field data.duration of the answer is missing or wrong"
    with pytest.raises(CentralMalformed) as caught:
        await client_of(ScriptedTransport(done({}))).list_sessions(1, 5)
    assert caught.value.field == "data"


async def test_another_session_than_the_one_asked_for_is_no_answer() -> None:
    with pytest.raises(CentralMalformed) as caught:
        await client_of(ScriptedTransport(done(item(7)))).get_session(6)
    assert caught.value.field == "data.id"


async def test_a_bad_item_of_a_page_is_skipped_and_reported_once() -> None:
    log = RecordingLog()
    page = done([item(1), item(2, createdAt=None), item(3, createdAt=None), item(4, game="?")])
    client = client_of(ScriptedTransport(page), log)
    for _ in range(3):
        read = await client.list_sessions(1, 4)
        assert [session.id for session in read.sessions] == [1, 4]
        assert [skipped.field for skipped in read.skipped] == ["data[1].createdAt", "data[2].createdAt"]
        assert read.item_count == 4
    assert log.lines == [
        ("warning", "central_item_skipped", {"operation": "list_sessions", "field": "data[1].createdAt"}),
        ("warning", "central_field_ignored", {"operation": "list_sessions", "field": "data[3].game"}),
    ]


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "999999"}, 3600),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
async def test_what_a_busy_server_asks_for_is_passed_on(headers: dict[str, str], wait_s: int | None) -> None:
    with pytest.raises(CentralUnavailable) as caught:
        await client_of(ScriptedTransport(answer(b"", 503, **headers))).end_session(1)
    assert (caught.value.status, caught.value.retry_after_s) == (503, wait_s)


@pytest.mark.parametrize("status", [200, 400, 404, 422])
@pytest.mark.parametrize(
    "message",
    [
        f"pin {PIN} is wrong",
        f"the pin {' '.join(PIN)} of {NAME} at +{PHONE}",
        f"user {PHONE[:3]}-{PHONE[3:]} <test@example.com>",
        json.dumps({"bayNumber": "104", "pin": PIN}),
        f"http://central.example.com/session?pin={PIN}",
    ],
)
async def test_a_refusal_never_repeats_what_is_secret(status: int, message: str) -> None:
    reply = answer({"success": False, "message": message}, status)
    client = client_of(ScriptedTransport(reply))
    outcome = await client.verify("104", secret())
    assert isinstance(outcome, VerifyRefused)
    with pytest.raises(CentralRefused) as caught:
        await client.end_session(3)
    for text in (repr(outcome), outcome.message, str(caught.value), caught.value.message, repr(caught.value)):
        digits = "".join(character for character in text if character.isdigit())
        assert PIN not in digits
        assert PHONE[3:] not in digits
        assert "test@example.com" not in text


async def test_a_refused_booking_does_not_repeat_the_customer() -> None:
    from .test_requests import _new

    reply = answer({"success": False, "message": f"{NAME} ({PHONE}) owes money"}, 409)
    with pytest.raises(CentralRefused) as caught:
        await client_of(ScriptedTransport(reply)).create_session(_new())
    assert caught.value.message.endswith("owes money")
    assert not any(value in str(caught.value) for value in SECRETS)


async def test_time_limits_are_those_of_the_call() -> None:
    transport = ScriptedTransport(done(item(6)))
    client = client_of(transport)
    await client.verify("104", secret())
    await client.get_session(6)
    await client.end_session(6)
    limits: list[Any] = [round(sent.timeout_s, 1) for sent in transport.sent]
    assert limits == [2.0, 10.0, 10.0]


async def test_a_key_goes_out_only_to_a_server_that_is_known_to_honour_it() -> None:
    for honoured in (False, True):
        transport = ScriptedTransport(done({}))
        client = client_of(transport, idempotency_keys=honoured)
        assert client.idempotency_keys is honoured
        await client.add_session_time(24, 5, 1000, idempotency_key="op-1")
        await client.end_session(24, idempotency_key="op-2")
        await client.end_session(24)
        keys = [sent.headers.get("Idempotency-Key") for sent in transport.sent]
        assert keys == (["op-1", "op-2", None] if honoured else [None, None, None])


async def test_a_screen_without_a_bay() -> None:
    assert await client_of(ScriptedTransport(done({}))).bay_of_screen("abc") is None
    bay = await client_of(ScriptedTransport(done({"number": "104"}))).bay_of_screen("abc")
    assert bay is not None
    assert bay.number == "104"


@pytest.mark.parametrize(
    "url",
    [
        "central:4000",
        "ftp://central.example.com",
        "http://",
        "http://u:p@central.example.com",
        "http://central.example.com/?a=b",
        "http://central.example.com:99999",
        "http://[::1",
    ],
)
def test_an_address_that_cannot_work_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"^central url: ") as caught:
        CentralClient(ScriptedTransport(done({})), url, log=RecordingLog())
    assert url == "http://" or url not in str(caught.value)


async def test_a_path_before_the_routes_is_kept() -> None:
    transport = ScriptedTransport(done([]))
    await CentralClient(transport, "https://example.com/range/", log=RecordingLog()).games()
    assert transport.sent[0].url == "https://example.com/range/game"
