"""Tells the bays when the range opens and closes, by the wall clock at the site.

A clock that is not synchronised never closes a bay: it opens those that are closed, since what it says of the
time of day is a guess, and a guest stands there.
"""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bayd.core import inputs as i
from bayd.core.opening import is_open
from bayd.core.rules import OpenSpan
from bayd.ports import Clock, Log
from bayd.reconcile.telling import tell
from bayd.runtime.range import Range

_LOOK_S = 5.0


class OpeningHours:
    """`run` is a root task. The hours are those of each bay's rules: a reload changes them."""

    def __init__(self, bays: Range, timezone: str, clock: Clock, log: Log) -> None:
        self._bays = bays
        self._clock = clock
        self._log = log
        try:
            self._timezone: ZoneInfo | None = ZoneInfo(timezone)
        except ZoneInfoNotFoundError:  # this machine has none: no time of day
            self._timezone = None

    async def run(self) -> None:
        await self._bays.ready.wait()
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        for number, task in self._bays.bays.items():
            opened = self._is_open(task.rules.opening)
            if task.bay.closed is opened:
                await tell(self._bays, number, i.OpeningSeen(opened), self._log)

    def _is_open(self, spans: tuple[OpenSpan, ...]) -> bool:
        now = self._clock.now()
        if not now.synchronised or self._timezone is None:
            return True
        at = datetime.fromtimestamp(now.wall_ms / 1000, self._timezone)
        return is_open(spans, at.weekday(), at.hour * 60 + at.minute)
