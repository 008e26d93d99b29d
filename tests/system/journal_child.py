"""A process that appends to a journal and says on stdout what became of each batch, one line each:

W b17    acknowledged          N b17    NotWrittenError        U b17    unknown
C 40     the cursor was acknowledged at 40
T 312    so many turns of the loop while it ran
R 2      so many recoveries    F        the disk was reported full
"""

import asyncio
import os
import sqlite3
import sys
import time
from pathlib import Path

from bayd.journal import (
    Batch,
    InlineJournalExecutor,
    Journal,
    JournalUnavailableError,
    NotWrittenError,
    ThreadJournalExecutor,
)
from bayd.ports import Instant


class BootClock:
    boot_id = "boot-1"

    def now(self) -> Instant:
        return Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, time.time_ns() // 1_000_000)


class PlainCodec:
    def encode(self, event: str) -> tuple[str, int, str]:
        return "Plain", 1, event

    def decode(self, kind: str, version: int, payload: str) -> str:
        return payload


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one write: a line is whole or was never said


async def produce(journal: Journal[str], clock: BootClock, producer: int, count: int) -> None:
    for n in range(count):
        batch_id = f"b{producer}.{n}"
        text = batch_id.ljust(180, ".")
        try:
            seqs = await journal.append(Batch(f"bay{producer}", batch_id, (text,), clock.now()))
            say(f"W {batch_id}")
        except NotWrittenError:
            say(f"N {batch_id}")
            continue
        except JournalUnavailableError:
            say(f"U {batch_id}")
            continue
        finally:
            if journal.disk_full:
                say("F")
        if n % 3 == 0:
            try:
                await journal.advance("central", f"bay{producer}", seqs[-1])
                say(f"C {seqs[-1]}")
            except (NotWrittenError, JournalUnavailableError):
                pass


async def main(
    path: Path,
    producers: int,
    count: int,
    *,
    inline: bool = False,
    reader: bool = False,
    reads: bool = False,
) -> None:
    """`reads`: what producer 1 tells is deferrable."""
    executor = InlineJournalExecutor() if inline else ThreadJournalExecutor()
    clock, turns = BootClock(), 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    journal = await Journal.open(
        path,
        executor,
        PlainCodec(),
        clock=clock,
        is_deferrable=lambda text: reads and text.startswith("b1."),
    )
    if reader:
        beside = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        beside.execute("SELECT count(*) FROM events").fetchone()
    async with asyncio.TaskGroup() as outer:
        turning = outer.create_task(turn(), name="turns")
        async with asyncio.TaskGroup() as tasks:
            for producer in range(producers):
                tasks.create_task(produce(journal, clock, producer, count), name=f"producer-{producer}")
        turning.cancel()
    say(f"T {turns}")
    say(f"R {journal.health.recoveries}")
    if journal.health.last_error:
        say(f"E {journal.health.last_error}")
    await journal.aclose()
    executor.close()


if __name__ == "__main__":
    words = sys.argv[4:]
    run = main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        inline="inline" in words,
        reader="reader" in words,
        reads="reads" in words,
    )
    asyncio.run(run)
