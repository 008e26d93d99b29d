"""Reads the golden frames: one a line, `KIND HEX.. | what it is`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Vector:
    kind: str  # C captured or printed, X wrong on purpose, G generated
    data: bytes
    note: str


def load_vectors(name: str) -> list[Vector]:
    lines = Path(__file__).with_name(name).read_text().splitlines()
    vectors = []
    for line in lines:
        if line and not line.startswith("#"):
            frame, _, note = line.partition("|")
            kind, _, digits = frame.partition(" ")
            vectors.append(Vector(kind, bytes.fromhex(digits), note.strip()))
    return vectors
