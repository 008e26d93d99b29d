"""What a new configuration changes in a running daemon: applied at once, or named as wanting a restart."""

from dataclasses import dataclass

from bayd.runtime.range import Range
from bayd.settings import Configuration

_AT_ONCE = frozenset({"play", "balls", "readers"})
_RULES = frozenset({"play", "balls"})  # from which the rules of a bay are made


@dataclass(frozen=True, slots=True)
class Reloaded:
    applied: tuple[str, ...]  # sections that are in force now
    needs_restart: tuple[str, ...]  # sections that changed and are not


def apply(old: Configuration, new: Configuration, bays: Range) -> Reloaded:
    """The rules of play change at once for every bay that stays; readers and balls are the caller's.

    Other wires, and doors, want a restart.
    """
    applied: list[str] = []
    needs_restart: list[str] = []
    for section in type(new.settings).model_fields:
        if getattr(old.settings, section) != getattr(new.settings, section):
            (applied if section in _AT_ONCE else needs_restart).append(section)
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
