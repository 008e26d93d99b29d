"""What a new configuration changes in a running daemon: applied at once, or named as wanting a restart."""

from dataclasses import dataclass

from bayd.runtime.range import Range
from bayd.settings import BaySettings, Configuration, Settings

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
