"""Bookings by polling: against both servers, with the server away, broken, old and contradictory."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.instant import Instant
from bayd.core.model import UNKNOWN_GAME, EndReason, Game, Phase
from bayd.journal.event_codec import NAMES
from bayd.ports import HttpResponse
from bayd.reference.central import CentralSettings
from tests.reconcile.central_world import SCREEN, STAFF, CentralWorld, central_world
from tests.simulation.world import HeldExecutor, Wishes

pytestmark = pytest.mark.virtual_time
SERVERS = ["reference", "minimal"]
Json = dict[str, Any]


@pytest.mark.parametrize("server", SERVERS)
async def test_a_booking_is_learned_changed_and_cancelled(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book("101", 60)
        await world.knows(session, within_s=15)
        assert world.bay().phase is Phase.BOOKED
        await world.call("PATCH", "/session", {"id": session["id"], "gameId": 2})
        await world.call("POST", f"/session/addSessionTime/{session['id']}", {"duration": 15, "amount": 100})
        await world.until(lambda: world.bay().bookings[0].minutes == 75, 15)
        game = world.bay().bookings[0].game
        assert game is not None
        assert (game.name, game.balls_limit) == ("GAME 2", 20 if server == "reference" else 30)
        assert world.bay().bookings[0].player == "Example Customer"
        await world.call("POST", f"/session/{session['id']}/end")
        await world.until(lambda: world.bay().phase is Phase.FREE, 15)
        assert world.parts.poller.view.online


@pytest.mark.parametrize("server", SERVERS)
async def test_play_ends_when_the_desk_ends_it_and_the_server_hears_of_no_second_end(
    quick_path: Path, server: str
) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.call("POST", f"/session/{session['id']}/end")
        await world.until(lambda: world.bay().session is None, 15)
        last = world.bay().last
        assert last is not None
        assert last.reason is EndReason.RELEASED
        await world.delivered()
        assert world.wire.sent("POST", f"/session/{session['id']}/end") == []


@pytest.mark.parametrize("server", SERVERS)
async def test_time_added_at_the_desk_reaches_the_player(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.call("POST", f"/session/addSessionTime/{session['id']}", {"duration": 30, "amount": 100})
        await world.until(lambda: world.play().minutes == 90, 15)


async def test_what_the_desk_ends_while_the_disk_hangs_is_off_at_once(quick_path: Path) -> None:
    """Bays that wait for the disk keep nobody from hearing of it, however long the disk has hung."""
    async with central_world(quick_path) as world:
        disk, wishes = HeldExecutor(), Wishes()
        world.executor = disk
        async with world.up():
            world.range.observe(wishes)
            sessions = [await world.book(number) for number in ("101", "102")]
            for session in sessions:
                await world.knows(session)
                await world.type_pin(session["pin"], session["bay"]["number"])
            disk.free.clear()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for number in ("101", "102"):
                        report = world.submit(i.BallHeard("E280117000000001", 20_000), number)
                        tasks.create_task(report)
                    await asyncio.sleep(60)
                    assert wishes.last("101").antennas_on
                    assert wishes.last("102").antennas_on
                    await world.call("POST", f"/session/{sessions[1]['id']}/end")
                    await world.until(lambda: not wishes.last("102").antennas_on, 20)
                    assert wishes.last("101").antennas_on
                    assert world.play("102").session_id == str(sessions[1]["id"]), "not recorded yet"
                    disk.free.set()
                    await world.until(lambda: world.bay("102").session is None, 20)
            finally:
                disk.free.set()
            assert world.play("101").session_id == str(sessions[0]["id"])


async def test_a_server_that_raises_both_fields_grants_the_time_once(quick_path: Path) -> None:
    settings = CentralSettings(extension_raises_duration=True, newest_first=False)
    async with central_world(quick_path, settings=settings) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Extend("op1", 15, 0, STAFF, "cash"))
        await world.delivered()
        await world.call("POST", f"/session/addSessionTime/{session['id']}", {"duration": 30, "amount": 100})
        await world.until(lambda: world.play().minutes == 105, 15)
        assert world.conflicts() == []


@pytest.mark.parametrize("server", SERVERS)
async def test_what_was_learned_survives_the_daemon_and_the_server(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world:
        session = await world.book()
        async with world.up():
            await world.knows(session)
        world.wire.down = True
        async with world.up():
            assert world.bay().find_booking(str(session["id"])) is not None
            await world.until(lambda: world.parts.poller.view.reason != "not asked yet", 15)
            assert not world.parts.poller.view.online
            world.wire.down = False
            await world.until(lambda: world.parts.poller.view.online, 130)
            assert world.bay().phase is Phase.BOOKED


@pytest.mark.parametrize("kind", ["refused", "lost", "status", "garbled"])
async def test_a_server_that_is_away_ends_nothing_and_is_noticed_when_it_is_back(
    quick_path: Path, kind: str
) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        world.wire.order(kind, "/", "GET", times=12)
        await world.until(lambda: not world.parts.poller.view.online, 60)
        assert world.bay().phase is Phase.PLAYING
        await world.until(lambda: world.parts.poller.view.online, 600)
        assert world.bay().phase is Phase.PLAYING
        assert world.conflicts() == []


async def test_a_delivery_shows_that_the_server_is_back(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        poller = world.parts.poller
        world.wire.order("status", "/session/history", "GET", times=8)  # by now it looks once a minute
        await world.until(lambda: len(world.wire.sent("GET", "/session/history")) >= 8, 600)
        assert not poller.view.online
        await world.submit(i.Extend("op1", 15, 0, STAFF, "cash"))
        await world.delivered()
        await world.until(lambda: poller.view.online, 15)


async def test_a_moved_booking_waits_at_its_new_bay(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book("101")
        await world.knows(session)
        await move(world, "101", "102")
        await world.until(lambda: world.bay("102").phase is Phase.BOOKED, 15)
        assert world.bay("101").phase is Phase.FREE
        await move(world, "102", "101")
        await world.until(lambda: world.bay("101").phase is Phase.BOOKED, 15)
        assert world.bay("102").phase is Phase.FREE


async def test_a_session_that_plays_stays_where_it_plays_and_is_never_played_twice(quick_path: Path) -> None:
    """Its new bay is not free: the desk cannot know."""
    async with central_world(quick_path) as world, world.up():
        session = await world.book("101")
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Hold(STAFF, "VIP"), "102")
        await move(world, "101", "102")
        await world.until(lambda: "moved_at_server" in world.conflicts(), 15)
        assert world.bay("101").phase is Phase.PLAYING
        await world.submit(i.Release(STAFF), "102")
        await world.submit(i.End(STAFF, "moved"))
        await world.delivered()
        await world.until(lambda: world.bay("101").phase is Phase.FREE, 200)
        assert world.bay("102").phase is Phase.FREE


async def test_the_end_of_a_moved_session_reaches_it_where_it_plays(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book("101")
        await world.knows(session)
        await world.type_pin(session["pin"])
        await world.submit(i.Hold(STAFF, "VIP"), "102")
        await move(world, "101", "102")
        await world.call("POST", f"/session/{session['id']}/end")
        await world.until(lambda: world.bay("101").session is None, 15)


async def move(world: CentralWorld, old: str, new: str) -> None:
    await world.call(
        "POST",
        "/bay/sessionBayChange",
        {"currentBay": old, "newBay": new, "adminPassword": "demo-admin", "newDuration": "60"},
    )


# One broken answer costs itself


@pytest.mark.parametrize("change", [{"duration": "x"}, {"id": 99}])
async def test_a_page_that_cannot_be_read_costs_neither_its_bay_nor_the_others(
    quick_path: Path, change: Json
) -> None:
    async with central_world(quick_path) as world:
        first, second = await world.book("101"), await world.book("102")
        rewrite(world, f"/session/{first['id']}", lambda page: {**page, **change})
        async with world.up():
            await world.until(lambda: world.bay("101").phase is Phase.BOOKED, 15)
            await world.until(lambda: world.bay("102").phase is Phase.BOOKED, 15)
            assert world.bay("101").bookings[0].game == UNKNOWN_GAME
            assert world.bay("102").bookings[0].game is None
            assert world.parts.poller.view.online
            await world.type_pin(second["pin"], "102")


async def test_a_page_that_the_server_does_not_know_is_a_contradiction_and_no_end(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        missing = json.dumps({"success": False, "message": "no such session"}).encode()
        answer_with(world, f"/session/{session['id']}", HttpResponse(404, {}, missing))
        await world.until(lambda: world.conflicts() == ["missing_at_server"], 15)
        assert world.bay().phase is Phase.PLAYING


# Games


async def test_a_limit_that_cannot_be_read_is_taken_from_the_list_of_games(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await world.book()
        await world.call("PATCH", "/session", {"id": session["id"], "gameId": 2})
        rewrite(
            world,
            f"/session/{session['id']}",
            lambda page: {**page, "game": {**page["game"], "ballsLimit": "many"}},
        )
        async with world.up():
            await world.until(lambda: bool(world.bay().bookings), 15)
            await world.until(lambda: world.bay().bookings[0].game == Game(2, "GAME 2", 20), 15)


@pytest.mark.parametrize("game", [{"id": 2}, "GAME 2", {"id": 2, "name": "GAME 2", "ballsLimit": None}])
async def test_an_unreadable_game_allows_no_balls_and_a_readable_one_is_kept(
    quick_path: Path, game: object
) -> None:
    async with central_world(quick_path, "minimal") as world:
        session = await world.book()
        await world.call("PATCH", "/session", {"id": session["id"], "gameId": 2})
        damaged = {"now": True}
        rewrite(
            world,
            f"/session/{session['id']}",
            lambda page: {**page, "game": game} if damaged["now"] else page,
        )
        async with world.up():
            await world.knows(session)
            booked = world.bay().bookings[0].game
            assert booked is not None
            assert booked.balls_limit is None
            damaged["now"] = False
            await world.until(lambda: world.bay().bookings[0].game == Game(2, "GAME 2", 30), 15)
            damaged["now"] = True
            polls = len(world.wire.sent("GET", "/session/history"))
            await world.until(lambda: len(world.wire.sent("GET", "/session/history")) > polls + 2, 30)
            assert world.bay().bookings[0].game == Game(2, "GAME 2", 30)


async def test_a_game_that_was_taken_away_is_gone_and_our_own_choice_is_not(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.call("PATCH", "/session", {"id": session["id"], "gameId": 2})
        await world.knows(session)
        await world.type_pin(session["pin"])
        rewrite(world, f"/session/{session['id']}", lambda page: {**page, "game": None})
        await world.until(lambda: world.play().game is None, 15)
        game = await world.parts.games.find(3)
        assert game is not None
        await world.submit(i.SelectGame(game, SCREEN))
        await world.delivered()
        polls = len(world.wire.sent("GET", "/session/history"))
        await world.until(lambda: len(world.wire.sent("GET", "/session/history")) > polls + 2, 30)
        assert world.play().game == game


# Old, restored and empty servers


@pytest.mark.parametrize("synchronised", [True, False])
async def test_sessions_of_years_ago_arm_no_pin(quick_path: Path, synchronised: bool) -> None:
    """Neither with a clock that is kept nor with one that woke up in 1970."""
    async with central_world(quick_path) as world:
        world.server_step["ms"] = -3 * 365 * 86_400_000
        old = [await world.book("101"), await world.book("102"), await world.book("101")]
        world.server_step["ms"] = 0
        new = await world.book("102")
        world.clock.synchronised = synchronised
        if not synchronised:
            world.clock.wall_step_ms = -world.clock.now().wall_ms
        async with world.up():
            await world.knows(new)
            polls = len(world.wire.sent("GET", "/session/history"))
            await world.until(lambda: len(world.wire.sent("GET", "/session/history")) > polls + 2, 60)
            assert world.bay("101").phase is Phase.FREE
            assert [b.session_id for b in world.bay("102").bookings] == [str(new["id"])]
            assert [pin.session_id for pin in await world.journal.find_pins("101")] == []
            refused = await world.type_pin(old[0]["pin"], "101")
            assert refused.decision.refusal is not None
            # Not even with the server's yes: its PINs of years would make guessing easy.
            await world.type_pin(old[1]["pin"], "102")
            assert world.bay("102").phase is Phase.BOOKED
            assert "pin_of_unknown" in world.conflicts("102")
            assert world.parts.poller.view.ignored_old == 3


async def test_the_servers_answers_tell_a_clock_that_woke_up_in_1970_how_late_it_is(quick_path: Path) -> None:
    """Its one session is of years ago, and so it cannot tell."""
    async with central_world(quick_path) as world:
        world.wire.date = format_datetime(datetime.fromtimestamp(world.clock.now().wall_ms / 1000, UTC), True)
        world.server_step["ms"] = -3 * 365 * 86_400_000
        old = await world.book("101")
        world.clock.synchronised = False
        world.clock.wall_step_ms = -world.clock.now().wall_ms
        async with world.up():
            await world.until(lambda: world.parts.poller.view.ignored_old == 1, 60)
            assert await world.journal.find_pins("101") == []
            world.wire.down = True
            await world.type_pin(old["pin"])
            assert world.bay().phase is Phase.FREE


@pytest.mark.parametrize("restart", [False, True])
async def test_an_emptied_server_ends_nobodys_play(quick_path: Path, restart: bool) -> None:
    async with central_world(quick_path) as world:
        session = await world.book("101")
        waiting = await world.book("102")
        async with world.up():
            await world.knows(session)
            await world.knows(waiting)
            await world.type_pin(session["pin"])
            if not restart:
                answer_with(world, "/session/history", HttpResponse(200, {}, b'{"success":true,"data":[]}'))
                answer_with(world, "/session/", HttpResponse(404, {}, b'{"success":false,"message":"no"}'))
                await world.until(lambda: "list_shrunk" in world.conflicts(), 30)
        if restart:
            answer_with(world, "/session/history", HttpResponse(200, {}, b'{"success":true,"data":[]}'))
            answer_with(world, "/session/", HttpResponse(404, {}, b'{"success":false,"message":"no"}'))
        async with world.up():
            await world.until(lambda: "missing_at_server" in world.conflicts(), 30)
            await world.until(lambda: "missing_at_server" in world.conflicts("102"), 30)
            assert world.bay("101").phase is Phase.PLAYING
            assert world.bay("102").phase is Phase.BOOKED


@pytest.mark.parametrize("restart", [False, True])
async def test_numbers_that_run_backwards_end_nobodys_play(quick_path: Path, restart: bool) -> None:
    """A server that was restored from a backup gives numbers anew."""
    async with central_world(quick_path) as world:
        before = [await world.book("102") for _ in range(3)]
        session = await world.book("101")

        def restored(rows: list[Json]) -> list[Json]:
            return [row for row in rows if row["id"] in [b["id"] for b in before[:2]]]

        async with world.up():
            await world.knows(session)
            await world.type_pin(session["pin"])
            if not restart:
                rewrite(world, "/session/history", restored)
                answer_with(world, f"/session/{session['id']}", refusal_404())
                await world.until(lambda: "ids_backwards" in world.conflicts(), 30)
        rewrite(world, "/session/history", restored)
        answer_with(world, f"/session/{session['id']}", refusal_404())
        async with world.up():
            await world.until(lambda: "ids_backwards" in world.conflicts(), 30)
            assert world.bay("101").phase is Phase.PLAYING
            assert len(world.bay("102").bookings) == 3


async def test_a_customers_name_is_forgotten_after_thirty_days_and_the_event_stays(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        first = await world.book()
        await world.knows(first)
        await world.type_pin(first["pin"])
        await world.submit(i.End(STAFF, "left early"))
        world.clock.wall_step_ms += 31 * 86_400_000
        world.server_step["ms"] = world.clock.wall_step_ms
        await world.knows(await world.book("102"))
        now_ms = world.clock.now().wall_ms
        kept = len(await world.events())
        await world.journal.prune(Instant(0, now_ms), open_sessions=(), sinks=("central",), names=NAMES)
        names = [
            event.booking.player for event in await world.events() if isinstance(event, e.BookingLearned)
        ]
        assert names == [None, "Example Customer"]
        assert [x.player for x in await world.events() if isinstance(x, e.SessionStarted)] == [None]
        assert len(await world.events()) == kept


async def test_a_conflict_is_told_once_however_often_it_is_seen(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.type_pin(session["pin"])
        answer_with(world, f"/session/{session['id']}", refusal_404())
        await world.until(lambda: world.conflicts() == ["missing_at_server"], 15)
        commits = world.disk.commits
        polls = len(world.wire.sent("GET", "/session/history"))
        await world.until(lambda: len(world.wire.sent("GET", "/session/history")) > polls + 5, 60)
        conflicts = [event for event in await world.events() if isinstance(event, e.ConflictSeen)]
        assert len(conflicts) == 1
        assert world.disk.commits - commits < 10, "a poll that shows nothing new writes nothing"


def refusal_404() -> HttpResponse:
    return HttpResponse(404, {}, b'{"success":false,"message":"no such session"}')


# What the server says, changed on its way


def answer_with(world: CentralWorld, path: str, response: HttpResponse) -> None:
    _intercept(world, path, lambda _response: response)


def rewrite(world: CentralWorld, path: str, change: Callable[[Any], Any]) -> None:
    def changed(response: HttpResponse) -> HttpResponse:
        document = json.loads(response.body)
        document["data"] = change(document["data"])
        return HttpResponse(response.status, response.headers, json.dumps(document).encode())

    _intercept(world, path, changed)


def _intercept(world: CentralWorld, path: str, change: Callable[[HttpResponse], HttpResponse]) -> None:
    real = world.wire.exchange

    async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
        response = await real(method, url, **options)
        asked = url.removeprefix(world.options["url"]).partition("?")[0]
        by_id = path == "/session/" and asked.removeprefix("/session/").isdecimal()
        return change(response) if method == "GET" and (asked == path or by_id) else response

    world.wire.exchange = exchange  # type: ignore[method-assign]


async def test_a_number_that_comes_again_is_another_booking(quick_path: Path) -> None:
    """The server was set up anew: its numbers begin at 1 once more, and people have paid."""
    async with central_world(quick_path, "minimal") as world, world.up():
        first = await world.book("101", 60)
        await world.knows(first)
        await world.call("POST", f"/session/{first['id']}/end")
        await world.until(lambda: world.bay().phase is Phase.FREE, 15)
        assert world.minimal is not None
        world.minimal.bookings.clear()
        world.minimal.began_s = 3600
        await asyncio.sleep(3600)
        again = await world.book("101", 30)
        assert again["id"] == first["id"]
        await world.until(lambda: bool(world.bay().bookings), 30)
        await world.type_pin(again["pin"])
        session = world.bay().session
        assert session is not None
        assert session.first_minutes == 30
        await world.submit(i.End(STAFF, "done"))
        await world.delivered()
        assert (await world.row(again["id"]))["releaseTime"] is not None
        await asyncio.sleep(600)
        assert world.bay().phase is Phase.FREE
        assert not world.bay().bookings


async def test_a_time_that_is_shown_otherwise_makes_no_other_booking_of_one_that_is_over(
    quick_path: Path,
) -> None:
    """Its end is not told yet, and from now on the list shows times of another zone, earlier."""
    async with central_world(quick_path) as world, world.up():
        session = await world.book("101", 60)
        await world.knows(session)
        await world.type_pin(session["pin"])
        world.wire.order("status", f"/session/{session['id']}/end", times=20)
        await world.submit(i.End(STAFF, "done"))
        earlier = datetime.fromisoformat(session["createdAt"]) - timedelta(hours=8)
        shown = {"createdAt": earlier.isoformat()}
        rewrite(world, "/session/history", lambda rows: [{**row, **shown} for row in rows])
        rewrite(world, f"/session/{session['id']}", lambda page: {**page, **shown})
        polls = len(world.wire.sent("GET", "/session/history"))
        await world.until(lambda: len(world.wire.sent("GET", "/session/history")) > polls + 5, 120)
        assert world.parts.outbox.view().waiting == 1, "its end is not told yet"
        assert world.bay().bookings == ()


async def test_pages_that_cannot_be_had_hide_no_other_booking(quick_path: Path) -> None:
    async with central_world(quick_path, "reference") as world, world.up():
        broken = await world.book("101", 60)
        world.wire.order("status", f"/session/{broken['id']}", "GET", status=500, times=1_000_000)
        fine = await world.book("102", 45)
        await world.until(lambda: bool(world.bay("102").bookings), 30)
        assert world.bay("102").bookings[0].session_id == str(fine["id"])
        assert world.bay("101").bookings[0].session_id == str(broken["id"])
        assert world.parts.poller.view.online


async def test_a_session_without_a_number_costs_itself(quick_path: Path) -> None:
    async with central_world(quick_path, "minimal") as world, world.up():
        assert world.minimal is not None
        await world.knows(await world.book("101", 60))
        world.minimal.bookings[0].id = 0
        await asyncio.sleep(60)
        fine = await world.book("102", 45)
        await world.until(lambda: bool(world.bay("102").bookings), 30)
        assert world.bay("102").bookings[0].session_id == str(fine["id"])
        assert world.parts.poller.view.online
