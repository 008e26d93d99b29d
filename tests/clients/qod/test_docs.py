"""docs/qod.md holds what it promises: its program runs, its tables are the code's."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from bayd.clients.qod import DIALECTS, QodError
from tests.reference.qod import scenarios
from tests.reference.qod import test_camara as operator_tests

ROOT = Path(__file__).parents[3]
TEST_BY_PATH = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")
CLIENT_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
GUIDE = (ROOT / "docs" / "qod.md").read_text()


async def test_the_program_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    program: dict[str, Any] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, "docs/qod.md", "exec"), program)
    async with asyncio.timeout(30):
        await program["main"]()
    shown = capsys.readouterr().out
    assert "qos_status='AVAILABLE'" in shown
    assert not [secret for secret in ("1555010001", "203.0.113", "2001:db8", "an-example") if secret in shown]


def test_every_error_and_dialect_stands_in_its_table() -> None:
    def kinds(base: type[QodError]) -> set[str]:
        return {base.__name__} | {name for kind in base.__subclasses__() for name in kinds(kind)}

    rows = set(re.findall(r"^\| `(\w+Error)`", GUIDE, re.MULTILINE))
    assert rows == kinds(QodError) - {"QodError"}
    assert set(re.findall(r"^\| `([a-z]+-[0-9.]+)`", GUIDE, re.MULTILINE)) == set(DIALECTS)


def rows_of_the_scenarios() -> dict[str, tuple[str, str]]:
    """Scenario id → what the guide says of the operator and of the client."""
    rows = {}
    operation = ""
    for line in GUIDE.partition("## The published test definitions")[2].splitlines():
        if line.startswith("### "):
            operation = line.removeprefix("### ")
        elif found := re.fullmatch(r"\| `([\w.-]+)` \| (.+) \| (.+) \|", line):
            rows[f"quality_on_demand_{operation}_{found[1]}"] = (found[2], found[3])
    return rows


def test_every_published_scenario_has_its_row_and_its_tests() -> None:
    """The operator's tests name the scenarios that they show: the table must say the same."""
    shown: dict[str, set[str]] = {}
    for name, test in vars(operator_tests).items():
        for scenario in scenarios.shown_by({name: test}):
            shown.setdefault(scenario, set()).add(name)
    rows = rows_of_the_scenarios()
    assert rows.keys() == scenarios.SCENARIOS
    for scenario, (operator, client) in rows.items():
        if scenario in scenarios.NOT_OURS:
            assert operator.startswith("*1.2 only*") and client == "*1.2 only*"
            continue
        assert set(re.findall(r"`(test_\w+)`", operator)) == shown[scenario], scenario
        assert ("*1.1*" in operator) == (scenario in scenarios.AS_IN_1_1), scenario
        assert client != "*1.2 only*", scenario


def test_every_test_named_by_its_path_exists() -> None:
    named = TEST_BY_PATH.findall(GUIDE)
    assert len(named) >= 5
    for file, test in named:
        text = (ROOT / file).read_text()
        assert not test or re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_every_client_test_of_the_table_exists() -> None:
    named = {found for _, client in rows_of_the_scenarios().values() for found in CLIENT_TEST.findall(client)}
    assert len(named) > 10
    for file, test in sorted(named):
        assert re.search(
            rf"^\s*(async )?def {test}\(", (Path(__file__).parent / file).read_text(), re.MULTILINE
        ), test
