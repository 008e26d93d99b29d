"""The QoS sessions that a journal knows of, read beside the daemon that owns it.

One is over when the journal says so, or when its time is up. The others may cost money.
"""

from dataclasses import dataclass
from pathlib import Path

from bayd.core import events as e
from bayd.core import qos_events as q
from bayd.core.evolve import REDUCER_VERSION
from bayd.core.qos_lease import Available, Creating, Degraded, Ending, Extending, Requested, name_of
from bayd.core.qos_words import Outcome, Status, Trouble
from bayd.journal import Reader, Recorded
from bayd.journal.disk import open_reading
from bayd.journal.event_codec import BayEventCodec, restore_bay

_PAGE = 2_000
_DAY_MS = 86_400_000  # no lease is longer


@dataclass(frozen=True, slots=True)
class KnownSession:
    bay: str
    qos_id: str | None  # None: lost
    state: str  # as the bay has it; "forgotten": it holds another one, or none; "not in the journal"
    created_wall_ms: int | None
    duration_s: int | None
    wanted: bool  # the bay plays with it

    @property
    def over_by_ms(self) -> int | None:
        """On the wall clock; None: nobody can say."""
        if self.created_wall_ms is None or self.duration_s is None:
            return None
        return self.created_wall_ms + self.duration_s * 1000


def read_known(journal: Path, now_wall_ms: int) -> list[KnownSession]:
    """What is not known to be over. Raises FileNotFoundError, JournalError, sqlite3.Error."""
    if not journal.exists():
        raise FileNotFoundError(f"there is no journal at {journal}")
    with open_reading(journal) as connection:
        reader: Reader[e.Event] = Reader(connection, BayEventCodec())
        return [known for bay in reader.bays() for known in _of_bay(reader, bay, now_wall_ms)]


def _of_bay(reader: Reader[e.Event], number: str, now_wall_ms: int) -> list[KnownSession]:
    bay, _ = restore_bay(number, reader.load(number, REDUCER_VERSION))
    created, intended = _unfinished(reader, number, now_wall_ms)
    state = bay.qos
    leased = state.lease.qos_id if isinstance(state, Requested | Available | Extending | Ending) else None
    sessions = []
    for qos_id, (wall_ms, duration_s) in created.items():
        held = qos_id == leased
        wanted = held and bay.session is not None and not isinstance(state, Ending)
        name = name_of(state) if held else "forgotten"
        sessions.append(KnownSession(number, qos_id, name, wall_ms, duration_s, wanted))
    lost = isinstance(state, Degraded) and state.trouble is Trouble.ORPHAN
    unclear = isinstance(state, Creating) and state.outcome in (Outcome.PENDING, Outcome.UNCLEAR)
    if (lost or unclear) and intended is not None:
        sessions.append(KnownSession(number, None, name_of(state), *intended, wanted=False))
    return sessions


def _unfinished(
    reader: Reader[e.Event], number: str, now_wall_ms: int
) -> tuple[dict[str, tuple[int, int]], tuple[int, int] | None]:
    """By id, when it was created and for how long; and the same of the last intent."""
    created: dict[str, tuple[int, int]] = {}
    intended: tuple[int, int] | None = None
    for record in _records(reader, number):
        if record.wall_ms < now_wall_ms - 2 * _DAY_MS:
            continue
        match record.event:
            case q.QosCreateIntended(asked_s=asked_s):
                intended = (record.wall_ms, asked_s)
            case q.QosCreated(qos_id=qos_id, granted_s=granted_s):
                asked_s = 0 if intended is None else intended[1]
                created[qos_id] = (record.wall_ms, asked_s if granted_s is None else granted_s)
            case q.QosExtendIntended(qos_id=qos_id, additional_s=more_s) if qos_id in created:
                wall_ms, duration_s = created[qos_id]
                created[qos_id] = (wall_ms, duration_s + more_s)
            case q.QosDeleted(qos_id=qos_id) | q.QosVanished(qos_id=qos_id):
                created.pop(qos_id, None)
            case q.QosStatusSeen(qos_id=qos_id, status=Status.UNAVAILABLE, status_info="DURATION_EXPIRED"):
                created.pop(qos_id, None)
            case _:
                pass
    margin_ms = 60_000
    return {
        qos_id: (wall_ms, duration_s)
        for qos_id, (wall_ms, duration_s) in created.items()
        if wall_ms + duration_s * 1_000 + margin_ms > now_wall_ms
    }, intended


def _records(reader: Reader[e.Event], number: str) -> list[Recorded[e.Event]]:
    records: list[Recorded[e.Event]] = []
    while more := reader.read(records[-1].seq if records else 0, bay=number, limit=_PAGE):
        records += more
    return records
