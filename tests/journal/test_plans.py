"""How SQLite finds what is asked of the journal: by an index, never by looking at all of a table that grows.

The journal of a large range has millions of events, and the writer's thread does nothing else meanwhile.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlite_utils import Database

from bayd.core.audit import AuditNote
from bayd.journal import (
    Answer,
    Batch,
    Call,
    CallState,
    Parked,
    StoredStaff,
    StoredTries,
    StoredWebSession,
    Writer,
)
from bayd.journal.schema import migrations
from bayd.ports import Instant
from tests.journal.world import NoteCodec, note

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
CALL = Call("op1", "central", "104", "s1", 1, "add_time", "{}")
ACT = AuditNote("anna", "staff", "hold", {}, "a repair", {}, {})
BROWSER = StoredWebSession("i", b"x", "screen", "", None, 1)
Books = Writer[str]


def at(day: float, *, synchronised: bool = True) -> Instant:
    return Instant(round(day * DAY_MS), NOW_MS + round(day * DAY_MS), synchronised)


def pressed(batch_id: str, when: Instant) -> Batch[str]:
    return Batch("104", batch_id, ("e",), when, Answer(batch_id, "", 200, ""), ACT)


CALLS: dict[str, Callable[[Books], Any]] = {
    "load": lambda books: books.load("104", 1),
    "bays": lambda books: books.bays(),
    "read": lambda books: [books.read(3), books.read(3, bay="104")],
    "holds": lambda books: books.holds(3, "104", ("Note", "Other")),
    "plays": lambda books: books.plays(0, NOW_MS),
    "payments": lambda books: books.payments(0, NOW_MS),
    "audit": lambda books: books.audit(0, NOW_MS),
    "find_batch": lambda books: [books.find_batch("b1-0"), books.find_batch("none")],
    "seqs_of": lambda books: books.seqs_of("b1-0"),
    "find_answer": lambda books: books.find_answer("k"),
    "read_alive": lambda books: books.read_alive(),
    "find_pins": lambda books: books.find_pins("104"),
    "web_sessions": lambda books: books.web_sessions(),
    "staff": lambda books: books.staff(),
    "sign_in_tries": lambda books: books.sign_in_tries(),
    "find_kept": lambda books: books.find_kept("x"),
    "cursor": lambda books: books.cursor("central", "104"),
    "find_call": lambda books: books.find_call("op1"),
    "calls_of": lambda books: books.calls_of("central", "s1"),
    "parked": lambda books: books.parked("central"),
    "append": lambda books: books.append(
        replace(note("new", "e", answer=Answer("k2", "", 200, "")), audit=ACT)
    ),
    "expire": lambda books: books.expire("late", note("expiry", "e")),
    "save_snapshot": lambda books: books.save_snapshot("104", 1, 1, "{}"),
    "write_alive": lambda books: books.write_alive(at(0)),
    "keep": lambda books: books.keep("x", "y"),
    "mark_commit": lambda books: books.mark_commit(1),
    "store_pin": lambda books: books.store_pin("104", "s1", b"x", NOW_MS),
    "purge_pin": lambda books: books.purge_pin("104", "s1"),
    "store_web_session": lambda books: books.store_web_session(
        StoredWebSession("i", b"x", "screen", "", None, 1)
    ),
    "remove_web_session": lambda books: books.remove_web_session("i"),
    "store_staff": lambda books: books.store_staff(StoredStaff("anna", "staff", b"x", 1, False)),
    "store_tries": lambda books: books.store_tries(StoredTries("anna", "", True, 1, 1, "boot-1")),
    "remove_tries": lambda books: books.remove_tries("anna"),
    "note": lambda books: books.note("act", at(0), ACT),
    "advance": lambda books: books.advance("central", "104", 3),
    "put_call": lambda books: books.put_call(replace(CALL, op_id="op2")),
    "update_call": lambda books: books.update_call(replace(CALL, state=CallState.SENT)),
    "park": lambda books: books.park(Parked("central", "104", "s1", 3, "", NOW_MS)),
    "unpark": lambda books: books.unpark("central", 3),
    "old_ends": lambda books: [
        books.old_ends(at(day, synchronised=synchronised), [("104", 3)], ["central"])
        for day in (0.5, 3, 95)
        for synchronised in (True, False)
    ],
    "remove_events": lambda books: books.remove_events({"104": 3}),
    "forget_names": lambda books: books.forget_names(5, {"Note": "$.player"}),
    "remove_rest": lambda books: [books.remove_rest(at(100, synchronised=each), 5) for each in (True, False)],
}


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """A journal of three boots, the last of which is this one."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(conn, recursive_triggers=False, execute_plugins=False))
    seq = 0
    for boot, days in (("a", (1, 2)), ("b", (3, 30)), ("c", (1, 2))):
        books = Writer(conn, NoteCodec(), boot_id=boot, last_seq=seq)
        for day in days:
            (seq,) = books.append(pressed(f"b{boot}-{day}", at(day)))
    Writer(conn, NoteCodec(), boot_id="c", last_seq=seq).put_call(CALL)
    yield conn
    conn.close()


