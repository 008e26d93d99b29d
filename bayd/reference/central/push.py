"""Extension of the reference server: `GET /events`, a stream of what changed (server-sent events).

An event says what kind of change happened to which bay and session, never more: the reader asks for
the rest. Events are rows written with the change itself, so `Last-Event-ID` resumes without a gap; an
`event: reset` says that the gap is too long, and the reader must read everything anew.
"""

import asyncio
import json

from bayd.reference.central.ledger import Ledger
from bayd.reference.central.views import wire_time

HEARTBEAT_S = 15.0  # a comment line, so that neither side waits for ever on a dead connection
BATCH = 500


class Push:
    """Who waits for the next event."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self.closing = False
        self.turn = 0  # counts the wakes: one that comes while a reader looks must not be lost

    def wake(self) -> None:
        self.turn += 1
        for waiting in self._waiting:
            waiting.set()

    def close(self) -> None:
        """Every stream ends: an open one would hold the server's stop."""
        self.closing = True
        self.wake()

    async def wait(self, turn: int, timeout_s: float) -> None:
        """Returns at the first wake after `turn`, or when the time is up."""
        waiting = asyncio.Event()
        self._waiting.add(waiting)
        try:
            if turn == self.turn:
                async with asyncio.timeout(timeout_s):
                    await waiting.wait()
        except TimeoutError:
            pass  # the caller looks again: a computed end wakes nobody
        finally:
            self._waiting.discard(waiting)


def newest(ledger: Ledger) -> int:
    found = ledger.find("SELECT MAX(id) AS id FROM events")
    return int(found["id"] or 0) if found else 0


def resume(ledger: Ledger, last_seen: int | None) -> tuple[int, bytes]:
    """Where to go on, and what to say first."""
    last = newest(ledger)
    if last_seen is None:
        return last, b": connected\n\n"
    oldest = ledger.find("SELECT MIN(id) AS id FROM events")
    first = int(oldest["id"] or 1) if oldest else 1
    if last_seen > last or last_seen < first - 1:
        return last, f"id: {last}\nevent: reset\ndata: {{}}\n\n".encode()
    return last_seen, b": resumed\n\n"


def after(ledger: Ledger, last_seen: int) -> tuple[int, bytes]:
    """The events since `last_seen`, ready to send, and the id of the last of them."""
    rows = ledger.rows(
        "SELECT * FROM events WHERE id > :last ORDER BY id LIMIT :count", last=last_seen, count=BATCH
    )
    lines = []
    for row in rows:
        data = {
            "kind": row["kind"],
            "bayNumber": row["bay_number"],
            "sessionId": row["session_id"],
            "at": wire_time(row["created_ms"]),
        }
        lines.append(f"id: {row['id']}\nevent: {row['kind']}\ndata: {json.dumps(data)}\n\n")
    return (rows[-1]["id"] if rows else last_seen), "".join(lines).encode()
