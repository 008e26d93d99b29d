"""Measures how late the loop turns: a sleep that takes longer than it should was held up by somebody."""

import asyncio
from collections.abc import Callable

_EVERY_S = 0.25


async def watch_loop(observe: Callable[[float], None]) -> None:
    """Tell `observe` again and again by how many seconds the loop was late. A root task."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        observe(max(0.0, loop.time() - due_s))
