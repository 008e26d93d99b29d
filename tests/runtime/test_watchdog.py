"""What systemd is told, and when it is told nothing."""

import asyncio
import socket
from pathlib import Path

import pytest

from bayd.runtime.sd_notify import notify
from bayd.runtime.watchdog import Watchdog, status_line
from tests.simulation.world import SimClock, SimLog


class Disk:
    def __init__(self) -> None:
        self.stalled_since: int | None = None


async def make(disk: Disk, environment: dict[str, str] | None = None) -> Watchdog:
    return Watchdog(
        stalled_since=lambda: disk.stalled_since,
        status=lambda: "4 bays, 1 playing",
        journal_stall_s=300,
        clock=SimClock(),
        environment=environment or {},
        log=SimLog(),
    )


def test_the_status_says_how_many_warnings_there_are_and_what_cannot_wait() -> None:
    assert status_line(1, 0, 0, None, None) == "1 bay, 0 playing"
    assert status_line(4, 1, 1, None) == "4 bays, 1 playing; 1 warning"
    told = status_line(4, 0, 3, "restart pending: release 0.2.0", None, "the old configuration stays: x")
    assert told == (
        "4 bays, 0 playing; 3 warnings; restart pending: release 0.2.0; the old configuration stays: x"
    )


async def test_a_defect_in_the_words_ends_nothing() -> None:
    def broken() -> str:
        raise KeyError("bay")

    log = SimLog()
    watchdog = Watchdog(
        stalled_since=lambda: None,
        status=broken,
        journal_stall_s=300,
        clock=SimClock(),
        environment={},
        log=log,
    )
    assert watchdog.message() == ["STATUS=the status cannot be told, see the log", "WATCHDOG=1"]
    assert log.events() == ["status_not_told"]


@pytest.mark.virtual_time
async def test_a_hanging_disk_is_shown_and_only_a_stuck_one_ends_us() -> None:
    disk = Disk()
    watchdog = await make(disk)
    assert watchdog.message() == ["STATUS=4 bays, 1 playing", "WATCHDOG=1"]
    disk.stalled_since = 0
    await asyncio.sleep(60)
    status, alive = watchdog.message()
    assert "60 s" in status
    assert alive == "WATCHDOG=1"
    await asyncio.sleep(241)
    assert len(watchdog.message()) == 1


async def test_a_third_of_the_time_that_systemd_allows(tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(5)
        watchdog = await make(Disk(), {"WATCHDOG_USEC": "300000", "NOTIFY_SOCKET": str(path)})
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watchdog.run())
            heard = [await asyncio.to_thread(listener.recv, 500) for _ in range(3)]
            running.cancel()
    assert all(b"WATCHDOG=1" in message for message in heard)


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody.sock")})
