"""Which pages are read of a list whose order, page size and length nobody documents."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayd.clients.central import (
    Anomaly,
    Order,
    PagingFacts,
    ServerBay,
    ServerSession,
    SessionPage,
    SkippedItem,
    SweepResult,
    find_session,
    only_settled,
    sweep,
)
from bayd.clients.central.sweep import DAY_MS, SessionSweep

HOUR_MS = 3600 * 1000


def session(number: int) -> ServerSession:
    return ServerSession(
        id=number, bay=ServerBay("101"), duration_min=60, cancel=False, active=False, created_at_ms=number
    )


@dataclass
class PagedList:
    """A server's list. `beyond` is what it answers for a page after the last."""

    ids: list[int]
    newest_first: bool = True
    cap: int = 1000
    beyond: str = "empty"  # or "last": the last page again, "all": it ignores `page` altogether
    bad: frozenset[int] = frozenset()
    read: list[int] = field(default_factory=list)

    async def page(self, number: int, per_page: int) -> SessionPage:
        self.read.append(number)
        size = min(per_page, self.cap)
        ordered = self.ids[::-1] if self.newest_first else self.ids
        if self.beyond == "all":
            chosen = ordered
        else:
            last = max(1, -(-len(ordered) // size))
            at = min(number, last) if self.beyond == "last" else number
            chosen = ordered[(at - 1) * size : at * size]
        return SessionPage(
            number,
            per_page,
            tuple(session(each) for each in chosen if each not in self.bad),
            tuple(SkippedItem(index, "data[].bay") for index, each in enumerate(chosen) if each in self.bad),
        )

    async def swept(
        self, facts: PagingFacts, *, now_ms: int = 0, live: Callable[[int], bool] = lambda number: False
    ) -> tuple[SweepResult, PagingFacts]:
        self.read.clear()
        enough = only_settled(lambda each: not live(each.id))
        return await sweep(self.page, facts, now_ms=now_ms, enough=enough)


def ids_of(result: SweepResult) -> list[int]:
    return [each.id for each in result.sessions]


async def learned(server: PagedList, per_page: int = 10, now_ms: int = 0) -> PagingFacts:
    """After the first contact and the full sweep that follows it."""
    _, facts = await server.swept(PagingFacts(per_page=per_page), now_ms=now_ms)
    result, facts = await server.swept(facts, now_ms=now_ms)
    assert result.full
    return facts


async def test_newest_first_is_read_from_page_1_until_a_whole_page_is_settled() -> None:
    server = PagedList(list(range(1, 1001)))
    facts = await learned(server)
    assert facts.order is Order.NEWEST_FIRST
    result, facts = await server.swept(facts)
    assert (server.read, ids_of(result)) == ([1], list(range(991, 1001)))
    result, facts = await server.swept(facts, live=lambda number: number > 975)
    assert server.read == [1, 2, 3, 4]
    assert not result.full
    assert result.anomalies == ()


async def test_oldest_first_is_read_from_the_last_page_back() -> None:
    server = PagedList(list(range(1, 1004)), newest_first=False)
    facts = await learned(server)
    assert (facts.order, facts.last_page) == (Order.OLDEST_FIRST, 101)
    result, facts = await server.swept(facts)
    assert server.read == [101, 100]  # three on the last page are no whole page
    server.ids += range(1004, 1023)
    result, facts = await server.swept(facts, live=lambda number: number > 1000)
    assert server.read == [101, 102, 104, 103, 100]
    assert ids_of(result) == list(range(991, 1023))
    result, facts = await server.swept(facts, live=lambda number: number > 985)
    assert server.read == [103, 102, 101, 100, 99, 98]
    assert result.anomalies == ()


@pytest.mark.parametrize("newest_first", [True, False])
async def test_the_first_contact_with_a_long_history_is_quick_and_the_next_is_full(
    newest_first: bool,
) -> None:
    server = PagedList(list(range(1, 30_001)), newest_first)
    result, facts = await server.swept(PagingFacts(per_page=100), live=lambda number: number > 29_990)
    assert len(server.read) <= 25
    assert set(range(29_901, 30_001)) <= set(ids_of(result))
    assert not result.full
    result, facts = await server.swept(facts)
    assert ids_of(result) == server.ids
    assert result.full
    assert result.pages_read == len(server.read) == 301
    await server.swept(facts)
    assert len(server.read) <= 2


async def test_everything_is_read_once_a_day() -> None:
    server = PagedList(list(range(1, 101)))
    facts = await learned(server, now_ms=0)
    for now_ms, full in [(HOUR_MS, False), (DAY_MS - 1, False), (DAY_MS, True), (DAY_MS + HOUR_MS, False)]:
        result, facts = await server.swept(facts, now_ms=now_ms)
        assert result.full is full, now_ms
    result, facts = await server.swept(facts, now_ms=0)  # the clock went back
    assert result.full


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_server_that_holds_less_to_a_page_than_asked_for(newest_first: bool) -> None:
    server = PagedList(list(range(1, 96)), newest_first, cap=10)
    result, facts = await server.swept(PagingFacts(per_page=100), live=lambda number: number > 60)
    assert set(range(61, 96)) <= set(ids_of(result))
    result, facts = await server.swept(facts)
    assert ids_of(result) == server.ids
    assert facts.page_size == 10
    result, facts = await server.swept(facts, live=lambda number: number > 60)
    assert set(range(61, 96)) <= set(ids_of(result))
    assert len(server.read) <= 6


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("beyond", ["last", "all"])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100])
async def test_a_server_that_has_no_empty_page_is_not_read_for_ever(
    newest_first: bool, beyond: str, count: int
) -> None:
    server = PagedList(list(range(1, count + 1)), newest_first, beyond=beyond)
    facts = PagingFacts(per_page=10)
    for _ in range(4):
        result, facts = await server.swept(facts, live=lambda number: number > count - 10)
        assert set(range(max(1, count - 9), count + 1)) <= set(ids_of(result))
        assert len(server.read) <= 20


