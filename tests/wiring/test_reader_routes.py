"""What the central server says of readers and antennas, beside what the configuration says."""

from typing import Any

import pytest

from bayd.clients.central import AntennaPair, ServerAntenna
from bayd.core.presence import BallReturn, Pit, Place, Tee
from bayd.settings.readers import Reader
from bayd.wiring.reader_routes import Routing, make_routing, why_unusable

BAYS = ("101", "102", "103")
WEST = {"1": "101", "2": "102", "7": "return"}


def reader(**more: Any) -> Reader:
    return Reader.model_validate({"link": "socket://203.0.113.7:4001", "ports": WEST, "power": 20, **more})


def antenna(port: int, location: str | None, power: str | None = None, **more: Any) -> ServerAntenna:
    return ServerAntenna(f"west_{port}", port, power=power, location=location, **more)


def pair(*antennas: ServerAntenna, **more: Any) -> AntennaPair:
    return AntennaPair("west", antennas, **more)


def routed(routing: Routing, name: str = "west") -> dict[int, tuple[Place, int]]:
    return {port: (route.place, route.power_dbm) for port, route in routing.routes[name].ports.items()}


def test_without_a_word_of_the_server_the_configuration_holds() -> None:
    routing = make_routing({"west": reader(port_power={"2": 23})}, BAYS, {})
    assert routed(routing) == {
        1: (Tee("101"), 20),
        2: (Tee("102"), 23),
        7: (BallReturn("west_7"), 20),
    }
    assert routing.refused == []


def test_the_server_moves_an_antenna_and_sets_its_power() -> None:
    """Port 2 is not named any more, but its bay was given another port; port 1 keeps what it has."""
    routing = make_routing({"west": reader()}, BAYS, {"west": pair(antenna(5, "102", "24"))})
    assert routed(routing) == {1: (Tee("101"), 20), 5: (Tee("102"), 24), 7: (BallReturn("west_7"), 20)}
    assert routing.refused == []


def test_bays_change_places_also_across_readers() -> None:
    readers = {"west": reader(ports={"1": "101"}), "east": reader(ports={"1": "102"})}
    pairs = {"west": pair(antenna(1, "102")), "east": pair(antenna(1, "101"))}
    routing = make_routing(readers, BAYS, pairs)
    assert routed(routing, "west") == {1: (Tee("102"), 20)}
    assert routed(routing, "east") == {1: (Tee("101"), 20)}
    half = make_routing(readers, BAYS, {"west": pair(antenna(1, "102"))})
    assert routed(half, "east") == {}, "one bay would have two antennas of which one hangs elsewhere"


def test_a_target_is_a_target_by_the_type_of_its_reader() -> None:
    told = {"west": pair(antenna(3, "S1_1"), reader_type="pit")}
    assert routed(make_routing({"west": reader()}, BAYS, told))[3] == (Pit("S1_1"), 20)


def test_what_is_not_active_is_not_read_but_a_return_always_is() -> None:
    told = {"west": pair(antenna(1, "101", active=False), antenna(7, "103", active=True))}
    assert routed(make_routing({"west": reader()}, BAYS, told)) == {
        2: (Tee("102"), 20),
        7: (BallReturn("west_7"), 20),
    }
    off = {"west": pair(antenna(1, "101"), antenna(2, "102"), active=False)}
    assert routed(make_routing({"west": reader()}, BAYS, off)) == {7: (BallReturn("west_7"), 20)}


@pytest.mark.parametrize(
    ("power", "more", "text"),
    [
        ("27", {}, "power 27 dBm is more than the 26 dBm that etsi allows"),
        ("-3", {}, "power -3 dBm: a reader knows 0 dBm and more only"),
        ("strong", {}, "power 'strong' is no whole number"),
        ("15", {"power_mode": "ram"}, "power 15 dBm: power_mode"),
        ("0", {"power_unit": "percent", "power": 55}, "power 0 per cent is no power"),
    ],
)
def test_a_power_that_cannot_be_is_refused_and_the_own_one_stays(
    power: str, more: dict[str, Any], text: str
) -> None:
    one = reader(**more)
    routing = make_routing({"west": one}, BAYS, {"west": pair(antenna(2, "103", power))})
    assert routed(routing)[2] == (Tee("103"), one.power_dbm(2))
    (refusal,) = routing.refused
    assert (refusal.reader, refusal.port) == ("west", 2)
    assert refusal.text.startswith(text)
    assert refusal.text.endswith(f"it keeps {one.power_dbm(2)} dBm")


def test_the_servers_powers_are_in_the_readers_unit() -> None:
    one = reader(power_unit="percent", power=55)
    told = {"west": pair(antenna(1, "101", "100"))}
    assert routed(make_routing({"west": one}, BAYS, told))[1] == (Tee("101"), 26)


@pytest.mark.parametrize(
    ("antennas", "text", "left"),
    [
        ((antenna(2, "909"),), "its location 909 is no bay of this PC", {1}),
        ((antenna(9, "103"),), "the reader has ports 1 to 8", {1, 2}),
        ((antenna(0, "103"),), "the reader has ports 1 to 8", {1, 2}),
        ((antenna(2, None),), "the server names no location", {1, 2}),
        ((antenna(2, "102"), antenna(2, "103")), "the server names it twice; 103 is left out", {1, 2}),
    ],
)
def test_what_cannot_be_is_left_out_and_told(
    antennas: tuple[ServerAntenna, ...], text: str, left: set[int]
) -> None:
    routing = make_routing({"west": reader()}, BAYS, {"west": pair(*antennas)})
    assert set(routed(routing)) == left | {7}
    (refusal,) = routing.refused
    assert refusal.text.startswith(text)


def test_a_bay_that_does_not_run_here_yet_is_not_listened_to() -> None:
    assert set(routed(make_routing({"west": reader()}, ("101",), {}))) == {1, 7}


def test_half_an_answer_is_none() -> None:
    assert why_unusable(pair(antenna(1, "101"))) is None
    assert why_unusable(pair()) == "the server names no antenna of it"
    complaint = why_unusable(pair(antenna(1, "101"), unreadable=1))
    assert complaint == "1 of its antennas cannot be read in the server's answer"
