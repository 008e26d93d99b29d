"""One daemon core under sixteen readers at line rate: CPU, time to the durable credit, and what was dropped.

A second process plays the readers: sixteen 0xA0 readers with eight ports each behind ptys, whose lines are
full (549 tags a second each), 300 balls on 128 tees, and so many of them exchanged a second for balls that
were never seen. Here run drivers, decoders, presence, the 128 bays and the journal in its thread, as the
daemon wires them. Each credit's time runs from the moment when the last byte of the first visit left the
other process, to the commit's return; the window in which a neighbour may object is part of the rules, and is
shown apart. Then once more with every commit 20 ms slower, as on a bay PC's eMMC.

The figures are of this machine; what must hold on any is that nothing is dropped and no ball counted twice.
Run: `python -m tests.bench.bench_readers [--json] [--seconds N] [--readers N] [--credits N] [--dir DIR]`.
"""

import argparse
import asyncio
import json
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Bay, StartedBy
from bayd.core.rules import Rules
from bayd.journal import Journal, ThreadJournalExecutor
from bayd.journal.disk import Connect, connect
from bayd.journal.event_codec import BayEventCodec
from bayd.reconcile.listening import presence_rules
from bayd.runtime.bay import Outcome
from bayd.runtime.clock import SystemClock
from bayd.runtime.randomness import SystemRandomness
from bayd.runtime.range import Range
from bayd.settings.readers import Reader
from bayd.wiring.reader_routes import make_routing
from bayd.wiring.readers import ReaderParts, ReaderPlan
from hardware.sim import r2000
from hardware.sim.ptys import PtyPort
from hardware.sim.r2000 import R2000Sim

PORTS = 8
BALLS_LYING = 300
READS_PER_VISIT = 48  # as many as make the line the limit, whatever lies there
LINE_RATE = 549  # tags a second: 21 bytes each at 115200 baud
PACE_S = 0.5
DELAY_S = 0.02
PATIENCE_S = 60.0


def epc_of(number: int) -> str:
    return f"E28011700000020A{number:08X}"


def bay_of(reader: int, port: int) -> str:
    return str(1000 + reader * PORTS + port)


# The other process: readers and balls.


