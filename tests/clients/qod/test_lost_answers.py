"""Answers that do not come, or come in half: over a real connection, and in memory, with one outcome.

The in-memory peer of the other tests is held to the real one here.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bayd.clients.qod import (
    AmbiguousError,
    CreateSession,
    Device,
    QodClient,
    QodError,
    RetryLaterError,
)

from .conftest import PHONE, KeyPair
from .peer import (
    SESSION,
    SESSION_ID,
    Answer,
    Cut,
    Hang,
    MemoryTransport,
    Peer,
    Refuse,
    Reset,
    Step,
    served,
)


class Front:
    def __init__(self, peer: Peer, client: QodClient) -> None:
        self.peer = peer
        self.client = client


@pytest.fixture(params=["http", "memory"])
async def front(request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    # Only a test that waits for the time-out wants a short one.
    hangs = "Hang" in request.node.name
    peer = Peer()
    async with AsyncExitStack() as stack:
        settings: dict[str, Any] = {"timeout": 1000 if hangs else 10_000, "jitter": lambda: 0.0}
        if request.param == "http":
            settings["base_url"] = f"{await stack.enter_async_context(served(peer))}/quality-on-demand/v1"
        else:
            settings |= {
                "transport": MemoryTransport(peer),
                "base_url": "http://127.0.0.1:1/quality-on-demand/v1",
            }
        client = QodClient("bay-client", "correct-horse", dialect="camara-1.1", **settings)
        yield Front(peer, await stack.enter_async_context(client))


LOST: list[Step] = [
    Reset(),
    Hang(),
    Cut(201, SESSION),
    Answer(201, text='{"sessionId": "123e4567-e89b-42d3-a456'),
    Answer(201, text=""),
    Answer(201, {"qosStatus": "AVAILABLE"}),
    Answer(201, {"sessionId": 7}),
    Answer(201, {"sessionId": "../oauth2"}),
    Answer(202, {}),
    Answer(204),
    Answer(500, {"status": 500, "code": "INTERNAL", "message": "x"}),
    Answer(502, text="<html>Bad Gateway</html>"),
    Answer(504, {"status": 504, "code": "TIMEOUT", "message": "x"}),
]


def name_of(step: Step) -> str:
    return (
        f"{type(step).__name__}-{step.status}-{step.body[:12]!r}"
        if isinstance(step, Answer)
        else type(step).__name__
    )


@pytest.mark.parametrize("step", LOST, ids=name_of)
async def test_a_create_without_an_answer_is_in_doubt(
    front: Front, booking: CreateSession, step: Step
) -> None:
    front.peer.script("create", step)
    with pytest.raises(AmbiguousError) as caught:
        await front.client.session.create_session(booking, x_correlator="tx-1")
    assert caught.value.x_correlator == "tx-1"
    assert len(front.peer.calls("create")) == 1


@pytest.mark.parametrize("step", LOST, ids=name_of)
async def test_an_extend_without_an_answer_is_in_doubt(front: Front, step: Step) -> None:
    front.peer.script("extend", step)
    with pytest.raises(AmbiguousError):
        await front.client.session.extend_session(SESSION_ID, 600)
    assert len(front.peer.calls("extend")) == 1


@pytest.mark.parametrize("step", [Reset(), Hang(), Cut(200, [SESSION]), Answer(502)], ids=name_of)
async def test_a_retrieve_without_an_answer_changed_nothing(front: Front, step: Step) -> None:
    front.peer.script("retrieve", step)
    with pytest.raises(RetryLaterError):
        await front.client.session.retrieve_sessions(Device(phone_number=PHONE))
    assert len(front.peer.calls("retrieve")) == 1


@pytest.mark.parametrize(
    "step", [Reset(), Cut(200, SESSION), Answer(502), Answer(200, text="{")], ids=name_of
)
async def test_a_get_is_answered_in_the_end(front: Front, step: Step) -> None:
    front.peer.script("get", step, step)
    assert (await front.client.session.get_session(SESSION_ID)).session_id == SESSION_ID
    assert len(front.peer.calls("get")) == 3


async def test_a_readable_200_to_a_create_is_a_session(front: Front, booking: CreateSession) -> None:
    front.peer.script("create", Answer(200, SESSION))
    assert (await front.client.session.create_session(booking)).session_id == SESSION_ID


@pytest.mark.parametrize("in_memory", [True, False])
async def test_without_a_connection_nothing_happened(
    booking: CreateSession, rsa_pair: KeyPair, in_memory: bool
) -> None:
    """The operator goes away between the token and the create: certainly not done."""
    peer = Peer()
    async with AsyncExitStack() as stack:
        if in_memory:
            peer.always("create", Refuse())
            transport, origin, server = MemoryTransport(peer), "http://127.0.0.1:1", None
        else:
            server = await stack.enter_async_context(AsyncExitStack())
            transport, origin = None, await server.enter_async_context(served(peer))
        client = await stack.enter_async_context(
            QodClient("bay-client", "s", rsa_pair.private_pem, f"{origin}/qod/v0", transport=transport)
        )
        await client.session.get_session(SESSION_ID)
        if server is not None:
            await server.aclose()
        with pytest.raises(QodError) as caught:
            await client.session.create_session(booking)
    assert type(caught.value) is RetryLaterError
    assert "no connection" in str(caught.value)
