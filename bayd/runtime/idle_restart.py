"""A restart that waits for the guests: asked for by a file, done by the daemon's own exit at an idle moment.

Whoever installs a release writes `restart-wanted` into the service's runtime directory and goes away. The
daemon shows that, and once no bay has a session or a payout it ends; systemd starts it anew, and what runs
before the start takes the file away and puts the new release in its place (`systemd/deb/release`). The
directory is a tmpfs: to look there never waits for a disk. A reload that changes bays or dispensers is taken
up in the same way; only under systemd, since nobody else starts the daemon again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from bayd.core.model import Bay
from bayd.ports import Log
from bayd.runtime.range import Range

WANTED = "restart-wanted"
FAILED = "upgrade-failed"
_LOOK_EVERY_S = 1.0
_LOOK_AGAIN_S = 10.0  # at what stands in the way: that may take another program
_LONGEST_NOTE = 200


class IdleRestart:
    """`run` ends when the daemon should; nothing may have begun at a bay since."""

    def __init__(
        self,
        bays: Range,
        environment: Mapping[str, str],
        *,
        find_obstacle: Callable[[], Awaitable[str | None]],
        log: Log,
        find_cause: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`find_obstacle` says why a start would fail now, say for a wrong configuration.

        `find_cause` says what else, beside the file, wants a restart now.
        """
        directory = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._directory = Path(directory) if directory else None
        self._bays = bays
        self._find_obstacle = find_obstacle
        self._find_cause = find_cause
        self._log = log
        self.pending: str | None = None  # why it is wanted
        self.obstacle: str | None = None

    async def run(self) -> None:
        while True:
            self._look()
            pause_s = _LOOK_EVERY_S
            if self.pending is not None and self._is_idle():
                obstacle = await self._find_obstacle()
                if not self._is_idle():  # any more
                    continue
                if obstacle is None:
                    self._log.info("restarting_while_idle", reason=self.pending)
                    return
                if obstacle != self.obstacle:
                    self._log.error("restart_held_up", reason=obstacle)
                self.obstacle = obstacle
                pause_s = _LOOK_AGAIN_S
            await asyncio.sleep(pause_s)

    def warnings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self.pending is not None:
            why = "" if self.obstacle is None else f" It would not start: {self.obstacle}."
            text = f"A restart is pending until no bay is in use ({self.pending}).{why}"
            found.append({"code": "restart_pending", "since": None, "text": text})
        if (failed := self._read(FAILED)) is not None:
            found.append({"code": "upgrade_failed", "since": None, "text": failed})
        return found

    def _look(self) -> None:
        wanted = None if self._directory is None else self._read(WANTED) or self._find_cause()
        if wanted is not None and self.pending is None:
            self._log.info("restart_wanted", reason=wanted)
        self.pending = wanted
        if wanted is None:
            self.obstacle = None

    def _read(self, name: str) -> str | None:
        if self._directory is None:
            return None
        try:
            text = (self._directory / name).read_text(errors="replace")
        except OSError:
            return None
        return " ".join(text.split())[:_LONGEST_NOTE] or "asked for"

    def _is_idle(self) -> bool:
        return not any(_is_in_use(task.bay) for task in self._bays.bays.values())


def _is_in_use(bay: Bay) -> bool:
    """A guest plays, looks at the result, types a PIN, or waits for balls."""
    return (
        bay.session is not None
        or bay.grace_until_ms is not None
        or bay.next_session_id is not None
        or bay.payout is not None
        or bay.pad.attempt is not None
    )
