"""Tells the bays what the hours of the site say, by the wall clock there, and when a day has begun.

A clock that is not synchronised closes no bay and opens none for free play: what it says of the time of day
is a guess. Bays with one fixed mode keep that; those on a schedule are locked.
"""

import asyncio
from datetime import datetime, timedelta, tzinfo

from bayd.core import inputs as i
from bayd.core.model import Mode
from bayd.core.modes import mode_at, next_turn, seen
from bayd.core.rules import Timetable
from bayd.ports import Clock, Log
from bayd.reconcile.telling import tell
from bayd.runtime.range import Range

_LOOK_S = 5.0


class BayModes:
    """`run` is a root task. The timetable is that of each bay's rules: a reload changes it.

    `zone` None: no time of day is known.
    """

    def __init__(self, bays: Range, zone: tzinfo | None, clock: Clock, log: Log) -> None:
        self._bays = bays
        self._clock = clock
        self._log = log
        self._zone = zone

    async def run(self) -> None:
        await self._bays.ready.wait()
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        reports: dict[Timetable, i.ModeSeen] = {}  # most bays have the same
        for number, task in self._bays.bays.items():
            table = task.rules.timetable
            report = reports.get(table) or reports.setdefault(table, self._report(table))
            if seen(task.bay, report):
                await tell(self._bays, number, report, self._log)

    def _report(self, table: Timetable) -> i.ModeSeen:
        now = self._clock.now()
        if not now.synchronised or self._zone is None:
            return i.ModeSeen(table.mode or Mode.LOCKED, None, None)
        at = datetime.fromtimestamp(now.wall_ms / 1000, self._zone)
        day, minute = at.toordinal(), at.hour * 60 + at.minute
        turn = next_turn(table, day, minute)
        return i.ModeSeen(
            mode_at(table, day, minute),
            None if turn is None else self._wall_ms(*turn),
            self._wall_ms(day, 0),
        )

    def _wall_ms(self, day: int, minute: int) -> int:
        at = datetime.fromordinal(day) + timedelta(minutes=minute)
        return round(at.replace(tzinfo=self._zone).timestamp() * 1000)
