"""`bayd balls …`: the list of the range's balls, changed whole or not at all."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bayd.cli import main
from bayd.core.balls import Ball, parse_balls, registered_epcs
from bayd.tools.ball_book import BallBookError, changing, write_book
from tests.integration.readers_at_work import SimulatedReader

EPCS = tuple(f"E28011700000020A{number:08X}" for number in range(1, 6))
HEADER = "epc,label,added_at,retired_at"
ADDED = "2026-11-01T09:30:00Z"


def bayd(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def listed(path: Path) -> dict[str, Ball]:
    return {ball.epc: ball for ball in parse_balls(path.read_text())}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "balls.csv"
    path.write_text(f"{HEADER}\n{EPCS[0]},old,{ADDED},\n{EPCS[1]},old,{ADDED},2026-11-02T00:00:00Z\n")
    return path


def test_import_adds_and_changes_and_keeps_the_rest(registry: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text(f"\ufeff{HEADER}\r\n{EPCS[1].lower()},back,{ADDED},\r\n{EPCS[2]},new,{ADDED},\r\n")
    done = told(bayd("balls", "import", more, "--registry", registry, "--json"))
    assert (done["added"], done["changed"], done["balls"], done["written"]) == ([EPCS[2]], [EPCS[1]], 3, True)
    assert [(ball.epc, ball.label) for ball in parse_balls(registry.read_text())] == [
        (EPCS[0], "old"),
        (EPCS[1], "back"),
        (EPCS[2], "new"),
    ]
    again = told(bayd("balls", "import", more, "--registry", registry, "--json"))
    assert (again["unchanged"], again["written"]) == ([EPCS[1], EPCS[2]], False)
    told(bayd("balls", "import", more, "--registry", registry, "--replace", "--json"))
    assert registered_epcs(parse_balls(registry.read_text())) == {EPCS[1], EPCS[2]}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("E280117,x,2026-11-01T09:30:00Z,", "line 3, column epc: E280117 has 7 digits"),
        (f"{EPCS[3]},x,1.11.2026,", "line 3, column added_at: '1.11.2026' is not a time"),
        (f"{EPCS[2]},x,{ADDED},", f"line 3, column epc: {EPCS[2]} is already on line 2"),
        (f"{EPCS[3]},x", "line 3, column added_at: the line ends after 2 of 4 columns"),
    ],
)
def test_a_fault_names_line_and_column_and_changes_nothing(
    registry: Path, tmp_path: Path, line: str, complaint: str
) -> None:
    before = registry.read_bytes()
    more = tmp_path / "more.csv"
    more.write_text(f"{HEADER}\n{EPCS[2]},new,{ADDED},\n{line}\n")
    result = bayd("balls", "import", more, "--registry", registry)
    assert result.exit_code == 1
    assert f"{more}: {complaint}" in result.stderr
    assert registry.read_bytes() == before


def test_what_is_no_text_is_named_with_its_line(registry: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_bytes(f"{HEADER}\n{EPCS[2]},gr".encode() + b"\xfcn" + f",{ADDED},\n".encode())
    result = bayd("balls", "import", more, "--registry", registry)
    assert result.exit_code == 1
    assert f"{more}: line 2: is not UTF-8 text" in result.stderr


def test_export_gives_back_what_is_there(registry: Path, tmp_path: Path) -> None:
    assert bayd("balls", "export", "--registry", registry).stdout == registry.read_text()
    copy = tmp_path / "copy.csv"
    assert bayd("balls", "export", copy, "--registry", registry, "--in-use").exit_code == 0
    assert copy.read_text() == f"{HEADER}\n{EPCS[0]},old,{ADDED},\n"
    rows = told(bayd("balls", "export", "--registry", registry, "--json"))
    assert rows[1] == {
        "epc": EPCS[1],
        "label": "old",
        "added_at": ADDED,
        "retired_at": "2026-11-02T00:00:00Z",
    }


def test_retire_takes_out_of_use_and_names_what_it_does_not_know(registry: Path) -> None:
    result = bayd("balls", "retire", EPCS[0].lower(), EPCS[1], EPCS[4], "--registry", registry, "--json")
    assert result.exit_code == 1
    done = json.loads(result.stdout)
    assert (done["retired"], done["unchanged"], done["unknown"]) == ([EPCS[0]], [EPCS[1]], [EPCS[4]])
    balls = listed(registry)
    assert not balls[EPCS[0]].in_use
    assert balls[EPCS[1]].retired_at == "2026-11-02T00:00:00Z"


def test_the_list_of_the_configuration_is_used(registry: Path, tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text(f'[balls]\nregistry = "{registry}"\n')
    assert told(bayd("balls", "retire", EPCS[0], "--config", config, "--json"))["registry"] == str(registry)
    config.write_text("[bays.101]\nrfid = false\n")
    result = bayd("balls", "export", "--config", config)
    assert result.exit_code == 2
    assert "names no balls.registry" in result.stderr
    config.write_text("[bays\n")
    assert bayd("balls", "export", "--config", config).exit_code == 78


def test_a_list_that_cannot_be_written_whole_stays_as_it_was(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = registry.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BallBookError, match="No space left on device; it is as it was"):
        write_book(registry, [Ball(EPCS[3], "", ADDED)])
    assert registry.read_bytes() == before
    assert list(registry.parent.iterdir()) == [registry]


def test_two_changes_at_once_do_not_lose_each_other(registry: Path) -> None:
    registry.chmod(0o640)
    with changing(registry):
        result = bayd("balls", "retire", EPCS[0], "--registry", registry)
    assert result.exit_code == 1
    assert "somebody else is changing it now" in result.stderr
    assert bayd("balls", "retire", EPCS[0], "--registry", registry).exit_code == 0
    assert registry.stat().st_mode & 0o777 == 0o640


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SimulatedReader]:
    reader = SimulatedReader(tmp_path / "tty", "r2000_a0")
    yield reader
    reader.close()


async def test_learn_adds_what_a_reader_hears_and_leaves_retired_balls_retired(
    reader: SimulatedReader, registry: Path
) -> None:
    reader.port.plug()
    for port, epc in enumerate(EPCS[:4], start=1):
        reader.lay(port, epc)
    words = ["balls", "learn", reader.link, "--driver", "r2000_a0", "--seconds", "1.2", "--json"]
    words += ["--registry", str(registry), "--label", "spring"]
    before = listed(registry)
    dry = told(await asyncio.to_thread(bayd, *words, "--dry-run"))
    assert (sorted(dry["added"]), dry["written"]) == ([EPCS[2], EPCS[3]], False)
    assert listed(registry) == before
    done = told(await asyncio.to_thread(bayd, *words))
    assert sorted(done["added"]) == [EPCS[2], EPCS[3]]
    assert (done["unchanged"], done["retired"]) == ([EPCS[0]], [EPCS[1]])
    balls = listed(registry)
    assert balls[EPCS[2]].label == "spring"
    assert registered_epcs(balls.values()) == {EPCS[0], EPCS[2], EPCS[3]}
    assert reader.sim.flash_writes == 0
