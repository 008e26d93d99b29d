"""A bay's QoS session through the evening: what is asked of the operator, when, and what never is."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.core.desired import LowLatency
from bayd.core.qos import Create, Delete, Extend, Find, Poll, Rest, plan
from bayd.core.qos_budget import Day, Spent
from bayd.core.qos_events import (
    QosCreated,
    QosDeleted,
    QosExtendFailed,
    QosExtendIntended,
    QosRestarted,
    QosStatusSeen,
    QosVanished,
)
from bayd.core.qos_lease import (
    Available,
    Creating,
    Degraded,
    Ended,
    Ending,
    Extending,
    Idle,
    Lease,
    Record,
    Requested,
    State,
    dump,
    evolve,
    load,
)
from bayd.core.qos_words import Cause, Outcome, Trouble
from tests.core.qos_world import (
    CAMARA,
    CREDENTIALS,
    LATER,
    LOST_AFTER,
    LOST_BEFORE,
    REFUSED,
    TMOBILE,
    Evening,
    OperatorWorld,
    Session,
)

DIALECTS = pytest.mark.parametrize("terms", [TMOBILE, CAMARA], ids=["tmobile", "camara"])


# One evening


def test_an_evening() -> None:
    evening = Evening().play("7", 150).run(150)
    assert evening.told() == [
        "0 create",
        "1 poll",  # REQUESTED: every second
        "31 poll",  # AVAILABLE: every half minute
        "61 poll",
        "91 poll",
        "120.5 poll",  # 30 s before expiry
        "150 delete",
    ]
    evening.end().run(600)
    assert evening.name == "ended"
    assert evening.operator.live(evening.now_ms) == []
    assert evening.asked() == [150]


def test_jitter_spreads_the_polls_up_to_twice_the_interval() -> None:
    evening = Evening(jitter=0.999, operator=OperatorWorld(delay_ms=2_500)).play("7", 1_000).run(130)
    assert evening.times(Poll) == pytest.approx([2, 4, 64, 124], abs=0.1)


@pytest.mark.parametrize(
    ("left_s", "asked_s"),
    [
        (29, None),  # not worth it
        (30, 60),  # the operator grants no less than a minute
        (61.001, 62),
        (5_400, 5_400),
        (20_000, 14_400),  # a forgotten lease costs four hours at most
    ],
)
def test_it_asks_for_what_is_left(left_s: float, asked_s: int | None) -> None:
    assert Evening().play("7", left_s).run(1).asked() == ([] if asked_s is None else [asked_s])


def test_it_never_asks_for_more_than_the_operator_gives() -> None:
    evening = Evening(terms=replace(TMOBILE, max_lease_s=200_000)).play("7", 200_000).run(1)
    assert evening.asked() == [86_400]


def test_the_granted_duration_counts_not_the_asked_one() -> None:
    evening = Evening(operator=OperatorWorld(grants_s=600)).play("7", 3_600).run(1_200)
    assert evening.times(Create) == [0, 585.5, 1171]


@DIALECTS
def test_a_bay_that_nobody_plays_at_costs_nothing(terms: Any) -> None:
    assert Evening(terms=terms).run(100_000).actions == []


def test_the_end_of_play_deletes_whatever_the_state() -> None:
    for delay_ms, seconds in ((None, 5), (500, 5), (500, 100)):
        evening = Evening(operator=OperatorWorld(delay_ms=delay_ms)).play("7", 600).run(seconds)
        evening.end().run(0)
        assert evening.times(Delete) == [seconds]
        assert evening.operator.live(evening.now_ms) == []


def test_the_next_session_of_play_goes_on_with_the_lease() -> None:
    """PLAYING may follow PLAYING: no gap, no second session."""
    evening = Evening().play("7", 3_600).run(60).play("8", 900).run(300)
    assert evening.times(Create) == [0]
    assert evening.times(Delete) == []
    assert evening.end().run(1).times(Delete) == [360]


def test_another_device_in_the_configuration_ends_the_lease() -> None:
    evening = Evening().play("7", 3_600).run(60)
    evening.terms = replace(TMOBILE, flow="other")
    evening.run(60)
    assert evening.told()[-4:-1] == ["60 delete", "60 create", "61 poll"]


# REQUESTED for too long


def test_requested_for_half_a_minute_is_deleted_and_tried_again_up_to_a_cap() -> None:
    evening = Evening(operator=OperatorWorld(delay_ms=None)).play("7", 7_200).run(3_600)
    assert evening.times(Create) == [0, 35, 75]  # 5 s, then 10 s of back-off
    assert evening.times(Delete) == [30, 65, 105]
    assert evening.troubles() == [Trouble.STUCK_TOO_OFTEN]
    assert evening.name == "degraded"
    evening.end().run(10)
    assert evening.name == "idle"
    evening.operator.delay_ms = 500
    assert evening.play("8", 600).run(120).name == "available"  # the next customer is tried anew


# The network ends it


def test_a_terminated_session_is_deleted_and_created_again_up_to_a_cap() -> None:
    evening = Evening().play("7", 7_200)
    for _ in range(6):
        evening.run(200)
        evening.operator.terminate(evening.now_ms)
    evening.run(600)
    assert len(evening.times(Create)) == 4  # the first, and three more for this session of play
    assert evening.troubles() == [Trouble.TERMINATED_TOO_OFTEN]
    assert evening.operator.blocking(evening.now_ms) == []  # deleted every time
    assert evening.end().run(0).play("8", 600).run(60).name == "available"


@DIALECTS
@pytest.mark.parametrize("says_why", [True, False])
def test_a_terminated_session_comes_back_within_a_poll_and_a_backoff(terms: Any, says_why: bool) -> None:
    evening = Evening(terms=terms, operator=OperatorWorld(says_why=says_why)).play("7", 3_600).run(100)
    evening.operator.terminate(evening.now_ms)
    evening.actions.clear()
    evening.run(60)
    assert evening.name == "available"
    assert evening.told()[:4] == ["121 poll", "121 delete", "126 create", "127 poll"]


def test_a_session_that_somebody_else_deleted_comes_back_too() -> None:
    evening = Evening().play("7", 3_600).run(100)
    session = evening.operator.sessions[0]
    session.ended_ms, session.cause = evening.now_ms, "DELETE_REQUESTED"
    evening.run(60)
    assert evening.name == "available"
    assert evening.times(Delete) == []  # a 404 says it all


def test_expiry_in_play_creates_at_once() -> None:
    """The operator counted otherwise than we did."""
    evening = Evening().play("7", 600).run(100)
    evening.operator.sessions[0].duration_s = 110
    evening.run(25)
    assert evening.told()[-3:] == ["121 poll", "121 create", "122 poll"]
    assert evening.name == "available"


def test_without_a_reason_an_end_at_expiry_is_the_expiry() -> None:
    """0.10 has no statusInfo."""
    available = Available(Record("7"), LEASE, 1_000, 601_000, 2_000)
    late = evolve(available, QosStatusSeen("109", "qos-1", "UNAVAILABLE", None, 601_000, 599_500))
    assert late == Ended(Record("7"), Cause.EXPIRED, 599_500)
    early = evolve(available, QosStatusSeen("109", "qos-1", "UNAVAILABLE", None, 601_000, 590_000))
    assert isinstance(early, Ending)
    assert early.cause is Cause.TERMINATED


def test_a_lease_that_does_not_end_when_it_should_is_ended() -> None:
    evening = Evening(max_sessions=1).play("7", 600).run(2)
    evening.operator.sessions[0].duration_s = 10_000  # our clock, or theirs, is wrong
    lease = evening.state
    assert isinstance(lease, Available)
    evening.wish = LowLatency("7", 3_600_000, None)
    for _ in range(5_000):
        action = evening.next()
        if isinstance(action, Delete):
            break
        if isinstance(action, Rest):
            assert action.until_ms is not None
            evening.now_ms = action.until_ms
        else:
            # It is always AVAILABLE, and never says until when.
            evening.hear(QosStatusSeen("109", lease.lease.qos_id, "AVAILABLE", None, None, evening.now_ms))
    assert evening.now_ms == lease.expires_at_ms + 30_000


# More time


def test_without_extend_more_time_is_a_hand_over_near_expiry() -> None:
    evening = Evening().play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(1_400)
    assert evening.times(Create) == [0, 585.5]  # 15 s before expiry: delete, create
    assert evening.times(Delete) == [585.5, 1_500]
    assert [action.cause for _, action in evening.actions if isinstance(action, Delete)] == [
        Cause.HANDED_OVER,
        Cause.UNWANTED,
    ]


def test_a_short_lease_is_used_for_three_quarters_at_least() -> None:
    evening = Evening(operator=OperatorWorld(grants_s=40, delay_ms=0)).play("7", 600).run(100)
    assert evening.times(Create) == [0, 30, 60, 90]


def test_a_few_seconds_more_are_not_worth_a_gap() -> None:
    evening = Evening().play("7", 600).run(100)
    evening.wish = LowLatency("7", 625_000, None)
    evening.run(1_400)
    assert evening.times(Create) == [0]


def test_with_extend_more_time_is_an_extension_long_before_expiry() -> None:
    evening = Evening(terms=CAMARA).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(1_500)
    assert evening.times(Extend) == [420.5]  # three minutes before expiry
    assert evening.times(Create) == [0]
    assert evening.operator.sessions[0].duration_s == 1_500
    assert evening.times(Delete) == [1_500]


def test_a_capped_extension_is_followed_by_a_hand_over() -> None:
    evening = (
        Evening(terms=CAMARA, operator=OperatorWorld(grants_s=600, longest_s=600)).play("7", 600).run(100)
    )
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(1_000)
    assert evening.times(Extend) == [420.5, 1_006]  # no gain: asked once for each lease
    assert evening.times(Create) == [0, 585.5]
    assert evening.name == "available"


@pytest.mark.parametrize(("fault", "extensions"), [(LOST_AFTER, 1), (LOST_BEFORE, 2)])
def test_an_unclear_extension_is_looked_at_not_repeated_blindly(fault: str, extensions: int) -> None:
    evening = Evening(terms=CAMARA).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(300)
    assert not evening.times(Extend)
    evening.now_ms = 420_500
    evening.operator.faults = [fault]
    evening.run(100)
    assert len(evening.times(Extend)) == extensions
    assert evening.operator.sessions[0].duration_s in range(1_499, 1_502)
    after = [type(action) for at_ms, action in evening.actions if at_ms == 420_500]
    assert after[after.index(Extend) + 1] is Poll
    if extensions == 2:
        first, second = evening.times(Extend)
        assert second - first >= 20


def test_extensions_that_never_work_end_in_a_hand_over_without_hammering() -> None:
    evening = Evening(terms=CAMARA, operator=OperatorWorld(extend_fault=LATER)).play("7", 600).run(400)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(200)
    assert evening.times(Extend) == [420.5 + 20 * number for number in range(7)]  # none in the last minute
    assert evening.times(Create) == [0, 585.5]


def test_an_extension_that_is_refused_is_not_asked_for_again() -> None:
    evening = Evening(terms=CAMARA).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(320)
    evening.operator.faults = [REFUSED]
    evening.run(300)
    assert len(evening.times(Extend)) == 1
    assert evening.times(Create) == [0, 585.5]


def test_time_given_in_the_last_minute_is_handed_over_for() -> None:
    """One operator answers 404 to an extension near expiry."""
    evening = Evening(terms=CAMARA).play("7", 600).run(560)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(100)
    assert evening.times(Extend) == []
    assert evening.times(Create) == [0, 585.5]


# Pauses


def test_a_pause_keeps_the_lease_for_ten_minutes() -> None:
    evening = Evening().play("7", 3_600).run(100).pause().run(599)
    assert evening.times(Delete) == []
    evening.run(1)
    assert evening.times(Delete) == [700]
    evening.run(600)
    assert evening.times(Create) == [0]  # nothing is created in a pause
    evening.resume().run(10)
    assert evening.times(Create) == [0, 1_300]
    assert evening.asked()[1] == 3_500  # what is left, and the time that the pause took not at all


@DIALECTS
def test_in_a_pause_nothing_is_bought(terms: Any) -> None:
    """The lease may well run out; play that goes on gets a new one."""
    evening = Evening(terms=terms).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.pause().run(550)
    assert evening.times(Create) == [0]
    assert evening.times(Extend) == []
    assert evening.name == "ended"
    evening.resume().run(1)
    assert evening.times(Create) == [0, 650]
    assert evening.asked()[1] == 1_400


def test_a_short_pause_makes_the_lease_too_short_and_is_made_good_later() -> None:
    evening = Evening().play("7", 600).run(100).pause().run(300).resume().run(600)
    assert evening.times(Create) == [0, 585.5]
    assert evening.end().run(1).name == "ended"


# A create whose outcome nobody knows


@pytest.mark.parametrize("fault", [LOST_AFTER, LOST_BEFORE])
def test_with_retrieve_an_unclear_create_is_looked_for(fault: str) -> None:
    evening = Evening(terms=CAMARA, operator=OperatorWorld(faults=[fault])).play("7", 600).run(60)
    assert evening.times(Find) == [5]  # it may still have been on its way
    assert evening.times(Create) == ([0] if fault == LOST_AFTER else [0, 5])
    assert evening.name == "available"
    assert len(evening.operator.sessions) == 1


def test_a_look_that_fails_is_repeated() -> None:
    operator = OperatorWorld(faults=[LOST_AFTER, LATER, LATER])
    evening = Evening(terms=CAMARA, operator=operator, jitter=0.5).play("7", 600).run(60)
    assert len(evening.times(Find)) == 3
    assert evening.name == "available"


def test_a_bay_is_not_without_for_ever_because_no_look_is_answered() -> None:
    """An operator that refuses every look: the create runs its course, stays paid for, and is over."""
    operator = OperatorWorld(faults=[LOST_AFTER, *[REFUSED] * 200])
    evening = Evening(terms=CAMARA, operator=operator, jitter=0.9).play("7", 3_600).run(3_600)
    assert evening.name == "creating"
    operator.faults = [REFUSED] * 20
    evening.end().run(300)
    assert evening.troubles() == [Trouble.ORPHAN]
    operator.faults.clear()
    evening.play("8", 600).run(60)
    assert evening.name == "available"
    assert evening.day.spent.sessions == 2


def test_a_late_commit_is_found_by_its_conflict() -> None:
    """The look came too early, the repeat meets our own session."""
    evening = (
        Evening(terms=CAMARA, operator=OperatorWorld(faults=[LOST_BEFORE])).play("7", 600).run(5 - 0.001)
    )
    evening.run(0)
    evening.now_ms = 5_000
    evening.perform(Find("7", TMOBILE.flow))
    evening.operator.sessions.append(Session("late", 600, evening.now_ms, None))
    evening.run(60)
    assert evening.told()[-4:-1] == ["5 create", "5 find", "6 poll"]
    assert isinstance(evening.state, Available)
    assert evening.state.lease.qos_id == "late"


def test_without_retrieve_an_unclear_create_is_repeated_once_with_its_correlator() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_BEFORE])).play("7", 600).run(60)
    creates = [action for _, action in evening.actions if isinstance(action, Create)]
    assert [create.x_correlator for create in creates] == [None, "correlator-1"]
    assert evening.name == "available"


def test_without_retrieve_a_lost_id_is_an_orphan_until_it_has_run_out() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_AFTER])).play("7", 600).run(500)
    assert evening.told() == ["0 create", "5 create", "5 degrade"]
    assert evening.troubles() == [Trouble.ORPHAN]
    # The next customer must not run into it either.
    evening.end().run(10).play("8", 3_600).run(140)
    assert evening.name == "degraded"
    evening.run(60)
    assert evening.times(Create)[2:] == [660]  # asked for 600 s at 0, and a minute more
    assert evening.name == "available"


def test_an_unclear_create_that_nobody_wants_any_more_is_not_repeated() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_BEFORE])).play("7", 600).run(1).end().run(60)
    assert evening.times(Create) == [0]
    assert evening.troubles() == [Trouble.ORPHAN]
    found = Evening(terms=CAMARA, operator=OperatorWorld(faults=[LOST_AFTER])).play("7", 600).run(1)
    found.end().run(60)
    assert found.told() == ["0 create", "5 find", "5 delete"]
    assert found.operator.live(found.now_ms) == []


def test_two_unclear_creates_leave_an_orphan() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_BEFORE, LOST_AFTER])).play("7", 600).run(60)
    assert evening.times(Create) == [0, 5]
    assert evening.troubles() == [Trouble.ORPHAN]


@pytest.mark.parametrize("fault", [REFUSED, CREDENTIALS])
def test_a_repeat_that_is_refused_leaves_the_first_one_in_doubt(fault: str) -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_BEFORE, fault])).play("7", 600).run(60)
    assert evening.troubles() == [Trouble.ORPHAN]


def test_a_repeat_that_was_not_done_is_still_a_repeat() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LOST_AFTER, LATER, LATER])).play("7", 600).run(60)
    correlators = {action.x_correlator for _, action in evening.actions[1:] if isinstance(action, Create)}
    assert correlators == {"correlator-1"}
    assert len(evening.times(Create)) == 4
    assert evening.troubles() == [Trouble.ORPHAN]


# Refusals


@DIALECTS
def test_a_foreign_session_is_waited_for_from_half_a_minute_to_five(terms: Any) -> None:
    operator = OperatorWorld(sessions=[Session("foreign", 7_200, 0, 0, mine=False)])
    evening = Evening(terms=terms, operator=operator).play("7", 7_000).run(2_000)
    creates = evening.times(Create)
    gaps = [later - earlier for earlier, later in pairwise(creates)]
    assert gaps == sorted(gaps)
    assert gaps[0] == pytest.approx(30, abs=1)
    assert gaps[-1] == pytest.approx(300, abs=1)
    assert set(evening.troubles()) == {Trouble.CONFLICT}
    assert evening.times(Delete) == []  # never somebody else's


def test_a_refusal_is_final_for_this_session_of_play() -> None:
    evening = Evening(operator=OperatorWorld(faults=[REFUSED])).play("7", 3_600).run(3_000)
    assert evening.times(Create) == [0]
    assert evening.troubles() == [Trouble.REFUSED]
    assert evening.end().run(5).play("8", 600).run(60).name == "available"


def test_wrong_credentials_are_not_hammered() -> None:
    evening = Evening(operator=OperatorWorld(faults=[CREDENTIALS] * 3)).play("7", 3_600).run(1_000)
    assert evening.times(Create) == [0, 300, 600, 900]
    assert evening.name == "available"


def test_a_create_that_was_certainly_not_done_is_tried_again_with_backoff() -> None:
    evening = Evening(operator=OperatorWorld(faults=[LATER] * 4)).play("7", 3_600).run(200)
    assert evening.times(Create) == [0, 10, 20, 40, 80]  # 5, 10, 20, 40 s; never two within 10 s
    assert evening.name == "available"


def test_deletions_are_tried_until_they_are_heard_or_the_lease_has_run_out() -> None:
    evening = Evening(jitter=0.999).play("7", 600).run(100).end()
    evening.operator.faults = [LATER] * 5
    evening.run(60)
    assert len(evening.times(Delete)) == 6
    assert evening.name == "ended"

    deaf = Evening(jitter=0.999).play("7", 600).run(100).end()
    deaf.operator.faults = [LATER] * 10_000
    deaf.run(1_000)
    assert deaf.name == "idle"
    assert deaf.times(Delete)[-1] < 661  # expiry, and a minute
    assert len(deaf.times(Delete)) < 40


def test_looks_that_fail_change_nothing_and_are_spread_out() -> None:
    evening = Evening(jitter=0.999).play("7", 3_600).run(100)
    evening.operator.faults = [LATER] * 1_000
    before = len(evening.times(Poll))
    evening.run(600)
    assert evening.name == "available"
    assert 20 < len(evening.times(Poll)) - before < 40
    evening.operator.faults = []
    assert evening.run(61).times(Create) == [0]


# Money


def test_a_days_sessions_are_capped() -> None:
    evening = Evening(max_sessions=2)
    for session in ("7", "8", "9"):
        evening.play(session, 600).run(600).end().run(60)
    assert len(evening.times(Create)) == 2
    assert Trouble.COST_CAP in evening.troubles()
    assert evening.operator.live(evening.now_ms) == []


def test_a_days_minutes_are_capped_and_what_was_not_used_comes_back() -> None:
    evening = Evening(max_seconds=1_000).play("7", 900).run(300).end().run(1)
    assert evening.day.spent == Spent(1, 300)
    evening.play("8", 3_600).run(2_000)
    assert evening.asked() == [900, 700]
    assert evening.troubles()[0] is Trouble.COST_CAP
    assert evening.operator.network_s(evening.now_ms) <= 1_000


def test_an_extension_is_paid_for() -> None:
    evening = Evening(terms=CAMARA).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(500)
    assert evening.day.spent == Spent(1, 1_500)
    evening.run(300).end().run(1)
    assert evening.day.spent == Spent(1, 900)


def test_a_create_that_is_looked_for_too_late_stays_paid_for() -> None:
    """It ran its whole minute while the daemon was away."""
    evening = Evening(terms=CAMARA, operator=OperatorWorld(faults=[LOST_AFTER])).play("7", 60).run(1)
    evening.end().restart(away_s=90).run(10)
    assert evening.name == "idle"
    assert evening.day.spent == Spent(1, 60)


def test_an_unclear_create_that_was_over_before_its_repeat_stays_paid_for() -> None:
    """Granted for less than was asked, in a reply that was lost, while nobody was there."""
    evening = Evening(operator=OperatorWorld(faults=[LOST_AFTER], grants_s=60)).play("7", 150).run(0)
    evening.restart(away_s=70).run(300)
    assert len(evening.operator.sessions) == 2
    assert evening.day.spent.seconds >= evening.operator.network_s(evening.now_ms) > 100


def test_a_create_that_was_refused_costs_nothing() -> None:
    evening = Evening(operator=OperatorWorld(faults=[REFUSED])).play("7", 600).run(10)
    assert evening.day.spent == Spent(0, 0)


def test_a_lease_is_not_handed_over_to_one_that_there_is_no_money_for() -> None:
    evening = Evening(max_sessions=1).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.run(1_000)
    assert evening.times(Delete) == []
    assert evening.operator.sessions[0].cause == "DURATION_EXPIRED"


def test_a_new_day_begins_at_nothing() -> None:
    day = Day().with_cost("monday", Spent(3, 900))
    assert day.budget("monday", max_sessions=4, max_seconds=1_000).sessions == 1
    assert day.budget("tuesday", max_sessions=4, max_seconds=1_000).seconds == 1_000
    assert day.with_cost("tuesday", Spent(0, -200)).spent == Spent(0, 0)
    assert day.budget("monday", max_sessions=None, max_seconds=None).sessions is None


def test_a_lease_that_is_over_before_it_is_used_does_not_start_a_storm() -> None:
    evening = Evening(operator=OperatorWorld(grants_s=1)).play("7", 600).run(600)
    assert len(evening.times(Create)) <= 60
    gaps = [b - a for a, b in pairwise(evening.times(Create))]
    assert min(gaps) >= 10


# Restarts


@DIALECTS
def test_after_a_restart_a_playing_bay_adopts_and_a_free_one_deletes(terms: Any) -> None:
    playing = Evening(terms=terms).play("7", 600).run(100).restart(away_s=20).run(1)
    assert playing.told()[-1] == "120 poll"
    assert playing.name == "available"
    assert playing.times(Create) == [0]

    free = Evening(terms=terms).play("7", 600).run(100).end().restart(away_s=20).run(1)
    assert free.told()[-1] == "120 delete"
    assert free.operator.live(free.now_ms) == []


@DIALECTS
def test_after_a_restart_a_session_that_has_gone_is_replaced(terms: Any) -> None:
    evening = Evening(terms=terms).play("7", 3_600).run(100)
    evening.operator.terminate(evening.now_ms)
    evening.restart(away_s=400).run(10)
    assert evening.name == "available"
    assert len(evening.operator.live(evening.now_ms)) == 1


def test_a_crash_between_the_post_and_its_answer_is_an_unclear_create() -> None:
    found = Evening(terms=CAMARA, crash=lambda action: isinstance(action, Create)).play("7", 600).run(60)
    assert found.name == "available"
    assert len(found.operator.sessions) == 1
    lost = Evening(crash=lambda action: isinstance(action, Create)).play("7", 600).run(60)
    assert lost.troubles() == [Trouble.ORPHAN]
    assert len(lost.operator.sessions) == 1


def test_a_restart_in_an_extension_asks_first() -> None:
    evening = Evening(terms=CAMARA).play("7", 600).run(100)
    evening.wish = LowLatency("7", 1_500_000, None)
    evening.now_ms = 420_500
    state = evening.state
    assert isinstance(state, Available)
    evening.hear(QosExtendIntended("109", state.lease.qos_id, 900, evening.now_ms))
    evening.operator.sessions[0].duration_s += 900  # it did happen
    evening.restart().run(30)
    assert evening.times(Extend) == []
    assert evening.name == "available"


def test_a_restart_in_a_deletion_deletes() -> None:
    evening = Evening().play("7", 600).run(100).end()
    evening.operator.faults = [LATER] * 3
    evening.run(0.6).restart().run(1)
    assert evening.name == "ended"


def test_a_restart_moves_every_instant_onto_the_new_clock() -> None:
    record = Record("7", 1, 1, 2, failed_at_ms=50_000, created_at_ms=40_000)
    until = Degraded(record, Trouble.ORPHAN, None, 60_000, 700_000)
    moved = evolve(until, QosRestarted("109", -55_000, 5_000))
    assert moved == Degraded(
        replace(record, failed_at_ms=-5_000, created_at_ms=-15_000), Trouble.ORPHAN, None, 5_000, 645_000
    )


# The state itself

LEASE = Lease("qos-1", "7", "correlator-1", "flow", 600)
STATES: list[State] = [
    Idle(),
    Creating(Record("7"), "7", "correlator-1", "flow", 600, 1_000, 2, Outcome.UNCLEAR, 2_000, 3_000, 1),
    Requested(Record("7", 1, 2, 3, 4, 5), LEASE, 1_000, None, 1),
    Available(Record("7"), LEASE, 1_000, 601_000, 2_000, 1, False, 1_500),
    Extending(Record("7"), LEASE, 1_000, 601_000, 2_000, True, 3_000, 2),
    Ending(Record("7"), LEASE, Cause.STUCK, 1_000, 700_000, 2, 2_000),
    Ended(Record("7"), Cause.EXPIRED, 1_000),
    Degraded(Record("7"), Trouble.CONFLICT, "7", 1_000, None),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
def test_every_state_survives_its_json(state: State) -> None:
    again = load(json.loads(json.dumps(dump(state))))
    assert again == state
    assert type(again) is type(state)


def test_a_row_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(KeyError):
        load({"state": "dancing", "record": {}})
    with pytest.raises(ValueError, match="no_such"):
        load(dump(STATES[5]) | {"cause": "no_such"})
    with pytest.raises(TypeError):
        load({"state": "idle", "record": {}, "colour": "red"})


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
def test_answers_about_another_session_change_nothing(state: State) -> None:
    for event in (
        QosStatusSeen("109", "qos-9", "UNAVAILABLE", None, None, 5_000),
        QosVanished("109", "qos-9", 5_000),
        QosDeleted("109", "qos-9", 5_000),
        QosExtendFailed("109", "qos-9", unclear=True, at_ms=5_000),
    ):
        assert evolve(state, event) == state
    if not isinstance(state, Creating):
        assert evolve(state, QosCreated("109", "qos-9", "AVAILABLE", None, None, 5_000)) == state


@pytest.mark.parametrize("word", ["PENDING", "", "available"])
def test_an_unknown_status_leaves_things_as_they_are(word: str) -> None:
    requested = Requested(Record("7"), LEASE, 1_000, 1_000)
    seen = evolve(requested, QosStatusSeen("109", "qos-1", word, None, None, 5_000))
    assert seen == replace(requested, seen_at_ms=5_000)
    available = Available(Record("7"), LEASE, 1_000, 601_000, 2_000)
    seen = evolve(available, QosStatusSeen("109", "qos-1", word, None, None, 5_000))
    assert seen == replace(available, seen_at_ms=5_000)


def test_a_session_that_is_born_unavailable_is_deleted() -> None:
    creating = Creating(Record("7"), "7", "correlator-1", TMOBILE.flow, 600, 0)
    born = evolve(creating, QosCreated("109", "qos-1", "UNAVAILABLE", None, 600, 100))
    wish = LowLatency("7", 600_000, None)
    assert plan(born, wish, 100, terms=TMOBILE, jitter=0.0) == Delete("qos-1", Cause.TERMINATED)


# Anything may happen

_HAPPENINGS = st.one_of(
    st.tuples(st.just("play"), st.integers(1, 9), st.integers(1, 9_000)),
    st.tuples(st.just("end")),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("restart"), st.integers(0, 900)),
    st.tuples(st.just("terminate")),
    st.tuples(st.just("foreign"), st.integers(60, 600)),
    st.tuples(st.just("fault"), st.sampled_from([LOST_BEFORE, LOST_AFTER, LATER, REFUSED, CREDENTIALS])),
    st.tuples(st.just("delay"), st.sampled_from([None, 0, 500, 20_000])),
    st.tuples(st.just("grants"), st.sampled_from([None, 1, 60, 600])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("run"), st.integers(0, 1_200)),
)


def _happen(evening: Evening, happening: tuple[Any, ...]) -> None:
    wish = evening.wish
    paused = wish is not None and wish.paused_since_ms is not None
    match happening:
        case ("play", number, seconds):
            evening.play(str(number), seconds)
        case ("end",):
            evening.end()
        case ("pause",) if wish is not None and not paused:
            evening.pause()
        case ("resume",) if paused:
            evening.resume()
        case ("restart", away_s):
            evening.restart(away_s=away_s)
        case ("terminate",):
            evening.operator.terminate(evening.now_ms)
        case ("foreign", seconds):
            if not evening.operator.blocking(evening.now_ms):
                foreign = Session("foreign", seconds, evening.now_ms, evening.now_ms, mine=False)
                evening.operator.sessions.append(foreign)
        case ("fault", fault):
            evening.operator.faults.append(fault)
        case ("delay", delay_ms):
            evening.operator.delay_ms = delay_ms
        case ("grants", grants_s):
            evening.operator.grants_s = grants_s
        case ("crash",):
            evening.crash = lambda action: isinstance(action, Create)
            evening.run(1)
            evening.crash = lambda _action: False
        case ("run", seconds):
            evening.run(seconds)
    evening.run(0)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_HAPPENINGS, max_size=25),
    st.sampled_from([TMOBILE, CAMARA]),
    st.floats(0, 0.999),
    st.booleans(),
)
def test_whatever_happens(
    happenings: list[tuple[Any, ...]], terms: Any, jitter: float, says_why: bool
) -> None:
    _check_whatever_happens(happenings, terms, jitter, says_why)


@pytest.mark.soak
@settings(max_examples=5_000, deadline=None)
@given(
    st.lists(_HAPPENINGS, max_size=60),
    st.sampled_from([TMOBILE, CAMARA]),
    st.floats(0, 0.999),
    st.booleans(),
)
def test_whatever_happens_at_full_size(
    happenings: list[tuple[Any, ...]], terms: Any, jitter: float, says_why: bool
) -> None:
    _check_whatever_happens(happenings, terms, jitter, says_why)


def _check_whatever_happens(
    happenings: list[tuple[Any, ...]], terms: Any, jitter: float, says_why: bool
) -> None:
    """`Evening.run` itself holds that the planner comes to rest, and never rests until the past."""
    evening = Evening(terms=terms, jitter=jitter, operator=OperatorWorld(says_why=says_why))
    for happening in happenings:
        _happen(evening, happening)
        assert evening.day.spent.seconds >= 0

    firsts = [
        at_ms for at_ms, action in evening.actions if isinstance(action, Create) and not action.x_correlator
    ]
    assert all(later - earlier >= 10_000 for earlier, later in pairwise(firsts))

    # The operator is well again, the bay is empty: sooner or later nothing of ours is left there.
    operator = evening.operator
    operator.faults, operator.delay_ms, operator.grants_s = [], 500, None
    evening.end().run(20_000)
    assert operator.live(evening.now_ms) == []
    assert evening.name in ("idle", "ended")
    # What was charged covers what the operator will want, whole seconds aside.
    assert evening.day.spent.seconds + len(operator.sessions) * 2 >= operator.network_s(evening.now_ms)

    # And the next customer gets it.
    evening.play("next", 600).run(350)
    assert evening.name == "available"
    assert len(operator.live(evening.now_ms)) == 1
