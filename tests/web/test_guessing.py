"""A guesser at the pad of a real service, with the real check behind it, in every state of the server.

The rule (docs/security.md): a PIN that had a chance, at the server or at a hash that is kept here, is a try.
Where it had none, no try is counted, and no PIN opens the bay.
"""

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bayd.core import inputs as i
from bayd.core.model import Phase
from tests.web.central_house import CentralHouse, central_house
from tests.web.house import STAFF, Reply

LOCKS_MIN = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
STATES = ["online", "away", "answers lost", "one hash missing", "one hash expired"]
NO_CHANCE = ["no site key", "no hash", "all hashes expired", "paused", "paused, and another waits"]


@pytest_asyncio.fixture
async def home(quick_path: Path) -> AsyncIterator[CentralHouse]:
    """Not opened yet."""
    async with central_house(quick_path) as house:
        yield house


async def enter_state(house: CentralHouse, state: str) -> str:
    """A booking waits at bay 109; its PIN."""
    if state == "one hash expired":
        await house.book_there()
        house.pass_by(20 * 3600)
    pin = await house.book_there()
    match state:
        case "online":
            return pin
        case "answers lost":
            house.line.state = "deaf"
            return pin
        case "one hash missing":
            said = i.ServerSaid("999", 60, 0, house.clock.now().wall_ms, False, False, False)
            await house.bays.submit("109", said)
        case "one hash expired":
            house.pass_by(5 * 3600)
    house.line.state = "away"
    return pin


def wrong_ones() -> Iterator[str]:
    """PINs that nobody has."""
    return (f"{number:06d}" for number in itertools.count(135_790))


def is_unchecked(reply: Reply) -> bool:
    return (reply.status, reply.code) == (503, "pin_unavailable")


@pytest.mark.parametrize("state", STATES)
async def test_ten_guesses_in_the_first_hour_then_one_an_hour(home: CentralHouse, state: str) -> None:
    async with home.open() as house:
        pin = await enter_state(home, state)
        guesses = wrong_ones()
        tries_s, now_s, lefts = [], 0, []
        while now_s <= 4 * 3600:
            reply = await house.press("pin", {"pin": next(guesses)})
            if reply.status != 423:
                assert reply.code == ("pin_unavailable" if state.startswith("one hash") else "wrong_pin")
                tries_s.append(now_s)
                lefts.append(reply.json["tries_left"])
                continue
            step_s = reply.json["retry_after_s"]
            now_s += step_s
            home.pass_by(step_s)
        assert lefts == [4, 3, 2, 1, *[0] * (len(lefts) - 4)]
        assert sum(at <= 3600 for at in tries_s) == 10
        assert [sum(hour * 3600 < at <= (hour + 1) * 3600 for at in tries_s) for hour in (1, 2, 3)] == [
            1,
            1,
            1,
        ]
        # A lock holds against the right PIN too; after it the guest plays.
        await house.press("pin", {"pin": next(guesses)})
        assert (await house.press("pin", {"pin": pin})).status == 423
        home.pass_by(3600)
        assert (await house.press("pin", {"pin": pin})).status == 200


@pytest.mark.parametrize("state", STATES)
async def test_no_restart_and_no_clock_gives_a_guesser_another_try(home: CentralHouse, state: str) -> None:
    """Setting the clock forth may take a hash away, and with it every chance; back, it counts as before."""
    tricks = random.Random(len(state))
    pin, chances_s, now_s = "", [], 0
    guesses = wrong_ones()
    while now_s < 5 * 3600:
        async with home.open() as house:
            pin = pin or await enter_state(home, state)
            for _ in range(6):
                failures = house.bays.get("109").pad.failures
                reply = await house.press("pin", {"pin": next(guesses)})
                if reply.status == 423:
                    break
                if "tries_left" in reply.json:
                    chances_s.append(now_s)
                    assert house.bays.get("109").pad.failures == failures + 1
                else:
                    assert is_unchecked(reply)
                    assert not home.parts.vault.knows_any(house.bays.get("109"))
            assert house.bays.get("109").phase is Phase.BOOKED
        step_s = tricks.choice([59, 300, 1700, 3500])
        now_s += step_s
        home.pass_by(step_s)
        match tricks.randrange(4):
            case 0:
                home.clock.reboot()
            case 1:
                home.clock.wall_step_ms += 3 * 3_600_000
            case 2:
                home.clock.wall_step_ms -= 2 * 86_400_000
            case _:
                home.clock.synchronised = not home.clock.synchronised
    assert 5 <= sum(at <= 3600 for at in chances_s) <= 10
    for (before_s, after_s), lock_min in zip(itertools.pairwise(chances_s[4:]), LOCKS_MIN, strict=False):
        assert after_s - before_s >= lock_min * 60 - 1, "no trick shortens a lock"


