"""PINs at the pad: with the server, without it, and with its answers lost; what is kept, and what is not."""

import asyncio
import hashlib
import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Phase, StartedBy
from bayd.core.rules import Rules
from bayd.ports import HttpResponse
from bayd.runtime.bay import Outcome
from tests.reconcile.central_world import SITE_KEY, STAFF, CentralWorld, central_world
from tests.reconcile.test_bookings import answer_with, refusal_404, rewrite

pytestmark = pytest.mark.virtual_time
SERVERS = ["reference", "minimal"]
Json = dict[str, Any]


def other(pin: str) -> str:
    return f"{(int(pin) + 1) % 1_000_000:06d}"


def kinds(outcome: Outcome) -> list[str]:
    return [type(event).__name__ for event in outcome.decision.events]


# With the server


@pytest.mark.parametrize("server", SERVERS)
async def test_the_right_pin_starts_play_and_the_server_knows(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"]
        assert world.bay().pad.failures == 1
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]
        assert world.bay().pad.failures == 0
        assert world.play().started_by is StartedBy.PIN_ONLINE
        assert (await world.page(session["id"]))["active"] is True
        await world.delivered()
        assert len(world.wire.sent("POST", "/session/verify")) == 2, "a start that it knows is not told again"


@pytest.mark.parametrize("server", SERVERS)
async def test_a_pin_opens_a_booking_that_no_poll_has_shown_yet(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server, poll_s=3600) as world, world.up():
        first = await world.book()
        await world.knows(first)
        fresh = await world.book()
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinAccepted", "SessionStarted"]
        assert world.play().session_id == str(fresh["id"])


@pytest.mark.parametrize("answer", [{}, None, {"affected": 1}, {"bay": {"number": "101"}}])
async def test_a_yes_without_a_session_means_the_one_that_became_active(
    quick_path: Path, answer: object
) -> None:
    """What verify answers is not documented. Without a site key only `active` can tell which it was."""
    async with central_world(quick_path) as world:
        world.site_key = None
        real = world.wire.exchange

        async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
            response = await real(method, url, **options)
            if url.endswith("/session/verify") and response.status == 200:
                body = json.dumps({"success": True, "data": answer}).encode()
                return HttpResponse(200, response.headers, body)
            return response

        world.wire.exchange = exchange  # type: ignore[method-assign]
        async with world.up():
            await world.book()
            second = await world.book()
            await world.knows(second)
            assert kinds(await world.type_pin(second["pin"])) == ["PinAccepted", "SessionStarted"]
            assert world.play().session_id == str(second["id"])


async def test_a_yes_whose_session_cannot_be_read_counts_no_try_and_can_be_repeated(
    quick_path: Path,
) -> None:
    async with central_world(quick_path, poll_s=3600) as world, world.up():
        await world.knows(await world.book())
        fresh = await world.book()
        world.wire.order("status", f"/session/{fresh['id']}", "GET")
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinCheckFailed"]
        assert world.bay().pad.failures == 0
        await world.until(lambda: world.bay().find_booking(str(fresh["id"])) is not None, 30)
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinAccepted", "SessionStarted"]


@pytest.mark.parametrize("fault", ["lost", "delayed"])
async def test_one_press_takes_two_seconds_at_most(quick_path: Path, fault: str) -> None:
    """Not two for the check and ten more for the session's page."""
    async with central_world(quick_path, poll_s=3600) as world, world.up():
        await world.knows(await world.book())
        fresh = await world.book()
        world.wire.order("delayed", "/session/verify", delay_s=1.9)
        world.wire.order(fault, f"/session/{fresh['id']}", "GET", delay_s=5)
        began = asyncio.get_running_loop().time()
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinCheckFailed"]
        assert asyncio.get_running_loop().time() - began <= 2.01
        assert world.bay().pad.failures == 0
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinAccepted", "SessionStarted"]


# A server that takes each PIN once


