"""The status as a terminal of 80 columns shows it."""

import io
from typing import Any

from rich.console import Console

from bayd.tools import terminal


def bay(state: str) -> dict[str, Any]:
    return {
        "phase": "out_of_service",
        "session": None,
        "balls": {"counted": 120, "balance": 10, "paying": 0, "read": 118},
        "devices": {"reader": {"state": "unknown"}, "dispenser": {"state": state}},
        "qod": {"state": "available"},
    }


def shown(warnings: list[dict[str, Any]]) -> str:
    page = io.StringIO()
    central = {"online": True, "reason": "", "outbox": 0, "parked": 0}
    bays = {number: bay("unknown") for number in ("101", "102")}
    document = {"bays": bays, "central": central, "warnings": warnings}
    Console(file=page, width=80).print(terminal.status_view(document))
    return page.getvalue()


def test_no_word_of_the_table_is_cut() -> None:
    page = shown([])
    assert "…" not in page
    row = next(line for line in page.splitlines() if "101" in line)
    assert row.split() == ["101", "out_of_service", "120", "10", "118", "unknown", "unknown", "available"]


def test_the_time_that_is_left_is_told_in_minutes() -> None:
    playing = {**bay("ok"), "phase": "playing", "session": {"remaining_s": 2873.2}}
    page = io.StringIO()
    Console(file=page, width=80).print(terminal.bays_table({"bays": {"101": playing}}))
    assert page.getvalue().splitlines()[-1].split()[:3] == ["101", "playing", "47:54"]


def test_a_bay_without_a_machine_is_not_one_whose_machine_is_unknown() -> None:
    assert bays_row("none")[5:7] == ["unknown", "—"]
    assert bays_row("lost")[5:7] == ["unknown", "lost"]


def bays_row(dispenser: str) -> list[str]:
    page = io.StringIO()
    Console(file=page, width=80).print(terminal.bays_table({"bays": {"101": bay(dispenser)}}))
    return page.getvalue().splitlines()[-1].split()


def test_what_several_bays_warn_of_is_said_once() -> None:
    page = shown(
        [
            {"code": "reader_lost", "text": "reader west: unplugged", "bay": "101"},
            {"code": "qod_unusable", "text": "no low latency", "bay": None},
            {"code": "reader_lost", "text": "reader west: unplugged", "bay": "102"},
            {"code": "no_show", "text": "nobody comes", "bay": "102"},
        ],
    )
    said = [line for line in page.splitlines() if line.startswith("!")]
    assert said == [
        "! bays 101, 102: reader west: unplugged",
        "! no low latency",
        "! bay 102: nobody comes",
    ]


def test_a_warning_says_since_when_at_the_first_of_its_bays() -> None:
    lost = {"code": "reader_lost", "text": "unplugged"}
    page = shown(
        [
            {**lost, "bay": "101", "since": "2026-11-22T09:06:00.000Z"},
            {**lost, "bay": "102", "since": "2026-11-22T09:05:00.000Z"},
            {"code": "qod_unusable", "text": "no low latency", "bay": None, "since": None},
        ]
    )
    assert "! bays 101, 102: unplugged (since 2026-11-22T09:05:00.000Z)" in page
    assert "! no low latency\n" in page.replace(" \n", "\n")
