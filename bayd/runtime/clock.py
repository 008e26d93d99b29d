"""The real clocks."""

import ctypes
import time
from pathlib import Path

from bayd.core.instant import Instant

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# systemd-timesyncd's own word, readable where a sandbox forbids the system call below.
_TIMESYNC_FLAG = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 256  # struct timex is 208 bytes on 64-bit Linux (adjtimex(2)); room to spare
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_SYNC_CHECK_EVERY_MS = 10_000


class SystemClock:
    """CLOCK_BOOTTIME within a boot; the wall clock for people.

    `boot_id` where /proc is not to be seen: the unit hides all but processes, and hands it in.
    """

    def __init__(self, boot_id: str | None = None) -> None:
        # systemd writes it without dashes, the kernel with them.
        self._boot_id = (boot_id or _BOOT_ID.read_text().strip()).replace("-", "")
        self._synchronised = False
        self._check_at_ms = 0

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def now(self) -> Instant:
        boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        if boot_ms >= self._check_at_ms:
            self._synchronised = _is_synchronised()
            self._check_at_ms = boot_ms + _SYNC_CHECK_EVERY_MS
        return Instant(boot_ms, time.time_ns() // 1_000_000, self._synchronised)


def _is_synchronised() -> bool:
    """Whether the kernel's clock is kept by anything; no answer counts as no."""
    if _TIMESYNC_FLAG.exists():
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state < _TIME_ERROR
