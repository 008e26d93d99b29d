"""The service under a real systemd when its loop, its disk or the world around it fails.

The watchdog's time and the journal's stall limit are shortened; to each other they are as in the unit:
a disk may hang for longer than the watchdog's time, and is given up after `journal_stall_s`.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.qod_world import phone, private_pem, public_pem
from tests.system.bay_pc import (
    BAY,
    CENTRAL_PORT,
    DEFAULTS,
    LONG_PAYOUT,
    MINUTE_S,
    PORT,
    READER,
    STATE,
    UNIT,
    BayPc,
    Packages,
)
from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
patient = pytest.mark.timeout(900)
# A server that was away is asked after pauses that grow with its absence, up to a minute and a fifth: on a
# machine where all goes slowly it is away for long, and found late.
JOINS_IN_S = 5 * 72

WATCHDOG_S = 8
STALL_S = 25
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
    pc.open_up()
    yield pc
    pc.clear_bays()


@contextlib.contextmanager
def held(pc: BayPc, syscall: str, *of: str) -> Iterator[None]:
    """The next such call does not come back before the block ends; with `-f` it is that of any thread."""
    traced = pc.machine.pid_outside(pc.pid)
    inject = f"inject={syscall}:delay_enter=600000000:when=1"
    tracer = subprocess.Popen(
        ["strace", "-qq", "-o", "/dev/null", *of, "-e", inject, "-p", str(traced)],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process = Path(f"/proc/{traced}")

        def traces() -> bool:
            threads = process.glob("task/*/status") if "-f" in of else [process / "status"]
            try:
                return all("TracerPid:\t0\n" not in each.read_text() for each in threads)
            except OSError:  # a thread that has ended meanwhile
                return False

        pc.machine.until(traces, "for strace")
        yield
    finally:
        tracer.kill()  # what it holds goes on, if it still lives
        tracer.wait(60)


def hung_disk(pc: BayPc) -> contextlib.AbstractContextManager[None]:
    """The next write of the journal does not come back; others wait behind it."""
    return held(pc, "fdatasync", "-f")


# The watchdog.


def test_a_process_that_stands_still_is_killed_and_the_session_goes_on(pc: BayPc) -> None:
    session, pid = pc.play(), pc.pid
    pc.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    pc.until_ready(after_pid=pid)
    assert "Watchdog timeout" in pc.log()
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session


def test_a_loop_that_is_blocked_beside_a_living_writer_is_killed(pc: BayPc) -> None:
    """Only the loop's own thread stands still: nobody else may feed the watchdog for it."""
    session, pid = pc.play(), pc.pid
    threads = Path(f"/proc/{pc.machine.pid_outside(pid)}/task")
    gone = pc.log().count("Watchdog timeout")
    with held(pc, "epoll_wait"):
        free = [task for task in threads.iterdir() if "TracerPid:\t0\n" in (task / "status").read_text()]
        assert free  # the writer's
        pc.machine.until(lambda: pc.log().count("Watchdog timeout") > gone, "for the watchdog")
    # Only now: a process that is traced is not gone before its tracer is.
    pc.until_ready(after_pid=pid)
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session


# A hung disk.


def until_quiet(pc: BayPc) -> None:
    """Nothing more is written about what happened: the next write is that of the next press."""
    seen: list[str] = []

    def look() -> bool:
        said = pc.machine.run("bayd", "events", "--last", 1)
        seen.append(said)
        return len(seen) > 3 and len(set(seen[-4:])) == 1

    pc.machine.until(look, "for quiet")


def test_what_is_asked_while_the_disk_hangs_is_never_done(pc: BayPc) -> None:
    pid = pc.pid
    pc.play()
    until_quiet(pc)
    extended, commanded, out = pc.events("SessionExtended"), pc.events("PayoutRequested"), pc.balls_out()
    with hung_disk(pc):
        key = "pressed-while-the-disk-hung"
        status, answer = pc.press("extend", EXTENSION, staff=True, key=key)
        assert (status, answer["code"]) == (503, "outcome_unknown")
        assert "repeat" in answer["detail"]
        # Behind it nothing else of the bay is taken.
        status, answer = pc.press("dispense", {"balls": 3}, key=f"{key}-too")
        assert (status, answer["code"] in ("busy", "not_recorded")) == (503, True), answer
        readiness, said = pc.machine.http(PORT, "GET", "/readyz")
        assert (readiness, "waits for the disk" in said.get("reason", "")) == (503, True)
        pc.machine.until(lambda: "waits for the disk" in pc.shown("StatusText"), "for the status")
    pc.machine.until(lambda: pc.machine.http(PORT, "GET", "/readyz")[0] == 200, "for the disk")
    pc.until_rest()
    # Neither in the journal nor at the server nor at the machine.
    assert pc.events("SessionExtended") == extended
    assert pc.events("PayoutRequested") == commanded
    assert len(pc.events("IntentExpired")) >= 1
    assert pc.balls_out() == out
    # It has recovered by itself.
    assert pc.dispense(1)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["counted"] == 1)
    assert pc.balls_out() == out + 1
    # Whoever looks, and asks again with the same key, has it once.
    answers = [pc.press("extend", EXTENSION, staff=True, key=key) for _ in range(2)]
    assert [status for status, _ in answers] == [200, 200]
    assert len([event for event in pc.events("SessionExtended") if event["own"]]) == len(extended) + 1
    assert pc.pid == pid


