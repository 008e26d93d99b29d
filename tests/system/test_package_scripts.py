"""The package's scripts under a real systemd where things are not as usual.

The power fails half-way, the unit is masked, the journal lies elsewhere, the state directory is a mount.
One machine for the module, without devices. Each test runs alone.
"""

from collections.abc import Iterator

import pytest

from tests.system.bay_pc import CONFIG, STATE, UNIT, BayPc, Packages
from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.package, pytest.mark.timeout(300)]

OLD, NEW = "0.1.0", "0.2.0"
ELSEWHERE = "/srv/journal"

# In place of a command, once: nothing of what dpkg has begun lives on, dpkg neither.
_POWER_CUT = """#!/bin/sh
rm "$0"
pid=$$ began=
while [ "$(cat /proc/$pid/comm)" != dpkg ]; do
    began="$pid $began"
    read -r _ _ _ pid _ </proc/$pid/stat
done
kill -KILL $pid $began
"""


@pytest.fixture(scope="module")
def machine_pc(packages: Packages) -> Iterator[BayPc]:
    with SystemdMachine() as machine:
        yield BayPc(machine, packages)


@pytest.fixture
def pc(machine_pc: BayPc, packages: Packages) -> BayPc:
    """A machine that bayd was purged from, with both packages at hand."""
    machine_pc.machine.run("dpkg", "--purge", "bayd")
    for version in (OLD, NEW):
        machine_pc.carry(packages.make(version))
    return machine_pc


def cut_off(pc: BayPc, command: str, *dpkg: str) -> None:
    """The power fails at the first such command of the package's scripts."""
    wrapper = pc.machine.path(f"/usr/local/sbin/{command}")
    wrapper.write_text(_POWER_CUT)
    wrapper.chmod(0o755)
    assert pc.machine.ask("dpkg", *dpkg).returncode == -9
    assert not wrapper.exists(), f"{command} was not called"
    assert pc.dpkg_status() == "half-configured"


def test_a_first_installation_that_was_cut_off_again_and_again_is_ended_by_dpkg(
    pc: BayPc, packages: Packages
) -> None:
    step = ("-i", pc.carry(packages.make(OLD)))
    for command in (
        "systemd-sysusers",
        "systemd-tmpfiles",
        "cp",
        "mv",
        "ln",
        "systemctl",
        "deb-systemd-helper",
    ):
        cut_off(pc, command, *step)
        step = ("--configure", "-a")
    pc.machine.run("dpkg", *step)
    assert pc.dpkg_status() == "installed"
    assert pc.shown("UnitFileState") == "enabled"
    assert pc.machine.run("ls", "-A", "/opt/bayd").split() == [OLD, "current", "packaged"]
    assert pc.machine.run("bayd", "--version").split()[-1] == OLD


def test_an_upgrade_that_was_cut_off_disturbs_nobody_and_finds_a_journal_elsewhere(
    pc: BayPc, packages: Packages
) -> None:
    pc.install(packages.make(OLD))
    pc.machine.run("install", "-d", "-o", "bayd", "-m", "700", ELSEWHERE)
    pc.drop_in("elsewhere", f"ReadWritePaths={ELSEWHERE}")
    pc.configure(f'[state]\ndir = "{ELSEWHERE}"\n')
    pc.systemctl("start", UNIT)
    pc.until_ready()
    assert pc.press("hold", {"reason": "a repair"}, staff=True)[0] == 200
    pid, step = pc.pid, ("-i", pc.carry(packages.make(NEW)))
    for command in ("cp", "mv", "ln", "systemctl"):
        cut_off(pc, command, *step)
        step = ("--configure", "-a")
        assert (pc.pid, pc.status()["version"]) == (pid, OLD)
    pc.machine.run("dpkg", *step)
    pc.until_ready(after_pid=pid)
    assert (pc.status()["version"], pc.dpkg_status()) == (NEW, "installed")
    assert pc.machine.run("ls", "-A", "/opt/bayd").split() == [NEW, "current", "packaged"]
    # The journal, and its copy, which only a person puts back.
    assert pc.bay()["phase"] == "held"
    assert pc.machine.path(f"{ELSEWHERE}/journal-of-{OLD}.db").stat().st_size > 0
    assert not pc.machine.path(f"{STATE}/journal.db").exists()
    pc.drop_in("elsewhere", "")


def test_a_masked_unit_stays_as_it_is_and_keeps_no_package_from_coming(pc: BayPc, packages: Packages) -> None:
    for version in (OLD, NEW):
        pc.systemctl("mask", UNIT)
        pc.install(packages.make(version))
        pc.configure()
        assert pc.dpkg_status() == "installed"
        assert pc.machine.show(UNIT, "LoadState", "ActiveState") == {
            "LoadState": "masked", "ActiveState": "inactive",
        }  # fmt: skip
        pc.systemctl("unmask", UNIT)
        # Debian's helper does not enable what is masked; what was enabled before stays so.
        assert pc.shown("UnitFileState") == ("disabled" if version == OLD else "enabled")
        pc.systemctl("enable", UNIT)
    # It comes with the next start.
    assert pc.machine.run("readlink", "/opt/bayd/current", "/opt/bayd/next").split() == [OLD, NEW]


def test_a_purge_keeps_the_mount_of_the_state_directory_and_nothing_in_it(
    pc: BayPc, packages: Packages
) -> None:
    pc.install(packages.make(OLD))
    pc.machine.run("mkdir", "-p", STATE)
    pc.machine.run("mount", "-t", "tmpfs", "-o", "mode=700,uid=bayd", "tmpfs", STATE)
    try:
        pc.machine.path(f"{STATE}/journal.db").write_bytes(b"money")
        pc.machine.run("dpkg", "--purge", "bayd")
        assert pc.machine.run("ls", "-A", STATE) == ""
        assert pc.machine.ask("mountpoint", STATE).returncode == 0
    finally:
        pc.machine.run("umount", STATE)
    assert pc.machine.ask("dpkg-query", "-W", "bayd").returncode != 0
    assert not pc.machine.path("/opt/bayd").exists()
    assert not pc.machine.path(CONFIG).exists()
