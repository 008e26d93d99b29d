"""A hundred screens on event streams: how soon all of them see a change, and what holds the loop up.

The daemon is a process of its own, with its journal on a disk and a web session for each screen; this process
reads all streams. A change is a press at the bay; it counts as seen by all when the last screen has
the whole message. Three cases: all read; one of them stops reading while the presses go on, until it is
dropped; and while the changes go on a screen is switched on ten times, with all its files and modules up to
the first message of its stream, and each staff page is opened as often. The loop's longest block is measured
inside the daemon's own process, by a beat of a millisecond.

Run: `python -m tests.bench.bench_screens [--json] [--screens N] [--changes N] [--pace-s S] [--dir DIR]`.
"""

import argparse
import asyncio
import json
import posixpath
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from bayd.core.inputs import Role
from bayd.journal import ThreadJournalExecutor
from bayd.runtime.clock import SystemClock
from bayd.web.events import StreamLimits
from bayd.web.limits import Rate, RateLimits
from tests.web.house import STAFF, House

BAY = "109"
PACE_S = 0.02  # between two presses: a busy Saturday of a hundred bays has one or two a second
BEAT_S = 0.001
_PATIENCE_S = 120.0
_LOOSE = Rate(100_000, 1_000_000)
_ASSET = re.compile(r'(?:src|href)="(/[^"]+)"')
_IMPORT = re.compile(r'(?m)^(?:import|export)[^"]*"(\.[^"]+)";')
STAFF_PAGES = ("/", "/day", "/handover", "/devices")


@dataclass(frozen=True, slots=True)
class Figures:
    case: str
    screens: int
    changes: int
    median_ms: float  # from the press until all have it
    p99_ms: float
    worst_ms: float
    cut_off: int  # screens that the daemon dropped
    missed: int  # changes that a screen that reads has not seen
    longest_block_ms: float  # of the daemon's loop


@dataclass(frozen=True, slots=True)
class Measured:
    """What the daemon's process knows."""

    cut_off: int
    longest_block_ms: float


# The daemon's process: orders come on stdin, one JSON a line, and are answered so.


