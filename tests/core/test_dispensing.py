"""Owed balls, told as scripts: steps, sizes, caps, unknown balls, tests, stock, and the books at the end."""

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide, next_wake_ms
from bayd.core.desired import desired, narrowed
from bayd.core.dispensing import choices
from bayd.core.evolve import evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Balls, DeviceState, EndReason, Game, PayoutEnd, Phase
from bayd.core.rules import FaultPolicy, Rules, StepPolicy, UnknownPolicy
from tests.core.playbook import SCREEN, STAFF, WALL_MS, Playbook, booked, playing, seen

TECHNICIAN = i.Actor(i.Role.TECHNICIAN, "tess")
MARK = {"event": 4}
PULSE = {"life": 1, "pulse": 1}


def balls(book: Playbook) -> Balls:
    if book.bay.session is not None:
        return book.bay.session.balls
    assert book.bay.last is not None
    return book.bay.last.balls


def tray(policy: StepPolicy = StepPolicy.REFUSE, **more: object) -> Rules:
    return Rules(dispenser="east", dispenser_step=25, step_policy=policy, **more)  # type: ignore[arg-type] # rules by name


def paid(
    book: Playbook, payout_id: str, asked: int, got: int | None, end: PayoutEnd = PayoutEnd.DONE
) -> None:
    book.when(i.Dispense(payout_id, asked, SCREEN))
    book.when(i.PayoutMarkTaken(payout_id, asked, MARK))
    book.when(i.PayoutEnded(payout_id, end, got, "jam" if end is PayoutEnd.FAULT else ""))


# Steps, sizes, caps


@pytest.mark.parametrize(
    ("policy", "pressed", "paid_out"),
    [
        (StepPolicy.REFUSE, 20, None),
        (StepPolicy.REFUSE, 25, 25),
        (StepPolicy.ROUND_UP, 20, 25),
        (StepPolicy.ROUND_UP, 26, 50),
        (StepPolicy.ROUND_DOWN, 26, 25),
        (StepPolicy.ROUND_DOWN, 20, None),
    ],
)
def test_a_tray_pays_multiples_and_the_site_says_what_becomes_of_the_rest(
    policy: StepPolicy, pressed: int, paid_out: int | None
) -> None:
    book = playing(60, rules=tray(policy))
    book.when(i.Dispense("p1", pressed, SCREEN))
    if paid_out is None:
        book.refused("balls_step")
    else:
        book.then(seen(e.PayoutRequested, balls=paid_out, pressed=pressed))


@pytest.mark.parametrize(
    ("policy", "pressed", "code"),
    [
        (StepPolicy.REFUSE, 20, "balls_step"),
        (StepPolicy.REFUSE, 25, "limit_reached"),
        (StepPolicy.ROUND_DOWN, 30, "limit_reached"),
        (StepPolicy.ROUND_UP, 26, "limit_reached"),
        (StepPolicy.ROUND_UP, 20, None),
        (StepPolicy.ROUND_UP, 25, None),
    ],
)
def test_a_limit_below_the_tray_is_refused_or_rounded_never_passed_in_silence(
    policy: StepPolicy, pressed: int, code: str | None
) -> None:
    book = playing(60, rules=tray(policy), game=Game(3, "GAME 3", 20))
    book.when(i.Dispense("p1", pressed, SCREEN))
    if code is not None:
        book.refused(code)
        return
    book.then(seen(e.PayoutRequested, balls=25, from_balance=0))
    book.when(i.PayoutMarkTaken("p1", 25, MARK)).when(i.PayoutEnded("p1", PayoutEnd.DONE, 25, ""))
    book.when(i.Dispense("p2", 1, SCREEN)).refused("limit_reached")


def test_the_refusal_names_the_step_that_stands_in_the_way() -> None:
    book = playing(60, rules=tray(), game=Game(3, "GAME 3", 20))
    book.when(i.Dispense("p1", 25, SCREEN)).refused("limit_reached")
    assert book.decision.refusal is not None
    assert book.decision.refusal.text.endswith("multiples of 25.")


