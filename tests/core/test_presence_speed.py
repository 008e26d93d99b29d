"""What a read costs: the full load of sixteen lines, 8,800 reads/s of 300 balls."""

import gc
import statistics
import sys
import time
from collections.abc import Callable

import pytest

from bayd.core.presence import PresenceEngine, Route, Sighting, Tee

READS_PER_S = 8_800
BALLS = [f"E28011700000020A{n:08X}" for n in range(300)]
ROUTES = [
    Route(f"reader{reader}", port, Tee(f"{reader}{port}"), floor_dbm=-80)
    for reader in range(16)
    for port in range(1, 9)
]


def one_second() -> list[list[Sighting]]:
    """Each ball at its own bay and heard by the next one, in batches of 22 (25 a reader and second)."""
    reads = []
    for n in range(READS_PER_S):
        ball = n % 300
        antenna = (ball + n // 300 % 2) % 128
        dbm = -55 - n % 7
        reads.append(Sighting(f"reader{antenna // 8}", antenna % 8 + 1, BALLS[ball], dbm, dbm + 129, 2))
    return [reads[i : i + 22] for i in range(0, READS_PER_S, 22)]


def play(engine: PresenceEngine, second: list[list[Sighting]], from_ms: int) -> None:
    for n, batch in enumerate(second):
        engine.feed(batch, from_ms + n * 1_000 // len(second))


def bare(second: list[list[Sighting]]) -> int:
    """The least that any counting could do: unpack each read and look two things up."""
    last = dict.fromkeys(BALLS, 0)
    antennas = {(route.reader, route.port): route for route in ROUTES}
    for n, batch in enumerate(second):
        for reader, port, epc, _, _, _ in batch:
            if (reader, port) in antennas and last[epc] >= 0:
                last[epc] = n
    return len(last)


def cpu_s(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def test_a_read_costs_a_few_dictionary_look_ups() -> None:
    second = one_second()
    engine = PresenceEngine(ROUTES, frozenset(BALLS))
    ratios = []
    for n in range(15):
        engine_s = cpu_s(lambda at_ms=n * 1_000: play(engine, second, at_ms))  # type: ignore[misc]
        ratios.append(engine_s / max(cpu_s(lambda: bare(second)), 1e-6))
    assert statistics.median(ratios) < 25  # about 4 here


def test_reads_leave_nothing_behind() -> None:
    second = one_second()
    engine = PresenceEngine(ROUTES, frozenset(BALLS))
    for n in range(4):  # every ball is decided, every record made
        play(engine, second, n * 1_000)
    gc.collect()
    before = sys.getallocatedblocks()
    for n in range(4, 14):
        play(engine, second, n * 1_000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 1_000  # of 88,000 reads: numbers changed, nothing was kept
    assert engine.counters.reads == 14 * READS_PER_S


@pytest.mark.bench
def test_share_of_a_core() -> None:
    """Prints reads/s and the share of one core; a fifth is the budget."""
    second = one_second()
    engine = PresenceEngine(ROUTES, frozenset(BALLS))
    times = [cpu_s(lambda at_ms=n * 1_000: play(engine, second, at_ms)) for n in range(30)]  # type: ignore[misc]
    decided_s = statistics.median(times[3:])
    sys.stdout.write(
        f"\n{READS_PER_S / decided_s:,.0f} reads/s, {READS_PER_S / times[0]:,.0f} in the first second; "
        f"{100 * decided_s:.2f} % of a core at {READS_PER_S:,} reads/s\n"
    )
    assert decided_s < 0.2
