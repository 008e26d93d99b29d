"""The suite's own rules: virtual time where a test asks for it, and no task left behind."""

import asyncio
import gc
import os
import selectors
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import settings

from bayd.web.listener import accept_no_more
from tests.let_out import (  # noqa: F401 # no secret leaves the daemon, in any test
    _listening,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)
from tests.longest_first import pytest_collection_modifyitems  # noqa: F401
from tests.package_time import pytest_configure  # noqa: F401

# A busy machine is no defect: times are figures of the benches, never pass marks.
settings.register_profile("bayd", deadline=None)
settings.load_profile("bayd")

_MEMORY = Path("/dev/shm")  # tmpfs, where the machine has one

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a shell's background job, and every process that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_enter_timeout = asyncio.Timeout.__aenter__


async def _enter_timeout_of_debian(timeout: asyncio.Timeout) -> asyncio.Timeout:
    """As in Debian 12's Python 3.11.2: in a task that was cancelled once, no timeout ends as TimeoutError.

    Later ones compare with the requests that were there before (`_cancelling`). What closes a device or a
    door runs in such a task.
    """
    await _enter_timeout(timeout)
    timeout._cancelling = 0  # type: ignore[attr-defined]  # the one thing that differs
    return timeout


asyncio.Timeout.__aenter__ = _enter_timeout_of_debian  # type: ignore[method-assign, assignment]

_stop_site = web.BaseSite.stop


async def _stop_site_and_know_all(site: web.BaseSite) -> None:
    """So that the clean-up behind it closes every connection of a test's server."""
    if isinstance(site._server, asyncio.Server):
        await accept_no_more(site._server)
    await _stop_site(site)


web.BaseSite.stop = _stop_site_and_know_all  # type: ignore[method-assign, assignment]


class _VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer it moves the clock there, once nothing real is pending."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            # Only a real event (a socket, a thread) can go on: wait for it, but not for ever.
            return super().select(1.0)
        self.now += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on which an hour of sleeping passes at once. Not for subprocesses or real devices."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def advance(self, seconds: float) -> None:
        """Let time pass as a suspended machine would see it: at once, timers late."""
        self._virtual.now += seconds


class RealTimeLoop(asyncio.SelectorEventLoop):
    """On a machine that is up for an hour: how long this one is, no test shall see."""

    def __init__(self) -> None:
        self._booted = time.monotonic() - 3600
        super().__init__()

    def time(self) -> float:
        return time.monotonic() - self._booted


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """`@pytest.mark.virtual_time` (or `pytestmark = …`) runs a test on the virtual clock."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    return {"real": RealTimeLoop}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded for all tests is never garbage: no collection looks through it, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def no_leaked_tasks(request: pytest.FixtureRequest) -> None:
    """For those that have a loop."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_tasks_with_an_owner")


@pytest_asyncio.fixture
async def _tasks_with_an_owner() -> AsyncIterator[None]:
    """A task or a connection that outlives its test has no owner: a defect, here and in production."""
    before = asyncio.all_tasks()
    yield
    mine = {asyncio.current_task()}
    leaked = [task for task in asyncio.all_tasks() - before - mine if not task.done()]
    for task in leaked:
        task.cancel()
    assert not leaked, f"tasks left behind: {sorted(task.get_name() for task in leaked)}"
    # Garbage collection would find it in another test.
    transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]  # nothing else knows them
    left = [transport for transport in transports.values() if not transport.is_closing()]
    for transport in left:
        transport.abort()
    assert not left, f"connections left behind: {[transport.get_protocol() for transport in left]}"


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory: what an fsync costs is not what is tested."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    directory = Path(tempfile.mkdtemp(prefix="bayd-", dir=_MEMORY))
    yield directory
    shutil.rmtree(directory)
