"""Clean-up after a cancel."""

import asyncio

import pytest

from bayd.runtime.closing import to_the_end

pytestmark = pytest.mark.virtual_time


async def test_a_timeout_of_the_clean_up_ends_as_one_also_in_a_task_that_was_cancelled() -> None:
    steps: list[str] = []

    async def clean_up() -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.Event().wait()
        except TimeoutError:
            steps.append("waited in vain")
        steps.append("closed")

    async def root() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await to_the_end(clean_up())

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(root())
        await asyncio.sleep(1)
        running.cancel()
    assert running.cancelled()
    assert steps == ["waited in vain", "closed"]


async def test_what_the_clean_up_raises_is_not_swallowed() -> None:
    async def fail() -> None:
        raise OSError("the port is gone")

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await to_the_end(fail())
