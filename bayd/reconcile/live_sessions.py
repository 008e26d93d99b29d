"""What is live and what is over at the bays of this PC, by the central server's numbers.

A walk-in has an id of ours; its bay keeps which number the server has given it. A number that comes again
with a later time of creation is another session, as after the server was set up anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bayd.clients.central import ServerSession
from bayd.runtime.range import Range

_SAME_TIME_MS = 60_000  # pages of a server may round a time differently


@dataclass(frozen=True, slots=True)
class Live:
    """A session that is live at a bay of ours."""

    bay: str
    session_id: str  # ours
    plays: bool


def all_live(bays: Range) -> Iterator[tuple[str, Live]]:
    """By the server's id; a walk-in that the server has not numbered yet is not among them."""
    for task in bays.bays.values():
        bay = task.bay
        ids = [(booking.session_id, False) for booking in bay.bookings]
        if bay.session is not None:
            ids.append((bay.session.session_id, True))
        for session_id, plays in ids:
            server_id = server_id_of(bay.numbers, session_id)
            if server_id is not None:
                yield str(server_id), Live(bay.number, session_id, plays)


def find_live(bays: Range, server_id: str) -> Live | None:
    """Where it plays, if it plays."""
    found = [live for known, live in all_live(bays) if known == server_id]
    return max(found, key=lambda live: live.plays, default=None)


def find_left(bays: Range, server_id: str) -> Live | None:
    """Where it plays and stands still: at a bay that is configured no more."""
    for number, retired in bays.retired.items():
        session = retired.bay.session
        if session is not None and str(server_id_of(retired.bay.numbers, session.session_id)) == server_id:
            return Live(number, session.session_id, plays=True)
    return None


def is_over_here(bays: Range, row: ServerSession) -> bool:
    """Of another session the time is later; one that is earlier is the same time, written otherwise."""
    return any(row.created_at_ms - created_ms <= _SAME_TIME_MS for created_ms in _ended(bays, row))


def is_number_used(bays: Range, row: ServerSession) -> bool:
    """A session of this number is over here, whether it is this one or not."""
    return bool(list(_ended(bays, row)))


def _ended(bays: Range, row: ServerSession) -> Iterator[int]:
    """When our sessions of this number that are over were made; of one that was sold here nobody knows."""
    number, known = str(row.id), [task.bay for task in bays.bays.values()]
    # A walk-in that has moved may have ended at another bay than that which keeps its number.
    names = {number} | {bay.numbers[number] for bay in known if number in bay.numbers}
    for bay in known:
        for session_id in names.intersection(bay.ended_ids):
            yield bay.ended_created_ms.get(session_id, row.created_at_ms)


def server_id_of(numbers: Mapping[str, str], session_id: str) -> int | None:
    """The server's number of a session of ours; None: it has none yet. `numbers` are a bay's walk-ins."""
    for server_id, local_id in numbers.items():
        if local_id == session_id:
            return int(server_id)
    return int(session_id) if session_id.isascii() and session_id.isdecimal() else None


def find_server_id(bays: Range, number: str, session_id: str) -> int | None:
    """As `server_id_of`, also of a session that has been at another bay when it got its number."""
    found = server_id_of(bays.get(number).numbers, session_id)
    if found is not None:
        return found
    others = (server_id_of(bay.numbers, session_id) for bay in bays.known())
    return next((server_id for server_id in others if server_id is not None), None)