def test_the_screen_offers_sizes_and_what_is_owed_while_staff_may_ask_for_any() -> None:
    book = playing(60, rules=Rules(dispenser="east", dispense_choices=(25, 50)))
    assert choices(book.bay, book.rules) == (25, 50)
    book.when(i.Dispense("p1", 30, SCREEN)).refused("balls_not_offered")
    paid(book, "p2", 50, 43, PayoutEnd.FAULT)
    assert choices(book.bay, book.rules) == (7, 25, 50)
    book.when(i.Dispense("p3", 7, SCREEN)).then(seen(e.PayoutRequested, from_balance=7))
    book.when(i.PayoutEnded("p3", PayoutEnd.NEVER_STARTED, 0, ""))
    book.when(i.Dispense("p4", 30, STAFF)).then(seen(e.PayoutRequested, balls=30, from_balance=7))


@pytest.mark.parametrize(
    ("policy", "offered"),
    [(StepPolicy.REFUSE, (25, 50)), (StepPolicy.ROUND_UP, (7, 25, 50)), (StepPolicy.ROUND_DOWN, (25, 50))],
)
def test_what_is_owed_is_offered_where_the_machine_can_pay_just_that(
    policy: StepPolicy, offered: tuple[int, ...]
) -> None:
    book = playing(60, rules=tray(policy, dispense_choices=(25, 50)))
    paid(book, "p1", 50, 43, PayoutEnd.FAULT)
    assert choices(book.bay, book.rules) == offered


def test_an_interruption_is_recorded_where_it_decides_something() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN))
    book.when(i.PayoutWasInterrupted("p1", 3_000)).then(e.PayoutInterrupted)
    book.when(i.PayoutWasInterrupted("p1", 2_000)).then()
    book.when(i.PayoutWasInterrupted("p1", 29_000)).then()
    book.when(i.PayoutWasInterrupted("p1", 31_000)).then(seen(e.PayoutInterrupted, interrupted_ms=31_000))
    assert not desired(book.bay, book.rules).payout_may_start
    book.when(i.PayoutWasInterrupted("p1", 60_000)).then()


def test_no_more_than_the_cap_in_its_time_and_what_is_owed_is_not_counted_twice() -> None:
    book = playing(240, rules=Rules(dispenser="east", cap_balls=60, cap_minutes=30))
    book.at(0).when(i.Dispense("p0", 61, SCREEN)).refused("cap_reached")
    book.at(60)
    paid(book, "p1", 40, 30, PayoutEnd.FAULT)
    book.at(600)
    paid(book, "p2", 30, 30)  # ten of them were owed
    book.at(700).when(i.Dispense("p3", 1, SCREEN)).refused("cap_reached")
    refusal = book.decision.refusal
    assert refusal is not None
    # The first forty are forgotten half an hour after their press.
    assert refusal.retry_after_ms == (60 + 1800 - 700) * 1000
    book.at(60 + 1799).when(i.Dispense("p3", 1, SCREEN)).refused("cap_reached")
    book.at(60 + 1800).when(i.Dispense("p3", 40, SCREEN)).then(e.PayoutRequested)
    assert book.bay.session is not None
    assert [asked.balls for asked in book.bay.session.asked] == [20, 40]


def test_more_time_is_no_more_balls_under_the_cap() -> None:
    book = playing(30, rules=Rules(dispenser="east", cap_balls=20, cap_minutes=60))
    book.at(100)
    paid(book, "p1", 20, 20)
    book.at(200).when(i.Extend("x1", 60, 100, STAFF, "asked"))
    book.when(i.Dispense("p2", 1, SCREEN)).refused("cap_reached")
    book.at(3_699).when(i.Dispense("p2", 1, SCREEN)).refused("cap_reached")
    book.at(3_700).when(i.Dispense("p2", 20, SCREEN)).then(e.PayoutRequested)


def test_a_limit_of_0_is_none() -> None:
    book = playing(60, game=Game(1, "GAME 1", 0))
    for number in range(5):
        paid(book, f"p{number}", 200, 200)
    assert book.bay.session is not None
    assert book.bay.session.balls_left is None


