"""Clean-up that waits for something, after a task was cancelled.

A root task ends by being cancelled. In a task that was, no `asyncio.timeout` ends as one before Python 3.11.4
(Debian 12 has 3.11.2): it ends as another CancelledError, and whatever was still to be done is not done. A
task of its own knows nothing of that.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(cleanup: Coroutine[Any, Any, None]) -> None:
    """Run it, also where this task was cancelled already. What it raises comes as a group."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cleanup)