def take_each_pin_once(world: CentralWorld) -> None:
    """What a session that runs is asked again is refused, as documented servers may."""
    real = world.wire.exchange

    async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
        if url.endswith("/session/verify"):
            typed = json.loads(options["body"])["pin"]
            running = [row for row in await world.history() if row["active"] and row["pin"] == typed]
            if running:
                return HttpResponse(409, {}, b'{"success":false,"message":"the session is active"}')
        return await real(method, url, **options)

    world.wire.exchange = exchange  # type: ignore[method-assign]


async def test_a_right_pin_whose_yes_got_lost_opens_when_it_is_typed_again(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session = await world.book()
            await world.knows(session)
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
            await world.until(lambda: "active_not_started" in world.conflicts())
            assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"], "a guess is one"
            assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]
            assert world.play().started_by is StartedBy.PIN_ONLINE
            await world.delivered()
            assert await world.parked() == []


@pytest.mark.parametrize("shows_pins", [True, False])
async def test_a_right_pin_whose_yes_got_lost_is_not_called_wrong_after_a_restart(
    quick_path: Path, shows_pins: bool
) -> None:
    """Nothing of the PIN is kept without a site key; the server's own page knows it, if it shows any."""
    async with central_world(quick_path) as world:
        world.site_key = None
        async with world.up():
            session = await world.book()
            await world.knows(session)
            take_each_pin_once(world)
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
        if not shows_pins:
            rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
        async with world.up():
            await world.until(lambda: "active_not_started" in world.conflicts())
            guess = kinds(await world.type_pin(other(session["pin"])))
            again = kinds(await world.type_pin(session["pin"]))
            if shows_pins:
                assert (guess, again) == (["PinRefused"], ["PinAccepted", "SessionStarted"])
                assert world.play().started_by is StartedBy.PIN_ONLINE
            else:
                assert guess == again == ["PinCheckFailed"]
                assert world.bay().pad.failures == 3, "tries, as nobody can tell which of them it is"
                await world.submit(i.StartPlay(STAFF, "the server has it running"))
            await world.delivered()
            assert await world.parked() == []


async def test_a_paused_guests_own_pin_resumes_also_where_the_server_takes_it_once(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Pause(STAFF, "lightning"))
        take_each_pin_once(world)
        assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"]
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionResumed"]


async def test_a_yes_whose_session_was_not_shown_is_no_wrong_pin_afterwards(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=3600) as world, world.up():
        await world.knows(await world.book())
        fresh = await world.book()
        take_each_pin_once(world)
        world.wire.order("status", f"/session/{fresh['id']}", "GET")
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinCheckFailed"]
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinAccepted", "SessionStarted"]


async def test_the_pin_of_a_session_that_the_desk_has_started_opens_by_its_hash(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.call("POST", "/session/verify", {"pin": session["pin"], "bayNumber": "101"})
        take_each_pin_once(world)
        assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"]
        world.wire.order("status", f"/session/{session['id']}", "GET")
        assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
        assert world.bay().pad.failures == 1, "nobody has said that it is wrong"
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]


async def test_of_two_pins_without_an_answer_neither_opens_what_one_of_them_has_started(
    quick_path: Path,
) -> None:
    """Else a guess that got lost would open with the next guest's start."""
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session = await world.book()
            await world.knows(session)
            rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
            guess = other(session["pin"])
            for pin in (guess, session["pin"]):
                world.wire.order("unanswered", "/session/verify")
                assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
            for pin in (guess, session["pin"], guess, session["pin"], guess):
                assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
                assert world.bay().pad.failures == 2, "a try each, and once"
            for failures, pin in enumerate((f"{int(guess) + more:06d}" for more in (1, 2, 3)), 3):
                await world.type_pin(pin)
                assert world.bay().pad.failures == failures, "others are bounded as ever"
            assert world.bay().pad.locked_until_ms is not None
            assert world.bay().phase is Phase.BOOKED


