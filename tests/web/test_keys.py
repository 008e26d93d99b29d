"""One press, one effect: the same key again, at once, after a crash, and on a disk that hangs or refuses."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from bayd.core.desired import Desired
from bayd.core.model import Bay, Phase
from bayd.core.rules import Rules
from bayd.journal import ThreadJournalExecutor
from bayd.web.idempotency import REPLAYED_HEADER
from tests.journal.world import Fault, FaultyDisk
from tests.simulation.world import HeldExecutor
from tests.web.house import OTHER_SCREEN, STAFF, House, Reply


def same(first: Reply, again: Reply) -> bool:
    return (first.status, first.text) == (again.status, again.text) and REPLAYED_HEADER in again.headers


@pytest.mark.parametrize("key", [None, "", " ", "x" * 201, "caf\u00e9", "two words"])
async def test_a_change_without_a_usable_key_is_refused(house: House, key: str | None) -> None:
    await house.play()
    before = await house.state()
    path = "/api/v1/bays/109/help"
    headers = {} if key is None else {"Idempotency-Key": key}
    reply = await house.ask("POST", path, token=STAFF, body={}, headers=headers)
    assert (reply.status, reply.code) == (400, "idempotency_key_missing")
    assert reply.json["field"] == "Idempotency-Key"
    assert await house.state() == before


async def test_the_same_key_gives_the_same_answer_and_nothing_is_done_twice(house: House) -> None:
    await house.play()
    first = await house.press("dispense", {"balls": 5}, key="press-1")
    assert first.status == 200
    assert REPLAYED_HEADER not in first.headers
    for _ in range(2):
        await house.press("help")  # time goes on, the answer stays
        assert same(first, await house.press("dispense", {"balls": 5}, key="press-1"))
    assert (await house.kinds()).count("PayoutRequested") == 1


async def test_a_refusal_is_kept_like_an_answer(house: House) -> None:
    """The key names the press, not the wish: a later press has a key of its own."""
    refused = await house.press("dispense", {"balls": 5}, key="press-1")
    assert (refused.status, refused.code) == (409, "not_playing")
    await house.play()
    assert same(refused, await house.press("dispense", {"balls": 5}, key="press-1"))
    assert "PayoutRequested" not in await house.kinds()
    assert (await house.press("dispense", {"balls": 5}, key="press-2")).status == 200


async def test_the_same_key_means_the_same_request(house: House) -> None:
    await house.play()
    first = await house.press("dispense", {"balls": 5}, key="k")
    before = await house.state()
    for reply in (
        await house.press("dispense", {"balls": 6}, key="k"),
        await house.press("help", key="k"),
        await house.press("player", {"session_user_id": 5}, key="k"),
    ):
        assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert await house.state() == before
    # Written otherwise it is the same request all the same.
    assert same(first, await house.press("dispense", raw=b' {"balls" : 5}\n', key="k"))


async def test_a_request_refused_at_the_door_does_not_use_its_key_up(house: House) -> None:
    await house.play()
    assert (await house.press("dispense", {"balls": 0}, key="k")).status == 422
    assert (await house.press("dispense", {"balls": 5}, token=OTHER_SCREEN, key="k")).status == 403
    assert (await house.press("game", {"game_id": 99}, key="k")).code == "unknown_game"
    assert (await house.press("dispense", {"balls": 5}, key="k")).status == 200


async def test_another_clients_equal_key_is_another_key(house: House) -> None:
    await house.play()
    await house.play("110", "8")
    for bay, token in (("109", None), ("110", OTHER_SCREEN), ("109", STAFF)):
        options: dict[str, Any] = {} if token is None else {"token": token}
        reply = await house.press("player", {"session_user_id": 3}, bay=bay, key="1", **options)
        assert reply.status == 200
        assert REPLAYED_HEADER not in reply.headers
    assert (await house.kinds()).count("PlayerSelected") == 3


async def test_two_at_once_with_one_key_are_one(house: House) -> None:
    await house.play()
    replies = await asyncio.gather(
        *(house.press("dispense", {"balls": 5}, key="k") for _ in range(8)),
    )
    assert {(reply.status, reply.text) for reply in replies} == {(200, replies[0].text)}
    assert sum(REPLAYED_HEADER in reply.headers for reply in replies) == 7
    assert (await house.kinds()).count("PayoutRequested") == 1


async def test_two_at_once_with_two_keys_never_both_see_the_old_balance(house: House) -> None:
    await house.play()
    replies = await asyncio.gather(*(house.press("dispense", {"balls": 5}) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [409] * 7
    assert {reply.code for reply in replies if reply.status == 409} == {"payout_running"}


async def test_answers_and_refusals_outlive_a_crash(closed_house: House) -> None:
    async with closed_house.open() as house:
        refused = await house.press("dispense", {"balls": 5}, key="early")
        await house.play()
        paid = await house.press("dispense", {"balls": 5}, key="press-1")
        assert (refused.status, paid.status) == (409, 200)
    async with closed_house.open() as house:
        assert same(paid, await house.press("dispense", {"balls": 5}, key="press-1"))
        assert same(refused, await house.press("dispense", {"balls": 5}, key="early"))
        assert (await house.press("dispense", {"balls": 6}, key="press-1")).code == "idempotency_key_reused"
        assert (await house.kinds()).count("PayoutRequested") == 1


async def test_a_disk_that_refuses_changes_nothing_and_the_key_may_be_used_again(closed_house: House) -> None:
    disk = FaultyDisk()
    closed_house.connect = disk.connect
    async with closed_house.open() as house:
        await house.play()
        before = await house.state()
        disk.faults.append(Fault("COMMIT"))
        reply = await house.press("dispense", {"balls": 5}, key="k")
        assert (reply.status, reply.code) == (503, "not_recorded")
        assert await house.state() == before
        assert (await house.press("dispense", {"balls": 5}, key="k")).status == 200
        assert (await house.kinds()).count("PayoutRequested") == 1


async def test_a_disk_that_failed_and_kept_it_is_believed(closed_house: House) -> None:
    disk = FaultyDisk()
    closed_house.connect = disk.connect
    closed_house.executor = ThreadJournalExecutor()
    async with closed_house.open() as house:
        await house.play()
        disk.faults.append(Fault("COMMIT", after=True))
        reply = await house.press("dispense", {"balls": 5}, key="k")
        assert reply.status == 200
        assert same(reply, await house.press("dispense", {"balls": 5}, key="k"))
        assert (await house.kinds()).count("PayoutRequested") == 1
    closed_house.executor.close()


@pytest.fixture
def hung(closed_house: House) -> HeldExecutor:
    """The house's disk; it hangs while `free` is clear, and patience is short."""
    disk = HeldExecutor()
    closed_house.executor = disk
    closed_house.rules = {"109": Rules(dispenser="east", intent_ttl_ms=400)}
    closed_house.patience_s = 0.4
    return disk


