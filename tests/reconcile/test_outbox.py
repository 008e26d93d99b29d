"""Deliveries to the central server: what is told, once, in order; what is set aside, and who decides then."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Payment, Phase
from bayd.ports import HttpResponse
from bayd.reconcile.once import UNCLEAR
from bayd.reconcile.outbox_item import OutboxItem
from bayd.reference.central import CentralSettings, StaffLogin
from bayd.runtime.bay import OutcomeUnknownError
from tests.let_out import keep_secret
from tests.reconcile.central_world import ADMIN_PASSWORD, SCREEN, STAFF, CentralWorld, central_world
from tests.reconcile.test_bookings import answer_with, rewrite
from tests.simulation.world import HeldExecutor

pytestmark = pytest.mark.virtual_time
SERVERS = ["reference", "minimal"]
Json = dict[str, Any]


async def playing(world: CentralWorld, number: str = "101", minutes: int = 60) -> Json:
    session = await world.book(number, minutes)
    await world.knows(session)
    await world.type_pin(session["pin"], number)
    assert world.play(number).session_id == str(session["id"])
    return session


async def extend(world: CentralWorld, op_id: str = "op1", number: str = "101", **more: Any) -> None:
    wanted: Json = {"minutes": 15, "amount": 1000, **more}
    await world.submit(i.Extend(op_id, wanted["minutes"], wanted["amount"], STAFF, "cash"), number)


async def end(world: CentralWorld, number: str = "101") -> None:
    await world.submit(i.End(STAFF, "left early"), number)


def extensions(row: Json) -> list[tuple[int, int]]:
    return [(one["duration"], one["amount"]) for one in row["extenedSession"]]


def posts(world: CentralWorld, session: Json) -> list[float]:
    return [one.at_s for one in world.wire.sent("POST", f"/session/addSessionTime/{session['id']}")]


def is_ended(row: Json) -> bool:
    """Once: a second end cancels at the minimal server."""
    return row["releaseTime"] is not None and row["cancel"] is False and row["active"] is False


async def items(world: CentralWorld) -> list[OutboxItem]:
    return await world.parts.outbox.items()


# What is told


@pytest.mark.parametrize("server", SERVERS)
async def test_an_evening_without_the_server_is_told_in_order_and_once(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        if server == "reference":
            await world.until(lambda: world.parts.games.known(2) is not None)
        world.wire.down = True
        await world.type_pin(session["pin"])
        game = world.parts.games.known(2)
        if game is not None:
            await world.submit(i.SelectGame(game, SCREEN))
        await extend(world)
        await asyncio.sleep(3600)
        await end(world)
        waiting = 4 if game else 3  # seen between two tries
        await world.until(lambda: world.parts.outbox.view().waiting == waiting, 60)
        oldest = world.parts.outbox.view().oldest_wall_ms
        assert oldest is not None
        assert world.clock.now().wall_ms - oldest > 3_590_000
        world.wire.down = False
        world.wire.seen.clear()
        await world.delivered()
        row = await world.row(session["id"])
        assert is_ended(row)
        assert extensions(row) == [(15, 1000)]
        writes = [(one.method, one.path.partition("?")[0]) for one in world.wire.seen if one.method != "GET"]
        told = [
            ("POST", "/session/verify"),
            *([("PATCH", "/session")] if game else []),
            ("POST", f"/session/addSessionTime/{session['id']}"),
            ("POST", f"/session/{session['id']}/end"),
        ]
        assert [write for write in writes if write[1] != "/bay"] == told
        assert await world.parked() == []
        assert world.conflicts() == []


@pytest.mark.parametrize("keys", [False, True])
async def test_keys_are_sent_where_the_server_honours_them_and_only_there(
    quick_path: Path, keys: bool
) -> None:
    async with central_world(quick_path, idempotency_keys=keys) as world, world.up():
        session = await playing(world)
        await extend(world, "op-7")
        await end(world)
        await world.delivered()
        sent = {one.path: one.key for one in world.wire.seen if one.method == "POST"}
        wanted = {
            f"/session/addSessionTime/{session['id']}": "op-7",
            f"/session/{session['id']}/end": f"end-{session['id']}",
        }
        for path, key in wanted.items():
            assert sent[path] == (key if keys else None)


async def test_a_new_journal_repeats_no_key_of_the_old_one(quick_path: Path) -> None:
    """Nor does another PC's: the server would answer with what it did for the other."""
    async with central_world(quick_path, idempotency_keys=True) as world:
        for life, number in enumerate(("101", "102")):
            world.directory = quick_path / f"journal-{life}"
            world.directory.mkdir()
            world.bays, world.lives = (number,), 1000 * life
            async with world.up():
                session = await playing(world, number)
                game = await world.parts.games.find(2)
                assert game is not None
                await world.submit(i.SelectGame(game, SCREEN), number)
                await extend(world, f"op-{number}", number)
                await world.delivered()
                assert await world.parked() == []
                assert extensions(await world.row(session["id"])) == [(15, 1000)]
                assert (await world.page(session["id"]))["game"]["id"] == 2


