"""Every act by every role, and that a refused request leaves nothing behind."""

from typing import Any

import pytest

from bayd.core import inputs as i
from bayd.core.model import DeviceState, Payment, PayoutEnd
from bayd.web.acts import ACTS
from tests.web.house import OTHER_SCREEN, PIN, SCREEN, STAFF, TECHNICIAN, House, Item

TOKENS = {"screen": SCREEN, "staff": STAFF, "technician": TECHNICIAN, "nobody": None}
REASON = {"reason": "a test"}
# act -> body, the phase or state it needs, and who may.
ACTS_BY_ROLE: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "pin": ({"pin": PIN}, "booked", {"screen", "staff"}),
    "game": ({"game_id": 1}, "playing", {"screen", "staff"}),
    "dispense": ({"balls": 5}, "playing", {"screen", "staff"}),
    "dispense/test": ({"balls": 1, **REASON}, "free", {"staff", "technician"}),
    "balls/settle": ({"payout_id": "p1", "came_out": 2, **REASON}, "unknown", {"staff"}),
    "refill": ({"balls": 500}, "free", {"staff", "technician"}),
    "extend": ({"minutes": 15, **REASON}, "playing", {"screen", "staff"}),
    "extend/approve": ({"payment": "cash", "amount": 100}, "asked", {"staff"}),
    "extend/decline": (REASON, "asked", {"staff"}),
    "dues/settle": ({"due_id": "op", "payment": "cash", **REASON}, "owing", {"staff"}),
    "end": (REASON, "playing", {"screen", "staff"}),
    "move": ({"to": "110", **REASON}, "playing", {"staff"}),
    "pause": (REASON, "playing", {"screen", "staff"}),
    "resume": ({}, "paused", {"screen", "staff"}),
    "player": ({"session_user_id": 3}, "playing", {"screen", "staff"}),
    "help": ({}, "playing", {"screen", "staff"}),
    "help/acknowledge": ({}, "called", {"staff"}),
    "conflicts/settle": ({"conflict": "payment_not_told/7/due-1", **REASON}, "contradicted", {"staff"}),
    "start": (REASON, "booked", {"staff"}),
    "walk-in": ({"minutes": 30, "amount": 500, **REASON}, "free", {"staff"}),
    "unlock": (REASON, "booked", {"staff"}),
    "delivery/retry": ({"seq": 17, **REASON}, "parked", {"staff"}),
    "delivery/drop": ({"seq": 17, **REASON}, "parked", {"staff"}),
    "mode": ({"mode": "closed", "until": "day_end", **REASON}, "free", {"staff"}),
    "hold": (REASON, "free", {"staff"}),
    "release": ({}, "held", {"staff"}),
    "service/stop": (REASON, "free", {"staff", "technician"}),
    "service/resume": ({}, "out_of_service", {"staff", "technician"}),
    "fault/clear": ({"device": "dispenser"}, "fault", {"staff", "technician"}),
}


ANY_TIME = {"help", "unlock", "mode", "refill", "delivery/retry", "delivery/drop"}


async def reach(house: House, state: str) -> None:
    """Bring bay 109 into the state that an act needs."""
    anna = i.Actor(i.Role.STAFF, "anna")
    screen = i.Actor(i.Role.SCREEN, "screen")
    match state:
        case "free":
            return
        case "parked":
            house.outbox = [Item(17, "109", "7", "SessionExtended", 0, "refused", parked=True)]
        case "booked":
            await house.book()
            return
        case "held":
            await house.bays.submit("109", i.Hold(anna, "x"))
            return
        case "out_of_service":
            await house.bays.submit("109", i.StopService(anna, "x"))
            return
    await house.play()
    match state:
        case "paused":
            await house.bays.submit("109", i.Pause(screen, "x"))
        case "asked":
            await house.bays.submit("109", i.Extend("op", 15, None, screen, ""))
        case "owing":
            given = i.Extend("op", 15, 100, anna, "asked for it", payment=Payment.ON_ACCOUNT)
            await house.bays.submit("109", given)
        case "contradicted":
            said = i.ServerContradicted("payment_not_told", "7", "1000 were not told.", "due-1")
            await house.bays.submit("109", said)
        case "called":
            await house.bays.submit("109", i.CallHelp(screen))
        case "unknown":
            await house.bays.submit("109", i.Dispense("p1", 5, screen))
            await house.bays.submit("109", i.PayoutMarkTaken("p1", 5, {"pulse": 1}))
            await house.bays.submit("109", i.PayoutEnded("p1", PayoutEnd.UNKNOWN, None, "restarted"))
        case "fault":
            await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))


def test_every_act_is_in_this_table() -> None:
    assert {*ACTS, "pin", "game"} == set(ACTS_BY_ROLE)


