"""docs/install.md, typed word by word under a real systemd: from the package to its removal."""

import re
from collections.abc import Iterator

import pytest

from tests.system.bay_pc import CARRIED, CONFIG, LONG_PAYOUT, ROOT, STATE, BayPc, Packages
from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.package, pytest.mark.timeout(600)]

OLD, NEW = "0.1.0", "0.2.0"  # as the page calls them


@pytest.fixture
def pc(packages: Packages) -> Iterator[BayPc]:
    """A bay PC with the simulated range beside it."""
    deb = packages.make(OLD)
    with SystemdMachine() as machine:
        pc = BayPc(machine, packages)
        pc.install(deb)
        pc.set_up_range(deb)
        yield pc


def commands_of(page: str) -> list[str]:
    """What a page tells to type, in its order."""
    return re.findall(r"(?m)^    (\S.*)$", (ROOT / "docs" / page).read_text())


def test_whoever_types_what_the_page_says_has_a_service(pc: BayPc, packages: Packages) -> None:
    """docs/install.md, word by word, from the package to its removal, where nothing of bayd was before."""
    machine = pc.machine
    purged(pc)
    for version in (OLD, NEW):
        pc.carry(packages.make(version))
    pc.let_edit()
    for command in commands_of("install.md"):
        if command == "make deb":
            continue  # `packages` does
        if "/root/copy.db" in command:
            machine.run("cp", f"{STATE}/copy.db", "/root/copy.db")
        before = pc.pid
        done = machine.ask(
            "sh", "-c", f"cd {CARRIED} && {command}", env={"DEBIAN_FRONTEND": "noninteractive"}
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if "start bayd" in command:
            pc.until_rest()
        elif before and "apt-get" in command:
            pc.until_ready(after_pid=before)
    assert pc.status()["version"] == OLD  # the page ends with the way back
    assert set(machine.run("stat", "-c", "%U", *machine.run("find", STATE).split()).split()) == {"bayd"}
    # What init made lets the desk in.
    (desk,) = re.findall(r"(?m)^(\S+) staff", machine.path("/etc/bayd/credentials/api_tokens").read_text())
    pc.staff = pc.screen = desk
    # Removed in the midst of play.
    pc.play()
    sessions = pc.events("SessionStarted")
    out = pc.balls_out()
    assert pc.dispense(LONG_PAYOUT)[0] == 200
    machine.until(pc.motor_runs, "for the motor")
    machine.run("apt-get", "remove", "-y", "bayd")
    assert not pc.motor_runs()
    assert pc.balls_out() < out + LONG_PAYOUT
    assert pc.shown("LoadState") == "not-found"
    assert not machine.path("/opt/bayd").exists()
    assert machine.path(CONFIG).exists()
    assert pc.events("SessionStarted") == sessions
    purged(pc)


def purged(pc: BayPc) -> None:
    pc.machine.run("apt-get", "purge", "-y", "bayd")
    own = (
        "/opt/bayd",
        "/etc/bayd",
        "/etc/default/bayd",
        STATE,
        "/run/bayd",
        "/usr/bin/bayd",
        "/usr/lib/bayd",
    )
    for path in own:
        assert not pc.machine.path(path).exists(), path
