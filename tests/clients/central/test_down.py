"""With the server down, in all its ways, over real sockets."""

from collections.abc import AsyncIterator

import pytest

from bayd.clients.central import (
    Cause,
    CentralClient,
    CentralError,
    CentralRefused,
    CentralTimeouts,
    CentralUnavailable,
    VerifyRefused,
    VerifyUnavailable,
)
from bayd.clients.transport import AiohttpTransport
from tests.clients.raw_server import Behaviour, answering, raw_server, resetting, stalling

from .peers import SECRETS, RecordingLog, secret

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PAGE = b"<html><h1>It works</h1></html>"


def whole(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


DOWN: dict[str, tuple[Behaviour, Cause]] = {
    "hung": (stalling(), Cause.NO_ANSWER),
    "hung in the body": (stalling(JSON + b'Content-Length: 99\r\n\r\n{"succ'), Cause.NO_ANSWER),
    "closed": (answering(b""), Cause.NO_ANSWER),
    "reset": (resetting(), Cause.NO_ANSWER),
    "reset in the body": (resetting(JSON + b'Content-Length: 99\r\n\r\n{"succ'), Cause.NO_ANSWER),
    "truncated JSON": (answering(whole(JSON, b'{"success": true, "data": {"id": 2')), Cause.NOT_UNDERSTOOD),
    "a page with 200": (answering(whole(b"HTTP/1.1 200 OK\r\n", PAGE)), Cause.NOT_UNDERSTOOD),
    "a page with 502": (answering(whole(b"HTTP/1.1 502 Bad Gateway\r\n", PAGE)), Cause.SERVER_ERROR),
    "a huge body": (answering(whole(JSON, b'"' + b"x" * 9_000_000 + b'"')), Cause.NO_ANSWER),
    "a redirect": (
        answering(whole(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n", b"")),
        Cause.NOT_UNDERSTOOD,
    ),
    "another protocol": (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), Cause.NO_ANSWER),
}


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()


def _client(transport: AiohttpTransport, url: str) -> CentralClient:
    limits = CentralTimeouts(verify_s=1.0, read_s=1.0, write_s=1.0)
    return CentralClient(transport, url, log=RecordingLog(), timeouts=limits)


@pytest.mark.parametrize("name", DOWN)
async def test_verify_is_unavailable(transport: AiohttpTransport, name: str) -> None:
    behave, cause = DOWN[name]
    async with raw_server(behave) as url:
        outcome = await _client(transport, url).verify("104", secret())
    assert isinstance(outcome, VerifyUnavailable)
    assert (outcome.cause, outcome.sent) == (cause, True)
    assert not any(value in repr(outcome) for value in (*SECRETS, "104"))


@pytest.mark.parametrize("name", [name for name in DOWN if not name.startswith("hung")])
async def test_reading_and_writing_are_unavailable(transport: AiohttpTransport, name: str) -> None:
    behave, cause = DOWN[name]
    async with raw_server(behave) as url:
        client = _client(transport, url)
        for call in (client.end_session(1), client.list_sessions(1, 10)):
            with pytest.raises(CentralUnavailable) as caught:
                await call
            assert (caught.value.cause, caught.value.sent) == (cause, True)


async def test_a_server_that_is_not_there_was_certainly_not_reached(transport: AiohttpTransport) -> None:
    async with raw_server(stalling()) as url:
        pass
    client = _client(transport, url)
    outcome = await client.verify("104", secret())
    assert isinstance(outcome, VerifyUnavailable)
    assert (outcome.cause, outcome.sent) == (Cause.NOT_REACHED, False)
    with pytest.raises(CentralUnavailable) as caught:
        await client.add_session_time(24, 5, 100)
    assert not caught.value.sent
    assert isinstance(caught.value, CentralError)


@pytest.mark.parametrize("label", [b"text/html", b"application/json; charset=utf-16", b""])
async def test_the_label_does_not_decide(transport: AiohttpTransport, label: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + label + b"\r\n"
    no = b'{"success": false, "message": "Invalid pin"}'
    async with raw_server(answering(whole(head, no))) as url:
        client = _client(transport, url)
        assert await client.verify("104", secret()) == VerifyRefused("Invalid pin", 200)
        with pytest.raises(CentralRefused):
            await client.end_session(1)
