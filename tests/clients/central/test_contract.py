"""What the client promises of the Session component, with every server that there is to talk to."""

from collections.abc import Awaitable, Callable

import pytest

from bayd.clients.central import (
    CentralRefused,
    NewSession,
    PagingFacts,
    Secret,
    ServerSession,
    VerifyAccepted,
    VerifyRefused,
    find_session,
    only_settled,
    sweep,
)

from .conftest import Peer


def new(bay_number: str = "104", duration_min: int = 60) -> NewSession:
    return NewSession(bay_number, duration_min, 500, "Example Customer", Secret("1555010002"))


async def book(peer: Peer, bay_number: str = "104", duration_min: int = 60) -> ServerSession:
    session = await peer.client.create_session(new(bay_number, duration_min))
    assert session is not None
    return session


async def of_history(peer: Peer, session_id: int) -> ServerSession:
    found, _ = await find_session(peer.client.history, PagingFacts(), session_id, now_ms=0)
    assert found is not None
    return found


def pin_of(session: ServerSession) -> Secret:
    assert session.pin is not None
    return session.pin


async def test_a_booking_comes_with_its_pin_and_is_found_again(peer: Peer) -> None:
    session = await book(peer)
    assert (session.bay_number, session.duration_min) == ("104", 60)
    assert (session.cancel, session.active) == (False, False)
    assert len(pin_of(session).reveal()) == 6
    again = await peer.client.get_session(session.id)
    assert (again.id, again.pin, again.bay_number) == (session.id, session.pin, "104")
    assert again.customer_name == "Example Customer"
    (listed,) = (await peer.client.list_sessions(1, 10)).sessions
    assert (listed.id, listed.pin, listed.created_at_ms) == (session.id, session.pin, session.created_at_ms)
    assert not listed.released_known
    told = await of_history(peer, session.id)
    assert (told.released_known, told.released_at_ms, told.extensions) == (True, None, ())
    assert peer.log.lines in ([], [("info", "central_logged_in", {})])


async def test_the_right_pin_at_the_right_bay_starts_the_session(peer: Peer) -> None:
    session = await book(peer)
    pin = pin_of(session)
    wrong = Secret(f"{(int(pin.reveal()) + 1) % 1_000_000:06d}")
    for number, tried in (("104", wrong), ("103", pin)):
        refused = await peer.client.verify(number, tried)
        assert isinstance(refused, VerifyRefused)
        assert 400 <= refused.status < 500
        assert pin.reveal() not in repr(refused)
    assert not (await peer.client.get_session(session.id)).active
    assert await peer.client.verify("104", pin) == VerifyAccepted(session.id)
    assert (await peer.client.get_session(session.id)).active


async def test_a_game_is_chosen(peer: Peer) -> None:
    session = await book(peer)
    before = await peer.client.get_session(session.id)
    assert (before.game_known, before.game) == (True, None)
    await peer.client.set_game(session.id, 2)
    game = (await peer.client.get_session(session.id)).game
    assert game is not None
    assert (game.id, game.name) == (2, "GAME 2")
    assert game.balls_limit is not None
    assert game.balls_limit > 0
    with pytest.raises(CentralRefused) as caught:
        await peer.client.set_game(session.id, 99)
    assert caught.value.status == 404


async def test_each_extension_counts_once_and_a_repeat_counts_again(peer: Peer) -> None:
    session = await book(peer)
    await peer.client.verify("104", pin_of(session))
    for repeats in (1, 2):
        await peer.client.add_session_time(session.id, 15, 100)
        told = await of_history(peer, session.id)
        assert told.extended_min == 15 * repeats
        assert told.extensions is not None
        assert [(each.duration_min, each.amount) for each in told.extensions] == [(15, 100)] * repeats
        assert len({each.id for each in told.extensions}) == repeats
        duration_min = 60 + 15 * repeats * peer.raises_duration
        assert (await peer.client.get_session(session.id)).duration_min == told.duration_min == duration_min


async def test_end_cancels_what_waits_and_releases_what_plays(peer: Peer) -> None:
    waiting, playing = await book(peer, "101"), await book(peer, "102")
    await peer.client.verify("102", pin_of(playing))
    await peer.client.end_session(waiting.id)
    await peer.client.end_session(playing.id)
    cancelled, released = await of_history(peer, waiting.id), await of_history(peer, playing.id)
    assert (cancelled.cancel, cancelled.active, cancelled.released_at_ms) == (True, False, None)
    assert (released.cancel, released.active) == (False, False)
    assert released.released_known
    assert released.released_at_ms is not None
    for number, session in (("101", waiting), ("102", playing)):
        assert isinstance(await peer.client.verify(number, pin_of(session)), VerifyRefused)


async def test_a_session_that_does_not_exist_is_refused_as_an_object(peer: Peer) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: peer.client.get_session(4711),
        lambda: peer.client.add_session_time(4711, 5, 100),
        lambda: peer.client.end_session(4711),
        lambda: peer.client.set_game(4711, 1),
    ]
    for call in calls:
        with pytest.raises(CentralRefused) as caught:
            await call()
        assert caught.value.status == 404
        assert caught.value.message


async def test_a_sweep_finds_every_live_session_whatever_the_pages(peer: Peer) -> None:
    facts = PagingFacts(per_page=4)
    live: set[int] = set()
    for count in (0, 1, 3, 9):
        for _ in range(count):
            live.add((await book(peer, f"10{1 + len(live) % 4}")).id)
        result, facts = await sweep(
            peer.client.list_sessions, facts, now_ms=0, enough=only_settled(lambda each: each.id not in live)
        )
        assert {session.id for session in result.sessions} == live
        assert result.skipped == ()
        assert result.anomalies == ()
    settled = set(sorted(live)[:9])
    result, facts = await sweep(
        peer.client.list_sessions, facts, now_ms=1, enough=only_settled(lambda each: each.id in settled)
    )
    assert live - settled <= {session.id for session in result.sessions}
    assert not result.full
