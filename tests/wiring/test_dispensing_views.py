"""What people are shown of balls and machines."""

from pathlib import Path
from typing import Any

import pytest

from bayd.core import inputs as i
from bayd.core.desired import desired
from bayd.core.model import Bay, DeviceState, PayoutEnd, Stock
from bayd.core.rules import Rules
from bayd.reconcile.bay_state import bay_state
from bayd.settings.dispensers import CctalkHopper
from bayd.web.views import bay_view
from bayd.wiring.dispensers import DispenserParts
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing
from tests.reconcile.dispensing_hall import Hall
from tests.reconcile.dispensing_machines import HopperMachine
from tests.simulation.world import SimLog

TRAY = Rules(
    dispenser="east", dispenser_step=25, dispense_choices=(25, 50), central_level={"low": 0, "ok": 1}
)


def shown(book: Playbook, queue_place: int = 0) -> dict[str, Any]:
    view = bay_view(book.bay, book.now, book.rules, "off", names=False, queue_place=queue_place)
    return view.model_dump(mode="json")


def codes(book: Playbook) -> list[str]:
    return [warning["code"] for warning in shown(book)["warnings"]]


def test_a_payout_shows_its_place_in_the_queue_and_the_screen_its_choices() -> None:
    book = playing(60, rules=TRAY)
    assert shown(book, 2)["balls"]["queue_place"] is None
    book.when(i.Dispense("p1", 50, SCREEN))
    balls = shown(book, 2)["balls"]
    assert (balls["queue_place"], balls["paying"], balls["choices"], balls["step"]) == (2, 50, [25, 50], 25)


def test_unknown_balls_are_shown_with_what_is_needed_to_settle_them_until_they_are() -> None:
    book = playing(1, rules=TRAY)
    book.when(i.Dispense("p1", 25, SCREEN)).when(i.PayoutMarkTaken("p1", 25, {"pulse": 1}))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, None, "pulse not confirmed"))
    book.at(400).when(i.TimeCame())
    (flag,) = shown(book)["balls"]["unsettled"]
    assert (flag["payout_id"], flag["session_id"], flag["balls"]) == ("p1", "7", 25)
    (warning,) = shown(book)["warnings"]
    assert warning["code"] == "balls_unknown"
    assert "25 balls may or may not have been paid out (pulse not confirmed)" in warning["text"]
    book.when(i.SettleUnknown("p1", 25, STAFF, "basket was full"))
    assert shown(book)["balls"]["unsettled"] == []
    assert codes(book) == []


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (30, "20 balls fewer were read than came out"),
        (70, "20 balls more were read than came out"),
        (45, None),
    ],
)
def test_a_session_whose_books_differ_too_much_is_told_to_staff(read: int, said: str | None) -> None:
    book = Playbook(Rules(dispenser="east", variance_balls=10, variance_percent=0))
    book.when(i.DeviceReported("reader", DeviceState.OK, ""))
    book.when(booked("7", 10)).when(i.StartPlay(STAFF, "PIN lost"))
    book.when(i.Dispense("p1", 50, SCREEN)).when(i.PayoutMarkTaken("p1", 50, {"event": 1}))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, 50, ""))
    for number in range(read):
        book.when(i.BallHeard(f"E{number}", 1))
    book.at(720).when(i.TimeCame())
    warnings = [w["text"] for w in shown(book)["warnings"] if w["code"] == "balls_variance"]
    assert [said in text for text in warnings if said] == ([True] if said else [])
    assert bool(warnings) == (said is not None)


def test_the_level_reaches_the_central_server_as_the_site_maps_it() -> None:
    book = Playbook(TRAY)
    assert bay_state(book.bay, book.now)["ball_level"] is None
    for level, at_server in (("ok", 1), ("low", 0), ("full", None)):
        book.when(i.BallLevelSeen(level))
        assert bay_state(book.bay, book.now)["ball_level"] == at_server
        assert shown(book)["balls"]["level"] == level
    book.when(i.BallLevelSeen("full")).then()


async def test_a_machine_with_few_balls_is_told_once_with_what_is_left() -> None:
    settings = {"east": CctalkHopper(link="/dev/nothing", low_balls=100)}
    parts = DispenserParts(settings, {"109": "east", "110": "east"}, NoBays(), SimLog())
    assert parts.warnings() == []
    assert parts.section()["east"]["stock"] is None
    for number, paid in (("109", 250), ("110", 180)):
        bay = Bay(number, stock=Stock("r1", "east", 500, 0, paid))
        parts.reconcilers["east"].bay_changed(bay, desired(bay, Rules()))
    (warning,) = parts.warnings()
    assert (warning["code"], warning["text"]) == (
        "dispenser_low",
        "Dispenser east is low: about 70 balls.",
    )
    bay = Bay("110", stock=Stock("r1", "east", 500, 0, 250))
    parts.reconcilers["east"].bay_changed(bay, desired(bay, Rules()))
    assert [warning["code"] for warning in parts.warnings()] == ["dispenser_empty"]
    assert parts.section()["east"]["level"] == "empty"


def test_bays_without_a_machine_wait_for_nobody() -> None:
    assert DispenserParts({}, {}, NoBays(), SimLog()).queue_place("109") == 0


@pytest.mark.virtual_time
async def test_every_bay_of_a_machine_knows_its_level(tmp_path: Path) -> None:
    machine = HopperMachine()
    hall = Hall(tmp_path / "journal.db", machine)
    machine.sim.load = 10
    async with hall.open():
        await hall.ready()
        await hall.level_known()
        assert [hall.bay(number).ball_level.level for number in ("109", "110")] == ["empty", "empty"]
        version = hall.bay().version
        machine.sim.load = 400
        await hall.level_known()
        await hall.level_known()
        assert hall.bay().ball_level.level == "ok"
        assert hall.bay().version == version + 1


class NoBays:
    async def submit(self, number: str, request: i.Input) -> Any:
        raise AssertionError("nothing is told here")
