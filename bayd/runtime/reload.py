"""A new configuration in a running daemon: what holds at once, what wants a restart, what is wrong."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bayd.ports import Log
from bayd.runtime.range import Range
from bayd.runtime.sd_notify import notify
from bayd.settings import BaySettings, Complaint, Configuration, ConfigurationError, Settings, load

_SHOWN_COMPLAINTS = 3

_AT_ONCE = frozenset({"play", "balls", "readers"})
_RULES = frozenset({"play", "balls"})  # from which the rules of a bay are made


@dataclass(frozen=True, slots=True)
class Reloaded:
    applied: tuple[str, ...]  # sections that are in force now
    needs_restart: tuple[str, ...]  # sections that changed and are not


def apply(old: Configuration, new: Configuration, bays: Range) -> Reloaded:
    """The rules of play change at once for every bay that stays; readers and balls are the caller's, and so
    are the switches and limits of QoS sessions.

    Other wires, and doors, want a restart.
    """
    applied: list[str] = []
    needs_restart: list[str] = []
    for section in type(new.settings).model_fields:
        if getattr(old.settings, section) != getattr(new.settings, section):
            at_once = section in _AT_ONCE or _wired(old.settings, section) == _wired(new.settings, section)
            (applied if at_once else needs_restart).append(section)
    if old.registered_balls != new.registered_balls:
        applied.append("ball registry")
    if old.time_scale != new.time_scale:
        needs_restart.append("time scale")
    if _RULES.intersection(applied) or "ball registry" in applied:
        for number, task in bays.bays.items():
            if number in new.settings.bays:
                # The dispenser of a bay is wired at the start: the rules keep naming that one.
                task.change_rules(new.rules(number), dispenser=task.rules.dispenser)
    return Reloaded(tuple(applied), tuple(needs_restart))


def _wired(settings: Settings, section: str) -> object:
    """The part of a section that is wired at the start."""
    match section:
        case "qod" if settings.qod is not None:
            return settings.qod.model_copy(update={"max_sessions_per_day": None, "max_minutes_per_day": None})
        case "bays":
            return {number: _without_switch(bay) for number, bay in settings.bays.items()}
        case _:
            return getattr(settings, section)


def _without_switch(bay: BaySettings) -> BaySettings:
    if bay.qod is None:
        return bay
    return bay.model_copy(update={"qod": bay.qod.model_copy(update={"enabled": True})})


class Reloader:
    """`run` is a root task. The new configuration is checked first; on any complaint the old one stays."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        take: Callable[[Configuration, Configuration], Reloaded],
        asked: asyncio.Event,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        """`take` gives the daemon's parts what changed from the old configuration to the new."""
        self._path = path
        self._configuration = configuration
        self._take = take
        self._asked = asked
        self._environment = environment
        self._log = log
        self._complaints: tuple[Complaint, ...] = ()

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                new = load(self._path)
            except ConfigurationError as error:
                self._complaints = error.complaints
                for complaint in error.complaints:
                    self._log.error("reload_refused", setting=complaint.path, reason=complaint.text)
                self._tell(f"READY=1\nSTATUS=the old configuration stays: {_short(error.complaints)}")
                continue
            self._complaints = ()
            reloaded = self._take(self._configuration, new)
            self._configuration = replace(
                self._configuration, settings=new.settings, registered_balls=new.registered_balls
            )
            self._log.info("reloaded", applied=list(reloaded.applied))
            if reloaded.needs_restart:
                self._log.warning("restart_needed", sections=list(reloaded.needs_restart))
            self._tell("READY=1")

    def find_obstacle(self) -> str | None:
        """What a start would stumble over now."""
        try:
            load(self._path)
        except ConfigurationError as error:
            return _short(error.complaints)
        return None

    def warnings(self) -> list[dict[str, Any]]:
        if not self._complaints:
            return []
        text = f"The configuration is wrong and the old one stays: {_short(self._complaints)}."
        return [{"code": "configuration_refused", "since": None, "text": text}]

    def _tell(self, state: str) -> None:
        notify(state, self._environment)


def _short(complaints: tuple[Complaint, ...]) -> str:
    shown = "; ".join(str(complaint) for complaint in complaints[:_SHOWN_COMPLAINTS])
    more = len(complaints) - _SHOWN_COMPLAINTS
    return shown if more <= 0 else f"{shown}; and {more} more"
