"""Where the service listens, with how many at once, and how it stops."""

import asyncio
import ssl

import pytest

from bayd.web import listener as module
from bayd.web.listener import Listener, ListenRefusedError, check_listen
from tests.web.house import SCREEN, House


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8470", ("127.0.0.1", 8470)),
        ("127.1.2.3:1", ("127.1.2.3", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:8470", ("::1", 8470)),
        ("::1:8470", ("::1", 8470)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_loopback_is_always_allowed(listen: str, address: tuple[str, int]) -> None:
    assert check_listen([listen], trusted_lan=False) == [address]


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:8470",
        "[::]:8470",
        "192.0.2.5:8470",
        "[2001:db8::5]:8470",
        "bay-pc:8470",
        "127.0.0.1.example.com:1",
    ],
)
def test_beyond_loopback_without_tls_is_refused_and_says_what_to_do(listen: str) -> None:
    with pytest.raises(ListenRefusedError, match="TLS proxy") as caught:
        check_listen(["127.0.0.1:8470", listen], trusted_lan=False)
    assert listen in str(caught.value)
    assert "allow_plain_http" in str(caught.value)
    assert len(check_listen(["127.0.0.1:8470", listen], trusted_lan=True)) == 2


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "8470",
        ":8470",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:٨٤",
    ],
)
@pytest.mark.parametrize("trusted_lan", [True, False])
def test_what_is_no_address_is_named(listen: str, trusted_lan: bool) -> None:
    with pytest.raises(ListenRefusedError, match="not host:port"):
        check_listen([listen], trusted_lan=trusted_lan)


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open(house: House) -> None:
    from aiohttp import web

    with pytest.raises(OSError, match="in use"):
        await Listener.open(web.Application(), [("127.0.0.1", 0), ("127.0.0.1", house.port)], house.log)


async def test_connections_are_bounded_and_the_others_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONNECTIONS_LIMIT", 5)
    open_ones = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(5)]
    for _, writer in open_ones:
        writer.write(b"GET /status")  # and never the rest
        await writer.drain()
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    async with asyncio.timeout(20):
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
    for _, each in (*open_ones, (reader, writer)):
        each.transport.abort()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await house.ask("GET", "/status")).status == 200
                break
            except OSError:
                await asyncio.sleep(0.05)


async def test_a_head_that_does_not_come_to_an_end_is_given_up(
    closed_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEEP_ALIVE_S", 0.3)
    async with closed_house.open() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        dripping = b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: " + b"y" * 5000
        async with asyncio.timeout(20):
            try:
                for byte in dripping:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.01)
                pytest.fail("the whole head was waited for")
            except ConnectionError:
                pass
            finally:
                writer.transport.abort()
        assert reader.at_eof() or reader.exception() is not None


async def test_a_request_under_way_is_answered_before_the_stop(house: House) -> None:
    await house.book()
    house.verifier.gate.clear()
    press = asyncio.gather(house.press("pin", {"pin": "246813"}))
    await house.verifier.reached.wait()
    stop = asyncio.gather(house.listener.aclose())
    await asyncio.sleep(0.05)
    house.verifier.gate.set()
    (reply,) = await press
    assert reply.status == 200
    await stop
    with pytest.raises(OSError, match=r"refused|Connect"):
        await house.ask("GET", "/status")


async def test_tls_to_the_plain_port_ends_at_once(house: House) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with asyncio.timeout(10):
            await asyncio.open_connection("127.0.0.1", house.port, ssl=ssl.create_default_context())
    assert (await house.ask("GET", "/api/v1/bays/109", token=SCREEN)).status == 200
