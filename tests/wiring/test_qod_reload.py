"""SIGHUP: the switch of a bay and the day's limits hold at once; what is wired wants a restart."""

from pathlib import Path

import pytest

from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.runtime.reload import changed, in_force
from bayd.settings import Configuration, load
from bayd.wiring.qod import QodParts
from tests.simulation.world import World

pytestmark = pytest.mark.virtual_time


def configure(directory: Path, *, qod: str = "", bay: str = "") -> Configuration:
    file = directory / "bayd.toml"
    file.write_text(
        f'[state]\ndir = "{directory}"\n'
        '[qod]\ndialect = "camara-1.1"\nbase_url = "http://127.0.0.1:1/quality-on-demand/v1"\n'
        f'application_server = "203.0.113.10"\n{qod}\n'
        f'[bays.101]\nrfid = false\n[bays.101.qod]\nphone_number = "+15550100"\n{bay}\n'
    )
    return load(file, {})


@pytest.mark.parametrize(
    ("written", "differs", "wants_restart"),
    [
        ({}, (), ()),
        ({"bay": "enabled = false"}, ("bays.101.qod.enabled",), ()),
        ({"qod": "max_minutes_per_day = 7"}, ("qod.max_minutes_per_day",), ()),
        (
            {"qod": 'max_sessions_per_day = 7\nprofile = "QOS_M"'},
            ("qod.profile", "qod.max_sessions_per_day"),
            ("qod.profile",),
        ),
        (
            {"qod": '[qod.webhook]\nurl = "https://bay.example.com/qod"'},
            ("qod.webhook",),
            ("qod.webhook",),
        ),
    ],
)
async def test_what_holds_at_once_and_what_wants_a_restart(
    tmp_path: Path, written: dict[str, str], differs: tuple[str, ...], wants_restart: tuple[str, ...]
) -> None:
    before, after = configure(tmp_path), configure(tmp_path, **written)
    assert set(changed(before, after)) == set(differs)
    assert changed(in_force(before, after), after) == wants_restart


async def test_switch_and_limits_hold_at_once(tmp_path: Path) -> None:
    world = World(tmp_path / "journal.db", {"101": Rules()})
    credentials = Credentials(qod_client_id="bayd", qod_client_secret="a-secret")
    async with world.up() as bays:
        parts = QodParts(
            configure(tmp_path), credentials, bays,
            clock=world.clock, randomness=world.randomness, log=world.log,
        )  # fmt: skip
        assert parts.state("101") == "idle"
        assert parts.section()["max_sessions_per_day"] == 100
        limits = "max_sessions_per_day = 7\nmax_minutes_per_day = 9"
        parts.reload(configure(tmp_path, qod=limits, bay="enabled = false"))
        assert parts.state("101") == "off"
        section = parts.section()
        assert (section["max_sessions_per_day"], section["max_minutes_per_day"]) == (7, 9)
        parts.reload(configure(tmp_path))
        assert parts.state("101") == "idle"
        assert parts.section()["max_sessions_per_day"] == 100
        await parts.aclose()
