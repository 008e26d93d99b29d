"""What must hold for any reads in any order: late, doubled, weak, foreign, from every antenna.

The oracles look at the log of what arrived, never into the engine.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.core.presence import (
    BallRead,
    BallReturn,
    ForeignTag,
    Outcome,
    Pit,
    PitSighting,
    PresenceEngine,
    PresenceRules,
    Route,
    Sighting,
    Tee,
)
from bayd.core.presence.memory import BallMemory

FLOOR_DBM = -80
ROUTES = [
    Route("a0", 1, Tee("1"), FLOOR_DBM),
    Route("a0", 2, Tee("1"), FLOOR_DBM),
    Route("a0", 3, Tee("2"), FLOOR_DBM),
    Route("a0", 4, BallReturn("return"), FLOOR_DBM),
    Route("crc", 1, Tee("3"), FLOOR_DBM),
    Route("crc", 2, Tee("4"), FLOOR_DBM),
    Route("crc", 3, Pit("S1_1"), FLOOR_DBM),
]
PLACE = {(route.reader, route.port): route.place for route in ROUTES}
BALLS = tuple(f"E2801170000002{n:010X}" for n in range(3))
STRANGER = "300833B2DDD9014000000001"
RECOUNT_MS = 120_000


@dataclass(frozen=True, slots=True)
class Arrival:
    at_ms: int
    sighting: Sighting


# Around every bound, and in between.
GAPS_MS = st.sampled_from(
    [0, 0, 1, 40, 300, 480, 499, 500, 501, 999, 1_000, 1_500, 1_999, 2_000, 5_000, 60_000, 119_999, 120_000]
)


@st.composite
def evenings(draw: st.DrawFn, antennas: tuple[tuple[str, int], ...] = tuple(PLACE)) -> list[Arrival]:
    reads = draw(
        st.lists(
            st.tuples(
                GAPS_MS,
                st.sampled_from(antennas),
                st.sampled_from([*BALLS, BALLS[0], STRANGER]),
                st.integers(-84, -50),
                st.sampled_from([0, 0, 0, 200, 1_200]),  # late by
                st.sampled_from([1, 1, 1, 2]),  # times delivered
            ),
            max_size=60,
        )
    )
    arrivals, now_ms = [], 0
    for gap_ms, (reader, port), epc, dbm, late_ms, times in reads:
        now_ms += gap_ms
        sighting = Sighting(reader, port, epc, dbm, dbm + 129, 2 if reader == "a0" else 1)
        arrivals += [Arrival(now_ms + late_ms, sighting)] * times
    return sorted(arrivals, key=lambda arrival: arrival.at_ms)


def new_engine(registered: tuple[str, ...] = BALLS) -> PresenceEngine:
    return PresenceEngine(ROUTES, frozenset(registered))


def play(engine: PresenceEngine, arrivals: list[Arrival]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for arrival in arrivals:
        outcomes += engine.feed([arrival.sighting], arrival.at_ms)
    return outcomes + engine.due(10**9)


def tee_times(arrivals: list[Arrival], epc: str) -> list[int]:
    return [
        arrival.at_ms
        for arrival in arrivals
        if arrival.sighting.epc == epc and isinstance(PLACE[arrival.sighting[:2]], Tee)
    ]


def heard_by_bay(arrivals: list[Arrival]) -> dict[tuple[str, str], list[Arrival]]:
    heard = defaultdict(list)
    for arrival in arrivals:
        place = PLACE[arrival.sighting[:2]]
        if isinstance(place, Tee) and (arrival.sighting.rssi_dbm or 0) >= FLOOR_DBM:
            heard[place.bay, arrival.sighting.epc].append(arrival)
    return heard


def is_confirmed(heard: list[Arrival]) -> bool:
    return any(one.sighting.reads_to_confirm == 1 for one in heard) or any(
        later.at_ms - earlier.at_ms < 1_000 for earlier, later in pairwise(heard)
    )


@given(evenings())
@settings(max_examples=250, deadline=None)
def test_no_ball_counts_twice_without_absence_or_return(arrivals: list[Arrival]) -> None:
    credits_of = defaultdict(list)
    for outcome in play(new_engine(), arrivals):
        if isinstance(outcome, BallRead):
            credits_of[outcome.epc].append(outcome.at_ms)
    for epc, credited in credits_of.items():
        returned = [
            arrival.at_ms
            for arrival in arrivals
            if arrival.sighting.epc == epc and isinstance(PLACE[arrival.sighting[:2]], BallReturn)
        ]
        for first_ms, again_ms in pairwise(credited):
            between = [at_ms for at_ms in tee_times(arrivals, epc) if first_ms <= at_ms <= again_ms]
            absent = any(later - earlier >= RECOUNT_MS for earlier, later in pairwise(between))
            assert absent or any(first_ms < at_ms <= again_ms for at_ms in returned)


@given(evenings())
@settings(max_examples=150, deadline=None)
def test_every_credit_has_its_reads_and_every_confirmed_ball_its_credit(arrivals: list[Arrival]) -> None:
    given_credits = [one for one in play(new_engine(), arrivals) if isinstance(one, BallRead)]
    heard = heard_by_bay(arrivals)
    for credit in given_credits:
        assert credit.epc in BALLS
        since = [one for one in heard[credit.bay, credit.epc] if one.at_ms >= credit.at_ms]
        assert since[0].at_ms == credit.at_ms
        assert is_confirmed(since)
        assert credit.rssi_dbm in {one.sighting.rssi_dbm for one in since}
    confirmed = {epc for (_, epc), reads in heard.items() if epc in BALLS and is_confirmed(reads)}
    assert confirmed == {credit.epc for credit in given_credits}


@given(evenings(), st.lists(st.integers(0, 400_000), max_size=30))
@settings(max_examples=150, deadline=None)
def test_when_due_is_called_changes_nothing(arrivals: list[Arrival], calls: list[int]) -> None:
    quiet = play(new_engine(), arrivals)
    engine, outcomes = new_engine(), list[Outcome]()
    pending = sorted(calls)
    for arrival in arrivals:
        while pending and pending[0] <= arrival.at_ms:
            outcomes += engine.due(pending.pop(0))
        if (due_ms := engine.next_due_ms()) is not None and due_ms < arrival.at_ms:
            outcomes += engine.due(due_ms)
        outcomes += engine.feed([arrival.sighting], arrival.at_ms)
    outcomes += engine.due(10**9)
    assert outcomes == quiet
    assert engine.next_due_ms() is None


@given(evenings())
@settings(max_examples=100, deadline=None)
def test_how_reads_are_batched_changes_nothing(arrivals: list[Arrival]) -> None:
    engine, outcomes = new_engine(), list[Outcome]()
    for at_ms, batch in groupby(arrivals, key=lambda arrival: arrival.at_ms):
        outcomes += engine.feed([arrival.sighting for arrival in batch], at_ms)
    assert outcomes + engine.due(10**9) == play(new_engine(), arrivals)


@given(evenings(antennas=(("crc", 1), ("crc", 2), ("crc", 3))))
@settings(max_examples=100, deadline=None)
def test_reads_delivered_twice_change_nothing_where_one_read_is_enough(arrivals: list[Arrival]) -> None:
    doubled = [arrival for arrival in arrivals for _ in range(2)]
    assert play(new_engine(), doubled) == play(new_engine(), arrivals)


@given(evenings(), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_restart_in_the_middle_credits_nothing_twice(arrivals: list[Arrival], cut: int) -> None:
    """The second life knows only the credits of the first, as the journal gives them back."""
    before, after = arrivals[:cut], arrivals[cut:]
    first = new_engine()
    outcomes: list[Outcome] = []
    for arrival in before:
        outcomes += first.feed([arrival.sighting], arrival.at_ms)
    given_credits = [one for one in outcomes if isinstance(one, BallRead)]
    second = new_engine()
    second.seed((credit.epc, credit.bay, credit.at_ms) for credit in given_credits)
    for again in (one for one in play(second, after) if isinstance(one, BallRead)):
        earlier = [credit for credit in given_credits if credit.epc == again.epc]
        since = [at_ms for at_ms in tee_times(after, again.epc) if at_ms <= again.at_ms]
        absent = any(b - a >= RECOUNT_MS for a, b in pairwise([after[0].at_ms, *since]))
        returned = any(
            arrival.sighting.epc == again.epc and isinstance(PLACE[arrival.sighting[:2]], BallReturn)
            for arrival in arrivals
            if arrival.at_ms <= again.at_ms
        )
        assert not earlier or absent or returned


@given(evenings())
@settings(max_examples=100, deadline=None)
def test_a_retired_ball_never_counts_and_a_foreign_tag_is_told_once_an_hour(arrivals: list[Arrival]) -> None:
    outcomes = play(new_engine(registered=BALLS[1:]), arrivals)
    assert BALLS[0] not in {one.epc for one in outcomes if isinstance(one, BallRead | PitSighting)}
    told = defaultdict(list)
    for outcome in outcomes:
        if isinstance(outcome, ForeignTag):
            told[outcome.epc, outcome.place].append(outcome.at_ms)
    assert {epc for epc, _ in told} <= {BALLS[0], STRANGER}
    assert all(b - a >= 3_600_000 for times in told.values() for a, b in pairwise(times))


@given(evenings())
@settings(max_examples=100, deadline=None)
def test_a_pit_tells_each_presence_once(arrivals: list[Arrival]) -> None:
    in_pit = defaultdict(list)
    for arrival in arrivals:
        weak = (arrival.sighting.rssi_dbm or 0) < FLOOR_DBM
        if isinstance(PLACE[arrival.sighting[:2]], Pit) and arrival.sighting.epc in BALLS and not weak:
            in_pit[arrival.sighting.epc].append(arrival.at_ms)
    expected = {
        (epc, at_ms)
        for epc, times in in_pit.items()
        for index, at_ms in enumerate(times)
        if index == 0 or at_ms - times[index - 1] >= 2_000
    }
    told = [(one.epc, one.at_ms) for one in play(new_engine(), arrivals) if isinstance(one, PitSighting)]
    assert sorted(told) == sorted(expected)


@given(st.lists(st.tuples(st.integers(1, 2_900), st.integers(0, 40)), max_size=200), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_memory_stays_under_its_cap_and_keeps_the_latest(reads: list[tuple[int, int]], cap: int) -> None:
    memory = BallMemory(PresenceRules(max_balls=cap))
    now_ms = 0
    for gap_ms, n in reads:
        now_ms += gap_ms
        epc = f"{n:024X}"
        ball = memory.by_epc.get(epc) or memory.add(epc, now_ms)
        ball.last_ms = now_ms
        assert len(memory.by_epc) <= cap
    latest = list(dict.fromkeys(f"{n:024X}" for _, n in reversed(reads)))
    surely_kept = cap - max(1, cap // 8) + 1
    assert set(latest[:surely_kept]) <= set(memory.by_epc)
    assert memory.evicted >= len(latest) - cap
    if len(latest) <= cap:
        assert memory.evicted == 0
