"""The configuration: each fault named by its path, all at once, and what outranks what."""

import json
import os
from pathlib import Path

import pytest

from bayd.core.rules import DowntimePolicy, ExtensionPolicy
from bayd.settings import Configuration, ConfigurationError, load
from tests.cli.command import bayd, bayd_here, environment

GOOD = """
[readers.one]
link = "socket://127.0.0.1:4001"
ports = { 8 = "109" }
[bays.109]
"""
EPC = "E28011606000020412345678"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = environment()
    for name in set(os.environ) - set(clean):
        monkeypatch.delenv(name)


def read(directory: Path, text: str, **variables: str) -> Configuration:
    file = directory / "bayd.toml"
    file.write_text(text)
    return load(file, variables)


def complaints(directory: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(directory, text, **variables)
    return [str(complaint) for complaint in caught.value.complaints]


# All faults at once, through the real command.

FOUR_FAULTS = """
[site]
nmae = "Range"
[central]
poll_s = "often"
[readers.one]
link = "/dev/ttyUSB0"
ports = { 1 = "101" }
[readers.two]
link = "/dev/ttyUSB0"
ports = { 2 = "101" }
[bays.101]
[bays.109]
"""


def test_check_config_names_every_fault_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "bayd.toml"
    file.write_text(FOUR_FAULTS)
    ran = bayd("check-config", file)
    assert ran.code == 78
    assert ran.out == ""
    assert [line.split(": ")[0] for line in ran.err.splitlines()] == [
        "site.nmae",
        "central.poll_s",
        "readers.two.link",
        "bays.109",
    ]
    assert "is no setting" in ran.err
    assert "should be a valid number" in ran.err
    assert "used twice (also readers.one.link)" in ran.err
    assert "its antenna does not exist" in ran.err


def test_check_config_says_the_same_in_json(tmp_path: Path) -> None:
    file = tmp_path / "bayd.toml"
    file.write_text(FOUR_FAULTS)
    ran = bayd_here("check-config", "--json", file)
    assert ran.code == 78
    assert [set(fault) for fault in json.loads(ran.out)] == [{"path", "text"}] * 4


def test_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "bayd.toml"
    file.write_text(GOOD)
    ran = bayd_here("check-config", file)
    assert (ran.code, ran.out, ran.err) == (0, f"{file}: good\n", "")


@pytest.mark.parametrize("command", [("check-config",), ("run", "--config")])
def test_a_file_without_a_bay_is_for_tools_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "bayd.toml"
    file.write_text("")
    ran = bayd(*command, file)
    assert ran.code == 78
    assert "there is none; each has a table, as [bays.101]" in ran.err


def test_the_environment_outranks_the_file(tmp_path: Path) -> None:
    """Through the real command: pydantic-settings reads the process's own environment."""
    file = tmp_path / "bayd.toml"
    file.write_text('[bays.109]\nrfid = false\ndispenser = "east"\n')
    assert bayd("check-config", file).err == "bays.109.dispenser: there is no dispenser 'east'\n"
    repaired = {"BAYD_DISPENSERS__EAST__LINK": "socket://127.0.0.1:4002"}
    assert bayd("check-config", file, env=repaired).code == 0
    broken = bayd(
        "check-config", file, env=repaired | {"BAYD_CENTRAL__POLL_S": "0", "BAYD_CENTRAL__POLS": "1"}
    )
    assert broken.code == 78
    assert sorted(line.split(": ")[0] for line in broken.err.splitlines()) == [
        "central.poll_s",
        "central.pols",
    ]


def test_a_variable_outranks_a_key_and_leaves_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYD_CENTRAL__POLL_S", "7")
    monkeypatch.setenv("BAYD_HTTP__LISTEN", '["127.0.0.1:9000"]')
    text = GOOD + "[central]\npoll_s = 1\nsettle_s = 40\n"
    settings = read(tmp_path, text).settings
    assert (settings.central.poll_s, settings.central.settle_s) == (7, 40)
    assert settings.http.listen == ("127.0.0.1:9000",)


def test_a_variable_that_is_not_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYD_CENTRAL", "nonsense")
    assert [
        '"central"' in line and line.startswith("environment: ") for line in complaints(tmp_path, GOOD)
    ] == [True]


def test_an_unknown_variable_is_refused(tmp_path: Path) -> None:
    found = complaints(tmp_path, GOOD, BAYD_CENTRALL__URL="http://127.0.0.1:1", BAYD_TIMESCALE="3")
    assert found == ["BAYD_CENTRALL__URL: is no setting", "BAYD_TIMESCALE: is no setting"]


def test_variables_of_the_command_line_and_of_secrets_are_known(tmp_path: Path) -> None:
    names = ("BAYD_URL", "BAYD_CONFIG", "BAYD_BOOT_ID", "BAYD_SITE_KEY", "BAYD_API_TOKENS", "LANG")
    assert list(read(tmp_path, GOOD, **dict.fromkeys(names, "x")).settings.bays) == ["109"]


# Files.


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "nowhere.toml", {})


