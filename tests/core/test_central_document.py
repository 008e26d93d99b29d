"""`docs/central.md` names its tests; both are held together here."""

import re
from pathlib import Path

from tests.core import test_server_table

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "central.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
]


def test_every_combination_has_one_outcome_and_a_test_that_exists() -> None:
    combinations = [(row[0], row[1].partition(",")[0]) for row in ROWS if row[0].startswith("plays ")]
    here = ("plays the same", "plays another", "plays none")
    assert {*combinations} == {(h, t) for h in here for t in ("the same", "another", "none")}
    named = re.findall(r"`(test_\w+)`(?: \(`(tests/\w+/test_\w+\.py)`\))?", TEXT)
    assert len(named) == len({name for name, _ in named})
    table = str(Path(test_server_table.__file__).relative_to(ROOT))
    assert [name for name, path in named if f"def {name}(" not in (ROOT / (path or table)).read_text()] == []


def test_every_test_of_disagreement_stands_in_the_document() -> None:
    of_the_table = [
        name for name in vars(test_server_table) if re.match(r"test_(plays|another|nothing|over)_", name)
    ]
    assert [name for name in of_the_table if f"`{name}`" not in TEXT] == []