class Beat:
    """The longest time for which the loop did not turn."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(BEAT_S)
            now = loop.time()
            self.longest_s = max(self.longest_s, now - before - BEAT_S)
            before = now


async def serve(directory: Path, screens: int) -> None:
    house = House(directory / "journal.db")
    house.clock = SystemClock("bench")  # type: ignore[assignment] # real time
    house.executor = ThreadJournalExecutor()
    house.limits = RateLimits(requests=_LOOSE)
    house.stream_limits = StreamLimits(viewers=screens + 8, viewers_per_caller=screens + 8)
    house.rules = {str(109 + n): house.rules["109"] for n in range(screens)}
    async with house.open():
        await house.play(BAY)
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        cookies = [await house.let_in(bay=BAY) for _ in range(screens)]
        _say({"port": house.port, "cookies": cookies, "staff": await house.let_in(Role.STAFF, None)})
        beat = Beat()
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(beat.run(), name="beat")
            while line := await orders.readline():
                if line.strip() == b"begin":
                    beat.longest_s = 0.0
                _say(asdict(Measured(house.streams.cut_off, beat.longest_s * 1000)))
            beating.cancel()
    house.executor.close()


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


# This process: the screens.


class Screen:
    """Reads one stream; knows when it had each change."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}  # number of the event -> when
        self.grown = asyncio.Event()
        self.open = asyncio.Event()

    async def run(self, http: aiohttp.ClientSession, url: str, cookie: str) -> None:
        headers = {"Cookie": cookie}
        with suppress(aiohttp.ClientError, ConnectionError):
            async with http.get(f"{url}/api/v1/events", headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                name, number = "", 0
                async for line in answer.content:
                    if line == b"\n":
                        if name == "bays":
                            self.open.set()
                        elif number:
                            self.seen[number] = time.perf_counter()
                            self.grown.set()
                        name, number = "", 0
                    elif line.startswith(b"event: "):
                        name = line[7:-1].decode()
                    elif line.startswith(b"id: "):
                        number = int(line[4:])


async def deaf_screen(port: int, cookie: str) -> socket.socket:
    """Opens a stream and never reads it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    return sock


class Daemon:
    """The other process, and the way to it."""

    def __init__(self, process: asyncio.subprocess.Process, http: aiohttp.ClientSession) -> None:
        self._process = process
        self._http = http
        self._presses = 0
        self.url = ""
        self.port = 0
        self.cookies: list[str] = []
        self.staff = ""

    async def ready(self) -> None:
        said = await self._hear()
        self.port, self.cookies, self.staff = said["port"], said["cookies"], said["staff"]
        self.url = f"http://127.0.0.1:{self.port}"

    async def ask(self, order: str) -> Measured:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return Measured(**await self._hear())

    async def _hear(self) -> dict:  # type: ignore[type-arg]
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line, "the daemon's process ended"
        return json.loads(line)  # type: ignore[no-any-return]

    async def press(self) -> float:
        """A change at the bay; when it was sent."""
        self._presses += 1
        act = ("help", "help/acknowledge")[(self._presses + 1) % 2]
        headers = {
            "Authorization": f"Bearer {STAFF}",
            "Idempotency-Key": f"bench-{self._presses}",
        }
        began = time.perf_counter()
        async with self._http.post(f"{self.url}/api/v1/bays/{BAY}/{act}", json={}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        return began

    async def load_page(self, cookie: str) -> None:
        """A screen that is switched on: the document, its files, and the stream until its first message."""
        headers = {"Cookie": cookie}
        async with self._http.get(f"{self.url}/bay/{BAY}", headers=headers) as answer:
            assert answer.status == 200
            text = await answer.text()
        wanted, had = sorted(set(_ASSET.findall(text))), set[str]()
        while wanted:
            path = wanted.pop()
            had.add(path)
            async with self._http.get(f"{self.url}{path}", headers=headers) as answer:
                file = await answer.read()
                assert answer.status == 200, path
            if path.endswith(".js"):
                imports = (
                    posixpath.join(posixpath.dirname(path), one) for one in _IMPORT.findall(file.decode())
                )
                wanted += {posixpath.normpath(one) for one in imports} - had - set(wanted)
        assert sum(path.endswith(".js") for path in had) > 5, "its modules"
        async with self._http.get(f"{self.url}/api/v1/events", headers=headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    break

    async def open_staff_pages(self) -> None:
        for path in STAFF_PAGES:
            async with self._http.get(f"{self.url}{path}", headers={"Cookie": self.staff}) as answer:
                assert answer.status == 200, path
                assert b"anna" in await answer.read(), "signed in"


@asynccontextmanager
async def daemon(directory: Path, screens: int) -> AsyncIterator[Daemon]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.bench_screens", "--serve", str(directory), "--screens", str(screens)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as http:
            one = Daemon(process, http)
            await one.ready()
            yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(case: str, screens: int, changes: int, pace_s: float, directory: Path) -> Figures:
    """`case`: "all read", "one stops reading", "pages load"."""
    async with daemon(directory, screens) as bayd, asyncio.TaskGroup() as tasks:
        viewers = [Screen() for _ in range(screens)]
        readers = [
            tasks.create_task(viewer.run(bayd._http, bayd.url, cookie), name="screen")
            for viewer, cookie in zip(viewers, bayd.cookies, strict=True)
        ]
        async with asyncio.timeout(_PATIENCE_S):
            for viewer in viewers:
                await viewer.open.wait()
        deaf = await deaf_screen(bayd.port, bayd.cookies[0]) if case == "one stops reading" else None
        await bayd.ask("begin")
        loading = None
        if case == "pages load":

            async def load() -> None:
                for _ in range(10):
                    await bayd.load_page(bayd.cookies[0])
                    await bayd.open_staff_pages()

            loading = tasks.create_task(load(), name="pages")
        sent: list[float] = []
        while len(sent) < changes or (loading is not None and not loading.done()):
            sent.append(await bayd.press())
            await asyncio.sleep(pace_s)
            if deaf is not None and len(sent) == changes and not (await bayd.ask("so far")).cut_off:
                changes += 50  # until its buffers are full
                assert changes < 20_000, "a screen that does not read is not dropped"
        async with asyncio.timeout(_PATIENCE_S):
            for viewer in viewers:
                while len(viewer.seen) < len(sent):
                    viewer.grown.clear()
                    await viewer.grown.wait()
        measured = await bayd.ask("end")
        for reader in readers:
            reader.cancel()
        if deaf is not None:
            deaf.close()
    return _figures(case, viewers, sent, measured)


def _figures(case: str, viewers: Sequence[Screen], sent: list[float], measured: Measured) -> Figures:
    numbers = sorted(viewers[0].seen)
    missed = sum(len(set(numbers) - set(viewer.seen)) for viewer in viewers)
    took = sorted(
        max(viewer.seen[number] for viewer in viewers if number in viewer.seen) - began
        for number, began in zip(numbers, sent, strict=True)
    )
    return Figures(
        case,
        len(viewers),
        len(sent),
        round(statistics.median(took) * 1000, 2),
        round(took[min(len(took) - 1, int(len(took) * 0.99))] * 1000, 2),
        round(took[-1] * 1000, 2),
        measured.cut_off,
        missed,
        round(measured.longest_block_ms, 2),
    )


def run(screens: int, changes: int, pace_s: float, directory: Path | None) -> list[Figures]:
    figures = []
    for case in ("all read", "one stops reading", "pages load"):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            figures.append(asyncio.run(measure(case, screens, changes, pace_s, Path(scratch))))
    return figures


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--json", action="store_true")
    options.add_argument("--screens", type=int, default=100)
    options.add_argument("--changes", type=int, default=500)
    options.add_argument("--pace-s", type=float, default=PACE_S, help="between two changes")
    options.add_argument("--dir", type=Path, help="on the disk to be measured")
    options.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    if chosen.serve is not None:
        asyncio.run(serve(chosen.serve, chosen.screens))
        return
    figures = run(chosen.screens, chosen.changes, chosen.pace_s, chosen.dir)
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(one) for one in figures], indent=2) + "\n")
        return
    for one in figures:
        sys.stdout.write(f"{one.case}:\n")
        for name, value in asdict(one).items():
            if name != "case":
                sys.stdout.write(f"    {name:20} {value:>10,}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
