"""No QoS session outlives its play: sessions by the hundred, a fault at every step, crashes among them."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.qod_audit import Audit, audit, read_books
from tests.simulation.qod_evening import QodEvening
from tests.simulation.qod_world import DIALECTS, SECRETS, DialectName, in_memory

pytestmark = [pytest.mark.virtual_time, pytest.mark.timeout(900)]


@pytest.fixture
def memory() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


async def audited(evening: QodEvening) -> Audit:
    await evening.play()
    hall = evening.hall
    async with hall.world.up():
        books = read_books(await hall.journal())
    assert books.started >= evening._sessions * 0.9
    return audit(
        hall.operator.ledger(),
        books,
        away=evening.away,
        dead=evening.dead,
        seen=hall.operator.seen,
        can_retrieve=hall.operator.dialect.can_retrieve,
        now=hall.operator.wall_s(),
    )


def told(evening: QodEvening, result: Audit, seed: int) -> str:
    struck = {fault.value: count for fault, count in evening.weather.struck.items()}
    return (
        f"\n{evening.hall.operator.dialect_name}, seed {seed}: {evening._begun} sessions of play, "
        f"{evening.crashes} crashes, operator away {len(evening.away)} times, {evening.weather.drawn} calls\n"
        f"{result.report()}\n{struck}"
    )


async def play_and_check(path: Path, dialect: DialectName, seed: int, sessions: int) -> None:
    evening = QodEvening(path, dialect, seed, sessions)
    result = await audited(evening)
    print(told(evening, result, seed))  # noqa: T201 # the figures are what this is for
    assert result.faults == [], told(evening, result, seed)
    assert evening.hall.operator.live() == []
    # What was charged covers what the operator will want, whole seconds aside.
    assert result.charged_s + 2 * result.sessions >= result.network_s
    assert result.sessions > sessions / 2
    assert evening.crashes >= sessions / 10
    assert result.outside_s.get("other", 0.0) == 0.0
    # Errors of every kind were logged by now; none names a device, a token or a key.
    logged = str(evening.hall.world.log.lines) + str(evening.hall.reconciler.view())
    assert "qod_call_failed" in logged
    assert [secret for secret in SECRETS if secret in logged] == []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nothing_outlives_its_play(memory: Path, dialect: DialectName) -> None:
    await play_and_check(memory / "journal.db", dialect, seed=1, sessions=40)


@pytest.mark.soak
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nothing_outlives_its_play_at_full_size(memory: Path, dialect: DialectName) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    await play_and_check(memory / "journal.db", dialect, seed, sessions=1_000)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_operator_that_does_not_delete_is_noticed(memory: Path, dialect: DialectName) -> None:
    """The audit itself: without deletions it must object."""
    evening = QodEvening(memory / "journal.db", dialect, seed=3, sessions=20, crashes=False)
    evening.hall.operator.deletes = False
    result = await audited(evening)
    assert result.late
    assert sum(result.outside_s.values()) > 60
