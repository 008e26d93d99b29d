"""The real clocks.

Whether anything keeps the wall clock is asked of the kernel, which every time service tells: timesyncd,
chrony, ntpd, a GPS. A clock that was kept once in this boot is trusted without the network too, until
somebody sets it: it drifts by a second or two a day.
"""

import ctypes
import os
import time
from pathlib import Path
from typing import Any

from bayd.core.instant import Instant

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# systemd-timesyncd's own word: also on a kernel that was told nothing.
_TIMESYNC_FLAG = Path("/run/systemd/timesync/synchronized")
# As systemd's timedated judges: chrony without `rtcsync` leaves STA_UNSYNC set, whatever it knows.
_UNKEPT_ERROR_US = 16_000_000
_SYNC_CHECK_EVERY_MS = 10_000
_SET_BY_HAND_MS = 60_000
_PATIENCE_MS = 15 * 60_000  # for a network that comes up late


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and room for the rest: 208 bytes on 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: only ask
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


class SystemClock:
    """CLOCK_BOOTTIME within a boot; the wall clock for people.

    `boot_id` where /proc is not to be seen: the unit hides all but processes, and hands it in.
    """

    def __init__(self, boot_id: str | None = None) -> None:
        # systemd writes it without dashes, the kernel with them.
        self._boot_id = (boot_id or _BOOT_ID.read_text().strip()).replace("-", "")
        self._problem: str | None = None
        self._since_ms = 0  # of the problem
        self._kept_offset_ms: int | None = None  # wall time less boot time, when it was last kept
        self._check_at_ms = 0

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def now(self) -> Instant:
        boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        wall_ms = time.time_ns() // 1_000_000
        if boot_ms >= self._check_at_ms:
            self._check(boot_ms, wall_ms - boot_ms, sync_problem())
            self._check_at_ms = boot_ms + _SYNC_CHECK_EVERY_MS
        return Instant(boot_ms, wall_ms, self._problem is None)

    @property
    def problem(self) -> str | None:
        """Why the wall clock is not trusted, as `now` last found it."""
        return self._problem

    def warnings(self) -> list[dict[str, Any]]:
        """For the status."""
        now = self.now()
        if self._problem is None or now.boot_ms - self._since_ms < _PATIENCE_MS:
            return []
        text = (
            f"This PC's clock is not trusted: {self._problem}. Old events and names are removed late, copies"
            " of the journal and PIN hashes not at all, and opening hours and schedules do not change a bay."
        )
        return [{"code": "clock_unsynchronised", "since": None, "text": text}]

    def _check(self, boot_ms: int, offset_ms: int, problem: str | None) -> None:
        if problem is None:
            self._kept_offset_ms = offset_ms
        elif self._kept_offset_ms is not None:
            if abs(offset_ms - self._kept_offset_ms) < _SET_BY_HAND_MS:
                problem = None
            else:
                self._kept_offset_ms = None
        if problem is not None and self._problem is None:
            self._since_ms = boot_ms
        self._problem = problem


def sync_problem() -> str | None:
    """Why the wall clock cannot be trusted now; None: a time service keeps it."""
    if _TIMESYNC_FLAG.exists():
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    if libc.adjtimex(ctypes.byref(timex)) < 0:
        return f"the kernel does not say whether anything keeps it ({os.strerror(ctypes.get_errno())})"
    return None if timex.maxerror < _UNKEPT_ERROR_US else "no time service keeps it"
