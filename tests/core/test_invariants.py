"""Whatever comes in, in whatever order: what must never happen at a bay."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.desired import desired, narrowed
from bayd.core.evolve import REDUCER_VERSION, evolve, evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Balls, Bay, DeviceState, Game, Mode, Payment, PayoutEnd, Phase, StartedBy
from bayd.core.rules import (
    DowntimePolicy,
    ExtensionPolicy,
    FaultPolicy,
    LongPausePolicy,
    NoShowPolicy,
    Rules,
    StepPolicy,
    UnknownPolicy,
)
from bayd.journal.event_codec import BayEventCodec, decode_bay, encode_bay
from tests.core.playbook import SCREEN, STAFF, WALL_MS

CODEC = BayEventCodec()
ACTORS = st.sampled_from([SCREEN, STAFF, i.SYSTEM])
SESSIONS = st.sampled_from(["7", "8", "9"])
IDS = st.sampled_from(["a", "b", "c", "d"])
SMALL = st.integers(-1, 40)
REASONS = st.sampled_from(["", "because"])
GAMES = st.one_of(
    st.none(), st.builds(Game, st.integers(1, 3), st.just("G"), st.sampled_from([0, 10, 30, None]))
)

INPUTS = st.one_of(
    st.just(i.TimeCame()),
    st.builds(
        i.ServerSaid,
        session_id=SESSIONS,
        minutes=st.integers(1, 5),
        extended_minutes=st.sampled_from([None, 0, 1, 2, 3, 4, 5]),
        created_wall_ms=st.integers(WALL_MS - 100_000, WALL_MS + 100_000),
        cancelled=st.booleans(),
        active=st.booleans(),
        released=st.sampled_from([False, False, False, True, None]),
        game=GAMES,
        game_known=st.sampled_from([True, True, False]),
        bay_booked=st.sampled_from([None, True, False]),
    ),
    st.builds(i.WalkIn, st.sampled_from(["w1", "w2"]), SMALL, SMALL, ACTORS, REASONS),
    st.builds(i.ServerNumbered, st.sampled_from(["w1", "w2"]), SESSIONS),
    st.builds(i.RetryDelivery, st.integers(1, 9), ACTORS, REASONS),
    st.builds(i.DropDelivery, st.integers(1, 9), ACTORS, REASONS),
    st.builds(i.ServerMovedAway, SESSIONS, st.just("110")),
    st.builds(i.ServerContradicted, st.just("missing_at_server"), SESSIONS, st.just("404")),
    st.builds(i.PinEntered, IDS, st.none()),
    st.builds(i.PinWasRight, IDS, SESSIONS, st.sampled_from(StartedBy)),
    st.builds(i.PinWasWrong, IDS),
    st.builds(i.PinNotChecked, IDS, st.just("away")),
    st.builds(i.UnlockPad, ACTORS, REASONS),
    st.builds(i.StartPlay, ACTORS, REASONS),
    st.builds(i.Dispense, IDS, SMALL, ACTORS),
    st.builds(i.TestDispense, IDS, SMALL, ACTORS, REASONS),
    st.builds(i.SettleUnknown, IDS, SMALL, ACTORS, REASONS),
    st.builds(i.BallLevelSeen, st.sampled_from(["low", "ok", "unknown"])),
    st.builds(i.Refill, IDS, st.one_of(st.none(), SMALL), ACTORS),
    st.builds(i.Extend, IDS, SMALL, st.none(), ACTORS, REASONS),
    st.builds(i.ApproveExtension, ACTORS, REASONS, st.sampled_from(Payment), st.sampled_from([None, 0, 10])),
    st.builds(i.DeclineExtension, ACTORS, REASONS),
    st.builds(i.SettleDue, IDS, st.sampled_from(Payment), ACTORS, REASONS),
    st.builds(i.ArrearsSeen, st.sampled_from([0, 50])),
    st.builds(i.End, ACTORS, REASONS),
    st.builds(i.Pause, ACTORS, REASONS),
    st.builds(i.Resume, ACTORS),
    st.builds(i.SelectGame, GAMES.filter(lambda game: game is not None), ACTORS),
    st.builds(i.SelectPlayer, st.integers(1, 3), ACTORS),
    st.builds(i.CallHelp, ACTORS),
    st.builds(i.AcknowledgeHelp, ACTORS),
    st.builds(i.ModeSeen, st.sampled_from(Mode), st.none(), st.sampled_from([None, WALL_MS + 100_000])),
    st.builds(i.SetMode, st.sampled_from([None, *Mode]), st.booleans(), ACTORS, REASONS),
    st.builds(i.Hold, ACTORS, REASONS),
    st.builds(i.Release, ACTORS),
    st.builds(i.StopService, ACTORS, REASONS, st.booleans()),
    st.builds(i.ReturnToService, ACTORS),
    st.builds(i.ClearFault, st.just("dispenser"), ACTORS),
    st.builds(i.PayoutMarkTaken, IDS, SMALL, st.just({"event": 3})),
    st.builds(i.PayoutProgressed, IDS, SMALL),
    st.builds(i.PayoutWasInterrupted, IDS, st.integers(0, 60_000)),
    st.builds(i.PayoutEnded, IDS, st.sampled_from(PayoutEnd), st.one_of(st.none(), SMALL), st.just("")),
    st.builds(i.BallHeard, st.sampled_from(["E1", "E2"]), st.integers(0, 400_000)),
    st.builds(
        i.DeviceReported,
        st.sampled_from(["dispenser", "reader"]),
        st.sampled_from(DeviceState),
        st.just("x"),
    ),
    st.builds(
        i.Restarted,
        mark_boot_ms=st.integers(0, 400_000),
        mark_wall_ms=st.integers(WALL_MS, WALL_MS + 4_000_000),
        same_boot=st.booleans(),
        wall_trusted=st.booleans(),
    ),
)
STEPS = st.lists(st.tuples(st.integers(0, 90_000), INPUTS), max_size=40)


def fitting(bay: Bay) -> st.SearchStrategy[i.Input]:
    """Inputs that go somewhere from here: pure chance hardly ever gets past the PIN."""
    choices: list[st.SearchStrategy[i.Input]] = []
    if bay.pad.attempt is not None:
        sessions = st.sampled_from([b.session_id for b in bay.bookings] or ["7"])
        attempt = st.just(bay.pad.attempt.attempt_id)
        choices.append(st.builds(i.PinWasRight, attempt, sessions, st.just(StartedBy.PIN_ONLINE)))
    elif bay.bookings:
        choices.append(st.builds(i.PinEntered, IDS, st.none()))
        choices.append(st.just(i.StartPlay(STAFF, "because")))
    if bay.payout is not None:
        payout = st.just(bay.payout.payout_id)
        choices.append(
            st.builds(
                i.PayoutEnded, payout, st.sampled_from(PayoutEnd), st.one_of(st.none(), SMALL), st.just("")
            )
        )
        if bay.payout.part is None:
            balls = st.integers(1, bay.payout.left)
            choices.append(st.builds(i.PayoutMarkTaken, payout, balls, st.just({"event": 3})))
        else:
            choices.append(st.builds(i.PayoutProgressed, payout, SMALL))
    elif bay.session is not None:
        choices.append(st.builds(i.Dispense, IDS, st.integers(1, 30), st.just(SCREEN)))
    if bay.unsettled:
        payout = st.just(bay.unsettled[0].payout_id)
        choices.append(st.builds(i.SettleUnknown, payout, SMALL, ACTORS, st.just("because")))
    if bay.session is None and not bay.bookings:
        said = i.ServerSaid("7", 3, 0, WALL_MS, cancelled=False, active=False, released=False)
        choices += [st.builds(replace, st.just(said), session_id=st.sampled_from("789"), game=GAMES)]
    return st.one_of(*choices) if choices else INPUTS


class Draw:
    """Chance or what fits, about evenly."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def step(self, bay: Bay) -> tuple[int, i.Input]:
        wait_ms = self._data.draw(st.sampled_from([0, 0, 0, 900, 20_000, 90_000]))
        fits = self._data.draw(st.integers(0, 9)) < 6
        return wait_ms, self._data.draw(fitting(bay) if fits else INPUTS)


