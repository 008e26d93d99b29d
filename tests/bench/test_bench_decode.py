"""The bench itself: it runs without its peers, and says so."""

import json
import subprocess
import sys

from tests.bench.bench_decode import run, table


def test_it_runs_alone_and_keeps_every_tag() -> None:
    command = [sys.executable, "-m", "tests.bench.bench_decode", "--json", "--tags", "200", "--rounds", "1"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours = [row for row in result["rows"] if row["decoder"].startswith("bayd")]
    assert len(ours) == 2 * 2 * 3 * 2  # families, streams, chunks, with and without meaning
    assert {row["kept_percent"] for row in ours} == {100.0}


def test_a_peer_that_is_absent_is_called_absent() -> None:
    result = run(tags=100, rounds=1)
    result["peers"] = {"pyImpinj": None}
    assert "pyImpinj: NOT INSTALLED" in table(result)
