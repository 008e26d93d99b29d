"""A session goes to another bay: what goes along, what stays, and who may not."""

from dataclasses import dataclass, field, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.desired import desired
from bayd.core.evolve import REDUCER_VERSION, evolve, evolve_all
from bayd.core.instant import Instant
from bayd.core.model import (
    Balls,
    Bay,
    DeviceState,
    EndReason,
    Game,
    Payment,
    PayoutEnd,
    Phase,
    PutBack,
    StartedBy,
)
from bayd.core.moving import MoveDecision, decide_move
from bayd.core.rules import FaultPolicy, Rules
from bayd.journal.event_codec import BayEventCodec, decode_bay, encode_bay
from bayd.reconcile.ball_stock import BallStock
from tests.core.playbook import SCREEN, STAFF, WALL_MS, booked

CODEC = BayEventCodec()
CENTRAL = i.Actor(i.Role.SYSTEM, "central")


@dataclass
class Hall:
    """Two bays, 109 and 110, and what was journaled."""

    rules: Rules = field(default_factory=lambda: Rules(dispenser="east", extension_price=10))
    bays: dict[str, Bay] = field(default_factory=lambda: {number: Bay(number) for number in ("109", "110")})
    now_ms: int = 0
    moved: MoveDecision = field(init=False)

    @property
    def now(self) -> Instant:
        return Instant(self.now_ms, WALL_MS + self.now_ms)

    def at(self, seconds: float) -> "Hall":
        self.now_ms = round(seconds * 1000)
        return self

    def when(self, request: i.Input, number: str = "109") -> "Hall":
        decision = decide(self.bays[number], request, self.now, self.rules)
        self.bays[number] = evolve_all(self.bays[number], decision.events)
        return self

    def move(self, source: str = "109", to: str = "110", actor: i.Actor = STAFF, **more: str) -> "Hall":
        request = i.Move(to, actor, more.pop("reason", "the net is torn"), **more)
        here, there = self.bays[source], self.bays.get(to)
        self.moved = decide_move(here, there, request, self.now, self.rules, self.rules)
        for number, decision in ((source, self.moved.source), (to, self.moved.target)):
            for event in decision.events:
                # As it comes out of the journal.
                self.bays[number] = evolve(self.bays[number], CODEC.decode(*CODEC.encode(event)))
        return self

    def refused(self, code: str) -> "Hall":
        refusal = self.moved.source.refusal
        assert refusal is not None
        assert refusal.code == code
        assert self.moved.target.refusal is None
        return self

    @property
    def kinds(self) -> tuple[list[str], list[str]]:
        decisions = (self.moved.source, self.moved.target)
        here, there = ([type(event).__name__ for event in d.events] for d in decisions)
        return here, there


def playing(minutes: int = 60, **rules: object) -> Hall:
    hall = Hall(replace(Rules(dispenser="east", extension_price=10), **rules))  # type: ignore[arg-type]
    for number in hall.bays:
        hall.when(i.DeviceReported("reader", DeviceState.OK, ""), number)
    hall.when(booked("7", minutes, game=Game(3, "GAME 3", 30)))
    return hall.when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE))


def test_a_session_goes_with_its_exact_time_balls_players_and_game() -> None:
    hall = playing().at(10)
    hall.when(i.SelectPlayer(29, SCREEN)).when(i.Dispense("p1", 10, SCREEN))
    hall.when(i.PayoutMarkTaken("p1", 10, {"event": 1})).when(i.PayoutEnded("p1", PayoutEnd.FAULT, 7, "jam"))
    hall.when(i.BallHeard("E1", 10_000)).when(i.Extend("op1", 15, 0, STAFF, "a gift"))
    before = hall.bays["109"].session
    assert before is not None
    hall.at(754.321).move()
    assert hall.kinds == (["SessionMovedAway"], ["SessionMovedIn"])
    assert hall.bays["109"].session is None
    after = hall.bays["110"].session
    assert after is not None
    assert after.remaining_ms(hall.now_ms) == (75 * 60_000) - 754_321
    assert after.balls == Balls(commanded=10, counted=7, balance=3, read=1)
    assert after == replace(before, server_bays=("109",), desk_minutes_when_moved=0)
    assert [hall.bays[number].phase for number in ("109", "110")] == [Phase.FREE, Phase.PLAYING]
    assert hall.bays["109"].moved is not None
    assert hall.bays["109"].moved.to == "110"
    hall.when(i.Dispense("p2", 23, SCREEN), "110")
    assert hall.bays["110"].payout is not None
    hall.at(75 * 60).when(i.TimeCame(), "110")
    last = hall.bays["110"].last
    assert last is not None
    assert (last.reason, last.played_ms) == (EndReason.TIME, 75 * 60_000)


