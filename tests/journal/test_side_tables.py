"""Life sign, PIN hashes, delivery, pruning."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter

from bayd.core.audit import AuditNote
from bayd.core.events import Event
from bayd.core.instant import AliveMark
from bayd.journal import (
    Answer,
    Call,
    CallState,
    Journal,
    Loaded,
    Parked,
    Pruned,
    StoredPin,
    StoredWebSession,
    pruning,
)
from bayd.journal.event_codec import NAMES
from bayd.journal.pruning import CHUNK, DAY_MS
from bayd.ports import Instant
from tests.journal.world import HandClock, note, opened, rows

NOW = 1_700_000_000_000


async def test_the_last_sign_of_life_survives(path: Path, executor: str) -> None:
    async with opened(path, executor, clock=HandClock(boot_id="boot-3")) as journal:
        assert await journal.read_alive() is None
        await journal.write_alive(Instant(10_000, NOW))
        await journal.write_alive(Instant(20_000, NOW + 10_000, synchronised=False))
    async with opened(path, executor, clock=HandClock(boot_id="boot-4")) as journal:
        assert await journal.read_alive() == AliveMark("boot-3", 20_000, NOW + 10_000, False)


# Browsers that were let in


async def test_web_sessions_are_kept_until_they_are_removed(path: Path, executor: str) -> None:
    screen = StoredWebSession("a1", b"d" * 32, "screen", "screen", "109", NOW + 1)
    desk = StoredWebSession("b2", b"e" * 32, "staff", "anna", None, NOW)
    assert "ddd" not in repr(screen)
    async with opened(path, executor) as journal:
        await journal.transact(lambda writer: writer.store_web_session(screen))
        await journal.transact(lambda writer: writer.store_web_session(desk))
    async with opened(path, executor) as journal:
        assert await journal.query(lambda reader: reader.web_sessions()) == [desk, screen]
        await journal.transact(lambda writer: writer.remove_web_session("b2"))
        assert await journal.query(lambda reader: reader.web_sessions()) == [screen]


# PIN hashes

DIGEST = bytes(range(200, 232))


async def test_a_pin_hash_is_bound_to_bay_and_session(journal: Journal[str]) -> None:
    await journal.store_pin("104", "s1", DIGEST, NOW)
    await journal.store_pin("104", "s2", b"x" * 32, NOW)
    await journal.store_pin("104", "s2", b"y" * 32, NOW + 1)  # a new PIN for the same session
    await journal.store_pin("105", "s3", DIGEST, NOW)
    assert await journal.find_pins("104") == [
        StoredPin("s1", DIGEST, NOW),
        StoredPin("s2", b"y" * 32, NOW + 1),
    ]
    await journal.purge_pin("104", "s1")
    assert [pin.session_id for pin in await journal.find_pins("104")] == ["s2"]
    assert [pin.session_id for pin in await journal.find_pins("105")] == ["s3"]


def test_a_pin_hash_does_not_show_itself() -> None:
    assert DIGEST.hex()[:8] not in repr(StoredPin("s1", DIGEST, NOW))
    assert repr(DIGEST)[2:8] not in repr(StoredPin("s1", DIGEST, NOW))


async def test_a_purged_hash_leaves_no_bytes_behind(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        await journal.store_pin("104", "used", DIGEST, NOW + DAY_MS)
        await journal.store_pin("104", "expired", DIGEST[::-1], NOW - 1)
        await journal.store_pin("104", "waits", b"z" * 32, NOW + DAY_MS)
        await journal.purge_pin("104", "used")
        assert (await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())).pins == 1
        everything = b"".join(file.read_bytes() for file in path.parent.glob("journal.db*"))
        assert DIGEST not in everything
        assert DIGEST[::-1] not in everything
        assert b"z" * 32 in everything  # the search does find what is there


# Delivery


async def test_a_cursor_only_moves_forward(journal: Journal[str]) -> None:
    assert await journal.cursor("central", "104") == 0
    await journal.advance("central", "104", 7)
    await journal.advance("central", "104", 5)
    await journal.advance("mqtt", "104", 3)
    assert await journal.cursor("central", "104") == 7
    assert await journal.cursor("mqtt", "104") == 3
    assert await journal.cursor("central", "105") == 0


CALL = Call("op-1", "central", "104", "s1", 12, "addSessionTime", '{"minutes": 10}', '{"duration": 60}')


async def test_a_call_is_kept_until_it_is_settled(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        await journal.put_call(CALL)
        await journal.put_call(replace(CALL, op_id="op-2", seq=9))
        await journal.put_call(replace(CALL, op_id="op-3", bay="105"))
        await journal.put_call(replace(CALL, op_id="op-4", sink="qod"))
        sent = replace(CALL, state=CallState.SENT, attempts=1, first_sent_wall_ms=NOW, last_sent_wall_ms=NOW)
        await journal.update_call(sent)
        await journal.put_call(CALL)  # handed in again: what has become of it meanwhile stays
    async with opened(path, executor) as journal:
        assert await find_call(journal, "op-1") == sent
        of_session = await journal.query(lambda reader: reader.calls_of("central", "s1"))
        assert [call.op_id for call in of_session] == ["op-2", "op-1", "op-3"]
        for state in CallState:
            settled = replace(sent, state=state, answer="{}")
            await journal.update_call(settled)
            assert await find_call(journal, "op-1") == settled
        assert await find_call(journal, "op-9") is None
        with pytest.raises(LookupError, match="op-9"):
            await journal.update_call(replace(CALL, op_id="op-9"))


async def find_call(journal: Journal[str], op_id: str) -> Call | None:
    return await journal.query(lambda reader: reader.find_call(op_id))


async def test_parked_events_wait_for_staff(path: Path, executor: str) -> None:
    first = Parked("central", "104", "s1", 4, "409 twice", NOW, "alone")
    async with opened(path, executor) as journal:
        await journal.park(first)
        await journal.park(replace(first, reason="again", at_wall_ms=NOW + 5))
        await journal.park(replace(first, seq=6))
        await journal.park(replace(first, seq=7, session_id="s2"))
        await journal.park(replace(first, seq=8, bay="105", session_id="s3"))
        await journal.park(replace(first, sink="mqtt"))
    async with opened(path, executor) as journal:
        assert (await journal.parked("central"))[0] == first
        assert [p.seq for p in await journal.parked("central", bay="104")] == [4, 6, 7]
        assert [p.seq for p in await journal.parked("central", session_id="s1")] == [4, 6]
        assert await journal.unpark("central", 4) == first
        assert await journal.unpark("central", 4) is None
        assert [p.seq for p in await journal.parked("central")] == [6, 7, 8]
        assert len(await journal.parked("mqtt")) == 1


# Pruning

OLD = NOW - 91 * DAY_MS


async def history(journal: Journal[str], *stamps: tuple[str, int, bool]) -> None:
    for n, (bay, wall_ms, synchronised) in enumerate(stamps, 1):
        batch = note(f"b{n}", f"e{n}", bay=bay, wall_ms=wall_ms, synchronised=synchronised)
        assert await journal.append(batch) == (n,)


async def left(journal: Journal[str]) -> list[int]:
    return [recorded.seq for recorded in await journal.read(0)]


async def test_what_is_old_and_needed_by_nobody_goes(journal: Journal[str]) -> None:
    await history(journal, ("104", OLD, True), ("105", OLD, True), ("104", OLD, True), ("104", NOW, True))
    now = Instant(0, NOW)
    assert await journal.prune(now, open_sessions=(), sinks=()) == Pruned(0, 0, 0, 0)  # no snapshot yet
    await journal.save_snapshot("104", 4, 1, "{}")
    assert await journal.prune(now, open_sessions=(), sinks=()) == Pruned(2, 0, 0, 0)
    assert await left(journal) == [2, 4]
    # What is gone from the events lies in the snapshot alone: every reducer has to read that.
    assert await journal.load("104", 2) == await journal.load("104", 1) == Loaded("{}", 4, 1, [])


@pytest.mark.parametrize(
    ("why", "kept"), [("open session", 2), ("snapshot", 3), ("cursor", 3), ("parked", 2), ("last event", 4)]
)
async def test_what_is_needed_stays(journal: Journal[str], why: str, kept: int) -> None:
    await history(journal, *[("104", OLD, True)] * 4)
    await journal.save_snapshot("104", 2 if why == "snapshot" else 4, 1, "{}")
    await journal.advance("central", "104", 2 if why == "cursor" else 4)
    await journal.advance("gone", "104", 1)  # a sink that is no longer configured holds nothing
    if why == "parked":
        await journal.park(Parked("central", "104", "s1", 2, "", NOW))
    open_sessions = [("104", 2), ("105", 1)] if why == "open session" else []
    await journal.prune(Instant(0, NOW), open_sessions=open_sessions, sinks=["central"])
    assert await left(journal) == list(range(kept, 5))


async def test_a_guessed_time_tells_no_age(journal: Journal[str]) -> None:
    await history(
        journal,
        ("104", 0, False),  # before an event that is known to be old: older still
        ("104", OLD, True),
        ("104", 0, False),  # may have happened today
        ("104", NOW, True),
    )
    await journal.save_snapshot("104", 4, 1, "{}")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await left(journal) == [3, 4]


async def test_what_follows_a_young_event_is_young_whatever_its_clock_said(journal: Journal[str]) -> None:
    await history(journal, ("104", OLD, True), ("104", NOW, True), ("104", OLD, True), ("104", NOW, True))
    await journal.save_snapshot("104", 4, 1, "{}")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await left(journal) == [2, 3, 4]


async def test_a_clock_that_was_ahead_makes_nothing_old_for_good(journal: Journal[str]) -> None:
    await history(journal, ("104", OLD, True), ("104", NOW, True), ("104", NOW, True))
    await journal.prune(Instant(0, NOW + 200 * DAY_MS), open_sessions=(), sinks=())  # no snapshot yet
    await journal.save_snapshot("104", 3, 1, "{}")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await left(journal) == [2, 3]
    await journal.prune(Instant(0, NOW + 91 * DAY_MS), open_sessions=(), sinks=())
    assert await left(journal) == [3]


async def test_an_event_whose_clock_was_far_ahead_keeps_none_before_it(journal: Journal[str]) -> None:
    ahead = ("104", NOW + 200 * DAY_MS, True)
    await history(
        journal, ahead, ("104", OLD, True), ahead, ("104", NOW, True), ahead, ("104", OLD, True), ahead
    )
    await journal.save_snapshot("104", 7, 1, "{}")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await left(journal) == [3, 4, 5, 6, 7]


async def test_a_clock_that_is_far_behind_today_makes_nothing_old(journal: Journal[str]) -> None:
    """Whatever clock of the past was believed once."""
    before = NOW - 1_000 * DAY_MS
    await history(journal, ("104", NOW, True), ("104", before, True), ("104", NOW, True), ("104", NOW, True))
    await journal.save_snapshot("104", 4, 1, "{}")
    for name, wall_ms in (("paid", NOW), ("behind", before), ("young", NOW)):
        await act(journal, name, wall_ms)
    await journal.prune(Instant(0, NOW - 200 * DAY_MS), open_sessions=(), sinks=())
    assert (await left(journal))[:4] == [1, 2, 3, 4]
    assert await acts(journal) == ["paid", "behind", "young"]


async def test_a_clock_that_goes_back_a_little_makes_what_it_wrote_no_older(journal: Journal[str]) -> None:
    await history(journal, ("104", NOW + DAY_MS - 1, True), ("104", OLD, True), ("104", NOW, True))
    await journal.save_snapshot("104", 3, 1, "{}")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await left(journal) == [1, 2, 3]


NAMED = {"Note": "$.player"}


async def named(path: Path, journal: Journal[str], *wall_ms: int) -> None:
    for n, each in enumerate(wall_ms):
        await journal.append(note(f"n{each}-{n}", "e", wall_ms=each))
    with closing(sqlite3.connect(path)) as other, other:  # the codec of these tests knows no names
        other.execute("""UPDATE events SET payload = '{"player":"Anna"}' WHERE payload = '"e"'""")


def names(path: Path) -> list[int]:
    """The events that still have one."""
    return [seq for (seq,) in rows(path, "SELECT seq FROM events WHERE payload LIKE '%Anna%' ORDER BY seq")]


async def test_names_go_after_30_days_however_many_events_there_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "LOOK", 2)
    days = [NOW + day * DAY_MS for day in (0, 1, 2, 3, 4, 10)]
    async with opened(path) as journal:
        await named(path, journal, *days)
        await journal.prune(Instant(0, NOW + 30 * DAY_MS), open_sessions=(), sinks=(), names=NAMED)
        assert names(path) == [1, 2, 3, 4, 5, 6]
        now = Instant(0, NOW + 34 * DAY_MS + 1)
        await journal.prune(now, open_sessions=(), sinks=(), names={"Other": "$.player"})
        assert names(path) == [1, 2, 3, 4, 5, 6]
        # Another kind has names now: also those that were passed over.
        await journal.prune(now, open_sessions=(), sinks=(), names=NAMED)
        assert names(path) == [6]
        await named(path, journal, NOW + 35 * DAY_MS)
        for day, kept in ((40, [6, 7]), (66, [7])):
            await journal.prune(Instant(0, NOW + day * DAY_MS), open_sessions=(), sinks=(), names=NAMED)
            assert names(path) == kept


async def lived(path: Path, *boots: tuple[str, *tuple[float, ...]]) -> None:
    """An event at each of these days of a boot; its clock is kept by nobody."""
    async with opened(path) as journal:
        await journal.save_snapshot("104", len(boots), 1, "{}")
    for n, (boot_id, *days) in enumerate(boots):
        async with opened(path, clock=HandClock(boot_id)) as journal:
            for day in days:
                at = Instant(round(day * DAY_MS), 0, synchronised=False)
                await journal.append(replace(note(f"b{n}-{day}", "e"), at=at))


@pytest.mark.parametrize(
    ("boot_id", "day", "kept"),
    [
        ("c", 60, [1, 2, 3, 4, 5, 6]),  # ran for 89 days since the first one
        ("c", 62, [2, 3, 4, 5, 6]),
        ("c", 76, [4, 5, 6]),
        ("c", 91, [6]),  # the last one stays
        ("d", 59, [1, 2, 3, 4, 5, 6]),
        ("d", 61, [2, 3, 4, 5, 6]),
        ("d", 89.7, [6]),
        ("d", 99, [6]),
    ],
)
async def test_without_a_clock_an_event_is_as_old_as_the_pc_has_run_since(
    path: Path, boot_id: str, day: float, kept: list[int]
) -> None:
    await lived(path, ("a", 1, 10), ("b", 5, 20), ("c", 0.5, 1))
    now = Instant(round(day * DAY_MS), 10**15, synchronised=False)
    async with opened(path, clock=HandClock(boot_id)) as journal:
        await journal.save_snapshot("104", 6, 1, "{}")
        await journal.prune(now, open_sessions=(), sinks=())
        assert await left(journal) == kept


async def test_without_a_clock_settled_calls_go_with_their_events_and_the_newest_answers_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "KEEP_GUESSED_ANSWERS", 2)
    await lived(path, ("a", 1, 2, 3))
    async with opened(path, clock=HandClock("a")) as journal:
        for key in "xyz":
            pressed = note(key, "e", answer=Answer(key, "", 200, ""))
            await journal.append(replace(pressed, at=Instant(4 * DAY_MS, 0, synchronised=False)))
        done, unknown = CallState.DONE, CallState.UNKNOWN
        for op_id, seq, state in (("old", 1, done), ("open", 1, unknown), ("new", 3, done)):
            await journal.put_call(replace(CALL, op_id=op_id, seq=seq, state=state))
        now = Instant(round(92.5 * DAY_MS), 10**15, synchronised=False)
        pruned = await journal.prune(now, open_sessions=(), sinks=())
        assert (pruned.answers, pruned.pins, pruned.calls) == (1, 0, 1)
        assert [await journal.find_answer(key) is not None for key in "xyz"] == [False, True, True]
    assert rows(path, "SELECT op_id FROM calls ORDER BY op_id") == [("new",), ("open",)]


# The audit, and what expired

ACT = AuditNote("anna", "staff", "hold", {}, "a repair", {}, {})


async def act(journal: Journal[str], batch_id: str, wall_ms: int = NOW, *, synchronised: bool = True) -> None:
    done = note(batch_id, "e", wall_ms=wall_ms, synchronised=synchronised)
    await journal.append(replace(done, audit=replace(ACT, reason=batch_id)))


async def acts(journal: Journal[str]) -> list[str]:
    return [row.note.reason for row in await journal.audit(0, 10**16)]


async def test_an_act_stays_for_400_days_also_one_whose_time_was_guessed(journal: Journal[str]) -> None:
    await act(journal, "guessed before it", 1, synchronised=False)
    await act(journal, "old", NOW - 400 * DAY_MS - 1)
    await act(journal, "of the last boot without a clock", 1, synchronised=False)
    await act(journal, "young", NOW - 400 * DAY_MS + 1)
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await acts(journal) == ["of the last boot without a clock", "young"]


async def test_an_act_whose_clock_was_far_ahead_keeps_none_before_it(journal: Journal[str]) -> None:
    await act(journal, "ahead, it said", NOW + 500 * DAY_MS)
    await act(journal, "old", NOW - 500 * DAY_MS)
    await act(journal, "ahead again", NOW + 500 * DAY_MS)
    await act(journal, "young")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await acts(journal) == ["ahead again", "young"]


async def test_a_clock_that_was_years_behind_for_a_moment_forgets_no_act_before_it(
    journal: Journal[str],
) -> None:
    """A time server that counts its weeks from the wrong begin keeps a clock, too."""
    await act(journal, "old", NOW - 500 * DAY_MS)
    await act(journal, "young", NOW - 2 * DAY_MS)
    await act(journal, "1024 weeks ago, it said", NOW - 7_168 * DAY_MS)
    await act(journal, "of today")
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert await acts(journal) == ["young", "1024 weeks ago, it said", "of today"]


async def test_the_answer_to_a_press_whose_time_was_guessed_is_not_forgotten_by_the_first_clock(
    journal: Journal[str],
) -> None:
    for key, synchronised in (("guessed", False), ("old", True)):
        pressed = note(key, "e", answer=Answer(key, "", 200, ""), wall_ms=1, synchronised=synchronised)
        await journal.append(pressed)
    await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert [await journal.find_answer(key) is not None for key in ("guessed", "old")] == [True, False]


async def test_without_a_clock_the_audit_and_what_expired_are_bounded_by_their_number(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "KEEP_GUESSED_AUDIT", 3)
    monkeypatch.setattr(pruning, "KEEP_GUESSED_EXPIRED", 2)
    now = Instant(0, 10**15, synchronised=False)
    async with opened(path) as journal:
        for n in range(5):
            await act(journal, f"act {n}", synchronised=False)
            await journal.expire(f"never written {n}", note(f"expiry {n}", "expired"))
        await journal.prune(now, open_sessions=(), sinks=())
        assert await acts(journal) == ["act 2", "act 3", "act 4"]
        assert expired(path) == ["never written 3", "never written 4"]
        await act(journal, "act 5", synchronised=False)
        await journal.prune(now, open_sessions=(), sinks=())
        assert await acts(journal) == ["act 3", "act 4", "act 5"]


@pytest.mark.parametrize("synchronised", [True, False])
async def test_what_expired_is_no_act_however_old_it_grows(
    path: Path, monkeypatch: pytest.MonkeyPatch, synchronised: bool
) -> None:
    """Written late, and declared expired: that holds for as long as it lies there."""
    monkeypatch.setattr(pruning, "KEEP_GUESSED_EXPIRED", 0)
    async with opened(path) as journal:
        await act(journal, "never counted", OLD)
        await journal.expire("never counted", note("expiry", "expired", wall_ms=OLD))
        now = Instant(0, NOW, synchronised=synchronised)
        await journal.prune(now, open_sessions=(), sinks=())
        assert expired(path) == ["never counted"]  # its event still lies there
        await journal.append(note("later", "e"))
        await journal.save_snapshot("104", 3, 1, "{}")
        await journal.transact(lambda writer: writer.remove_events({"104": 3}))
        await journal.prune(now, open_sessions=(), sinks=())
        assert expired(path) == []
        assert await acts(journal) == []


def expired(path: Path) -> list[str]:
    return [batch for (batch,) in rows(path, "SELECT batch FROM expired_batches ORDER BY rowid")]


async def test_no_number_is_given_twice(path: Path, executor: str) -> None:
    async with opened(path, executor) as journal:
        await history(journal, *[("104", OLD, True)] * 3)
        await journal.save_snapshot("104", 3, 1, "{}")
        await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
        assert await left(journal) == [3]
    async with opened(path, executor) as journal:
        assert await journal.append(note("next", "e")) == (4,)


async def test_much_is_pruned_in_pieces(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(note("old", *["e"] * (2 * CHUNK + 7), wall_ms=OLD))
        await journal.append(note("new", "e"))
        await journal.save_snapshot("104", 2 * CHUNK + 8, 1, "{}")
        assert (await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())).events == 2 * CHUNK + 7
    assert rows(path, "SELECT count(*) FROM events") == [(1,)]


async def test_answers_live_a_day_and_settled_calls_as_long_as_events(journal: Journal[str]) -> None:
    for key, wall_ms in (("old", NOW - DAY_MS - 1), ("young", NOW - DAY_MS + 1)):
        await journal.append(note(key, "e", answer=Answer(key, "", 200, ""), wall_ms=wall_ms))
    for op_id, state, sent in (
        ("old", CallState.DONE, OLD),
        ("young", CallState.DONE, NOW),
        ("open", CallState.UNKNOWN, OLD),
    ):
        await journal.put_call(replace(CALL, op_id=op_id, state=state, last_sent_wall_ms=sent))
    pruned = await journal.prune(Instant(0, NOW), open_sessions=(), sinks=())
    assert (pruned.answers, pruned.calls) == (1, 1)
    assert await journal.find_answer("old") is None
    assert await journal.find_answer("young") is not None
    found = [await find_call(journal, op_id) for op_id in ("old", "young", "open")]
    assert [call is not None for call in found] == [False, True, True]


def test_every_name_of_a_person_in_an_event_is_known_to_the_pruning() -> None:
    """An event that gets a field for a name has to be added to `NAMES`."""
    schemas = {kind.__name__: TypeAdapter(kind).json_schema() for kind in get_args(Event)}
    with_a_name = {kind for kind, schema in schemas.items() if re.search(r'"player": \{', json.dumps(schema))}
    assert with_a_name == set(NAMES)