def test_a_file_that_is_not_toml_is_named_with_the_place(tmp_path: Path) -> None:
    assert complaints(tmp_path, GOOD + "[site\n") == [
        f"{tmp_path / 'bayd.toml'}: is not TOML: Expected ']' at the end of a table declaration "
        "(at line 6, column 6)"
    ]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "bayd.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(file, {})


def test_conf_d_is_merged_key_by_key_in_the_order_of_names(tmp_path: Path) -> None:
    more = tmp_path / "conf.d"
    more.mkdir()
    (more / "20-late.toml").write_text("[central]\npoll_s = 3\n[bays.110]\nrfid = false\n")
    (more / "10-early.toml").write_text("[central]\npoll_s = 2\nsettle_s = 50\n")
    (more / "30-other.txt").write_text("not a configuration")
    settings = read(tmp_path, GOOD + "[central]\npoll_s = 1\ntimeout_s = 9\n").settings
    assert (settings.central.poll_s, settings.central.settle_s, settings.central.timeout_s) == (3, 50, 9)
    assert list(settings.bays) == ["109", "110"]


def test_a_faulty_file_of_conf_d_is_named(tmp_path: Path) -> None:
    more = tmp_path / "conf.d"
    more.mkdir()
    (more / "10-bad.toml").write_text("poll_s =\n")
    (found,) = complaints(tmp_path, GOOD)
    assert found.startswith(f"{more / '10-bad.toml'}: is not TOML: ")


# Single faults. Each gives one line; none may end in a traceback.

QOD = '[qod]\nbase_url = "https://operator.example.com/qod/v0"\napplication_server = "203.0.113.10"\n'

