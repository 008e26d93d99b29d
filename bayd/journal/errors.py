"""What can go wrong with the journal, split by what the caller may conclude."""

from bayd.journal.records import Answer


class JournalError(Exception):
    """The journal could not do what was asked; the message says what to do next."""


class JournalLockedError(JournalError):
    """Another process owns this journal. Two daemons never share one."""


class JournalTooNewError(JournalError):
    """A newer release wrote this journal; this one would misread it and refuses."""


class UnreadableEventError(JournalError):
    """A stored event cannot be decoded: its kind or version is unknown here, or its text is damaged.

    Or it does not follow from what was before it.
    """


class UnreadableSnapshotError(JournalError):
    """A bay's stored state cannot be decoded: another release wrote it, or its text is damaged."""


class NotWrittenError(JournalError):
    """Certain: nothing of this write is in the file, and nothing will be. It may be tried again."""


class DiskFullError(NotWrittenError):
    """Not written, because the disk is full: the ballast is used up, or kept for what may not wait."""


class BatchExpiredError(JournalError):
    """This batch was declared expired. It is never written afterwards; decide anew under a new id."""


class JournalUnavailableError(JournalError):
    """Unknown: the disk does not answer and nothing can be looked up. Ask again with the same batch id."""


class JournalClosedError(JournalError):
    """The journal was closed; nothing was attempted."""


class AnswerExistsError(NotWrittenError):
    """The idempotency key has its answer already; nothing of this batch was written."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("this Idempotency-Key was answered before; give that answer again")
        self.answer = answer
