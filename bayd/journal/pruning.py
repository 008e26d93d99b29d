"""What may be forgotten: old events that nothing needs any more, old answers, expired PIN hashes, names.

An event goes when all of this holds: it is older than 90 days; its bay has a snapshot that contains it; it
belongs to no open session; every sink that counts has it behind its cursor (a sink without a cursor for the
bay has delivered nothing of it), and nothing earlier is parked. What has gone lies in the snapshot alone,
which every later release then has to read: `forgotten` says so.
Of people there is a display name in some events; it goes after 30 days, whatever becomes of the event, from
snapshots as well.
Only synchronised clocks tell an age: an event, or an act, with a guessed time is taken to be as old as the
known ones after it; so is one that lies more than a day ahead, whose clock was wrong. While nothing keeps the
clock, an event is as old as this PC has run since then, which is never more than its age: so the journal of a
PC without a time service stays bounded as well. What outlives the events by which that is told (the audit,
batches that expired) or is too young for it (answers) is bounded by its number then. The journal's last event
stays, so that no number is given twice.

Nothing here looks at all events (unless today's clock is far behind them): a large range has millions, and
nobody's press is written meanwhile. How far the last look came is kept beside them.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bayd.core.instant import Instant

DAY_MS = 86_400_000
KEEP_EVENTS_MS = 90 * DAY_MS
KEEP_NAMES_MS = 30 * DAY_MS
KEEP_ANSWERS_MS = DAY_MS
KEEP_GUESSED_ANSWERS = 100_000  # without a clock; more presses than a day has
KEEP_AUDIT_MS = 400 * DAY_MS  # the books of a year, and the weeks until somebody looks at them
KEEP_GUESSED_AUDIT = 200_000  # without a clock; those 400 days at 500 acts a day
KEEP_GUESSED_EXPIRED = 10_000  # without a clock; more than ever wait for the disk at once
CHUNK = 500  # events in one transaction, so that a bay never waits long behind the pruning
LOOK = 5_000  # and so many are looked through for names
_NAMES_FORGOTTEN = "pruning.names_forgotten"
_MAX = 2**63 - 1
_YOUNG_EVENT = (
    "SELECT seq FROM events WHERE seq >= ? AND synchronised AND wall_ms BETWEEN ? AND ? ORDER BY seq LIMIT 1"
)
_YOUNG_ACT = (
    "SELECT id FROM audit WHERE id >= ? AND synchronised AND +wall_ms BETWEEN ? AND ? ORDER BY id LIMIT 1"
)


def old_events_end(conn: sqlite3.Connection, now: Instant, boot_id: str, keep_ms: int) -> int:
    """The first event that is too young to go, or the last one of all."""
    (last,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    if not now.synchronised:
        return min(_end_by_running_time(conn, now.boot_ms, boot_id, keep_ms), int(last))
    cutoff_wall_ms = now.wall_ms - keep_ms
    name = f"pruning.older_than_{keep_ms}_ms"
    begin, seen_wall_ms = _find_kept(conn, name) or (0, cutoff_wall_ms)
    if cutoff_wall_ms < seen_wall_ms:  # the clock was ahead then
        begin = 0
    young = _first_young(conn, _YOUNG_EVENT, begin, cutoff_wall_ms, now.wall_ms)
    old = conn.execute(
        "SELECT seq FROM events WHERE seq >= ? AND seq < ? AND synchronised AND wall_ms < ?"
        " ORDER BY seq DESC LIMIT 1",
        (begin, last if young is None else young, cutoff_wall_ms),
    ).fetchone()
    end = old[0] + 1 if old else begin
    _keep(conn, name, (end, cutoff_wall_ms))
    return int(min(end, last))


def _first_young(
    conn: sqlite3.Connection, select: str, begin: int, cutoff_wall_ms: int, now_wall_ms: int
) -> int | None:
    """From `begin` on. One from tomorrow tells no age; where all are, it is today's clock that is behind."""
    for until_wall_ms in (now_wall_ms + DAY_MS, _MAX):
        if found := conn.execute(select, (begin, cutoff_wall_ms, until_wall_ms)).fetchone():
            return int(found[0])
    return None


