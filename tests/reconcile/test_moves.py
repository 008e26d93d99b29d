"""Moves and payments between a bay PC and the central server: told, learned, lost, refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import DeviceState, EndReason, Payment, Phase, StartedBy
from bayd.core.rules import ExtensionPolicy, Rules
from tests.reconcile.central_world import SCREEN, STAFF, CentralWorld, central_world

pytestmark = pytest.mark.virtual_time

PASSWORD = "demo-admin"
MOVE = i.Move("102", STAFF, "the net is torn")
ON_ACCOUNT = Rules(extension=ExtensionPolicy.ON_ACCOUNT, extension_minutes=(15,), extension_price=10)


async def play(world: CentralWorld) -> Any:
    world.admin_password = world.admin_password or PASSWORD
    return await world.book("101")


async def started(world: CentralWorld, session: Any) -> None:
    await world.knows(session)
    await world.type_pin(session["pin"])
    assert world.play().session_id == str(session["id"])


async def shown_at(world: CentralWorld, session: Any) -> str:
    return str((await world.page(session["id"]))["bay"]["number"])


async def dues(world: CentralWorld, session: Any) -> list[tuple[str, int, str | None]]:
    rows = await world.call("GET", f"/transaction/session/{session['id']}")
    return [
        (row["status"], row["amount"], row["paymentType"]["type"] if row["paymentType"] else None)
        for row in rows
    ]


async def test_a_move_is_told_and_everything_after_it_follows(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.submit(i.Extend("op1", 15, 100, STAFF, "a gift"))
            await world.submit(MOVE)
            await world.submit(i.Extend("op2", 15, 100, STAFF, "more"), "102")
            await world.delivered()
            assert await shown_at(world, session) == "102"
            (told,) = world.wire.sent("POST", "/bay/sessionBayChange")
            assert told.body is not None
            assert b'"newDuration":"75"' in told.body
            await world.until(lambda: world.play("102").server_bays == (), 20)
            await world.submit(i.End(STAFF, "left"), "102")
            await world.delivered()
            row = await world.row(session["id"])
            assert row["releaseTime"] is not None
            assert [(x["duration"], x["amount"]) for x in row["extenedSession"]] == [(15, 100), (15, 100)]
            assert (world.conflicts("101"), world.conflicts("102"), await world.parked()) == ([], [], [])


async def test_while_the_server_is_away_a_move_is_kept_in_its_place(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await world.knows(session)
            world.wire.down = True
            await world.submit(i.StartPlay(STAFF, "screen is broken"))
            await world.submit(MOVE)
            await world.submit(i.Extend("op1", 15, 100, STAFF, "more"), "102")
            await world.submit(i.Move("101", STAFF, "back again"), "102")
        async with world.up():
            assert world.play("101").minutes == 75
            world.wire.down = False
            await world.delivered()
            calls = [one.path for one in world.wire.seen if one.method == "POST"]
            kinds = ["verify", "sessionBayChange", "addSessionTime", "sessionBayChange"]
            sent = [path for path in calls if any(kind in path for kind in kinds)]
            # What was tried in vain while the server was away is the first of them again.
            assert [next(k for k in kinds if k in path) for path in sent][-4:] == kinds
            assert await shown_at(world, session) == "101"
            assert world.bay("101").phase is Phase.PLAYING


async def test_time_that_the_desk_gave_before_it_heard_of_a_move_is_kept(quick_path: Path) -> None:
    """The call says how long the session is then: with our own number the desk's minutes would be undone."""
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            world.wire.down = True
            await world.submit(MOVE)
            body = {"duration": 20, "amount": 200, "paymentType": "CASH"}
            await world.call("POST", f"/session/addSessionTime/{session['id']}", body)
            world.wire.down = False
            await world.delivered()
            await world.until(lambda: world.play("102").minutes == 80, 60)
            (told,) = world.wire.sent("POST", "/bay/sessionBayChange")
            assert told.body is not None
            assert b'"newDuration":"80"' in told.body, (told.body, await world.row(session["id"]))
            assert (world.conflicts("102"), await world.parked()) == ([], [])