def test_after_an_outage_of_unknown_length_no_motor_starts_by_itself() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN)).then(e.PayoutRequested)
    book.at(5).when(i.Restarted(0, 0, same_boot=False, wall_trusted=False))
    interrupted = next(event for event in book.decision.events if isinstance(event, e.PayoutInterrupted))
    assert interrupted.interrupted_ms == book.rules.resume_payout_ms
    assert not desired(book.bay, book.rules).payout_may_start


def test_the_cap_goes_on_over_an_outage() -> None:
    book = playing(240, rules=Rules(dispenser="east", cap_balls=20, cap_minutes=10))
    book.at(100)
    paid(book, "p1", 20, 20)
    # Half an hour away, credited: on the clock of play ten minutes have not passed.
    book.at(2000).when(i.Restarted(200_000, 0, same_boot=True, wall_trusted=False))
    book.when(i.Dispense("p2", 1, SCREEN)).refused("cap_reached")
    book.at(2500).when(i.Dispense("p2", 1, SCREEN)).then(e.PayoutRequested)


# What came out


def test_a_tray_that_holds_more_is_surplus_and_one_that_holds_less_is_made_up_by_the_next() -> None:
    book = playing(60, rules=tray())
    book.when(i.Dispense("p1", 75, SCREEN))
    for paid_so_far, (fell, expected) in enumerate([(24, 24), (26, 50), (27, 75)]):
        book.when(i.PayoutMarkTaken("p1", 25, PULSE | {"pulse": paid_so_far}))
        book.when(i.PayoutProgressed("p1", fell)).then(seen(e.BallsPaid, paid=expected))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, 27, "")).then(seen(e.PayoutClosed, paid=75, surplus=2))
    assert (balls(book).counted, balls(book).surplus, balls(book).balance) == (75, 2, 0)


@pytest.mark.parametrize(
    ("policy", "counted", "owed", "flags"),
    [(UnknownPolicy.ASK, 25, 0, 1), (UnknownPolicy.COUNT, 50, 0, 0), (UnknownPolicy.OWE, 25, 25, 0)],
)
def test_unknown_balls_are_asked_counted_or_owed_as_the_site_wants(
    policy: UnknownPolicy, counted: int, owed: int, flags: int
) -> None:
    book = playing(60, rules=tray(unknown_balls=policy))
    book.when(i.Dispense("p1", 50, SCREEN)).when(i.PayoutMarkTaken("p1", 25, PULSE))
    book.when(i.PayoutProgressed("p1", 25)).when(i.PayoutMarkTaken("p1", 25, PULSE | {"pulse": 2}))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, None, "restarted"))
    kinds = [type(event) for event in book.decision.events]
    assert kinds == [e.PayoutClosed] + ([] if flags else [e.UnknownSettled])
    assert (balls(book).counted, balls(book).balance) == (counted, owed)
    assert (len(book.bay.unsettled), balls(book).unknown) == (flags, 25 * flags)


def test_staff_settle_unknown_balls_with_a_number_and_a_reason() -> None:
    book = playing(60, rules=tray())
    paid(book, "p1", 25, None)
    book.when(i.SettleUnknown("p1", 25, STAFF, " ")).refused("reason_missing")
    book.when(i.SettleUnknown("p1", 26, STAFF, "seen")).refused("balls_invalid")
    book.when(i.SettleUnknown("p9", 5, STAFF, "seen")).refused("nothing_unknown")
    book.when(i.SettleUnknown("p1", 10, STAFF, "counted in the basket")).then(
        seen(e.UnknownSettled, counted=10, owed=15, by="anna")
    )
    assert (balls(book).counted, balls(book).balance, balls(book).unknown) == (10, 15, 0)
    book.when(i.SettleUnknown("p1", 10, STAFF, "again")).refused("nothing_unknown")


def test_unknown_balls_stay_flagged_when_their_session_and_the_next_are_over() -> None:
    book = playing(1, rules=tray())
    paid(book, "p1", 25, None)
    for session_id, at_s in (("8", 60), ("9", 400)):
        book.at(at_s).when(booked(session_id, 1, created_s=at_s))
        book.when(i.StartPlay(STAFF, "PIN lost"))
    assert [flag.session_id for flag in book.bay.unsettled] == ["7"]
    book.when(i.SettleUnknown("p1", 0, STAFF, "tray was full")).then(seen(e.UnknownSettled, owed=25))
    assert book.bay.unsettled == ()
    # The customer has gone: nobody's balance but theirs.
    assert balls(book).balance == 0


