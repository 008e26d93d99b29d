"""`bayd doctor` on disks that only root can make."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayd.tools.doctor import Grade, check_disk

pytestmark = pytest.mark.system


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(OSError, match="No space"), (tmp_path / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_on_a_full_disk_the_advice_is_room(full_disk: Path) -> None:
    (found,) = [each for each in check_disk(full_disk) if "cannot be written" in each.text]
    assert found.grade is Grade.BAD
    assert found.next_step.startswith("make room")
