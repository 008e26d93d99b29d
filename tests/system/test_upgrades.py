"""The Debian package under a real systemd is followed by another: which release runs, and what it finds.

One machine for the module. Each test runs alone: it begins with a running, idle daemon of either release.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.bay_pc import STATE, BayPc, Packages
from tests.system.systemd_machine import MachineError, SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.package, pytest.mark.timeout(300)]

OLD, NEW, BROKEN = "0.1.0", "0.2.0", "0.2.1"  # the first two as docs/install.md calls them


@pytest.fixture(scope="module")
def machine_pc(packages: Packages) -> Iterator[BayPc]:
    deb = packages.make(OLD)
    with SystemdMachine() as machine:
        pc = BayPc(machine, packages)
        pc.install(deb)
        pc.set_up_range(deb)
        pc.configure()
        pc.drop_in("at-once", "RestartSec=100ms")
        yield pc


@pytest.fixture
def pc(machine_pc: BayPc) -> Iterator[BayPc]:
    """Running, nobody at the bay, devices found."""
    machine_pc.open_up()
    yield machine_pc
    machine_pc.clear_bays()


def other_release(pc: BayPc) -> str:
    return NEW if pc.status()["version"] == OLD else OLD


def test_an_upgrade_of_an_idle_bay_is_done_at_once(pc: BayPc, packages: Packages) -> None:
    old, new, pid = pc.status()["version"], other_release(pc), pc.pid
    pc.install(packages.make(new))
    pc.until_ready(after_pid=pid)
    assert pc.status()["version"] == new
    assert "restart_pending" not in pc.warnings()
    trees = pc.machine.run("ls", "/opt/bayd").split()
    assert old not in trees
    assert sorted(trees) == sorted(["current", "packaged", new])
    assert pc.machine.path(f"{STATE}/journal-of-{old}.db").stat().st_size > 0
    assert pc.shown("Result") == "success"


def test_an_upgrade_waits_for_the_guest(pc: BayPc, packages: Packages) -> None:
    old, new, pid = pc.status()["version"], other_release(pc), pc.pid
    session = pc.play()
    pc.install(packages.make(new))
    pc.machine.until(lambda: "restart_pending" in pc.warnings(), "for the warning")
    pc.machine.until(lambda: "restart pending" in pc.shown("StatusText"), "for the status")
    # The old release plays on, with all its files, though dpkg has taken its own away.
    assert (pc.pid, pc.status()["version"], pc.bay()["session"]["id"]) == (pid, old, session)
    assert pc.machine.run("ls", "/opt/bayd/packaged").split() == [new]
    assert pc.dispense(2)[0] == 200
    pc.until_bay(lambda bay: bay["balls"]["paying"] == 0)
    pc.end_play()
    pc.until_ready(after_pid=pid)
    assert pc.status()["version"] == new
    assert pc.machine.run("ls", "/opt/bayd").split() == [new, "current", "packaged"]


def test_a_kill_while_a_release_waits_brings_it_and_one_right_after_ready_keeps_it(
    pc: BayPc, packages: Packages
) -> None:
    """Whatever ends the old release, the new one follows; and from READY on all that it writes stays.

    Between READY and ExecStartPost's end the copy from before the upgrade must not come back.
    """
    new = other_release(pc)
    session = pc.play()
    # It goes on as long as bayd does, and what follows it is not reached.
    waits = "/bin/sh -c 'while kill -0 $MAINPID; do sleep 0.1; done; exit 1'"
    pc.drop_in("slow", f"ExecStartPost=\nExecStartPost={waits}\nExecStartPost=-+/usr/lib/bayd/release settle")
    try:
        pc.install(packages.make(new))
        pc.kill()
        pc.machine.until(lambda: _version_if_up(pc) == new, "for the new release")
        pc.until_bay(lambda bay: bay["phase"] == "playing")
        extension = {"minutes": 5, "amount": 100, "reason": "at the desk"}
        assert pc.press("extend", extension, staff=True)[0] == 200
        extended = pc.events("SessionExtended")
        assert pc.shown("ActiveState") == "activating"
        assert pc.machine.path("/opt/bayd/previous").is_symlink()
    finally:
        pc.drop_in("slow", "")
    pc.until_ready(after_pid=pc.kill())
    assert pc.status()["version"] == new
    assert pc.until_bay(lambda bay: bay["phase"] == "playing")["session"]["id"] == session
    assert pc.events("SessionExtended") == extended
    assert pc.machine.run("ls", "/opt/bayd").split() == [new, "current", "packaged"]
    assert "upgrade_failed" not in pc.warnings()


def never_ready(source: Path) -> None:
    """A release that migrates the journal, writes to it and then finds that it cannot run here."""
    schema = source / "bayd/journal/schema.py"
    schema.write_text(
        schema.read_text()
        + '\n\n@migrations(name="0099_later")\ndef later(db: Database) -> None:\n'
        + '    db.execute("CREATE TABLE later (x)")\n'
    )
    upgrade = source / "bayd/runtime/upgrade.py"
    takes_over = "\n\ndef take_over(state_dir: Path) -> bool:\n"
    assert takes_over in upgrade.read_text()
    upgrade.write_text(upgrade.read_text() + takes_over + "    os._exit(78)\n")


def test_a_release_that_does_not_become_ready_gives_way_to_the_old_one(pc: BayPc, packages: Packages) -> None:
    old, pid = pc.status()["version"], pc.pid
    pc.play()
    pc.end_play()
    sessions = len(pc.events("SessionStarted"))
    assert sessions
    pc.install(packages.make(BROKEN, never_ready))
    try:
        pc.machine.until(lambda: f"back to {old}" in pc.log(), "for the way back")
        pc.until_ready(after_pid=pid)
        assert pc.status()["version"] == old
        assert BROKEN in pc.warnings()["upgrade_failed"]
        assert len(pc.events("SessionStarted")) == sessions
        assert pc.machine.run("ls", "/opt/bayd").split() == [old, "current", "failed", "packaged"]
        pc.play()
        # It is not tried again by itself.
        pc.until_ready(after_pid=pc.kill())
        assert pc.status()["version"] == old
    finally:
        good = other_release(pc)
        pc.install(packages.make(good))
    pc.end_play()
    pc.machine.until(lambda: _version_if_up(pc) == good, "for the good release")
    assert "upgrade_failed" not in pc.warnings()


def _version_if_up(pc: BayPc) -> str:
    try:
        return str(pc.status()["version"])
    except OSError:
        return ""


def test_a_foreign_machine_or_python_is_refused_before_anything_changes(
    pc: BayPc, packages: Packages
) -> None:
    machine, version = pc.machine, pc.status()["version"]
    deb = packages.make(NEW if version == OLD else OLD)
    uname = machine.path("/usr/local/bin/uname")
    uname.write_text("#!/bin/sh\necho aarch64\n")
    uname.chmod(0o755)
    try:
        with pytest.raises(MachineError, match=r"was made for x86_64, and this machine is aarch64"):
            pc.install(deb)
    finally:
        uname.unlink()
    machine.run("mv", "/usr/bin/python3.11", "/usr/bin/python3.11-away")
    try:
        with pytest.raises(MachineError, match=r"was made for python3\.11, which is not installed"):
            pc.install(deb)
        started = machine.ask("bayd", "--version")
        assert (started.returncode, "cannot run that" in started.stderr) == (78, True)
    finally:
        machine.run("mv", "/usr/bin/python3.11-away", "/usr/bin/python3.11")
    assert pc.status()["version"] == version
    assert machine.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "bayd").split() == [
        version, "installed",
    ]  # fmt: skip
