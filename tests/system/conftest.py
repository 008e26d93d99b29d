"""What several modules share because it takes long to make."""

import os

import pytest

from tests.system.bay_pc import Packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """One directory for all workers of a run."""
    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    directory = shared / "packages"
    directory.mkdir(exist_ok=True)
    return Packages(directory)