def test_a_call_for_help_and_what_is_owed_an_explanation_go_along() -> None:
    hall = playing().at(60).when(i.CallHelp(SCREEN)).when(i.Extend("op1", 15, 500, STAFF, "asked for it"))
    hall.when(i.ServerContradicted("payment_not_told", "7", "500 were not told.", "op1"))
    hall.when(i.ServerContradicted("moved_at_server", "7", "It is shown at bay 110."))
    hall.when(i.ServerContradicted("payment_not_told", "6", "An earlier guest's.", "op0"))
    hall.at(70).move()
    here, there = hall.bays["109"], hall.bays["110"]
    assert (here.help_since_ms, there.help_since_ms) == (None, 60_000)
    assert [c.name for c in here.conflicts] == ["payment_not_told/6/op0"]
    assert [c.name for c in there.conflicts] == ["payment_not_told/7/op1"]


def test_a_call_outlives_the_session_until_somebody_comes() -> None:
    hall = playing().at(60).when(i.CallHelp(SCREEN)).at(70).when(i.End(STAFF, "time to close"))
    assert hall.bays["109"].help_since_ms == 60_000
    hall.when(i.AcknowledgeHelp(STAFF))
    assert hall.bays["109"].help_since_ms is None


def test_low_latency_and_antennas_are_wanted_at_the_new_bay_alone() -> None:
    hall = playing().at(60).move()
    here, there = (desired(hall.bays[number], hall.rules) for number in ("109", "110"))
    assert (here.antennas_on, here.low_latency) == (False, None)
    assert there.antennas_on
    assert there.low_latency is not None
    assert there.low_latency.session_id == "7"


def test_a_paused_session_goes_paused() -> None:
    hall = playing().at(60).when(i.Pause(STAFF, "phone")).at(100).move()
    assert hall.bays["110"].phase is Phase.PAUSED
    hall.at(200).when(i.Resume(STAFF), "110")
    session = hall.bays["110"].session
    assert session is not None
    assert session.remaining_ms(hall.now_ms) == 3_540_000


def test_a_clock_that_stood_for_the_old_machine_runs_on_at_the_new_one() -> None:
    hall = playing(dispenser_fault=FaultPolicy.PAUSE).at(60)
    hall.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    hall.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    hall.when(i.PayoutEnded("p1", PayoutEnd.FAULT, 4, "jam"))
    assert hall.bays["109"].phase is Phase.PAUSED
    hall.at(160).move()
    assert hall.kinds[1] == ["SessionMovedIn", "SessionResumed"]
    session = hall.bays["110"].session
    assert session is not None
    assert session.remaining_ms(hall.now_ms) == 3_540_000
    assert session.balls.balance == 6


def test_a_payout_that_was_not_begun_closes_first_and_stays_owed() -> None:
    hall = playing().at(60).when(i.Dispense("p1", 10, SCREEN)).move()
    assert hall.kinds[0] == ["PayoutClosed", "SessionMovedAway"]
    session = hall.bays["110"].session
    assert session is not None
    assert session.balls == Balls(commanded=10, balance=10)


def test_while_a_motor_runs_nobody_moves() -> None:
    hall = playing().when(i.DeviceReported("dispenser", DeviceState.OK, "")).at(60)
    hall.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    hall.move().refused("payout_running")
    assert hall.bays["109"].session is not None
    hall.when(i.PayoutEnded("p1", PayoutEnd.DONE, 10, "")).move()
    assert hall.bays["110"].session is not None


