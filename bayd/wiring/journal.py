"""The journal of the daemon, opened: at once, or as soon as its disk takes writes again."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from bayd.core import events as e
from bayd.core.deferrable import is_deferrable
from bayd.journal import Journal, JournalUnavailableError, ThreadJournalExecutor
from bayd.journal.disk import JOURNAL
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import Clock, JournalExecutor, Log
from bayd.runtime.closing import to_the_end
from bayd.wiring.waiting_room import disk_may_come_back

_RETRY_S = 1.0
_CLOSE_S = 4.0  # of the ten seconds that a stop has


async def open_journal(
    stack: AsyncExitStack,
    directory: Path,
    clock: Clock,
    log: Log,
    *,
    copy_first: bool,
    retry: Callable[[str], None] | None,
) -> Journal[e.Event]:
    """Closed with `stack`. `retry` is told why it cannot be opened yet; without it that is an error.

    Raises JournalError, OSError.
    """
    writer, side = ThreadJournalExecutor(), ThreadJournalExecutor()
    stack.callback(side.close)
    stack.callback(writer.close)
    while True:
        try:
            journal = await _try(directory, writer, side, clock, copy_first=copy_first)
        except (JournalUnavailableError, OSError) as error:
            if retry is None or (isinstance(error, OSError) and not disk_may_come_back(error)):
                raise
            retry(str(error))
            await asyncio.sleep(_RETRY_S)
        else:
            stack.push_async_callback(_close, journal, log)
            return journal


async def _close(journal: Journal[e.Event], log: Log) -> None:
    await to_the_end(_close_in_time(journal, log))


async def _close_in_time(journal: Journal[e.Event], log: Log) -> None:
    """A disk that hangs holds no stop. What waits for it was acknowledged to nobody: as after a crash."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            await journal.aclose()
    except TimeoutError:
        log.warning("journal_not_closed")


async def _try(
    directory: Path, writer: JournalExecutor, side: JournalExecutor, clock: Clock, *, copy_first: bool
) -> Journal[e.Event]:
    await asyncio.to_thread(_make_directory, directory)
    return await Journal.open(
        directory / JOURNAL,
        writer,
        BayEventCodec(),
        clock=clock,
        side_executor=side,
        is_deferrable=is_deferrable,
        copy_first=copy_first,
    )


def _make_directory(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0 and directory.stat().st_uid != 0:
        # Its own user could not open what root leaves there.
        raise PermissionError(
            f"{directory} belongs to another user than root: systemctl start bayd, or be that user"
        )
