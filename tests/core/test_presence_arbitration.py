"""Who gets a ball that several bays hear: the decision alone."""

from hypothesis import given
from hypothesis import strategies as st

from bayd.core.presence.arbitration import Contender, find_winner, worth_waiting_for


def heard(bay: str, first_ms: int, dbm: int | None, confirmed: bool = True) -> Contender:
    return Contender(bay, first_ms, first_ms, confirmed, dbm, 0)


contenders = st.lists(
    st.builds(
        heard,
        st.sampled_from("123456"),
        st.integers(0, 500),
        st.none() | st.integers(-90, -30),
        st.booleans(),
    ),
    max_size=6,
    unique_by=(lambda contender: contender.bay, lambda contender: contender.first_ms),
)


@given(contenders, st.randoms())
def test_the_order_of_the_list_does_not_matter(bays: list[Contender], random: object) -> None:
    shuffled = list(bays)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis's own Random
    assert find_winner(shuffled, 6) == find_winner(bays, 6)


@given(contenders)
def test_the_winner_is_confirmed_and_nobody_confirmed_is_much_louder(bays: list[Contender]) -> None:
    winner = find_winner(bays, 6)
    confirmed = [bay for bay in bays if bay.confirmed]
    assert (winner is None) == (not confirmed)
    if winner is not None:
        assert winner in confirmed
        louder = [b for b in confirmed if None not in (b.rssi_dbm, winner.rssi_dbm)]
        assert not any((b.rssi_dbm or 0) - (winner.rssi_dbm or 0) > 6 for b in louder)


@given(contenders)
def test_only_the_unconfirmed_and_much_louder_are_waited_for(bays: list[Contender]) -> None:
    winner = find_winner(bays, 6)
    if winner is None:
        return
    for rival in worth_waiting_for(bays, winner, 6):
        assert not rival.confirmed
        assert rival.rssi_dbm is not None
        assert winner.rssi_dbm is not None
        assert rival.rssi_dbm - winner.rssi_dbm > 6


def test_with_two_bays_the_first_keeps_it_up_to_the_hysteresis() -> None:
    first, other = heard("1", 0, -60), heard("2", 100, -54)
    assert find_winner([first, other], 6) == first
    assert find_winner([first, heard("2", 100, -53)], 6) == heard("2", 100, -53)
    assert find_winner([first, heard("2", 100, -53, confirmed=False)], 6) == first
    assert worth_waiting_for([first, heard("2", 100, -53, confirmed=False)], first, 6)
    assert not worth_waiting_for([first, heard("2", 100, -54, confirmed=False)], first, 6)
