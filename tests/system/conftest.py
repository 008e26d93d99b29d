"""What several modules share because it takes long to make."""

import pytest

from tests.system.bay_pc import Packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return Packages(tmp_path_factory.mktemp("packages"))