def test_balls_of_a_lost_machine_are_unknown_and_are_settled_at_the_new_bay() -> None:
    hall = playing().at(60)
    hall.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    hall.when(i.PayoutProgressed("p1", 4)).when(i.DeviceReported("dispenser", DeviceState.LOST, "cable"))
    hall.move()
    session = hall.bays["110"].session
    assert session is not None
    assert session.balls == Balls(commanded=10, counted=4, unknown=6)
    assert hall.bays["109"].unsettled == ()
    hall.when(i.SettleUnknown("p1", 1, STAFF, "looked into the basket"), "110")
    session = hall.bays["110"].session
    assert session is not None
    assert session.balls == Balls(commanded=10, counted=5, balance=5)


def test_balls_that_stayed_in_the_old_machine_go_back_to_its_stock() -> None:
    """Two machines: that of the new bay never had them."""
    hall = playing().at(60)
    east, west = hall.rules, replace(hall.rules, dispenser="west")
    hall.when(i.Refill("r-east", 500, STAFF))
    hall.rules = west
    hall.when(i.Refill("r-west", 300, STAFF), "110")
    hall.rules = east
    hall.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    hall.when(i.DeviceReported("dispenser", DeviceState.LOST, "cable")).move()
    stocks = BallStock("east", ("109",)), BallStock("west", ("110",))

    def left() -> list[int | None]:
        for bay, stock in product(hall.bays.values(), stocks):
            stock.note(bay)
        return [stock.left for stock in stocks]

    assert left() == [490, 300]
    hall.when(i.SettleUnknown("p1", 3, STAFF, "looked into the basket"), "110")
    assert left() == [497, 300]
    hall.when(i.Refill("r-new", 400, STAFF))
    assert left() == [400, 300]


def test_what_is_settled_after_a_refill_changes_no_stock() -> None:
    """Whoever filled the machine counted what had stayed in it, too."""
    hall = playing().at(60).when(i.Refill("r1", 500, STAFF))
    hall.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    hall.when(i.PayoutEnded("p1", PayoutEnd.UNKNOWN, None, "cable")).when(i.Refill("r2", 500, STAFF))
    hall.when(i.Dispense("p2", 10, SCREEN)).when(i.PayoutMarkTaken("p2", 10, {"event": 1}))
    hall.when(i.PayoutEnded("p2", PayoutEnd.DONE, 10, "")).when(i.SettleUnknown("p1", 0, STAFF, "counted"))
    stock = BallStock("east", ("109",))
    stock.note(hall.bays["109"])
    assert stock.left == 490


def test_how_long_the_old_bay_is_booked_is_not_known_any_more() -> None:
    hall = playing().at(60)
    hall.bays["109"] = replace(hall.bays["109"], booked_till=True)
    assert hall.move().bays["109"].booked_till is False


def test_of_each_refill_it_is_known_what_stayed_in() -> None:
    hall = playing().at(60).when(i.Refill("r1", 500, STAFF))
    for payout, refill in (("p1", "r2"), ("p2", None), ("p3", None)):
        hall.when(i.Dispense(payout, 10, SCREEN)).when(i.PayoutMarkTaken(payout, 10, {"event": 1}))
        hall.when(i.PayoutEnded(payout, PayoutEnd.UNKNOWN, None, "cable"))
        if refill is not None:
            hall.when(i.Refill(refill, 500, STAFF))
    hall.move()
    for payout, fell in (("p1", 3), ("p2", 4), ("p3", 8)):
        hall.when(i.SettleUnknown(payout, fell, STAFF, "looked into the basket"), "110")
    assert hall.bays["110"].put_back == (PutBack("r1", 7), PutBack("r2", 8))
    session = hall.bays["110"].session
    assert session is not None
    assert session.balls == Balls(commanded=30, counted=15, balance=15)


def test_balls_in_the_air_go_along_and_score_for_the_session() -> None:
    hall = playing().at(9).when(i.SelectGame(Game(3, "GAME 3", 30), SCREEN))
    hall.at(10).when(i.BallHeard("E1", 10_000)).when(i.BallHeard("E1", 5_000), "110").at(20).move()
    assert hall.bays["109"].credits == ()
    hall.at(21).when(i.BallInPit("E1", "S1_1", 21_000, {3: 5}), "110")
    session = hall.bays["110"].session
    assert session is not None
    assert (session.balls.shots, session.balls.points) == (1, 5)


def test_what_is_owed_goes_along() -> None:
    hall = playing().at(60).when(i.Extend("op1", 15, None, STAFF, "asked", payment=Payment.ON_ACCOUNT)).move()
    assert hall.bays["109"].dues == ()
    assert [(due.due_id, due.amount) for due in hall.bays["110"].dues] == [("op1", 150)]


