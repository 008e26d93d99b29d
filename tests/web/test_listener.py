"""Where the service listens, with how many at once, and how it stops."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bayd.settings.listening import ListenRefusedError, check_listen
from bayd.web import listener as module
from bayd.web.connections import ConnectionLimits, Connections
from bayd.web.listener import Listener
from tests.simulation.world import SimLog
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
    with pytest.raises(OSError, match="in use"):
        await Listener.open(web.Application(), [("127.0.0.1", 0), ("127.0.0.1", house.port)], house.log)


async def test_an_address_that_is_not_there_keeps_no_other_from_being_served(house: House) -> None:
    """203.0.113.10 is nobody's (RFC 5737); a listening socket there has to wait for the network."""
    async with serving(house, "127.0.0.1", "203.0.113.10") as listener:
        assert len(listener.ports) == 1
        assert await status_at(listener.ports[0]) == 404
        assert listener.absent == ("203.0.113.10:0",)
        (warning,) = listener.warnings()
        assert warning["code"] == "listen_address_absent"
        assert "203.0.113.10:0: this machine has no such address" in warning["text"]


async def test_an_address_that_comes_later_is_served_then(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it is a name that the network does not know at first."""
    loop = asyncio.get_running_loop()
    network_up = False
    resolve = loop.getaddrinfo

    async def look_up(host: Any, port: Any, **more: Any) -> Any:
        if host == "bay-pc.example":
            if not network_up:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return await resolve(host, port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    monkeypatch.setattr(module, "_RETRY_S", 0.05)
    async with serving(house, "127.0.0.1", "bay-pc.example") as listener:
        (warning,) = listener.warnings()
        assert "nobody knows the name" in warning["text"]
        network_up = True
        async with asyncio.timeout(20):
            while len(listener.ports) < 2:  # noqa: ASYNC110 # the port is what is waited for
                await asyncio.sleep(0.05)
        assert await status_at(listener.ports[1]) == 404
        assert (listener.warnings(), listener.absent) == ([], ())


@asynccontextmanager
async def serving(house: House, *hosts: str) -> AsyncIterator[Listener]:
    """An empty application, so that every page is a 404."""
    listener = await Listener.open(web.Application(), [(host, 0) for host in hosts], house.log)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(listener.run(), name="listener")
            yield listener
            running.cancel()
    finally:
        await listener.aclose()


async def status_at(port: int) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/") as answer:
        return answer.status


async def test_connections_are_bounded_and_the_last_are_for_the_tools(
    closed_house: House, tmp_path: Path
) -> None:
    closed_house.connection_limits = ConnectionLimits(all=6, for_the_socket=1)
    closed_house.socket = tmp_path / "bayd.sock"
    async with closed_house.open() as house:
        # Idle ones, and ones that never come to an end of their head.
        open_ones = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(5)]
        for _, writer in open_ones[:2]:
            writer.write(b"GET /status")
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        async with asyncio.timeout(20):
            try:
                assert await reader.read() == b""
            except ConnectionError:
                pass
        (turned_away,) = [facts for _, event, facts in house.log.lines if event == "connection_turned_away"]
        assert turned_away == {"address": "loopback", "connections": 5, "of_this_address": 5}
        door = aiohttp.UnixConnector(str(house.socket))
        async with (
            aiohttp.ClientSession(connector=door) as tool,
            tool.get("http://bayd/status") as answer,
        ):
            assert answer.status == 200
        for _, each in (*open_ones, (reader, writer)):
            each.transport.abort()
        async with asyncio.timeout(20):
            while True:
                try:
                    assert (await house.ask("GET", "/status")).status == 200
                    break
                except OSError:
                    await asyncio.sleep(0)


class From(asyncio.BaseTransport):
    def __init__(self, *peer: object) -> None:
        super().__init__({"peername": peer or ""})


def test_a_machine_elsewhere_has_its_part_and_leaves_room_for_this_one() -> None:
    log = SimLog()
    limits = ConnectionLimits(all=10, of_one_address=3, for_this_machine=4, for_the_socket=2)
    connections = Connections(limits, log)

    def entered(*peer: object, times: int) -> list[str | None]:
        return [connections.enter(From(*peer)) for _ in range(times)]

    assert entered("203.0.113.7", 1, times=4) == ["203.0.113.7"] * 3 + [None]
    network = "2001:db8:0:1::/64"
    assert entered("2001:db8:0:1::5", 1, 0, 0, times=2) == [network] * 2
    assert entered("2001:db8:0:1::6", 1, 0, 0, times=2) == [network, None]
    assert entered("203.0.113.8", 1, times=1) == [None]
    assert entered("127.0.0.1", 1, times=1) + entered("::1", 1, 0, 0, times=2) == ["loopback"] * 2 + [None]
    assert entered(times=3) == ["local"] * 2 + [None]
    assert [facts["address"] for _, _, facts in log.lines] == [
        "203.0.113.7", network, "203.0.113.8", "loopback", "local",
    ]  # fmt: skip
    connections.leave("203.0.113.7")
    assert entered("203.0.113.8", 1, times=1) == [None]  # the room is this machine's
    for _ in range(2):
        connections.leave("local")
        connections.leave("loopback")
    assert entered("203.0.113.8", 1, times=1) == ["203.0.113.8"]


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


async def can_connect(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.transport.abort()
    return True


async def test_a_request_under_way_is_answered_before_the_stop(house: House) -> None:
    await house.book()
    house.verifier.gate.clear()
    press = asyncio.gather(house.press("pin", {"pin": "246813"}))
    await house.verifier.reached.wait()
    stop = asyncio.gather(house.listener.aclose())
    async with asyncio.timeout(20):
        while await can_connect(house.port):  # noqa: ASYNC110 # until the stop has begun
            await asyncio.sleep(0)
    house.verifier.gate.set()
    (reply,) = await press
    assert reply.status == 200
    await stop
    with pytest.raises(OSError, match=r"refused|Connect"):
        await house.ask("GET", "/status")


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_accepted_in_the_moment_of_the_stop_is_let_go(house: House, turns: int) -> None:
    """asyncio makes a connection in several turns of its loop; the stop may begin after each of them."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=20) as caller:
        caller.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await house.listener.aclose()
        async with asyncio.timeout(20):
            try:
                assert await asyncio.get_running_loop().sock_recv(caller, 1) == b""
            except ConnectionError:
                pass  # the kernel had accepted it, bayd had not


async def test_tls_to_the_plain_port_ends_at_once(house: House) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with asyncio.timeout(10):
            await asyncio.open_connection("127.0.0.1", house.port, ssl=ssl.create_default_context())
    assert (await house.ask("GET", "/api/v1/bays/109", token=SCREEN)).status == 200
