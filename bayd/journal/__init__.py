"""The journal: what has happened at the bays, durable in SQLite before anything is done about it.

Use `Journal` alone; what may go wrong is in its docstring and in `errors`. `records` holds what goes in and
comes out, `books` the statements, `store` the group commit and what follows when it fails, `database` the
owned file and its reopening, `disk` the file operations, `schema` the tables, `pruning` what may be
forgotten, `executor` where it all runs. `event_codec` knows the bays' events; the rest does not.
"""

from bayd.journal.books import Reader, Writer
from bayd.journal.disk import copy_database, quick_check
from bayd.journal.errors import (
    AnswerExistsError,
    BatchExpiredError,
    DiskFullError,
    JournalClosedError,
    JournalError,
    JournalLockedError,
    JournalTooNewError,
    JournalUnavailableError,
    NotWrittenError,
    UnreadableEventError,
    UnreadableSnapshotError,
)
from bayd.journal.executor import InlineJournalExecutor, ThreadJournalExecutor
from bayd.journal.journal import Journal
from bayd.journal.records import (
    Answer,
    AuditRow,
    Batch,
    Call,
    CallState,
    EventCodec,
    JournalHealth,
    Loaded,
    Parked,
    Pruned,
    Recorded,
    StoredPin,
    StoredStaff,
    StoredTries,
    StoredWebSession,
)

__all__ = [
    "Answer",
    "AnswerExistsError",
    "AuditRow",
    "Batch",
    "BatchExpiredError",
    "Call",
    "CallState",
    "DiskFullError",
    "EventCodec",
    "InlineJournalExecutor",
    "Journal",
    "JournalClosedError",
    "JournalError",
    "JournalHealth",
    "JournalLockedError",
    "JournalTooNewError",
    "JournalUnavailableError",
    "Loaded",
    "NotWrittenError",
    "Parked",
    "Pruned",
    "Reader",
    "Recorded",
    "StoredPin",
    "StoredStaff",
    "StoredTries",
    "StoredWebSession",
    "ThreadJournalExecutor",
    "UnreadableEventError",
    "UnreadableSnapshotError",
    "Writer",
    "copy_database",
    "quick_check",
]