# Who may start a motor


def test_a_faulty_machine_starts_nothing_also_for_a_neighbour_who_waits() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN))
    assert desired(book.bay, book.rules).payout_may_start
    book.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    assert not desired(book.bay, book.rules).payout_may_start
    book.when(i.PayoutMarkTaken("p1", 10, MARK)).refused("payout_gone")


@pytest.mark.parametrize(
    ("how", "goes_on"),
    [
        (None, True),
        (i.End(SCREEN, ""), True),
        (i.End(STAFF, "closing"), False),
        (i.Pause(STAFF, "rain"), False),
    ],
)
def test_the_trays_of_a_payout_begun_before_the_end_are_finished_unless_staff_stop_it(
    how: i.Input | None, goes_on: bool
) -> None:
    book = playing(1, rules=tray())
    book.at(50).when(i.Dispense("p1", 75, SCREEN)).when(i.PayoutMarkTaken("p1", 25, PULSE))
    book.at(60 if how is None else 55).when(i.TimeCame() if how is None else how)
    book.when(i.PayoutProgressed("p1", 25))
    assert desired(book.bay, book.rules).payout_may_start is goes_on
    book.when(i.PayoutMarkTaken("p1", 25, PULSE | {"pulse": 2}))
    if goes_on:
        book.then(e.PayoutMarked)
        # … but not after the daemon was away.
        book.when(i.PayoutProgressed("p1", 25)).when(i.PayoutWasInterrupted("p1", 500))
        assert not desired(book.bay, book.rules).payout_may_start
    else:
        book.refused("payout_gone")


def test_a_technicians_test_is_nobodys_and_only_while_nobody_plays() -> None:
    book = Playbook()
    book.when(i.TestDispense("t1", 5, TECHNICIAN, "")).refused("reason_missing")
    book.when(i.TestDispense("t1", 500, TECHNICIAN, "new motor")).refused("balls_invalid")
    book.when(i.Refill("r1", 100, TECHNICIAN))
    book.when(i.TestDispense("t1", 5, TECHNICIAN, "new motor")).then(
        seen(e.PayoutRequested, test=True, session_id="", by="tess", reason="new motor")
    )
    assert desired(book.bay, book.rules).payout_may_start
    book.when(i.PayoutMarkTaken("t1", 5, MARK)).when(i.PayoutEnded("t1", PayoutEnd.DONE, 5, ""))
    assert book.bay.payout is None
    assert book.bay.stock is not None
    assert book.bay.stock.paid == 5

    book = playing(60)
    book.when(i.TestDispense("t2", 5, TECHNICIAN, "new motor")).refused("playing")


def test_a_test_is_never_resumed() -> None:
    book = Playbook()
    book.when(i.TestDispense("t1", 5, TECHNICIAN, "new motor"))
    book.at(1).when(i.Restarted(0, 0, same_boot=True, wall_trusted=True))
    assert not desired(book.bay, book.rules).payout_may_start


# A fault and the clock


@pytest.mark.parametrize("policy", FaultPolicy)
def test_the_clock_of_a_customer_without_balls_runs_on_or_stops(policy: FaultPolicy) -> None:
    book = playing(60, rules=Rules(dispenser="east", dispenser_fault=policy))
    book.at(60).when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    book.when(i.PayoutEnded("p1", PayoutEnd.FAULT, 4, "jam"))
    if policy is FaultPolicy.PLAY_ON:
        book.then(e.PayoutClosed)
        return
    book.then(e.PayoutClosed, seen(e.SessionPaused, by="bayd", device="dispenser"))
    book.at(660).when(i.ClearFault("dispenser", STAFF)).then(
        e.DeviceChanged, seen(e.SessionResumed, ends_at_ms=3_600_000 + 600_000, by="anna")
    )
    book.when(i.Dispense("p2", 6, SCREEN)).then(seen(e.PayoutRequested, from_balance=6))


