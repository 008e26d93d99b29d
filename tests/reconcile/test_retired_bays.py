"""A bay is taken out of the configuration before the central server has heard all of it."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Payment
from tests.reconcile.central_world import ADMIN_PASSWORD, STAFF, CentralWorld, central_world
from tests.reconcile.test_outbox import (
    end,
    extend,
    extensions,
    is_ended,
    playing,
    refuse,
    refuse_time,
)

pytestmark = pytest.mark.virtual_time


async def shown_of(world: CentralWorld, session_id: str) -> tuple[list[tuple[int, int]], bool]:
    row = await world.row(session_id)
    return extensions(row), is_ended(row)


@pytest.mark.parametrize("keys", [False, True])
async def test_what_it_left_is_told_once_and_in_order(quick_path: Path, keys: bool) -> None:
    async with central_world(quick_path, idempotency_keys=keys) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            assert world.parts.outbox.view().waiting == 2
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000)], True)
        assert world.log.events().count("retired_bay_untold") == 1
        async with world.up():
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000)], True)
        assert world.log.events().count("retired_bay_untold") == 1, "all is told"


async def test_a_walk_in_that_it_sold_gets_its_number(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            world.wire.down = True
            await world.submit(i.WalkIn("w1", 30, 700, STAFF, "cash"), "102")
            await extend(world, number="102")
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            assert await world.parked() == []
            numbers = [event for event in await world.events("102") if isinstance(event, e.SessionNumbered)]
        (row,) = await world.history()
        assert len(numbers) == 1
        assert (row["duration"], extensions(row), is_ended(row)) == (30, [(15, 1000)], True)


@pytest.mark.parametrize("password", [ADMIN_PASSWORD, None])
async def test_a_session_that_went_from_it_to_another_bay(quick_path: Path, password: str | None) -> None:
    """What lies in the one lane before the move, and in the other after it."""
    async with central_world(quick_path) as world:
        world.admin_password = password
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
            await world.submit(i.Move("101", STAFF, "the net is torn"), "102")
            await extend(world, "op2", minutes=30)
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            await end(world)
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000), (30, 1000)], True)
        told = (await world.page(session["id"]))["bay"]["number"] == "101"
        assert told == (password is not None)


async def test_a_session_that_went_to_it(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        world.admin_password = ADMIN_PASSWORD
        async with world.up():
            session = await playing(world, "101")
            world.wire.down = True
            await extend(world)
            await world.submit(i.Move("102", STAFF, "the net is torn"))
            await extend(world, "op2", "102", minutes=30)
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session["id"]) == ([(15, 1000), (30, 1000)], True)


def flags(world: CentralWorld) -> list[tuple[str, str | None]]:
    """What is flagged at bays that are configured no more: code and what `conflicts/settle` takes."""
    found = [warning for warning in world.parts.warnings() if warning.get("bay") is not None]
    assert all(warning["text"] and warning["since"] for warning in found)
    assert {warning["bay"] for warning in found} <= {"102"}
    return [(warning["code"], warning.get("conflict")) for warning in found]


def flags_of_unreadable(world: CentralWorld) -> list[str]:
    return [one["bay"] for one in world.parts.warnings() if one["code"] == "retired_bay_unreadable"]


async def left_untold(world: CentralWorld, payment: Payment = Payment.DESK) -> str:
    """Bay 102 has sold more time and ended, told nobody, and is configured no more."""
    async with world.up():
        session = await playing(world, "102")
        world.wire.down = True
        await world.submit(i.Extend("op1", 15, 1000, STAFF, "asked", payment=payment), "102")
        await end(world, "102")
    world.bays = ("101",)
    return str(session["id"])


async def test_money_that_was_not_told_is_a_warning_until_staff_have_settled_it(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world, Payment.CASH)
        name = f"payment_not_told/{session_id}/op1"
        async with world.up():
            assert flags(world) == []
            world.wire.down = False
            await world.delivered()
            assert flags(world) == [("payment_not_told", name)]
            assert "retired_bay_contradicted" in world.log.events()
        async with world.up():
            assert flags(world) == [("payment_not_told", name)], "recalled though all is told"
            settled = await world.submit(i.SettleConflict(name, STAFF, "entered at the desk"), "102")
            assert settled.decision.refusal is None
            assert flags(world) == []
            again = await world.submit(i.SettleConflict(name, STAFF, "entered at the desk"), "102")
            assert again.decision.refusal is not None
            now_ms = world.clock.now().wall_ms
            rows = await world.journal.audit(0, now_ms + 1)
            acts = [(row.bay, row.note.who, row.note.act, row.note.reason) for row in rows]
            assert acts[-1] == ("102", "anna", "SettleConflict", "entered at the desk")
        world.bays = ("101", "102")
        async with world.up():
            assert world.conflicts("102") == []


async def test_what_was_flagged_before_it_was_taken_out_is_shown_too(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            given = i.Extend("op9", 15, 1000, STAFF, "asked", payment=Payment.ON_ACCOUNT)
            await world.submit(given, "102")
            said = i.ServerContradicted("extension_doubtful", str(session["id"]), "15 minutes.", "op1")
            await world.submit(said, "102")
            await end(world, "102")
            await world.delivered()
        world.bays = ("101",)
        async with world.up():
            name = f"extension_doubtful/{session['id']}/op1"
            assert flags(world) == [("extension_doubtful", name), ("retired_bay_due", None)]
            await world.submit(i.SettleDue("op9", Payment.DESK, STAFF, "paid at the desk"), "102")
            assert flags(world) == [("extension_doubtful", name)]
        world.bays = ("101", "102")
        async with world.up():
            assert flags(world) == [], "the bay shows it itself"
            assert world.conflicts("102") == ["extension_doubtful"]
            assert world.bay("102").dues == ()


@pytest.mark.parametrize("decision", [i.RetryDelivery, i.DropDelivery])
async def test_staff_decide_about_what_is_set_aside_there(
    quick_path: Path, decision: type[i.RetryDelivery | i.DropDelivery]
) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            await extend(world, number="102")
        world.bays = ("101",)
        allowed = {"now": False}
        refuse(world, f"/session/addSessionTime/{session['id']}", until=lambda: allowed["now"])
        async with world.up():
            world.wire.down = False
            await world.delivered()
        allowed["now"] = True
        async with world.up():  # nothing of it waits any more: the bay is known all the same
            (item,) = await world.parts.outbox.items()
            assert (item.bay, item.kind, item.parked) == ("102", "SessionExtended", True)
            await world.submit(decision(item.seq, STAFF, "looked at"), "102")
            await world.until(lambda: world.parts.outbox.view().parked == 0)
            await world.delivered()
        told = [(15, 1000)] if decision is i.RetryDelivery else []
        assert await shown_of(world, session["id"]) == (told, False)
        world.bays = ("101", "102")
        async with world.up():
            await world.delivered()
        assert (await shown_of(world, session["id"]))[0] == told, "put back, nothing is told again"


async def test_what_is_older_than_a_week_is_not_told_behind_the_desks_back(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world)
        world.pass_by(8 * 86_400)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            items = await world.parts.outbox.items()
            assert [(item.bay, item.kind, item.parked) for item in items] == [
                ("102", "SessionExtended", True),
                ("102", "SessionEnded", True),
            ]
            assert [warning["code"] for warning in world.parts.warnings()] == ["outbox_parked"]
        assert (await shown_of(world, session_id))[0] == []
        assert world.log.events().count("retired_bay_stale") == 1
        world.bays = ("101", "102")
        async with world.up():
            await world.until(lambda: world.parts.outbox.view().parked == 0)
        assert await shown_of(world, session_id) == ([(15, 1000)], True), "put back, it is told"
        async with world.up():
            await world.delivered()
        assert await shown_of(world, session_id) == ([(15, 1000)], True)


async def test_what_grows_older_than_a_week_while_the_server_is_away_is_not_told_either(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world)
        async with world.up():
            await asyncio.sleep(60)
            world.pass_by(8 * 86_400)
            world.wire.down = False
            await world.delivered()
            assert [item.parked for item in await world.parts.outbox.items()] == [True, True]
        assert (await shown_of(world, session_id))[0] == []


def the_clock_stands_since(world: CentralWorld, days: float) -> None:
    """The PC boots with nobody to keep its clock, which stood meanwhile."""
    world.clock.reboot()
    world.clock.synchronised = False
    world.clock.wall_step_ms = -round(days * 86_400_000)


def the_server_says_how_late_it_is(world: CentralWorld) -> None:
    real_ms = world.clock.now().wall_ms - world.clock.wall_step_ms
    world.wire.date = format_datetime(datetime.fromtimestamp(real_ms / 1000, UTC), usegmt=True)


@pytest.mark.parametrize("away_s", [0, 600])
@pytest.mark.parametrize("tells", ["the server's date", "its newest session", "our clock, which runs on"])
async def test_where_nobody_keeps_the_clock_the_server_tells_what_is_older_than_a_week(
    quick_path: Path, tells: str, away_s: float
) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world)
        world.pass_by(8 * 86_400)
        the_clock_stands_since(world, 0 if tells == "our clock, which runs on" else 8)
        if tells == "the server's date":
            the_server_says_how_late_it_is(world)
        elif tells == "its newest session":
            await world.book("101")
        async with world.up():
            await asyncio.sleep(away_s)
            world.wire.down = False
            await world.delivered()
            items = await world.parts.outbox.items()
            assert [(item.kind, item.parked) for item in items] == [
                ("SessionExtended", True),
                ("SessionEnded", True),
            ]
        row = await world.row(session_id)
        assert (extensions(row), row["releaseTime"]) == ([], None)
        assert world.log.events().count("retired_bay_stale") == 1
        assert world.log.events().count("retired_bay_untold") == 0


@pytest.mark.parametrize("dated", [True, False])
async def test_where_nobody_keeps_the_clock_what_is_not_so_old_is_told(quick_path: Path, dated: bool) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world)
        world.pass_by(6 * 86_400)
        the_clock_stands_since(world, 6)
        if dated:
            the_server_says_how_late_it_is(world)
        async with world.up():
            world.wire.down = False
            await world.delivered()
        assert await shown_of(world, session_id) == ([(15, 1000)], True)
        assert world.log.events().count("retired_bay_untold") == 1
        assert world.log.events().count("retired_bay_stale") == 0


async def test_what_staff_drop_before_anybody_knows_how_late_it_is_is_gone_at_once(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        await left_untold(world)
        the_clock_stands_since(world, 0)
        async with world.up():
            await asyncio.sleep(60)
            extended, ended = await world.parts.outbox.items()
            assert "is not known" in extended.reason
            await world.submit(i.DropDelivery(extended.seq, STAFF, "entered at the desk"), "102")
            await world.until(lambda: world.parts.outbox.view().waiting == 1, 10)
            assert [item.seq for item in await world.parts.outbox.items()] == [ended.seq]


async def test_staff_may_have_told_what_is_older_than_a_week(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_untold(world)
        world.pass_by(8 * 86_400)
        async with world.up():
            world.wire.down = False
            await world.delivered()
            (extended, _ended) = await world.parts.outbox.items()
            await world.submit(i.RetryDelivery(extended.seq, STAFF, "nobody entered it"), "102")
            await world.until(lambda: world.parts.outbox.view().parked == 0)
        assert await shown_of(world, session_id) == ([(15, 1000)], True)


async def test_a_bay_that_is_put_back_has_what_it_parked_and_flagged_once(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            world.wire.down = True
            for op_id, minutes in (("op1", 15), ("op2", 30)):
                sold = i.Extend(op_id, minutes, 1000, STAFF, "asked", payment=Payment.CASH)
                await world.submit(sold, "102")
        allowed = {"now": False}
        refuse_time(world, minutes=30, until=lambda: allowed["now"])
        world.bays = ("101",)
        name = f"payment_not_told/{session['id']}/op1"
        async with world.up():
            world.wire.down = False
            await world.delivered()
            assert ("payment_not_told", name) in flags(world)
            items = await world.parts.outbox.items()
        world.bays = ("101", "102")
        async with world.up():
            await world.delivered()
            assert await world.parts.outbox.items() == items
            assert [item.parked for item in items] == [True]
            assert flags(world) == [], "the bay shows it itself"
            assert [conflict.name for conflict in world.bay("102").conflicts] == [name]
            allowed["now"] = True
            await world.submit(i.RetryDelivery(items[0].seq, STAFF, "put right"), "102")
            await world.until(lambda: world.parts.outbox.view().parked == 0)
            await end(world, "102")
            await world.delivered()
            assert world.conflicts("102") == ["payment_not_told", "payment_not_told"], "of each payment, once"
        assert await shown_of(world, session["id"]) == ([(15, 1000), (30, 1000)], True)


async def test_a_move_to_it_that_cannot_be_told_is_flagged_there(quick_path: Path) -> None:
    """Not told before it was taken out: what the session was given before the move waited for the server."""
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "101")
            world.wire.down = True
            await extend(world)
            await world.submit(i.Move("102", STAFF, "the net is torn"))
            await end(world, "102")
        world.bays = ("101",)
        async with world.up():
            assert flags(world) == []
            world.wire.down = False
            await world.delivered()
            assert flags(world) == [("move_not_told", f"move_not_told/{session['id']}/")]


@pytest.mark.parametrize(
    "spoil", ["UPDATE events SET payload = '{}'", "DELETE FROM events"], ids=["unreadable", "incomplete"]
)
async def test_what_cannot_be_read_of_it_is_said_and_hides_no_move(quick_path: Path, spoil: str) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "101")
            world.wire.down = True
            await extend(world)
            await world.submit(i.Move("102", STAFF, "the net is torn"))
            await end(world, "102")
        with sqlite3.connect(quick_path / "journal.db") as file:
            file.execute(f"{spoil} WHERE bay = '102' AND kind = 'SessionMovedIn'")
        file.close()
        world.bays = ("101",)
        async with world.up():
            assert flags_of_unreadable(world) == ["102"]
            world.wire.down = False
            await world.until(lambda: "move_not_told" in world.conflicts("101"))
        assert extensions(await world.row(session["id"])) == [(15, 1000)], "the other bays go on"


async def test_what_was_set_aside_there_and_cannot_be_read_hides_nothing_of_the_others(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world:
        refuse_time(world, minutes=15)
        async with world.up():
            await playing(world, "102")
            await extend(world, number="102")
            await playing(world, "101")
            await extend(world)
            await world.until(lambda: world.parts.outbox.view().parked == 2)
        with sqlite3.connect(quick_path / "journal.db") as file:
            file.execute("UPDATE events SET payload = '{}' WHERE bay = '102' AND kind = 'SessionExtended'")
        file.close()
        world.bays = ("101",)
        async with world.up():
            assert flags_of_unreadable(world) == ["102"]
            items = [(item.bay, item.kind) for item in await world.parts.outbox.items()]
            assert sorted(items) == [("101", "SessionExtended"), ("102", "")]


async def test_no_time_passes_there(quick_path: Path) -> None:
    """Another PC may serve the bay, and have given more time: this one ends nobody's play."""
    async with central_world(quick_path) as world:
        async with world.up():
            session = await playing(world, "102")
            await world.delivered()
        world.bays = ("101",)
        world.pass_by(7200)
        async with world.up():
            said = i.ServerContradicted("extension_doubtful", str(session["id"]), "15 minutes.", "op1")
            await world.submit(said, "102")
            world.pass_by(7200)
            await asyncio.sleep(10)
            assert world.bay("102").session is not None
            assert not is_ended(await world.row(session["id"]))
            assert ("bay_left_out", None) in flags(world)


