"""The PIN pad: from six digits on a screen to a session in play, or to a locked pad."""

import asyncio
import itertools
import random
import sqlite3

import pytest

from bayd.core import inputs as i
from bayd.core.model import Phase
from bayd.core.pins import OWN_PIN
from bayd.web.idempotency import REPLAYED_HEADER
from tests.simulation.world import HeldExecutor
from tests.web.house import PIN, STAFF, House

WRONG = "135790"


async def test_a_right_pin_starts_play(house: House) -> None:
    await house.book(minutes=45)
    reply = await house.press("pin", {"pin": PIN}, key="k")
    assert reply.status == 200
    assert reply.json["phase"] == "playing"
    assert reply.json["session"]["id"] == "7"
    assert reply.json["session"]["duration_s"] == 2700
    assert house.bays.get("109").phase is Phase.PLAYING
    again = await house.press("pin", {"pin": PIN}, key="k")
    assert (again.status, again.text) == (reply.status, reply.text)
    assert REPLAYED_HEADER in again.headers
    assert house.verifier.asked == 1


async def test_a_wrong_pin_says_how_many_tries_are_left_and_then_the_pad_locks(house: House) -> None:
    await house.book()
    replies = [await house.press("pin", {"pin": WRONG}) for _ in range(5)]
    assert {(r.status, r.code, r.json["field"]) for r in replies} == {(401, "wrong_pin", "pin")}
    assert [reply.json["tries_left"] for reply in replies] == [4, 3, 2, 1, 0]
    assert 1 <= replies[-1].json["retry_after_s"] <= 60
    locked = await house.press("pin", {"pin": PIN}, key="too-early")
    assert (locked.status, locked.code, locked.json["tries_left"]) == (423, "locked", 0)
    assert 1 <= int(locked.headers["Retry-After"]) <= 60
    assert house.verifier.asked == 5
    view = (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json["pin"]
    assert view["tries_left"] == 0
    assert 1 <= view["locked_for_s"] <= 60
    house.clock._offset_ms += 60_000
    # The refused press stays refused; one try is free now, and the right PIN forgives all.
    assert (await house.press("pin", {"pin": PIN}, key="too-early")).status == 423
    opened = await house.press("pin", {"pin": PIN})
    assert opened.status == 200
    assert opened.json["pin"] == {"tries_left": 5, "locked_for_s": 0}


async def test_a_wrong_try_is_counted_once_however_often_it_is_sent(house: House) -> None:
    await house.book()
    first = await house.press("pin", {"pin": WRONG}, key="k")
    for pin in (WRONG, PIN):
        # The key names the press: what was typed is not kept, so it cannot be told apart.
        again = await house.press("pin", {"pin": pin}, key="k")
        assert (again.status, again.text) == (first.status, first.text)
    assert house.bays.get("109").pad.failures == 1
    assert house.verifier.asked == 1


async def test_a_pin_of_another_bay_is_named_as_one_and_counts_as_a_try(house: House) -> None:
    await house.book()
    house.verifier.elsewhere = frozenset({WRONG})
    reply = await house.press("pin", {"pin": WRONG})
    assert (reply.status, reply.code, reply.json["tries_left"]) == (401, "wrong_bay", 4)


async def test_a_guesser_gets_ten_tries_in_the_first_hour_then_one_an_hour(closed_house: House) -> None:
    """By the real service, undisturbed: exactly as documented."""
    async with closed_house.open() as house:
        await house.book()
        tries_s, now_s = [], 0
        while now_s <= 24 * 3600:
            reply = await house.press("pin", {"pin": WRONG})
            if reply.status == 401:
                tries_s.append(now_s)
            else:
                assert reply.code == "locked"
                step_s = reply.json["retry_after_s"]
                now_s += step_s
                pass_by(house, step_s)
        assert house.verifier.asked == len(tries_s)
    hours = [sum(begin * 3600 < at <= (begin + 1) * 3600 for at in tries_s) for begin in range(24)]
    assert sum(at <= 3600 for at in tries_s) == 10
    assert set(hours[1:]) == {1}


@pytest.mark.parametrize("seed", range(2))
async def test_no_restart_and_no_clock_gives_a_guesser_another_try(closed_house: House, seed: int) -> None:
    tricks = random.Random(seed)
    tries_s, now_s = [], 0
    while now_s < 8 * 3600:
        async with closed_house.open() as house:
            if now_s == 0:
                await house.book()
            while (reply := await house.press("pin", {"pin": WRONG})).status == 401:
                tries_s.append(now_s)
            assert reply.code == "locked"
        step_s = tricks.choice([59, 300, 1700, 3500])
        now_s += step_s
        pass_by(closed_house, step_s)
        closed_house.clock.trick(tricks)
    assert 5 <= sum(at <= 3600 for at in tries_s) <= 10
    for hour in range(1, 8):
        assert sum(hour * 3600 < at <= (hour + 1) * 3600 for at in tries_s) <= 2
    locks_min = [1, 2, 4, 8, 16, 32, *[60] * 9]
    for (before_s, after_s), lock_min in zip(itertools.pairwise(tries_s[4:]), locks_min, strict=False):
        assert after_s - before_s >= lock_min * 60 - 1, "no trick shortens a lock"


def pass_by(house: House, seconds: int) -> None:
    house.clock._offset_ms += seconds * 1000
    house.clock.wall_step_ms += seconds * 1000


async def test_staff_unlock_the_pad(house: House) -> None:
    await house.book()
    for _ in range(5):
        await house.press("pin", {"pin": WRONG})
    assert (await house.press("unlock", {"reason": "known guest"}, token=STAFF)).status == 200
    assert (await house.press("pin", {"pin": PIN})).status == 200


async def test_a_pin_that_nobody_can_check_costs_no_try(house: House) -> None:
    await house.book()
    house.verifier.away = True
    reply = await house.press("pin", {"pin": PIN})
    assert (reply.status, reply.code) == (503, "pin_unavailable")
    assert house.bays.get("109").pad.failures == 0
    house.verifier.away = False
    assert (await house.press("pin", {"pin": PIN})).status == 200


async def test_one_pin_at_a_time(house: House) -> None:
    await house.book()
    house.verifier.gate.clear()
    first = asyncio.gather(
        house.press("pin", {"pin": PIN}, key="a"), house.press("pin", {"pin": PIN}, key="a")
    )
    while house.verifier.asked == 0:  # noqa: ASYNC110 # the other side is a server
        await asyncio.sleep(0.01)
    second = await house.press("pin", {"pin": WRONG}, key="b")
    assert (second.status, second.code) == (409, "check_running")
    assert int(second.headers["Retry-After"]) == 2
    house.verifier.gate.set()
    assert [reply.status for reply in await first] == [200, 200]
    assert house.verifier.asked == 1


@pytest.mark.parametrize(
    ("prepare", "code"),
    [("nothing", "no_booking"), ("held", "held"), ("playing", "already_playing"), ("early", "too_early")],
)
async def test_where_no_pin_is_wanted_none_is_checked(house: House, prepare: str, code: str) -> None:
    if prepare == "held":
        await house.bays.submit("109", i.Hold(i.Actor(i.Role.STAFF, "anna"), "x"))
    if prepare in ("playing", "early"):
        await house.play()
    if prepare == "early":
        await house.book(session_id="8")
    before = await house.state()
    reply = await house.press("pin", {"pin": PIN})
    assert (reply.status, reply.code) == (409, code)
    assert house.verifier.asked == 0
    assert await house.state() == before


async def test_the_next_sessions_pin_is_taken_in_the_last_minutes(house: House) -> None:
    await house.play(minutes=60)
    await house.book(session_id="8")
    house.verifier.opens = {PIN: "8"}
    house.clock._offset_ms += 56 * 60_000
    reply = await house.press("pin", {"pin": PIN})
    assert (reply.status, reply.json["session"]["id"]) == (200, "7")
    house.clock._offset_ms += 5 * 60_000
    async with asyncio.timeout(20):
        while "SessionEnded" not in await house.kinds():  # noqa: ASYNC110 # of the bay's own timer
            await asyncio.sleep(0.05)
    view = (await house.ask("GET", "/status")).json["bays"]["109"]
    assert (view["phase"], view["session"]["id"]) == ("playing", "8")


async def test_the_players_own_pin_opens_nothing_and_forgives_nothing(house: House) -> None:
    await house.play(minutes=60)
    await house.book(session_id="8")
    house.clock._offset_ms += 56 * 60_000
    assert (await house.press("pin", {"pin": WRONG})).json["tries_left"] == 4
    own = await house.press("pin", {"pin": PIN})
    assert (own.status, own.code) == (409, OWN_PIN)
    assert house.bays.get("109").pad.failures == 1


async def test_an_attempt_that_a_crash_cut_short_is_answered_under_its_key(closed_house: House) -> None:
    """Whoever settles it afterwards makes the answer that the same press gets when it is sent again."""
    async with closed_house.open() as house:
        await house.book()
        house.verifier.dies = True
        assert (await house.press("pin", {"pin": PIN}, key="k", described=False)).status == 500
    async with closed_house.open() as house:
        attempt = house.bays.get("109").pad.attempt
        assert attempt is not None
        maker = house.api.recovered_answer("109", attempt.request_key)
        await house.bays.submit("109", i.PinWasWrong(attempt.attempt_id), maker)
        reply = await house.press("pin", {"pin": PIN}, key="k")
        assert (reply.status, reply.code, reply.json["tries_left"]) == (401, "wrong_pin", 4)
        assert REPLAYED_HEADER in reply.headers
        assert house.verifier.asked == 0
        assert house.api.recovered_answer("109", None) is None


async def test_a_pin_on_a_hanging_disk_is_answered_in_time_and_counts(closed_house: House) -> None:
    disk = HeldExecutor()
    closed_house.executor = disk
    closed_house.patience_s = 5.0
    closed_house.rules = {
        n: type(r)(dispenser="east", intent_ttl_ms=400) for n, r in closed_house.rules.items()
    }
    async with closed_house.open() as house:
        await house.book()
        house.verifier.gate.clear()
        press = asyncio.gather(house.press("pin", {"pin": PIN}, key="k"))
        await house.verifier.reached.wait()
        disk.free.clear()
        house.verifier.gate.set()
        (reply,) = await press
        assert (reply.status, reply.code) == (503, "outcome_unknown")
        assert "will be recorded" in reply.json["detail"]
        disk.free.set()
        again = await house.press("pin", {"pin": PIN}, key="k")
        assert (again.status, again.json["phase"]) == (200, "playing")
        assert house.verifier.asked == 1


async def test_what_is_no_pin_is_named_and_never_shown(house: House) -> None:
    await house.book()
    for pin in ("12345", "1234567", "12345a", "١٢٣٤٥٦", "", " 123456", "123456\n", 123456, None):
        reply = await house.press("pin", {"pin": pin})
        assert (reply.status, reply.code, reply.json["field"]) == (422, "invalid", "pin"), pin
        assert "123456" not in reply.text
    assert house.bays.get("109").pad.failures == 0


async def test_a_pin_is_nowhere_to_be_found_afterwards(closed_house: House) -> None:
    async with closed_house.open() as house:
        await house.book()
        await house.press("pin", {"pin": WRONG})
        await house.press("pin", {"pin": PIN})
        await house.press("pin", raw=f'{{"pin": "{PIN}'.encode())
        pages = [
            (await house.ask("GET", path, token=STAFF)).text
            for path in ("/status", "/api/v1/bays/109", "/metrics", "/openapi.json")
        ]
        logged = repr(house.log.lines)
    database = sqlite3.connect(closed_house.path)
    try:
        kept = "\n".join(database.iterdump())
    finally:
        database.close()
    for pin in (PIN, WRONG):
        assert pin not in kept
        assert pin not in logged
        assert not [page for page in pages if pin in page]
