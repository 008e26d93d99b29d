from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bayd.journal import Journal
from tests.journal.world import EXECUTORS, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(params=sorted(EXECUTORS))
def executor(request: pytest.FixtureRequest) -> str:
    """Every test that asks for it runs on both executors."""
    return str(request.param)


@pytest_asyncio.fixture
async def journal(path: Path, executor: str) -> AsyncIterator[Journal[str]]:
    async with opened(path, executor) as journal:
        yield journal
