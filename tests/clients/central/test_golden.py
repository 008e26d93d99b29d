"""Every documented example of the Session component: what we send is what it shows, what it shows is read."""

import pytest

from bayd.clients.central import (
    CentralClient,
    NewSession,
    Secret,
    ServerAntenna,
    ServerGame,
    ServerPlayer,
    VerifyAccepted,
)

from .golden import sections
from .peers import RecordingLog, ScriptedTransport, answer, client_of, done

SECTIONS = sections()


def _client(output: object) -> tuple[CentralClient, ScriptedTransport, RecordingLog]:
    transport, log = ScriptedTransport(answer(output)), RecordingLog()
    return client_of(transport, log), transport, log


def test_the_document_has_its_eight_calls() -> None:
    assert sorted(SECTIONS) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [number for number, section in SECTIONS.items() if section.output] == [3, 4, 8]
    assert [number for number, section in SECTIONS.items() if section.body] == [1, 2, 5, 6]


async def test_3_the_list() -> None:
    client, transport, log = _client(SECTIONS[3].output)
    page = await client.list_sessions(10, 5)
    assert transport.sent[0].method == "GET"
    assert transport.sent[0].url.endswith(SECTIONS[3].url)
    assert page.skipped == ()
    assert log.lines == []
    (session,) = page.sessions
    assert (session.id, session.bay_number, session.duration_min) == (144, "102", 3)
    assert (session.cancel, session.active) == (False, False)
    assert session.created_at_ms == 1673436799356
    assert session.pin == Secret(SECTIONS[3].output["data"][0]["pin"])
    assert (session.game_known, session.game) == (True, None)
    assert (session.released_known, session.released_at_ms) == (False, None)
    assert session.extensions is None
    assert session.extended_min is None
    assert session.players == ()
    assert (session.bay.id, session.bay.screen_id, session.bay.ball_level) == (2, "ed89d8430a326be3", 0)
    assert session.bay.booked is False


async def test_4_one_session() -> None:
    client, transport, log = _client(SECTIONS[4].output)
    document = SECTIONS[4].output["data"]
    session = await client.get_session(6)
    assert transport.sent[0].url.endswith(SECTIONS[4].url)
    assert log.lines == []
    assert session.game == ServerGame(3, "GAME 3", 20)
    assert session.customer_name == document["billingUser"]["name"]
    first, second = (seat["user"]["name"] for seat in document["sessionUsers"])
    assert session.players == (ServerPlayer(30, 12, first), ServerPlayer(29, 6, second))
    assert session.last_active_player_id == 29
    assert session.bay.ball_level == 2
    assert session.bay.antennas == (
        ServerAntenna("b9f79d3710da1f3e_8", 8, id=24, active=True, power="20", location="109"),
    )
    assert not session.released_known


async def test_8_the_history() -> None:
    client, transport, log = _client(SECTIONS[8].output)
    page = await client.history(1, 15)
    assert transport.sent[0].url.endswith(SECTIONS[8].url)
    assert log.lines == []
    (session,) = page.sessions
    assert (session.released_known, session.released_at_ms) == (True, None)
    assert (session.extended_min, session.extensions) == (0, ())
    assert not session.game_known


async def test_1_booking_sends_the_documented_body_without_the_discount_that_is_off() -> None:
    client, transport, _ = _client({"success": True, "data": SECTIONS[4].output["data"]})
    body = SECTIONS[1].body
    new = NewSession(
        bay_number=body["bayNumber"],
        duration_min=body["duration"],
        amount=body["amount"],
        customer_name=body["billingUser"]["name"],
        phone_number=Secret(body["billingUser"]["phoneNumber"]),
    )
    session = await client.create_session(new)
    assert session is not None
    assert session.id == 6
    (sent,) = transport.sent
    assert (sent.method, sent.json) == ("POST", {key: body[key] for key in body if key != "discount"})
    assert sent.url.endswith(SECTIONS[1].url)


async def test_2_verify() -> None:
    client, transport, _ = _client({"success": True, "data": {"id": 24}})
    assert await client.verify("104", Secret(SECTIONS[2].body["pin"])) == VerifyAccepted(24)
    (sent,) = transport.sent
    assert (sent.method, sent.json) == ("POST", SECTIONS[2].body)
    assert sent.url.endswith(SECTIONS[2].url)


@pytest.mark.parametrize("number", [5, 6, 7])
async def test_changes_send_the_documented_request(number: int) -> None:
    transport = ScriptedTransport(done({"affected": 1}))
    client = client_of(transport)
    match number:
        case 5:
            assert await client.set_game(2, 1) is None
        case 6:
            assert await client.add_session_time(24, 5, 1000) is None
        case _:
            assert await client.end_session(1) is None
    (sent,) = transport.sent
    assert sent.method == ("PATCH" if number == 5 else "POST")
    assert sent.url.endswith(SECTIONS[number].url)
    if SECTIONS[number].body is None:
        assert sent.body is None
    else:
        assert sent.json == SECTIONS[number].body
