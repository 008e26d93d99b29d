"""Root at the journal of a daemon that is somebody else, who can open all of it afterwards as before."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import bayd
from tests.cli.daemon import configuration
from tests.free_ports import free_port
from tests.journal.world import note, opened

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

USER = 65_534  # nobody


@pytest.fixture
def house() -> Iterator[Path]:
    """Configured by root, its state directory the user's; where every user may pass."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        state = directory / "state"
        state.mkdir(mode=0o700)
        configuration(directory, free_port())
        os.chown(state, USER, USER)
        yield directory


async def write(house: Path, batch: str) -> None:
    async with opened(house / "state/journal.db") as journal:
        await journal.append(note("b1", batch))
    own(house)


def own(house: Path) -> None:
    for file in (house / "state").iterdir():
        os.chown(file, USER, USER)


def owners(house: Path) -> dict[str, int]:
    return {file.name: file.stat().st_uid for file in (house / "state").iterdir()}


async def test_whatever_root_does_the_user_owns_the_journal(house: Path) -> None:
    await write(house, "one")
    config, state = house / "bayd.toml", house / "state"
    elsewhere = house / "copy.db"  # root's own place
    for command in (
        ["backup", elsewhere],
        ["backup", state / "copy.db"],
        ["migrate"],
        ["restore", state / "copy.db"],
    ):
        done = bayd(*command, "--config", config)
        assert done.code == 0, done.err
        assert set(owners(house).values()) == {USER}, command
        assert {file.stat().st_mode & 0o077 for file in state.iterdir()} == {0}, command
    assert elsewhere.stat().st_uid == 0
    elsewhere.chmod(0o600)
    refused = bayd("restore", elsewhere, "--config", config)
    assert refused.code == 1
    assert f"install -o nobody -m 600 {elsewhere} {state}/copy.db" in refused.err


async def test_a_daemon_of_roots_leaves_the_users_journal_alone(house: Path) -> None:
    refused = bayd("run", "--config", house / "bayd.toml")
    assert refused.code == 1
    assert "systemctl start bayd" in refused.err
    assert owners(house) == {}


async def test_the_doctor_names_what_root_left_there(house: Path) -> None:
    await write(house, "one")
    os.chown(house / "state/journal.db", 0, 0)
    (house / "state/notes").write_text("root's own, and nothing to the daemon")
    said = bayd("doctor", "--config", house / "bayd.toml")
    assert f"chown -h nobody:nogroup {house / 'state/journal.db'}\n" in said.out
    own(house)
    assert "chown" not in bayd("doctor", "--config", house / "bayd.toml").out
