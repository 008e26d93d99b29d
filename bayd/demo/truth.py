"""The range's own book: what an observer with a notebook sees, who knows no rule of bayd's.

Every ball with when and where it came out and was hit, whether the antenna listened at that moment, and
each session's play as the public status shows it. Times are seconds of CLOCK_MONOTONIC.
"""

import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE balls (
    epc TEXT NOT NULL, hopper TEXT NOT NULL, paid_at REAL NOT NULL, bay TEXT, session TEXT,
    hit_bay TEXT, hit_session TEXT, hit_from REAL, hit_until REAL, listens INTEGER);
CREATE TABLE oddities (kind TEXT NOT NULL, epc TEXT NOT NULL, bay TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE plays (
    bay TEXT NOT NULL, session TEXT NOT NULL, began REAL NOT NULL, ended REAL,
    PRIMARY KEY (bay, session));
CREATE TABLE hoppers (
    name TEXT PRIMARY KEY, commanded INTEGER NOT NULL, counted INTEGER NOT NULL, paid INTEGER NOT NULL);
"""


class TruthBook:
    """Written by the range process alone."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._db.execute("PRAGMA journal_mode = WAL")

    def ball_paid(self, epc: str, hopper: str, at: float, bay: str | None, session: str | None) -> None:
        self._db.execute(
            "INSERT INTO balls (epc, hopper, paid_at, bay, session) VALUES (?, ?, ?, ?, ?)",
            (epc, hopper, at, bay, session),
        )

    def ball_hit(
        self, epc: str, bay: str, session: str | None, began: float, ended: float, listens: int
    ) -> None:
        self._db.execute(
            "UPDATE balls SET hit_bay = ?, hit_session = ?, hit_from = ?, hit_until = ?, listens = ? "
            "WHERE epc = ? AND hit_bay IS NULL",
            (bay, session, began, ended, listens, epc),
        )

    def oddity(self, kind: str, epc: str, bay: str, at: float) -> None:
        self._db.execute("INSERT INTO oddities VALUES (?, ?, ?, ?)", (kind, epc, bay, at))

    def play_began(self, bay: str, session: str, at: float) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO plays (bay, session, began) VALUES (?, ?, ?)", (bay, session, at)
        )

    def play_ended(self, bay: str, session: str, at: float) -> None:
        self._db.execute("UPDATE plays SET ended = ? WHERE bay = ? AND session = ?", (at, bay, session))

    def hopper(self, name: str, commanded: int, counted: int, paid: int) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO hoppers VALUES (?, ?, ?, ?)", (name, commanded, counted, paid)
        )

    def close(self) -> None:
        self._db.close()
