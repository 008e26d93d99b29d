"""The Debian package under a real systemd, with a simulated range around it: what an integrator relies on.

One machine for the module. Each test runs alone: it begins with a running, idle daemon.
"""

import json
import os
import re
import time
from collections.abc import Iterator

import pytest

from tests.system.bay_pc import (
    BAY,
    CONFIG,
    LONG_PAYOUT,
    MACHINES,
    NEW_BAY,
    PLC_BAY,
    RELAY_BAY,
    STATE,
    UNIT,
    BayPc,
    Packages,
)
from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.package, pytest.mark.timeout(300)]

MAKE_SAFE_S = 3  # promised


@pytest.fixture(scope="module")
def installed(packages: Packages) -> Iterator[tuple[BayPc, dict[str, str]]]:
    """The package as it is right after it was installed, and what systemd said of it then."""
    deb = packages.make("0.1.0")
    with SystemdMachine() as machine:
        pc = BayPc(machine, packages)
        pc.install(deb)
        facts = machine.show(UNIT, "UnitFileState", "ActiveState", "ConditionResult", "NRestarts")
        pc.set_up_range(deb)
        pc.start_machines()
        pc.configure(MACHINES)
        pc.drop_in("at-once", "RestartSec=100ms")
        yield pc, facts


@pytest.fixture
def pc(installed: tuple[BayPc, dict[str, str]]) -> Iterator[BayPc]:
    """Running, nobody at the bay, devices found."""
    pc = installed[0]
    pc.open_up()
    yield pc
    pc.clear_bays()


# Installed, started, stopped, removed.


def test_installed_it_is_enabled_and_waits_for_a_configuration(
    installed: tuple[BayPc, dict[str, str]],
) -> None:
    pc, facts = installed
    assert facts == {
        "UnitFileState": "enabled", "ActiveState": "inactive", "ConditionResult": "no", "NRestarts": "0",
    }  # fmt: skip
    assert "/etc/default/bayd" in pc.machine.run("dpkg-query", "-W", "-f", "${Conffiles}", "bayd")
    assert pc.machine.run("readlink", "-f", "/usr/bin/bayd").startswith("/opt/bayd/0.")
    assert pc.machine.run("stat", "-c", "%a %U", "/etc/bayd/credentials").split() == ["700", "root"]


def test_started_it_is_ready_and_says_how_it_is(pc: BayPc) -> None:
    assert pc.machine.show(UNIT, "Type", "SubState") == {"Type": "notify", "SubState": "running"}
    pc.machine.until(lambda: pc.shown("StatusText") == "3 bays, 0 playing", "for the status")
    pc.order("unplug", name="east")
    pc.machine.until(lambda: pc.shown("StatusText") == "3 bays, 0 playing; 1 warning", "for the status")
    assert list(pc.warnings()) == ["dispenser_lost"]
    pc.order("plug", name="east")
    banner = re.search(r"event=bayd_starting version=(\S+) .*config=(\S+)", pc.log())
    assert banner is not None
    assert banner[2] == CONFIG
    assert pc.machine.run("bayd", "--version").split()[-1] == pc.status()["version"]
    # Nothing that it opens is refused by its sandbox.
    assert "local_socket_unavailable" not in pc.warnings()
    assert "event=clock_read" in pc.log()
    assert "the kernel does not say" not in pc.log()  # whether anything keeps the clock
    pc.play()
    pc.machine.until(lambda: pc.shown("StatusText").startswith("3 bays, 1 playing"), "for the status")


