from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.web.house import House


@pytest.fixture
def closed_house(tmp_path: Path) -> House:
    """Not opened yet: the test says under which conditions."""
    return House(tmp_path / "journal.db")


@pytest_asyncio.fixture
async def house(closed_house: House) -> AsyncIterator[House]:
    async with closed_house.open() as house:
        yield house
