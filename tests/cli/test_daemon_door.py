"""How commands find the daemon and talk to it: its socket, its URL, and nobody."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bayd.cli.daemon import (
    Daemon,
    DaemonRefusedError,
    Door,
    ServerSentEvent,
    connected,
    daemon_options,
    in_daemon,
)
from bayd.settings.local_socket import SERVICE_SOCKET, socket_of, sockets_of, url_of
from bayd.settings.site import Http, State
from tests.cli.command import Ran, bayd_here, environment
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port

READY = "event=bayd_ready"
TOKEN = "technician-token-0123456789"


@click.command()
@click.option("--config", type=click.Path(path_type=Path))
@click.option("--do", default="status")
@daemon_options
def probe(door: Door, do: str, config: Path | None) -> None:
    """A command as the others are."""
    calls: dict[str, Callable[[Daemon], Any]] = {
        "status": lambda daemon: daemon.get("/status"),
        "outbox": lambda daemon: daemon.get("/api/v1/outbox"),
        "end": lambda daemon: daemon.post("/api/v1/bays/109/end", {"reason": "test"}),
        "short": lambda daemon: daemon.post("/api/v1/bays/109/dispense", {"balls": -1}),
        "where": _where,
    }
    click.echo(json.dumps(in_daemon(door, calls[do])))


async def _where(daemon: Daemon) -> str:
    return daemon.where


def run_probe(*arguments: object, **env: str) -> Ran:
    wanted = environment(env)
    unset = dict.fromkeys(set(os.environ) - set(wanted))
    done = CliRunner(env={**unset, **wanted}).invoke(probe, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


async def first_events(door: Door, count: int) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    async with connected(door) as daemon:
        async for event in daemon.stream("/api/v1/events"):
            events.append(event)
            if len(events) == count:
                break
    return events


def test_a_daemon_is_found_by_its_socket_and_by_its_url(tmp_path: Path) -> None:
    port = free_port()
    config = configuration(tmp_path, port)
    url, sock = f"http://127.0.0.1:{port}", tmp_path / "state" / "bayd.sock"
    with started("run", "--config", config, env={"BAYD_API_TOKENS": f"{TOKEN} technician bo"}) as daemon:
        daemon.wait_for(READY)
        assert json.loads(run_probe("--config", config, "--do", "where").out) == str(sock)
        assert json.loads(run_probe("--do", "where", BAYD_CONFIG=str(config)).out) == str(sock)
        assert json.loads(run_probe("--do", "where", BAYD_SOCKET=str(sock)).out) == str(sock)
        assert json.loads(run_probe("--config", config, "--do", "where", BAYD_URL=url).out) == url
        nobody_yet = bayd_here("staff", "list", "--config", config)
        assert (nobody_yet.code, nobody_yet.out) == (0, "nobody: bayd staff add NAME\n")
        assert bayd_here("outbox", "list", "--config", config).out == "nothing waits\n"
        # The own user is staff over the socket; the technician's token is not, and nobody even less.
        assert json.loads(run_probe("--config", config, "--do", "outbox").out) == {"items": []}
        by_token = run_probe("--url", url, "--do", "outbox", BAYD_TOKEN=TOKEN)
        assert (by_token.code, by_token.err) == (
            1,
            "The role technician may not do this. (role_not_allowed)\n",
        )
        nobody = run_probe("--url", url, "--do", "outbox")
        assert (nobody.code, nobody.err.count("\n")) == (1, 1)
        assert nobody.err.startswith("A bearer token is needed")
        assert nobody.err.endswith("(token_missing)\n")
        assert json.loads(run_probe("--url", url).out)["bays"]["109"]["phase"] == "free"
        # A refusal names the field, and is one line.
        short = run_probe("--config", config, "--do", "short")
        assert short.code == 1
        assert short.err.startswith("balls: ")
        assert short.err.count("\n") == 1
        (opening,) = asyncio.run(first_events(Door((sock,)), 1))
        assert (opening.event, list(opening.json["bays"])) == ("bays", ["109"])
        with pytest.raises(DaemonRefusedError) as refused:
            asyncio.run(first_events(Door((), url), 1))
        assert refused.value.status == 401
        assert daemon.stop() == 0
    assert not sock.exists()


def test_where_nobody_is_the_command_says_what_was_tried(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    url = f"http://127.0.0.1:{free_port()}"
    ran = run_probe("--config", config)
    assert ran.code == 69
    assert f"{tmp_path}/state/bayd.sock: No such file or directory" in ran.err
    assert "systemctl status bayd" in ran.err
    assert "--config FILE or BAYD_CONFIG" in ran.err
    ran = run_probe("--config", config, "--url", url)
    assert ran.code == 69
    assert f"{url}: Connection refused" in ran.err
    assert "bayd.sock" not in ran.err
    assert ran.err.count("\n") == 1


def test_a_named_configuration_that_cannot_be_read_leads_to_no_other_daemon(tmp_path: Path) -> None:
    missing = tmp_path / "nosuch.toml"
    said = (
        f"{missing}: cannot be read: No such file or directory; another file: --config FILE;"
        f" a first one: bayd init --config {missing}\n"
    )
    named = run_probe("--config", missing)
    assert (named.code, named.out, named.err) == (78, "", said)
    by_environment = bayd_here("status", env={"BAYD_CONFIG": str(missing)})
    assert (by_environment.code, by_environment.err) == (78, said)
    # Nobody needs it who says where the daemon is.
    url = f"http://127.0.0.1:{free_port()}"
    elsewhere = bayd_here("status", "--config", missing, "--url", url)
    assert elsewhere.code == 69
    assert f"{url}: Connection refused" in elsewhere.err
    # The usual file may be missing.
    assert Door.of(environment={}).url is None


def test_a_service_that_is_not_bayd_is_an_error_in_one_line() -> None:
    async def serve_and_ask() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, connected(Door((), f"http://127.0.0.1:{port}")) as daemon:
            with pytest.raises(DaemonRefusedError, match="not bayd's"):
                await daemon.get("/status")
            with pytest.raises(DaemonRefusedError, match="not bayd's"):
                await anext(daemon.stream("/api/v1/events"))

    asyncio.run(serve_and_ask())


def test_a_long_line_of_a_stream_comes_whole() -> None:
    data = json.dumps({"x": "y" * 500_000})

    async def serve_and_ask() -> ServerSentEvent:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            if b"/healthz" not in asked:
                writer.write(f": hello\n\nid: 7\nevent: bays\r\ndata: {data}\n\n".encode())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, connected(Door((), f"http://127.0.0.1:{port}")) as daemon:
            events = [event async for event in daemon.stream("/api/v1/events")]
        (event,) = events
        return event

    assert asyncio.run(serve_and_ask()) == ServerSentEvent("bays", data, "7")


# Where it is.


def test_where_the_daemon_opens_it() -> None:
    state = State(dir=Path("/srv/bayd"))
    assert socket_of(Http(), state, {}) == Path("/srv/bayd/bayd.sock")
    assert socket_of(Http(), state, {"RUNTIME_DIRECTORY": "/run/bayd"}) == SERVICE_SOCKET
    assert socket_of(Http(), state, {"RUNTIME_DIRECTORY": "/run/bayd:/run/more"}) == SERVICE_SOCKET
    assert socket_of(Http(socket="/srv/x.sock"), state, {"RUNTIME_DIRECTORY": "/run/bayd"}) == Path(
        "/srv/x.sock"
    )
    assert socket_of(Http(socket="none"), state, {"RUNTIME_DIRECTORY": "/run/bayd"}) is None


@pytest.mark.parametrize(
    ("toml", "found"),
    [
        ('[state]\ndir = "/srv/bayd"', [Path("/srv/bayd/bayd.sock")]),
        ('[http]\nsocket = "/srv/x.sock"\n[state]\ndir = "/srv/bayd"', [Path("/srv/x.sock")]),
        ('[http]\nsocket = "none"', []),
        ("", [SERVICE_SOCKET]),
        ("[http\n", [SERVICE_SOCKET]),
        ("http = 1\nstate = []", [SERVICE_SOCKET]),
    ],
)
def test_where_a_tool_looks_for_it(tmp_path: Path, toml: str, found: list[Path]) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text(toml)
    assert sockets_of(config) == found
    assert sockets_of(tmp_path / "nowhere.toml") == [SERVICE_SOCKET]


@pytest.mark.parametrize("written", ["bayd.sock", "/" + "x" * 107, ""])
def test_what_can_be_no_socket_is_said_by_the_configuration(written: str) -> None:
    with pytest.raises(ValueError, match=r"absolute path|107 bytes"):
        Http(socket=written)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ('["192.0.2.7:9000", "127.0.0.1:9001"]', "http://192.0.2.7:9000"),
        ('["0.0.0.0:9000"]', "http://127.0.0.1:9000"),
        ('["[::]:9000"]', "http://[::1]:9000"),
        ("9000", "http://127.0.0.1:8470"),
    ],
)
def test_tools_read_the_address_from_the_configuration(tmp_path: Path, listen: str, url: str) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text(f"[http]\nlisten = {listen}\n")
    assert url_of(config) == url


def test_without_a_configuration_the_address_is_the_usual_one(tmp_path: Path) -> None:
    assert url_of(tmp_path / "missing.toml") == "http://127.0.0.1:8470"