def test_the_next_guest_begins_at_the_bay_that_became_free() -> None:
    hall = playing().at(3500).when(booked("8", 30, created_s=5))
    hall.when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE)).move()
    assert hall.kinds[0] == ["SessionMovedAway", "SessionStarted"]
    assert [bay.session.session_id for bay in hall.bays.values() if bay.session] == ["8", "7"]


def test_a_planned_stop_follows_the_move() -> None:
    hall = playing().at(60).when(i.StopService(STAFF, "net torn")).move()
    assert hall.bays["109"].phase is Phase.OUT_OF_SERVICE
    assert hall.bays["110"].phase is Phase.PLAYING


@pytest.mark.parametrize(
    ("there", "code"),
    [
        (i.Hold(STAFF, "VIP"), "target_busy"),
        (i.StopService(STAFF, "net"), "target_busy"),
        (booked("9", 30), "target_busy"),
    ],
)
def test_a_bay_that_is_kept_or_booked_takes_nobody(there: i.Input, code: str) -> None:
    hall = playing().when(there, "110")
    before = dict(hall.bays)
    hall.move().refused(code)
    assert hall.bays == before


def test_nobody_moves_into_a_session_nor_out_of_none() -> None:
    hall = playing()
    hall.when(booked("9", 30), "110").when(i.StartPlay(STAFF, "screen"), "110")
    hall.move().refused("target_busy")
    Hall().move().refused("not_playing")
    playing().move(to="109").refused("same_bay")
    playing().move(to="211").refused("unknown_target")
    playing().move(reason=" ").refused("reason_missing")
    playing().move(session_id="6").refused("session_over")


def test_a_guest_who_comes_into_a_grace_period_ends_it() -> None:
    hall = playing()
    hall.when(booked("9", 30), "110").when(i.StartPlay(STAFF, "screen"), "110").when(i.End(STAFF, "x"), "110")
    assert hall.bays["110"].phase is Phase.GRACE
    phases = [hall.move().bays["110"].phase, hall.at(600).when(i.TimeCame(), "110").bays["110"].phase]
    assert phases == [Phase.PLAYING, Phase.PLAYING]


def test_what_the_server_still_shows_at_the_old_bay_is_no_conflict_until_it_has_heard() -> None:
    hall = playing().at(60).move()
    hall.when(i.ServerMovedAway("7", "109"), "110")
    assert not hall.bays["110"].conflicts
    hall.when(booked("7", 60, active=True, shown_at="110"), "110")
    assert hall.bays["110"].session is not None
    assert hall.bays["110"].session.server_bays == ()
    hall.when(i.ServerMovedAway("7", "109"), "110")
    assert [conflict.code for conflict in hall.bays["110"].conflicts] == ["moved_at_server"]


@pytest.mark.parametrize(("desk_gave_time", "ends"), [(True, False), (False, True)])
def test_the_timer_that_a_move_set_back_behind_the_desks_ends_nobodys_play(
    desk_gave_time: bool, ends: bool
) -> None:
    """The call names all minutes granted; the desk gave 30 more while it was on its way."""
    hall = playing(60).at(3000).move()
    if not desk_gave_time:
        hall.at(3005).when(i.Extend("op1", 30, 0, STAFF, "a gift"), "110")  # on the list and in the timer
    shown = booked("7", 60, active=True, shown_at="110", extended_minutes=30)
    hall.at(3010).when(shown, "110")
    for second in (3650, 3661):
        hall.at(second).when(replace(shown, active=False), "110")
    assert (hall.bays["110"].session is None) is ends
    assert ("server_timer" in [conflict.code for conflict in hall.bays["110"].conflicts]) is not ends


def test_moved_to_and_fro_an_old_picture_proves_nothing() -> None:
    hall = playing().at(60).move().at(70).move("110", "109")
    hall.when(booked("7", 60, active=True, shown_at="109")).when(i.ServerMovedAway("7", "110"))
    assert hall.bays["109"].conflicts == ()


def test_a_move_that_the_server_made_is_not_told_back() -> None:
    hall = playing().at(60).move(actor=CENTRAL, reason="moved at the desk")
    (away,) = hall.moved.source.events
    assert isinstance(away, e.SessionMovedAway)
    assert not away.own
    assert hall.bays["110"].session is not None
    assert hall.bays["110"].session.server_bays == ()