class Feeder:
    """Readers on ptys in `directory`; every tee has balls, and its line is full."""

    def __init__(self, directory: Path, readers: int, exchanges_per_s: float, seed: int) -> None:
        self._rng = random.Random(seed)
        self._per_s = exchanges_per_s
        self._tees = [(reader, port) for reader in range(readers) for port in range(1, PORTS + 1)]
        self._lying: dict[tuple[int, int], list[str]] = {tee: [] for tee in self._tees}
        self._balls = 0
        self._feeding = True
        self.laid: dict[str, str] = {}  # EPC -> bay
        self.first_sent: dict[str, float] = {}
        self.lifted_early: set[str] = set()  # before its tee was visited
        self.reads_sent = 0
        self._sims = [
            R2000Sim(partial(self._send, number), ports=PORTS, field=partial(self._hear, number))
            for number in range(readers)
        ]
        self._ports = [PtyPort(directory / f"tty-{n}", sim.receive) for n, sim in enumerate(self._sims)]
        for _ in range(BALLS_LYING * len(self._tees) // 128):
            self._lay()

    def _send(self, number: int, data: bytes) -> None:
        self._ports[number].send(data)

    def _hear(self, number: int, port: int, _now: float) -> list[tuple[str, int]]:
        balls = self._lying[number, port]
        if not self._feeding or not balls:
            return []
        copies, rest = divmod(READS_PER_VISIT // 2, len(balls))
        now = time.monotonic()
        for epc in balls:
            self.first_sent.setdefault(epc, now)
        self.reads_sent += READS_PER_VISIT // 2
        return [(epc, -50) for epc in (*balls * copies, *balls[:rest])]

    def _lay(self, tee: tuple[int, int] | None = None) -> None:
        tee = tee or self._tees[self._balls % len(self._tees)]
        self._balls += 1
        epc = epc_of(self._balls)
        self._lying[tee].append(epc)
        self.laid[epc] = bay_of(*tee)

    async def exchange(self) -> None:
        """The ball that lies longest on some tee is hit, and the next one lies there."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while self._per_s:
            next_at += 1 / self._per_s
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            tee = self._rng.choice(self._tees)
            if not self._lying[tee]:
                continue
            if self._lying[tee][0] not in self.first_sent:
                self.lifted_early.add(self._lying[tee][0])
            del self._lying[tee][0]
            self._lay(tee)

    async def pace(self) -> None:
        """Hold the line rate, however late this process is scheduled."""
        sent = self.reads_sent
        while True:
            await asyncio.sleep(PACE_S)
            rate = (self.reads_sent - sent) / PACE_S / len(self._sims)
            sent = self.reads_sent
            r2000.TAG_AIR_S *= min(1.05, max(0.95, rate / LINE_RATE))

    async def run(self) -> None:
        """Orders come by line: `exchange`, `stop`; the last answer is the book of what was sent."""
        for port in self._ports:
            port.plug()
        print("plugged", flush=True)  # noqa: T201
        loop = asyncio.get_running_loop()
        orders = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        async with asyncio.TaskGroup() as tasks:
            pacing = tasks.create_task(self.pace(), name="pace")
            await orders.readline()
            before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            exchanging = tasks.create_task(self.exchange(), name="exchange")
            await orders.readline()
            exchanging.cancel()
            pacing.cancel()
            self._feeding = False
            after, took = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        await asyncio.sleep(0.5)
        book = {
            "reads_sent": self.reads_sent,
            "lost_bytes": sum(port.lost_bytes for port in self._ports),
            "ignored_commands": sum(sim.ignored for sim in self._sims),
            "laid": self.laid,
            "first_sent": self.first_sent,
            "lifted_early": sorted(self.lifted_early),
            "cpu": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took,
        }
        print(json.dumps(book), flush=True)  # noqa: T201
        await orders.readline()
        for sim, port in zip(self._sims, self._ports, strict=True):
            sim.close()
            port.unplug()


# This process: the daemon's core.


class CountingLog:
    """Counts what was logged."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    def debug(self, event: str, **facts: Any) -> None: ...

    def info(self, event: str, **facts: Any) -> None:
        self.events[event] += 1

    def warning(self, event: str, **facts: Any) -> None:
        self.events[event] += 1

    def error(self, event: str, **facts: Any) -> None:
        self.events[event] += 1


class TimedBays:
    """The range, with the time of every credit that became durable."""

    def __init__(self, bays: Range) -> None:
        self._bays = bays
        self.durable: dict[str, list[float]] = {}

    @property
    def bays(self) -> Mapping[str, object]:
        return self._bays.bays

    @property
    def ready(self) -> asyncio.Event:
        return self._bays.ready

    def get(self, number: str) -> Bay:
        return self._bays.get(number)

    async def submit(self, number: str, request: i.Input) -> Outcome:
        outcome = await self._bays.submit(number, request)
        if isinstance(request, i.BallHeard) and outcome.decision.refusal is None:
            self.durable.setdefault(request.epc, []).append(time.monotonic())
        return outcome


def slow_connect(uri: str) -> sqlite3.Connection:
    """Every COMMIT takes `DELAY_S` longer."""
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, factory=_SlowConnection)


class _SlowConnection(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            time.sleep(DELAY_S)
        return super().execute(sql, *values)


@dataclass(frozen=True, slots=True)
class Figures:
    case: str
    seconds: float
    readers: int
    reads_per_s: int
    credits_per_s: float
    cpu_percent: float  # of one core, all threads: what the daemon's core takes
    feeder_cpu_percent: float
    window_ms: int  # in which another bay may object
    p50_ms: float  # beyond the window
    p99_ms: float
    worst_ms: float
    revisit_ms: int
    reads_lost: int
    balls_missed: int
    counted_twice: int
    shed: int


@asynccontextmanager
async def feeding(directory: Path, readers: int, exchanges_per_s: float) -> AsyncIterator[Any]:
    command = (sys.executable, "-m", "tests.bench.bench_readers", "--feeder", str(directory))
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--readers", str(readers), "--credits", str(exchanges_per_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await process.stdout.readline()).strip() == b"plugged"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def order(process: Any, word: str) -> None:
    process.stdin.write(f"{word}\n".encode())
    await process.stdin.drain()


def settings_for(directory: Path, readers: int) -> Mapping[str, Reader]:
    return {
        f"reader-{n}": Reader(
            link=str(directory / f"tty-{n}"),
            ports={str(port): bay_of(n, port) for port in range(1, PORTS + 1)},
        )
        for n in range(readers)
    }


async def measure(
    case: str, directory: Path, *, seconds: float, readers: int, exchanges_per_s: float, connect: Connect
) -> Figures:
    settings = settings_for(directory, readers)
    bays_of_all = [bay_of(n, port) for n in range(readers) for port in range(1, PORTS + 1)]
    clock, randomness, log = SystemClock(), SystemRandomness(), CountingLog()
    executor = ThreadJournalExecutor()
    codec = BayEventCodec()
    population = BALLS_LYING + round(exchanges_per_s * seconds * 3) + 100
    registered = frozenset(epc_of(number) for number in range(1, population))
    journal: Journal[e.Event] = await Journal.open(
        directory / "journal.db", executor, codec, clock=clock, connect=connect
    )
    bays = Range(
        dict.fromkeys(bays_of_all, Rules()), journal=journal, clock=clock, randomness=randomness, log=log
    )
    timed = TimedBays(bays)
    parts = ReaderParts(ReaderPlan(settings, registered), timed, clock=clock, randomness=randomness, log=log)
    bays.observe(parts.antennas)
    rules = presence_rules(
        (one.revisit_ms for one in make_routing(settings, bays.bays, {}).routes.values()), 120
    )
    try:
        async with feeding(directory, readers, exchanges_per_s) as feeder, asyncio.TaskGroup() as tasks:
            roots = [
                tasks.create_task(bays.run(), name="range"),
                tasks.create_task(parts.antennas.run(), name="antennas"),
                tasks.create_task(parts.run(), name="readers"),
            ]
            await bays.ready.wait()
            await asyncio.gather(*(start_play(bays, number, clock) for number in bays_of_all))
            async with asyncio.timeout(PATIENCE_S):
                # Settled: every tee was visited, and what lay there at the start is counted.
                while len(timed.durable) < BALLS_LYING * len(bays_of_all) // 128:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await order(feeder, "exchange")
            settled = set(timed.durable)
            reads_before, before = reads_of(parts), resource.getrusage(resource.RUSAGE_SELF)
            began = time.monotonic()
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            after, reads_after = resource.getrusage(resource.RUSAGE_SELF), reads_of(parts)
            revisits = [
                shown.revisit_ms or 0
                for name in settings
                for shown in parts.antennas.view(name).ports.values()
            ]
            await order(feeder, "stop")
            async with asyncio.timeout(PATIENCE_S):
                book = json.loads(await feeder.stdout.readline())
            last_s = time.monotonic() + (rules.arbitration_ms + rules.confirm_within_ms) / 1000 + 1
            while book["first_sent"].keys() - timed.durable.keys() and time.monotonic() < last_s:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await order(feeder, "end")
            for root in roots:
                root.cancel()
        shed = parts.antennas.mail.shed
        reads_lost = book["reads_sent"] - reads_of(parts)
    finally:
        await journal.aclose()
        executor.close()
    assert book["lost_bytes"] == book["ignored_commands"] == 0, "the simulated readers are at fault"
    latencies = sorted(
        (times[0] - book["first_sent"][epc]) * 1000 - rules.arbitration_ms
        for epc, times in timed.durable.items()
        if epc not in settled
    )
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(
        case=case,
        seconds=round(took, 1),
        readers=readers,
        reads_per_s=round((reads_after - reads_before) / took),
        credits_per_s=round(len(latencies) / took, 1),
        cpu_percent=round(100 * cpu_s / took, 1),
        feeder_cpu_percent=round(100 * book["cpu"], 1),
        window_ms=rules.arbitration_ms,
        p50_ms=round(at(latencies, 0.5), 1),
        p99_ms=round(at(latencies, 0.99), 1),
        worst_ms=round(at(latencies, 1), 1),
        revisit_ms=max(revisits),
        reads_lost=reads_lost,
        balls_missed=len(book["first_sent"].keys() - timed.durable.keys()),
        counted_twice=sum(len(times) > 1 for times in timed.durable.values()),
        shed=shed,
    )


def at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def reads_of(parts: ReaderParts) -> int:
    return sum(parts.antennas.view(name).reads for name in parts.drivers)


async def start_play(bays: Range, number: str, clock: SystemClock) -> None:
    said = i.ServerSaid(number, 60, 0, clock.now().wall_ms, False, False, False)
    await bays.submit(number, said)
    await bays.submit(number, i.PinEntered(f"a{number}", None))
    await bays.submit(number, i.PinWasRight(f"a{number}", number, StartedBy.PIN_ONLINE))


def run(seconds: float, readers: int, exchanges_per_s: float, directory: Path | None) -> list[Figures]:
    figures = []
    for case, how in (("as it is", connect), (f"commits {DELAY_S * 1000:.0f} ms slower", slow_connect)):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            figures.append(
                asyncio.run(
                    measure(
                        case,
                        Path(scratch),
                        seconds=seconds,
                        readers=readers,
                        exchanges_per_s=exchanges_per_s,
                        connect=how,
                    )
                )
            )
    return figures


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--json", action="store_true")
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--readers", type=int, default=16)
    options.add_argument("--credits", type=float, default=30, help="balls exchanged a second")
    options.add_argument("--dir", type=Path, help="on the disk to be measured")
    options.add_argument("--feeder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    if chosen.feeder is not None:
        r2000.TAG_AIR_S = 1 / LINE_RATE

        async def feed() -> None:
            await Feeder(chosen.feeder, chosen.readers, chosen.credits, seed=1).run()

        asyncio.run(feed())
        return
    figures = run(chosen.seconds, chosen.readers, chosen.credits, chosen.dir)
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(one) for one in figures], indent=2) + "\n")
        return
    for one in figures:
        sys.stdout.write(f"{one.case}:\n")
        for name, value in asdict(one).items():
            if name != "case":
                sys.stdout.write(f"    {name:20} {value:>10,}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
