"""The unix socket for tools on this machine: who gets in as whom, and what becomes of the file."""

import asyncio
import json
import os
import pwd
import socket
import stat
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bayd.core.inputs import Role
from bayd.web.local_socket import LocalSocket, Peer
from tests.simulation.world import SimLog
from tests.web.house import SCREEN, STAFF, TECHNICIAN, House

ME = pwd.getpwuid(os.geteuid()).pw_name
STRANGER = 65_534
BAY = "/api/v1/bays/109"


@pytest_asyncio.fixture
async def local_house(closed_house: House, tmp_path: Path) -> AsyncIterator[House]:
    closed_house.socket = tmp_path / "bayd.sock"
    async with closed_house.open() as house:
        yield house


async def ask(
    house: House, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, object]]:
    """Over the socket; what the description does not know of the answer fails the test."""
    connector = aiohttp.UnixConnector(str(house.socket))
    async with (
        aiohttp.ClientSession("http://localhost", connector=connector) as session,
        session.request(
            method, path, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
        ) as reply,
    ):
        text = await reply.text()
        house.promises.check(method, path, reply.status, reply.headers, text)
        return reply.status, json.loads(text)


async def test_the_file_is_for_owner_and_group_alone(local_house: House) -> None:
    assert local_house.socket is not None
    found = local_house.socket.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


async def test_the_daemons_own_user_is_staff_and_technician_without_a_token(local_house: House) -> None:
    await local_house.play()
    status, seen = await ask(local_house, "GET", BAY)
    assert (status, seen["session"]["player"]) == (200, "Test Person")  # type: ignore[index]
    assert (await ask(local_house, "GET", "/api/v1/outbox"))[0] == 200  # staff alone
    reason = {"reason": "cable"}
    assert (await ask(local_house, "POST", f"{BAY}/end", reason, Idempotency_Key="1"))[0] == 200
    by = [getattr(r.event, "by", None) for r in await local_house.journal.read(0, bay="109")]
    assert f"local:{ME}" in str(by)


async def test_a_token_counts_before_the_user(local_house: House) -> None:
    async def as_(token: str, path: str) -> int:
        return (await ask(local_house, "GET", path, Authorization=f"Bearer {token}"))[0]

    assert await as_(STAFF, "/api/v1/outbox") == 200
    assert await as_(TECHNICIAN, "/api/v1/outbox") == 403
    assert await as_(SCREEN, "/api/v1/bays/110") == 403
    assert await as_("unknown-0123456789", "/status") == 401


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "http://localhost"},
        {"Origin": "https://evil.example.com"},
        {"Forwarded": "for=203.0.113.7"},
        {"X_Forwarded_For": "203.0.113.7"},
        {"Via": "1.1 proxy"},
    ],
)
async def test_browsers_and_proxies_are_turned_away(local_house: House, header: dict[str, str]) -> None:
    for path in ("/status", BAY):
        status, problem = await ask(local_house, "GET", path, **header)
        assert (status, problem["code"]) == (403, "origin_refused")


async def test_any_host_name_will_do(local_house: House) -> None:
    assert (await ask(local_house, "GET", "/status", Host="bay-pc.example.com"))[0] == 200
    assert (await local_house.ask("GET", "/status", headers={"Host": "bay-pc.example.com"})).status == 421


async def test_tcp_callers_are_nobody_still(local_house: House) -> None:
    assert (await local_house.ask("GET", BAY)).code == "token_missing"


def test_who_is_who() -> None:
    group = os.getegid()
    member, stranger = Peer(STRANGER, frozenset({STRANGER, group})), Peer(STRANGER, frozenset({STRANGER}))
    mine, root = Peer(os.geteuid(), frozenset()), Peer(0, frozenset())
    assert [peer.is_welcome for peer in (member, mine, root)] == [True] * 3
    assert stranger.is_welcome is (os.geteuid() == STRANGER or group == STRANGER)
    both, staff, devices = frozenset({Role.STAFF, Role.TECHNICIAN}), {Role.STAFF}, {Role.TECHNICIAN}
    assert member.actor(both).role is Role.TECHNICIAN
    assert member.actor(frozenset(staff)).role is Role.TECHNICIAN  # and so is refused
    assert member.actor(None).role is Role.TECHNICIAN  # sees no names
    assert root.actor(both).role is root.actor(None).role is Role.STAFF
    assert mine.actor(frozenset(devices)).role is Role.TECHNICIAN
    assert root.actor(both).name == "local:root"
    assert Peer(4_123_456, frozenset()).name == "local:uid-4123456"


# What becomes of the file.


def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path, log = tmp_path / "bayd.sock", SimLog()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    door = LocalSocket(path, log)
    opened = door.open()
    assert opened is not None
    opened.close()
    assert not door.warnings()
    door.close()
    assert not path.exists()


def test_a_living_daemon_keeps_its_socket(tmp_path: Path) -> None:
    path, log = tmp_path / "bayd.sock", SimLog()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        second = LocalSocket(path, log)
        assert second.open() is None
        second.close()
        assert path.exists()
    (warning,) = second.warnings()
    assert warning["code"] == "local_socket_unavailable"
    assert "another process listens there" in warning["text"]


@pytest.mark.parametrize("case", ["a file", "no directory", "too long"])
def test_what_keeps_it_from_opening_is_a_warning_and_no_end(tmp_path: Path, case: str) -> None:
    path, log = tmp_path / "bayd.sock", SimLog()
    if case == "a file":
        path.write_text("kept")
    elif case == "no directory":
        path = tmp_path / "none" / "bayd.sock"
    else:
        path = tmp_path / ("x" * 120)
    door = LocalSocket(path, log)
    assert door.open() is None
    door.close()
    (warning,) = door.warnings()
    assert str(path) in warning["text"]
    assert "http.socket" in warning["text"]
    assert [line[1] for line in log.lines] == ["local_socket_unavailable"]
    if case == "a file":
        assert path.read_text() == "kept"


async def test_switched_off_there_is_none() -> None:
    door = LocalSocket(None, SimLog())
    assert door.open() is None
    assert door.warnings() == []


# Other users are other processes.


def as_stranger(path: Path, target: str, groups: list[int]) -> str:
    """What a process of another user gets to see; forked, for its user may read nothing of ours."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls the kernel and nothing else
        child = os.fork()
    if child == 0:
        told = b"the child failed"
        try:
            os.setgroups(groups)
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(30)
                sock.connect(str(path))
                sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                told = b"".join(iter(lambda: sock.recv(65_536), b""))
        except OSError as error:
            told = type(error).__name__.encode()
        finally:
            os.write(writable, told[:4_096])
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told.decode()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.system
async def test_other_users_by_group_and_mode(closed_house: House, open_directory: Path) -> None:
    path = closed_house.socket = open_directory / "bayd.sock"

    async def told(target: str, *groups: int) -> str:
        return await asyncio.to_thread(as_stranger, path, target, list(groups))

    async with closed_house.open() as house:
        await house.play()
        member = await told(BAY, os.getegid())
        assert " 200 " in member
        assert '"player":null' in member
        assert " 403 " in await told("/api/v1/outbox", os.getegid())
        assert await told("/status") == "PermissionError"
        path.chmod(0o666)  # somebody's mistake
        let_in_by_mistake = await told("/status")
        assert " 403 " in let_in_by_mistake
        assert "user_refused" in let_in_by_mistake
