"""Asking the central server for its antennas: how often, and what is done with each kind of answer."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from bayd.clients.central import AntennaPair, CentralClient
from bayd.journal import InlineJournalExecutor, Journal
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import HttpResponse, TransportError
from bayd.reconcile.asked_listing import AskedListing
from bayd.reconcile.kept_listing import KeptListing
from tests.journal.world import Fault, FaultyDisk
from tests.simulation.world import SimClock, SimLog

pytestmark = pytest.mark.virtual_time

AWAY = TransportError("refused", sent=False)
NO_ROUTE = HttpResponse(404, {"content-type": "text/html"}, b"Cannot GET /reader/antennaPairs")


class Server:
    """Answers each question with the next of `answers`, then with the last one again."""

    def __init__(self, *answers: HttpResponse | TransportError) -> None:
        self._answers = list(answers)
        self.asked_at: list[float] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        self.asked_at.append(asyncio.get_running_loop().time())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, TransportError):
            raise answer
        return answer


def listing(*readers: Mapping[str, object]) -> HttpResponse:
    body = json.dumps({"success": True, "data": readers}).encode()
    return HttpResponse(200, {"content-type": "application/json"}, body)


WEST = {
    "readerID": "west",
    "readerType": "bay",
    "noOfAntennas": "8",
    "antennas": [{"name": "west_3", "port": 3, "active": True, "power": "20", "location": "101"}],
}


async def heard(
    server: Server, seconds: float
) -> tuple[list[tuple[AntennaPair, ...]], AskedListing[AntennaPair], SimLog]:
    taken: list[tuple[AntennaPair, ...]] = []
    log = SimLog()
    client = CentralClient(server, "http://central.example.com", log=log)
    poller = AskedListing(client.antenna_pairs, taken.append, every_s=60, log=log)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(poller.run(), name="antenna-pairs")
        await asyncio.sleep(seconds)
        task.cancel()
    return taken, poller, log


async def test_each_minute_while_it_answers_and_sooner_after_a_failure() -> None:
    server = Server(AWAY, HttpResponse(500, {}, b""), listing(WEST))
    taken, _, _ = await heard(server, 150)
    assert server.asked_at == [0, 10, 20, 80, 140]
    assert [pair.antennas[0].location for (pair,) in taken] == ["101"] * 3


async def test_a_server_without_the_call_is_told_once_and_asked_each_hour() -> None:
    server = Server(NO_ROUTE, NO_ROUTE, listing(WEST))
    taken, poller, log = await heard(server, 4000)
    assert (server.asked_at, taken) == ([0, 3600], [])
    assert poller.missing
    assert log.events().count("central_capability_missing") == 1


async def test_the_last_answer_holds_over_a_restart(tmp_path: Path) -> None:
    """Also when it could not be written at once, and not when another release had kept something else."""
    disk = FaultyDisk()
    executor, clock = InlineJournalExecutor(), SimClock()

    async def life(server: Server, seconds: float) -> list[tuple[AntennaPair, ...]]:
        taken: list[tuple[AntennaPair, ...]] = []
        log = SimLog()
        client = CentralClient(server, "http://central.example.com", log=log)
        journal = await Journal.open(
            tmp_path / "journal.db", executor, BayEventCodec(), clock=clock, connect=disk.connect
        )
        kept = KeptListing(journal, "antenna_pairs", AntennaPair)
        asked = AskedListing(client.antenna_pairs, taken.append, every_s=60, kept=kept, log=log)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(asked.run(), name="antenna-pairs")
            await asyncio.sleep(seconds)
            task.cancel()
        await journal.aclose()
        return taken

    assert await life(Server(AWAY), 1) == []
    disk.faults.append(Fault("INSERT OR REPLACE INTO kept"))
    told, again = await life(Server(listing(WEST)), 61)
    assert (told, disk.faults) == (again, [])
    assert await life(Server(AWAY), 30) == [told]
    # The server's word goes before what is kept, and takes its place.
    moved = listing({**WEST, "antennas": []})
    assert [len(pairs[0].antennas) for pairs in await life(Server(AWAY, moved), 30)] == [1, 0]
    assert [len(pairs[0].antennas) for pairs in await life(Server(AWAY), 1)] == [0]
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("UPDATE kept SET text = '[{\"reader\": 1}]'")
    db.commit()
    db.close()
    assert await life(Server(AWAY), 1) == []


async def test_an_antenna_that_cannot_be_read_is_counted() -> None:
    """Nothing is known of it, its port included: the answer is not whole."""
    odd = {**WEST, "antennas": [*WEST["antennas"], {"name": "west_4", "port": "four"}]}
    ((pair,),), _, _ = await heard(Server(listing(odd)), 1)
    assert (len(pair.antennas), pair.unreadable) == (1, 1)