def _end_by_running_time(conn: sqlite3.Connection, boot_ms: int, boot_id: str, keep_ms: int) -> int:
    """The first event since which the PC has not run for so long; 0: all are too young.

    From boot to boot, the newest first. Each one's events lie together, in the order of its clock.
    """
    ran_ms = 0  # in the boots after the one that is looked at
    end = None  # where those begin
    while True:
        newest = conn.execute(
            "SELECT seq, boot_id, boot_ms FROM events WHERE seq < coalesce(?1, 9223372036854775807)"
            " ORDER BY seq DESC LIMIT 1",
            (end,),
        ).fetchone()
        if newest is None:
            return 0
        last, boot, until_ms = newest
        if end is None:
            if boot == boot_id:
                until_ms = boot_ms
            else:
                ran_ms = boot_ms  # of this boot there is no event yet
        if ran_ms + until_ms >= keep_ms:
            return _first_event(conn, last, boot, until_ms - (keep_ms - ran_ms))
        end = _first_event(conn, last, boot, 0)
        ran_ms += until_ms


def _first_event(conn: sqlite3.Connection, last: int, boot_id: str, from_ms: int) -> int:
    """The first event of that boot from that time on, without a look at them all. `last`: the boot's last."""
    (low,) = conn.execute("SELECT min(seq) FROM events").fetchone()
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        seq, boot, boot_ms = conn.execute(
            "SELECT seq, boot_id, boot_ms FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if boot == boot_id and boot_ms >= from_ms:
            high = middle
        else:
            low = seq + 1
    return int(low)


def removable_ends(
    conn: sqlite3.Connection, end: int, open_sessions: Iterable[tuple[str, int]], sinks: Collection[str]
) -> dict[str, int]:
    """For each bay the event before which everything may go."""
    ends = {bay: min(end, seq + 1) for bay, seq in conn.execute("SELECT bay, seq FROM snapshots").fetchall()}
    bounds = list(open_sessions)
    for sink in sinks:
        cursors = dict(conn.execute("SELECT bay, seq FROM cursors WHERE sink = ?", (sink,)).fetchall())
        bounds += [(bay, cursors.get(bay, 0) + 1) for bay in ends]
    bounds += conn.execute("SELECT bay, min(seq) FROM parked GROUP BY bay").fetchall()
    for bay, first in bounds:
        if bay in ends:
            ends[bay] = min(ends[bay], first)
    return ends


def remove_events(conn: sqlite3.Connection, ends: Mapping[str, int]) -> int:
    """Remove one chunk; 0 when nothing is left to remove."""
    for bay, end in ends.items():
        chunk = conn.execute(
            "SELECT seq FROM events WHERE bay = ? AND seq < ? ORDER BY seq LIMIT ?", (bay, end, CHUNK)
        ).fetchall()
        if chunk:
            conn.execute("INSERT OR REPLACE INTO forgotten VALUES (?, ?)", (bay, chunk[-1][0]))
            conn.executemany("DELETE FROM events WHERE seq = ?", chunk)
            return len(chunk)
    return 0


def forget_names(conn: sqlite3.Connection, end: int, names: Mapping[str, str]) -> bool:
    """Take the names out of the next events before `end`. Whether more are left.

    `names`: kind -> JSON path. Other ones than before are looked for in all events again.
    """
    (first,) = conn.execute("SELECT coalesce(min(seq), 0) FROM events").fetchone()
    kept = _find_kept(conn, _NAMES_FORGOTTEN)
    begin: int = max(first, kept["end"] if kept is not None and kept["names"] == names else 0)
    if begin >= end:
        return False
    stop = min(begin + LOOK, end)
    for kind, path in names.items():
        conn.execute(
            "UPDATE events SET payload = json_set(payload, ?, NULL)"
            " WHERE seq >= ? AND seq < ? AND kind = ? AND json_extract(payload, ?) IS NOT NULL",
            (path, begin, stop, kind, path),
        )
    _keep(conn, _NAMES_FORGOTTEN, {"end": stop, "names": dict(names)})
    if stop < end:
        return True
    _forget_in_snapshots(conn, end, {path.rpartition(".")[2] for path in names.values()})
    return False


def _forget_in_snapshots(conn: sqlite3.Connection, end: int, keys: Collection[str]) -> None:
    """Of bays where nothing has happened since: others get a new snapshot, or have one without the name."""
    found = conn.execute(
        "SELECT bay, fullkey FROM snapshots, json_tree(state) WHERE seq < ? AND type = 'text'"
        " AND key IN (SELECT value FROM json_each(?))",
        (end, json.dumps(sorted(keys))),
    ).fetchall()
    conn.executemany(
        "UPDATE snapshots SET state = json_set(state, ?, NULL) WHERE bay = ?",
        [(path, bay) for bay, path in found],
    )


def remove_rest(conn: sqlite3.Connection, now_wall_ms: int) -> tuple[int, int, int]:
    """Answers past their day, expired PIN hashes, settled calls past the 90 days: how many of each."""
    old = now_wall_ms - KEEP_EVENTS_MS
    _remove_expired(conn, "at_wall_ms < ?", old)
    statements: Sequence[tuple[str, int]] = (
        ("DELETE FROM answers WHERE at_wall_ms < ? AND NOT EXISTS (SELECT 1 FROM events"
         " WHERE events.batch = answers.batch AND NOT synchronised)", now_wall_ms - KEEP_ANSWERS_MS),
        ("DELETE FROM pins WHERE expires_wall_ms <= ?", now_wall_ms),
        ("DELETE FROM calls WHERE state IN ('done', 'refused')"
         " AND coalesce(last_sent_wall_ms, 0) < ? AND seq NOT IN (SELECT seq FROM parked)", old),
    )  # fmt: skip
    # What follows a young act is young, whatever clock of the past was believed for a moment.
    cutoff_wall_ms = now_wall_ms - KEEP_AUDIT_MS
    young = _first_young(conn, _YOUNG_ACT, 1, cutoff_wall_ms, now_wall_ms)
    conn.execute(
        "DELETE FROM audit WHERE id <="
        " (SELECT max(id) FROM audit WHERE synchronised AND wall_ms < ? AND id < ?)",
        (cutoff_wall_ms, _MAX if young is None else young),
    )
    answers, pins, calls = (conn.execute(sql, (value,)).rowcount for sql, value in statements)
    return answers, pins, calls


def remove_surplus(conn: sqlite3.Connection, end: int) -> tuple[int, int, int]:
    """While nothing keeps the clock: all but the newest answers and acts; calls settled before `end`.

    Not the calls of what is set aside or not told yet: what was done of it would be done again.
    """
    statements = (
        ("DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?", KEEP_GUESSED_ANSWERS),
        (
            "DELETE FROM calls WHERE state IN ('done', 'refused') AND seq < ?"
            " AND seq NOT IN (SELECT seq FROM parked) AND seq <= coalesce((SELECT cursors.seq FROM cursors"
            " WHERE cursors.sink = calls.sink AND cursors.bay = calls.bay), calls.seq)",
            end,
        ),
    )
    answers, calls = (conn.execute(sql, (value,)).rowcount for sql, value in statements)
    conn.execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", (KEEP_GUESSED_AUDIT,))
    of_many = "rowid <= (SELECT max(rowid) FROM expired_batches) - ?"
    _remove_expired(conn, of_many, KEEP_GUESSED_EXPIRED)
    return answers, 0, calls


def _remove_expired(conn: sqlite3.Connection, condition: str, value: int) -> None:
    """Those whose events are gone. The audit names what they would have done, and so goes first."""
    found = conn.execute(
        f"SELECT batch FROM expired_batches WHERE {condition} AND batch NOT IN (SELECT batch FROM events)",  # noqa: S608
        (value,),
    ).fetchall()
    if found:
        batches = (json.dumps([batch for (batch,) in found]),)
        for table in ("audit", "expired_batches"):
            conn.execute(f"DELETE FROM {table} WHERE batch IN (SELECT value FROM json_each(?))", batches)  # noqa: S608


def _find_kept(conn: sqlite3.Connection, name: str) -> Any:
    row = conn.execute("SELECT text FROM kept WHERE name = ?", (name,)).fetchone()
    return json.loads(row[0]) if row else None


def _keep(conn: sqlite3.Connection, name: str, value: object) -> None:
    conn.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, json.dumps(value)))
