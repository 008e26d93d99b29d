"""What a guesser gets, in every phase of a bay and under every kind of answer of the server.

The rule (docs/security.md, PINs): a PIN that somebody may have looked at, the server or a hash that is kept
here, is a try until it is proven right. The same PIN once more is the same guess. What nobody looked at is
no try, and opens nothing: a server that is simply away locks nobody out.
"""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bayd.clients.central import Secret
from bayd.core import inputs as i
from bayd.core.model import Bay, Mode, Phase
from bayd.core.rules import Rules
from bayd.ports import HttpResponse
from bayd.reconcile.counted_pins import CountedPins
from bayd.reconcile.telling import NOT_TAKEN
from bayd.runtime.bay import Outcome
from tests.core import playbook
from tests.reconcile.central_world import ADMIN_PASSWORD, STAFF, CentralWorld, Fault, central_world

pytestmark = pytest.mark.virtual_time
Json = dict[str, Any]

# The phases' own times are far off: a table of guesses takes minutes.
RULES = Rules(grace_minutes=60, next_pin_minutes=60, booking_horizon_minutes=10_000)
VERIFY = "/session/verify"


# The bay


async def free(_world: CentralWorld) -> str:
    return "000001"


async def booked(world: CentralWorld) -> str:
    session = await world.book()
    await world.knows(session)
    return str(session["pin"])


async def held(world: CentralWorld) -> str:
    pin = await booked(world)
    await world.submit(i.Hold(STAFF, "for the club"))
    return pin


async def out_of_service(world: CentralWorld) -> str:
    pin = await booked(world)
    await world.submit(i.StopService(STAFF, "the net is torn"))
    return pin


async def in_mode(world: CentralWorld, mode: Mode) -> str:
    pin = await booked(world)
    await world.submit(i.SetMode(mode, True, STAFF, "as planned"))
    return pin


async def closed(world: CentralWorld) -> str:
    return await in_mode(world, Mode.CLOSED)


async def free_play(world: CentralWorld) -> str:
    return await in_mode(world, Mode.FREE_PLAY)


async def playing(world: CentralWorld, minutes: int = 600) -> str:
    """Long before its end; the next one waits."""
    first = await world.book(minutes=minutes)
    await world.knows(first)
    await world.type_pin(first["pin"])
    assert world.bay().phase is Phase.PLAYING
    return await booked(world)


async def last_minutes(world: CentralWorld) -> str:
    return await playing(world, minutes=50)


async def next_one_ready(world: CentralWorld) -> str:
    await world.type_pin(await last_minutes(world))
    assert world.bay().next_session_id is not None
    return await booked(world)


async def grace(world: CentralWorld) -> str:
    pin = await playing(world)
    await world.submit(i.End(STAFF, "left"))
    assert world.bay().phase is Phase.GRACE
    return pin


async def paused(world: CentralWorld) -> str:
    session = await world.book(minutes=600)
    await world.knows(session)
    await world.type_pin(session["pin"])
    await world.submit(i.Pause(STAFF, "lightning"))
    return str(session["pin"])


async def paused_and_next(world: CentralWorld) -> str:
    pin = await playing(world)
    await world.submit(i.Pause(STAFF, "lightning"))
    return pin


async def paused_and_closed(world: CentralWorld) -> str:
    pin = await paused_and_next(world)
    await world.submit(i.SetMode(Mode.CLOSED, True, STAFF, "as planned"))
    return pin


async def paused_after_a_move(world: CentralWorld) -> str:
    """Moved here, which the server was not told yet: so a hash is looked at before the server is asked."""
    world.wire.order("refused", "/bay/sessionBayChange", times=1_000_000)
    session = await world.book("102", minutes=600)
    await world.knows(session)
    await world.type_pin(session["pin"], "102")
    await world.submit(i.Move("101", STAFF, "the net is torn"), "102")
    pin = await booked(world)
    await world.submit(i.Pause(STAFF, "lightning"))
    return pin