def test_the_hardening_is_on(pc: BayPc) -> None:
    """Not what the file says but what the kernel holds the process to."""
    inside = pc.machine.path(f"/proc/{pc.pid}")
    facts = dict(re.findall(r"^(\w+):\s*(.*)$", (inside / "status").read_text(), re.MULTILINE))
    assert (facts["CapEff"], facts["CapBnd"], facts["CapAmb"]) == ("0" * 16,) * 3
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert facts["Uid"].split()[0] == pc.machine.run("id", "-u", "bayd").strip()
    assert re.search(r"^Max core file size\s+0\s+0\s", (inside / "limits").read_text(), re.MULTILINE)
    # As the service sees the machine.
    enter = ("nsenter", "-t", pc.pid, "-m", "--")
    for path in ("/etc", "/opt/bayd", "/usr/bin", "/srv/range", "/var/cache"):
        assert "Read-only file system" in pc.machine.ask(*enter, "touch", f"{path}/x").stderr, path
    assert pc.machine.run(*enter, "ls", "-A", "/home") == ""
    assert pc.machine.run(*enter, "stat", "-c", "%a", STATE).strip() == "700"


def test_serial_ports_and_sockets_pass_the_sandbox_and_nothing_else(pc: BayPc) -> None:
    """Who may open a node hears that it has no driver, who may not that they may not."""
    nodes = {
        "ttyUSB9": (188, 9),
        "ttyACM9": (166, 9),
        "ttyS9": (4, 73),
        "ttyAMA9": (204, 73),
        "i2c-9": (89, 9),
    }
    for name, numbers in nodes.items():
        pc.machine.run("mknod", "-m", "660", f"/dev/{name}", "c", *numbers)
        pc.machine.run("chgrp", "dialout", f"/dev/{name}")
    pc.machine.path("/srv/probe.py").write_text(_PROBE)
    pc.drop_in("probe", f"ExecStartPost=/usr/bin/python3 /srv/probe.py {' '.join(nodes)}")
    try:
        pc.systemctl("restart", UNIT)
        probed = re.search(r"probed (\{.*\})", pc.log())
    finally:
        pc.drop_in("probe", "")
    assert probed is not None
    assert json.loads(probed[1]) == {
        "ttyUSB9": "ENXIO", "ttyACM9": "ENXIO", "ttyS9": "ENXIO", "ttyAMA9": "ENXIO", "i2c-9": "EPERM",
        "AF_UNIX": "ok", "AF_INET": "ok", "AF_INET6": "ok", "AF_NETLINK": "EAFNOSUPPORT",
        "AF_PACKET": "EAFNOSUPPORT", "memory to write and run": "EPERM",
    }  # fmt: skip


_PROBE = """
import errno, json, mmap, os, socket, sys

def told(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"

said = {name: told(os.open, f"/dev/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY) for name in sys.argv[1:]}
for name in ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"):
    said[name] = told(socket.socket, getattr(socket, name), socket.SOCK_DGRAM)
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_WRITE | mmap.PROT_EXEC
said["memory to write and run"] = told(mmap.mmap, -1, 4096, *flags)
print("probed", json.dumps(said))
"""


def test_the_journal_of_the_machine_separates_what_to_look_at(pc: BayPc) -> None:
    """One event a line, with a priority each, and the bay's with the bay's number."""
    pc.order("unplug", name="east")
    session = pc.play()
    pc.until_bay(lambda bay: bay["devices"]["dispenser"]["state"] == "lost")
    pc.order("plug", name="east")

    def said(priorities: str) -> list[str]:
        # Of the daemon itself, not of systemd about it.
        words = ("-o", "cat", "-u", UNIT, "-p", priorities, f"_PID={pc.pid}")
        return pc.machine.journal(*words).splitlines()

    # The log follows what is answered: events are read back from the journal for it.
    started = f" event=session_started bay={BAY} session={session} "
    pc.machine.until(lambda: any(started in line for line in said("info..info")), f"for{started}")
    pc.machine.until(lambda: any("dispenser" in line for line in said("warning")), "for the dispenser")
    told, to_look_at = said("info..info"), said("warning")
    assert len([line for line in told if "event=bayd_ready" in line]) == 1
    assert {line.partition(" ")[0] for line in told} == {"level=info"}
    assert {line.partition(" ")[0] for line in to_look_at} <= {"level=warning", "level=error"}