async def test_ids_that_run_backwards_are_an_anomaly_and_make_the_next_sweep_full() -> None:
    server = PagedList(list(range(1, 101)))
    facts = await learned(server)
    server.ids = list(range(1, 41))
    result, facts = await server.swept(facts)
    assert result.anomalies == (Anomaly.IDS_BACKWARDS,)
    assert facts.suspect
    result, facts = await server.swept(facts)
    assert result.full
    assert (facts.suspect, facts.newest_id) == (False, 40)
    result, facts = await server.swept(facts)
    assert (result.anomalies, result.full) == ((), False)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("left", [0, 3])
async def test_a_list_that_has_shrunk_is_an_anomaly(newest_first: bool, left: int) -> None:
    server = PagedList(list(range(1, 101)), newest_first)
    facts = await learned(server)
    server.ids = server.ids[:left]
    result, facts = await server.swept(facts)
    assert result.anomalies == (Anomaly.SHRUNK,)
    assert ids_of(result) == server.ids
    for _ in range(3):
        result, facts = await server.swept(facts)
    assert result.anomalies == ()
    assert ids_of(result) == server.ids


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_that_become_smaller_hide_nothing(newest_first: bool) -> None:
    server = PagedList(list(range(1, 101)), newest_first)
    facts = await learned(server)
    server.cap = 4
    server.ids += range(101, 111)
    result, facts = await server.swept(facts, live=lambda number: number > 100)
    assert result.anomalies == (Anomaly.SHRUNK,)
    assert ids_of(result) == server.ids
    assert (facts.page_size, facts.suspect) == (4, False)
    result, facts = await server.swept(facts, live=lambda number: number > 100)
    assert (result.anomalies, result.full) == ((), False)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_server_that_turns_its_order_round_is_found_out_and_learned_anew(newest_first: bool) -> None:
    server = PagedList(list(range(1, 101)), newest_first)
    facts = await learned(server)
    server.newest_first = not newest_first
    result, facts = await server.swept(facts)
    assert result.anomalies == (Anomaly.ORDER,)
    assert ids_of(result) == server.ids
    result, facts = await server.swept(facts, live=lambda number: number > 95)
    assert {96, 97, 98, 99, 100} <= set(ids_of(result))
    assert (result.anomalies, result.full) == ((), False)


async def test_a_list_without_an_order_is_read_whole_each_time() -> None:
    shuffled = [number * 37 % 101 for number in range(1, 101)]
    server = PagedList(shuffled)
    facts = PagingFacts(per_page=10)
    for _ in range(3):
        result, facts = await server.swept(facts)
        assert ids_of(result) == sorted(shuffled)
        assert result.full
    assert facts.order is Order.NONE
    assert facts.wants_full(0)