@pytest.mark.parametrize("act", ACTS_BY_ROLE)
async def test_every_act_by_every_role(house: House, act: str) -> None:
    body, state, allowed = ACTS_BY_ROLE[act]
    await reach(house, state)
    before = await house.state()
    for role, token in TOKENS.items():
        if role in allowed:
            continue
        reply = await house.press(act, body, token=token)
        if role == "nobody":
            assert (reply.status, reply.code) == (401, "token_missing")
            assert reply.headers["WWW-Authenticate"] == "Bearer"
        else:
            assert (reply.status, reply.code) == (403, "role_not_allowed")
    # A screen reaches its own bay only.
    reply = await house.press(act, body, token=OTHER_SCREEN)
    assert (reply.status, reply.code) == (403, "other_bay" if "screen" in allowed else "role_not_allowed")
    assert await house.state() == before
    reply = await house.press(act, body, token=TOKENS[sorted(allowed)[0]])
    assert reply.status == 200, reply.text
    assert reply.json["number"] == "109"
    assert reply.json["version"] == house.bays.get("109").version
    assert await house.state() != before


async def test_a_screen_sees_its_own_bay_only(house: House) -> None:
    reply = await house.ask("GET", "/api/v1/bays/109", token=OTHER_SCREEN)
    assert (reply.status, reply.code) == (403, "other_bay")
    reply = await house.ask("GET", "/api/v1/bays/111", token=OTHER_SCREEN)
    assert (reply.status, reply.code) == (404, "unknown_bay")
    assert (await house.ask("GET", "/api/v1/bays/110", token=OTHER_SCREEN)).status == 200


@pytest.mark.parametrize("act", [act for act in ACTS_BY_ROLE if act not in ANY_TIME])
async def test_an_act_out_of_place_is_refused_and_changes_nothing(house: House, act: str) -> None:
    body, _, allowed = ACTS_BY_ROLE[act]
    token = TOKENS[sorted(allowed)[0]]
    needs_play = act in ("hold", "pause", "start", "walk-in", "dispense", "dispense/test")
    await reach(house, "paused" if needs_play else "free")
    if act == "service/stop":
        await house.press(act, body, token=token)
    before = await house.state()
    reply = await house.press(act, body, token=token)
    assert reply.status == 409, reply.text
    assert reply.code
    assert await house.state() == before


OF_A_SESSION = ["dispense", "extend", "end", "pause", "move", "game", "player"]


@pytest.mark.parametrize("act", OF_A_SESSION)
async def test_an_act_meant_for_one_session_never_touches_the_next(house: House, act: str) -> None:
    """A press that is sent again and again until it gets through may arrive after its session."""
    body, _, allowed = ACTS_BY_ROLE[act]
    await house.play(session_id="7")
    await house.bays.submit("109", i.End(i.Actor(i.Role.SCREEN, "screen"), ""))
    await house.play(session_id="8")
    before = await house.state()
    token = TOKENS[sorted(allowed)[0]]
    late = await house.press(act, {**body, "session_id": "7"}, token=token)
    assert (late.status, late.code) == (409, "session_over"), late.text
    assert await house.state() == before
    now = await house.press(act, {**body, "session_id": "8"}, token=token)
    assert now.status == 200, now.text


async def test_staff_start_the_booking_that_they_saw_and_no_other(house: House) -> None:
    await house.book(session_id="7")
    assert (await house.ask("GET", "/api/v1/bays/109", token=STAFF)).json["next_session_id"] == "7"
    withdrawn = i.ServerSaid("7", 60, 0, 0, cancelled=True, active=False, released=True)
    await house.bays.submit("109", withdrawn)
    await house.book(session_id="8")
    before = await house.state()
    late = await house.press("start", {**REASON, "session_id": "7"}, token=STAFF)
    assert (late.status, late.code) == (409, "booking_changed"), late.text
    assert await house.state() == before
    started = await house.press("start", {**REASON, "session_id": "8"}, token=STAFF)
    assert (started.json["session"]["id"], started.json["next_session_id"]) == ("8", None)


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("extend/approve", {"payment": "cash", "amount": 100}),
        ("extend/decline", REASON),
        ("resume", {}),
    ],
)
async def test_the_word_of_staff_is_for_the_session_that_they_saw(
    house: House, act: str, body: dict[str, Any]
) -> None:
    await reach(house, "paused" if act == "resume" else "asked")
    before = await house.state()
    late = await house.press(act, {**body, "session_id": "6"}, token=STAFF)
    assert (late.status, late.code) == (409, "session_over"), late.text
    assert await house.state() == before
    assert (await house.press(act, {**body, "session_id": "7"}, token=STAFF)).status == 200