# Unclear answers


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", ["refused", "lost", "unanswered", "status", "garbled", "delayed"])
@pytest.mark.parametrize("path", ["/session/addSessionTime", "/session/1/end"])
async def test_after_an_unclear_answer_the_server_is_read_back_and_nothing_is_doubled(
    quick_path: Path, server: str, kind: str, path: str
) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await playing(world)
        world.wire.order(kind, path, delay_s=25)  # later than the time-out, sooner than settle_s
        await extend(world)
        await end(world)
        await world.delivered()
        row = await world.row(session["id"])
        assert is_ended(row)
        assert extensions(row) == [(15, 1000)]
        assert await world.parked() == []
        if path == "/session/addSessionTime" and kind in ("lost", "status", "refused"):
            first, second = posts(world, session)
            # Only what certainly did not arrive is sent again at once. Else the server has its time, counted
            # from where we stopped waiting: ten seconds after what got lost.
            gap_s = round(second - first, 3)
            assert gap_s < 10 if kind == "refused" else gap_s == {"lost": 40, "status": 30}[kind]
        elif path == "/session/addSessionTime":
            assert len(posts(world, session)) == 1


@pytest.mark.parametrize(
    "kind", ["refused", "lost", "unanswered", "doubled", "doubled_unanswered", "delayed"]
)
async def test_with_keys_it_is_just_sent_again(quick_path: Path, kind: str) -> None:
    async with central_world(quick_path, idempotency_keys=True) as world, world.up():
        session = await playing(world)
        world.wire.order(kind, "/session/addSessionTime", delay_s=100)
        world.wire.order(kind, f"/session/{session['id']}/end", delay_s=100)
        await extend(world)
        await asyncio.sleep(200)
        await end(world)
        await world.delivered()
        row = await world.row(session["id"])
        assert is_ended(row)
        assert extensions(row) == [(15, 1000)]
        assert await world.parked() == []
        assert world.conflicts() == []


@pytest.mark.parametrize("kind", ["unanswered", "lost"])
async def test_what_went_out_without_a_key_is_read_back_after_keys_are_switched_on(
    quick_path: Path, kind: str
) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order(kind, "/session/addSessionTime")
            await extend(world)
            await asyncio.sleep(5)
        world.options["idempotency_keys"] = True
        async with world.up():
            await world.delivered()
            await end(world)
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]
            assert "extension_doubtful" in world.conflicts()
            assert await world.parked() == []


async def test_what_went_out_with_a_key_is_unknown_after_keys_are_switched_off(quick_path: Path) -> None:
    async with central_world(quick_path, idempotency_keys=True) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("unanswered", "/session/addSessionTime")
            await extend(world)
            await asyncio.sleep(0.3)
        world.options["idempotency_keys"] = False
        async with world.up():
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]
            assert ["staff decide" in reason for reason in await world.parked()] == [True]


@pytest.mark.parametrize("server", SERVERS)
async def test_two_like_ours_are_unknown_never_repeated_and_shown(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("doubled_unanswered", "/session/addSessionTime")
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 1, 120)
            assert "staff decide" in (await world.parked())[0]
        async with world.up():
            assert world.parts.outbox.view().parked == 1
            await asyncio.sleep(600)
            assert len(posts(world, session)) == 1
            await end(world)
            await world.delivered()
            assert is_ended(await world.row(session["id"])), "the end is always tried"
            (item,) = await items(world)
            assert (item.kind, item.parked, item.session_id) == ("SessionExtended", True, str(session["id"]))
            assert "outbox_parked" in [warning["code"] for warning in world.parts.warnings()]


