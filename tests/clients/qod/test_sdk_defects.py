"""What the published SDK gets wrong, once each: none of it may come back."""

import asyncio

import pytest

from bayd.clients.qod import AmbiguousError, CreateSession

from .conftest import KeyPair, MakeClient
from .peer import SESSION, SESSION_ID, Answer, Peer, digest_of, token_answer, verified

pytestmark = pytest.mark.virtual_time


async def test_expires_in_is_seconds_not_milliseconds(make_client: MakeClient) -> None:
    """There: `now + expires_in * 1000`, so that a token was used 41 days after its hour."""
    peer = Peer()
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    await asyncio.sleep(3600)
    await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 2


async def test_the_margin_refreshes_early_not_late(make_client: MakeClient) -> None:
    """There: the margin had the wrong sign, so that a token was refreshed after its end."""
    peer = Peer()
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    await asyncio.sleep(3600 - 61)
    await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 2


async def test_two_clients_do_not_share_a_token(make_client: MakeClient) -> None:
    """There: one cache in the class, so that the second client called with the first one's token."""
    peer = Peer()
    first, second = make_client(peer, client_id="first"), make_client(peer, client_id="second")
    await first.session.get_session(SESSION_ID)
    await second.session.get_session(SESSION_ID)
    assert [seen.bearer for seen in peer.calls("get")] == ["token-1", "token-2"]


async def test_concurrent_calls_fetch_one_token(make_client: MakeClient) -> None:
    """There: the cache had no lock, so that every call of a burst fetched its own."""
    peer = Peer()
    client = make_client(peer)
    peer.script("token", Answer(200, token_answer().json, delay_s=1.0))
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(client.session.get_session(SESSION_ID))
    assert len(peer.calls("token")) == 1
    assert len(peer.calls("get")) == 100


async def test_a_401_brings_a_new_token(make_client: MakeClient) -> None:
    """There: a revoked token was used until its hour was over."""
    peer = Peer()
    client = make_client(peer)
    peer.script("get", Answer(401, {"status": 401, "code": "UNAUTHENTICATED", "message": "expired"}))
    info = await client.session.get_session(SESSION_ID)
    assert info.session_id == SESSION_ID
    assert [seen.bearer for seen in peer.calls("get")] == ["token-1", "token-2"]


async def test_each_attempt_has_a_proof_of_its_own(make_client: MakeClient, rsa_pair: KeyPair) -> None:
    """There: a retry repeated the proof of the first attempt, which operators refuse as a replay."""
    peer = Peer()
    client = make_client(peer)
    peer.script("get", Answer(503), Answer(503), Answer(401))
    await client.session.get_session(SESSION_ID)
    proofs = [verified(seen.headers["x-authorization"], rsa_pair.public_pem) for seen in peer.requests]
    assert len(peer.calls("get")) == 4
    assert len({proof.claims["jti"] for proof in proofs}) == len(proofs)


async def test_a_delete_has_no_body_and_signs_none(make_client: MakeClient, rsa_pair: KeyPair) -> None:
    """There: `{}` went out while the proof signed an empty string."""
    peer = Peer()
    await make_client(peer).session.delete_session(SESSION_ID)
    (delete,) = peer.calls("delete")
    assert delete.body == b""
    claims = verified(delete.headers["x-authorization"], rsa_pair.public_pem).claims
    assert claims["edts"] == digest_of(delete, claims["ehts"])


async def test_requested_is_a_valid_outcome_of_create(
    make_client: MakeClient, booking: CreateSession
) -> None:
    """There: a status enumeration with AVAILABLE alone, so that a valid 201 raised and leaked the session."""
    peer = Peer()
    peer.script("create", Answer(201, SESSION | {"qosStatus": "REQUESTED"}))
    info = await make_client(peer).session.create_session(booking)
    assert (info.session_id, info.qos_status) == (SESSION_ID, "REQUESTED")


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_create_is_not_repeated_blindly_after_a_5xx(
    make_client: MakeClient, booking: CreateSession, status: int
) -> None:
    """There: three more POSTs, each of which may have made a session."""
    peer = Peer()
    peer.always("create", Answer(status))
    with pytest.raises(AmbiguousError):
        await make_client(peer).session.create_session(booking)
    assert len(peer.calls("create")) == 1