def test_sigterm_stops_every_motor_opens_the_relay_and_ends_in_time(pc: BayPc) -> None:
    session, before = pc.start_every_motor(), pc.balls_out()
    # By the daemon itself: nobody comes after it.
    pc.drop_in("alone", "ExecStopPost=")
    try:
        pc.systemctl("stop", UNIT)
        assert pc.still_moving() == set(), pc.log()[-3000:]
        assert "dispenser_not_stopped" not in pc.log()
        assert pc.balls_out() < before + LONG_PAYOUT
        # Not killed: TimeoutStopSec is 10 s, and the result would be `timeout`.
        assert pc.machine.show(UNIT, "Result", "ActiveState") == {
            "Result": "success",
            "ActiveState": "inactive",
        }
    finally:
        pc.drop_in("alone", "")
    pc.systemctl("start", UNIT)
    assert pc.until_bay(lambda bay: bay["session"] is not None)["session"]["id"] == session


# Killed.


def test_a_kill_is_followed_by_a_restart_and_the_session_goes_on(pc: BayPc) -> None:
    session = pc.play()
    left_s, looked_at = float(pc.bay()["session"]["remaining_s"]), time.monotonic()
    killed = pc.kill()
    pc.until_ready(after_pid=killed)
    bay = pc.until_bay(lambda bay: bay["phase"] == "playing")
    passed_s = time.monotonic() - looked_at
    assert bay["session"]["id"] == session
    # The bound is the design's: an end moves by no more than 1 s.
    assert abs(left_s - passed_s - float(bay["session"]["remaining_s"])) <= 1
    assert len(pc.events("SessionStarted")) == len({str(e) for e in pc.events("SessionStarted")})


def test_it_never_gives_up_however_often_it_is_killed(pc: BayPc) -> None:
    """Systemd's own limit is five starts in ten seconds: with nothing around a start these are quicker."""
    pc.drop_in("quick", "ExecStartPre=\nExecStopPost=")
    killed = 0
    try:
        for _ in range(8):
            pc.machine.until(lambda: pc.pid not in (0, killed), "for the next start")  # noqa: B023
            killed = pc.kill()
        pc.until_ready(after_pid=killed)
        assert int(pc.shown("NRestarts")) >= 8
    finally:
        pc.drop_in("quick", "")


def test_a_wrong_configuration_is_not_started_again_and_again(pc: BayPc) -> None:
    config = pc.machine.path(CONFIG)
    good = config.read_text()
    config.write_text(good.replace("[play]", "[play]\npin_tries = -1"))
    try:
        assert pc.machine.ask("systemctl", "restart", UNIT).returncode != 0
        # Whoever is started again is `activating` until then.
        pc.machine.until(lambda: pc.shown("ActiveState") == "failed", "for the end of the unit")
        shown = pc.machine.show(UNIT, "Result", "ExecMainStatus", "NRestarts")
        assert shown == {"Result": "exit-code", "ExecMainStatus": "78", "NRestarts": "0"}
        assert "event=configuration_wrong setting=play.pin_tries" in pc.log()
    finally:
        config.write_text(good)
        pc.systemctl("start", UNIT)
    pc.until_ready()


def test_after_a_kill_every_motor_stands_also_when_the_file_is_no_toml_any_more(pc: BayPc) -> None:
    """The unit's own ExecStopPost, with nothing that comes after it: what bayd was started with is kept."""
    pc.drop_in("no-restart", "Restart=no")
    config = pc.machine.path(CONFIG)
    good = config.read_text()
    config.write_text(good + "[dispensers.east\n")
    try:
        pc.start_every_motor()
        before = pc.balls_out()
        pc.kill()
        pc.machine.until(lambda: pc.shown("ActiveState") == "failed", "for the end of the unit")
        assert pc.still_moving() == set()
        assert pc.balls_out() < before + LONG_PAYOUT
        # By itself, not by systemd's patience: that is over after TimeoutStopSec, 10 s.
        make_safe, fall_back = ends_of_stop_post(pc)
        assert make_safe == ("exited", os.EX_CONFIG)
        assert fall_back == ("exited", 0)
        assert "timed out" not in pc.log().rpartition("status=9/KILL")[2]
        assert stopping_s(pc) < 3 * MAKE_SAFE_S
        assert pc.shown("Result") == "signal"
        assert "bayd.toml: is not TOML" in pc.log()
        # By hand as well, however long the daemon is down.
        said = pc.machine.ask("bayd", "make-safe")
        assert (said.returncode, "being stopped: east, plc, relay" in said.stderr) == (78, True)
    finally:
        config.write_text(good)
        pc.drop_in("no-restart", "")
        pc.systemctl("start", UNIT)