FAULTS = {
    "unknown table": ("[sight]\n", "sight: is no setting"),
    "unknown key of a bay": ("[bays.109]\nrfid = false\nrfd = true\n", "bays.109.rfd: is no setting"),
    "an order to pydantic": ('_env_prefix = "X"\n' + GOOD, "_env_prefix: is no setting"),
    "a table that is a number": ("bays = 3\n", "bays: should be a table"),
    "a bay that is a number": ("[bays]\n109 = 3\n", "bays.109: should be a table"),
    "no link": ('[readers.one]\nports = { 8 = "109" }\n[bays.109]\n', "readers.one.link: is missing"),
    "a strange link": (
        GOOD.replace("socket", "tcp"),
        "readers.one.link: is no link; write a path below /dev or socket://HOST:PORT",
    ),
    "a link without a port": (
        GOOD.replace(":4001", ""),
        "readers.one.link: is no link; write a path below /dev or socket://HOST:PORT",
    ),
    "an antenna port that is none": (
        GOOD.replace('8 = "109"', '8 = "109", 17 = "109"'),
        "readers.one.ports.17: a port is a number from 1 to 16",
    ),
    "an antenna port twice": (
        GOOD.replace('8 = "109"', '8 = "109", 08 = "109"'),
        "readers.one.ports.08: port 8 is used twice (also readers.one.ports.8)",
    ),
    "an antenna of no bay": (
        GOOD.replace('"109"', '"109", 7 = "108"'),
        "readers.one.ports.7: there is no bay '108'",
    ),
    "an antenna of several bays": (
        GOOD.replace('8 = "109"', '8 = "109", 7 = ["109"]'),
        "readers.one.ports.7: should be a valid string",
    ),
    "a dispenser that does not exist": (
        GOOD + 'dispenser = "west"\n',
        "bays.109.dispenser: there is no dispenser 'west'",
    ),
    "a dispenser that is a list": (
        GOOD + 'dispenser = ["west"]\n',
        "bays.109.dispenser: should be a valid string",
    ),
    "a screen that is a number": (GOOD + "qod = 5\n", "bays.109.qod: should be a table"),
    "a screen without an identifier": (
        GOOD + "[bays.109.qod]\n",
        "bays.109.qod: exactly one device identifier is wanted, of phone_number, ipv4_address, ipv6_address",
    ),
    "a screen with two": (
        GOOD + '[bays.109.qod]\nphone_number = "1555010001"\nipv4_address = "203.0.113.5"\n',
        "bays.109.qod: exactly one device identifier is wanted, of phone_number, ipv4_address, ipv6_address",
    ),
    "no web address": (
        GOOD + '[central]\nurl = "server:4000"\n',
        "central.url: is no web address; write http://HOST:PORT or https://HOST",
    ),
    "half a web address": (
        GOOD + '[central]\nurl = "http://[::1"\n',
        "central.url: is no web address; write http://HOST:PORT or https://HOST",
    ),
    "no time zone": (
        GOOD + '[site]\ntimezone = "Mars/Base"\n',
        "site.timezone: there is no time zone 'Mars/Base'; write an IANA name such as Asia/Kolkata",
    ),
    "no time at all": (GOOD + "[central]\npoll_s = 0\n", "central.poll_s: should be greater than 0"),
    "a policy that is none": (
        GOOD + '[play]\nextension = "perhaps"\n',
        "play.extension: should be 'ask', 'on_account' or 'staff_only'",
    ),
    "a webhook in the clear": (
        GOOD + QOD + '[qod.webhook]\nurl = "http://bay.example.com/qod"\n',
        "qod.webhook.url: must be https://: operators send events, and the token that opens it, nowhere else",
    ),
    "a webhook with a key in its address": (
        GOOD + QOD + '[qod.webhook]\nurl = "https://bay.example.com/qod?key=s3cret"\n',
        "qod.webhook.url: scheme, host and path only, such as https://bay.example.com/qod",
    ),
    "a reader beside a hopper": (
        GOOD + '[dispensers.east]\nlink = "socket://127.0.0.1:4001"\n',
        "dispensers.east.link: the port is used twice (also readers.one.link)",
    ),
    "two hoppers under one address": (
        GOOD + '[dispensers.a]\nlink = "/dev/ttyS0"\n[dispensers.b]\nlink = "/dev/ttyS0"\naddress = 3\n',
        "dispensers.b.address: is used twice on this line (also dispensers.a.address)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_says_where_and_what(tmp_path: Path, fault: str) -> None:
    text, expected = FAULTS[fault]
    assert complaints(tmp_path, text) == [expected]


def test_hoppers_may_share_a_line(tmp_path: Path) -> None:
    text = '[dispensers.a]\nlink = "/dev/ttyS0"\n[dispensers.b]\nlink = "/dev/ttyS0"\naddress = 4\n'
    assert list(read(tmp_path, GOOD + text).settings.dispensers) == ["a", "b"]


def test_an_antenna_of_a_return_is_of_no_bay(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD.replace('"109"', '"109", 7 = "return"')).settings
    assert settings.readers["one"].ports == {"8": "109", "7": "return"}


def test_what_names_a_screen_is_in_no_message_and_no_repr(tmp_path: Path) -> None:
    text = GOOD + '[bays.109.qod]\nphone_number = "1555010001"\n'
    (found,) = complaints(tmp_path, text.replace("1555010001", "15550100O1"))
    assert found.startswith("bays.109.qod.phone_number: ")
    assert "15550100" not in found
    configuration = read(tmp_path, text)
    assert configuration.settings.bays["109"].qod is not None
    assert "1555010001" not in repr(configuration)


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.central.poll_s = 1  # type: ignore[misc] # that it is refused is the point


# Time scale.

SIMULATED = GOOD + '[dispensers.east]\nlink = "socket://[::1]:4002"\n'


def test_the_time_scale_shortens_booked_minutes(tmp_path: Path) -> None:
    configuration = read(tmp_path, SIMULATED, BAYD_TIME_SCALE="30")
    assert (configuration.time_scale, configuration.minute_ms) == (30, 2_000)
    rules = configuration.rules("109")
    assert (rules.minute_ms, rules.grace_ms) == (2_000, 4_000)
    assert rules.recount_after_ms == 120_000  # seconds are real
    assert read(tmp_path, SIMULATED).minute_ms == 60_000


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("fast", "is not a number"), ("0", "must be between 0.1 and 60"), ("nan", "must be between 0.1 and 60")],
)
def test_a_time_scale_that_is_none(tmp_path: Path, scale: str, expected: str) -> None:
    assert complaints(tmp_path, SIMULATED, BAYD_TIME_SCALE=scale) == [f"BAYD_TIME_SCALE: {expected}"]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ('[central]\nurl = "http://192.0.2.1:4000"\n', "central.url"),
        ('[central]\nurl = "https://central.example.com"\n', "central.url"),
        (
            '[qod]\nbase_url = "https://qod.example.com/v0"\napplication_server = "203.0.113.10"\n',
            "qod.base_url",
        ),
        ('[dispensers.west]\nlink = "/dev/ttyUSB7"\n', "dispensers.west.link"),
        ('[dispensers.west]\nlink = "/dev/serial/by-id/usb-hopper"\n', "dispensers.west.link"),
        ('[dispensers.west]\nlink = "socket://192.0.2.7:4001"\n', "dispensers.west.link"),
    ],
)
def test_the_time_scale_is_refused_beside_anything_real(tmp_path: Path, more: str, path: str) -> None:
    (found,) = complaints(tmp_path, SIMULATED + more, BAYD_TIME_SCALE="30")
    assert found.startswith("BAYD_TIME_SCALE: ")
    assert f"{path} " in found