async def test_a_history_that_shows_no_extensions_is_read_by_its_sum(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        rewrite(world, "/session/history", lambda rows: [{**row, "extenedSession": None} for row in rows])
        world.wire.order("unanswered", "/session/addSessionTime")
        await extend(world)
        await world.delivered()
        assert extensions(await world.row(session["id"])) == [(15, 1000)]
        assert len(posts(world, session)) == 1


async def test_a_history_that_tells_nothing_makes_an_unclear_answer_unknown(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        silent = {"extenedSession": None, "extendedTime": "many"}
        rewrite(world, "/session/history", lambda rows: [{**row, **silent} for row in rows])
        world.wire.order("lost", "/session/addSessionTime")
        await extend(world)
        await world.until(lambda: world.parts.outbox.view().parked == 1, 120)
        assert len(posts(world, session)) == 1


async def test_a_list_that_does_not_show_the_session_proves_nothing(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        gone = {"now": True}
        rewrite(world, "/session/history", lambda rows: [] if gone["now"] else rows)
        await extend(world)
        await end(world)
        await asyncio.sleep(600)
        assert await world.parked() == []
        gone["now"] = False
        await world.delivered()
        row = await world.row(session["id"])
        assert is_ended(row)
        assert extensions(row) == [(15, 1000)]


# What still can differ is what the daemon itself flags


async def test_an_equal_change_at_the_desk_meanwhile_is_flagged(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.order("lost", "/session/addSessionTime")
        await extend(world)
        await asyncio.sleep(5)
        await world.call("POST", f"/session/addSessionTime/{session['id']}", {"duration": 15, "amount": 1000})
        await world.delivered()
        assert extensions(await world.row(session["id"])) == [(15, 1000)], "ours is taken to be the desk's"
        assert "extension_doubtful" in world.conflicts()


async def test_a_commit_later_than_the_server_is_given_is_flagged(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.order("delayed", "/session/addSessionTime", delay_s=100)
        await extend(world)
        await asyncio.sleep(300)
        assert extensions(await world.row(session["id"])) == [(15, 1000)] * 2
        await end(world)
        await world.delivered()
        assert {"extension_doubtful", "extensions_differ"} <= set(world.conflicts())


async def test_a_request_that_the_network_doubles_is_flagged_after_the_end(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.order("doubled", "/session/addSessionTime", delay_s=3)
        await extend(world)
        await asyncio.sleep(30)
        assert extensions(await world.row(session["id"])) == [(15, 1000)] * 2
        await end(world)
        await world.delivered()
        assert world.conflicts() == ["extensions_differ"]


async def test_what_is_compared_after_the_end_is_looked_for_until_it_is_shown(quick_path: Path) -> None:
    async with central_world(quick_path, poll_s=600) as world, world.up():
        session = await playing(world)
        world.wire.order("doubled", "/session/addSessionTime", delay_s=3)
        await extend(world)
        await asyncio.sleep(30)
        ended = {"told": False, "empty": 3}

        def shown(rows: list[Json]) -> list[Json]:
            ended["told"] |= any(row["releaseTime"] for row in rows)
            ended["empty"] -= ended["told"]
            return [] if ended["told"] and ended["empty"] >= 0 else rows

        rewrite(world, "/session/history", shown)
        await end(world)
        await world.delivered()
        assert is_ended(await world.row(session["id"]))
        assert world.conflicts() == ["extensions_differ"]


async def test_what_cannot_be_compared_after_the_end_is_flagged(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        await playing(world)
        rewrite(world, "/session/history", lambda rows: [{**row, "extenedSession": None} for row in rows])
        await extend(world)
        await end(world)
        await world.delivered()
        assert world.conflicts() == ["extensions_not_compared"]
        assert await world.parked() == []


@pytest.mark.parametrize("amount", [1000, 999])
async def test_other_changes_at_the_desk_are_nobodys_doubt(quick_path: Path, amount: int) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        desk = {"duration": 15 if amount == 999 else 30, "amount": amount}
        world.wire.order("unanswered", "/session/addSessionTime")
        await extend(world)
        await world.call("POST", f"/session/addSessionTime/{session['id']}", desk)
        await world.delivered()
        await end(world)
        await world.delivered()
        assert sorted(extensions(await world.row(session["id"]))) == sorted(
            [(15, 1000), (desk["duration"], amount)]
        )
        assert "extensions_differ" not in world.conflicts()


# Our own extension is matched before a rise counts as the desk's


@pytest.mark.parametrize("crash", [False, True])
async def test_minutes_given_here_are_not_given_again_when_the_server_shows_them(
    quick_path: Path, crash: bool
) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("unanswered", "/session/addSessionTime")
            await extend(world)
            if not crash:
                await asyncio.sleep(60)
                assert world.play().minutes == 75
        async with world.up():
            await asyncio.sleep(60)
            assert world.play().minutes == 75
            desk = {"duration": 15, "amount": 1}
            await world.call("POST", f"/session/addSessionTime/{session['id']}", desk)
            await world.until(lambda: world.play().minutes == 90, 15)
            await asyncio.sleep(60)
            assert world.play().minutes == 90


async def test_the_desks_minutes_come_when_ours_have_arrived_over_an_outage(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.down = True
            await extend(world)
            desk = {"duration": 30, "amount": 1}
            await world.call("POST", f"/session/addSessionTime/{session['id']}", desk)
            await asyncio.sleep(30)
        world.wire.down = False
        async with world.up():
            await world.delivered()
            await world.until(lambda: world.play().minutes == 105, 30)
            await asyncio.sleep(30)
            assert world.play().minutes == 105


# Refusals, and what follows of the same session


async def test_a_refusal_parks_the_rest_of_its_session_but_not_its_end_nor_the_next(
    quick_path: Path,
) -> None:
    """What waited behind it is told before the end: afterwards nothing can be added."""
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        game = await world.parts.games.find(2)
        assert game is not None
        refuse_time(world, minutes=15)
        await extend(world)
        await world.until(lambda: world.parts.outbox.view().parked == 1)
        await extend(world, "op2", minutes=30)
        await world.submit(i.SelectGame(game, SCREEN))
        await world.until(lambda: world.parts.outbox.view().waiting == 0)
        assert (await world.page(session["id"]))["game"]["id"] == 2, "it does not wait for the time"
        reasons = await world.parked()
        assert "refused (409)" in reasons[0]
        assert [reason.startswith("after item ") for reason in reasons] == [False, True]
        await end(world)
        await world.delivered()
        row = await world.row(session["id"])
        assert is_ended(row)
        assert extensions(row) == [(30, 1000)]
        (reason,) = await world.parked()
        assert "the server has refused it" in reason
        following = await playing(world)
        await extend(world, "op3", minutes=20)
        await world.delivered()
        assert extensions(await world.row(following["id"])) == [(20, 1000)]
        assert "extensions_differ" not in world.conflicts()


@pytest.mark.parametrize("status", [422, 401, 403])
async def test_a_refused_payment_holds_up_nothing(quick_path: Path, status: Literal[401, 403, 422]) -> None:
    """A no to the password is no no to the daemon, whatever the status."""
    settings = CentralSettings(password_refusal=status)
    async with central_world(quick_path, settings=settings) as world:
        world.admin_password = "rotated-password"
        async with world.up():
            session = await playing(world)
            for op_id, minutes in (("a", 15), ("b", 30)):
                paid = i.Extend(op_id, minutes, 1000, STAFF, "cash", payment=Payment.CASH)
                await world.submit(paid)
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000), (30, 1000)]
            await end(world)
            await world.delivered()
            assert is_ended(await world.row(session["id"]))
            first, second = await items(world)
            assert "adminPassword" in first.reason
            assert "adminPassword" in second.reason
            assert world.parts.outbox.view().alarm == ""
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            await world.submit(i.RetryDelivery(second.seq, STAFF, "the new password is set"))
            await world.until(lambda: world.parts.outbox.view().parked == 1)
            await world.submit(i.RetryDelivery(first.seq, STAFF, "the new password is set"))
            await world.until(lambda: world.parts.outbox.view().parked == 0)
            row = await world.row(session["id"])
            assert (row["paymentPending"], row["paymentReceived"]) == (0, 500 + 2000)


async def test_what_waited_behind_an_item_is_told_once_that_is_dropped(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        refuse_time(world, minutes=15)
        await extend(world)
        await extend(world, "op2", minutes=30)
        await world.until(lambda: world.parts.outbox.view().parked == 2)
        first, _second = await items(world)
        await world.submit(i.DropDelivery(first.seq, STAFF, "entered at the desk"))
        await world.until(lambda: world.parts.outbox.view().parked == 0, 30)
        assert extensions(await world.row(session["id"])) == [(30, 1000)]


async def test_a_payment_that_a_restart_broke_off_before_the_end_is_told(quick_path: Path) -> None:
    """Its time had waited behind another, and was told; nothing of it is left set aside."""
    async with central_world(quick_path) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            session = await playing(world)
            path = f"/session/addSessionTime/{session['id']}"
            world.wire.order("doubled_unanswered", path)  # shown twice: nobody can tell
            await extend(world)
            await world.submit(i.Extend("op2", 20, 900, STAFF, "cash", payment=Payment.CASH))
            await world.until(lambda: world.parts.outbox.view().parked == 2)
            world.wire.order("status", "/transaction", method="PATCH", times=10_000)
            await end(world)
            await world.until(lambda: bool(world.wire.sent("PATCH", "/transaction")))
        world.wire.faults.clear()
        async with world.up():
            await world.delivered()
            row = await world.row(session["id"])
            assert (row["paymentReceived"], is_ended(row)) == (500 + 900, True)
            assert await world.parked() == [UNCLEAR]


async def test_what_was_unclear_when_the_session_ended_is_not_taken_for_what_was_told_past_it(
    quick_path: Path,
) -> None:
    """Two equal extensions: the first fails alone and its request may have arrived, the second is told."""
    async with central_world(quick_path, poll_s=600) as world, world.up():
        session = await playing(world, minutes=600)
        await playing(world, "102", minutes=600)
        world.wire.order("status", f"/session/addSessionTime/{session['id']}", times=10_000)
        await extend(world)
        for hour in range(2):
            await asyncio.sleep(60)
            await extend(world, f"other-{hour}", "102")
            await asyncio.sleep(4000)
        await extend(world, "op2")
        await world.until(lambda: world.parts.outbox.view().parked == 2)
        (fault,) = world.wire.faults
        fault.times = 1  # the last try of the first one fails, too
        await end(world)
        await world.delivered()
        assert is_ended(await world.row(session["id"]))
        assert extensions(await world.row(session["id"])) == [(15, 1000)]
        await asyncio.sleep(2000)
        assert ["staff decide" in reason for reason in await world.parked()] == [True]


async def test_the_desk_was_quicker_with_the_end(quick_path: Path) -> None:
    """Over is over: nothing is sent, nothing is parked."""
    async with central_world(quick_path, "minimal") as world, world.up():
        session = await playing(world)
        world.wire.down = True
        await end(world)
        await world.call("POST", f"/session/{session['id']}/end")
        world.wire.down = False
        await world.delivered()
        assert is_ended(await world.row(session["id"]))
        assert world.wire.sent("POST", f"/session/{session['id']}/end") == []
        assert await world.parked() == []


async def test_the_desk_ends_it_in_the_same_moment(quick_path: Path) -> None:
    """Our request is refused, for it is over already."""
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.order("doubled_unanswered", f"/session/{session['id']}/end")
        await end(world)
        await world.delivered()
        assert is_ended(await world.row(session["id"]))
        assert await world.parked() == []


async def test_more_time_for_a_session_that_the_desk_has_ended_is_parked(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.down = True
        await extend(world)
        await world.call("POST", f"/session/{session['id']}/end")
        world.wire.down = False
        await world.until(lambda: world.parts.outbox.view().parked == 1)
        assert "refused (409)" in (await world.parked())[0]
        await world.until(lambda: world.bay().session is None, 30)


async def test_what_no_request_can_be_made_of_is_parked(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        await playing(world)
        await extend(world, amount=2**60)
        await world.until(lambda: world.parts.outbox.view().parked == 1)
        assert "amount" in (await world.parked())[0]
        assert str(2**60) not in (await world.parked())[0]


def refuse(world: CentralWorld, path: str, *, until: Callable[[], bool] = lambda: False) -> None:
    """The server says no, in its envelope."""
    real = world.wire.exchange

    async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
        if method in ("POST", "PATCH") and url.endswith(path) and not until():
            return HttpResponse(409, {}, b'{"success":false,"message":"not now"}')
        return await real(method, url, **options)

    world.wire.exchange = exchange  # type: ignore[method-assign]


def refuse_time(world: CentralWorld, *, minutes: int, until: Callable[[], bool] = lambda: False) -> None:
    """The server says no to so many minutes."""
    real = world.wire.exchange

    async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
        is_it = "/addSessionTime/" in url and json.loads(options["body"])["duration"] == minutes
        if is_it and not until():
            return HttpResponse(409, {}, b'{"success":false,"message":"not now"}')
        return await real(method, url, **options)

    world.wire.exchange = exchange  # type: ignore[method-assign]


# Failing: alone, or with everybody


async def test_an_item_that_fails_for_an_hour_while_the_same_call_gets_through_for_others_is_parked(
    quick_path: Path,
) -> None:
    """And it is tried again by itself."""
    async with central_world(quick_path, poll_s=600, idempotency_keys=True) as world:
        async with world.up():
            session = await playing(world, minutes=600)
            await playing(world, "102", minutes=600)
            world.wire.order("status", f"/session/addSessionTime/{session['id']}", times=10_000)
            await extend(world)
            await asyncio.sleep(60)
            await extend(world, "other", "102")
            await asyncio.sleep(4000)
            assert await world.parked() == []
            await extend(world, "another", "102")
            await asyncio.sleep(60)
            (reason,) = await world.parked()
            assert reason.startswith("alone in failing for an hour")
            await extend(world, "op2", minutes=30)
            await world.until(lambda: world.parts.outbox.view().parked == 2)
            await asyncio.sleep(3600)
            assert len(await world.parked()) == 2
        async with world.up():
            world.wire.faults.clear()
            await world.until(lambda: world.parts.outbox.view().parked == 0, 1000)
            assert extensions(await world.row(session["id"])) == [(15, 1000), (30, 1000)]


async def test_when_the_server_is_away_for_everybody_nothing_is_parked(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world, minutes=600)
        world.wire.chance = lambda _m, _p: None
        world.wire.order("status", "/", "POST", times=100_000)
        world.wire.order("status", "/", "GET", times=100_000)
        await extend(world)
        await asyncio.sleep(3 * 3600)
        assert await world.parked() == []
        world.wire.faults.clear()
        await world.delivered()
        assert extensions(await world.row(session["id"])) == [(15, 1000)]


@pytest.mark.parametrize("status", [404, 405])
async def test_a_missing_route_among_the_eight_is_waited_for_not_dropped(
    quick_path: Path, status: int
) -> None:
    """During an upgrade a proxy answers so."""
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.wire.order("status", f"/session/{session['id']}/end", status=status, times=3)
        await end(world)
        await world.delivered()
        assert is_ended(await world.row(session["id"]))
        assert len(world.wire.sent("POST", f"/session/{session['id']}/end")) == 4


async def test_the_server_may_say_how_long_to_wait(quick_path: Path) -> None:
    async with central_world(quick_path, idempotency_keys=True) as world, world.up():
        session = await playing(world)
        busy = HttpResponse(429, {"retry-after": "300"}, b"")
        real, left = world.wire.exchange, [busy]

        async def exchange(method: str, url: str, **options: Any) -> HttpResponse:
            if "addSessionTime" in url and left:
                return left.pop()
            return await real(method, url, **options)

        world.wire.exchange = exchange  # type: ignore[method-assign]
        await extend(world)
        await world.delivered()
        first, second = posts(world, session)
        assert round(second - first, 3) >= 300


# Not let in


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_stop_everything_and_call_a_person(quick_path: Path, status: int) -> None:
    async with central_world(quick_path) as world, world.up():
        sessions = {number: await playing(world, number) for number in ("101", "102")}
        world.wire.order("status", "/session/", status=status, times=10_000)
        for number in sessions:
            await extend(world, f"op-{number}", number)
        await asyncio.sleep(1800)
        tried = world.wire.sent("POST", "/session/addSessionTime")
        assert 20 <= len(tried) <= 35, "one asks, about once a minute"
        assert await world.parked() == []
        assert world.parts.outbox.view().alarm
        assert [w["code"] for w in world.parts.warnings()] == ["central_credentials"]
        assert world.log.events().count("central_credentials_refused") == 1
        world.wire.faults.clear()
        await world.delivered()
        assert world.parts.outbox.view().alarm == ""
        for session in sessions.values():
            assert extensions(await world.row(session["id"])) == [(15, 1000)]


async def test_a_token_that_is_wrong_stops_the_sink(quick_path: Path) -> None:
    settings = CentralSettings(auth="bearer", bearer_tokens=frozenset({"right-token"}))
    async with central_world(quick_path, settings=settings) as world:
        world.token = "right-token"
        async with world.up():
            session = await playing(world)
            world.wire.down = True
            await extend(world)
        world.wire.down = False
        world.token = "wrong-token"
        async with world.up():
            await world.until(lambda: world.parts.outbox.view().alarm != "", 30)
            assert not world.parts.poller.view.online
            assert world.bay().phase is Phase.PLAYING
            for text in (world.parts.outbox.view().alarm, world.parts.poller.view.reason):
                assert "wrong-token" not in text
        world.token = "right-token"
        async with world.up():
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]


async def test_a_staff_account_of_its_own_logs_in_and_delivers(quick_path: Path) -> None:
    staff = StaffLogin("bayd", "1555010003", "account-of-the-daemon")
    settings = CentralSettings(auth="bearer", bearer_tokens=frozenset({"right-token"}), staff=(staff,))
    login: Json = {"auth": "login", "login_phone_number": staff.phone_number}
    async with central_world(quick_path, settings=settings, **login) as world:
        keep_secret(staff.phone_number, staff.pin)
        async with world.up():
            await world.until(lambda: world.parts.poller.view.reason not in ("", "not asked yet"), 30)
            assert not world.parts.poller.view.online, "without its PIN it is nobody"
        world.login_pin = staff.pin
        async with world.up():
            session = await playing(world)
            await extend(world)
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]


# Clocks


@pytest.mark.parametrize("step_s", [0, 90_000, -90_000])
@pytest.mark.parametrize("synchronised", [True, False])
async def test_no_clock_shortens_the_time_that_the_server_gets_to_settle(
    quick_path: Path, step_s: int, synchronised: bool
) -> None:
    """Crash with a request in flight; the server commits 25 s later; the clocks say anything."""
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("delayed", "/session/addSessionTime", delay_s=25)
            await extend(world)
            await asyncio.sleep(1)
        world.clock.wall_step_ms += step_s * 1000
        world.clock.synchronised = synchronised
        world.clock.reboot()
        began = asyncio.get_running_loop().time()
        async with world.up():
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]
            assert len(posts(world, session)) == 1
            assert asyncio.get_running_loop().time() - began >= 30


# What staff decide


@pytest.mark.parametrize("keys", [False, True])
async def test_staff_let_a_refused_item_be_tried_again_with_what_was_parked_behind_it(
    quick_path: Path, keys: bool
) -> None:
    async with central_world(quick_path, idempotency_keys=keys) as world:
        allowed = {"now": False}
        async with world.up():
            session = await playing(world)
            refuse(world, f"/session/addSessionTime/{session['id']}", until=lambda: allowed["now"])
            await extend(world, "op1")
            await extend(world, "op2", minutes=30)
            await world.until(lambda: world.parts.outbox.view().parked == 2)
            first, second = await items(world)
            # Out of order: the first one first.
            await world.submit(i.RetryDelivery(second.seq, STAFF, "wrong one"))
            await world.delivered()
            assert world.parts.outbox.view().parked == 2
            # Too early: refused again, and still there.
            await world.submit(i.RetryDelivery(first.seq, STAFF, "try"))
            await world.delivered()
            assert world.parts.outbox.view().parked == 2
        allowed["now"] = True
        async with world.up():
            await world.submit(i.RetryDelivery(first.seq, STAFF, "corrected at the desk"))
            await world.until(lambda: world.parts.outbox.view().parked == 0, 60)
            assert extensions(await world.row(session["id"])) == [(15, 1000), (30, 1000)]


async def test_staff_let_an_unknown_call_be_made_again_once(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("doubled_unanswered", "/session/addSessionTime")
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 1, 120)
            (item,) = await items(world)
            await world.submit(i.RetryDelivery(item.seq, STAFF, "the desk took both out"))
            await world.until(lambda: world.parts.outbox.view().parked == 0, 60)
            assert len(posts(world, session)) == 2
        async with world.up():
            await world.delivered()
            assert len(posts(world, session)) == 2


async def test_staff_drop_what_they_have_entered_by_hand(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            refuse(world, f"/session/addSessionTime/{session['id']}")
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 1)
            (item,) = await items(world)
            await world.submit(i.DropDelivery(item.seq, STAFF, "entered at the desk"))
            await world.until(lambda: world.parts.outbox.view().parked == 0)
        async with world.up():
            await end(world)
            await world.delivered()
            assert await items(world) == []
            assert is_ended(await world.row(session["id"]))
            dropped = [event for event in await world.events() if isinstance(event, e.DeliveryDropped)]
            assert dropped == [e.DeliveryDropped(item.seq, "anna", "entered at the desk")]


@pytest.mark.parametrize("word", ["drop", "retry"])
async def test_the_desks_equal_time_while_ours_is_set_aside_is_ours_until_staff_say_otherwise(
    quick_path: Path, word: str
) -> None:
    """What staff enter by hand for a parked item is not given a second time; a retry is both."""
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            path = f"/session/addSessionTime/{session['id']}"
            away = {"now": True}
            refuse(world, path, until=lambda: not away["now"])
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 1)
            assert world.play().minutes == 75
            away["now"] = False
            await world.call("POST", path, {"duration": 15, "amount": 1000})
            await asyncio.sleep(60)
            assert world.play().minutes == 75, "the larger reading, not the sum"
            (item,) = await items(world)
            if word == "drop":
                await world.submit(i.DropDelivery(item.seq, STAFF, "entered at the desk"))
            else:
                await world.submit(i.RetryDelivery(item.seq, STAFF, "the desk gave the guest another"))
            await world.until(lambda: world.parts.outbox.view().parked == 0)
            await asyncio.sleep(60)
        async with world.up():
            await asyncio.sleep(60)
            times = 1 if word == "drop" else 2
            assert world.play().minutes == 60 + 15 * times
            await end(world)
            await world.delivered()
            row = await world.row(session["id"])
            assert is_ended(row)
            assert extensions(row) == [(15, 1000)] * times
            told = [code for code in world.conflicts() if code == "extensions_differ"]
            assert told == ([] if word == "drop" else ["extensions_differ"])
            assert await items(world) == []


@pytest.mark.parametrize("restart", [False, True])
async def test_staff_drop_an_item_that_blocks_the_others(quick_path: Path, restart: bool) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world)
            world.wire.order("status", "/session/addSessionTime", times=10_000)
            await extend(world)
            await end(world)
            await asyncio.sleep(120)
            waiting = await items(world)
            assert [item.kind for item in waiting] == ["SessionExtended", "SessionEnded"]
            assert "503" in waiting[0].reason
            await world.submit(i.DropDelivery(waiting[0].seq, STAFF, "entered at the desk"))
            if not restart:
                await world.delivered(within_s=60)
        async with world.up():
            await world.delivered(within_s=60)
            assert is_ended(await world.row(session["id"]))
            assert await items(world) == []


async def test_a_drop_of_what_is_delivered_changes_nothing(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        await extend(world)
        await world.delivered()
        (seq,) = [
            record.seq
            for record in await world.journal.read(0, bay="101")
            if isinstance(record.event, e.SessionExtended)
        ]
        await world.submit(i.DropDelivery(seq, STAFF, "a typing error"))
        await world.submit(i.RetryDelivery(seq, STAFF, "a typing error"))
        await world.delivered()
        await end(world)
        await world.delivered()
        assert extensions(await world.row(session["id"])) == [(15, 1000)]
        assert len(posts(world, session)) == 1


@pytest.mark.parametrize("to_come", [True, False], ids=["to-come", "another-bays"])
async def test_a_drop_of_a_wrong_number_loses_nothing(quick_path: Path, to_come: bool) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        if to_come:
            await world.submit(i.DropDelivery(world.journal.last_seq + 2, STAFF, "a typing error"))
            await extend(world)
            await world.delivered()
            assert extensions(await world.row(session["id"])) == [(15, 1000)]
        else:
            refuse(world, f"/session/addSessionTime/{session['id']}")
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 1)
            (item,) = await items(world)
            await world.submit(i.DropDelivery(item.seq, STAFF, "a typing error"), "102")
            await world.delivered()
            assert [one.seq for one in await items(world)] == [item.seq]


# Offline and staff starts


@pytest.mark.parametrize("server", SERVERS)
async def test_a_start_by_staff_is_told_with_the_pin_of_the_servers_own_answer(
    quick_path: Path, server: str
) -> None:
    async with central_world(quick_path, server) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.submit(i.StartPlay(STAFF, "the screen is broken"))
        await world.delivered()
        assert (await world.page(session["id"]))["active"] is True
        (verify,) = world.wire.sent("POST", "/session/verify")
        assert json.loads(verify.body or b"")["pin"] == session["pin"]
        text = str(list(await world.events()))
        assert session["pin"] not in text


async def test_a_session_that_is_active_already_needs_no_verify(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        await world.call("POST", "/session/verify", {"bayNumber": "101", "pin": session["pin"]})
        await world.submit(i.StartPlay(STAFF, "started at the desk"))
        await world.delivered()
        assert world.wire.sent("POST", "/session/verify") == []
        assert await world.parked() == []


async def test_a_server_that_shows_no_pin_cannot_be_told_of_a_start(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        rewrite(world, f"/session/{session['id']}", lambda page: {**page, "pin": ""})
        await world.submit(i.StartPlay(STAFF, "the screen is broken"))
        await world.until(lambda: world.parts.outbox.view().parked == 1)
        assert "no PIN" in (await world.parked())[0]


@pytest.mark.parametrize("fault", ["status", "lost"])
async def test_a_start_whose_verify_gets_no_answer_is_told_until_it_does(
    quick_path: Path, fault: str
) -> None:
    """The page can be read all the while: nothing there says that the server was told."""
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        world.wire.order(fault, "/session/verify", times=3)
        await world.submit(i.StartPlay(STAFF, "the screen is broken"))
        await world.until(lambda: len(world.wire.sent("POST", "/session/verify")) == 1)
        await asyncio.sleep(0.5)
        assert world.parts.outbox.view().waiting == 1
        await world.delivered()
        assert (await world.page(session["id"]))["active"] is True
        assert len(world.wire.sent("POST", "/session/verify")) == 4
        assert await world.parked() == []


async def test_a_yes_that_makes_nothing_active_is_asked_again(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await world.book()
        await world.knows(session)
        lag = {"now": True}
        rewrite(
            world,
            f"/session/{session['id']}",
            lambda page: {**page, "active": page["active"] and not lag["now"]},
        )
        await world.submit(i.StartPlay(STAFF, "the screen is broken"))
        await asyncio.sleep(30)
        assert world.parts.outbox.view().waiting == 1
        lag["now"] = False
        await world.delivered()
        assert await world.parked() == []


# The disk


async def test_a_disk_that_refuses_for_a_while_costs_nothing(quick_path: Path) -> None:
    async with central_world(quick_path) as world, world.up():
        session = await playing(world)
        world.disk.refuses = 40
        with pytest.raises(Exception, match="not written"):
            await extend(world)
        await world.until(lambda: world.disk.refuses == 0, 300)
        await extend(world)
        await end(world)
        await world.delivered()
        row = await world.row(session["id"])
        assert extensions(row) == [(15, 1000)]
        assert is_ended(row)


async def test_the_empty_history_of_another_bay_is_not_asked(quick_path: Path) -> None:
    """A lane without items is quiet: no commit, no request but the polls."""
    async with central_world(quick_path) as world, world.up():
        await world.until(lambda: world.parts.poller.view.online)
        await asyncio.sleep(10)
        world.wire.seen.clear()
        commits = world.disk.commits
        await asyncio.sleep(100)
        looks = {"/session/history", "/game", "/timeIntervals"}
        assert {one.path.partition("?")[0] for one in world.wire.seen} <= looks
        assert world.disk.commits - commits <= 11, "the sign of life alone"
        answer_with(world, "/game", HttpResponse(503, {}, b""))


async def test_what_was_answered_unknown_is_told_to_no_server(quick_path: Path) -> None:
    """The disk wrote it too late: it is in the journal for a moment, and then has expired."""
    disk = HeldExecutor()
    async with central_world(quick_path) as world:
        world.executor = disk
        async with world.up():
            session = await world.book()
            await world.knows(session)
            await world.type_pin(session["pin"])
            await world.delivered()
            disk.free.clear()
            given = i.Extend("x1", 15, 100, STAFF, "asked for it")
            pressed = asyncio.get_running_loop().create_task(world.submit(given))
            await asyncio.sleep(world.rules.intent_ttl_ms / 1000 + 3)
            disk.free.set()
            with pytest.raises(OutcomeUnknownError):
                await pressed
            await asyncio.sleep(600)
            assert any(isinstance(event, e.IntentExpired) for event in await world.events())
            assert world.wire.sent("POST", "/session/addSessionTime") == []
            assert world.play().minutes == 60
