"""A day without the central server: forty sessions on eight bays, and what it is told when it is back."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Game, Payment, PayoutEnd, Phase, StartedBy
from bayd.core.rules import Rules
from bayd.journal import Recorded
from tests.reconcile.central_world import (
    ADMIN_PASSWORD,
    SCREEN,
    STAFF,
    CentralWorld,
    Fault,
    Seen,
    central_world,
)
from tests.simulation.central_audit import Audit, audit_of
from tests.simulation.central_season import LAWFUL, Season

pytestmark = pytest.mark.virtual_time
BAYS = tuple(str(101 + n) for n in range(8))
FULL = pytest.param(8, 24 * 3600, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="a-day")
GAME = Game(2, "GAME 2", 30)
SPARE = "120"  # where the first bay's guests move to
BALLS = 10  # of each guest
ON_ACCOUNT = Payment.ON_ACCOUNT
SOLD_AT = (3, 4)  # nobody is booked there any more: walk-ins


@pytest.mark.parametrize(("bays", "outage_s"), [pytest.param(3, 2 * 3600, id="two-hours"), FULL])
async def test_what_was_played_without_the_server_is_told_in_order_and_once(
    quick_path: Path, bays: int, outage_s: int
) -> None:
    numbers = BAYS[:bays]
    async with central_world(
        quick_path, bays=(*numbers, SPARE), rules=Rules(dispenser="east"), poll_s=15
    ) as world:
        world.admin_password = ADMIN_PASSWORD
        season = Season(world, LAWFUL, operations=0, seed=1)
        async with world.up():
            for number in numbers:
                for _ in range(5 - len(SOLD_AT)):
                    session = await world.book(number, outage_s // 24 // 60, 500)
                    season.booked[str(session["id"])] = session
                    season.prices[str(session["id"])] = 500
            for session in season.booked.values():
                await world.knows(session)
            world.wire.down = True
            for round_ in range(2):
                await evening(world, season, numbers, round_, outage_s // 24)
        async with world.up():  # the PC had a power cut
            for round_ in range(2, 5):
                await evening(world, season, numbers, round_, outage_s // 24)
            await asyncio.sleep(max(0, outage_s - asyncio.get_running_loop().time()))
            waiting = world.parts.outbox.view()
            dues = sum(
                payment_of(place, round_) is ON_ACCOUNT for place in range(bays) for round_ in range(5)
            )
            assert waiting.waiting == bays * (5 * 4 + len(SOLD_AT)) + dues + 5 * 2, (
                "a start, a game, an extension, an end; a walk-in's sale; dues; both halves of a move"
            )
            world.wire.seen.clear()
            world.wire.down = False
            began_s, real_s = asyncio.get_running_loop().time(), time.perf_counter()
            await world.delivered(within_s=3600)
            took_s = asyncio.get_running_loop().time() - began_s
            real_s = time.perf_counter() - real_s
            told = [one for one in world.wire.seen if one.method != "GET" and one.path != "/bay"]
            audit = await audit_of(season)
            events = [(record.bay, record.event) for record in await every_record(world)]
    print(  # noqa: T201 # a figure
        f"\n{waiting.waiting} items after {outage_s // 3600} h: all told {took_s:.0f} s after the server was"
        f" back, {waiting.waiting / real_s:.0f} a second on this machine"
    )
    audit.assert_no_difference()
    assert len(audit.sessions()) == bays * 5
    assert len(audit.walk_ins()) == bays * len(SOLD_AT)
    assert audit.move_count() == 5
    assert_in_order(told, audit, events)
    assert_paid(audit, events)
    ended = [event for _, event in events if isinstance(event, e.SessionEnded)]
    assert [one.balls.counted for one in ended] == [BALLS] * bays * 5


WRITELESS = pytest.param(
    4, 24 * 3600, 6, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="a-day-of-four-bays"
)


@pytest.mark.parametrize(("bays", "outage_s", "each"), [pytest.param(1, 5400, 2, id="90-min"), WRITELESS])
async def test_a_server_that_shows_all_and_writes_nothing_is_waited_for(
    quick_path: Path, bays: int, outage_s: int, each: int
) -> None:
    """Its disk is full, say. Nobody's calls get through, so nobody fails alone."""
    numbers = BAYS[:bays]
    async with central_world(quick_path, bays=numbers, poll_s=300) as world, world.up():
        season = Season(world, LAWFUL, operations=0, seed=1)
        for number in numbers:
            for _ in range(each):
                session = await world.book(number, 20, 500)
                season.booked[str(session["id"])] = session
                season.prices[str(session["id"])] = 500
        for session in season.booked.values():
            await world.knows(session)
        world.wire.chance = lambda method, path: None if method == "GET" else Fault("status", method, path)
        began_s = asyncio.get_running_loop().time()
        for round_ in range(each):
            for number in numbers:
                booking = world.bay(number).bookings[0].session_id
                await world.type_pin(season.booked[booking]["pin"], number)
                await world.submit(i.Extend(f"x-{number}-{round_}", 5, 100, STAFF, "cash"), number)
            await asyncio.sleep(1800)
        await asyncio.sleep(outage_s - asyncio.get_running_loop().time() + began_s)
        assert await world.parked() == []
        assert world.parts.outbox.view().waiting == bays * each * 3, "a start, an extension, an end"
        world.wire.chance = lambda _method, _path: None
        await world.delivered(within_s=3600)
        audit = await audit_of(season)
        audit.assert_no_difference()
        assert len(audit.sessions()) == bays * each


