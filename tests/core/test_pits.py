"""Balls in targets, as scripts: whose shot it is, and that it counts once."""

from bayd.core import inputs as i
from bayd.core.events import BallRead, PitReached
from bayd.core.model import Game
from tests.core.playbook import STAFF, booked, playing, seen


def test_a_shot_is_the_shot_of_the_player_whose_turn_it_was() -> None:
    evening = playing()
    evening.at(5).when(i.SelectPlayer(29, STAFF))
    evening.at(10).when(i.BallHeard("E1", 9_800)).then(BallRead)
    evening.at(12).when(i.SelectPlayer(30, STAFF))
    evening.at(14).when(i.BallInPit("E1", "S1_1", 13_900)).then(
        seen(PitReached, epc="E1", pit="S1_1", session_id="7", player_id=29, at_ms=13_900)
    )


def test_one_shot_counts_once_in_each_target() -> None:
    evening = playing()
    evening.at(10).when(i.BallHeard("E1", 9_800))
    evening.at(14).when(i.BallInPit("E1", "S1_1", 13_900)).then(PitReached)
    evening.at(60).when(i.BallInPit("E1", "S1_1", 59_900)).refused("sighted_already")
    evening.at(61).when(i.BallInPit("E1", "S1_2", 60_900)).then(PitReached)
    # Collected, and hit again.
    evening.at(200).when(i.BallHeard("E1", 199_800)).then(BallRead)
    evening.at(204).when(i.BallInPit("E1", "S1_1", 203_900)).then(PitReached)


def test_a_ball_that_lands_after_the_end_belongs_to_the_session_that_is_over() -> None:
    evening = playing()
    evening.at(10).when(i.BallHeard("E1", 9_800))
    evening.at(12).when(i.End(STAFF, "closing"))
    evening.at(13).when(i.BallInPit("E1", "S1_1", 12_900)).then(seen(PitReached, session_id="7"))
    evening.at(20).when(booked("8", 30))
    evening.at(21).when(i.StartPlay(STAFF, "at the desk"))
    evening.at(30).when(i.BallInPit("E1", "S1_2", 29_900)).then(seen(PitReached, session_id="7"))


def test_a_ball_that_was_never_counted_here_scores_for_nobody() -> None:
    evening = playing()
    evening.at(10).when(i.BallHeard("E1", 9_800))
    evening.at(11).when(i.BallInPit("E2", "S1_1", 10_900)).refused("not_counted")


def test_a_shot_is_worth_what_the_rules_say_for_the_game_that_was_played() -> None:
    worth = {1: 2, 3: 5}
    evening = playing()
    evening.at(8).when(i.BallHeard("E0", 7_800))  # before a game was chosen
    evening.at(9).when(i.SelectGame(Game(3, "GAME 3", 20), STAFF))
    evening.at(10).when(i.BallHeard("E1", 9_800))
    evening.at(11).when(i.BallHeard("E2", 10_800))
    evening.at(12).when(i.BallHeard("E3", 11_800))
    evening.at(13).when(i.BallInPit("E0", "S1_1", 12_900, worth)).then(seen(PitReached, points=None))
    evening.at(14).when(i.BallInPit("E1", "S1_1", 13_900, worth)).then(seen(PitReached, points=5))
    # The other antenna of the same target hears it too.
    evening.at(15).when(i.BallInPit("E1", "S1_2", 14_900, worth)).then(seen(PitReached, points=None))
    evening.at(16).when(i.BallInPit("E2", "S2_1", 15_900, {1: 9})).then(seen(PitReached, points=None))
    assert evening.bay.session is not None
    assert (evening.bay.session.balls.shots, evening.bay.session.balls.points) == (3, 5)
    # The last ball lands after the end.
    evening.at(17).when(i.End(STAFF, "closing"))
    evening.at(18).when(i.BallInPit("E3", "S1_1", 17_900, worth)).then(seen(PitReached, points=5))
    assert evening.bay.last is not None
    assert (evening.bay.last.balls.shots, evening.bay.last.balls.points) == (4, 10)


def test_after_ten_minutes_a_ball_in_a_target_is_nobodys() -> None:
    evening = playing()
    evening.at(10).when(i.BallHeard("E1", 10_000))
    evening.at(609).when(i.BallHeard("E2", 609_000))
    evening.at(610).when(i.BallInPit("E1", "S1_1", 610_000)).then(PitReached)
    evening.at(611).when(i.BallHeard("E3", 611_000))
    evening.at(612).when(i.BallInPit("E1", "S1_2", 612_000)).refused("not_counted")
