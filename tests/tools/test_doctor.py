"""`bayd doctor`: each fault is found, named, and comes with what to do next."""

import grp
import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from bayd.clients.transport import AiohttpTransport
from bayd.credentials import Credentials
from bayd.devices.serial_ports import SerialPort
from bayd.settings import Central, Qod, Settings
from bayd.tools.doctor import (
    UDEV_FILE,
    Finding,
    Grade,
    check_central,
    check_clock,
    check_credentials,
    check_disk,
    check_links,
    check_socket_links,
    held_links,
    udev_page,
    udev_rules,
)
from tests.cli.command import bayd_here
from tests.clients.central.minimal_server import MinimalServer
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]


def grades(findings: list[Finding]) -> list[Grade]:
    assert all(finding.next_step for finding in findings if finding.grade is not Grade.GOOD)
    return [finding.grade for finding in findings]


@pytest.fixture
def port() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_missing_secrets_are_named_by_what_fails_without_them() -> None:
    qod = Qod(base_url="http://127.0.0.1:1", application_server="203.0.113.10")
    settings = Settings(central=Central(auth="bearer"), qod=qod)
    texts = " ".join(finding.text for finding in check_credentials(settings, Credentials()))
    for name in ("site_key", "api_tokens", "central_token", "qod_client_id"):
        assert name in texts


def test_a_clock_that_nothing_keeps_is_worth_a_look() -> None:
    assert grades(check_clock("no time service keeps it")) == [Grade.LOOK]
    assert grades(check_clock(None)) == [Grade.GOOD]


def test_a_journal_on_a_network_file_system_is_bad(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    assert Grade.BAD in grades(check_disk(tmp_path, mounts))
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
    assert Grade.BAD not in grades(check_disk(tmp_path, mounts))


def test_a_state_directory_that_cannot_be_is_bad(tmp_path: Path) -> None:
    assert grades(check_disk(tmp_path / "a/b/c")) == [Grade.BAD]


def test_a_port_that_is_gone_a_group_that_lacks_and_a_name_that_may_move(tmp_path: Path, port: str) -> None:
    ports = [SerialPort("/dev/ttyUSB0", "/dev/serial/by-id/usb-x", None)]
    gone = check_links({"readers.a.link": str(tmp_path / "gone")}, groups=frozenset(), ports=ports)
    assert grades(gone) == [Grade.BAD]
    assert "/dev/serial/by-id/usb-x" in gone[0].next_step
    Path(port).chmod(0o600)
    locked = check_links({"readers.a.link": port}, groups=frozenset({"dialout"}), ports=())
    assert grades(locked) == [Grade.BAD]
    assert "--udev" in locked[0].next_step
    Path(port).chmod(0o660)
    owner = grp.getgrgid(Path(port).stat().st_gid).gr_name
    others = check_links({"readers.a.link": port}, groups=frozenset({"-"}), ports=())
    assert grades(others) == [Grade.BAD]
    assert ("--udev" if owner == "root" else f"usermod -aG {owner} bayd") in others[0].next_step
    Path(port).chmod(0o666)
    assert grades(check_links({"readers.a.link": port}, groups=frozenset(), ports=())) == [Grade.GOOD]


def test_a_port_that_the_running_daemon_works_with_is_open_enough(port: str) -> None:
    Path(port).chmod(0o600)
    readers = {"east": {"state": "ok"}, "west": {"state": "lost"}}
    jammed = {"north": {"state": "fault"}}
    held = held_links({"devices": {"readers": readers, "dispensers": jammed, "balls": {"reads": 7}}})
    links = dict.fromkeys(("readers.east.link", "dispensers.north.link", "readers.west.link"), port)
    found = check_links(links, groups=frozenset(), ports=(), held=held)
    assert grades(found) == [Grade.GOOD, Grade.GOOD, Grade.BAD]
    assert held_links({}) == frozenset()


async def test_a_reader_on_the_network_that_does_not_answer_is_bad() -> None:
    link = f"socket://127.0.0.1:{free_port()}"
    assert grades(await check_socket_links({"readers.a.link": link, "readers.b.link": "/dev/x"})) == [
        Grade.BAD
    ]


async def test_the_central_server_answers_refuses_or_is_away() -> None:
    transport = AiohttpTransport()
    try:
        async with TestServer(MinimalServer().app()) as server:
            url = str(server.make_url("")).rstrip("/")
            assert grades(await check_central(transport, url, None)) == [Grade.LOOK]
        away = f"http://127.0.0.1:{free_port()}"
        assert grades(await check_central(transport, away, None)) == [Grade.BAD]
    finally:
        await transport.aclose()


def test_a_udev_rule_names_an_adapter_by_its_serial_number_or_else_by_its_place(tmp_path: Path) -> None:
    usb = tmp_path / "devices/usb1/1-1"
    for name, serial in (("ttyUSB0", "A5069RR4"), ("ttyUSB1", "")):
        place = usb / name
        (place / "tty").mkdir(parents=True)
        (place / "idVendor").write_text("0403\n")
        (place / "idProduct").write_text("6001\n")
        if serial:
            (place / "serial").write_text(f"{serial}\n")
        (tmp_path / "tty" / name).mkdir(parents=True)
        (tmp_path / "tty" / name / "device").symlink_to(place / "tty")
    by_path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"
    ports = [SerialPort("/dev/ttyUSB0", None, None), SerialPort("/dev/ttyUSB1", None, by_path)]
    first, second = udev_rules(ports, tmp_path / "tty")
    assert 'ATTRS{serial}=="A5069RR4"' in first
    assert 'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:2:1.0"' in second
    assert all('ENV{ID_MM_DEVICE_IGNORE}="1"' in rule for rule in (first, second))


def test_the_command_is_1_when_anything_is_bad_and_names_a_wrong_key(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text("[central]\npoll = 1\n")
    ran = bayd_here("doctor", "--config", config, "--json")
    assert ran.code == 1
    rows = json.loads(ran.out)
    assert any("central.poll" in row["text"] and row["grade"] == "bad" for row in rows)


def test_with_nothing_about_the_command_says_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    dead = free_port()
    config.write_text(f'[central]\nurl = "http://127.0.0.1:{dead}"\n[state]\ndir = "{tmp_path}"\n')
    ran = bayd_here("doctor", "--config", config, "--url", f"http://127.0.0.1:{dead}")
    assert ran.code == 1
    assert "daemon: " in ran.out
    assert "-> " in ran.out


def test_rules_that_ask_what_an_adapter_is_come_after_those_that_find_out() -> None:
    """udev takes all files in the order of their names; ID_BUS and ID_PATH come from 60-serial.rules."""
    shipped = [file for file in (ROOT / "systemd").glob("*.rules") if "ENV{ID_" in file.read_text()]
    package = (ROOT / "systemd/deb/nfpm.yaml").read_text()
    assert shipped
    for file in shipped:
        assert file.name > "60-serial.rules"
        assert f"dst: /usr/lib/udev/rules.d/{file.name}\n" in package
        assert Path(UDEV_FILE).name > file.name  # and the site's own word is the last


def test_the_page_of_rules_says_where_it_goes() -> None:
    assert UDEV_FILE in udev_page(['SUBSYSTEM=="tty"'])
    assert udev_page([]).startswith("# no USB")
