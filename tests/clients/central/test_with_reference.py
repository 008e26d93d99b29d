"""The siblings and the extensions, with the reference server; and a server that has none of them."""

import aiohttp
import pytest

from bayd.clients.central import (
    BayStatus,
    CapabilityMissing,
    CentralRefused,
    CentralUnavailable,
    Secret,
    ServerSession,
    VerifyUnavailable,
)

from .conftest import ADMIN, Peer
from .test_contract import book, new, of_history, pin_of


async def order(peer: Peer, kind: str, path: str, **rest: object) -> None:
    """A fault at the reference server."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{peer.url}_faults", json=[{"kind": kind, "path": path, **rest}]) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_bays_and_screens(reference: Peer) -> None:
    bays = await reference.client.bays()
    assert len(bays.items) == 42
    assert bays.skipped == ()
    (bay,) = (await reference.client.bays(bay_number="104")).items
    assert (bay.number, bay.floor, bay.status, bay.booked) == ("104", "1", BayStatus.AVAILABLE, False)
    assert bay.antennas is not None
    assert [(antenna.location, antenna.power) for antenna in bay.antennas] == [("104", "20")]
    await reference.client.set_bay_status("104", BayStatus.ON_HOLD)
    assert [held.number for held in (await reference.client.bays(status=BayStatus.ON_HOLD)).items] == ["104"]
    await reference.client.bind_screen("f80d7654fb9cc8f4", "104")
    bound = await reference.client.bay_of_screen("f80d7654fb9cc8f4")
    assert bound is not None
    assert bound.number == "104"
    assert await reference.client.bay_of_screen("0000000000000000") is None
    assert reference.log.lines == []


async def test_the_active_session_of_a_bay(reference: Peer) -> None:
    session = await book(reference)
    await reference.client.verify("104", pin_of(session))
    (bay,) = (await reference.client.bays(bay_number="104")).items
    assert bay.active_session_id == session.id


async def test_games_lengths_and_variables(reference: Peer) -> None:
    games = (await reference.client.games()).items
    assert [(game.name, game.balls_limit) for game in games] == [
        ("GAME 1", 0),
        ("GAME 2", 20),
        ("GAME 3", 30),
    ]
    intervals = (await reference.client.time_intervals()).items
    assert [(each.interval_min, each.enabled) for each in intervals] == [(15, True), (30, True), (60, True)]
    assert (await reference.client.system_variable("Game Extention")).value == 1
    with pytest.raises(CentralRefused):
        await reference.client.system_variable("Game Extension")


async def test_readers_and_scores(reference: Peer) -> None:
    pairs = (await reference.client.antenna_pairs()).items
    assert {pair.reader_type for pair in pairs} == {"bay", "pit"}
    assert all(pair.antenna_count == 8 and pair.antennas for pair in pairs)
    one = await reference.client.antenna_pairs(pairs[0].reader_id)
    assert one.items == (pairs[0],)
    assert (await reference.client.antenna_pairs("test10")).items == ()
    scores = await reference.client.scores(1)
    assert scores.skipped == ()
    rule = scores.items[0]
    game = next(game for game in (await reference.client.games()).items if game.id == rule.game_id)
    await reference.client.post_score(game, rule.antenna, 77)
    assert [each.score for each in (await reference.client.scores(1)).items if each.id == rule.id] == [77]


async def test_money(reference: Peer) -> None:
    session = await book(reference, "103")
    paid = (await reference.client.transactions(session.id)).items
    assert [(each.amount, each.payment_type) for each in paid] == [(500, "CASH")]
    await reference.client.post_due("103", 1000)
    (due,) = (await reference.client.pending_dues("103")).items
    assert (due.amount, due.status) == (1000, "DUE")
    with pytest.raises(CentralRefused):
        await reference.client.mark_paid(due.id, Secret("wrong"), "at the desk")
    await reference.client.mark_paid(due.id, ADMIN, "at the desk")
    assert (await reference.client.pending_dues("103")).items == ()


async def test_a_move(reference: Peer) -> None:
    session = await book(reference, "104")
    await reference.client.verify("104", pin_of(session))
    await reference.client.session_bay_change("104", "103", ADMIN, 10)
    moved = await reference.client.get_session(session.id)
    assert (moved.bay_number, moved.active, moved.duration_min) == ("103", True, 10)


async def test_the_latest_state_of_a_bay(reference: Peer) -> None:
    await reference.client.post_bay_state("104", {"phase": "playing", "left_min": None}, 7)
    async with aiohttp.ClientSession() as http, http.get(f"{reference.url}bay/state") as answer:
        (kept,) = (await answer.json())["data"]
    assert (kept["bay"], kept["seq"]) == ("104", 7)
    assert kept["body"]["state"] == {"phase": "playing", "left_min": None}


async def _lost_reply(peer: Peer, kind: str, key: str | None) -> ServerSession:
    """One extension whose answer gets lost, sent twice."""
    session = await book(peer)
    await order(peer, kind, "/session/addSessionTime")
    with pytest.raises(CentralUnavailable) as caught:
        await peer.client.add_session_time(session.id, 15, 100, idempotency_key=key)
    assert caught.value.sent
    await peer.client.add_session_time(session.id, 15, 100, idempotency_key=key)
    return await of_history(peer, session.id)


@pytest.mark.parametrize("kind", ["drop_after_commit", "truncated_json", "non_json"])
async def test_a_lost_answer_is_unknown_and_a_key_makes_the_repeat_safe(reference: Peer, kind: str) -> None:
    assert (await _lost_reply(reference, kind, None)).extended_min == 30
    assert (await _lost_reply(reference, kind, f"op-{kind}")).extended_min == 15


@pytest.mark.parametrize("kind", ["drop_before_commit", "status"])
async def test_a_request_that_got_lost_looks_the_same(reference: Peer, kind: str) -> None:
    assert (await _lost_reply(reference, kind, None)).extended_min == 15


async def test_a_booking_is_made_once_with_its_key(reference: Peer) -> None:
    first = await reference.client.create_session(new(), idempotency_key="op-book")
    again = await reference.client.create_session(new(), idempotency_key="op-book")
    assert first is not None
    assert again is not None
    assert (again.id, again.pin) == (first.id, first.pin)
    with pytest.raises(CentralRefused) as caught:
        await reference.client.create_session(new(duration_min=30), idempotency_key="op-book")
    assert caught.value.status == 422


@pytest.mark.parametrize("kind", ["drop_after_commit", "truncated_json", "non_json", "status"])
async def test_a_verify_without_an_answer_is_unavailable(reference: Peer, kind: str) -> None:
    session = await book(reference)
    await order(reference, kind, "/session/verify")
    outcome = await reference.client.verify("104", pin_of(session))
    assert isinstance(outcome, VerifyUnavailable)
    assert outcome.sent
    assert (await reference.client.get_session(session.id)).active is (kind != "status")


async def test_a_server_of_eight_calls_lacks_the_others_and_says_so(minimal: Peer) -> None:
    client = minimal.client
    for call in (
        client.bays,
        lambda: client.set_bay_status("104", BayStatus.ON_HOLD),
        lambda: client.bay_of_screen("abc"),
        client.games,
        client.time_intervals,
        client.antenna_pairs,
        lambda: client.system_variable("Game Extention"),
        client.scores,
        lambda: client.transactions(1),
        lambda: client.pending_dues("104"),
        lambda: client.post_due("104", 100),
        lambda: client.session_bay_change("104", "103", ADMIN, 10),
        lambda: client.post_bay_state("104", {}, 1),
    ):
        with pytest.raises(CapabilityMissing) as caught:
            await call()
        assert caught.value.status in (404, 405)
