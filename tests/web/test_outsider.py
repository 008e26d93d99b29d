"""What an outsider tries first: each is refused and logged, and nothing has changed.

The doors' own tests (test_doors, test_listener) try the variants; this is the list.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bayd.runtime.repeats import BURST
from bayd.settings import is_loopback
from bayd.settings.listening import ListenRefusedError, check_listen
from bayd.web import listener
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port
from tests.web.house import OTHER_SCREEN, SCREEN, STAFF, TECHNICIAN, House
from tests.web.test_doors import head, raw, status_of

HELP = "/api/v1/bays/109/help"
JSON = ("Idempotency-Key: outsider", "Content-Type: application/json")
ME = f"Authorization: Bearer {SCREEN}"
STAFFS = f"Authorization: Bearer {STAFF}"
EMPTY = "Content-Length: 2"

TRIES: dict[str, tuple[bytes, int]] = {
    "no token": (head("POST", HELP, *JSON, EMPTY) + b"{}", 401),
    "an unknown token": (head("POST", HELP, "Authorization: Bearer guess", *JSON, EMPTY) + b"{}", 401),
    "wrong role": (
        head("POST", HELP, f"Authorization: Bearer {TECHNICIAN}", *JSON, EMPTY) + b"{}",
        403,
    ),
    "another bay's token": (
        head("POST", HELP, f"Authorization: Bearer {OTHER_SCREEN}", *JSON, EMPTY) + b"{}",
        403,
    ),
    "foreign origin": (head("POST", HELP, ME, *JSON, EMPTY, "Origin: http://evil.example.com") + b"{}", 403),
    "dns rebinding": (head("POST", HELP, ME, *JSON, EMPTY, host="evil.example.com") + b"{}", 421),
    "oversized body": (head("POST", HELP, ME, *JSON, "Content-Length: 1000000000"), 413),
    "a body that drips": (head("POST", HELP, ME, *JSON, "Content-Length: 10") + b"{", 408),
    "path up": (head("GET", "/static/../../../../etc/passwd", STAFFS), 404),
    "path encoded": (head("GET", "/api/v1/bays/109%2f..%2f110", STAFFS), 404),
}


@pytest.mark.parametrize("name", TRIES)
async def test_an_outsider_is_refused_logged_and_changes_nothing(closed_house: House, name: str) -> None:
    data, status = TRIES[name]
    closed_house.body_within_s = 0.2
    async with closed_house.open() as house:
        await house.play()
        before = await house.state()
        answer = await raw(house, data)
        assert status_of(answer) == status
        refusals = [facts for _, event, facts in house.log.lines if event == "request_refused"]
        assert len(refusals) == 1
        assert not any(secret in str(house.log.lines) for secret in (SCREEN, STAFF, "guess", "passwd"))
        assert await house.state() == before


async def test_a_slow_loris_is_closed_logged_and_changes_nothing(
    closed_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_KEEP_ALIVE_S", 0.3)
    async with closed_house.open() as house:
        await house.play()
        before = await house.state()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(head("POST", HELP, ME, *JSON)[:-2])  # all but the end of the head
        async with asyncio.timeout(20):
            try:
                while True:
                    writer.write(b"X: y\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            except ConnectionError:
                pass
        assert reader.at_eof() or reader.exception() is not None
        writer.transport.abort()
        assert [(level, facts["address"]) for level, facts in slow_heads(house)] == [("warning", "127.0.0.1")]
        assert SCREEN not in str(house.log.lines)
        assert await house.state() == before


def test_many_slow_ones_fill_no_log(tmp_path: Path) -> None:
    port = free_port()
    impatient = "from bayd.web import listener\nlistener._KEEP_ALIVE_S = 0.3"
    with started("run", "--config", configuration(tmp_path, port), before=impatient) as daemon:
        daemon.wait_for("event=bayd_ready")
        with contextlib.ExitStack() as stack:
            many = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                for _ in range(20)
            ]
            for slow in many:
                slow.sendall(b"GET /status HTTP/1.1\r\n")
            assert [slow.recv(1) for slow in many] == [b""] * 20
        daemon.stop()
    assert sum("request_head_too_slow" in line for line in daemon.said) == BURST["warning"]


async def test_who_says_nothing_is_idle_and_not_slow(
    closed_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_KEEP_ALIVE_S", 0.3)
    async with closed_house.open() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        assert slow_heads(house) == []


async def test_who_goes_away_in_the_middle_is_not_called_slow(closed_house: House) -> None:
    async with closed_house.open() as house:
        _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET /status HTTP/1.1\r\n")
        await writer.drain()
        assert (await house.ask("GET", "/status")).status == 200
        writer.transport.abort()
        assert (await house.ask("GET", "/status")).status == 200
        await house.listener.aclose()
        assert slow_heads(house) == []


async def test_who_goes_away_with_a_body_unsent_is_waited_for_by_nobody(closed_house: House) -> None:
    """The rest of a body that was refused is read for a second, so that its sender can read why."""
    async with closed_house.open() as house:
        data, status = TRIES["oversized body"]
        assert status_of(await raw(house, data)) == status
        assert (await house.ask("GET", "/status")).status == 200  # the connection is gone meanwhile


def slow_heads(house: House) -> list[tuple[str, Mapping[str, Any]]]:
    return [(level, facts) for level, event, facts in house.log.lines if event == "request_head_too_slow"]


@pytest.mark.parametrize("address", ["0.0.0.0:8470", "[::]:8470", "192.0.2.1:8470"])
def test_a_listener_beyond_loopback_without_tls_never_opens(address: str) -> None:
    with pytest.raises(ListenRefusedError, match="without TLS"):
        check_listen([address], trusted_lan=False)
    assert not is_loopback(address.rpartition(":")[0])