ACTS = st.one_of(
    st.builds(i.Dispense, st.uuids().map(str), st.integers(1, 8), st.just(SCREEN)),
    st.builds(
        i.Extend,
        st.uuids().map(str),
        st.sampled_from([1, 2]),
        st.just(10),
        st.just(STAFF),
        st.just("x"),
        st.none(),
        st.sampled_from(Payment),
    ),
    st.builds(i.Pause, st.just(STAFF), st.just("x")),
    st.builds(i.Resume, st.just(STAFF)),
    st.builds(i.BallHeard, st.sampled_from(["E1", "E2", "E3"]), st.integers(0, 100_000)),
    st.just(i.TimeCame()),
    st.sampled_from(DeviceState).map(lambda state: i.DeviceReported("dispenser", state, "x")),
    st.just(i.ClearFault("dispenser", STAFF)),
    st.builds(i.StopService, st.just(STAFF), st.just("x")),
)


def pay_on(hall: Hall, number: str, draw: st.DataObject) -> None:
    payout = hall.bays[number].payout
    if payout is not None and payout.part is None:
        hall.when(i.PayoutMarkTaken(payout.payout_id, payout.left, {"event": 1}), number)
    elif payout is not None:
        out = draw.draw(st.one_of(st.none(), st.integers(0, payout.left)))
        end = draw.draw(st.sampled_from(PayoutEnd))
        hall.when(i.PayoutEnded(payout.payout_id, end, out, ""), number)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_wherever_it_goes_it_is_in_one_bay_and_nothing_is_lost(data: st.DataObject) -> None:
    """Granted = played + left; commanded = counted + balance + unknown + open; owed = booked - settled."""
    hall = playing(5)
    stood_ms, on_account, settled = 0, 0, 0
    for _ in range(data.draw(st.integers(1, 25))):
        waited_ms = data.draw(st.sampled_from([0, 1, 999, 20_000]))
        number = next((n for n, bay in hall.bays.items() if bay.session is not None), None)
        if number is not None and hall.bays[number].phase is Phase.PAUSED:
            stood_ms += waited_ms
        hall.now_ms += waited_ms
        here = number or "109"
        other = "110" if here == "109" else "109"
        match data.draw(st.sampled_from(["move", "move", "act", "act", "pay", "settle", "elsewhere"])):
            case "move":
                hall.move(here, other)
            case "act":
                act = data.draw(ACTS)
                before = hall.bays[here].version
                asks = isinstance(act, i.Extend) and act.payment is Payment.ON_ACCOUNT
                was = sum(due.amount for due in hall.bays[here].dues)
                hall.when(act, here)
                if asks and hall.bays[here].version != before:
                    on_account += sum(due.amount for due in hall.bays[here].dues) - was
            case "pay":
                pay_on(hall, here, data)
            case "settle":
                for due in hall.bays[here].dues[:1]:
                    hall.when(i.SettleDue(due.due_id, Payment.CASH, STAFF, "x"), here)
                    settled += due.amount
            case _:
                acts: list[i.Input] = [i.TimeCame(), i.Hold(STAFF, "x"), i.Release(STAFF)]
                hall.when(data.draw(st.sampled_from(acts)), other)
        playing_bays = [bay for bay in hall.bays.values() if bay.session is not None]
        ended = [bay for bay in hall.bays.values() if "7" in bay.ended_ids]
        assert len(playing_bays) + len(ended) == 1, "in two bays, or in none"
        assert sum(due.amount for bay in hall.bays.values() for due in bay.dues) == on_account - settled
        for bay in hall.bays.values():
            assert decode_bay(encode_bay(bay), REDUCER_VERSION) == bay
        if not playing_bays:
            break
        (bay,) = playing_bays
        session = bay.session
        assert session is not None
        paying = bay.payout.left if bay.payout is not None else 0
        balls = session.balls
        assert balls.commanded == balls.counted + balls.balance + balls.unknown + paying
        assert session.granted_ms == hall.now_ms - stood_ms + session.remaining_ms(hall.now_ms)
        assert session.played_ms(hall.now_ms) == hall.now_ms - stood_ms
