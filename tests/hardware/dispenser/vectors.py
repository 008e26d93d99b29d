"""Golden frames: `C` comes from a document, `G` follows from its rules, `X` is printed wrong there."""

from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden"


@dataclass(frozen=True, slots=True)
class Vector:
    kind: str
    raw: bytes
    meaning: str

    def __str__(self) -> str:
        return self.meaning


def load(name: str) -> list[Vector]:
    vectors = []
    for line in (GOLDEN / name).read_text().splitlines():
        frame, _, meaning = line.partition("|")
        kind, _, raw = frame.strip().partition(" ")
        vectors.append(Vector(kind, bytes.fromhex(raw), meaning.strip()))
    return vectors
