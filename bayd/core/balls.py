"""The list of balls: which EPCs count, as a CSV file that people keep.

Columns: `epc,label,added_at,retired_at`, in this order, named in the first line. A ball without
`retired_at` is in use. Times are UTC, written as 2026-11-01T09:30:00Z, and compared as text. The file is
refused as a whole at its first fault, with the line and the column to look at: half a list would silently
credit half of the balls. Spreadsheets are met half-way (a byte order mark, CRLF, quotes, blanks around
an EPC), but nothing is guessed. A field holds no line break, so a line is a record and can be named.
"""

from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS = ("epc", "label", "added_at", "retired_at")
_TIME_SHAPE = "0000-00-00T00:00:00Z"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MAX_WORDS = 31  # what the length field of a tag's PC word can say


class BallListError(ValueError):
    """What is wrong with a list of balls, and where."""

    def __init__(self, reason: str, *, line: int | None = None, column: str | None = None) -> None:
        where = [f"line {line}"] if line is not None else []
        where += [f"column {column}"] if column is not None else []
        super().__init__(f"{', '.join(where)}: {reason}" if where else reason)
        self.reason = reason
        self.line = line  # from 1, the header's line
        self.column = column


@dataclass(frozen=True, slots=True)
class Ball:
    """One tagged ball. Raises BallListError naming the column when a value is not well formed."""

    epc: str  # hexadecimal, upper case, as the readers report it
    label: str  # what is printed on it, or a name for the batch; may be empty
    added_at: str
    retired_at: str | None = None

    def __post_init__(self) -> None:
        if not self.epc or set(self.epc) - set("0123456789ABCDEF"):
            raise BallListError(f"{self.epc!r} is not an EPC: write hexadecimal digits only", column="epc")
        if len(self.epc) % 4 or len(self.epc) > 4 * _MAX_WORDS:
            raise BallListError(
                f"{self.epc} has {len(self.epc)} digits; an EPC has a multiple of 4, at most "
                f"{4 * _MAX_WORDS} (24 for 96 bits): were leading zeros lost?",
                column="epc",
            )
        if any(ord(character) < 32 or ord(character) == 127 for character in self.label):
            raise BallListError("a label holds no line break, tab or control character", column="label")
        _check_time("added_at", self.added_at)
        if self.retired_at is not None:
            _check_time("retired_at", self.retired_at)
            if self.retired_at < self.added_at:
                raise BallListError(
                    f"{self.retired_at} is before added_at {self.added_at}", column="retired_at"
                )

    @property
    def in_use(self) -> bool:
        return self.retired_at is None


def registered_epcs(balls: Iterable[Ball]) -> frozenset[str]:
    """The EPCs that count: of every ball that is not retired."""
    return frozenset(ball.epc for ball in balls if ball.in_use)


def parse_balls(text: str) -> tuple[Ball, ...]:
    """The balls of a CSV text, in its order.

    Raises BallListError at the first fault; a second line for an EPC is refused with both lines named.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if not lines[0].strip():
        raise BallListError(f"the first line must be {','.join(COLUMNS)}", line=1)
    header = tuple(name.strip() for name in _fields(lines[0], 1))
    if header != COLUMNS:
        hint = " (separate columns by commas)" if ";" in lines[0] or "\t" in lines[0] else ""
        raise BallListError(
            f"the first line must be {','.join(COLUMNS)}, not {','.join(header)}{hint}", line=1
        )
    balls: list[Ball] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        ball = _parse_ball(_fields(line, number), number)
        _refuse_second(ball, number, line_of)
        balls.append(ball)
    return tuple(balls)


def encode_balls(balls: Iterable[Ball]) -> str:
    """The CSV text of these balls. Raises BallListError when one EPC comes twice."""
    lines = [",".join(COLUMNS)]
    line_of: dict[str, int] = {}
    for number, ball in enumerate(balls, start=2):
        _refuse_second(ball, number, line_of)
        lines.append(",".join((ball.epc, _quoted(ball.label), ball.added_at, ball.retired_at or "")))
    return "\n".join(lines) + "\n"


def _refuse_second(ball: Ball, line: int, line_of: dict[str, int]) -> None:
    first = line_of.setdefault(ball.epc, line)
    if first != line:
        raise BallListError(
            f"{ball.epc} is already on line {first}: keep one of the two", line=line, column="epc"
        )


def _parse_ball(fields: list[str], line: int) -> Ball:
    if len(fields) < len(COLUMNS):
        missing = COLUMNS[len(fields)]
        raise BallListError(
            f"the line ends after {len(fields)} of {len(COLUMNS)} columns", line=line, column=missing
        )
    if len(fields) > len(COLUMNS):
        raise BallListError(
            f"{len(fields)} columns instead of {len(COLUMNS)}: put a label with a comma in quotes", line=line
        )
    epc, label, added_at, retired_at = fields
    try:
        return Ball(epc.strip().upper(), label, added_at.strip(), retired_at.strip() or None)
    except BallListError as error:
        raise BallListError(error.reason, line=line, column=error.column) from None


def _fields(line: str, number: int) -> list[str]:
    """Split one record (RFC 4180, section 2, without line breaks in fields)."""
    fields: list[str] = []
    rest = line
    while True:
        column = COLUMNS[len(fields)] if len(fields) < len(COLUMNS) else None
        if rest.startswith('"'):
            field, rest = _unquoted(rest, number, column)
            if rest and not rest.startswith(","):
                raise BallListError(
                    "text follows the closing quote; write a quote inside quotes twice",
                    line=number,
                    column=column,
                )
        else:
            field, comma, after = rest.partition(",")
            if '"' in field:
                raise BallListError(
                    'a quote inside: put the field in quotes, each quote twice ("")',
                    line=number,
                    column=column,
                )
            rest = comma + after
        fields.append(field)
        if not rest:
            return fields
        rest = rest[1:]


def _unquoted(rest: str, number: int, column: str | None) -> tuple[str, str]:
    field, at = "", 1
    while True:
        end = rest.find('"', at)
        if end < 0:
            raise BallListError("the closing quote is missing on this line", line=number, column=column)
        field += rest[at:end]
        if rest[end + 1 : end + 2] != '"':
            return field, rest[end + 1 :]
        field += '"'
        at = end + 2


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field


def _check_time(column: str, value: str) -> None:
    if not _is_time(value):
        raise BallListError(f"{value!r} is not a time: write UTC as 2026-11-01T09:30:00Z", column=column)


def _is_time(value: str) -> bool:
    shape = "".join("0" if character in "0123456789" else character for character in value)
    if shape != _TIME_SHAPE:
        return False
    year, month, day = int(value[:4]), int(value[5:7]), int(value[8:10])
    hour, minute, second = int(value[11:13]), int(value[14:16]), int(value[17:19])
    if not (1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= _DAYS[month - 1] + (leap and month == 2)
