"""The range's own balls: the registry file, parsed and written. Pure text in, text out.

CSV with a header: `epc,label,added_at,retired_at`. An EPC is hexadecimal in whole 16-bit words, as it
stands in the tag; a ball with a `retired_at` is known but not counted.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS = ("epc", "label", "added_at", "retired_at")
_EPC = re.compile(r"(?:[0-9A-F]{4}){1,31}")


class RegistryError(ValueError):
    """The registry cannot be used; the message names line and column."""


@dataclass(frozen=True, slots=True)
class Ball:
    epc: str  # hexadecimal, upper case
    label: str = ""
    added_at: str = ""  # as written, for people
    retired_at: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    balls: tuple[Ball, ...] = ()

    @property
    def active(self) -> frozenset[str]:
        """The EPCs that count."""
        return frozenset(ball.epc for ball in self.balls if not ball.retired_at)


def parse_registry(text: str) -> Registry:
    """Raises RegistryError for the first line that cannot be right."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    header = next(reader, None)
    if header is None or tuple(name.strip().lower() for name in header) != COLUMNS:
        raise RegistryError(f"line 1: the columns are {','.join(COLUMNS)}")
    balls: dict[str, tuple[int, Ball]] = {}
    for row in reader:
        line = reader.line_num
        if not any(row):
            continue
        if len(row) != len(COLUMNS):
            raise RegistryError(f"line {line}: {len(COLUMNS)} columns are wanted, not {len(row)}")
        epc, label, added_at, retired_at = (cell.strip() for cell in row)
        epc = epc.upper()
        if not _EPC.fullmatch(epc):
            raise RegistryError(f"line {line}, column epc: whole words of four hexadecimal digits are wanted")
        if epc in balls:
            raise RegistryError(f"line {line}, column epc: the same ball as in line {balls[epc][0]}")
        balls[epc] = (line, Ball(epc, label, added_at, retired_at))
    return Registry(tuple(ball for _, ball in balls.values()))


def format_registry(balls: Iterable[Ball]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((ball.epc, ball.label, ball.added_at, ball.retired_at) for ball in balls)
    return text.getvalue()