async def test_a_few_ids_out_of_place_are_no_other_order() -> None:
    ids = list(range(1, 101))
    ids[94], ids[95] = ids[95], ids[94]
    server = PagedList(ids)
    facts = await learned(server, per_page=20)
    assert facts.order is Order.NEWEST_FIRST
    result, _ = await server.swept(facts)
    assert (server.read, result.anomalies) == ([1], ())


async def test_two_neighbours_on_the_last_page_may_stand_in_any_order() -> None:
    server = PagedList([*range(1, 101), 102, 101], newest_first=False)
    facts = await learned(server)
    assert facts.order is Order.OLDEST_FIRST
    result, _ = await server.swept(facts)
    assert (server.read, result.anomalies) == ([11, 10], ())


async def test_a_page_with_an_unreadable_session_is_not_a_settled_page() -> None:
    server = PagedList(list(range(1, 101)))
    facts = await learned(server)
    server.bad = frozenset({95})
    result, _ = await server.swept(facts)
    assert server.read == [1, 2]
    assert len(result.skipped) == 1
    assert result.anomalies == ()


async def test_a_page_of_which_nothing_can_be_read_ends_the_sweep() -> None:
    server = PagedList(list(range(1, 101)), bad=frozenset(range(1, 101)))
    result, facts = await server.swept(PagingFacts(per_page=10))
    assert (server.read, result.anomalies) == ([1], (Anomaly.UNREADABLE,))
    assert len(result.skipped) == 10
    server.bad = frozenset()
    result, facts = await server.swept(facts)
    assert ids_of(result)[-1] == 100


async def test_a_sweep_has_an_end_in_any_case() -> None:
    plan = SessionSweep(PagingFacts(per_page=2), now_ms=0, enough=lambda page, whole: False, pages_limit=7)
    number = 0
    while plan.next_page is not None:
        number += 2
        newest_first = (session(1000 - number), session(999 - number))
        plan.take(SessionPage(plan.next_page, 2, newest_first))
    assert (plan.result().pages_read, plan.result().anomalies) == (7, (Anomaly.PAGES_LIMIT,))


@pytest.mark.parametrize("newest_first", [True, False])
async def test_one_session_is_found_in_a_long_history(newest_first: bool) -> None:
    server = PagedList(list(range(1, 2001)), newest_first)
    facts = PagingFacts(per_page=100)
    found, facts = await find_session(server.page, facts, 1950, now_ms=0)
    assert found == session(1950)
    server.read.clear()
    found, facts = await find_session(server.page, facts, 1850, now_ms=0)
    assert found == session(1850)
    assert len(server.read) <= 3
    server.read.clear()
    found, facts = await find_session(server.page, facts, 5000, now_ms=0)
    assert found is None
    assert len(server.read) <= 3


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.integers(0, 80),
    arrivals=st.lists(st.integers(0, 30), max_size=4),
    per_page=st.integers(1, 12),
    cap=st.integers(1, 12),
    newest_first=st.booleans(),
    beyond=st.sampled_from(["empty", "last"]),
    hours=st.integers(0, 30),
)
async def test_no_live_session_at_the_newest_end_is_ever_missed(
    first: int, arrivals: list[int], per_page: int, cap: int, newest_first: bool, beyond: str, hours: int
) -> None:
    """Whatever the server is like: what is within a page's worth of the newest end is in every sweep."""
    server = PagedList(list(range(1, first + 1)), newest_first, cap, beyond)
    facts = PagingFacts(per_page=per_page)
    size = min(per_page, cap)
    for round_number, count in enumerate([0, *arrivals, 0]):
        newest = len(server.ids) + count
        server.ids += range(len(server.ids) + 1, newest + 1)
        before = facts
        result, facts = await server.swept(
            facts, now_ms=round_number * hours * HOUR_MS, live=partial(operator.lt, newest - size)
        )
        assert set(server.ids[-size:]) <= set(ids_of(result))
        assert ids_of(result) == sorted(set(ids_of(result)))
        if result.full:
            assert ids_of(result) == server.ids
        if before.wants_full(round_number * hours * HOUR_MS):
            assert result.full
        assert not result.anomalies


def test_the_plan_refuses_a_page_that_it_did_not_ask_for() -> None:
    plan = SessionSweep(PagingFacts(), now_ms=0, enough=lambda page, whole: True)
    with pytest.raises(AssertionError, match="another page"):
        plan.take(SessionPage(2, 100, ()))
    with pytest.raises(AssertionError, match="not ended"):
        plan.result()