REFUSING = [free, held, out_of_service, closed, playing, next_one_ready]
CHECKING = [
    booked,
    free_play,
    last_minutes,
    grace,
    paused,
    paused_and_next,
    paused_and_closed,
    paused_after_a_move,
]
TABLES = [  # of each phase one in `make test`
    pytest.param(
        enter,
        key,
        id=f"{enter.__name__}, {'key' if key else 'no key'}",
        marks=() if often else pytest.mark.soak,
    )
    for number, enter in enumerate(CHECKING)
    for key in (True, False)
    for often in [key is (number % 2 == 0) or enter is paused_after_a_move]
]
PAUSED = (paused, paused_and_next, paused_and_closed, paused_after_a_move)


# The server


@dataclass(frozen=True)
class Fate:
    """What becomes of a PIN that is sent."""

    arrives: bool = True
    fault: str = ""  # of the wire
    delay_s: float = 0
    status: int = 503
    answer: Json | None = None  # the server's, whatever was asked
    answered_by: int = 200
    everything: bool = False  # befalls all that is asked, not a PIN alone

    def of(self, path: str) -> Fault | None:
        if not self.fault or not (self.everything or path == VERIFY):
            return None
        return Fault(self.fault, path=path, delay_s=self.delay_s, status=self.status, times=1_000_000)


FATES = {
    "answered": Fate(),
    "answered late": Fate(fault="delayed", delay_s=1.5),
    "doubled": Fate(fault="doubled"),
    "doubled, and no answer": Fate(fault="doubled_unanswered"),
    "answered too late": Fate(fault="delayed", delay_s=3),
    "no answer": Fate(fault="unanswered"),
    "lost on the way": Fate(fault="lost"),
    "half an answer": Fate(fault="garbled"),
    "500": Fate(fault="status", status=500),
    "503": Fate(fault="status", status=503),
    "429": Fate(fault="status", status=429),
    "302": Fate(fault="status", status=302),
    "401": Fate(fault="status", status=401),
    "404": Fate(fault="status", status=404),
    "a portal's 200": Fate(fault="status", status=200),
    "401 in the envelope": Fate(answer={"success": False, "message": "no"}, answered_by=401),
    "a yes to nothing": Fate(answer={"success": True, "data": None}),
    "refused": Fate(arrives=False, fault="refused"),
    "away": Fate(arrives=False, fault="refused", everything=True),
}
CLEAR = ("answered", "answered late", "doubled")  # a no is heard


class Server:
    """The wire's fate, and which PINs have left by it."""

    def __init__(self, world: CentralWorld) -> None:
        self._world = world
        self.fate = Fate()
        self.disk_refuses_then = 0  # so many writes, once a PIN has arrived
        self._real = world.wire.exchange
        world.wire.chance = lambda _method, path: self.fate.of(path)
        world.wire.exchange = self._exchange  # type: ignore[method-assign]

    async def _exchange(self, method: str, url: str, **options: Any) -> HttpResponse:
        if url.endswith(VERIFY):
            self._world.disk.refuses, self.disk_refuses_then = self.disk_refuses_then, 0
        if self.fate.answer is not None and url.endswith(VERIFY):
            return HttpResponse(self.fate.answered_by, {}, json.dumps(self.fate.answer).encode())
        return await self._real(method, url, **options)

    def saw(self, pin: str) -> bool:
        """Somebody beyond this PC may have."""
        bodies = [seen.body or b"" for seen in self._world.wire.sent("POST", VERIFY)]
        return self.fate.arrives and any(pin.encode() in body for body in bodies)


def guesses(*right: str) -> Iterator[str]:
    """PINs that nobody has."""
    return (pin for number in itertools.count(135_790) if (pin := f"{number:06d}") not in right)


async def unlock(world: CentralWorld) -> None:
    await world.submit(i.UnlockPad(STAFF, "known"))


def kinds(outcome: Outcome) -> list[str]:
    return [type(event).__name__ for event in outcome.decision.events]


# The tables


@pytest.mark.parametrize("enter", REFUSING, ids=lambda phase: phase.__name__)
async def test_where_no_pin_is_taken_none_is_looked_at(quick_path: Path, enter: Any) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        right = await enter(world)
        sent = len(world.wire.sent("POST", VERIFY))
        for pin in (*itertools.islice(guesses(right), 12), right):
            assert (await world.type_pin(pin)).decision.refusal is not None
            assert world.bay().pad.failures == 0
        assert len(world.wire.sent("POST", VERIFY)) == sent