def test_a_pause_by_staff_outlasts_the_repair() -> None:
    book = playing(60, rules=Rules(dispenser="east", dispenser_fault=FaultPolicy.PAUSE))
    book.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    book.when(i.Pause(STAFF, "lightning"))
    book.when(i.ClearFault("dispenser", STAFF)).then(e.DeviceChanged)
    phase: Phase = book.bay.phase
    assert phase is Phase.PAUSED


def test_a_machine_that_only_missed_the_command_stops_no_clock() -> None:
    book = playing(60, rules=Rules(dispenser="east", dispenser_fault=FaultPolicy.PAUSE))
    book.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.when(i.PayoutEnded("p1", PayoutEnd.FAULT, 0, "no answer")).then(e.PayoutClosed)


# Stock


def test_what_came_out_or_may_have_leaves_the_stock() -> None:
    book = playing(60, rules=tray(dispenser_capacity=400))
    book.when(i.Refill("r1", None, STAFF)).then(seen(e.DispenserRefilled, balls=400, by="anna"))
    book.when(i.Refill("r1", None, STAFF)).then()
    paid(book, "p1", 25, 27)
    paid(book, "p2", 25, None)
    assert book.bay.stock is not None
    assert book.bay.stock.paid == 52
    book.when(i.SettleUnknown("p2", 5, STAFF, "counted"))
    assert book.bay.stock.paid == 32
    book.when(i.Refill("r2", 300, STAFF))
    assert (book.bay.stock.balls, book.bay.stock.paid) == (300, 0)


def test_a_refill_without_a_number_needs_the_capacity() -> None:
    book = Playbook()
    book.when(i.Refill("r1", None, STAFF)).refused("balls_missing")
    book.when(i.Refill("r1", -1, STAFF)).refused("balls_invalid")
    Playbook(Rules()).when(i.Refill("r1", 5, STAFF)).refused("no_dispenser")


# The end of a payout


def test_what_forbids_a_motor_to_start_holds_before_it_is_durable_and_what_allows_it_only_then() -> None:
    book = playing(60).when(i.Dispense("p1", 10, SCREEN))
    allowed = desired(book.bay, book.rules)
    book.when(i.End(STAFF, "closing"))
    forbidden = desired(book.bay, book.rules)
    assert (allowed.payout_may_start, forbidden.payout_may_start) == (True, False)
    assert not narrowed(allowed, forbidden).payout_may_start
    assert not narrowed(forbidden, allowed).payout_may_start


def test_after_a_stop_no_further_tray_is_begun() -> None:
    book = playing(60, rules=tray())
    book.when(i.Dispense("p1", 50, SCREEN)).when(i.PayoutMarkTaken("p1", 25, MARK))
    book.when(i.End(STAFF, "closing"))
    assert book.bay.payout is not None
    assert book.bay.payout.stopping
    book.when(i.PayoutProgressed("p1", 25)).when(i.PayoutMarkTaken("p1", 25, MARK)).refused("payout_gone")


# The books at the end


def played(counted: int, read: int, *, reader: DeviceState = DeviceState.OK, **rules: object) -> Playbook:
    """A session whose time is over, with so many balls counted and read."""
    book = Playbook(Rules(dispenser="east", variance_balls=5, variance_percent=20, **rules))  # type: ignore[arg-type] # by name
    book.when(i.DeviceReported("reader", reader, ""))
    book.when(booked("7", 10)).when(i.StartPlay(STAFF, "PIN lost"))
    paid(book, "p1", counted, counted)
    for number in range(read):
        book.when(i.BallHeard(f"E{number}", 1))
    return book.at(600).when(i.TimeCame())


