"""The harness itself: what every other test stands on."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.longest_first import PLACES


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once_on_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    begun, virtual = time.monotonic(), loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - virtual == pytest.approx(3600)
    assert time.monotonic() - begun < 5


pytest_plugins = ["pytester"]


def test_a_leaked_task_fails_its_test(pytester: pytest.Pytester) -> None:
    conftest = Path(__file__).with_name("conftest.py").read_text()
    pytester.makeconftest(conftest)
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nmarkers = virtual_time"
    )
    pytester.makepyfile(
        """
        import asyncio
        async def test_leaks():
            asyncio.get_running_loop().create_task(asyncio.sleep(60), name="lost-one")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*tasks left behind*lost-one*"])


def test_the_files_that_come_first_are_there() -> None:
    assert [str(file) for file in PLACES if not file.exists()] == []