@pytest.mark.parametrize("shows_pins", [True, False])
async def test_a_lost_guess_is_a_wrong_pin_once_the_server_answers(
    quick_path: Path, shows_pins: bool
) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        async with world.up():
            session = await world.book()
            await world.knows(session)
            if not shows_pins:
                rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
            guess = other(session["pin"])
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
            assert kinds(await world.type_pin(guess)) == ["PinRefused"]
            await world.call("POST", "/session/verify", {"pin": session["pin"], "bayNumber": "101"})
            assert "PinAccepted" not in kinds(await world.type_pin(guess)), "forgotten with its answer"
            assert world.bay().phase is Phase.BOOKED


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("shows_pins", [True, False])
async def test_a_lost_guess_opens_nothing_that_the_desk_starts_later(
    quick_path: Path, shows_pins: bool, again: bool
) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        async with world.up():
            session = await world.book()
            await world.knows(session)
            if not shows_pins:
                rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
            guess = other(session["pin"])
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
            await asyncio.sleep(200)
            if again:
                world.wire.order("unanswered", "/session/verify")
                assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
            await asyncio.sleep(110)
            await world.call("POST", "/session/verify", {"pin": session["pin"], "bayNumber": "101"})
            assert "PinAccepted" not in kinds(await world.type_pin(guess))
            assert world.bay().phase is Phase.BOOKED


