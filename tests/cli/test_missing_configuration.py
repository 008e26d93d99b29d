"""A configuration that was named and is not there: each tool says so, and takes no other place for it."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bayd.cli import main
from tests.cli.command import bayd, bayd_here

MISSING = "nosuch.toml"
SAID = "nosuch.toml: cannot be read: No such file or directory; another file: --config FILE"

# Every command that takes `--config`, as it is called.
COMMANDS = (
    "audit",
    "backup copy.db",
    "balls export",
    "balls import balls.csv",
    "balls learn east",
    "balls retire E28011700000020A00000001",
    "commission 109",
    "config show",
    "dispenser clear east",
    "dispenser identify east",
    "dispenser level east",
    "dispenser refill east",
    "dispenser scan",
    "dispenser test east",
    "dump",
    "events",
    "health",
    "migrate",
    "outbox drop 5 --reason x",
    "outbox list",
    "outbox retry 5 --reason x",
    "qod create 109",
    "qod delete x",
    "qod extend x --minutes 5",
    "qod get x",
    "qod list",
    "qod reap",
    "reader identify east",
    "reader power east",
    "reader scan",
    "reader watch east",
    "restore copy.db",
    "staff add anna",
    "staff list",
    "staff lock anna --reason x",
    "status",
    "upgrade keep 1.0.0",
    "upgrade undo copy.db",
)
# `init` writes one, `doctor` reports on what it finds; `run` and `make-safe` go on as they must, see below.
OTHERS = ("doctor", "init", "make-safe", "run")


def commands_of(command: click.Command, *path: str) -> Iterator[str]:
    """Those that take `--config`."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands_of(inner, *path, name)
    elif any("--config" in parameter.opts for parameter in command.params):
        yield " ".join(path)


def test_no_command_is_left_out() -> None:
    tried = [called.partition(" --")[0] for called in (*COMMANDS, *OTHERS)]
    for name in commands_of(main):
        assert any(f"{called} ".startswith(f"{name} ") for called in tried), name


@pytest.mark.parametrize("called", COMMANDS)
def test_it_is_named_and_nothing_is_done(
    called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bayd_here(*called.split(), "--config", MISSING)
    assert ran.code == 78
    assert ran.out == ""
    assert ran.err.startswith(SAID)
    assert list(tmp_path.iterdir()) == []


def test_the_check_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked = bayd_here("check-config", MISSING)
    assert (checked.code, checked.out) == (78, "")
    assert checked.err.startswith(SAID)


def test_the_doctor_reports_it_among_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    looked = bayd_here("doctor", "--config", MISSING)
    assert looked.code == 1
    assert f" BAD  configuration: {SAID}" in looked.out
    assert "daemon:" not in looked.out, "of another place nothing is told"


@pytest.mark.parametrize("called", ["run", "make-safe"])
def test_a_daemon_ends_and_motors_stand(called: str, tmp_path: Path) -> None:
    """In processes of their own: both end theirs. What is known of motors beside the file is stopped."""
    missing = tmp_path / MISSING
    ran = bayd(called, "--config", missing, env={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert ran.code == 78
    assert f"{missing}" in ran.err
    assert "cannot be read: No such file or directory" in ran.err


def test_the_environment_names_one_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bayd_here("dump", env={"BAYD_CONFIG": MISSING})
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith(SAID)
    assert list(tmp_path.iterdir()) == []