@dataclass
class HangWhenDecided:
    """Once: the look for an answer goes through, the commit of the decision hangs."""

    disk: HeldExecutor
    done: bool = False

    def bay_changed(self, _bay: Bay, _wish: Desired) -> None:
        if not self.done:
            self.done = True
            self.disk.free.clear()


async def test_a_hanging_disk_is_answered_in_time_and_what_it_kept_is_expired(
    closed_house: House, hung: HeldExecutor
) -> None:
    async with closed_house.open() as house:
        await house.play()
        before = house.bays.get("109")
        house.bays.observe(HangWhenDecided(hung))
        reply = await house.press("dispense", {"balls": 5}, key="k")
        assert (reply.status, reply.code) == (503, "outcome_unknown")
        assert "before you try again" in reply.json["detail"]
        # The same key again, while nobody knows: the same answer, never that of a press that will not count.
        again = asyncio.gather(*(house.press("dispense", {"balls": 5}, key="k") for _ in range(2)))
        assert {(r.status, r.code) for r in await again} == {(503, "outcome_unknown")}
        hung.free.set()
        final = await house.press("dispense", {"balls": 5}, key="k")
        assert final.status == 200
        # One payout, of the last press: the first has expired, with its answer.
        assert (await house.kinds())[-2:] == ["IntentExpired", "PayoutRequested"]
        assert (await house.kinds()).count("PayoutRequested") == 1
        assert final.json["balls"]["commanded"] == 5
        assert final.json["version"] == before.version + 2


async def test_a_disk_that_hangs_before_anything_was_asked_changes_nothing(
    closed_house: House, hung: HeldExecutor
) -> None:
    async with closed_house.open() as house:
        await house.play()
        hung.free.clear()
        reply = await house.press("dispense", {"balls": 5}, key="k")
        assert (reply.status, reply.code) == (503, "not_recorded")
        hung.free.set()
        await asyncio.sleep(0)
        assert "PayoutRequested" not in await house.kinds()
        assert (await house.press("dispense", {"balls": 5}, key="k")).status == 200


async def test_an_end_counts_on_a_hanging_disk_and_says_so(closed_house: House, hung: HeldExecutor) -> None:
    async with closed_house.open() as house:
        await house.play()
        house.bays.observe(HangWhenDecided(hung))
        reply = await house.press("end", {"reason": "closing"}, token=STAFF, key="k")
        assert (reply.status, reply.code) == (503, "outcome_unknown")
        assert "will be recorded" in reply.json["detail"]
        hung.free.set()
        again = await house.press("end", {"reason": "closing"}, token=STAFF, key="k")
        assert again.status == 200
        assert REPLAYED_HEADER in again.headers
        assert house.bays.get("109").phase is Phase.GRACE
        assert (await house.kinds()).count("SessionEnded") == 1


async def test_too_many_at_one_bay_are_turned_away_unharmed(closed_house: House, hung: HeldExecutor) -> None:
    async with closed_house.open() as house:
        await house.play()
        house.bays.observe(HangWhenDecided(hung))
        replies = await asyncio.gather(
            *(house.press("player", {"session_user_id": n + 1}) for n in range(80)),
        )
        hung.free.set()
        codes = {reply.code for reply in replies}
        assert {reply.status for reply in replies} == {503}
        assert codes <= {"busy", "not_recorded", "outcome_unknown"}
        assert (await house.press("help")).status == 200
        assert "PlayerSelected" not in await house.kinds()