async def test_a_move_is_told_after_the_end_of_who_played_there_before(quick_path: Path) -> None:
    """Else the server refuses it: for it somebody plays there still."""
    async with central_world(quick_path) as world:
        session = await play(world)
        before = await world.book("102")
        async with world.up():
            await started(world, session)
            await world.knows(before)
            await world.type_pin(before["pin"], "102")
            world.wire.order("status", f"/session/{before['id']}/end", times=3)
            await world.submit(i.End(STAFF, "left"), "102")
            await world.submit(MOVE)
            await world.delivered()
            assert await world.parked() == []
            assert await shown_at(world, session) == "102"
            assert (await world.row(before["id"]))["releaseTime"] is not None


@pytest.mark.parametrize("keys", [True, False])
async def test_the_next_guest_does_not_overtake_a_move(quick_path: Path, keys: bool) -> None:
    """For the server the first would play there still, and a call that names bays could move either."""
    async with central_world(quick_path, idempotency_keys=keys) as world:
        next_one = await world.book("101")  # earlier, and late
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.knows(next_one)
            world.wire.order("status", "/bay/sessionBayChange", times=3)
            await world.submit(MOVE)
            await world.until(lambda: bool(world.wire.sent("POST", "/bay/sessionBayChange")))
            await world.type_pin(next_one["pin"])
            assert world.play("101").session_id == str(next_one["id"])
            await world.delivered()
            assert await shown_at(world, session) == "102"
            assert await shown_at(world, next_one) == "101"
            assert (await world.page(next_one["id"]))["active"]
            assert (world.conflicts("101"), world.conflicts("102"), await world.parked()) == ([], [], [])


@pytest.mark.parametrize("events", [0, 250])
async def test_the_next_guest_does_not_overtake_a_move_that_the_outbox_has_not_seen_yet(
    quick_path: Path, events: int
) -> None:
    """It waits for credentials that another bay was turned away for; much has happened at this one since."""
    async with central_world(quick_path, bays=("101", "102", "103")) as world:
        next_one, elsewhere = await world.book("101"), await world.book("103")
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.knows(next_one)
            await world.knows(elsewhere)
            await world.type_pin(elsewhere["pin"], "103")
            world.wire.order("status", "/session/addSessionTime", status=401, times=10_000)
            await world.submit(i.Extend("op1", 15, 100, STAFF, "a gift"), "103")
            await world.until(lambda: bool(world.wire.sent("POST", "/session/addSessionTime")))
            await world.submit(i.Extend("op2", 15, 100, STAFF, "a gift"))
            await asyncio.sleep(1)
            for number in range(events):
                state = (DeviceState.OK, DeviceState.LOST)[number % 2]
                await world.submit(i.DeviceReported("reader", state, f"report {number}"))
            await world.submit(MOVE)
            await world.type_pin(next_one["pin"])
            assert world.play("101").started_by is StartedBy.PIN_OFFLINE
            assert not (await world.page(next_one["id"]))["active"]
            world.wire.faults.clear()
            await world.delivered()
            assert await shown_at(world, session) == "102"
            assert (await world.page(next_one["id"]))["active"]
            await world.until(lambda: not world.conflicts("102"), 30)
            assert (world.conflicts("101"), await world.parked()) == ([], [])


