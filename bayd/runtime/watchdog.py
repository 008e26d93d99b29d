"""Tells systemd that we live: the loop turns and the journal's writer is not stuck for good.

A disk may hang for a while, and then the bays still end on time; only a stall beyond `journal_stall_s` is
answered by silence, and systemd starts the daemon anew.
"""

import asyncio
from collections.abc import Callable, Mapping

from bayd.ports import Clock, Log
from bayd.runtime.sd_notify import notify

_STATUS_EVERY_S = 10.0
_LOOK_EVERY_S = 1.0
_SHOWN_STALL_MS = 1_000  # every commit waits for a moment


def status_line(bays: int, playing: int, warnings: int, *more: str | None) -> str:
    """What `systemctl status` shows; `more` is what whoever looks there has to know at once."""
    said = [f"{_count(bays, 'bay')}, {playing} playing"]
    if warnings:
        said.append(_count(warnings, "warning"))
    return "; ".join([*said, *(text for text in more if text is not None)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class Watchdog:
    """`run` is a root task."""

    def __init__(
        self,
        *,
        stalled_since: Callable[[], int | None],
        status: Callable[[], str],
        journal_stall_s: float,
        clock: Clock,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self._stalled_since = stalled_since
        self._status = status
        self._stall_limit_ms = round(journal_stall_s * 1000)
        self._clock = clock
        self._environment = environment
        self._log = log
        watchdog_usec = environment.get("WATCHDOG_USEC", "")
        # A third of what systemd allows: two reminders may be late.
        allowed_s = int(watchdog_usec) / 3e6 if watchdog_usec.isdecimal() else _STATUS_EVERY_S
        self._every_s = min(allowed_s, _STATUS_EVERY_S)

    async def run(self) -> None:
        """A new status is told at once, an old one as often as systemd wants to hear that we live."""
        loop = asyncio.get_running_loop()
        told: list[str] = []
        due_at = loop.time()
        while True:
            message = self.message()
            if message != told or loop.time() >= due_at:
                told = message
                due_at = loop.time() + self._every_s
                notify("\n".join(message), self._environment)
            await asyncio.sleep(min(self._every_s, _LOOK_EVERY_S))

    def message(self) -> list[str]:
        """What systemd is told now; without `WATCHDOG=1` when the journal is stuck for good."""
        since_ms = self._stalled_since()
        stalled_ms = 0 if since_ms is None else self._clock.now().boot_ms - since_ms
        status = self._words()
        if stalled_ms > _SHOWN_STALL_MS:
            status = f"the journal waits for the disk since {stalled_ms / 1000:.0f} s; {status}"
        lines = [f"STATUS={status}"]
        if stalled_ms <= self._stall_limit_ms:
            lines.append("WATCHDOG=1")
        else:
            self._log.error("journal_stuck", stalled_ms=stalled_ms)
        return lines

    def _words(self) -> str:
        try:
            return self._status()
        except Exception as error:  # noqa: BLE001 # play must not end for the words that describe it
            self._log.error("status_not_told", error=type(error).__name__, exc_info=True)
            return "the status cannot be told, see the log"
