"""The bench of the readers at a small size: full lines, and nothing dropped or counted twice."""

import json
import subprocess
import sys


def test_full_lines_drop_nothing_also_under_slow_commits() -> None:
    command = [sys.executable, "-m", "tests.bench.bench_readers", "--json"]
    size = ["--seconds", "1", "--readers", "2", "--credits", "8"]
    done = subprocess.run([*command, *size], check=True, capture_output=True, text=True)
    cases = json.loads(done.stdout)
    assert [case["case"] for case in cases] == ["as it is", "commits 20 ms slower"]
    for case in cases:
        assert case["credits_per_s"] > 0
        assert case["reads_per_s"] > 0
        dropped = {name: case[name] for name in ("reads_lost", "balls_missed", "counted_twice", "shed")}
        assert set(dropped.values()) == {0}, dropped
