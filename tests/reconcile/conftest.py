"""Where tests with thousands of commits keep their files."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")  # tmpfs, where the machine has one


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory: what an fsync costs is not what is tested."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    directory = Path(tempfile.mkdtemp(prefix="bayd-", dir=_MEMORY))
    yield directory
    shutil.rmtree(directory)