async def desk_moves(world: CentralWorld, old: str, new: str) -> None:
    body = {"currentBay": old, "newBay": new, "adminPassword": ADMIN_PASSWORD, "newDuration": "60"}
    await world.call("POST", "/bay/sessionBayChange", body)


async def left_after_50_minutes(world: CentralWorld, *, reboot: bool) -> str:
    async with world.up():
        session = await playing(world, "102")
        await world.delivered()
        world.pass_by(3_000)
        await asyncio.sleep(11)
    world.bays = ("101",)
    world.pass_by(600)
    if reboot:
        world.clock.reboot()
    return str(session["id"])


@pytest.mark.parametrize("reboot", [False, True])
async def test_the_desk_moves_a_guest_away_from_there_with_what_was_left(
    quick_path: Path, reboot: bool
) -> None:
    """As a booking he would get the whole hour again, and play at two bays once the other one is back."""
    async with central_world(quick_path) as world:
        session_id = await left_after_50_minutes(world, reboot=reboot)
        async with world.up():
            await asyncio.sleep(30)
            await desk_moves(world, "102", "101")
            await world.until(lambda: world.bay("101").session is not None, 30)
            left_ms = world.play("101").remaining_ms(world.clock.now().boot_ms)
            assert left_ms == pytest.approx(600_000, abs=20_000)
            assert world.play("101").session_id == session_id
            assert (world.bay("102").session, flags(world)) == (None, [])
            await world.delivered()
        world.bays = ("101", "102")
        async with world.up():
            await asyncio.sleep(30)
            assert world.bay("102").session is None
            assert world.bay("102").left is None
            assert world.bay("101").session is not None
            await end(world)
            await world.delivered()
        assert is_ended(await world.row(session_id))


async def test_where_the_desk_moves_him_to_a_bay_that_is_kept_he_is_no_booking_there(
    quick_path: Path,
) -> None:
    async with central_world(quick_path) as world:
        session_id = await left_after_50_minutes(world, reboot=False)
        async with world.up():
            await world.submit(i.Hold(STAFF, "torn net"))
            await desk_moves(world, "102", "101")
            await world.until(lambda: len(flags(world)) > 1, 30)
            assert ("moved_at_server", f"moved_at_server/{session_id}/") in flags(world)
            assert world.bay("101").bookings == ()
            await world.submit(i.Release(STAFF))
            await world.until(lambda: world.bay("101").session is not None, 30)
            assert flags(world) == []


async def test_a_walk_in_of_another_pc_at_that_bay_is_not_taken_for_its_own(quick_path: Path) -> None:
    async with central_world(quick_path) as world:
        async with world.up():
            world.wire.order("unanswered", "/session")
            await world.submit(i.WalkIn("w1", 30, 700, STAFF, "cash"), "102")
            await asyncio.sleep(1)
        world.bays = ("101",)
        async with world.up():
            await world.delivered()
            numbers = [event for event in await world.events("102") if isinstance(event, e.SessionNumbered)]
        assert numbers == []
