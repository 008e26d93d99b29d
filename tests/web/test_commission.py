"""Reports of taking a bay into service: who signs them, what is kept, how they are compared."""

import json
from pathlib import Path

import pytest

from tests.web.house import SCREEN, TECHNICIAN, House

PATH = "/api/v1/bays/109/commission"
GOOD = {"name": "antenna", "outcome": "pass", "text": "heard 9 times"}
BAD = {"name": "payout", "outcome": "fail", "text": "not exactly one ball came out"}


def report(*steps: dict[str, str]) -> dict[str, object]:
    return {"steps": list(steps)}


def kept_files(folder: Path) -> list[str]:
    return sorted(file.suffix for file in (folder / "commission").iterdir())


async def test_a_report_is_signed_kept_and_compared_with_the_one_before(house: House) -> None:
    first = await house.ask("PUT", f"{PATH}/aaaaaaaa", token=TECHNICIAN, body=report(GOOD, BAD))
    assert (first.json["passed"], first.json["by"], first.json["changes"]) == (False, "bo", [])
    house.clock.wall_step_ms += 60_000
    mended = {**BAD, "outcome": "pass", "text": "one ball came out"}
    second = await house.ask("PUT", f"{PATH}/bbbbbbbb", token=TECHNICIAN, body=report(GOOD, mended))
    assert second.json["passed"] is True
    assert second.json["changes"] == ["payout: fail before, pass now"]
    again = await house.ask("PUT", f"{PATH}/bbbbbbbb", token=TECHNICIAN, body=report(BAD))
    assert again.json == second.json  # the same identifier is the same report
    listed = (await house.ask("GET", PATH, token=TECHNICIAN)).json["reports"]
    assert listed == [first.json, second.json]
    rows = [
        (row.bay, row.note.who, row.note.act, dict(row.note.asked))
        for row in await house.journal.audit(0, 2**62)
    ]
    assert rows == [
        ("109", "bo", "BayCommissioned", {"report": "aaaaaaaa", "passed": False}),
        ("109", "bo", "BayCommissioned", {"report": "bbbbbbbb", "passed": True}),
    ]
    other = await house.ask("GET", "/api/v1/bays/110/commission", token=TECHNICIAN)
    assert other.json == {"reports": []}
    folder = house.path.parent
    assert kept_files(folder) == [".json", ".json", ".txt", ".txt"]
    texts = [file.read_text() for file in sorted((folder / "commission").glob("*.txt"))]
    assert "Bay 109: NOT in order" in texts[0]
    assert "signed off by  bo" in texts[1]
    assert "payout: fail before, pass now" in texts[1]


async def test_what_is_left_out_passes_nothing(house: House) -> None:
    skipped = {**GOOD, "outcome": "skipped", "text": "left out"}
    reply = await house.ask("PUT", f"{PATH}/aaaaaaaa", token=TECHNICIAN, body=report(skipped))
    assert reply.json["passed"] is False


async def test_a_broken_file_does_not_hide_the_others(house: House) -> None:
    await house.ask("PUT", f"{PATH}/aaaaaaaa", token=TECHNICIAN, body=report(GOOD))
    for name, text in (("0.json", "{"), ("1.json", json.dumps(["x"]))):
        (house.path.parent / "commission" / name).write_text(text)
    assert len((await house.ask("GET", PATH, token=TECHNICIAN)).json["reports"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{PATH}/x", report(GOOD), 422),
        (f"{PATH}/aaaaaaaa", report(), 422),
        (f"{PATH}/aaaaaaaa", report({**GOOD, "outcome": "maybe"}), 422),
        (f"{PATH}/aaaaaaaa", report({**GOOD, "by": "somebody else"}), 422),
        ("/api/v1/bays/999/commission/aaaaaaaa", report(GOOD), 404),
    ],
)
async def test_what_is_no_report_is_refused(
    house: House, path: str, body: dict[str, object], status: int
) -> None:
    assert (await house.ask("PUT", path, token=TECHNICIAN, body=body)).status == status
    assert (await house.ask("PUT", path, token=SCREEN, body=body)).status == 403
    assert not (house.path.parent / "commission").exists()