@pytest.mark.parametrize("state", NO_CHANCE)
async def test_where_no_hash_is_compared_no_try_counts_and_no_pin_opens(
    home: CentralHouse, state: str
) -> None:
    if state == "no site key":
        home.site_key = None
    async with home.open() as house:
        pins = [await home.book_there()]
        if state.endswith("another waits"):
            pins.append(await home.book_there())
        if state.startswith("paused"):
            assert (await house.press("pin", {"pin": pins[0]})).status == 200
            assert (await house.press("pause", {"reason": "lightning"}, token=STAFF)).status == 200
        home.line.state = "away"
        if state == "no hash":
            await home.journal.purge_pin("109", house.bays.get("109").bookings[0].session_id)
        if state == "all hashes expired":
            home.pass_by(25 * 3600)
    async with home.open() as house:
        for pin in (*itertools.islice(wrong_ones(), 20), *pins):
            home.pass_by(10)
            reply = await house.press("pin", {"pin": pin})
            assert is_unchecked(reply)
            assert "tries_left" not in reply.json
            assert house.bays.get("109").pad.failures == 0
        assert house.bays.get("109").next_session_id is None
        assert house.bays.get("109").phase is (Phase.PAUSED if state.startswith("paused") else Phase.BOOKED)
        # Nobody was locked out by it: with the server back the same guest plays.
        home.line.state = "up"
        home.pass_by(10)
        assert (await house.press("pin", {"pin": pins[0]})).status == 200


async def test_tries_add_up_over_states_that_come_and_go(home: CentralHouse) -> None:
    """Neither an outage nor a pause in between gives a guesser five more."""
    async with home.open() as house:
        await home.book_there()
        guesses = wrong_ones()
        codes = []
        for state in ("up", "away", "up", "deaf", "away", "up"):
            home.line.state = state
            home.pass_by(10)
            codes.append((await house.press("pin", {"pin": next(guesses)})).code)
        assert codes == ["wrong_pin"] * 5 + ["locked"]


async def test_a_paused_guests_own_pin_forgives_no_guesses_at_the_next_ones(home: CentralHouse) -> None:
    """He lets his pause end with it after each guess, over restarts, as often as staff pause him again; also
    once the server's own timer has ended his session, which no pause stops."""
    guesses = wrong_ones()
    own, tries_s, now_s = "", [], 0
    while now_s < 3700:
        async with home.open() as house:
            if not own:
                own = await home.book_there()
                await home.book_there()
                assert (await house.press("pin", {"pin": own})).status == 200
            assert (await house.press("pause", {"reason": "lightning"}, token=STAFF)).status == 200
            guess = await house.press("pin", {"pin": next(guesses)})
            resumed = await house.press("pin", {"pin": own})
            while resumed.status == 423:
                now_s += resumed.json["retry_after_s"]
                home.pass_by(resumed.json["retry_after_s"])
                resumed = await house.press("pin", {"pin": own})
            assert (guess.status, resumed.status) == (401, 200)
            tries_s.append(now_s)
            assert house.bays.get("109").pad.failures == len(tries_s)
    assert (len(tries_s), tries_s[-1]) == (10, 3780), "as often as anybody may guess"