def test_a_pty_counts_as_simulated_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "tty-east").symlink_to("/dev/pts/0")
    text = GOOD + f'[dispensers.west]\nlink = "{tmp_path / "tty-east"}"\n'
    assert read(tmp_path, text, BAYD_TIME_SCALE="30").time_scale == 30
    (tmp_path / "tty-west").symlink_to("/dev/ttyUSB0")
    refused = complaints(tmp_path, text.replace("tty-east", "tty-west"), BAYD_TIME_SCALE="30")
    assert len(refused) == 1


# The list of balls.


def with_balls(directory: Path, csv: str | None) -> str:
    file = directory / "balls.csv"
    if csv is not None:
        file.write_text(csv)
    return GOOD + f'[balls]\nregistry = "{file}"\n'


HEADER = "epc,label,added_at,retired_at\n"


def test_the_balls_that_are_not_retired_count(tmp_path: Path) -> None:
    gone = EPC.replace("E28", "E29")
    csv = f"{HEADER}{EPC},1,2026-11-01T00:00:00Z,\n{gone},2,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z\n"
    assert read(tmp_path, with_balls(tmp_path, csv)).registered_balls == frozenset({EPC})


def test_without_a_list_it_is_not_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).registered_balls is None
    assert read(tmp_path, with_balls(tmp_path, HEADER)).registered_balls == frozenset()


@pytest.mark.parametrize(
    ("csv", "expected"),
    [
        (None, "No such file or directory"),
        ("", "line 1: the first line must be epc,label,added_at,retired_at"),
        (f"{HEADER}E28,1,2026-11-01T00:00:00Z,\n", "line 2, column epc: E28 has 3 digits"),
        (f"{HEADER}{EPC},1,yesterday,\n", "line 2, column added_at: 'yesterday' is not a time"),
        (
            f"{HEADER}{EPC},1,2026-11-01T00:00:00Z,\n{EPC},2,2026-11-01T00:00:00Z,\n",
            f"line 3, column epc: {EPC} is already on line 2",
        ),
    ],
)
def test_a_faulty_list_is_named_with_the_place(tmp_path: Path, csv: str | None, expected: str) -> None:
    found = read(tmp_path, with_balls(tmp_path, csv))
    assert found.registered_balls is None
    assert found.registry_problem is not None
    assert found.registry_problem.startswith(f"{tmp_path / 'balls.csv'}: ")
    assert expected in found.registry_problem


# What the rules of a bay get.


def test_the_rules_of_a_bay_are_what_the_file_says(tmp_path: Path) -> None:
    text = SIMULATED.replace("[bays.109]\n", '[bays.109]\ndispenser = "east"\n') + (
        "[play]\ngrace_minutes = 3\nwarn_minutes = [7]\nnext_pin_minutes = 4\npin_tries = 3\n"
        "pin_lock_minutes = 2\npin_lock_max_minutes = 8\nbooking_horizon_minutes = 60\n"
        'extension = "on_account"\nextension_minutes = [10]\nextension_price = 25\ndowntime = "counted"\n'
        "max_credit_s = 90\nrecount_after_s = 45\ndispense_max_balls = 50\n"
        "[state]\ncommit_timeout_s = 1.5\n"
    )
    rules = read(tmp_path, text).rules("109")
    assert rules.dispenser == "east"
    assert (rules.grace_minutes, rules.warn_minutes, rules.next_pin_minutes) == (3, (7,), 4)
    assert (rules.pin_tries, rules.pin_lock_minutes, rules.pin_lock_max_minutes) == (3, 2, 8)
    assert (rules.booking_horizon_minutes, rules.extension) == (60, ExtensionPolicy.ON_ACCOUNT)
    assert (rules.extension_minutes, rules.extension_price) == ((10,), 25)
    assert (rules.downtime, rules.max_credit_ms) == (DowntimePolicy.COUNTED, 90_000)
    assert (rules.recount_after_ms, rules.dispense_max_balls, rules.intent_ttl_ms) == (45_000, 50, 1_500)
