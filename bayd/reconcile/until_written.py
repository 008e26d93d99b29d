"""The journal for what must not be lost: asked again until the disk takes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bayd.core import events as e
from bayd.journal import Journal, JournalUnavailableError, NotWrittenError, Recorded, UnreadableEventError

T = TypeVar("T")

_DISK_RETRY_S = 1.0


async def until_written(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except (NotWrittenError, JournalUnavailableError):
            await asyncio.sleep(_DISK_RETRY_S)


async def find_record(journal: Journal[e.Event], number: str, seq: int) -> Recorded[e.Event] | None:
    """An event of this bay, by its number; None also where it cannot be read: of a bay that is configured no
    more that stops nobody else. Asked once: raises JournalUnavailableError."""
    try:
        records = await journal.read(seq - 1, bay=number, limit=1)
    except UnreadableEventError:
        return None
    return records[0] if records and records[0].seq == seq else None
