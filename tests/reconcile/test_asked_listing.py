"""Asking the central server for its antennas: how often, and what is done with each kind of answer."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from bayd.clients.central import AntennaPair, CentralClient
from bayd.ports import HttpResponse, TransportError
from bayd.reconcile.asked_listing import AskedListing
from tests.simulation.world import SimLog

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


async def test_an_antenna_that_cannot_be_read_is_counted() -> None:
    """Nothing is known of it, its port included: the answer is not whole."""
    odd = {**WEST, "antennas": [*WEST["antennas"], {"name": "west_4", "port": "four"}]}
    ((pair,),), _, _ = await heard(Server(listing(odd)), 1)
    assert (len(pair.antennas), pair.unreadable) == (1, 1)
