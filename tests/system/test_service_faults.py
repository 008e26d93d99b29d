"""The service under a real systemd when its loop, its disk or the world around it fails.

The watchdog's time and the journal's stall limit are shortened; to each other they are as in the unit:
a disk may hang for longer than the watchdog's time, and is given up after `journal_stall_s`.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.qod_world import phone, private_pem, public_pem
from tests.system.bay_pc import BAY, CENTRAL_PORT, DEFAULTS, MINUTE_S, PORT, STATE, UNIT, BayPc, Packages
from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

WATCHDOG_S = 4
STALL_S = 9
PATIENCE_S = 1  # of a request
EXTENSION = {"minutes": 5, "amount": 0, "reason": "asked for at the desk"}
ADDRESS = "203.0.113.20"
QOD_PORT, QOD_CLIENT, QOD_SECRET = 5000, "bay-pc", "a-client-secret-of-the-tests"
AWAY = f"""
[http]
listen = ["127.0.0.1:{PORT}", "{ADDRESS}:{PORT}"]
allow_plain_http = "trusted-lan"
allowed_hosts = ["127.0.0.1", "{ADDRESS}"]
[qod]
base_url = "http://127.0.0.1:{QOD_PORT}/qod/v0"
application_server = "203.0.113.10"
[bays.{BAY}.qod]
phone_number = "{phone(1)}"
"""
SETTINGS = f"[state]\ncommit_timeout_s = {PATIENCE_S}\njournal_stall_s = {STALL_S}\n"


@pytest.fixture(scope="module")
def machine_pc(packages: Packages) -> Iterator[BayPc]:
    deb = packages.make("0.1.0")
    with SystemdMachine() as machine:
        pc = BayPc(machine, packages)
        pc.install(deb)
        pc.set_up_range(deb)
        pc.configure(SETTINGS)
        pc.drop_in("impatient", f"WatchdogSec={WATCHDOG_S}")
        yield pc


@pytest.fixture
def pc(machine_pc: BayPc) -> Iterator[BayPc]:
    """Running, nobody at the bay, devices found."""
    pc = machine_pc
    pc.write_config(SETTINGS)
    if pc.shown("ActiveState") != "active":
        pc.systemctl("start", UNIT)
    pc.until_ready()
    pc.until_rest()
    yield pc
    if pc.shown("ActiveState") == "active" and pc.bay()["session"] is not None:
        pc.end_play()


@contextlib.contextmanager
def hung_disk(pc: BayPc, seconds: float) -> Iterator[None]:
    """The next write of the journal does not come back for so long; others wait behind it."""
    traced = pc.machine.pid_outside(pc.pid)
    inject = f"inject=fdatasync:delay_enter={round(seconds * 1e6)}:when=1"
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        inject,
        "-p",
        str(traced),
    ]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        status = Path(f"/proc/{traced}/status")
        pc.machine.until(lambda: "TracerPid:\t0\n" not in status.read_text(), "for strace")
        yield
    finally:
        tracer.kill()  # what it holds goes on, if it still lives
        tracer.wait(60)


# The watchdog.


def test_a_loop_that_hangs_is_killed_and_the_session_goes_on(pc: BayPc) -> None:
    session, pid = pc.play(), pc.pid
    pc.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    pc.until_ready(after_pid=pid)
    assert "Watchdog timeout" in pc.log()
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session


def test_a_hung_disk_ends_no_daemon_but_play_and_motors_in_time(pc: BayPc) -> None:
    pid = pc.pid
    pc.play(minutes=2)
    extended = pc.events("SessionExtended")
    assert pc.dispense(20)[0] == 200
    pc.machine.until(pc.motor_runs, "for the motor")
    with hung_disk(pc, WATCHDOG_S * 1.6):
        key = "pressed-while-the-disk-hung"
        status, answer = pc.press("extend", EXTENSION, staff=True, key=key)
        assert (status, answer["code"]) == (503, "outcome_unknown")
        assert "repeat" in answer["detail"]
        # The disk still hangs: time is up, the motor stands.
        pc.machine.until(lambda: not pc.motor_runs(), "for the end of play")
        readiness, said = pc.machine.http(PORT, "GET", "/readyz")
        assert (readiness, "waits for the disk" in said.get("reason", "")) == (503, True)
        pc.machine.until(lambda: "waits for the disk" in pc.shown("StatusText"), "for the status")
        pc.machine.until(lambda: pc.machine.http(PORT, "GET", "/readyz")[0] == 200, "for the disk")
    assert pc.until_bay(lambda bay: bay["session"] is None)["phase"] == "free"
    assert pc.pid == pid
    # What was answered 503 is never acted on: neither in the journal nor at the server.
    assert pc.events("SessionExtended") == extended
    assert len(pc.events("IntentExpired")) >= 1
    _, sessions = pc.machine.http(CENTRAL_PORT, "GET", "/session")
    assert "'extendedTime': 5" not in str(sessions)
    status, answer = pc.press("extend", EXTENSION, staff=True, key=key)
    assert status != 200, answer
    # It has recovered by itself.
    pc.play()
    assert pc.dispense(1)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["counted"] == 1)
    assert pc.pid == pid


def test_a_disk_that_hangs_past_the_limit_gets_the_daemon_killed(pc: BayPc) -> None:
    session, pid = pc.play(), pc.pid
    with hung_disk(pc, 600):
        assert pc.press("extend", EXTENSION, staff=True)[0] == 503
        gone = pc.log().count("Watchdog timeout")
        pc.machine.until(lambda: pc.log().count("Watchdog timeout") > gone, "for the watchdog")
    # Only now: a process that is traced is not gone before its tracer is.
    pc.until_ready(after_pid=pid)
    said = pc.log().rpartition("Watchdog timeout")[0]
    assert "event=journal_stuck" in said
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session


# A full disk.


def test_a_full_disk_refuses_ends_in_time_and_recovers(pc: BayPc) -> None:
    pc.systemctl("stop", UNIT)
    pc.machine.run("mount", "-t", "tmpfs", "-o", "size=2M,mode=700,uid=bayd", "tmpfs", STATE)
    try:
        pc.systemctl("start", UNIT)
        pc.until_ready()
        pc.until_rest()
        pid = pc.pid
        pc.play(minutes=4)
        assert pc.dispense(20)[0] == 200
        pc.machine.until(pc.motor_runs, "for the motor")
        pc.machine.ask("dd", "if=/dev/zero", f"of={STATE}/filler", "bs=4k")
        pc.machine.until(lambda: pc.press("help", {})[0] == 503, "for the full disk")
        pc.machine.until(lambda: "disk_full" in pc.warnings(), "for the warning")
        session = pc.bay()["session"]
        commanded = pc.bay()["balls"]["commanded"]
        status, answer = pc.press("extend", EXTENSION, staff=True)
        assert (status, answer["code"]) == (503, "not_recorded")
        assert pc.press("dispense", {"balls": 2}, key="pressed-twice")[0] == 503
        pc.machine.until(lambda: not pc.motor_runs(), "for the end of play")
        assert pc.bay()["balls"]["commanded"] == commanded
        pc.machine.run("rm", f"{STATE}/filler")
        pc.until_bay(lambda bay: bay["session"] is None and bay["phase"] == "free")
        assert pc.pid == pid
        assert pc.events("SessionExtended") == []
        # The end as it is recorded: once, by time, of all the time that was paid.
        (ended,) = pc.events("SessionEnded")
        assert (ended["session_id"], ended["reason"]) == (session["id"], "time")
        assert abs(ended["played_ms"] - 4 * MINUTE_S * 1000) <= 1000
        # The press that was refused, again, and once more as by a screen that lost the answer.
        pc.play()
        before = pc.balls_out()
        pc.order("wait_for_balls", bay=BAY, balls=2)
        answers = [pc.press("dispense", {"balls": 2}, key="pressed-twice") for _ in range(2)]
        assert [status for status, _ in answers] == [200, 200]
        pc.until_bay(lambda bay: bay["balls"]["counted"] == 2)
        pc.until_rest()
        assert pc.balls_out() == before + 2
        pc.end_play()
        assert pc.pid == pid
    finally:
        pc.systemctl("stop", UNIT)
        pc.machine.run("umount", STATE)


# Boot order.


def test_with_everything_away_it_comes_up_and_each_joins_when_it_comes(pc: BayPc) -> None:
    """Reader, dispenser, central server, names, an address, the mobile operator: absent, then one by one."""
    machine = pc.machine
    pc.systemctl("stop", UNIT)
    machine.run("systemctl", "stop", "central", "range")
    pc.write_config(SETTINGS + AWAY)
    config = machine.path("/etc/bayd/bayd.toml")
    config.write_text(config.read_text().replace("http://127.0.0.1:", "http://central.example:", 1))
    pc.give_credentials(qod_client_id=QOD_CLIENT, qod_client_secret=QOD_SECRET, qod_private_key=private_pem())
    scaled = machine.path(DEFAULTS).read_text()  # minutes are scaled on loopback alone
    machine.path(DEFAULTS).write_text("")
    pc.systemctl("start", UNIT)
    pid = pc.pid
    assert pc.shown("ActiveState") == "active"
    lost = {"reader": "lost", "dispenser": "lost"}
    pc.until_bay(lambda bay: {n: bay["devices"][n]["state"] for n in lost} == lost)
    assert pc.status()["central"]["online"] is False
    assert ADDRESS in pc.warnings()["listen_address_absent"]
    pc.start_range()
    pc.until_rest()
    # The server is there, but nobody tells where: no name, no way.
    pc.start_central()
    machine.until(lambda: _answers(pc), "for the server")
    assert pc.status()["central"]["online"] is False
    hosts = machine.path("/etc/hosts")
    hosts.write_text(hosts.read_text() + "127.0.0.1 central.example\n")
    machine.until(lambda: pc.status()["central"]["online"], "for the network")
    machine.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    machine.until(lambda: "listen_address_absent" not in pc.warnings(), "for the address")
    asked = f"import urllib.request as u; print(u.urlopen('http://{ADDRESS}:{PORT}/healthz').status)"
    assert machine.run("/usr/bin/python3", "-c", asked).strip() == "200"
    # Play begins without the operator, who joins it.
    pc.play()
    assert pc.dispense(1)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["counted"] == 1)
    assert pc.bay()["qod"]["state"] != "available"
    pc.start_operator(QOD_PORT, {QOD_CLIENT: {"secret": QOD_SECRET, "public_key_pem": public_pem()}})
    pc.until_bay(lambda bay: bay["qod"]["state"] == "available")
    assert (pc.pid, pc.bay()["number"]) == (pid, BAY)
    pc.end_play()
    pc.systemctl("stop", UNIT)
    machine.path(DEFAULTS).write_text(scaled)


def _answers(pc: BayPc) -> bool:
    try:
        return pc.machine.http(CENTRAL_PORT, "GET", "/session")[0] == 200
    except OSError:
        return False
