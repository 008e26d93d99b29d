"""A new configuration in a running daemon: what holds at once, what wants a restart, what is wrong."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import bayd
from bayd.ports import Log
from bayd.runtime.range import Range
from bayd.runtime.sd_notify import notify
from bayd.runtime.upgrade import ask_next, find_next
from bayd.settings import BaySettings, Complaint, Configuration, ConfigurationError, load_for_start
from bayd.settings.loading import with_registry

_SHOWN_COMPLAINTS = 3
_REGISTRY_AGAIN_S = 30.0

_AT_ONCE = ("play", "balls", "readers", "log")


def in_force(started: Configuration, new: Configuration) -> Configuration:
    """What holds without a restart as it is now, all else as at the start: doors, lines, machines, bays."""
    was, says = started.settings, new.settings
    at_once: dict[str, Any] = {section: getattr(says, section) for section in _AT_ONCE}
    bays = {number: _bay_in_force(bay, says.bays.get(number)) for number, bay in was.bays.items()}
    qod = was.qod
    if qod is not None and says.qod is not None:
        limits = ("max_sessions_per_day", "max_minutes_per_day")
        qod = qod.model_copy(update={limit: getattr(says.qod, limit) for limit in limits})
    return replace(
        new,
        settings=was.model_copy(update={**at_once, "bays": bays, "qod": qod}),
        time_scale=started.time_scale,
    )


def _bay_in_force(was: BaySettings, says: BaySettings | None) -> BaySettings:
    if says is None:  # it goes
        return was
    qod = was.qod
    if qod is not None:
        qod = qod.model_copy(update={"enabled": says.qod is not None and says.qod.enabled})
    return was.model_copy(update={"mode": says.mode, "rfid": says.rfid, "qod": qod})


def apply_rules(holds: Configuration, bays: Range) -> None:
    """The rules of play change at once for every bay."""
    for number, task in bays.bays.items():
        task.change_rules(holds.rules(number))


def changed(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """The keys that are not as they were, as in the file."""
    keys = list(_differing(old.settings.model_dump(), new.settings.model_dump(), ()))
    if old.registered_balls != new.registered_balls:
        keys.append("ball registry")
    if old.time_scale != new.time_scale:
        keys.append("time scale")
    return tuple(keys)


def _differing(old: object, new: object, at: tuple[str, ...]) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            if key not in old or key not in new:
                yield ".".join((*at, str(key)))
            else:
                yield from _differing(old[key], new[key], (*at, str(key)))
    elif old != new:
        yield ".".join(at)


class Reloader:
    """`run` is a root task. The new configuration is checked first; on any complaint the old one stays."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        take: Callable[[Configuration], None],
        asked: asyncio.Event,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        """`take` gives the daemon's parts what holds from now on."""
        self._path = path
        self._started = configuration
        self._configuration = configuration
        self._take = take
        self._asked = asked
        self._environment = environment
        self._log = log
        self._complaints: tuple[Complaint, ...] = ()
        self._needs_restart: tuple[str, ...] = ()  # the keys that hold in the file and not here

    async def run(self) -> None:
        if self._configuration.registry_problem is not None:
            self._log.error("ball_registry_unusable", reason=self._configuration.registry_problem)
        while True:
            try:
                async with asyncio.timeout(self._next_look_s()):
                    await self._asked.wait()
            except TimeoutError:
                self._look_for_registry()
                continue
            self._asked.clear()
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                new = self._load()
            except ConfigurationError as error:
                self._complaints = error.complaints
                for complaint in error.complaints:
                    self._log.error("reload_refused", setting=complaint.path, reason=complaint.text)
                self._tell(f"READY=1\nSTATUS={self.refusal}")
                continue
            self._complaints = ()
            self._take_over(new)
            self._tell("READY=1")

    @property
    def refusal(self) -> str | None:
        """Why the last reload changed nothing."""
        return f"the old configuration stays: {_short(self._complaints)}" if self._complaints else None

    def find_restart_cause(self) -> str | None:
        """What concerns bays and their machines is taken up as soon as nobody is disturbed."""
        keys = [key for key in self._needs_restart if key.startswith(("bays.", "dispensers."))]
        return f"the configuration of {', '.join(keys)}" if keys else None

    async def find_obstacle(self) -> str | None:
        """What a start would stumble over now: of the release that comes next, if one waits."""
        if (command := find_next(Path(bayd.__file__).parent)) is not None:
            return await ask_next(command, self._path, self._environment)
        try:
            load_for_start(self._path)
        except ConfigurationError as error:
            return _short(error.complaints)
        return None

    def warnings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self._complaints:
            text = f"The configuration is wrong and the old one stays: {_short(self._complaints)}."
            found.append({"code": "configuration_refused", "since": None, "text": text})
        if keys := self._needs_restart:
            text = f"The configuration says otherwise than what runs, until a restart: {', '.join(keys)}."
            found.append({"code": "restart_needed", "since": None, "text": text})
        return found

    def _load(self) -> Configuration:
        """Raises ConfigurationError."""
        new = load_for_start(self._path)
        if new.registry_problem is not None and self._configuration.registered_balls is not None:
            # The list that runs is better than none.
            raise ConfigurationError((Complaint("balls.registry", new.registry_problem),))
        return new

    def _take_over(self, new: Configuration) -> None:
        holds = in_force(self._started, new)
        restart, before = changed(holds, new), self._needs_restart
        applied = [key for key in changed(self._configuration, new) if key not in restart]
        self._take(holds)
        self._configuration, self._needs_restart = new, restart
        self._log.info("reloaded", applied=applied)
        if restart and restart != before:
            self._log.warning("restart_needed", keys=list(restart))

    def _next_look_s(self) -> float | None:
        return None if self._configuration.registry_problem is None else _REGISTRY_AGAIN_S

    def _look_for_registry(self) -> None:
        new = with_registry(self._configuration)
        if new.registry_problem is None:
            self._take_over(new)

    def _tell(self, state: str) -> None:
        notify(state, self._environment)


def _short(complaints: tuple[Complaint, ...]) -> str:
    shown = "; ".join(str(complaint) for complaint in complaints[:_SHOWN_COMPLAINTS])
    more = len(complaints) - _SHOWN_COMPLAINTS
    return shown if more <= 0 else f"{shown}; and {more} more"