@pytest.mark.parametrize(("enter", "key"), TABLES)
async def test_what_somebody_looked_at_is_a_try_and_nothing_else(
    quick_path: Path, enter: Any, key: bool
) -> None:
    async with central_world(quick_path, rules=RULES) as world:
        world.admin_password = ADMIN_PASSWORD
        if not key:
            world.site_key = None
        async with world.up():
            right = await enter(world)
            server, fresh, found = Server(world), guesses(right), {}
            compares = key and (enter not in PAUSED or enter is paused_after_a_move)
            for name, server.fate in FATES.items():
                await unlock(world)
                seen, said = 0, set()
                pair = tuple(itertools.islice(fresh, 2))
                for pin in pair:
                    outcome = await world.type_pin(pin)
                    assert outcome.decision.refusal is None
                    said |= set(kinds(outcome))
                    seen += compares or server.saw(pin)
                counted = world.bay().pad.failures
                found[name] = (seen, counted)
                assert said <= {"PinRefused", "PinCheckFailed"}
                assert (said == {"PinRefused"}) or name not in CLEAR
                if "PinRefused" not in said:
                    await world.type_pin(pair[0])
                    assert world.bay().pad.failures == counted, f"{name}: the same PIN is the same guess"
            wrong = {name: both for name, both in found.items() if both[0] != both[1]}
            assert not wrong, "what was looked at is not what was counted"
            # Where nothing counts, the right PIN has no chance either.
            await unlock(world)
            phase = world.bay().phase
            outcome = await world.type_pin(right)
            assert ("PinAccepted" in kinds(outcome)) == bool(found["away"][1])
            assert compares or world.bay().phase is phase
            server.fate = FATES["answered"]
            if world.bay().next_session_id is None and world.bay().phase is phase:
                await unlock(world)
                assert "PinAccepted" in kinds(await world.type_pin(right)), "nobody was locked out"


# In the course of time