RULES = st.builds(
    Rules,
    dispenser=st.sampled_from(["east", None]),
    downtime=st.sampled_from(DowntimePolicy),
    pin_tries=st.integers(1, 3),
    extension_price=st.sampled_from([None, 10]),
    dispenser_step=st.sampled_from([1, 5]),
    step_policy=st.sampled_from([StepPolicy.REFUSE, StepPolicy.ROUND_DOWN]),
    cap_balls=st.sampled_from([None, 15]),
    cap_minutes=st.just(1),
    unknown_balls=st.sampled_from(UnknownPolicy),
    dispenser_fault=st.sampled_from(FaultPolicy),
    variance_balls=st.just(2),
    variance_grant=st.booleans(),
    extension=st.sampled_from(ExtensionPolicy),
    hold_minutes=st.sampled_from([None, 1]),
    no_show=st.sampled_from(NoShowPolicy),
    pause_max_minutes=st.sampled_from([None, 1]),
    long_pause=st.sampled_from(LongPausePolicy),
    guest_pauses=st.sampled_from([0, 1, 3]),
    guest_pause_minutes=st.just(1),
)


def check_balls(balls: Balls, outstanding: int) -> None:
    assert min(balls.commanded, balls.counted, balls.balance, balls.unknown, balls.read) >= 0
    owed = balls.commanded + balls.granted
    assert owed == balls.counted + balls.balance + balls.unknown + outstanding


