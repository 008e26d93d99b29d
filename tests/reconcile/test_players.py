"""Who shares a session: learned from the server's page, in the order in which they came, and bounded."""

from bayd.clients.central import ServerPlayer
from bayd.reconcile.players import Player, Players


def test_players_stand_in_the_order_in_which_they_came() -> None:
    players = Players()
    players.learn("7", (ServerPlayer(9, display_name="Vikram"), ServerPlayer(4, display_name="Asha")))
    assert players.of("7") == (Player(4, "Asha"), Player(9, "Vikram"))
    assert players.of("8") == ()
    assert "Asha" not in repr(players.of("7"))


def test_an_answer_that_does_not_say_forgets_nobody() -> None:
    players = Players()
    players.learn("7", (ServerPlayer(4),))
    players.learn("7", None)
    assert players.of("7") == (Player(4, None),)
    players.learn("7", ())
    assert players.of("7") == ()


def test_old_sessions_are_forgotten() -> None:
    players = Players()
    for number in range(1, 400):
        players.learn(str(number), (ServerPlayer(number),))
    assert players.of("1") == ()
    assert players.of("399") == (Player(399, None),)
