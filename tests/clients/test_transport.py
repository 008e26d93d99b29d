"""The door to an upstream: what came back whole, what broke, and whether the request was out by then."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bayd.clients.transport import AiohttpTransport
from bayd.ports import TransportError

from .raw_server import Behaviour, answering, raw_server, read_request, resetting, stalling

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
LONG_S = 30.0  # never reached: a test that waits for it has failed


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(body_limit_bytes=100_000)
    yield transport
    await transport.aclose()


async def test_request_and_answer_pass_unchanged(transport: AiohttpTransport) -> None:
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 418 Teapot\r\nX-Correlator: a1\r\nContent-Length: 3\r\n\r\n\x00\xff\x01")

    async with raw_server(behave) as url:
        answer = await transport.request(
            "PATCH",
            f"{url}/bay/a%2Fb?x=1%261",
            headers={"Content-Type": "application/json"},
            body=b"{}",
            timeout_s=LONG_S,
        )
    assert (answer.status, answer.body) == (418, b"\x00\xff\x01")
    assert answer.headers["x-correlator"] == "a1"
    assert seen[0].startswith(b"PATCH /bay/a%2Fb?x=1%261 HTTP/1.1\r\n")
    assert seen[0].endswith(b"\r\n\r\n{}")
    assert b"content-type: application/json" in seen[0].lower()
    assert b"user-agent: bayd/" in seen[0].lower()


async def test_no_content_type_is_invented(transport: AiohttpTransport) -> None:
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with raw_server(behave) as url:
        await transport.request("POST", url, timeout_s=LONG_S)
        await transport.request("POST", url, body=b"x", timeout_s=LONG_S)
    assert len(seen) == 2
    assert not any(b"content-type" in request.lower() for request in seen)


async def test_refused_connection_was_not_sent(transport: AiohttpTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/session/1/end"
        with pytest.raises(TransportError) as caught:
            await transport.request("POST", url, timeout_s=LONG_S)
    assert not caught.value.sent
    assert "refused" in str(caught.value).lower()
    assert "session" not in str(caught.value)


@contextmanager
def black_hole() -> Iterator[str]:
    """An address that answers no SYN: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


async def test_a_timeout_before_the_connection_was_not_sent(transport: AiohttpTransport) -> None:
    with black_hole() as url, pytest.raises(TransportError) as caught:
        await transport.request("POST", url, timeout_s=0.3)
    assert not caught.value.sent
    assert "no connection within 0.3 s" in str(caught.value)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200", OK + b"half"])
async def test_a_timeout_after_the_connection_may_have_been_sent(
    transport: AiohttpTransport, begun: bytes
) -> None:
    async with raw_server(stalling(begun)) as url:
        with pytest.raises(TransportError) as caught:
            await transport.request("POST", url, timeout_s=1.0)
    assert caught.value.sent
    assert "no answer within 1 s" in str(caught.value)


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(answering(b""), id="closed without a word"),
        pytest.param(resetting(), id="reset without a word"),
        pytest.param(resetting(OK + b"half"), id="reset in the body"),
        pytest.param(answering(OK + b"half"), id="closed in the body"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), id="cut chunks"
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"),
            id="bad chunks",
        ),
        pytest.param(answering(b"\x16\x03\x01\x00\x05 not http\r\n\r\n"), id="another protocol"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), id="endless header"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
            id="not gzip",
        ),
    ],
)
async def test_a_broken_exchange_may_have_been_sent(transport: AiohttpTransport, behave: Behaviour) -> None:
    async with raw_server(behave) as url:
        with pytest.raises(TransportError) as caught:
            await transport.request("POST", f"{url}/session/verify", timeout_s=LONG_S)
    assert caught.value.sent
    assert "verify" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"])
@pytest.mark.parametrize("end", [answering(b""), resetting()], ids=["closed", "reset"])
async def test_one_call_is_one_request_on_the_wire(
    transport: AiohttpTransport, method: str, end: Behaviour
) -> None:
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b" "))
        await end(reader, writer)

    async with raw_server(behave) as url:
        with pytest.raises(TransportError, match=r"the connection broke: [A-Z]") as caught:
            await transport.request(method, url, timeout_s=LONG_S)
    assert caught.value.sent
    assert seen == [f"{method} ".encode()]


async def test_an_answer_cut_at_any_byte_is_no_answer(transport: AiohttpTransport) -> None:
    whole = OK + b'{"data": 1}'
    for length in range(len(whole)):
        async with raw_server(answering(whole[:length])) as url:
            with pytest.raises(TransportError) as caught:
                await transport.request("POST", url, timeout_s=LONG_S)
            assert caught.value.sent, length
    async with raw_server(answering(whole)) as url:
        assert (await transport.request("POST", url, timeout_s=LONG_S)).body == b'{"data": 1}'


