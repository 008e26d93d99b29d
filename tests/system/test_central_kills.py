"""bayd is killed again and again while guests play, pay and move, and in the end three books are one: what
people were promised, the journal, and the central server. Nothing is lost, nothing doubled, no PIN try
forgotten.

Most kills meet a call that is on its way: before the server hears of it, once it is done there and the answer
is not, or so that it arrives late.
"""

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.system.cut_wire import Cut, Stage
from tests.system.killed_books import SHORT_START_DOUBTFUL, Books
from tests.system.killed_evening import Evening
from tests.system.killed_pc import KilledPc

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

BAYS = tuple(str(101 + number) for number in range(9))
GUESSED = BAYS[-1]
GUESTS = 4
# What kills meet, the worst first.
_MOMENTS = (
    ("guess", Stage.BEFORE),
    ("add_time", Stage.AFTER),
    ("create", Stage.LATE),
    ("end", Stage.AFTER),
    ("add_time", Stage.LATE),
    ("create", Stage.AFTER),
    ("verify", Stage.AFTER),
    ("pay", Stage.AFTER),
    ("add_time", Stage.BEFORE),
    ("move", Stage.LATE),
)
_WRITES = ("add_time", "end", "create", "verify", "pay", "move", "game")
_CANNOT_BE_SAID = ("payment_not_told", "move_not_told", "moved_at_server", "ended_elsewhere")
_STARTS = ("active_not_started", SHORT_START_DOUBTFUL)
_WAS_UNCLEAR = ("extension_doubtful", "walk_in_doubtful")
_WAIT_S = 2.0  # for the call that is to be met; then for any that changes something
_FIRST_WAIT_S = 30.0  # the worst is to be met in any case: while it can, before the pad is locked for long


@pytest.fixture(
    params=[
        pytest.param(9, id="small"),
        pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="whole"),
    ]
)
def kills(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.mark.parametrize("eight_only", [False, True], ids=["keys", "eight calls"])
async def test_what_was_promised_is_kept_once_over_kills(
    quick_path: Path, kills: int, *, eight_only: bool
) -> None:
    async with aiohttp.ClientSession() as http:
        pc = KilledPc(quick_path, http, BAYS, eight_only=eight_only)
        pc.wire.guessed_bay = GUESSED
        evening = Evening(pc, kills, guests=GUESTS, guessed_bay=GUESSED)
        async with pc.up():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(evening.run(), name="evening")
                moments = await tasks.create_task(_kill(pc, kills), name="kills")
                evening.over.set()
            told = await pc.until(
                lambda status: status["central"]["outbox"] == 0, "for the server to be told"
            )
            journal, rows = pc.journal(), await pc.rows()
    books = Books(evening, journal, rows)
    figures = _figures(pc, evening, books, moments)
    print(figures)  # noqa: T201 # they are what this is for
    assert told["central"]["parked"] == 0, figures
    assert books.lost_or_doubled_here() == []
    assert books.flagged_wrongly() == []
    assert books.tries_forgotten() == []
    assert bool(pc.wire.keys) is not eight_only
    assert pc.wire.cuts["guess", Stage.BEFORE], figures
    assert moments["at a call"] >= kills / 2, figures
    if eight_only:
        # What the eight calls cannot say; each is told to staff.
        assert {one.flag for one in books.differences()} == {"payment_not_told", "move_not_told"}
        assert set(books.flags()) <= {*_CANNOT_BE_SAID, *_WAS_UNCLEAR, *_STARTS}, figures
    else:
        assert books.differences() == [], books.texts()
        assert set(books.flags()) <= {*_STARTS}, figures


async def _kill(pc: KilledPc, kills: int) -> Counter[str]:
    """At a call, at any moment, or while it starts."""
    chance = random.Random(kills)
    moments: Counter[str] = Counter()
    others = [(call, stage) for call in _WRITES for stage in Stage if (call, stage) not in _MOMENTS]
    chance.shuffle(others)
    wanted = itertools.cycle([*_MOMENTS, *others])
    for number in range(kills):
        if number % 5 == 4:
            await asyncio.sleep(chance.uniform(0.05, 1.0))
            moments["at any moment"] += 1
        else:
            call, stage = next(wanted)
            cut = Cut(stage, (call,), late_s=chance.uniform(0, 0.8))
            pc.wire.arm(cut)
            met = await pc.wire.holds(_WAIT_S if number else _FIRST_WAIT_S)
            if not met:
                pc.wire.arm(Cut(cut.stage, _WRITES, cut.late_s))
                met = await pc.wire.holds(_WAIT_S)
            moments["at a call" if met else "at any moment"] += 1
        await pc.kill()
        if number % 5 == 1:
            pc.spawn()
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            await pc.kill()
            moments["while it starts"] += 1
        await pc.start()
        await pc.until(lambda status: status["central"]["online"], "for a first look at the server")
        for old in pc.some_answers(chance, 2):
            await pc.press_again(old)
    return moments


def _figures(pc: KilledPc, evening: Evening, books: Books, moments: Counter[str]) -> str:
    over_a_kill = sum(one.lives > 0 for one in pc.answers)
    return (
        f"{'eight calls' if pc.eight_only else 'keys'}: {pc.kills} kills, {dict(moments)}\n"
        f"cut { ({f'{name} {stage}': count for (name, stage), count in sorted(pc.wire.cuts.items())}) }\n"
        f"{len(evening.played)} sessions, {dict(evening.done)}, {len(evening.guesses)} wrong PINs,"
        f" {len(pc.answers)} presses, {over_a_kill} of them over a kill\n"
        f"differences {Counter(one.flag for one in books.differences())}, flags {dict(books.flags())}"
    )
