"""What may hang keeps neither the loop nor the process from ending."""

import asyncio
import subprocess
import sys
import threading

import pytest

from bayd.wiring.blocking_calls import BlockingCalls

_HANGS = """
import asyncio, threading
from bayd.wiring.blocking_calls import BlockingCalls

async def main():
    asyncio.get_running_loop().set_default_executor(BlockingCalls())
    hanging = asyncio.create_task(asyncio.to_thread(threading.Event().wait))
    await asyncio.sleep(0)
    print(await asyncio.to_thread(len, "four"))

asyncio.run(main())
"""


async def test_a_call_answers_or_raises_on_a_thread_of_its_own() -> None:
    asyncio.get_running_loop().set_default_executor(BlockingCalls())
    assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(divmod, 1, 0)


def test_a_process_ends_while_a_call_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HANGS], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")
