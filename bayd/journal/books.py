"""The statements: what can be read from the journal and, inside a transaction, written to it.

Everything here runs on the writer's thread. A `Writer` is handed to a function for the length of one
savepoint; it must not be kept.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple
from typing import Any, Generic, TypeVar

from bayd.core.audit import AuditNote
from bayd.core.instant import AliveMark
from bayd.journal import pruning
from bayd.journal.errors import AnswerExistsError, BatchExpiredError, UnreadableEventError
from bayd.journal.records import (
    Answer,
    AuditRow,
    Batch,
    Call,
    CallState,
    EventCodec,
    Loaded,
    OldEnds,
    Parked,
    Recorded,
    StoredPin,
    StoredStaff,
    StoredTries,
    StoredWebSession,
)
from bayd.journal.schema import PAYMENTS, PLAYS
from bayd.ports import Instant

E = TypeVar("E")

_RECORDED = "seq, bay, kind, version, payload, wall_ms, boot_ms, boot_id, synchronised, batch"
_NOT_EXPIRED = "batch NOT IN (SELECT batch FROM expired_batches)"
_CALL_COLUMNS = (
    "op_id, sink, bay, session_id, seq, kind, request, baseline, state, attempts,"
    " first_sent_wall_ms, last_sent_wall_ms, answer"
)


class Reader(Generic[E]):
    """Reads what is committed, and inside a transaction also what that has written so far."""

    def __init__(self, conn: sqlite3.Connection, codec: EventCodec[E]) -> None:
        self._conn = conn
        self._codec = codec

    def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        # To the end at once: a cursor left in the middle, say by an event that cannot be decoded, holds the
        # read transaction open, and with it the log.
        return self._conn.execute(sql, values).fetchall()

    def load(self, bay: str, reducer_version: int) -> Loaded[E]:
        """All that makes a bay's state.

        A snapshot of another reducer is passed over, and the events tell all; only where old ones were
        removed is it the one thing that still knows of them.
        """
        row = self._conn.execute(
            "SELECT state, seq, reducer_version FROM snapshots WHERE bay = ?1"
            " AND (reducer_version = ?2 OR EXISTS (SELECT 1 FROM forgotten WHERE bay = ?1))",
            (bay, reducer_version),
        ).fetchone()
        state, seq, written_by = row or (None, 0, None)
        rows = self._all(
            "SELECT seq, kind, version, payload FROM events"  # noqa: S608
            f" WHERE bay = ? AND seq > ? AND {_NOT_EXPIRED} ORDER BY seq",
            (bay, seq),
        )
        events = [(row[0], self._decode(bay, *row)) for row in rows]
        return Loaded(state, seq, written_by, events)

    def bays(self) -> tuple[str, ...]:
        """Every bay that has events or a snapshot."""
        rows = self._all(
            # The recursion leaps through the index from bay to bay instead of reading every event.
            "WITH RECURSIVE leap (bay) AS (SELECT min(bay) FROM events UNION ALL"
            " SELECT (SELECT min(bay) FROM events WHERE bay > leap.bay) FROM leap WHERE bay IS NOT NULL)"
            " SELECT bay FROM leap WHERE bay IS NOT NULL UNION SELECT bay FROM snapshots ORDER BY bay"
        )
        return tuple(row[0] for row in rows)

    def read(self, after_seq: int, *, bay: str | None = None, limit: int = 500) -> list[Recorded[E]]:
        """The next events after `after_seq`, of one bay or of all, oldest first."""
        rows = self._all(
            f"SELECT {_RECORDED} FROM events"  # noqa: S608
            f" WHERE seq > ? {'AND bay = ?' if bay is not None else ''} AND {_NOT_EXPIRED}"
            " ORDER BY seq LIMIT ?",
            (after_seq, limit) if bay is None else (after_seq, bay, limit),
        )
        return self._recorded(rows)

    def holds(self, after_seq: int, bay: str, kinds: Collection[str]) -> bool:
        """Whether an event of one of these kinds is after `after_seq`, however many others are."""
        marks = ", ".join("?" * len(kinds))
        sql = (
            "SELECT EXISTS (SELECT 1 FROM events"  # noqa: S608
            f" WHERE bay = ? AND seq > ? AND kind IN ({marks}) AND {_NOT_EXPIRED})"
        )
        return bool(self._conn.execute(sql, (bay, after_seq, *kinds)).fetchone()[0])

    def plays(self, from_wall_ms: int, to_wall_ms: int) -> list[Recorded[E]]:
        """What makes a day at the bays, from then until before then, oldest first; by an index of its own."""
        return self._between("plays_by_time", PLAYS, from_wall_ms, to_wall_ms)

    def payments(self, from_wall_ms: int, to_wall_ms: int) -> list[Recorded[E]]:
        """All with which money may have been taken, from then until before then, oldest first."""
        return self._between("payments_by_time", PAYMENTS, from_wall_ms, to_wall_ms)

    def _between(self, index: str, which: str, from_wall_ms: int, to_wall_ms: int) -> list[Recorded[E]]:
        rows = self._all(
            f"SELECT {_RECORDED} FROM events INDEXED BY {index}"  # noqa: S608
            f" WHERE {which} AND wall_ms >= ? AND wall_ms < ? AND {_NOT_EXPIRED} ORDER BY seq",
            (from_wall_ms, to_wall_ms),
        )
        return self._recorded(rows)

    def _recorded(self, rows: list[tuple[Any, ...]]) -> list[Recorded[E]]:
        return [
            Recorded(
                seq, of, self._decode(of, seq, kind, version, payload), wall, boot, boot_id, bool(sync), batch
            )
            for seq, of, kind, version, payload, wall, boot, boot_id, sync, batch in rows
        ]

    def _decode(self, bay: str, seq: int, kind: str, version: int, payload: str) -> E:
        try:
            return self._codec.decode(kind, version, payload)
        except Exception as error:  # noqa: BLE001 # whatever the codec stumbles over
            # Without its cause: what a validator says quotes its input, names and all.
            raise UnreadableEventError(
                f"event {seq} ({kind} version {version}) of bay {bay} cannot be read"
                f" ({type(error).__name__}): was it written by another release?"
            ) from None

    def audit(self, from_wall_ms: int, to_wall_ms: int) -> list[AuditRow]:
        """What people did from then until before then, oldest first."""
        rows = self._all(
            "SELECT bay, wall_ms, synchronised, who, role, act, asked, reason, before, after FROM audit"  # noqa: S608
            f" WHERE wall_ms >= ? AND wall_ms < ? AND {_NOT_EXPIRED} ORDER BY id",
            (from_wall_ms, to_wall_ms),
        )
        return [
            AuditRow(
                bay,
                wall_ms,
                bool(synchronised),
                AuditNote(who, role, act, json.loads(asked), reason, json.loads(before), json.loads(after)),
            )
            for bay, wall_ms, synchronised, who, role, act, asked, reason, before, after in rows
        ]

    def find_batch(self, batch_id: str) -> tuple[int, ...] | None:
        """The numbers of a batch's events; None when it is not in the file. Raises BatchExpiredError."""
        self._refuse_expired(batch_id)
        seqs = self.seqs_of(batch_id)
        if seqs or self._conn.execute("SELECT 1 FROM answers WHERE batch = ?", (batch_id,)).fetchone():
            return seqs
        return None

    def _refuse_expired(self, batch_id: str) -> None:
        if self._conn.execute("SELECT 1 FROM expired_batches WHERE batch = ?", (batch_id,)).fetchone():
            raise BatchExpiredError(f"batch {batch_id} has expired: decide anew")

    def seqs_of(self, batch_id: str) -> tuple[int, ...]:
        """The numbers of a batch's events, expired or not."""
        rows = self._all("SELECT seq FROM events WHERE batch = ? ORDER BY seq", (batch_id,))
        return tuple(row[0] for row in rows)

    def find_answer(self, key: str) -> Answer | None:
        row = self._conn.execute(
            "SELECT key, fingerprint, status, body FROM answers WHERE key = ?", (key,)
        ).fetchone()
        return Answer(*row) if row else None

    def read_alive(self) -> AliveMark | None:
        row = self._conn.execute("SELECT boot_id, boot_ms, wall_ms, synchronised FROM alive").fetchone()
        return AliveMark(row[0], row[1], row[2], bool(row[3])) if row else None

    def find_pins(self, bay: str) -> list[StoredPin]:
        """The bay's hashes, also those past their expiry: the caller knows what time it is."""
        rows = self._all(
            "SELECT session_id, digest, expires_wall_ms FROM pins WHERE bay = ? ORDER BY session_id", (bay,)
        )
        return [StoredPin(*row) for row in rows]

    def web_sessions(self) -> list[StoredWebSession]:
        """Oldest first."""
        rows = self._all(
            "SELECT id, digest, role, name, bay, since_wall_ms FROM web_sessions ORDER BY since_wall_ms, id"
        )
        return [StoredWebSession(*row) for row in rows]

    def staff(self) -> list[StoredStaff]:
        rows = self._all("SELECT name, role, digest, since_wall_ms, locked FROM staff ORDER BY name")
        return [
            StoredStaff(name, role, digest, since_wall_ms, bool(locked))
            for name, role, digest, since_wall_ms, locked in rows
        ]

    def sign_in_tries(self) -> list[StoredTries]:
        """The oldest first."""
        rows = self._all(
            "SELECT name, address, known, failures, last_boot_ms, boot_id FROM sign_in_tries ORDER BY rowid"
        )
        return [StoredTries(name, address, bool(known), *rest) for name, address, known, *rest in rows]

    def find_kept(self, name: str) -> str | None:
        """What was told last under this name."""
        row = self._conn.execute("SELECT text FROM kept WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def cursor(self, sink: str, bay: str) -> int:
        """The last event of the bay that the sink is done with; 0 at the beginning."""
        row = self._conn.execute("SELECT seq FROM cursors WHERE sink = ? AND bay = ?", (sink, bay)).fetchone()
        return row[0] if row else 0

    def find_call(self, op_id: str) -> Call | None:
        rows = self._calls("op_id = ?", (op_id,))
        return rows[0] if rows else None

    def calls_of(self, sink: str, session_id: str) -> list[Call]:
        """Whatever became of them, oldest event first."""
        return self._calls("sink = ? AND session_id = ?", (sink, session_id))

    def _calls(self, where: str, values: tuple[str, ...]) -> list[Call]:
        rows = self._all(
            f"SELECT {_CALL_COLUMNS} FROM calls WHERE {where} ORDER BY seq, op_id",  # noqa: S608
            values,
        )
        calls = []
        for *what, state, attempts, first, last, answer in rows:
            op_id, sink, bay, session_id, seq, kind, request, baseline = what
            calls.append(
                Call(op_id, sink, bay, session_id, seq, kind, request, baseline, CallState(state), attempts,
                     first, last, answer)
            )  # fmt: skip
        return calls

    def parked(self, sink: str, *, bay: str | None = None, session_id: str | None = None) -> list[Parked]:
        rows = self._all(
            "SELECT sink, bay, session_id, seq, reason, at_wall_ms, cause FROM parked WHERE sink = ?1"
            " AND (?2 IS NULL OR bay = ?2) AND (?3 IS NULL OR session_id = ?3) ORDER BY seq",
            (sink, bay, session_id),
        )
        return [Parked(*row) for row in rows]


class Writer(Reader[E]):
    """Writes inside the transaction that is open. Whatever a function writes through it is atomic."""

    def __init__(
        self, conn: sqlite3.Connection, codec: EventCodec[E], *, boot_id: str, last_seq: int
    ) -> None:
        super().__init__(conn, codec)
        self._boot_id = boot_id
        self.last_seq = last_seq
        self.fresh_batch: str | None = None  # one whose events this transaction has written

    def append(self, batch: Batch[E]) -> tuple[int, ...]:
        """Write a batch once. Answers the numbers of its events, also when it was written before.

        Raises BatchExpiredError, AnswerExistsError.
        """
        self._refuse_expired(batch.batch_id)
        if seqs := self.seqs_of(batch.batch_id):
            return seqs
        if batch.answer is not None and not self._give(batch, batch.answer):
            return ()
        at = batch.at
        first = self.last_seq + 1
        rows = [
            (seq, batch.bay, *self._codec.encode(event), at.wall_ms, at.boot_ms, self._boot_id,
             int(at.synchronised), batch.batch_id)
            for seq, event in enumerate(batch.events, first)
        ]  # fmt: skip
        if rows:
            self._conn.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self.last_seq += len(rows)
            self.fresh_batch = batch.batch_id
        if batch.audit is not None:
            self._note(batch.bay, batch.batch_id, batch.at, batch.audit)
        return tuple(range(first, first + len(rows)))

    def _note(self, bay: str, batch_id: str, at: Instant, note: AuditNote) -> None:
        maps = (json.dumps(each, ensure_ascii=False) for each in (note.asked, note.before, note.after))
        asked, before, after = maps
        self._conn.execute(
            "INSERT INTO audit"
            " (batch, bay, wall_ms, synchronised, who, role, act, asked, reason, before, after)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (batch_id, bay, at.wall_ms, int(at.synchronised), note.who, note.role, note.act,
             asked, note.reason, before, after),
        )  # fmt: skip

    def _give(self, batch: Batch[E], answer: Answer) -> bool:
        """False: this very batch (it has no events) gave its answer before."""
        row = self._conn.execute("SELECT batch FROM answers WHERE key = ?", (answer.key,)).fetchone()
        if row is None:
            self._conn.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (answer.key, batch.bay, answer.fingerprint, answer.status, answer.body, batch.at.wall_ms,
                 batch.batch_id),
            )  # fmt: skip
            return True
        if row[0] == batch.batch_id:
            return False
        given = self.find_answer(answer.key)
        assert given is not None
        raise AnswerExistsError(given)

    def expire(self, batch_id: str, batch: Batch[E]) -> tuple[int, ...]:
        """Declare `batch_id` expired, with its answer, and write `batch`, which says so.

        Readers skip an expired batch, and it can no longer be written either.
        """
        self._conn.execute(
            "INSERT INTO expired_batches VALUES (?, ?) ON CONFLICT DO NOTHING", (batch_id, batch.at.wall_ms)
        )
        self._conn.execute("DELETE FROM answers WHERE batch = ?", (batch_id,))
        return self.append(batch)

    def save_snapshot(self, bay: str, seq: int, reducer_version: int, state: str) -> None:
        """Keep the bay's state after event `seq`, in place of an older one."""
        self._conn.execute(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?) ON CONFLICT (bay) DO UPDATE SET seq = excluded.seq,"
            " reducer_version = excluded.reducer_version, state = excluded.state WHERE excluded.seq >= seq",
            (bay, seq, reducer_version, state),
        )

    def write_alive(self, at: Instant) -> None:
        self._conn.execute(
            "INSERT OR REPLACE INTO alive VALUES (1, ?, ?, ?, ?)",
            (self._boot_id, at.boot_ms, at.wall_ms, int(at.synchronised)),
        )

    def keep(self, name: str, text: str) -> None:
        """In place of what was kept before."""
        self._conn.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, text))

    def mark_commit(self, number: int) -> None:
        self._conn.execute("INSERT OR REPLACE INTO commit_mark VALUES (1, ?)", (number,))

    def store_pin(self, bay: str, session_id: str, digest: bytes, expires_wall_ms: int) -> None:
        self._conn.execute(
            "INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?)", (bay, session_id, digest, expires_wall_ms)
        )

    def purge_pin(self, bay: str, session_id: str) -> None:
        self._conn.execute("DELETE FROM pins WHERE bay = ? AND session_id = ?", (bay, session_id))

    def store_web_session(self, session: StoredWebSession) -> None:
        self._conn.execute(
            "INSERT OR REPLACE INTO web_sessions VALUES (?, ?, ?, ?, ?, ?)",
            (session.id, session.digest, session.role, session.name, session.bay, session.since_wall_ms),
        )

    def remove_web_session(self, session_id: str) -> bool:
        """Whether it was there."""
        return self._conn.execute("DELETE FROM web_sessions WHERE id = ?", (session_id,)).rowcount > 0

    def store_staff(self, person: StoredStaff) -> None:
        """In place of what was known of that name."""
        self._conn.execute(
            "INSERT OR REPLACE INTO staff VALUES (?, ?, ?, ?, ?)",
            (person.name, person.role, person.digest, person.since_wall_ms, int(person.locked)),
        )

    def store_tries(self, tries: StoredTries) -> None:
        """In place of what was known of that name and address; the newest now."""
        self._conn.execute(
            "INSERT OR REPLACE INTO sign_in_tries VALUES (?, ?, ?, ?, ?, ?)",
            (tries.name, tries.address, int(tries.known), tries.failures, tries.last_boot_ms, tries.boot_id),
        )

    def remove_tries(self, name: str, address: str | None = None) -> None:
        """`address` None: from everywhere."""
        self._conn.execute(
            "DELETE FROM sign_in_tries WHERE name = ?1 AND (?2 IS NULL OR address = ?2)", (name, address)
        )

    def note(self, act_id: str, at: Instant, note: AuditNote, bay: str = "") -> None:
        """What a person did beside the bays' own acts; `bay` empty: it belongs to none."""
        self._note(bay, act_id, at, note)

    def advance(self, sink: str, bay: str, seq: int) -> None:
        """Move the sink's cursor forward; it never goes back."""
        self._conn.execute(
            "INSERT INTO cursors VALUES (?, ?, ?)"
            " ON CONFLICT (sink, bay) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq",
            (sink, bay, seq),
        )

    def put_call(self, call: Call) -> None:
        """Write an intent. One that is there already stays as it is."""
        self._conn.execute(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (call.op_id, call.sink, call.bay, call.session_id, call.seq, call.kind, call.request,
             call.baseline, call.state.value, call.attempts, call.first_sent_wall_ms, call.last_sent_wall_ms,
             call.answer),
        )  # fmt: skip

    def update_call(self, call: Call) -> None:
        """Write how far a call has come. What it is never changes. Raises LookupError."""
        changed = self._conn.execute(
            "UPDATE calls SET baseline = ?, state = ?, attempts = ?, first_sent_wall_ms = ?,"
            " last_sent_wall_ms = ?, answer = ? WHERE op_id = ?",
            (call.baseline, call.state.value, call.attempts, call.first_sent_wall_ms, call.last_sent_wall_ms,
             call.answer, call.op_id),
        )  # fmt: skip
        if not changed.rowcount:
            raise LookupError(f"no call {call.op_id}: put it before updating it")

    def park(self, parked: Parked) -> None:
        """Set an event aside. One that is parked already keeps its first reason."""
        self._conn.execute(
            "INSERT INTO parked (sink, bay, session_id, seq, reason, at_wall_ms, cause)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            astuple(parked),
        )

    def unpark(self, sink: str, seq: int) -> Parked | None:
        """Take one event out of the parked ones; answers what stood there."""
        found = [parked for parked in self.parked(sink) if parked.seq == seq]
        self._conn.execute("DELETE FROM parked WHERE sink = ? AND seq = ?", (sink, seq))
        return found[0] if found else None

    def old_ends(
        self, now: Instant, open_sessions: Iterable[tuple[str, int]], sinks: Collection[str]
    ) -> OldEnds:
        """See `bayd.journal.pruning`."""
        events, names = (
            pruning.old_events_end(self._conn, now, self._boot_id, keep_ms)
            for keep_ms in (pruning.KEEP_EVENTS_MS, pruning.KEEP_NAMES_MS)
        )
        return OldEnds(pruning.removable_ends(self._conn, events, open_sessions, sinks), events, names)

    def remove_events(self, ends: Mapping[str, int]) -> int:
        """See `bayd.journal.pruning`."""
        return pruning.remove_events(self._conn, ends)

    def forget_names(self, end: int, names: Mapping[str, str]) -> bool:
        """See `bayd.journal.pruning`."""
        return pruning.forget_names(self._conn, end, names)

    def remove_rest(self, now: Instant, end: int) -> tuple[int, int, int]:
        """See `bayd.journal.pruning`."""
        if now.synchronised:
            return pruning.remove_rest(self._conn, now.wall_ms)
        return pruning.remove_surplus(self._conn, end)
