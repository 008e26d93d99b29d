"""How commands talk to the running daemon: by its unix socket, else by its URL with a token.

The socket needs no token: the kernel says who asks. `--url` or BAYD_URL chooses HTTP, where the token is in
BAYD_TOKEN. Who asks too often is told when to come again, and comes again.

    @click.command()
    @daemon_options
    def outbox_list(door: Door) -> None:
        items = in_daemon(door, lambda daemon: daemon.get("/api/v1/outbox"))["items"]
"""

import asyncio
import errno
import functools
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from bayd.cli.options import CONFIG, CONFIG_DEFAULT, FILE, refuse_unreadable

if TYPE_CHECKING:
    import aiohttp

URL_DEFAULT = "http://127.0.0.1:8470"
_CONNECT_S = 3.0
_ATTEMPTS = 5  # of a request that is told to come again
_RETRY_AFTER_MAX_S = 10  # whoever must wait longer is told, instead of sitting before a silent prompt

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class DaemonUnreachableError(Exception):
    """Nobody answers; the message says where it was tried and what to do."""


class DaemonRefusedError(Exception):
    """The daemon answered with a problem document, or with something that is not its own."""

    def __init__(
        self,
        status: int,
        problem: Mapping[str, Any],
        advice: str = "",
        *,
        retry_after_s: int | None = None,
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.code = str(problem.get("code", "not_bayd"))
        self.text = str(problem.get("detail", "the answer is not bayd's"))
        self.field: str | None = problem.get("field")
        self.problem = dict(problem)
        where = "" if self.field is None else f"{self.field}: "
        super().__init__(f"{where}{self.text} ({self.code}){advice and f'; {advice}'}")

    def may_come_again(self, method: str) -> bool:
        """A 429 is said before anything is done; after a 503 a change may have been made all the same."""
        if self.retry_after_s is None or self.retry_after_s > _RETRY_AFTER_MAX_S:
            return False
        harmless = self.status == HTTPStatus.SERVICE_UNAVAILABLE and method == "GET"
        return harmless or self.status == HTTPStatus.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class Door:
    """Where the daemon is looked for."""

    sockets: tuple[Path, ...] = ()
    url: str | None = None  # None: the usual one, when no socket answers
    token: str | None = field(default=None, repr=False)
    usual_url: str = URL_DEFAULT

    @classmethod
    def of(cls, config: Path = CONFIG_DEFAULT, environment: Mapping[str, str] | None = None) -> "Door":
        """As configuration and environment say."""
        from bayd.settings.local_socket import sockets_of, url_of

        environment = os.environ if environment is None else environment
        url, token = environment.get("BAYD_URL"), environment.get("BAYD_TOKEN")
        if socket := environment.get("BAYD_SOCKET"):
            return cls((Path(socket),), None, token)
        if url:
            return cls((), url, token)
        refuse_unreadable(config)
        return cls(tuple(sockets_of(config)), None, token, url_of(config))


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """Of a stream (WHATWG HTML, section 9.2)."""

    event: str
    data: str
    id: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Daemon:
    """An open way to the daemon. `where` says which, for people."""

    def __init__(self, session: "aiohttp.ClientSession", where: str, advice: str = "") -> None:
        self.where = where
        self._session = session
        self._advice = advice  # for whom the daemon does not know

    async def get(self, path: str, *, timeout_s: float = 10.0) -> Any:
        """Raises DaemonRefusedError, DaemonUnreachableError."""
        return await self.ask("GET", path, timeout_s=timeout_s)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
    ) -> Any:
        """Under a fresh Idempotency-Key unless one is given. Raises as `get`."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return await self.ask("POST", path, body or {}, headers=headers, timeout_s=timeout_s)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Any:
        """`timeout_s` holds for each attempt. Raises as `get`."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._ask_once(method, path, body, headers, timeout_s)
            except DaemonRefusedError as error:
                if not error.may_come_again(method):
                    raise
                await asyncio.sleep(error.retry_after_s or 0)
        return await self._ask_once(method, path, body, headers, timeout_s)

    async def _ask_once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        timeout_s: float,
    ) -> Any:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(
                method, path, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return self._document(response, await response.read())
        except TimeoutError:
            text = f"no answer from {self.where} within {timeout_s:g} s; whether it was done is not known"
            raise DaemonUnreachableError(text if method != "GET" else text.partition(";")[0]) from None
        except (aiohttp.ClientError, OSError) as error:
            raise DaemonUnreachableError(f"{self.where}: {_reason(error)}") from error

    async def stream(self, path: str, *, last_event_id: str | None = None) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events until the daemon ends the stream. Raises as `get`."""
        import aiohttp

        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            for attempts_left in reversed(range(_ATTEMPTS)):
                async with self._session.get(path, headers=headers, timeout=timeout) as response:
                    if response.content_type == "text/event-stream":
                        async for event in _events(response.content):
                            yield event
                        return
                    refusal = self._refused(response, await response.read())
                # A place among the streams may be long in coming: who wants one is told.
                limited = refusal.code == "too_many_requests" and refusal.may_come_again("GET")
                if not limited or not attempts_left:
                    raise refusal
                await asyncio.sleep(refusal.retry_after_s or 0)
        except (aiohttp.ClientError, OSError) as error:
            raise DaemonUnreachableError(f"{self.where}: {_reason(error)}") from error

    def _document(self, response: "aiohttp.ClientResponse", raw: bytes) -> Any:
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refused(response, raw)
        try:
            return json.loads(raw) if raw else None
        except ValueError:
            raise self._refused(response, raw) from None

    def _refused(self, response: "aiohttp.ClientResponse", raw: bytes) -> DaemonRefusedError:
        try:
            problem = json.loads(raw)
        except ValueError:
            problem = None
        advice = self._advice if response.status == HTTPStatus.UNAUTHORIZED else ""
        return DaemonRefusedError(
            response.status,
            problem if isinstance(problem, dict) else {},
            advice,
            retry_after_s=_seconds(response.headers.get("Retry-After", "")),
        )


@asynccontextmanager
async def connected(door: Door, *, guess_url: bool = True) -> AsyncIterator[Daemon]:
    """The first socket that answers, else the URL. Raises DaemonUnreachableError.

    `guess_url` False: the usual URL only where somebody named it or has a token for it.
    """
    import aiohttp

    tried: list[str] = []
    for path in door.sockets:
        problem = await _knock(path)
        if problem is None:
            connector = aiohttp.UnixConnector(str(path))
            # A token that is there for HTTP would only make less of root.
            async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
                yield Daemon(session, str(path))
            return
        tried.append(f"{path}: {problem}")
    if not guess_url and door.url is None and door.token is None:
        raise DaemonUnreachableError(_unreachable(tried))
    url = (door.url or door.usual_url).rstrip("/")
    headers = {} if door.token is None else {"Authorization": f"Bearer {door.token}"}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        try:
            async with session.get("/healthz", timeout=aiohttp.ClientTimeout(total=_CONNECT_S)):
                pass
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise DaemonUnreachableError(_unreachable([*tried, f"{url}: {_reason(error)}"])) from error
        yield Daemon(session, url, _advice(tried) or _other_ways(tried))


def in_daemon(door: Door, work: Callable[[Daemon], Awaitable[T]], *, guess_url: bool = True) -> T:
    """Run `work`; what the daemon refuses ends the process with one line and 1, unreachable with 69."""

    async def go() -> T:
        async with connected(door, guess_url=guess_url) as daemon:
            return await work(daemon)

    try:
        return asyncio.run(go())
    except DaemonUnreachableError as error:
        leave(os.EX_UNAVAILABLE, str(error))
    except DaemonRefusedError as error:
        leave(1, str(error))


def daemon_options(command: F) -> F:
    """`--socket` and `--url`, and with a `--config` of the command also what that says: `door: Door`."""

    @click.option("--socket", type=FILE, help="The daemon's unix socket. [default: as configured]")
    @click.option("--url", help="Ask over HTTP instead, with the token in BAYD_TOKEN. [env: BAYD_URL]")
    @functools.wraps(command)
    def with_door(*arguments: Any, socket: Path | None, url: str | None, **more: Any) -> Any:
        given = more.get("config") or os.environ.get("BAYD_CONFIG")
        token = os.environ.get("BAYD_TOKEN")
        if socket is not None:
            door = Door((socket,), None, token)
        elif url is not None:
            door = Door((), url, token)
        else:
            door = Door.of(CONFIG_DEFAULT if given is None else Path(given))
        return command(*arguments, door=door, **more)

    return with_door  # type: ignore[return-value]


def door_options(command: F) -> F:
    """As `daemon_options`, with a `--config` for nothing but the door."""

    @CONFIG
    @daemon_options
    @functools.wraps(command)
    def without_config(*arguments: Any, config: Path, **more: Any) -> Any:
        del config
        return command(*arguments, **more)

    return without_config  # type: ignore[return-value]


def _seconds(retry_after: str) -> int | None:
    """A date, the other form (RFC 9110, section 10.2.3), bayd does not send."""
    return int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


async def _events(content: "aiohttp.StreamReader") -> AsyncIterator[ServerSentEvent]:
    name, identity, data = "message", None, list[str]()
    async for line in _lines(content):
        if not line and data:
            yield ServerSentEvent(name, "\n".join(data), identity)
            name, data = "message", []
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match key:
            case "event":
                name = value
            case "id":
                identity = value
            case "data":
                data.append(value)
            case _:
                pass  # a comment keeps the connection alive


async def _lines(content: "aiohttp.StreamReader") -> AsyncIterator[str]:
    """However long: all bays of a big range are one line, and aiohttp's own bound is lower."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode().rstrip("\r")


async def _knock(path: Path) -> str | None:
    """Why nobody opens; None: somebody does."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_unix_connection(str(path))
    except TimeoutError:
        return "does not answer"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    writer.close()
    return None


def _unreachable(tried: list[str]) -> str:
    advice = _advice(tried) or (
        "is it running? systemctl status bayd; another configuration: --config FILE or BAYD_CONFIG"
    )
    return f"no bayd answers ({'; '.join(tried)}); {advice}"


def _advice(tried: list[str]) -> str:
    """To whom the socket is there, but closed."""
    if not any(problem.endswith(os.strerror(errno.EACCES)) for problem in tried):
        return ""
    return (
        "its socket is for root and the members of its group: use sudo, or once `sudo usermod -aG bayd USER` "
        "and log in again, or set a token in BAYD_TOKEN"
    )


def _other_ways(tried: list[str]) -> str:
    """To whom the daemon answers over HTTP, for want of its socket."""
    if not tried:
        return ""
    return (
        f"its socket was not found ({'; '.join(tried)}): say where with --socket (bayd.sock in state.dir) or "
        "BAYD_CONFIG, or set a token in BAYD_TOKEN"
    )


def _reason(error: BaseException) -> str:
    """Without the URL, which aiohttp's own texts repeat."""
    if isinstance(error, TimeoutError):
        return "no answer"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else type(error).__name__


def leave(code: int, text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
