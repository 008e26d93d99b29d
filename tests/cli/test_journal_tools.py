"""`bayd events` and `bayd dump`: what has happened, and nothing about a person."""

import asyncio
import json
import signal
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bayd.core import events as e
from bayd.core.inputs import Actor, Role
from bayd.core.instant import Instant
from bayd.core.model import Booking, StartedBy
from bayd.journal import Batch, Journal, ThreadJournalExecutor
from bayd.journal.event_codec import BayEventCodec
from tests.cli.command import bayd_here
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port
from tests.let_out import keep_secret
from tests.simulation.world import SimClock
from tests.web.house import STAFF, House
from tests.web.test_pairing import paired

CUSTOMER, CLERK, WORDS = "Customer Name", "clerk-anna", "her own words"
PIN = "480275"
STARTED = e.SessionStarted("7", StartedBy.STAFF, CLERK, WORDS, 0, 0, 600_000, 10, 10, None, CUSTOMER, ())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a range with 120 events of bay 109 and one of bay 110."""
    file = configuration(tmp_path, free_port())
    (tmp_path / "state").mkdir()

    async def write() -> None:
        executor = ThreadJournalExecutor()
        journal: Journal[e.Event] = await Journal.open(
            tmp_path / "state/journal.db", executor, BayEventCodec(), clock=SimClock()
        )
        learned = e.BookingLearned(Booking("7", 10, 10, 0, None, CUSTOMER))
        warnings: tuple[e.Event, ...] = tuple(e.WarningGiven(minutes) for minutes in range(118))
        written: list[tuple[str, tuple[e.Event, ...]]] = [("110", (learned,)), ("109", (learned, STARTED))]
        written.append(("109", warnings))
        try:
            for number, (bay, events) in enumerate(written):
                at = Instant(1_000, 1_700_000_000_000 + number, number != 0)
                await journal.append(Batch(bay, f"{number:032x}", events, at))
        finally:
            await journal.aclose()
            executor.close()

    asyncio.run(write())
    return file


def rows(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_newest_events_are_shown_with_their_time_and_facts(config: Path) -> None:
    shown = rows(bayd_here("events", "--config", config, "--last", "2", "--json").out)
    assert [(row["kind"], row["facts"]) for row in shown] == [
        ("WarningGiven", {"minutes": 116}),
        ("WarningGiven", {"minutes": 117}),
    ]
    assert shown[-1]["at"] == "2023-11-14T22:13:20.002Z"


def test_one_bay_one_kind_and_a_number_to_begin_after(config: Path) -> None:
    of_bay = rows(bayd_here("events", "--config", config, "--bay", "110", "--json").out)
    assert [(row["seq"], row["kind"], row["clock"]) for row in of_bay] == [
        (1, "BookingLearned", "not synchronised")
    ]
    of_kind = rows(bayd_here("events", "--config", config, "--kind", "SessionStarted", "--json").out)
    assert [row["seq"] for row in of_kind] == [3]
    after = rows(bayd_here("events", "--config", config, "--after", "118", "--json").out)
    assert [row["seq"] for row in after] == [119, 120, 121]


def test_a_customers_name_is_never_shown_and_the_clerks_is(config: Path) -> None:
    out = bayd_here("events", "--config", config, "--last", "1000").out
    assert len(out.splitlines()) == 121
    assert CUSTOMER not in out
    assert CLERK in out


def test_what_happens_while_one_looks_is_shown(tmp_path: Path, config: Path) -> None:
    with started("events", "--config", config, "--follow", "--last", "1") as looking:
        looking.wait_for("WarningGiven")
        with started("run", "--config", config) as daemon:
            daemon.wait_for("bayd_ready")
            looking.wait_for("OutageSeen")
            daemon.stop()
        assert looking.stop(signal.SIGINT) == 0


def test_an_event_that_cannot_be_read_is_shown_as_such(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "state/journal.db")) as db:
        db.execute("UPDATE events SET payload = '{', kind = 'FromTheFuture' WHERE seq = 121")
        db.commit()
    (row,) = rows(bayd_here("events", "--config", config, "--last", "1", "--json").out)
    assert (row["kind"], row["facts"]) == ("FromTheFuture", {"unreadable": True})


def test_the_journal_is_read_whatever_else_is_wrong_with_the_configuration(config: Path) -> None:
    good = config.read_text()
    config.write_text(f'{good}nonsense = 1\n[readers.west]\ndriver = "klingon"\n')
    assert bayd_here("check-config", config).code == 78
    ran = bayd_here("events", "--config", config, "--last", "2", "--json")
    assert (ran.code, len(rows(ran.out)), ran.err) == (0, 2, "")
    assert bayd_here("audit", "--config", config).code == 0
    # What is wrong of what they need is said, and what is taken instead.
    config.write_text(f'{good}[site]\ntimezone = "Mars/Olympus"\n')
    ran = bayd_here("audit", "--config", config)
    assert (ran.code, "site.timezone" in ran.err, "timezone = UTC" in ran.err) == (0, True, True)
    config.write_text("[state\n")
    ran = bayd_here("events", "--config", config, env={"BAYD_STATE__DIR": str(config.parent / "state")})
    assert (ran.code, "is not TOML" in ran.err, bool(ran.out)) == (0, True, True)
    absent = bayd_here("events", "--config", config.with_name("none.toml"))
    assert (absent.code, "cannot be read" in absent.err) == (78, True)


def test_without_a_journal_it_is_69_and_says_where_it_looked(tmp_path: Path) -> None:
    ran = bayd_here("events", "--config", configuration(tmp_path, free_port()))
    assert ran.code == 69
    assert str(tmp_path / "state/journal.db") in ran.err


def test_the_bundle_has_everything_but_people_and_secrets(tmp_path: Path, config: Path) -> None:
    config.write_text(f'{config.read_text()}[bays.109.qod]\nphone_number = "1555010001"\n')
    out = tmp_path / "dump.tar.gz"
    dead = f"http://127.0.0.1:{free_port()}"
    env = {"BAYD_SITE_KEY": "ab" * 32}
    ran = bayd_here("dump", "--config", config, "--out", out, "--url", dead, "--json", env=env)
    assert ran.code == 0
    parts = json.loads(ran.out)["parts"]
    assert (parts["events.jsonl"], parts["configuration.json"]) == ("", "")
    assert "refused" in parts["status.json"]
    with tarfile.open(out) as archive:
        texts = {
            member.name: file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }
    assert out.stat().st_mode & 0o777 == 0o600
    assert len(texts["bayd-dump/events.jsonl"].splitlines()) == 121
    whole = "\n".join(texts.values())
    for secret in (CUSTOMER, CLERK, WORDS, "1555010001", "ab" * 32):
        assert secret not in whole


def test_a_bundle_is_never_written_over_a_file(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "dump.tar.gz"
    out.write_text("mine")
    assert bayd_here("dump", "--config", config, "--out", out).code == 1
    assert out.read_text() == "mine"


async def _paid_day(path: Path) -> str:
    """Which day it was."""
    async with House(path).open() as house:
        await house.play()
        await house.press("extend", {"minutes": 30})
        body = {"payment": "cash", "amount": 300, "session_id": "7"}
        assert (await house.press("extend/approve", body, token=STAFF)).status == 200
        return datetime.fromtimestamp(house.clock.now().wall_ms / 1000, UTC).date().isoformat()


def test_the_audit_shows_what_was_paid_for_more_time_and_how(tmp_path: Path) -> None:
    file = configuration(tmp_path, free_port())
    (tmp_path / "state").mkdir()
    day = asyncio.run(_paid_day(tmp_path / "state/journal.db"))
    (approved,) = bayd_here("audit", "--config", file, "--day", day).out.splitlines()
    assert "bay 109  anna (staff)  ApproveExtension  ''  payment cash  amount 300  " in approved
    assert approved.endswith("granted_min 60 -> 90")
    assert "_id" not in approved


async def _busy_day(path: Path) -> str:
    """Which day it was."""
    keep_secret(PIN)
    async with House(path).open() as house:
        await house.accounts.put("asha", Role.STAFF, PIN, Actor(Role.STAFF, "local:root"))
        await paired(house)
        return datetime.fromtimestamp(house.clock.now().wall_ms / 1000, UTC).date().isoformat()


def test_the_audit_shows_who_may_sign_in_who_paired_a_screen_and_what_it_changed(tmp_path: Path) -> None:
    file = configuration(tmp_path, free_port())
    (tmp_path / "state").mkdir()
    day = asyncio.run(_busy_day(tmp_path / "state/journal.db"))
    shown = bayd_here("audit", "--config", file, "--day", day)
    assert shown.code == 0
    added, screen = shown.out.splitlines()
    assert "range  local:root (staff)  StaffAdded" in added
    assert "role - -> staff" in added
    assert "bay 109  anna (staff)  ScreenPaired" in screen
    assert "screen - -> " in screen