def ends_of_stop_post(pc: BayPc) -> list[tuple[str, int]]:
    """How each command of ExecStopPost= ended: `exited` with its code, or `killed` by a signal."""
    shown = pc.systemctl("show", UNIT, "-p", "ExecStopPost")
    return [(how, int(code)) for how, code in re.findall(r"code=(\w+) ; status=(\d+)", shown)]


def stopping_s(pc: BayPc) -> float:
    """From the end of the main process to that of the unit, as systemd saw them."""
    shown = pc.machine.show(UNIT, "ExecMainExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
    return (
        int(shown["InactiveEnterTimestampMonotonic"]) - int(shown["ExecMainExitTimestampMonotonic"])
    ) / 1e6


def test_make_safe_needs_neither_the_journal_nor_secrets(pc: BayPc) -> None:
    pc.drop_in("no-restart", "Restart=no\nExecStopPost=")
    try:
        pc.start_every_motor()
        pc.kill()
        pc.machine.until(lambda: pc.shown("ActiveState") == "failed", "for the end of the unit")
        assert pc.moving() >= {"plc", "relay"}  # nobody has stopped them; the hopper may be through
        pc.machine.run(
            "systemd-run", "--quiet", "--wait", "--pipe", "-p", "User=bayd",
            "-p", "SupplementaryGroups=dialout",
            "-p", f"InaccessiblePaths={STATE} /etc/bayd/credentials", "bayd", "make-safe",
        )  # fmt: skip
        assert pc.still_moving() == set()
    finally:
        pc.drop_in("no-restart", "")
        pc.systemctl("start", UNIT)


# Reloaded.


def test_a_reload_is_told_to_systemd_and_keeps_the_process(pc: BayPc) -> None:
    pid = pc.pid
    pc.systemctl("log-level", "debug")
    try:
        pc.systemctl("reload", UNIT)
        pc.machine.until(lambda: "event=reloaded" in pc.log(), "for the reload")
        told = rf"notification message from PID {pid} "
        both = re.compile(rf"{told}\(RELOADING=1.*{told}\(READY=1", re.DOTALL)
        pc.machine.until(lambda: both.search(pc.machine.journal("-o", "cat", "_PID=1")), "for both words")
    finally:
        pc.systemctl("log-level", "info")
    assert pc.pid == pid


def test_what_a_reload_changes_holds_for_the_guest_who_plays(pc: BayPc) -> None:
    session, pid = pc.play(), pc.pid
    good = pc.machine.path(CONFIG).read_text()
    try:
        take_up(pc, good.replace("[play]", "[play]\ndispense_max_balls = 30"))
        assert pc.press("dispense", {"balls": 31})[1]["code"] == "balls_invalid"
        take_up(pc, good.replace('1 = "101"', '2 = "101"'))
        pc.until_antenna_rests()
        # A bay that goes waits for the guests of all bays.
        take_up(pc, good.partition(f"[bays.{RELAY_BAY}]")[0])
        pc.machine.until(
            lambda: f"bays.{RELAY_BAY}" in pc.warnings().get("restart_pending", ""), "for the wish"
        )
    finally:
        take_up(pc, good)
    pc.machine.until(lambda: "restart_pending" not in pc.warnings(), "for the old bays")
    before = pc.listened_at()
    pc.machine.until(lambda: pc.listened_at() > before, "for the antenna")
    assert pc.dispense(4)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["counted"] >= 4)
    assert (pc.pid, pc.bay()["session"]["id"]) == (pid, session)