HOUR_S = 3600
HARDEST = [
    pytest.param(paused_and_next, "no answer", True, id="paused, the next one waits"),
    pytest.param(paused_after_a_move, "away", True, id="paused after a move", marks=pytest.mark.soak),
    pytest.param(booked, "no answer", False, id="booked, no key", marks=pytest.mark.soak),
    pytest.param(grace, "half an answer", False, id="grace, no key", marks=pytest.mark.soak),
    pytest.param(last_minutes, "401", False, id="the last minutes, no key", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("enter", "fate", "key"), HARDEST)
async def test_ten_in_the_first_hour_then_one_an_hour_whatever_the_guesser_pulls(
    quick_path: Path, enter: Any, fate: str, key: bool
) -> None:
    """Restarts, reboots and clock steps in between; a restart forgets what it kept in memory."""
    rules = replace(RULES, grace_minutes=600, next_pin_minutes=600)
    tricks, loop = random.Random(fate), asyncio.get_running_loop()
    async with central_world(quick_path, rules=rules, poll_s=86_400) as world:
        world.site_key = world.site_key if key else None
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            fresh = guesses(await enter(world))
            await unlock(world)
        server = Server(world)
        server.fate = FATES[fate]
        began, tries_s = loop.time(), []
        while loop.time() - began < 2 * HOUR_S:
            async with world.up():
                for pin in itertools.islice(fresh, 6):
                    outcome = await world.type_pin(pin)
                    if outcome.decision.refusal is not None:
                        assert outcome.decision.refusal.code == "locked"
                        break
                    tries_s.append(loop.time() - began)
            world.pass_by(tricks.choice([9, 29, 58, 150, 300]))
            world.clock.trick(tricks)
        assert 5 <= sum(at <= HOUR_S for at in tries_s) <= 10
        assert sum(at > HOUR_S for at in tries_s) <= 1


# Honest guests


async def test_a_server_that_is_silent_locks_nobody_out(quick_path: Path) -> None:
    """It takes connections, and answers nothing: a day of guests, each of whom staff have to let in."""
    async with central_world(quick_path, rules=RULES) as world:
        world.site_key = None
        async with world.up():
            pins = []
            for _ in range(12):
                session = await world.book()
                await world.knows(session)
                pins.append(session["pin"])
            server = Server(world)
            server.fate = Fate(fault="lost", everything=True)
            await asyncio.sleep(60)
            for pin in pins[:-1]:
                for _ in range(4):
                    assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
                await world.submit(i.StartPlay(STAFF, "the server is silent"))
                await world.submit(i.End(STAFF, "played"))
            assert len({seen.body for seen in world.wire.sent("POST", VERIFY)}) == 1
            assert world.bay().pad.failures == 1, "one was sent, none was asked for after it"
            server.fate = FATES["answered"]
            assert kinds(await world.type_pin(pins[-1])) == ["PinAccepted", "SessionStarted"]
            assert world.bay().pad.failures == 0


async def test_a_press_after_a_silence_takes_no_longer_than_any_other(quick_path: Path) -> None:
    async with central_world(quick_path, rules=RULES, poll_s=86_400) as world:
        world.site_key = None
        async with world.up():
            fresh, loop = guesses(await booked(world)), asyncio.get_running_loop()
            server = Server(world)
            server.fate = Fate(fault="lost", everything=True)
            took_s = []
            for _ in range(2):
                began = loop.time()
                await world.type_pin(next(fresh))
                took_s.append(loop.time() - began)
            assert took_s == [pytest.approx(2), pytest.approx(1)]
            world.wire.chance = lambda _method, path: Fault(
                "delayed", path=path, delay_s=1.5 if path == VERIFY else 0.9
            )
            began, pin = loop.time(), next(fresh)
            await world.type_pin(pin)
            assert loop.time() - began == pytest.approx(2)
            assert (server.saw(pin), world.bay().pad.failures) == (True, 2)


async def test_a_server_that_is_slow_gets_its_pins_once_it_has_answered_anything(quick_path: Path) -> None:
    """What is asked first has half of the time; a server that needs more has answered the poller."""
    async with central_world(quick_path, rules=RULES) as world:
        world.site_key = None
        async with world.up():
            right = await booked(world)
            server = Server(world)
            server.fate = Fate(fault="lost", everything=True)
            await world.type_pin(right)
            server.fate = Fate(fault="delayed", delay_s=1.2, everything=True)
            await asyncio.sleep(60)
            assert "PinAccepted" in kinds(await world.type_pin(right))


@pytest.mark.parametrize("fate", ["no answer", "500", "401", "half an answer"])
async def test_a_paused_guest_whose_answers_got_lost_owes_nothing_once_his_pin_proves_right(
    quick_path: Path, fate: str
) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        own = await paused(world)
        server, guess = Server(world), next(guesses(own))
        await world.type_pin(guess)
        assert world.bay().pad.failures == 1
        server.fate = FATES[fate]
        for _ in range(8):
            assert kinds(await world.type_pin(own)) == ["PinCheckFailed"]
        assert world.bay().pad.failures == 2
        server.fate = FATES["answered"]
        assert kinds(await world.type_pin(own)) == ["PinAccepted", "SessionResumed"]
        assert world.bay().pad.failures == 1, "the guess stays"


@pytest.mark.parametrize("readable", [True, False])
async def test_where_nobody_can_tell_whether_a_move_was_told_the_hash_comes_first(
    quick_path: Path, readable: bool
) -> None:
    async with central_world(quick_path, rules=RULES) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            right = await paused_after_a_move(world)
            sent = len(world.wire.sent("POST", VERIFY))
            world.disk.unreadable = "" if readable else "SELECT EXISTS"
            assert kinds(await world.type_pin(right)) == ["PinAccepted", "NextSessionReady"]
            assert len(world.wire.sent("POST", VERIFY)) == sent
            world.disk.unreadable = ""


@pytest.mark.parametrize("enter", [booked, paused], ids=lambda phase: phase.__name__)
@pytest.mark.parametrize("fate", ["no answer", "500", "a yes to nothing"])
async def test_a_pin_that_nobody_answered_and_that_then_is_wrong_was_one_try(
    quick_path: Path, enter: Any, fate: str
) -> None:
    async with central_world(quick_path, rules=RULES) as world:
        world.site_key = None
        async with world.up():
            fresh, server = guesses(await enter(world)), Server(world)
            four = list(itertools.islice(fresh, 4))
            for failures, guess in enumerate(four, 1):
                server.fate = FATES[fate]
                assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
                server.fate = FATES["answered"]
                assert kinds(await world.type_pin(guess)) == ["PinRefused"]
                assert world.bay().pad.failures == failures
            assert kinds(await world.type_pin(four[0])) == ["PinRefused"]
            assert world.bay().pad.failures == 5, "what was called wrong counts whenever it is typed"
            refusal = (await world.type_pin(next(fresh))).decision.refusal
            assert refusal is not None
            assert refusal.code == "locked"


async def test_a_pin_that_nobody_answered_is_another_try_where_it_is_wrong_for_the_next_booking_too(
    quick_path: Path,
) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        own = await paused(world)
        server, guess = Server(world), next(guesses(own))
        server.fate = FATES["no answer"]
        await world.type_pin(guess)
        await booked(world)
        server.fate = FATES["answered"]
        assert kinds(await world.type_pin(guess)) == ["PinRefused"]
        assert world.bay().pad.failures == 2


async def test_a_pin_that_counted_is_another_guess_at_the_next_booking(quick_path: Path) -> None:
    async with central_world(quick_path, rules=RULES) as world, world.up():
        own = await paused(world)
        server, guess = Server(world), next(guesses(own))
        server.fate = FATES["no answer"]
        for failures in (1, 1):
            await world.type_pin(guess)
            assert world.bay().pad.failures == failures
        await booked(world)
        for failures in (2, 2):
            await world.type_pin(guess)
            assert world.bay().pad.failures == failures


def test_of_the_pins_that_counted_the_newest_are_kept_each_for_its_own_bay_and_who_was_there() -> None:
    counted, bay = CountedPins(bytes(32)), Bay("101")
    played = replace(playbook.playing().bay, number="101")
    pins = [Secret(pin) for pin in itertools.islice(guesses(), 9)]
    for number, pin in enumerate(pins):
        counted.remember(bay, pin, f"attempt{number}")
    assert [counted.is_counted(bay, pin) for pin in pins] == [False] + [True] * 8
    assert not counted.is_counted(Bay("102"), pins[8])
    assert not counted.is_counted(played, pins[8]), "somebody was moved there: his PIN may be this one"
    assert (counted.settle(bay, pins[8]), counted.settle(bay, pins[8])) == ("attempt8", None)


@pytest.mark.parametrize(
    ("enter", "fate"), [(booked, "a yes to nothing"), (paused, "answered")], ids=["a yes", "a no"]
)
async def test_what_a_page_that_is_not_shown_leaves_open_is_a_try(
    quick_path: Path, enter: Any, fate: str
) -> None:
    async with central_world(quick_path, rules=RULES, poll_s=86_400) as world:
        world.site_key = None
        async with world.up():
            fresh, server = guesses(await enter(world)), Server(world)
            server.fate = FATES[fate]
            page = "/session/1"
            world.wire.order("status", page, "GET", times=1_000)
            for failures, pin in enumerate(itertools.islice(fresh, 3), 1):
                for _ in range(2):
                    assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
                    assert world.bay().pad.failures == failures


async def test_a_guess_that_broke_off_opens_nothing_that_an_unanswered_pin_has_started(
    quick_path: Path,
) -> None:
    async with central_world(quick_path, rules=RULES, poll_s=86_400) as world:
        world.site_key = None
        async with world.up(), asyncio.TaskGroup() as presses:
            right = await booked(world)
            server = Server(world)
            server.fate = FATES["no answer"]
            await world.type_pin(right)
            server.fate = FATES["answered late"]
            guess = presses.create_task(world.type_pin(next(guesses(right))), name="press")
            await asyncio.sleep(1)
            guess.cancel()
            await world.until(lambda: world.bay().pad.attempt is None)
            assert world.bay().phase is Phase.BOOKED
            assert world.bay().pad.failures == 2


@pytest.mark.parametrize("answered", ["answered", "no answer"])
async def test_a_disk_that_refuses_what_became_of_a_guess_gives_none_away(
    quick_path: Path, answered: str
) -> None:
    async with central_world(quick_path, rules=RULES, poll_s=86_400) as world, world.up():
        right = await paused_and_next(world)
        server, fresh = Server(world), guesses(right)
        server.fate = FATES[answered]
        for failures, pin in enumerate(itertools.islice(fresh, 4), 1):
            server.disk_refuses_then = 3
            with pytest.raises(NOT_TAKEN):
                await world.type_pin(pin)
            await world.until(lambda: world.bay().pad.attempt is None)
            assert world.bay().pad.failures == failures