async def test_the_next_guest_does_not_overtake_who_was_moved_there_and_is_over(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            world.wire.order("status", "/bay/sessionBayChange", times=10_000)
            await world.submit(MOVE)
            await world.submit(i.End(STAFF, "left"), "102")
            next_one = await world.book("102")
            await world.knows(next_one)
            await world.type_pin(next_one["pin"], "102")
            assert world.play("102").session_id == str(next_one["id"])
            world.wire.faults.clear()
            await world.delivered()
            row = await world.row(session["id"])
            assert (row["bay"]["number"], row["releaseTime"] is not None) == ("102", True)
            assert (await world.page(next_one["id"]))["active"]
            assert (world.conflicts("101"), world.conflicts("102"), await world.parked()) == ([], [], [])


@pytest.mark.parametrize("kind", ["lost", "unanswered", "doubled_unanswered"])
async def test_an_unclear_answer_to_a_move_is_read_back(quick_path: Path, kind: str) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            world.wire.order(kind, "/bay/sessionBayChange")
            await world.submit(MOVE)
            await world.delivered()
            assert await shown_at(world, session) == "102"
            assert len(world.wire.sent("POST", "/bay/sessionBayChange")) == (2 if kind == "lost" else 1)
            assert await world.parked() == []


@pytest.mark.parametrize("server", ["reference", "minimal"])
async def test_a_move_that_cannot_be_told_is_for_the_desk(quick_path: Path, server: str) -> None:
    """No password, or a server with the eight calls alone."""
    async with central_world(quick_path, server) as world:
        session = await world.book("101")
        world.admin_password = PASSWORD if server == "minimal" else None
        async with world.up():
            await started(world, session)
            await world.submit(MOVE)
            await world.delivered()
            assert world.conflicts("102") == ["move_not_told"]
            await asyncio.sleep(90)  # a list would not be so slow
            assert world.conflicts("102") == ["move_not_told"], "one warning for one move"
            assert await world.parked() == []
            await world.submit(i.End(STAFF, "left"), "102")
            await world.delivered()
            assert (await world.row(session["id"]))["releaseTime"] is not None


async def test_a_refused_move_is_parked_and_holds_up_nothing(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.admin_password = "wrong-password"
        session = await world.book("101")
        async with world.up():
            await started(world, session)
            await world.submit(MOVE)
            await world.submit(i.Extend("op1", 15, 100, STAFF, "more"), "102")
            await world.delivered()
            assert len(await world.parked()) == 1
            assert (await world.row(session["id"]))["extendedTime"] == 15
        world.admin_password = PASSWORD
        async with world.up():
            (parked,) = await world.journal.parked("central")
            await world.submit(i.RetryDelivery(parked.seq, STAFF, "the password is right now"))
            await world.delivered()
            assert await shown_at(world, session) == "102"
            assert await world.parked() == []


async def test_time_that_is_set_aside_holds_up_neither_a_move_nor_a_game(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            path = f"/session/addSessionTime/{session['id']}"
            world.wire.order("doubled_unanswered", path)  # shown twice: nobody can tell
            await world.submit(i.Extend("op1", 15, 100, STAFF, "more"))
            await world.until(lambda: world.parts.outbox.view().parked == 1)
            game = world.parts.games.known(2)
            assert game is not None
            await world.submit(i.SelectGame(game, SCREEN))
            await world.submit(MOVE)
            await world.delivered()
            page = await world.page(session["id"])
            assert (page["bay"]["number"], page["game"]["id"]) == ("102", 2)
            assert len(await world.parked()) == 1


@pytest.mark.parametrize("payment", [Payment.CASH, Payment.CARD])
async def test_a_walk_in_is_booked_as_it_was_paid(quick_path: Path, payment: Payment) -> None:
    async with central_world(quick_path) as world, world.up():
        await world.until(lambda: world.parts.poller.view.online)
        await world.submit(i.WalkIn("wabc", 30, 500, STAFF, "paid here", payment))
        await world.delivered()
        (row,) = await world.history()
        assert await dues(world, row) == [("PAID", 500, payment.value.upper())]


async def test_a_walk_in_that_moved_before_the_server_knew_it_is_one_session(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.admin_password = PASSWORD
        async with world.up():
            await world.until(lambda: world.parts.poller.view.online)
            world.wire.down = True
            await world.submit(i.WalkIn("wabc", 30, 500, STAFF, "cash"))
            await world.submit(MOVE)
            await world.submit(i.Extend("op1", 15, 100, STAFF, "more"), "102")
            world.wire.down = False
            await world.delivered()
            (row,) = await world.history()
            assert (row["bay"]["number"], row["extendedTime"]) == ("102", 15)
            await world.submit(i.End(STAFF, "left"), "102")
            await world.delivered()
            assert (await world.row(row["id"]))["releaseTime"] is not None
            assert world.bay("101").bookings == world.bay("102").bookings == ()
            assert await world.parked() == []


async def test_a_move_while_the_server_is_being_read_leaves_no_booking_behind(quick_path: Path) -> None:
    """The page of the session was asked for where it played, and tells of it when it plays elsewhere."""
    async with central_world(quick_path, poll_s=3600) as world:
        session = await play(world)
        world.admin_password = PASSWORD
        async with world.up():
            await started(world, session)
            world.wire.order("delayed", f"/session/{session['id']}", "GET", delay_s=1)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(world.parts.poller.poll(), name="look")
                await asyncio.sleep(0.5)
                await world.submit(MOVE)
            assert world.bay("101").bookings == ()
            assert world.bay("101").phase is Phase.FREE
            await world.delivered()
            await world.parts.poller.poll()
            assert world.play("102").session_id == str(session["id"])
            assert world.conflicts("101") == world.conflicts("102") == []


async def test_a_move_at_the_desk_is_followed_with_the_exact_time(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            ends_at_ms = world.play().ends_at_ms
            await desk_moves(world, "101", "102")
            await world.until(lambda: world.bay("102").session is not None, 20)
            assert world.play("102").ends_at_ms == ends_at_ms
            assert world.bay("101").phase is Phase.FREE
            await world.delivered()
            assert world.wire.sent("POST", "/bay/sessionBayChange") == []
            assert world.conflicts("102") == []


async def test_a_move_at_the_desk_into_a_bay_that_is_kept_is_a_conflict(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.submit(i.Hold(STAFF, "VIP"), "102")
            await desk_moves(world, "101", "102")
            await world.until(lambda: world.conflicts("101") == ["moved_at_server"], 20)
            assert world.bay("101").phase is Phase.PLAYING


async def test_what_the_desk_takes_back_at_once_is_a_conflict_until_both_agree(quick_path: Path) -> None:
    """Before any list has shown our move: nothing but time tells it from a list that is slow."""
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.submit(MOVE)
            await world.delivered()
            assert world.play("102").server_bays == ("101",)
            await desk_moves(world, "102", "101")
            await world.until(lambda: world.conflicts("102") == ["moved_at_server"], 120)
            assert world.play("102").session_id == str(session["id"])
            assert world.conflicts("101") == []
            await desk_moves(world, "101", "102")
            await world.until(lambda: world.conflicts("102") == [], 60)
            assert world.play("102").server_bays == ()


async def desk_moves(world: CentralWorld, old: str, new: str) -> None:
    body = {"currentBay": old, "newBay": new, "adminPassword": PASSWORD, "newDuration": "60"}
    await world.call("POST", "/bay/sessionBayChange", body)


# Money


async def test_time_that_was_paid_at_the_bay_is_paid_at_the_server(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.submit(i.Extend("op1", 15, None, SCREEN, ""))
            await world.submit(i.ApproveExtension(STAFF, "asked", Payment.CARD, 150))
            await world.delivered()
            assert await dues(world, session) == [("PAID", 500, "CASH"), ("PAID", 150, "CARD")]
            assert world.conflicts() == []


async def test_what_went_on_account_is_owed_until_it_is_settled_also_after_the_end(quick_path: Path) -> None:
    async with central_world(quick_path, rules=ON_ACCOUNT) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            more = i.Extend("op1", 15, None, SCREEN, "", shown_amount=150, shown_at_once=True)
            await world.submit(more)
            await world.submit(i.End(STAFF, "left"))
            await world.delivered()
            assert await dues(world, session) == [("PAID", 500, "CASH"), ("DUE", 150, None)]
            last = world.bay().last
            assert last is not None
            assert last.reason is EndReason.STAFF
            await world.submit(i.SettleDue("op1", Payment.CASH, STAFF, "at the door"))
            await world.delivered()
            assert await dues(world, session) == [("PAID", 500, "CASH"), ("PAID", 150, "CASH")]


@pytest.mark.parametrize("kind", ["lost", "unanswered", "doubled_unanswered"])
async def test_a_payment_whose_answer_got_lost_pays_one_due(quick_path: Path, kind: str) -> None:
    """Two dues of the same amount: the second must stay."""
    async with central_world(quick_path) as world:
        session = await play(world)
        async with world.up():
            await started(world, session)
            await world.submit(i.Extend("op1", 15, 150, STAFF, "x", payment=Payment.ON_ACCOUNT))
            await world.submit(i.Extend("op2", 15, 150, STAFF, "x", payment=Payment.ON_ACCOUNT))
            world.wire.order(kind, "/transaction", method="PATCH")
            await world.submit(i.SettleDue("op1", Payment.CASH, STAFF, "paid"))
            await world.delivered()
            assert [status for status, amount, _ in await dues(world, session) if amount == 150] == [
                "PAID",
                "DUE",
            ]
            assert await world.parked() == []


@pytest.mark.parametrize("server", ["reference", "minimal"])
async def test_a_payment_that_cannot_be_told_is_for_the_desk(quick_path: Path, server: str) -> None:
    async with central_world(quick_path, server) as world:
        session = await world.book("101")
        world.admin_password = PASSWORD if server == "minimal" else None
        async with world.up():
            await started(world, session)
            await world.submit(i.Extend("op1", 15, 150, STAFF, "x", payment=Payment.CASH))
            await world.delivered()
            assert world.conflicts() == ["payment_not_told"]
            assert (await world.row(session["id"]))["extendedTime"] == 15
            assert await world.parked() == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
async def test_a_crash_at_any_write_moves_and_pays_once(quick_path: Path, step: int, after: bool) -> None:
    """One crash in each run, ever later, until the evening is over before it comes."""
    crash_at, survived = 1, False
    while not survived:
        path = quick_path / str(crash_at)
        path.mkdir()
        survived = await crashed_once(path, crash_at, after=after)
        crash_at += step
    assert crash_at > 2 * step, "nothing was ever crashed"


async def crashed_once(path: Path, crash_at: int, *, after: bool) -> bool:
    """Whether the evening was over before the crash."""
    async with central_world(path) as world:
        session = await play(world)

        async def evening() -> None:
            await world.submit(i.Extend("op1", 15, 150, STAFF, "x", payment=Payment.CASH))
            await world.submit(MOVE)
            await world.delivered()

        async with world.up():
            await started(world, session)
        world.disk.after, world.disk.crash_at = after, world.disk.commits + crash_at
        survived: bool = await world.lives_through(evening)
        async with world.up():
            places = [number for number in world.bays if world.bay(number).session is not None]
            assert len(places) == 1
            await world.delivered()
            assert await shown_at(world, session) == places[0]
            paid = [row for row in await dues(world, session) if row[1] == 150]
            extended = world.play(places[0]).minutes > 60
            assert paid == ([("PAID", 150, "CASH")] if extended else [])
    return survived


async def test_a_walk_in_that_moved_and_ended_before_the_server_knew_it_is_claimed(quick_path: Path) -> None:
    """Its number is kept where it was sold; it was over where it had moved to."""
    async with central_world(quick_path) as world:
        world.admin_password = PASSWORD
        async with world.up():
            await world.until(lambda: world.parts.poller.view.online)
            world.wire.down = True
            await world.submit(i.WalkIn("wabc", 30, 500, STAFF, "cash"))
            await world.submit(MOVE)
            await world.submit(i.End(STAFF, "left"), "102")
            world.wire.down = False
            world.wire.order("status", "/session/1/end", times=3)
            await world.until(lambda: bool(world.wire.sent("POST", "/session/1/end")))
            await world.parts.poller.poll()
            assert (await world.row(1))["releaseTime"] is None, "the server still calls it live"
            assert (world.conflicts("101"), world.conflicts("102")) == ([], [])
            assert world.bay("102").bookings == ()
            await world.delivered()


async def test_a_sale_under_way_that_the_server_shows_elsewhere_is_not_unclaimed(quick_path: Path) -> None:
    """The desk moved it before the bay had the answer with its number."""
    async with central_world(quick_path, idempotency_keys=True) as world, world.up():
        await world.until(lambda: world.parts.poller.view.online)
        world.wire.order("unanswered", "/session")
        world.wire.order("status", "/session", times=3)  # until then its number is not known
        await world.submit(i.WalkIn("wabc", 30, 500, STAFF, "cash"))
        await world.until(lambda: len(world.wire.sent("POST", "/session")) > 1)
        await desk_moves(world, "101", "102")
        await world.parts.poller.poll()
        assert world.parts.outbox.view().waiting, "the sale is still under way"
        await world.delivered()
        await world.parts.poller.poll()
        (row,) = await world.history()
        assert row["bay"]["number"] == "102"
        seen = [event for event in await world.events() if isinstance(event, e.ConflictSeen)]
        assert [event for event in seen if event.code == "walk_in_unclaimed"] == []