async def test_a_lost_guess_opens_nothing_that_the_desk_had_started_before(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session = await world.book()
            await world.knows(session)
            rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
            await world.call("POST", "/session/verify", {"pin": session["pin"], "bayNumber": "101"})
            await world.until(lambda: "active_not_started" in world.conflicts())
            world.wire.order("unanswered", "/session/verify")
            for _ in range(2):
                assert kinds(await world.type_pin(other(session["pin"]))) == ["PinCheckFailed"]
            assert world.bay().phase is Phase.BOOKED


@pytest.mark.parametrize("fault", [{"kind": "refused"}, {"kind": "status", "status": 401}])
async def test_a_pin_that_the_server_cannot_have_taken_opens_nothing_that_the_desk_has_started(
    quick_path: Path, fault: Json
) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session = await world.book()
            await world.knows(session)
            rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
            guess = other(session["pin"])
            world.wire.order(path="/session/verify", **fault)
            assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
            await world.call("POST", "/session/verify", {"pin": session["pin"], "bayNumber": "101"})
            await world.until(lambda: "active_not_started" in world.conflicts())
            assert kinds(await world.type_pin(guess)) == ["PinCheckFailed"]
            assert world.bay().phase is Phase.BOOKED


async def test_a_paused_guests_lost_pin_opens_nothing_that_the_desk_starts_for_the_next(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session, following = await world.book(), await world.book()
            await world.knows(following)
            await world.type_pin(session["pin"])
            await world.submit(i.Pause(STAFF, "lightning"))
            for one in (session, following):
                rewrite(world, f"/session/{one['id']}", lambda page: {**page, "pin": None})
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
            await world.call("POST", "/session/verify", {"pin": following["pin"], "bayNumber": "101"})
            await world.type_pin(session["pin"])
            assert world.bay().next_session_id is None


async def test_of_two_sessions_that_run_there_a_lost_pin_opens_neither_while_no_page_shows_whose_it_is(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session, following = await world.book(), await world.book()
            await world.knows(following)
            for one in (session, following):
                rewrite(world, f"/session/{one['id']}", lambda page: {**page, "pin": None, "active": True})
            world.wire.order("unanswered", "/session/verify")
            for _ in range(2):
                assert kinds(await world.type_pin(following["pin"])) == ["PinCheckFailed"]
            assert world.bay().phase is Phase.BOOKED


async def test_a_pin_that_the_server_has_taken_opens_beside_another_one_without_an_answer(
    quick_path: Path,
) -> None:
    async with central_world(quick_path, poll_s=3600) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            await world.knows(await world.book())
            fresh = await world.book()
            page = f"/session/{fresh['id']}"
            rewrite(world, page, lambda shown: {**shown, "pin": None})
            world.wire.order("status", page, "GET")
            assert kinds(await world.type_pin(fresh["pin"])) == ["PinCheckFailed"]
            world.wire.order("unanswered", "/session/verify")
            assert kinds(await world.type_pin(other(fresh["pin"]))) == ["PinCheckFailed"]
            assert kinds(await world.type_pin(fresh["pin"])) == ["PinAccepted", "SessionStarted"]
            assert world.play().session_id == str(fresh["id"])


async def test_a_paused_session_that_the_desk_has_cancelled_goes_on_by_no_pin(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=3600) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Pause(STAFF, "lightning"))
        take_each_pin_once(world)
        rewrite(world, f"/session/{session['id']}", lambda page: {**page, "cancel": True})
        assert kinds(await world.type_pin(session["pin"])) == ["PinRefused"]
        assert world.bay().phase is Phase.PAUSED


async def test_a_guess_at_a_paused_bay_is_wrong_also_where_no_page_shows_a_pin(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Pause(STAFF, "lightning"))
        rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": None})
        assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"]
        assert world.bay().pad.failures == 1


async def test_a_lost_pin_that_opened_its_bay_since_opens_nothing_more(quick_path: Path) -> None:
    async with central_world(quick_path, rules=Rules(next_pin_minutes=60)) as world:
        world.site_key = None
        take_each_pin_once(world)
        async with world.up():
            session, following = await world.book(), await world.book()
            await world.knows(following)
            world.wire.order("unanswered", "/session/verify")
            await world.type_pin(session["pin"])
            assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]
            for one in (session, following):
                rewrite(world, f"/session/{one['id']}", lambda page: {**page, "pin": None})
            await world.call("POST", "/session/verify", {"pin": following["pin"], "bayNumber": "101"})
            await world.type_pin(session["pin"])
            assert world.bay().next_session_id is None


async def test_a_second_press_waits_for_the_first(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.wire.order("delayed", "/session/verify", delay_s=1)
        first, second = await asyncio.gather(
            world.type_pin(session["pin"]), world.type_pin(other(session["pin"]))
        )
        assert kinds(first) == ["PinAccepted", "SessionStarted"]
        assert second.decision.refusal is not None
        assert second.decision.refusal.code == "check_running"


# Without it

AWAY = ["refused", "lost", "unanswered", "status", "garbled"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", AWAY)
async def test_the_right_pin_starts_play_within_two_seconds_and_the_server_is_told_once(
    quick_path: Path, server: str, kind: str
) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.wire.order(kind, "/session/verify")
        began = asyncio.get_running_loop().time()
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]
        assert asyncio.get_running_loop().time() - began <= 2.01
        assert world.play().started_by is StartedBy.PIN_OFFLINE
        await world.delivered()
        assert (await world.page(session["id"]))["active"] is True
        done_before = kind in ("unanswered", "garbled")
        assert len(world.wire.sent("POST", "/session/verify")) == (1 if done_before else 2)
        assert await world.parked() == []


@pytest.mark.parametrize("server", SERVERS)
async def test_after_a_restart_without_the_server_the_hash_still_knows(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world:
        session = await world.book()
        async with world.up():
            await world.knows(session)
        world.wire.down = True
        async with world.up():
            assert kinds(await world.type_pin(other(session["pin"]))) == ["PinRefused"]
            assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]
            world.wire.down = False
            await world.delivered()
        assert (await world.page(session["id"]))["active"] is True


async def test_without_a_site_key_nothing_is_kept_and_no_try_is_counted(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.site_key = None
        async with world.up():
            session = await world.book()
            await world.knows(session)
            assert await world.journal.find_pins("101") == []
            world.wire.down = True
            assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
            assert world.bay().pad.failures == 0
            assert "offline_pin_off" in [warning["code"] for warning in world.parts.warnings()]


async def test_a_booking_whose_pin_never_came_is_no_reason_to_call_a_pin_wrong(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        unknown = i.ServerSaid("999", 60, 0, world.clock.now().wall_ms, False, False, False)
        await world.submit(unknown)
        world.wire.down = True
        assert kinds(await world.type_pin(other(session["pin"]))) == ["PinCheckFailed"]
        assert world.bay().pad.failures == 1, "the other booking's hash had its chance"
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]


async def test_a_paused_player_is_not_called_wrong_while_the_server_is_away(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session, following = await world.book(), await world.book()
        await world.knows(following)
        await world.type_pin(session["pin"])
        await world.submit(i.Pause(STAFF, "lightning"))
        world.wire.down = True
        for pin in (session["pin"], following["pin"]):
            assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
            assert world.bay().pad.failures == 0, "and no hash has a chance"
        assert world.bay().next_session_id is None
        world.wire.down = False
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionResumed"]


async def test_the_server_that_has_lapsed_it_meanwhile_counts_as_told(quick_path: Path) -> None:
    """Our verify arrived, its answer did not; by the time the network is back the server's timer is over."""
    async with central_world(quick_path) as world, world.up():
        session = await world.book("101", minutes=5)
        await world.knows(session)
        world.wire.order("unanswered", "/session/verify")
        await world.type_pin(session["pin"])
        world.wire.down = True
        await world.submit(i.Extend("op1", 15, 100, STAFF, "cash"))
        await asyncio.sleep(600)
        assert (await world.page(session["id"]))["active"] is False
        world.wire.down = False
        await world.delivered()
        row = await world.row(session["id"])
        assert row["extendedTime"] == 15
        assert await world.parked() == []
        assert "start_doubtful" in world.conflicts()


async def test_a_late_no_ends_no_play_and_people_are_told(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.wire.down = True
        await world.type_pin(session["pin"])
        await world.call("POST", f"/session/{session['id']}/end")  # cancelled: it never started there
        real = world.wire.chance
        world.wire.chance = lambda method, path: None
        # The bay must not learn of the cancel first.
        answer_with(world, "/session/history", HttpResponse(503, {}, b""))
        world.wire.down = False
        await world.until(lambda: world.parts.outbox.view().parked == 1, 60)
        assert world.bay().phase is Phase.PLAYING
        assert "cancelled at the server" in (await world.parked())[0]
        assert "outbox_parked" in [warning["code"] for warning in world.parts.warnings()]
        world.wire.chance = real


# The wrong bay


@pytest.mark.parametrize("down", [False, True])
async def test_the_right_pin_at_the_wrong_bay_says_so_and_is_a_try(quick_path: Path, down: bool) -> None:
    async with central_world(quick_path) as world, world.up():
        mine, neighbours = await world.book("101"), await world.book("102")
        await world.knows(mine)
        await world.knows(neighbours)
        world.wire.down = down
        outcome = await world.type_pin(neighbours["pin"], "101")
        assert outcome.decision.events == (e.PinRefused(attempt_of(outcome), wrong_bay=True),)
        assert world.bay("101").pad.failures == 1
        nowhere = next(
            pin
            for pin in (f"{number:06d}" for number in range(10))
            if pin not in (mine["pin"], neighbours["pin"])
        )
        outcome = await world.type_pin(nowhere, "101")
        assert outcome.decision.events == (e.PinRefused(attempt_of(outcome), wrong_bay=False),)
        assert world.bay("101").pad.failures == 2


async def test_a_session_that_has_started_next_door_is_no_hint(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        mine, neighbours = await world.book("101"), await world.book("102")
        await world.knows(mine)
        await world.knows(neighbours)
        await world.type_pin(neighbours["pin"], "102")
        outcome = await world.type_pin(neighbours["pin"], "101")
        assert outcome.decision.events == (e.PinRefused(attempt_of(outcome), wrong_bay=False),)


def attempt_of(outcome: Outcome) -> str:
    (event,) = outcome.decision.events
    assert isinstance(event, e.PinRefused)
    return event.attempt_id


# Crashes


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("down", [False, True])
async def test_a_crash_at_any_write_of_a_check_loses_nothing_and_gives_no_guess(
    quick_path: Path, server: str, right: bool, down: bool
) -> None:
    async with central_world(quick_path, server, poll_s=3600) as world:
        outcomes = []
        for at in range(1, 5):
            for after in (False, True):
                outcomes.append(await crash_in_check(world, at, after=after, right=right, down=down))
        # Some crashes came before the check was durable, some after it: both kinds were met.
        assert {"nothing happened", "it was a try"} <= set(outcomes) or right
        assert "it was opened" in outcomes or not right


async def crash_in_check(world: CentralWorld, at: int, *, after: bool, right: bool, down: bool) -> str:
    session = await world.book()
    key = f"key-{session['id']}"

    async def check() -> None:
        world.parts.poller.poke()
        await world.knows(session)
        await world.until(lambda: world.bay().phase is Phase.BOOKED)
        world.wire.down = down
        world.disk.crash_at, world.disk.after = world.disk.commits + at, after
        await world.type_pin(session["pin"] if right else other(session["pin"]), key=key)
        await asyncio.sleep(20)

    await world.lives_through(check)
    outcome = "nothing happened"
    async with world.up():
        await world.until(lambda: world.bay().pad.attempt is None)
        answer = await world.journal.find_answer(key)
        playing = world.bay().session is not None
        if playing:
            assert right
            outcome = "it was opened"
        elif world.bay().pad.failures:
            outcome = "it was a try"
            assert answer is not None, "the interrupted press has its answer"
        if answer is not None:
            assert ("SessionStarted" in answer.body) == playing
        if not playing:
            # The customer types it again, and is let in.
            await world.submit(i.UnlockPad(STAFF, "test"))
            assert "SessionStarted" in kinds(await world.type_pin(session["pin"]))
        world.wire.down = False
        await world.submit(i.End(STAFF, "next"))
        await world.delivered()
        started = [
            event
            for event in await world.events()
            if isinstance(event, e.SessionStarted) and event.session_id == str(session["id"])
        ]
        assert len(started) == 1
        row = await world.row(session["id"])
        assert (row["cancel"], row["active"]) == (False, False)
        assert row["releaseTime"] is not None
        assert await world.parked() == []
        await world.until(lambda: world.bay().phase is Phase.FREE, 200)
    return outcome


@pytest.mark.parametrize("right", [True, False])
async def test_the_same_press_sent_again_gets_the_answer_of_the_check_that_broke_off(
    quick_path: Path, right: bool
) -> None:
    """Also before anybody knows it: a second try under the same key would count twice."""
    async with central_world(quick_path, poll_s=3600) as world:
        session = await world.book()
        pin = session["pin"] if right else other(session["pin"])

        async def check() -> None:
            await world.knows(session)
            world.disk.crash_at, world.disk.after = world.disk.commits + 1, True
            await world.type_pin(pin, key="press")

        assert not await world.lives_through(check)
        if right:  # the server had taken it
            await world.call("POST", "/session/verify", {"bayNumber": "101", "pin": pin})
        world.wire.order("delayed", f"/session/{session['id']}", "GET", delay_s=3)
        async with world.up():
            assert world.bay().pad.attempt is not None
            again = await asyncio.gather(*(world.type_pin(pin, key="press") for _ in range(2)))
            settled = ["PinAccepted", "SessionStarted"] if right else ["PinRefused"]
            assert [kinds(outcome) for outcome in again] == [settled, settled]
            assert world.bay().pad.failures == (0 if right else 1)
            assert kinds(await world.type_pin(pin, key="press")) == settled
            tries = [event for event in await world.events() if isinstance(event, e.PinAttempted)]
            assert len(tries) == 1


async def test_a_check_that_broke_off_is_closed_once_the_disk_takes_it(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=3600) as world:
        session = await world.book()

        async def check() -> None:
            await world.knows(session)
            world.disk.crash_at, world.disk.after = world.disk.commits + 1, True
            await world.type_pin(other(session["pin"]))

        assert not await world.lives_through(check)
        async with world.up():
            assert world.bay().pad.attempt is not None
            world.disk.refuses = 1_000_000
            await world.until(lambda: "attempt_not_closed" in world.log.events())
            world.disk.refuses = 0
            await world.until(lambda: world.bay().pad.attempt is None)
            assert "SessionStarted" in kinds(await world.type_pin(session["pin"]))


async def test_a_session_that_was_active_before_is_no_proof_of_the_pin(quick_path: Path) -> None:
    """The desk calls it active; a wrong PIN whose check a crash interrupts must not open it."""
    async with central_world(quick_path) as world:
        session = await world.book()
        await world.call("POST", "/session/verify", {"bayNumber": "101", "pin": session["pin"]})

        async def check() -> None:
            await world.knows(session)
            await world.until(lambda: "active_not_started" in world.conflicts())
            world.disk.crash_at, world.disk.after = world.disk.commits + 1, True
            await world.type_pin(other(session["pin"]))

        assert not await world.lives_through(check)
        async with world.up():
            await world.until(lambda: world.bay().pad.attempt is None)
            assert world.bay().session is None
            assert world.bay().pad.failures == 1


# Guessing


async def test_a_guesser_at_the_pad_gets_ten_tries_in_the_first_hour_then_one_an_hour(
    quick_path: Path,
) -> None:
    """Every trick at hand: a restart after each try, a reboot, the clock set forward and back."""
    async with central_world(quick_path, poll_s=86_400, rules=Rules(booking_horizon_minutes=10_000)) as world:
        session = await world.book()
        wrong = other(session["pin"])
        tries_s: list[float] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with world.up():
            await world.knows(session)
        tricks = random.Random(5)
        while loop.time() - began < 6 * 3600:
            async with world.up():
                while (outcome := await world.type_pin(wrong)).decision.refusal is None:
                    assert kinds(outcome) == ["PinRefused"]
                    tries_s.append(loop.time() - began)
                await asyncio.sleep(1)
            world.pass_by(tricks.choice([9, 29, 58, 150, 300]))
            world.clock.trick(tricks)
        first_hour = [at for at in tries_s if at <= 3600]
        assert 5 <= len(first_hour) <= 10
        assert 1 <= len(tries_s) - len(first_hour) <= 5
        gaps = [b - a for a, b in itertools.pairwise(tries_s[4:])]
        for gap, lock_min in zip(gaps, [1, 2, 4, 8, 16, 32, *[60] * 9], strict=False):
            assert gap >= lock_min * 60, "no trick shortens a lock"


async def test_a_guesser_whose_answers_get_lost_is_bounded_too_and_a_guest_who_types_again_is_not(
    quick_path: Path,
) -> None:
    """Each of those PINs reaches the server, and the right one would make its session active there."""
    async with central_world(quick_path, poll_s=86_400) as world:
        world.site_key = None
        async with world.up():
            session = await world.book()
            world.parts.poller.poke()
            await world.knows(session)
            guesses = [f"{n:06}" for n in range(100, 140) if f"{n:06}" != session["pin"]]
            world.wire.order("unanswered", "/session/verify", times=1_000)
            for pin in (guesses[0], guesses[1]) * 4:
                assert kinds(await world.type_pin(pin)) == ["PinCheckFailed"]
            assert world.bay().pad.failures == 2, "he mistyped, and types it again and again"
            for pin in guesses:
                await world.type_pin(pin)
                await asyncio.sleep(1)
            sent = {seen.body for seen in world.wire.sent("POST", "/session/verify")}
            assert len(sent) == 5
            assert world.bay().pad.locked_until_ms is not None


async def test_undisturbed_the_locks_are_exactly_as_documented(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=86_400) as world, world.up():
        session = await world.book()
        world.parts.poller.poke()
        await world.knows(session)
        locks_s = []
        wrong = other(session["pin"])
        for _ in range(12):
            assert kinds(await world.type_pin(wrong)) == ["PinRefused"]
            refused = await world.type_pin(wrong)
            if refused.decision.refusal is None:
                continue
            assert refused.decision.refusal.retry_after_ms is not None
            locks_s.append(round(refused.decision.refusal.retry_after_ms / 1000))
            world.pass_by(locks_s[-1])
            await asyncio.sleep(1)
        assert locks_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


# What is kept


async def test_a_copy_of_the_database_gives_no_pin_away(quick_path: Path) -> None:
    """All that lies on the disk, tried with every PIN there is; with the key the same search finds it."""
    async with central_world(quick_path) as world:
        session = await world.book()
        async with world.up():
            await world.knows(session)
            await world.type_pin(other(session["pin"]))
            copy = on_disk(quick_path)
            (stored,) = await world.journal.find_pins("101")
    place = f"101\0{stored.session_id}\0".encode()
    windows = frozenset(copy[at : at + 32] for at in range(len(copy) - 31))
    assert stored.digest in windows
    assert candidates_in(windows, keyed(SITE_KEY, place)) == [session["pin"]]
    assert SITE_KEY not in copy
    # Without the key: as text, and under every digest that needs none.
    assert re.search(rf"(?<![0-9]){session['pin']}(?![0-9])".encode(), copy) is None
    for guess in (hashlib.sha256(), hashlib.sha256(place), keyed(b"", place)):
        assert candidates_in(windows, guess) == []


Hash = Any  # of hashlib, or an HMAC as a pair of them


def keyed(key: bytes, place: bytes) -> tuple[Hash, Hash]:
    """HMAC (RFC 2104) up to the PIN: a million candidates in seconds."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + place)
    return inner, hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))


def candidates_in(windows: frozenset[bytes], begun: Hash | tuple[Hash, Hash]) -> list[str]:
    """Every PIN whose digest is among these bytes."""
    inner, outer = begun if isinstance(begun, tuple) else (begun, None)
    found = []
    for number in range(1_000_000):
        pin = b"%06d" % number
        hashed = inner.copy()
        hashed.update(pin)
        digest = hashed.digest()
        if outer is not None:
            hashed = outer.copy()
            hashed.update(digest)
            digest = hashed.digest()
        if digest in windows:
            found.append(pin.decode())
    return found


def on_disk(directory: Path) -> bytes:
    return b"".join(
        file.read_bytes() for file in directory.iterdir() if file.name in ("journal.db", "journal.db-wal")
    )


@pytest.mark.parametrize("end", ["used", "cancelled", "lapsed"])
async def test_a_hash_goes_when_it_is_used_over_or_too_old(quick_path: Path, end: str) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await world.book()
            await world.knows(session)
            (stored,) = await world.journal.find_pins("101")
            assert stored.digest in on_disk(quick_path)
            match end:
                case "used":
                    await world.type_pin(session["pin"])
                case "cancelled":
                    await world.call("POST", f"/session/{session['id']}/end")
                case _:
                    world.wire.down = True
                    world.clock.wall_step_ms += 86_400_000
            await asyncio.sleep(700)
            assert await world.journal.find_pins("101") == []
            if end == "lapsed":
                assert kinds(await world.type_pin(session["pin"])) == ["PinCheckFailed"]
        assert stored.digest not in on_disk(quick_path), "nor among what SQLite has deleted"


async def test_a_clock_that_nobody_keeps_lets_no_hash_expire(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.wire.down = True
        world.clock.synchronised = False
        world.clock.wall_step_ms += 40 * 86_400_000
        await asyncio.sleep(700)
        assert kinds(await world.type_pin(session["pin"])) == ["PinAccepted", "SessionStarted"]


async def test_a_404_for_the_session_page_after_a_yes_is_unclear_not_wrong(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=3600) as world, world.up():
        await world.knows(await world.book())
        fresh = await world.book()
        answer_with(world, f"/session/{fresh['id']}", refusal_404())
        assert kinds(await world.type_pin(fresh["pin"])) == ["PinCheckFailed"]
        assert world.bay().pad.failures == 0
