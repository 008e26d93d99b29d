"""When a device path comes back: the moment an adapter was plugged in again.

The path is looked at ten times a second, and only while somebody waits for it, which is while the device is
away. inotify would be no quicker for people and needs more: the directory of `/dev/serial/by-id` goes away
with the last adapter, and every level above it would want a watch. A look costs microseconds: /dev is memory.
"""

import asyncio
from pathlib import Path

LOOK_EVERY_S = 0.1

# The link's inode and time, then the device's inode, number and mode: udev makes the node, then opens it to
# its group, then names it.
Presence = tuple[int, int, int, int, int]


def presence(path: Path) -> Presence | None:
    """Which device is at a path now; None: nothing. Two that were plugged in one after the other differ."""
    try:
        link, device = path.lstat(), path.stat()
    except OSError:
        return None
    return (link.st_ino, link.st_ctime_ns, device.st_ino, device.st_rdev, device.st_mode)


async def arrival(path: Path, known: Presence | None) -> None:
    """Until another device than the known one is there. Never at once: a device that comes and goes without
    end must not keep its driver from letting others have a turn."""
    await asyncio.sleep(LOOK_EVERY_S)
    while (now := presence(path)) is None or now == known:  # noqa: ASYNC110 # nobody in here will know
        await asyncio.sleep(LOOK_EVERY_S)
