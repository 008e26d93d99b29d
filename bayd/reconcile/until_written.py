"""The journal for what must not be lost: asked again until the disk takes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bayd.core import events as e
from bayd.journal import Journal, JournalUnavailableError, NotWrittenError, Recorded

T = TypeVar("T")

_DISK_RETRY_S = 1.0


async def until_written(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except (NotWrittenError, JournalUnavailableError):
            await asyncio.sleep(_DISK_RETRY_S)


async def find_record(journal: Journal[e.Event], number: str, seq: int) -> Recorded[e.Event] | None:
    """An event of this bay, by its number. Asked once: raises JournalUnavailableError."""
    records = await journal.read(seq - 1, bay=number, limit=1)
    return records[0] if records and records[0].seq == seq else None