def test_an_extension_that_was_answered_503_reaches_no_server(pc: BayPc) -> None:
    pc.play()
    until_quiet(pc)
    extended = pc.events("SessionExtended")
    with hung_disk(pc):
        status, answer = pc.press("extend", EXTENSION, staff=True)
        assert (status, answer["code"]) == (503, "outcome_unknown")
    pc.machine.until(lambda: pc.machine.http(PORT, "GET", "/readyz")[0] == 200, "for the disk")
    until_quiet(pc)
    # What reached the server comes back as time that somebody there sold.
    assert pc.events("SessionExtended") == extended
    assert pc.bay()["session"]["duration_s"] == 200 * MINUTE_S


def test_while_the_disk_hangs_play_and_motors_end_in_time_and_no_daemon(pc: BayPc) -> None:
    """A payout that had begun is paid out (docs/dispensers.md); after its time none begins."""
    pid, out = pc.pid, pc.balls_out()
    before = pc.listened_at()
    pc.play(minutes=3)
    assert pc.dispense(20)[0] == 200
    pc.machine.until(lambda: pc.balls_out() > out and pc.listened_at() > before, "for motor and antenna")
    with hung_disk(pc):
        hung = time.monotonic()
        pc.machine.until(lambda: not pc.motor_runs(), "for the end of the payout")
        # Longer than the watchdog's time, and than the rest of play.
        pc.machine.until(lambda: time.monotonic() - hung > max(WATCHDOG_S, 3 * MINUTE_S) * 1.1)
        pc.until_antenna_rests()  # play is over
        assert pc.press("dispense", {"balls": 1})[0] == 503
        assert pc.machine.http(PORT, "GET", "/readyz")[0] == 503  # it hangs still
        assert pc.balls_out() == out + 20
    pc.until_bay(lambda bay: bay["session"] is None and bay["phase"] == "free")
    assert pc.pid == pid
    # The end as it is recorded: at its time, not when the disk came back.
    assert abs(pc.events("SessionEnded")[-1]["played_ms"] - 3 * MINUTE_S * 1000) <= 1000
    pc.until_rest()
    assert pc.balls_out() == out + 20


def test_a_disk_that_hangs_past_the_limit_gets_the_daemon_killed(pc: BayPc) -> None:
    session, pid = pc.play(), pc.pid
    with hung_disk(pc):
        assert pc.press("extend", EXTENSION, staff=True)[0] == 503
        gone = pc.log().count("Watchdog timeout")
        pc.machine.until(lambda: pc.log().count("Watchdog timeout") > gone, "for the watchdog")
    # Only now: a process that is traced is not gone before its tracer is.
    pc.until_ready(after_pid=pid)
    said = pc.log().rpartition("Watchdog timeout")[0]
    assert "event=journal_stuck" in said
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session


def test_a_disk_that_hangs_does_not_hold_a_stop(pc: BayPc) -> None:
    session, out = pc.play(), pc.balls_out()
    assert pc.dispense(LONG_PAYOUT)[0] == 200
    pc.machine.until(lambda: pc.balls_out() > out, "for the motor")
    leader = Path(f"/proc/{pc.machine.pid_outside(pc.pid)}/status")
    with hung_disk(pc):
        assert pc.press("extend", EXTENSION, staff=True)[0] == 503
        pc.systemctl("stop", "--no-block", UNIT)
        # It has ended; only the thread that is traced is not gone before its tracer is.
        pc.machine.until(lambda: "State:\tZ" in leader.read_text(), "for its end")
        assert not pc.motor_runs()
    pc.machine.until(lambda: pc.shown("ActiveState") in ("inactive", "failed"), "for the end of the unit")
    # Not killed: after TimeoutStopSec the result would be `timeout`.
    assert pc.shown("Result") == "success"
    assert "event=journal_not_closed" in pc.log()
    assert pc.balls_out() < out + LONG_PAYOUT
    pc.systemctl("start", UNIT)
    assert pc.until_bay(lambda bay: bay["session"] is not None)["session"]["id"] == session


# A full disk.


