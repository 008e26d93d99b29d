from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.readers_at_work import SimulatedReader


@pytest.fixture
def r2000(tmp_path: Path) -> Iterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty-r2000", "r2000_a0")
    yield reader
    reader.close()


@pytest.fixture
def chafon(tmp_path: Path) -> Iterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty-chafon", "uhfreader288")
    yield reader
    reader.close()