def may_run_outside_play(bay: Bay) -> bool:
    """A technician's test, or what was begun before the end."""
    payout = bay.payout
    return payout is not None and (payout.test or (payout.part is not None and not payout.interrupted_ms))


def previous_commanded(bay: Bay) -> int:
    return 0 if bay.session is None else bay.session.balls.commanded


@settings(max_examples=100, deadline=None)
@given(RULES, st.data())
def test_what_never_happens(rules: Rules, data: st.DataObject) -> None:
    bay = Bay("109")
    now_ms = 0
    verified: set[str] = set()
    ended: set[str] = set()
    owed: dict[str, int] = {}
    paid: dict[str, int] = {}
    owed_money = 0
    draw = Draw(data)
    for _ in range(data.draw(st.integers(1, 40))):
        wait_ms, request = draw.step(bay)
        now_ms += wait_ms
        now = Instant(now_ms, WALL_MS + now_ms)
        before = bay
        decision = decide(bay, request, now, rules)
        for event in decision.events:
            previous, bay = bay, evolve(bay, event)
            match event:
                case e.PinAccepted(_, session_id):
                    verified.add(session_id)
                case e.SessionStarted(session_id, started_by, _, reason):
                    by_staff = started_by is StartedBy.STAFF and bool(reason.strip())
                    assert session_id in verified or by_staff, "play without a PIN or a staff start"
                    assert previous.session is None, "two sessions in one bay"
                    assert session_id not in ended, "a session was played twice"
                case e.SessionEnded(session_id):
                    ended.add(session_id)
                    assert event.played_ms >= 0
                case e.SessionExtended(amount=amount, payment=Payment.ON_ACCOUNT):
                    owed_money += amount or 0
                case e.DueSettled(amount=amount):
                    owed_money -= amount
                case e.PayoutRequested(_, session_id, _, balls, from_balance):
                    owed[session_id] = owed.get(session_id, 0) + balls - from_balance
                case e.BallsPaid(_, session_id, total):
                    assert previous.payout is not None
                    paid[session_id] = paid.get(session_id, 0) + total - previous.payout.paid
                case e.PayoutClosed(_, session_id, _, total, unknown):
                    assert previous.payout is not None
                    paid[session_id] = paid.get(session_id, 0) + total - previous.payout.paid
                    assert unknown >= 0
                case _:
                    pass
            # The same event after a trip through the journal does the same.
            assert evolve(previous, CODEC.decode(*CODEC.encode(event))) == bay
        if decision.refusal is not None:
            overdue = decide(before, i.TimeCame(), now, rules).events
            assert decision.events == overdue, "a refusal changed something"
        assert owed_money == sum(due.amount for due in bay.dues), "money owed is neither lost nor doubled"
        session = bay.session
        outstanding = 0 if bay.payout is None else bay.payout.left
        if session is not None:
            assert session.remaining_ms(now_ms) >= 0
            mine = bay.payout is not None and bay.payout.session_id == session.session_id
            check_balls(session.balls, outstanding if mine else 0)
            if session.game is not None and session.game.balls_limit and isinstance(request, i.Dispense):
                asked = session.balls.commanded > previous_commanded(before)
                assert not asked or session.balls.commanded <= session.game.balls_limit
        assert (session is not None) == (bay.phase in (Phase.PLAYING, Phase.PAUSED))
        for session_id, balls in paid.items():
            assert balls <= owed.get(session_id, 0), "more balls paid than owed"
        wish = desired(bay, rules)
        assert not wish.payout_may_start or bay.phase is Phase.PLAYING or may_run_outside_play(bay)
        tight = narrowed(desired(before, rules), wish)
        assert tight.antennas_on <= desired(before, rules).antennas_on
        assert decode_bay(encode_bay(bay), REDUCER_VERSION) == bay
        # Nothing stays overdue.
        assert decide(bay, i.TimeCame(), now, rules).events == ()


@settings(max_examples=100, deadline=None)
@given(RULES, STEPS)
def test_the_state_is_the_sum_of_its_events(rules: Rules, steps: list[tuple[int, i.Input]]) -> None:
    bay, now_ms = Bay("109"), 0
    journal: list[e.Event] = []
    for wait_ms, request in steps:
        now_ms += wait_ms
        events = decide(bay, request, Instant(now_ms, WALL_MS + now_ms), rules).events
        bay = evolve_all(bay, events)
        journal += events
    assert evolve_all(Bay("109"), tuple(journal)) == bay
    assert replace(bay, version=len(journal)) == bay
