"""A configured bay whose past cannot be read: the start says so, and never what is in it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bayd.core.evolve import REDUCER_VERSION
from bayd.core.model import Bay
from bayd.journal.event_codec import encode_bay
from tests.cli.command import Ran, bayd
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port

NAME = "Example Guest"
_SNAPSHOT = "INSERT INTO snapshots VALUES ('109', 41, ?, ?)"
_EVENT = "INSERT INTO events VALUES (41, '109', ?, 1, ?, 0, 0, 'boot', 1, 'batch')"
_DAMAGED = json.dumps(json.loads(encode_bay(Bay("109"))) | {"session": {"player": NAME}})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bay that was served, where nothing has happened yet."""
    file = configuration(tmp_path_factory.mktemp("bayd"), free_port())
    with started("run", "--config", file) as daemon:
        daemon.wait_for("event=bayd_ready")
        assert daemon.stop() == 0
    return file


def start_with(config: Path, sql: str, *values: object) -> Ran:
    with closing(sqlite3.connect(config.parent / "state" / "journal.db")) as journal, journal:
        journal.execute("DELETE FROM events")
        journal.execute("DELETE FROM snapshots")
        journal.execute(sql, values)
    return bayd("run", "--config", config)


@pytest.mark.parametrize(
    ("sql", "values", "reason"),
    [
        (
            _SNAPSHOT,
            (REDUCER_VERSION, _DAMAGED),
            "the snapshot of bay 109 at event 41 cannot be read (ValidationError)",
        ),
        (
            _SNAPSHOT,
            (REDUCER_VERSION, _DAMAGED[:-2]),
            "the snapshot of bay 109 at event 41 cannot be read (ValueError)",
        ),
        (
            _EVENT,
            ("BookingLearned", json.dumps({"booking": {"session_id": 7, "player": NAME}})),
            "event 41 (BookingLearned version 1) of bay 109 cannot be read (ValidationError)",
        ),
        (
            _EVENT,
            ("PlayerSelected", '{"session_user_id": 5, "own": true}'),
            "event 41 (PlayerSelected) of bay 109 does not follow from what was before it (",
        ),
    ],
    ids=["snapshot", "torn-snapshot", "event", "incomplete"],
)
def test_a_past_that_cannot_be_read_is_named_without_what_it_says(
    config: Path, sql: str, values: tuple[object, ...], reason: str
) -> None:
    ran = start_with(config, sql, *values)
    said = ran.out + ran.err
    (failed,) = (line for line in said.splitlines() if "event=bayd_failed" in line)
    assert reason in failed
    assert ran.code == 1
    assert "Traceback" not in said
    assert not [word for word in NAME.split() if word in said]
