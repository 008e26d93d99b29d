"""The evening with real processes, and every book falsified once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.staged import PHONES, keep_credentials_secret
from tests.let_out import LET_OUT, keep_secret, read_log

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bayd.cli", "demo", "--once", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One evening for all tests: it takes a minute."""
    directory = tmp_path_factory.mktemp("evening")
    played = demo("--keep", str(directory), "--json")
    assert played.returncode == 0, played.stdout + played.stderr
    yield directory


def test_the_books_of_an_evening_agree(evening: Path) -> None:
    compared = demo("--books", str(evening), "--json")
    document = json.loads(compared.stdout)
    assert compared.returncode == 0
    assert document["agree"]
    assert len(document["lines"]) > 40


@pytest.mark.parametrize(
    ("sabotage", "noticed"),
    [
        ("drop-dispense", "paid"),
        ("double-extension", "minutes"),
        ("lose-end", "ends"),
        ("shift-end", "seconds played"),
        ("credit-stray", "balls read"),
        ("give-away", "money at the bay"),
        ("slow-clock", "seconds played"),
        ("forget-deletion", "network minutes outside play"),
    ],
)
def test_a_falsified_book_is_noticed_and_named(
    evening: Path, tmp_path: Path, sabotage: str, noticed: str
) -> None:
    books = tmp_path / "books"
    shutil.copytree(evening, books, ignore=shutil.ignore_patterns("tty-*", "*.sock"))
    compared = demo("--books", str(books), "--sabotage", sabotage, "--json")
    document = json.loads(compared.stdout)
    assert compared.returncode == 1
    differing = [line["what"] for line in document["lines"] if not line["agrees"]]
    assert any(noticed in what for what in differing), differing


def test_the_evening_had_what_it_should_have(evening: Path) -> None:
    """An evening in which nothing was blind, strayed or was kept proves little."""
    lines = {
        line["what"]: line["said"]
        for line in json.loads(demo("--books", str(evening), "--json").stdout)["lines"]
    }
    blind = [said["truth"] for what, said in lines.items() if "hit while blind" in what]
    paid = [said["truth"] for what, said in lines.items() if what.endswith("balls paid")]
    unread = [said["truth"] for what, said in lines.items() if what.endswith("balls not read")]
    assert sum(blind) >= 3
    assert sum(paid) >= 50
    assert 0 < sum(unread) < sum(paid) / 2
    log = (evening / "bayd.log").read_text()
    assert log.count("event=bayd_starting") == 3
    assert "foreign_tag_heard" in log


def test_no_secret_reached_a_log(evening: Path) -> None:
    keep_credentials_secret(evening / "credentials")
    receipts = json.loads((evening / "receipts.json").read_text())
    keep_secret(PHONES, *(booked["pin"] for booked in receipts["booked"]))
    logs = list(evening.glob("*.log"))
    assert any(log.stat().st_size for log in logs)
    for log in logs:
        read_log(log)
    assert LET_OUT.leaks() == []


def test_one_order_reaches_the_simulated_range(evening: Path) -> None:
    """The socket is gone with the evening: the tool says so and exits 69."""
    command = [
        sys.executable,
        "-m",
        "bayd.cli",
        "sim",
        "--socket",
        str(evening / "range.sock"),
        "jam",
        "east",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 69
    assert "no simulated range" in done.stderr
