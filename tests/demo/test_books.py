"""What the comparison of the books says to people."""

import io

from rich.console import Console

from bayd.demo.books import PLAYED_TOLERANCE_S, Line
from bayd.demo.demo import print_lines


def printed(*lines: Line) -> str:
    text = io.StringIO()
    print_lines(Console(file=text, width=120), list(lines))
    return text.getvalue()


def test_who_runs_it_on_a_busy_machine_is_told_so() -> None:
    played = Line(
        "session 1 seconds played", (("journal", 50.0), ("truth", 50.0 + 2 * PLAYED_TOLERANCE_S)), False
    )
    paid = Line("session 1 balls paid", (("journal", 12), ("truth", 11)), agrees=False)
    assert "busy PC" in printed(played, paid)
    assert "busy PC" not in printed(paid)
    assert "the books agree in all 0 lines" in printed()
