"""The files that take longest come first: of several workers none is left over with one at the end.

Roughly by how long each was at work on two cores; those that wait for the package to be built stand apart.
What is not named here is short. `tests/conftest.py` hooks it in.
"""

from pathlib import Path

import pytest

_LONGEST = (
    "browser/test_states.py",
    "system/test_upgrades.py",
    "system/test_crash_doors.py",
    "browser/test_bay.py",
    "browser/test_board_states.py",
    "system/test_installed.py",
    "system/test_service_faults.py",
    "browser/test_board.py",
    "system/test_reader_kills.py",
    "system/test_central_kills.py",
    "system/test_qod_kills.py",
    "system/test_dispensing_kills.py",
    "browser/test_failures_around.py",
    "system/test_install_page.py",
    "system/test_package_scripts.py",
    "browser/test_failures.py",
    "system/test_journal_faults.py",
    "system/test_demo.py",
    "browser/test_daemon.py",
)
PLACES = {Path(__file__).parent / name: place for place, name in enumerate(_LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: PLACES.get(item.path, len(PLACES)))