# Those that grow with every day, and with every bay.
GROWS = frozenset({"events", "audit", "answers", "calls", "expired_batches"})
# By a condition that no index has, and why that does no harm.
MAY_SCAN = {
    ("find_batch", "answers"),  # after a failed commit alone: the presses of a day
    ("expire", "answers"),  # for a press that waited too long: the same
    ("remove_rest", "answers"),  # once an hour: the same
    ("remove_rest", "calls"),  # once an hour: a few for each session of 90 days
    ("remove_rest", "expired_batches"),  # once an hour: a few for each hour in which a disk hung
}


def scanned(conn: sqlite3.Connection, sql: str) -> set[str]:
    """The tables of which SQLite would look at every row, or at every entry of an index."""
    plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    return {found[1] for step in plan if (found := re.match(r"SCAN (\w+)", step))}


def asked_by(conn: sqlite3.Connection, name: str) -> list[str]:
    (last,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    asked: list[str] = []
    conn.set_trace_callback(asked.append)
    CALLS[name](Writer(conn, NoteCodec(), boot_id="c", last_seq=last))
    conn.set_trace_callback(None)
    # What SQLite reports of its own accord inside a statement is a comment.
    return [sql for sql in dict.fromkeys(asked) if re.match("SELECT|WITH|INSERT|UPDATE|DELETE", sql)]


@pytest.mark.parametrize("name", CALLS)
def test_no_table_that_grows_is_looked_through(conn: sqlite3.Connection, name: str) -> None:
    asked = asked_by(conn, name)
    assert asked
    looked_through = {table for sql in asked for table in scanned(conn, sql) if table in GROWS}
    assert looked_through == {table for called, table in MAY_SCAN if called == name}


def test_every_question_to_the_journal_is_among_them() -> None:
    assert set(CALLS) == {name for name in dir(Writer) if callable(getattr(Writer, name)) and name[0] != "_"}


def test_what_a_plan_calls_a_scan_is_recognised(conn: sqlite3.Connection) -> None:
    assert scanned(conn, "SELECT 1 FROM events WHERE wall_ms > 5") == {"events"}
    assert scanned(conn, "SELECT count(*) FROM events") == {"events"}
    assert scanned(conn, "SELECT 1 FROM events WHERE seq > 5") == set()


def test_a_later_look_begins_where_the_last_one_ended(conn: sqlite3.Connection) -> None:
    """An index range alone may be the whole table: the steps of SQLite's machine are counted."""
    books = Writer(conn, NoteCodec(), boot_id="c", last_seq=6)
    books.append(note("many", *["e"] * 10_000, wall_ms=NOW_MS))
    now = at(100)

    def tidy() -> None:
        ends = books.old_ends(now, (), ())
        while books.forget_names(ends.names, {"Note": "$.player"}):
            pass

    first, again = steps_of(conn, tidy), steps_of(conn, tidy)
    assert (first > 100_000, again < 1_000) == (True, True), (first, again)


def steps_of(conn: sqlite3.Connection, do: Callable[[], None]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    conn.set_progress_handler(count, 1)
    do()
    conn.set_progress_handler(None, 1)
    return steps
