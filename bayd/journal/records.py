"""What goes into the journal and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from bayd.core.audit import AuditNote
from bayd.ports import Instant

E = TypeVar("E")


class EventCodec(Protocol[E]):
    """Turns events into text and back. Pure: it is called from the writer's thread."""

    def encode(self, event: E) -> tuple[str, int, str]:
        """Kind, version of its layout, JSON text."""
        ...

    def decode(self, kind: str, version: int, payload: str) -> E:
        """Raises any exception for what it does not know; the journal names the event."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request with an idempotency key was answered. It goes into the same commit as its events."""

    key: str
    fingerprint: str  # of the request: the same key with another fingerprint is the caller's error
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Batch(Generic[E]):
    """What one decision about one bay produced: written whole or not at all, once per `batch_id`."""

    bay: str
    batch_id: str
    events: tuple[E, ...]
    at: Instant
    answer: Answer | None = None
    audit: AuditNote | None = None  # who did it, when a person did


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What one person did at one bay, and when."""

    bay: str
    wall_ms: int
    synchronised: bool
    note: AuditNote


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """An event as it stands in the journal."""

    seq: int
    bay: str
    event: E
    wall_ms: int
    boot_ms: int
    boot_id: str
    synchronised: bool  # False: `wall_ms` was a guess
    batch: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[E]):
    """A bay's past: the snapshot, where one counts, and the events after it."""

    snapshot_state: str | None
    snapshot_seq: int  # 0 without a snapshot
    reducer_version: int | None
    events: list[tuple[int, E]]


@dataclass(frozen=True, slots=True)
class StoredPin:
    """A PIN's keyed hash, made elsewhere; without the site key it gives no PIN away."""

    session_id: str
    digest: bytes = field(repr=False)
    expires_wall_ms: int


@dataclass(frozen=True, slots=True)
class StoredWebSession:
    """A browser that was let in, by the digest of the token in its cookie."""

    id: str
    digest: bytes = field(repr=False)
    role: str
    name: str
    bay: str | None  # the one bay that a screen may touch
    since_wall_ms: int


@dataclass(frozen=True, slots=True)
class StoredStaff:
    """A person who may sign in, with the PIN's keyed hash."""

    name: str
    role: str
    digest: bytes = field(repr=False)
    since_wall_ms: int
    locked: bool  # by an administrator, until somebody gives a new PIN


@dataclass(frozen=True, slots=True)
class StoredTries:
    """Wrong PINs in a row for a name from an address; `address` empty: from all that are not known."""

    name: str
    address: str
    known: bool  # the person has signed in from there before
    failures: int
    last_boot_ms: int
    boot_id: str  # of the boot that `last_boot_ms` belongs to


class CallState(StrEnum):
    """How far a call to the outside has come."""

    INTENDED = "intended"  # journaled, never sent
    SENT = "sent"  # sent at least once; whether it arrived is being found out
    UNKNOWN = "unknown"  # could not be found out: staff decide, it is never repeated
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Call:
    """An intent towards the outside that must not simply be repeated. Texts are JSON, and free of secrets."""

    op_id: str
    sink: str
    bay: str
    session_id: str
    seq: int  # the event it delivers
    kind: str
    request: str
    baseline: str | None = None  # what the other side showed before, to recognise our own effect
    state: CallState = CallState.INTENDED
    attempts: int = 0
    first_sent_wall_ms: int | None = None
    last_sent_wall_ms: int | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """An event set aside for a sink, with the reason, until staff retry or drop it."""

    sink: str
    bay: str
    session_id: str
    seq: int
    reason: str  # for people
    at_wall_ms: int
    cause: str = ""  # the same for the sink, in words of its own


@dataclass(frozen=True, slots=True)
class OldEnds:
    """The events before which something may go."""

    removable: Mapping[str, int]  # by bay: all that is neither young nor needed
    events: int  # those before are old enough to be removed
    names: int  # those before are old enough to lose the names in them


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were removed."""

    events: int
    answers: int
    pins: int
    calls: int


@dataclass(frozen=True, slots=True)
class JournalHealth:
    stalled_since_boot_ms: int | None  # since when the oldest write waits for its commit
    waiting: int  # writes and reads that wait
    disk_full: bool  # the ballast had to be given up; it comes back with free space
    recoveries: int  # how often the database was reopened after an error
    last_error: str | None
