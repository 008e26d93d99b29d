"""The list of balls: what is read, what is written, and how a fault is named."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayd.core.balls import COLUMNS, Ball, BallListError, encode_balls, parse_balls, registered_epcs

HEADER = "epc,label,added_at,retired_at\n"
A, B = "E28011700000020A7D001234", "300833B2DDD9014000000001"
ADDED, RETIRED = "2026-10-01T08:00:00Z", "2026-11-01T09:30:00Z"

times = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"))
labels = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
epcs = st.integers(1, 31).flatmap(
    lambda words: st.text("0123456789ABCDEF", min_size=4 * words, max_size=4 * words)
)


@st.composite
def balls(draw: st.DrawFn) -> Ball:
    first, second = sorted((draw(times), draw(times)))
    return Ball(draw(epcs), draw(labels), first, draw(st.sampled_from([None, second])))


ball_lists = st.lists(balls(), max_size=8, unique_by=lambda ball: ball.epc).map(tuple)


def test_a_list_is_read_and_retired_balls_do_not_count() -> None:
    text = f'{HEADER}{A},"Red, ""2""",{ADDED},\n{B},,{ADDED},{RETIRED}\n'
    read = parse_balls(text)
    assert read == (Ball(A, 'Red, "2"', ADDED), Ball(B, "", ADDED, RETIRED))
    assert registered_epcs(read) == {A}
    assert encode_balls(read) == text


def test_what_a_spreadsheet_makes_of_it_is_read_too() -> None:
    text = f'\ufeff"epc",label,added_at,retired_at\r\n\r\n {A.lower()} , kept ,"{ADDED}",\r\n\r\n'
    assert parse_balls(text) == (Ball(A, " kept ", ADDED),)


def test_a_list_without_balls_is_a_list() -> None:
    assert parse_balls(HEADER) == ()
    assert encode_balls(()) == HEADER


@given(ball_lists)
def test_what_is_written_is_read_back(written: tuple[Ball, ...]) -> None:
    assert parse_balls(encode_balls(written)) == written


@given(ball_lists)
def test_other_programs_read_what_is_written(written: tuple[Ball, ...]) -> None:
    rows = list(csv.reader(io.StringIO(encode_balls(written), newline=""), strict=True))
    assert rows[0] == list(COLUMNS)
    assert rows[1:] == [[b.epc, b.label, b.added_at, b.retired_at or ""] for b in written]


@given(ball_lists)
def test_what_other_programs_write_is_read(written: tuple[Ball, ...]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([b.epc, b.label, b.added_at, b.retired_at or ""] for b in written)
    assert parse_balls(text.getvalue()) == written


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (f"E28G,,{ADDED},", "epc", "hexadecimal"),
        (f",,{ADDED},", "epc", "hexadecimal"),
        (f"{A[:-1]},,{ADDED},", "epc", "23 digits.*leading zeros"),
        (f"{'A' * 128},,{ADDED},", "epc", "at most 124"),
        (f"{A},tab\there,{ADDED},", "label", "control character"),
        (f"{A},,2026-10-01,", "added_at", "write UTC as"),
        (f"{A},,2026-10-01T08:00:00+05:30,", "added_at", "write UTC as"),
        (f"{A},,2026-02-29T08:00:00Z,", "added_at", "is not a time"),
        (f"{A},,2026-00-10T08:00:00Z,", "added_at", "is not a time"),
        (f"{A},,2026-10-01T24:00:00Z,", "added_at", "is not a time"),
        (f"{A},,２026-10-01T08:00:00Z,", "added_at", "is not a time"),
        (f"{A},,{ADDED},never", "retired_at", "is not a time"),
        (f"{A},,{RETIRED},{ADDED}", "retired_at", "is before added_at"),
        (f"{A},x,{ADDED}", "retired_at", "ends after 3 of 4"),
        (A, "label", "ends after 1 of 4"),
        (f"{A},Red, 2,{ADDED},", None, "5 columns.*in quotes"),
        (f'{A},"Red,{ADDED},', "label", "closing quote is missing"),
        (f'{A},"Red"2,{ADDED},', "label", "follows the closing quote"),
        (f'{A},2" ball,{ADDED},', "label", "a quote inside"),
    ],
)
def test_a_fault_is_named_by_line_and_column(row: str, column: str | None, words: str) -> None:
    with pytest.raises(BallListError, match=words) as caught:
        parse_balls(f"{HEADER}{B},fine,{ADDED},\n\n{row}\n")
    assert (caught.value.line, caught.value.column) == (4, column)
    assert str(caught.value).startswith("line 4, column " + column if column else "line 4: ")


@pytest.mark.parametrize("again", [A, A.lower(), f" {A}"])
def test_a_ball_that_comes_twice_is_refused_with_both_lines(again: str) -> None:
    text = f"{HEADER}{A},first,{ADDED},\n{B},,{ADDED},\n{again},again,{ADDED},{RETIRED}\n"
    with pytest.raises(BallListError, match="already on line 2") as caught:
        parse_balls(text)
    assert (caught.value.line, caught.value.column) == (4, "epc")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line must be epc,label"),
        (f"{A},,{ADDED},\n", "the first line must be epc,label,added_at,retired_at, not E28"),
        ("epc;label;added_at;retired_at\n", "by commas"),
        ("epc,label,retired_at,added_at\n", "must be"),
        ("epc,label,added_at,retired_at,note\n", "not epc,label,added_at,retired_at,note"),
    ],
)
def test_a_file_with_another_first_line_is_refused(text: str, words: str) -> None:
    with pytest.raises(BallListError, match=words) as caught:
        parse_balls(text)
    assert caught.value.line == 1


def test_a_ball_is_not_written_twice() -> None:
    with pytest.raises(BallListError, match="already on line 2"):
        encode_balls([Ball(A, "", ADDED), Ball(A, "again", ADDED)])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        parse_balls(HEADER + text)
    except BallListError as error:
        assert error.line is not None
        assert error.line >= 2
