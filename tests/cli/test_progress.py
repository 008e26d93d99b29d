"""How far something long has come: at a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.journal.world import opened


async def backed_up(tmp_path: Path, stderr: int) -> subprocess.CompletedProcess[str]:
    async with opened(tmp_path / "journal.db"):
        pass
    config = tmp_path / "bayd.toml"
    config.write_text(f'[state]\ndir = "{tmp_path}"\n')
    words = [sys.executable, "-m", "bayd.cli", "backup", str(tmp_path / "copy.db"), "--config", str(config)]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, timeout=60)  # noqa: ASYNC221


async def test_at_a_terminal_a_bar_says_how_far_it_is(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        ran = await backed_up(tmp_path, theirs)
        seen = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Copying" in seen
    assert "100%" in seen
    assert ran.stdout.endswith("bytes\n")
    assert "Copying" not in ran.stdout


async def test_in_a_pipe_there_is_no_bar(tmp_path: Path) -> None:
    ran = await backed_up(tmp_path, subprocess.PIPE)
    assert ran.stderr == ""
