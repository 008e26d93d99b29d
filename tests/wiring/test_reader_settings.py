"""What the configuration may say of a reader, and what becomes of it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bayd.core.presence import BallReturn, Pit, Tee
from bayd.devices.readers import make_reader
from bayd.settings import ConfigurationError, load
from bayd.settings.readers import Reader, Region, highest_power_dbm, percent_as_dbm
from bayd.wiring.reader_routes import make_routing
from hardware.rfid import ReaderEvent
from tests.simulation.world import SimRandomness

LINK = "socket://203.0.113.7:4001"


FOUR_PORTS_ONLY = 'request_form: "4-port" reaches ports 1 to 4 only; `ports` or `port_count` say more'


def reader(**more: Any) -> Reader:
    return Reader.model_validate({"link": LINK, "ports": {"1": "109"}, **more})


def complaint(**more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        reader(**more)
    (error,) = caught.value.errors()
    return str(error["msg"])


@pytest.mark.parametrize(
    ("region", "gain_dbi", "loss_db", "highest_dbm"),
    [
        (Region.ETSI, 8.5, 0, 26),  # 2 W ERP are 35.15 dBm EIRP
        (Region.ETSI, 8.15, 0, 27),  # just so much
        (Region.ETSI, 0, 0, 33),  # no more than the readers have
        (Region.FCC, 6, 0, 30),
        (Region.FCC, 6, 3, 30),  # 1 W at the connector, whatever the cable takes
        (Region.FCC, 9, 0.6, 27),
        (Region.INDIA, 8.15, 0, 30),
        (Region.INDIA, 12, 0, 26),
    ],
)
def test_the_region_limits_what_the_antenna_sends(
    region: Region, gain_dbi: float, loss_db: float, highest_dbm: int
) -> None:
    assert highest_power_dbm(region, gain_dbi, loss_db) == highest_dbm


def test_more_power_than_the_region_allows_is_refused_with_the_way_out() -> None:
    assert reader(power=26).power_dbm(1) == 26
    text = complaint(power=27)
    assert text.startswith(
        "power: 27 dBm is more than the 26 dBm that etsi allows with an antenna of 8.5 dBi"
    )
    assert "correct region, antenna_gain_dbi or cable_loss_db" in text
    assert complaint(port_power={"1": 33}).startswith("port_power.1: 33 dBm is more")
    assert reader(power=29, region="india").power_dbm(1) == 29


def test_a_power_may_be_given_per_port_and_in_per_cent() -> None:
    one = reader(ports={"1": "109", "8": "110"}, power=20, port_power={"8": 23})
    assert [one.power_dbm(port) for port in (1, 8)] == [20, 23]
    percent = reader(ports={"1": "109", "8": "110"}, power_unit="percent", power=55, port_power={"8": 100})
    assert [percent.power_dbm(port) for port in (1, 8)] == [23, 26]  # 26 dBm - 2.6 dB, rounded down
    assert percent_as_dbm(50, 30) == 26
    assert complaint(power_unit="percent", power=0).startswith("power: 0 per cent")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"scan_time_ms": 200}, "scan_time_ms is not for r2000_a0"),
        ({"request_form": "4-port", "ports": {"5": "109"}}, FOUR_PORTS_ONLY),
        ({"request_form": "4-port", "port_count": 8}, FOUR_PORTS_ONLY),
        ({"driver": "uhfreader288", "power_mode": "ram"}, "power_mode is not for uhfreader288"),
        ({"driver": "uhfreader288", "rssi_floor_dbm": -60}, "rssi_floor_dbm is not for uhfreader288"),
        ({"port_count": 4, "ports": {"8": "109"}}, "ports.8: port_count is 4"),
        ({"port_power": {"2": 20}}, "port_power.2: this port is not among ports"),
        ({"power_mode": "ram", "power": 15}, 'power: 15 dBm: power_mode = "ram" knows 20 dBm and more only'),
    ],
)
def test_what_does_not_fit_the_reader_is_refused(more: dict[str, Any], text: str) -> None:
    assert complaint(**more) == text


def test_the_four_port_form_is_for_a_reader_with_four_ports() -> None:
    """What the central server says of port 5 is then refused, as of any port that is not there."""
    assert reader(request_form="4-port").antenna_ports == 4


def test_a_floor_in_raw_figures_means_dbm_where_the_family_knows_them() -> None:
    assert reader(rssi_floor_raw=64).floor_dbm(1) == -65
    assert reader(rssi_floor_raw=64, rssi_floor_dbm=-50).floor_dbm(1) == -50
    assert reader(driver="uhfreader288", rssi_floor_raw=64).floor_dbm(1) is None


def test_a_port_may_have_a_floor_of_its_own() -> None:
    one = reader(ports={"1": "109", "3": "110"}, rssi_floor_dbm=-70, port_floor={"3": -55})
    assert [one.floor_dbm(port) for port in (1, 3)] == [-70, -55]
    assert reader(port_floor={"1": 64}).floor_dbm(1) == -65
    raw = reader(driver="uhfreader288", ports={"1": "109", "3": "110"}, port_floor={"3": 90})
    assert [(raw.floor_dbm(port), raw.floor_raw(port)) for port in (1, 3)] == [(None, None), (None, 90)]
    assert complaint(port_floor={"2": -60}) == "port_floor.2: this port is not among ports"
    assert complaint(driver="uhfreader288", port_floor={"1": -60}).startswith(
        "port_floor: uhfreader288 knows no"
    )


def test_ports_lead_to_tees_returns_and_targets() -> None:
    ports = {"1": "109", "2": "return", "8": "pit:S1_1"}
    readers = {"west": reader(ports=ports), "east": reader(driver="uhfreader288", ports=ports)}
    routes = make_routing(readers, {"109"}, {}).routes
    assert {port: route.place for port, route in routes["west"].ports.items()} == {
        1: Tee("109"),
        2: BallReturn("west_2"),
        8: Pit("S1_1"),
    }
    assert (routes["west"].stay, routes["west"].revisit_ms) == (2, 360)  # two reads confirm a ball
    assert (routes["east"].stay, routes["east"].revisit_ms) == (1, 300)


@pytest.mark.parametrize(
    "link",
    [
        "socket://203.0.113.7:0",
        "socket://203.0.113.7",
        "socket://203.0.113.7:70000",
        "socket://203.0.113.7:4001/west",
        "socket://203.0.113.7:4001?west",
        "socket://west@203.0.113.7:4001",
        "SOCKET://203.0.113.7:4001",
        "ttyUSB0",
    ],
)
def test_a_link_that_nobody_can_open_is_refused_when_it_is_read(link: str) -> None:
    assert complaint(link=link).endswith("is no link; write a path below /dev or socket://HOST:PORT")


@pytest.mark.parametrize("link", ["socket://203.0.113.7:4001", "socket://[2001:db8::7]:4001", "/dev/ttyUSB0"])
async def test_a_link_that_the_settings_take_can_be_made(link: str) -> None:
    made = make_reader(reader(link=link), lambda _event: None, SimRandomness())
    assert made.reads_to_confirm == 2


@pytest.mark.parametrize(("driver", "reads"), [("r2000_a0", 2), ("uhfreader288", 1)])
@pytest.mark.parametrize("port", ["1", "8", "9", "16"])
async def test_either_family_is_made_with_ports_enough(driver: str, reads: int, port: str) -> None:
    events: list[ReaderEvent] = []
    made = make_reader(reader(driver=driver, ports={port: "109"}), events.append, SimRandomness())
    assert made.reads_to_confirm == reads


def test_the_files_are_held_to_it(tmp_path: Path) -> None:
    file = tmp_path / "bayd.toml"
    file.write_text(
        f'[bays.109]\n[readers.west]\nlink = "{LINK}"\npower = 30\nports = {{ 1 = "109" }}\n'
        f'[readers.east]\nlink = "/dev/ttyUSB7"\nports = {{ 1 = "pit:", 2 = "pit:S1_1", 3 = "110" }}\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    complaints = {one.path: one.text for one in caught.value.complaints}
    assert set(complaints) == {"readers.west", "readers.east.ports.1", "readers.east.ports.3"}
    assert complaints["readers.west"].startswith("power: 30 dBm is more than the 26 dBm")
    assert complaints["readers.east.ports.1"].startswith("the target has no name")