def test_a_full_disk_refuses_ends_in_time_and_recovers(pc: BayPc) -> None:
    pc.systemctl("stop", UNIT)
    pc.machine.run("mount", "-t", "tmpfs", "-o", "size=2M,mode=700,uid=bayd", "tmpfs", STATE)
    try:
        pc.systemctl("start", UNIT)
        pc.until_ready()
        pc.until_rest()
        pid = pc.pid
        before, out = pc.listened_at(), pc.balls_out()
        pc.play(minutes=8)
        assert pc.dispense(20)[0] == 200
        pc.machine.until(lambda: pc.balls_out() > out and pc.listened_at() > before, "for motor and antenna")
        pc.machine.ask("dd", "if=/dev/zero", f"of={STATE}/filler", "bs=4k")
        pc.machine.until(lambda: pc.press("help", {})[0] == 503, "for the full disk")
        pc.machine.until(lambda: "disk_full" in pc.warnings(), "for the warning")
        session = pc.bay()["session"]
        commanded = pc.bay()["balls"]["commanded"]
        status, answer = pc.press("extend", EXTENSION, staff=True)
        assert (status, answer["code"]) == (503, "not_recorded")
        assert pc.press("dispense", {"balls": 2}, key="pressed-twice")[0] == 503
        pc.machine.until(lambda: not pc.motor_runs(), "for the end of the payout")
        pc.until_antenna_rests()  # play is over
        # All while the disk was full. What had begun was paid out, and nothing else.
        stopped = pc.balls_out()
        assert stopped == out + 20
        assert "disk_full" in pc.warnings()
        assert pc.bay()["balls"]["commanded"] == commanded
        pc.machine.run("rm", f"{STATE}/filler")
        pc.until_bay(lambda bay: bay["session"] is None and bay["phase"] == "free")
        assert pc.pid == pid
        assert pc.events("SessionExtended") == []
        # The end as it is recorded: once, by time, of all the time that was paid.
        (ended,) = pc.events("SessionEnded")
        assert (ended["session_id"], ended["reason"]) == (session["id"], "time")
        assert abs(ended["played_ms"] - 8 * MINUTE_S * 1000) <= 1000
        pc.until_rest()
        assert pc.balls_out() == stopped
        # The press that was refused, again, and once more as by a screen that lost the answer.
        pc.play()
        pc.order("wait_for_balls", bay=BAY, balls=2)
        answers = [pc.press("dispense", {"balls": 2}, key="pressed-twice") for _ in range(2)]
        assert [status for status, _ in answers] == [200, 200]
        pc.until_bay(lambda bay: bay["balls"]["counted"] == 2)
        pc.until_rest()
        assert pc.balls_out() == stopped + 2
        pc.end_play()
        assert pc.pid == pid
    finally:
        pc.systemctl("stop", UNIT)
        pc.machine.run("umount", STATE)


# Boot order.


@patient
@pytest.mark.parametrize("absent", ["reader", "dispenser", "server", "network"])
def test_with_one_thing_away_the_others_are_there_and_it_joins_when_it_comes(pc: BayPc, absent: str) -> None:
    names = {"reader": READER, "dispenser": "east"}
    pc.systemctl("stop", UNIT)
    match absent:
        case "reader" | "dispenser":
            pc.order("unplug", name=names[absent])
        case "server":
            pc.machine.run("systemctl", "stop", "central")
        case "network":
            pc.machine.run("ip", "link", "set", "lo", "down")
    pc.systemctl("start", UNIT)
    pid = pc.pid
    expected = {each: "lost" if each == absent else "ok" for each in names}
    expected["server"] = "lost" if absent in ("server", "network") else "ok"
    until_found(pc, expected)
    match absent:
        case "reader" | "dispenser":
            pc.order("plug", name=names[absent])
        case "server":
            pc.start_central()
        case "network":
            pc.machine.run("ip", "link", "set", "lo", "up")
    until_found(pc, dict.fromkeys(expected, "ok"))
    pc.play()
    assert pc.dispense(1)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["counted"] == 1)
    assert pc.pid == pid


def until_found(pc: BayPc, expected: dict[str, str]) -> None:
    """What the daemon has found, through its socket: also without a network."""
    seen: dict[str, str] = {}

    def look() -> bool:
        status = json.loads(pc.machine.run("bayd", "status", "--json"))
        devices = status["bays"][BAY]["devices"]
        seen.update({name: devices[name]["state"] for name in ("reader", "dispenser")})
        seen["server"] = "ok" if status["central"]["online"] else "lost"
        return seen == expected

    pc.machine.until(look, seen, JOINS_IN_S)


@patient
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
    machine.until(lambda: pc.status()["central"]["online"], "for the network", JOINS_IN_S)
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
    pc.until_bay(lambda bay: bay["qod"]["state"] == "available", JOINS_IN_S)
    assert (pc.pid, pc.bay()["number"]) == (pid, BAY)
    pc.end_play()
    pc.systemctl("stop", UNIT)
    machine.path(DEFAULTS).write_text(scaled)


def _answers(pc: BayPc) -> bool:
    try:
        return pc.machine.http(CENTRAL_PORT, "GET", "/session")[0] == 200
    except OSError:
        return False