def payment_of(place: int, round_: int) -> Payment:
    return (Payment.DESK, Payment.CASH, ON_ACCOUNT)[(place + round_) % 3]


async def every_record(world: CentralWorld) -> list[Recorded[e.Event]]:
    records: list[Recorded[e.Event]] = []
    while batch := await world.journal.read(records[-1].seq if records else 0, limit=1000):
        records += batch
    return records


async def evening(
    world: CentralWorld, season: Season, numbers: tuple[str, ...], round_: int, hour_s: int
) -> None:
    """One session at every bay, all at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for place, number in enumerate(numbers):
            tasks.create_task(play(world, season, number, place, round_, hour_s), name=f"guest-{number}")


async def play(
    world: CentralWorld, season: Season, number: str, place: int, round_: int, hour_s: int
) -> None:
    """The session lasts an hour and some minutes, of a day that has 24. The first bay's guests move."""
    minutes = hour_s // 60
    await asyncio.sleep(10 * place)
    if round_ in SOLD_AT:
        await world.submit(i.WalkIn(f"w-{number}-{round_}", minutes, 700, STAFF, "cash"), number)
    elif (round_ + place) % 3 == 0:
        await world.submit(i.StartPlay(STAFF, "the screen is broken"), number)
    else:
        booking = world.bay(number).bookings[0].session_id
        await world.type_pin(season.booked[booking]["pin"], number)
        assert world.play(number).started_by is StartedBy.PIN_OFFLINE
    assert world.bay(number).phase is Phase.PLAYING
    await world.submit(i.SelectGame(GAME, SCREEN), number)
    payout_id = f"p-{number}-{round_}"
    for request in (
        i.Dispense(payout_id, BALLS, SCREEN),
        i.PayoutMarkTaken(payout_id, BALLS, {"counted": 0}),
        i.PayoutEnded(payout_id, PayoutEnd.DONE, BALLS, ""),
    ):
        assert (await world.submit(request, number)).decision.refusal is None
    await asyncio.sleep(hour_s / 2)
    due_id, payment = f"x-{number}-{round_}", payment_of(place, round_)
    extension = i.Extend(due_id, 5 + round_, 100 + round_, STAFF, "asked for", payment=payment)
    await world.submit(extension, number)
    if payment is ON_ACCOUNT:
        await world.submit(i.SettleDue(due_id, Payment.CARD, STAFF, "has the card back"), number)
    plays_at = number
    if place == 0:
        plays_at = SPARE
        await world.submit(i.Move(SPARE, STAFF, "the net is torn"), number)
    if place % 2:
        await asyncio.sleep(hour_s / 4)
        await world.submit(i.End(STAFF, "left early"), number)
    await asyncio.sleep(3 * hour_s + 600)
    assert world.bay(plays_at).session is None


def assert_in_order(told: list[Seen], audit: Audit, events: list[tuple[str, e.Event]]) -> None:
    """Each session whole, as the journal has it; each bay's sessions in the order in which they began."""
    rows = audit.rows
    by_pin = {row["pin"]: server_id for server_id, row in rows.items()}
    by_due = {due["id"]: server_id for server_id, row in rows.items() for due in row["sessionTransaction"]}
    heard: dict[str, list[str]] = {server_id: [] for server_id in rows}
    starts: list[str] = []
    sold = 0
    for one in told:
        body = json.loads(one.body or b"{}")
        match one.path.split("/")[1:]:
            case ["session", "verify"]:
                starts.append(by_pin[body["pin"]])
                heard[starts[-1]].append("start")
            case ["session", "addSessionTime", server_id]:
                heard[server_id].append("extend")
            case ["session", server_id, "end"]:
                heard[server_id].append("end")
            case ["session"] if one.method == "PATCH":
                heard[str(body["id"])].append("game")
            case ["session"]:
                sold += 1
            case ["transaction"]:
                heard[by_due[body["transcationId"]]].append("pay")
            case ["bay", "sessionBayChange"]:
                (moved,) = {s for s in starts if rows[s]["bay"]["number"] == SPARE and "move" not in heard[s]}
                heard[moved].append("move")
            case other:
                raise AssertionError(other)
    wanted: dict[str, list[str]] = {server_id: [] for server_id in rows}
    began: dict[str, list[str]] = {}
    for number, event in events:
        server_id = audit.server_id(getattr(event, "session_id", ""))
        match event:
            case e.SessionStarted():
                wanted[server_id].append("start")
                began.setdefault(number, []).append(server_id)
            case e.GameSelected():
                wanted[server_id].append("game")
            case e.SessionExtended():
                wanted[server_id] += ["extend", "pay"] if event.payment is Payment.CASH else ["extend"]
            case e.DueSettled():
                wanted[server_id].append("pay")
            case e.SessionMovedAway():
                wanted[server_id].append("move")
            case e.SessionEnded():
                wanted[server_id].append("end")
            case _:
                pass
    assert heard == wanted
    for number, sessions in began.items():
        assert [one for one in starts if one in sessions] == sessions, number
    assert sold == len(audit.walk_ins())


def assert_paid(audit: Audit, events: list[tuple[str, e.Event]]) -> None:
    """What was paid at the bay is paid there, what the desk has to cash is owed there."""
    owed = dict.fromkeys(audit.rows, 0)
    for _number, event in events:
        if isinstance(event, e.SessionExtended) and event.payment is Payment.DESK:
            owed[audit.server_id(event.session_id)] += event.amount or 0
    assert {server_id: row["paymentPending"] for server_id, row in audit.rows.items()} == owed
