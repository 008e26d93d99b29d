"""What the daemon lets out while a test runs, and what must not be in it: a rule for the whole suite.

Whoever makes a secret for a test (a booking's PIN, the number of a screen's phone) names it with
`keep_secret`. Heard are the log lines of the fakes, every byte that a daemon's HTTP service sends (answers,
pages, metrics, streams), the addresses that its clients ask, what its processes say, and all that pytest
captured. Of a daemon in a process of its own: the log that is named with `read_log`, and what it answers at
the port that is named with `listen_to`. After each test none of its secrets may be in any of that.
`tests/conftest.py` hooks it in.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.web_protocol import RequestHandler

# Not those in the middle of an id, nor how long an answer is: with many PINs some are bound to be there.
_SIX_DIGITS = re.compile(r"(?<![0-9a-f.])(?<!Content-Length: )(?<!Content-Length', b')[0-9]{6}(?![0-9a-f])")
_SHORTEST = 8  # of a secret that is no PIN: a shorter one would be found by chance
_SERVICE = "bayd.web.wire"  # the logger of the daemon's listener, and of no reference service's


class LetOut:
    """What was heard in one test, and its secrets."""

    def __init__(self) -> None:
        self._heard: defaultdict[str, list[str]] = defaultdict(list)
        self._pins: set[str] = set()
        self._others: set[str] = set()
        self._logs: dict[Path, None] = {}
        self._ports: set[int] = set()

    def clear(self) -> None:
        self._heard.clear()
        self._pins.clear()
        self._others.clear()
        self._logs.clear()
        self._ports.clear()

    def keep_secret(self, *secrets: str | None) -> None:
        for secret in secrets:
            if secret is None:
                continue
            if re.fullmatch(r"[0-9]{6}", secret):
                self._pins.add(secret)
            else:
                assert len(secret) >= _SHORTEST, "too short to be told from any other text"
                self._others.add(secret)

    def hear(self, where: str, text: str) -> None:
        self._heard[where].append(text)

    def read_log(self, file: Path) -> None:
        """Of a process; it is read when the test is over."""
        self._logs[file] = None

    def listen_to(self, port: int) -> None:
        """A daemon answers there, and this process asks."""
        self._ports.add(port)

    def listens_to(self, port: int | None) -> bool:
        return port in self._ports

    def heard(self, where: str) -> str:
        return "".join(self._heard[where])

    def leaks(self) -> list[str]:
        """Where a secret was let out, and a piece of the text around it."""
        found = []
        texts = {where: self.heard(where) for where in list(self._heard)}
        texts |= {str(file): file.read_text(errors="replace") for file in self._logs if file.exists()}
        for where, text in texts.items():
            at = [match.start() for match in _SIX_DIGITS.finditer(text) if match.group() in self._pins]
            at += [text.find(secret) for secret in self._others if secret in text]
            found += [f"{where}: …{text[max(0, place - 120) : place + 60]!r}…" for place in at[:5]]
        return found


LET_OUT = LetOut()
keep_secret = LET_OUT.keep_secret
hear = LET_OUT.hear
read_log = LET_OUT.read_log
listen_to = LET_OUT.listen_to


@contextmanager
def listening() -> Iterator[None]:
    """Every byte that a listener of the daemon sends is heard, and what is read of another process's."""
    transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    write, writelines = transport.write, transport.writelines

    def is_ours(one: Any) -> bool:
        protocol = one.get_protocol()
        return isinstance(protocol, RequestHandler) and protocol.logger.name == _SERVICE

    def heard_write(self: Any, data: bytes) -> None:
        if is_ours(self):
            hear("http", bytes(data).decode("utf-8", "replace"))
        write(self, data)

    def heard_writelines(self: Any, parts: Any) -> None:
        parts = list(parts)
        if is_ours(self):
            hear("http", b"".join(parts).decode("utf-8", "replace"))
        writelines(self, parts)

    async def heard_start(self: Any, request: Any) -> Any:
        """The body before it is compressed."""
        if request.protocol.logger.name == _SERVICE and isinstance(self.body, bytes):
            hear("http", self.body.decode("utf-8", "replace"))
        return await start(self, request)

    async def heard_read(self: ClientResponse) -> bytes:
        body = await read(self)
        if LET_OUT.listens_to(self.url.port):
            hear("answer of a process", f"{self.raw_headers}\n{body.decode('utf-8', 'replace')}\n")
        return body

    read, ClientResponse.read = ClientResponse.read, heard_read  # type: ignore[method-assign]
    start, web.Response._start = web.Response._start, heard_start  # type: ignore[method-assign]
    transport.write, transport.writelines = heard_write, heard_writelines
    try:
        yield
    finally:
        ClientResponse.read = read  # type: ignore[method-assign]
        web.Response._start = start  # type: ignore[method-assign]
        transport.write, transport.writelines = write, writelines


# Hooks


@pytest.fixture(autouse=True, scope="session")
def _listening() -> Iterator[None]:
    with listening():
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    LET_OUT.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when != "setup":
        _judge(report)
    return report


def _judge(report: pytest.TestReport) -> None:
    if report.passed:
        for name, text in report.sections:
            hear(name, text)
    leaks = LET_OUT.leaks()
    if leaks and report.passed:
        report.outcome = "failed"
        report.longrepr = "a secret was let out:\n" + "\n".join(leaks)
