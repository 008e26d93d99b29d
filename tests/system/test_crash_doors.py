"""The local API across crashes and a failing disk: real processes, real signals, real system calls."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bayd.demo.doors import Doors
from bayd.demo.stage import Stage
from tests.demo.staged import book, heed

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

PATIENCE_S = 30.0


class Bench:
    """A stage with one session in play at bay 101."""

    def __init__(self, stage: Stage, doors: Doors) -> None:
        self.stage = stage
        self.doors = doors

    async def play(self, minutes: int = 60) -> None:
        booked = await book(self.doors, "101", minutes, 500)
        await self.until(lambda bay: bay["booked"] == 1)
        status, _ = await self.doors.type_pin("101", booked.pin)
        assert status == 200

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        bay: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        bay = (await self.doors.status())["bays"]["101"]
                        if holds(bay):
                            return bay
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"waited {PATIENCE_S:g} s in vain: {bay}")

    async def press_and_hang_up(self, act: str, body: dict[str, object], key: str, *, staff: bool) -> None:
        """The request goes out, the answer is never read: the reply is lost on its way."""
        token = self.stage.tokens.staff if staff else self.stage.tokens.screens["101"]
        payload = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stage.ports["bayd"])
        writer.write(
            f"POST /api/v1/bays/101/{act} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        await writer.drain()
        await reader.read(1)  # it has been answered; what else comes is lost
        writer.transport.abort()

    def journal(self, kind: str) -> list[dict[str, object]]:
        db = sqlite3.connect(f"{self.stage.journal.as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT payload FROM events WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        finally:
            db.close()
        return [json.loads(payload) for (payload,) in rows]

    async def paid(self) -> int:
        return int((await self.stage.order("look"))["paid"]["east"])


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with aiohttp.ClientSession() as http, Stage(tmp_path) as stage:
        heed(stage)
        yield Bench(stage, Doors(stage, http))


async def test_a_lost_reply_and_a_kill_pay_once_and_extend_once(bench: Bench) -> None:
    await bench.play()
    await bench.stage.order("wait_for_balls", bay="101", balls=12)
    await bench.press_and_hang_up("dispense", {"balls": 12}, "press-1", staff=False)
    await bench.press_and_hang_up(
        "extend", {"minutes": 5, "amount": 100, "reason": "x"}, "press-2", staff=True
    )
    await bench.stage.stop("bayd", signal.SIGKILL)
    await bench.stage.start("bayd")
    await bench.until(lambda _: True)
    for _ in range(2):
        status, bay = await bench.doors.press("101", "dispense", {"balls": 12}, key="press-1")
        assert status == 200
        body = {"minutes": 5, "amount": 100, "reason": "x"}
        status, bay = await bench.doors.press("101", "extend", body, staff=True, key="press-2")
        assert status == 200
        assert bay["session"]["minutes"] == 65
    await bench.until(lambda bay: bay["balls"]["counted"] == 12 and bay["balls"]["paying"] == 0)
    assert await bench.paid() == 12
    assert len(bench.journal("PayoutRequested")) == 1
    assert len(bench.journal("SessionExtended")) == 1
    status, problem = await bench.doors.press("101", "dispense", {"balls": 13}, key="press-1")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_a_failing_disk_pays_nothing_that_the_journal_does_not_own(bench: Bench) -> None:
    """Each fdatasync from the n-th on may fail once: the press is recorded and paid, or refused and not."""
    await bench.play()
    owed = 0
    for nth in range(1, 5):
        await bench.stage.stop("bayd")
        await bench.stage.start("bayd")
        await bench.until(lambda bay: bay["devices"]["dispenser"]["state"] == "ok")
        tracer = await bench.stage.trace("bayd", f"fdatasync:error=EIO:when={nth}")
        await bench.stage.order("wait_for_balls", bay="101", balls=3)
        status, answer = await bench.doors.press("101", "dispense", {"balls": 3}, key=f"press-{nth}")
        if status == 200:
            owed += 3
        else:
            assert (status, answer["code"]) in ((503, "not_recorded"), (503, "outcome_unknown"))
            await bench.stage.order("stop_waiting", bay="101")
        await bench.until(lambda bay: bay["balls"]["paying"] == 0)
        tracer.terminate()
        await tracer.wait()
        bay = await bench.until(lambda bay: bay["balls"]["counted"] == bay["balls"]["commanded"])
        assert bay["balls"]["commanded"] == owed
        assert await bench.paid() == owed
        assert sum(int(str(e["balls"])) for e in bench.journal("PayoutRequested")) == owed
    assert owed > 0


async def test_at_least_twenty_kills_in_mid_payout_lose_and_double_nothing(bench: Bench) -> None:
    """Killed at any point: what came out is counted, the rest is balance and paid on a new press."""
    await bench.play(minutes=600)
    asked = 0
    for number in range(20):
        await bench.until(
            lambda bay: bay["devices"]["dispenser"]["state"] == "ok" and bay["balls"]["paying"] == 0
        )
        balls = 2 + number % 4
        status, _ = await bench.doors.dispense("101", balls)
        assert status == 200
        asked += balls
        await asyncio.sleep(0.07 * (number % 8))
        await bench.stage.stop("bayd", signal.SIGKILL)
        await bench.stage.start("bayd")
    bay = await bench.until(lambda bay: bay["balls"]["paying"] == 0)
    counters = bay["balls"]
    taken_up = sum(int(str(event["from_balance"])) for event in bench.journal("PayoutRequested"))
    assert counters["commanded"] == asked - taken_up
    assert counters["commanded"] == counters["counted"] + counters["balance"]
    assert counters["unknown"] == 0
    assert counters["counted"] == await bench.paid()
