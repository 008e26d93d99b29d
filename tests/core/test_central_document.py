"""`docs/central.md` names its tests; both are held together here."""

import re
from pathlib import Path

from tests.core import test_server_table

TEXT = (Path(__file__).parents[2] / "docs" / "central.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
]


def test_every_combination_has_one_outcome_and_a_test_that_exists() -> None:
    combinations = [(row[0], row[1].partition(",")[0]) for row in ROWS if row[0].startswith("plays ")]
    here = ("plays the same", "plays another", "plays none")
    assert {*combinations} == {(h, t) for h in here for t in ("the same", "another", "none")}
    named = re.findall(r"`(test_\w+)`", TEXT)
    assert len(named) == len(set(named))
    assert [name for name in named if not callable(getattr(test_server_table, name, None))] == []


def test_every_test_of_disagreement_stands_in_the_document() -> None:
    of_the_table = [
        name for name in vars(test_server_table) if re.match(r"test_(plays|another|nothing|over)_", name)
    ]
    assert [name for name in of_the_table if f"`{name}`" not in TEXT] == []
