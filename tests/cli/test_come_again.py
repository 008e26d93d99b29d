"""A daemon that says "not now": the tools wait as long as it says, and take it for nothing else."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from bayd.cli.daemon import Daemon, DaemonRefusedError, Door, connected
from bayd.cli.held import find_held

LIMITED = (429, 2, {"code": "too_many_requests", "detail": "Too many requests."})
BUSY = (503, 2, {"code": "busy", "detail": "Too much waits."})
Answer = tuple[int, int | None, object]


@dataclass(slots=True)
class Saying:
    """A daemon at a unix socket that answers in order; the last answer for ever."""

    answers: Sequence[Answer]
    asked: list[tuple[float, str, str | None]] = field(default_factory=list)  # when, which line, its key

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _read_head(reader):
            text = head.decode()
            if length := re.search(r"(?i)content-length: (\d+)", text):
                await reader.readexactly(int(length[1]))
            key = re.search(r"(?i)idempotency-key: (\S+)", text)
            now = asyncio.get_running_loop().time()
            status, retry_after_s, document = self.answers[min(len(self.asked), len(self.answers) - 1)]
            self.asked.append((now, text.partition(" HTTP")[0], key and key[1]))
            raw = json.dumps(document).encode()
            again = "" if retry_after_s is None else f"Retry-After: {retry_after_s}\r\n"
            kind = "Content-Type: application/json\r\n"
            if isinstance(document, str):
                raw, kind = document.encode(), "Content-Type: text/event-stream\r\nConnection: close\r\n"
            writer.write(
                f"HTTP/1.1 {status} X\r\n{kind}{again}Content-Length: {len(raw)}\r\n\r\n".encode() + raw
            )
            await writer.drain()
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def daemon_saying(path: Path, *answers: Answer) -> AsyncIterator[tuple[Saying, Daemon]]:
    saying = Saying(answers)
    server = await asyncio.start_unix_server(saying.answer, str(path))
    async with server, connected(Door((path,))) as daemon:
        yield saying, daemon
    await asyncio.sleep(0)


@pytest.mark.virtual_time
async def test_who_is_turned_away_waits_and_comes_again_under_the_same_key(quick_path: Path) -> None:
    async with daemon_saying(quick_path / "s", LIMITED, LIMITED, (200, None, {"ok": 1})) as (saying, daemon):
        assert await daemon.post("/x", {"balls": 1}) == {"ok": 1}
    times, lines, keys = zip(*saying.asked, strict=True)
    assert lines == ("POST /x",) * 3
    assert [later - earlier for earlier, later in pairwise(times)] == [2.0, 2.0]
    assert len(set(keys)) == 1


@pytest.mark.virtual_time
async def test_a_stream_waits_for_its_turn_but_not_for_a_place(quick_path: Path) -> None:
    full = (429, 2, {"code": "too_many_streams", "detail": "Too many."})
    event = (200, None, "event: bays\ndata: 1\n\n")
    async with daemon_saying(quick_path / "s", LIMITED, event, full) as (saying, daemon):
        assert [one.data async for one in daemon.stream("/x")] == ["1"]
        with pytest.raises(DaemonRefusedError, match="too_many_streams"):
            await anext(daemon.stream("/x"))
    assert len(saying.asked) == 3


@pytest.mark.virtual_time
async def test_a_question_is_repeated_when_the_daemon_is_busy_and_a_change_is_not(quick_path: Path) -> None:
    async with daemon_saying(quick_path / "s", BUSY, (200, None, []), BUSY) as (saying, daemon):
        assert await daemon.get("/x") == []
        with pytest.raises(DaemonRefusedError, match="busy"):
            await daemon.post("/x")
    assert [line for _, line, _ in saying.asked] == ["GET /x", "GET /x", "POST /x"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (LIMITED, 5),  # not for ever
        ((429, 60, LIMITED[2]), 1),  # longer than anybody looks at a silent prompt
        ((429, None, LIMITED[2]), 1),
        ((503, None, BUSY[2]), 1),
        ((409, 2, {"code": "no", "detail": "No."}), 1),
    ],
)
async def test_how_often_a_refusal_is_asked_again(quick_path: Path, answer: Answer, times: int) -> None:
    async with daemon_saying(quick_path / "s", answer) as (saying, daemon):
        with pytest.raises(DaemonRefusedError):
            await daemon.get("/x")
    assert len(saying.asked) == times


@pytest.mark.parametrize(
    ("answers", "held"),
    [
        ([(429, 0, LIMITED[2]), (200, None, {"devices": [{"link": "/dev/x"}]})], 1),
        ([(403, None, {"code": "role_not_allowed", "detail": "Not you."})], 0),
        ([(404, None, {"code": "not_found", "detail": "Nothing here."})], 0),
        ([(429, 0, LIMITED[2])], None),
        ([(500, None, {"code": "internal", "detail": "Broken."})], None),
    ],
)
def test_a_daemon_that_is_busy_is_no_free_port(
    quick_path: Path, capsys: pytest.CaptureFixture[str], answers: list[Answer], held: int | None
) -> None:
    path = quick_path / "s"
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_unix_server(Saying(answers).answer, str(path)))
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        if held is None:
            with pytest.raises(SystemExit) as left:
                find_held(Door((path,)))
            assert left.value.code == 1
            assert str(answers[0][2]["code"]) in capsys.readouterr().err  # type: ignore[index]
        else:
            assert len(find_held(Door((path,))).devices) == held
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