def _damaged(answer: bytes, random: Random) -> bytes:
    damaged = bytearray(answer)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(damaged))
        match random.randrange(4):
            case 0:
                damaged[at] = random.randrange(256)
            case 1:
                del damaged[at : at + random.randint(1, 30)]
            case 2:
                damaged[at:at] = random.randbytes(random.randint(1, 8))
            case _:
                damaged[at:at] = damaged[:20]
    return bytes(damaged)


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
async def test_a_damaged_answer_is_an_answer_or_a_transport_error(
    transport: AiohttpTransport, count: int
) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nLocation: http://[::1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    whole = head + b'b\r\n{"data": 1}\r\n0\r\n\r\n'
    random = Random(1)
    broken = 0
    for _ in range(count):
        async with raw_server(answering(_damaged(whole, random))) as url:
            try:
                await transport.request("POST", url, timeout_s=LONG_S)
            except TransportError as error:
                assert error.sent
                broken += 1
    assert broken > count // 2


async def test_a_body_beyond_the_limit_is_not_read_to_its_end(transport: AiohttpTransport) -> None:
    written = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while written < 1_000_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    async with raw_server(behave) as url:
        with pytest.raises(TransportError, match="too large") as caught:
            await transport.request("GET", url, timeout_s=LONG_S)
    assert caught.value.sent
    assert written < 100_000_000


async def test_a_body_that_unpacks_beyond_the_limit_is_refused(transport: AiohttpTransport) -> None:
    bomb = gzip.compress(bytes(5_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with raw_server(answering(head.encode() + bomb)) as url:
        with pytest.raises(TransportError, match="too large"):
            await transport.request("GET", url, timeout_s=LONG_S)


async def test_redirects_are_not_followed_and_cookies_not_kept(transport: AiohttpTransport) -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(f"{request.path} {request.headers.get('Cookie', '-')}")
        return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    async with TestServer(app) as server:
        for _ in range(2):
            # By name: aiohttp's own jar keeps no cookies of a bare address.
            url = f"http://localhost:{server.port}/here"
            answer = await transport.request("GET", url, timeout_s=LONG_S)
            assert answer.status == 302
    assert seen == ["/here -", "/here -"]


async def test_a_server_that_hangs_up_after_its_answer_costs_the_next_request_nothing(
    transport: AiohttpTransport,
) -> None:
    peers: set[object] = set()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await read_request(reader)
        writer.write(OK + b"hello world")  # "keep-alive" by default, and then closed

    async with raw_server(behave) as url:
        for _ in range(5):
            answer = await transport.request("POST", url, timeout_s=LONG_S)
            assert answer.body == b"hello world"
    assert len(peers) == 5


async def test_nothing_goes_out_without_time_or_after_the_end(transport: AiohttpTransport) -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        for timeout_s in (0.0, -1.0):
            with pytest.raises(TransportError, match="no time left") as caught:
                await transport.request("GET", url, timeout_s=timeout_s)
            assert not caught.value.sent
        await transport.request("GET", url, timeout_s=LONG_S)
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(TransportError, match="closed") as caught:
            await transport.request("GET", url, timeout_s=LONG_S)
        assert not caught.value.sent
    assert seen == ["/"]


async def test_closing_breaks_what_is_under_way(transport: AiohttpTransport) -> None:
    arrived = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()

    async with raw_server(behave) as url, asyncio.TaskGroup() as group:

        async def ask() -> TransportError:
            with pytest.raises(TransportError) as caught:
                await transport.request("POST", url, timeout_s=LONG_S)
            return caught.value

        asked = group.create_task(ask())
        await arrived.wait()
        await transport.aclose()
    assert asked.result().sent


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/x", "http:///x", "http://127.0.0.1:99999/x"])
async def test_an_unusable_address_was_not_sent(transport: AiohttpTransport, url: str) -> None:
    with pytest.raises(TransportError) as caught:
        await transport.request("GET", url, timeout_s=LONG_S)
    assert not caught.value.sent


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "central.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


async def test_a_server_with_a_certificate_that_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    cert_file, key_file = _certificate(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert_file, key_file)
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", handle)
    trusting = AiohttpTransport(ssl_context=ssl.create_default_context(cafile=str(cert_file)))
    doubting = AiohttpTransport()
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=server_side)
    try:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(TransportError) as caught:
            await doubting.request("GET", url, timeout_s=LONG_S)
        assert not caught.value.sent
        assert "certificate" in str(caught.value)
        assert seen == []
        assert (await trusting.request("GET", url, timeout_s=LONG_S)).body == b"hello"
    finally:
        await doubting.aclose()
        await trusting.aclose()
        await server.close()
