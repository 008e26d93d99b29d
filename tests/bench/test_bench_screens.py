"""The bench of the screens at a small size: every change reaches all, who does not read is dropped."""

import json
import subprocess
import sys


def test_every_change_reaches_every_screen_and_who_does_not_read_is_dropped() -> None:
    command = [sys.executable, "-m", "tests.bench.bench_screens", "--json"]
    size = ["--screens", "5", "--changes", "10", "--pace-s", "0"]
    done = subprocess.run([*command, *size], check=True, capture_output=True, text=True)
    cases = {case.pop("case"): case for case in json.loads(done.stdout)}
    assert {name: case["missed"] for name, case in cases.items()} == {
        "all read": 0,
        "one stops reading": 0,
        "pages load": 0,
    }
    assert {name: case["cut_off"] for name, case in cases.items()} == {
        "all read": 0,
        "one stops reading": 1,
        "pages load": 0,
    }
    for case in cases.values():
        assert 0 < case["median_ms"] <= case["p99_ms"] <= case["worst_ms"]
        assert case["longest_block_ms"] > 0