def test_a_bay_comes_goes_or_gets_another_machine_once_nobody_plays(pc: BayPc) -> None:
    good, pid = pc.machine.path(CONFIG).read_text(), pc.pid
    take_up(pc, good + f"[bays.{NEW_BAY}]\nrfid = false\n")
    pc.until_ready(after_pid=pid)  # nobody was there
    assert pc.status()["bays"][NEW_BAY]["phase"] == "free"
    assert not {"restart_pending", "restart_needed"} & set(pc.warnings())
    pc.until_rest()
    pid = pc.pid
    try:
        for bay in (PLC_BAY, NEW_BAY):
            pc.walk_in(bay)
        # The new bay goes again, the other one's guest is to have the hopper.
        take_up(pc, good.replace('dispenser = "plc"', 'dispenser = "east"'))
        pc.machine.until(lambda: "restart_pending" in pc.warnings(), "for the wish")
        wanted = pc.warnings()["restart_pending"]
        assert (f"bays.{PLC_BAY}.dispenser" in wanted, f"bays.{NEW_BAY}" in wanted) == (True, True)
        # Until then each has what it had.
        out = pc.balls_out()
        assert pc.press("dispense", {"balls": 200}, staff=True, bay=PLC_BAY)[0] == 200
        pc.machine.until(lambda: pc.moving() == {"plc"}, "for the motor")
        pc.end_play(PLC_BAY)
        assert pc.status()["bays"][NEW_BAY]["phase"] == "playing"
        assert (pc.pid, pc.balls_out()) == (pid, out)
        pc.end_play(NEW_BAY)
        pc.until_ready(after_pid=pid)
        assert NEW_BAY not in pc.status()["bays"]
        pc.until_rest()
        pc.walk_in(PLC_BAY)
        assert pc.press("dispense", {"balls": 2}, staff=True, bay=PLC_BAY)[0] == 200
        pc.machine.until(lambda: pc.balls_out() == out + 2, "for the balls of the hopper")
        pid = pc.pid
    finally:
        take_up(pc, good)
        pc.clear_bays()
    pc.until_ready(after_pid=pid)


def take_up(pc: BayPc, configuration: str) -> None:
    pc.machine.path(CONFIG).write_text(configuration)
    so_far = pc.log().count("event=reloaded")
    pc.systemctl("reload", UNIT)
    pc.machine.until(lambda: pc.log().count("event=reloaded") > so_far, "for the reload")


def test_a_wrong_configuration_is_named_and_the_old_one_stays(pc: BayPc) -> None:
    pid, good = pc.pid, pc.machine.path(CONFIG).read_text()
    wrong = {
        '[site]\nnmae = "typing error"\n': "site.nmae: is no setting",
        good + '[http]\nlisten = ["0.0.0.0:8470"]\n': "http.listen",
        good.replace("[play]", "[play]\npin_tries = -1"): "play.pin_tries",
        good.replace('dispenser = "east"', 'dispenser = "west"'): "bays.101.dispenser",
        good + "[site\n": "is not TOML",
    }
    try:
        for text, named in wrong.items():
            pc.machine.path(CONFIG).write_text(text)
            pc.systemctl("reload", UNIT)
            until_refused(pc, named)
            assert pc.press("help", {})[0] == 200
        refused = pc.machine.journal("-o", "cat", "-u", UNIT, "-p", "err")
        assert "event=reload_refused setting=site.nmae" in refused
        assert pc.pid == pid
    finally:
        pc.machine.path(CONFIG).write_text(good)
    pc.systemctl("reload", UNIT)
    pc.machine.until(lambda: "configuration_refused" not in pc.warnings(), "for the good one")


def until_refused(pc: BayPc, named: str) -> None:
    pc.machine.until(lambda: named in pc.warnings().get("configuration_refused", ""), f"for {named}")
