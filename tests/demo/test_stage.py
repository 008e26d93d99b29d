"""The demo's processes are gone when it is, also one that does not listen to reason."""

import asyncio
import sys
from pathlib import Path

import pytest

from bayd.demo import stage

_DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


async def test_a_demo_that_is_broken_off_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_STOP_S", 0.2)
    deaf = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DEAF, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    assert deaf.stdout is not None
    assert await deaf.stdout.readline() == b"deaf\n"
    one = stage.Stage(tmp_path)
    one._running["bayd"] = deaf

    async def evening() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await one.__aexit__()

    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(evening())
        await asyncio.sleep(0)
        playing.cancel()
    assert deaf.returncode == -9