@pytest.mark.parametrize(
    ("counted", "read", "missing", "tolerated", "beyond"),
    [
        (100, 100, 0, 20, False),
        (100, 80, 20, 20, False),
        (100, 79, 21, 20, True),
        (10, 5, 5, 5, False),
        (10, 4, 6, 5, True),
        (10, 15, -5, 5, False),
        (10, 16, -6, 5, True),
    ],
)
def test_commanded_counted_and_read_are_compared_when_the_last_balls_are_in(
    counted: int, read: int, missing: int, tolerated: int, beyond: bool
) -> None:
    book = played(counted, read)
    assert next_wake_ms(book.bay, book.rules) == 720_000
    book.at(719).when(i.TimeCame()).then()
    book.at(720).when(i.TimeCame()).then(
        seen(
            e.SessionReconciled,
            session_id="7",
            missing=missing,
            tolerated=tolerated,
            beyond=beyond,
            granted=0,
        ),
        e.GraceEnded,
    )
    assert book.bay.last is not None
    assert book.bay.last.reconciled is not None
    assert book.bay.last.reconciled.beyond is beyond
    book.at(800).when(i.TimeCame()).then()


def test_what_is_missing_beyond_what_is_tolerated_is_given_back_where_the_site_wants_it() -> None:
    book = played(100, 60, variance_grant=True)
    book.at(720).when(i.TimeCame()).then(seen(e.SessionReconciled, missing=40, granted=20), e.GraceEnded)
    assert (balls(book).granted, balls(book).balance) == (20, 20)


@pytest.mark.parametrize(
    ("reader", "more"), [(DeviceState.LOST, {}), (DeviceState.OK, {"reads_balls": False})]
)
def test_a_deaf_antenna_accuses_nobody(reader: DeviceState, more: dict[str, object]) -> None:
    book = played(100, 0, reader=reader, variance_grant=True, **more)
    book.at(720).when(i.TimeCame()).then(
        seen(e.SessionReconciled, missing=None, beyond=False, granted=0), e.GraceEnded
    )


def test_an_antenna_that_was_away_for_a_while_proves_nothing() -> None:
    book = Playbook(Rules(dispenser="east"))
    book.when(i.DeviceReported("reader", DeviceState.OK, ""))
    book.when(booked("7", 10)).when(i.StartPlay(STAFF, "PIN lost"))
    paid(book, "p1", 100, 100)
    book.when(i.DeviceReported("reader", DeviceState.LOST, "unplugged"))
    book.when(i.DeviceReported("reader", DeviceState.OK, ""))
    book.at(600).when(i.TimeCame()).at(720).when(i.TimeCame()).then(
        seen(e.SessionReconciled, missing=None), e.GraceEnded
    )


def test_a_payout_that_outlives_its_session_is_in_its_books() -> None:
    book = playing(1)
    book.at(59).when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.at(60).when(i.TimeCame()).then(e.SessionEnded)
    book.at(180).when(i.TimeCame()).then(e.GraceEnded)
    assert next_wake_ms(book.bay, book.rules) is None
    book.at(300).when(i.PayoutEnded("p1", PayoutEnd.DONE, 10, "")).then(e.PayoutClosed, e.SessionReconciled)
    assert balls(book).counted == 10


def test_the_next_session_does_not_swallow_the_books_of_the_last() -> None:
    book = playing(1)
    paid(book, "p1", 10, 10)
    book.at(60).when(booked("8", 1, created_s=30)).when(i.TimeCame())
    book.at(61).when(i.StartPlay(STAFF, "PIN lost")).then(seen(e.SessionStarted, session_id="8"))
    book.at(62).when(i.End(STAFF, "left")).then(
        seen(e.SessionReconciled, session_id="7"),
        seen(e.SessionEnded, session_id="8", reason=EndReason.STAFF),
    )


def test_a_session_without_balls_has_no_books() -> None:
    book = playing(1)
    book.at(60).when(i.TimeCame()).then(e.SessionEnded)
    book.at(180).when(i.TimeCame()).then(e.GraceEnded)
    assert next_wake_ms(book.bay, book.rules) is None


def test_the_comparison_waits_its_time_also_over_a_reboot() -> None:
    book = playing(1)
    paid(book, "p1", 10, 10)
    book.at(60).when(i.TimeCame())
    mark = i.Restarted(70_000, book.now.wall_ms + 10_000, same_boot=False, wall_trusted=True)
    decision = decide(book.bay, mark, Instant(5_000, WALL_MS + 75_000), book.rules)
    bay = evolve_all(book.bay, decision.events)
    # 110 s were left at the mark, and five have passed.
    assert next_wake_ms(bay, book.rules) == 5_000 + 105_000
