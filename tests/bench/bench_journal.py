"""Durable appends a second: the journal with 1, 16 and 64 producers, beside raw sqlite3 and sqlite-utils.

Every figure is of acknowledged events of 180 bytes, each on the disk before the next of its producer. The
candidates take turns, the median of the rounds counts, and the ratios to raw sqlite3 of the same round say
more than the figures. Run: `python -m tests.bench.bench_journal [--json] [--rounds N] [--dir DIR]`.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from bayd.journal import Batch, Journal, ThreadJournalExecutor
from bayd.ports import Instant

TEXT = json.dumps({"text": "x" * 166})
TABLE = "CREATE TABLE events (seq INTEGER PRIMARY KEY, bay TEXT, payload TEXT)"


class BenchClock:
    boot_id = "boot"

    def now(self) -> Instant:
        return Instant(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class TextCodec:
    def encode(self, event: str) -> tuple[str, int, str]:
        return "Text", 1, event

    def decode(self, kind: str, version: int, payload: str) -> str:
        return payload


def _plain(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    conn.execute(TABLE)
    return conn


def raw_sqlite3(path: Path, events: int) -> float:
    conn = _plain(path)
    begun = time.perf_counter()
    for _ in range(events):
        conn.execute("BEGIN")
        conn.execute("INSERT INTO events (bay, payload) VALUES ('104', ?)", (TEXT,))
        conn.execute("COMMIT")
    took = time.perf_counter() - begun
    conn.close()
    return events / took


def sqlite_utils_insert(path: Path, events: int) -> float:
    db = Database(_plain(path))
    begun = time.perf_counter()
    for _ in range(events):
        db.table("events").insert({"bay": "104", "payload": TEXT})
    took = time.perf_counter() - begun
    db.close()
    return events / took


def appending(producers: int) -> Callable[[Path, int], float]:
    async def measure(path: Path, events: int) -> float:
        executor, clock = ThreadJournalExecutor(), BenchClock()
        journal = await Journal.open(path, executor, TextCodec(), clock=clock)

        async def produce(producer: int) -> None:
            for n in range(events // producers):
                await journal.append(Batch(str(100 + producer), f"{producer}.{n}", (TEXT,), clock.now()))

        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for producer in range(producers):
                tasks.create_task(produce(producer), name=f"producer-{producer}")
        took = time.perf_counter() - begun
        await journal.aclose()
        executor.close()
        return events // producers * producers / took

    return lambda path, events: asyncio.run(measure(path, events))


def draining(path: Path, events: int) -> float:
    """Not appends: how fast a cursor reads a backlog, decoded, in pages of 500."""

    async def measure() -> float:
        executor, clock = ThreadJournalExecutor(), BenchClock()
        journal = await Journal.open(path, executor, TextCodec(), clock=clock)
        await journal.append(Batch("104", "backlog", (TEXT,) * events, clock.now()))
        begun, after = time.perf_counter(), 0
        while page := await journal.read(after):
            after = page[-1].seq
        took = time.perf_counter() - begun
        await journal.aclose()
        executor.close()
        return events / took

    return asyncio.run(measure())


CANDIDATES: dict[str, tuple[Callable[[Path, int], float], int]] = {
    "raw sqlite3, a commit each": (raw_sqlite3, 2_000),
    "sqlite-utils insert": (sqlite_utils_insert, 1_000),
    "journal, 1 producer": (appending(1), 2_000),
    "journal, 16 producers": (appending(16), 8_000),
    "journal, 64 producers": (appending(64), 16_000),
    "journal, reading a backlog": (draining, 20_000),
}


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--dir", type=Path, help="on the disk to be measured")
    chosen = options.parse_args(arguments)
    figures: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(chosen.rounds):
        for name, (measure, events) in CANDIDATES.items():
            with tempfile.TemporaryDirectory(dir=chosen.dir) as directory:
                figures[name].append(measure(Path(directory) / "bench.db", events))
    base = figures["raw sqlite3, a commit each"]
    rows = {
        name: {
            "per_s": round(statistics.median(rates)),
            "to_raw": round(statistics.median(a / b for a, b in zip(rates, base, strict=True)), 2),
        }
        for name, rates in figures.items()
    }
    if chosen.json:
        sys.stdout.write(json.dumps({"rounds": chosen.rounds, "events": rows}) + "\n")
        return
    for name, row in rows.items():
        sys.stdout.write(f"{name:30} {row['per_s']:>9,.0f} /s {row['to_raw']:>8.2f} x raw\n")


if __name__ == "__main__":
    main(sys.argv[1:])
