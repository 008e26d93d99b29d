"""The log tells what happened at a bay, with its number and its session, and nothing that people wrote."""

from bayd.core import events as e
from bayd.core.model import PayoutEnd
from bayd.journal import Recorded
from bayd.runtime.chronicle import Chronicle
from tests.simulation.world import SimLog

BAY = "109"


def told(*events: e.Event, playing: str | None = None) -> list[tuple[str, str, dict[str, object]]]:
    log = SimLog()
    chronicle = Chronicle(log, lambda _bay: playing)
    for seq, event in enumerate(events, 1):
        chronicle.happened(Recorded(seq, BAY, event, 0, 0, "boot", True, "batch"))
    return [(level, name, dict(facts)) for level, name, facts in log.lines]


def test_an_event_names_its_bay_and_its_session() -> None:
    closed = e.PayoutClosed("p1", "s1", PayoutEnd.DONE, paid=20, unknown=0, text="said by the hopper")
    assert told(closed, playing="s2") == [
        ("info", "payout_closed",
         {"bay": BAY, "session": "s1", "end": "done", "paid": 20, "unknown": 0}),
    ]  # fmt: skip


def test_an_event_without_a_session_gets_the_one_that_plays() -> None:
    assert told(e.HelpCalled(0), playing="s2") == [("info", "help_called", {"bay": BAY, "session": "s2"})]
    assert told(e.PinRefused("a1")) == [("info", "pin_refused", {"bay": BAY})]


def test_what_people_wrote_is_not_told() -> None:
    lines = told(
        e.BayHeld("local:anna", "for Mr. Nobody"),
        e.SessionPaused(0, "reception", "feels unwell"),
        e.BayTakenOutOfService("desk", "broken glass"),
        playing="s1",
    )
    assert [name for _, name, _ in lines] == ["bay_held", "session_paused", "bay_taken_out_of_service"]
    assert not [word for word in ("anna", "Nobody", "unwell", "glass", "desk") if word in str(lines)]


def test_what_has_figures_of_its_own_is_no_line() -> None:
    assert told(e.IntentExpired("b1"), e.BallsPaid("p1", "s1", 3)) == []
