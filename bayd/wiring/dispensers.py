"""The dispensers of one PC, put together: drivers, reconcilers, and what the status says of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayd.devices import driven_dispensers
from bayd.devices.dispensers import make_dispensers
from bayd.ports import Log
from bayd.reconcile.ball_level import LevelRules
from bayd.reconcile.dispensing import Bays, DispenserReconciler, DispenserView
from bayd.settings.dispensers import Dispenser
from hardware.dispenser import Level


class DispenserParts:
    """`reconcilers` have the root tasks, and want to see the bays."""

    def __init__(
        self, settings: Mapping[str, Dispenser], users: Mapping[str, str], bays: Bays, log: Log
    ) -> None:
        """`users`: bay number -> its dispenser."""
        self._users = users
        self._settings = settings
        self.reconcilers = {
            name: DispenserReconciler(
                name, driver, _bays_of(name, users), bays, log, _level_rules(settings[name])
            )
            for name, driver in make_dispensers(settings).items()
        }

    def queue_place(self, number: str) -> int:
        """How many payouts come before that of this bay, or would if it pressed now."""
        name = self._users.get(number)
        return 0 if name is None else self.reconcilers[name].queue_place(number)

    def held(self) -> list[dict[str, Any]]:
        """Ports and what is at them, for technicians; see `bayd.web.device_documents.HeldDevice`."""
        rows = []
        for name, reconciler in self.reconcilers.items():
            view, settings = reconciler.view(), self._settings[name]
            identity = view.identity
            about = {} if identity is None else {**identity.details, "serial": identity.serial}
            rows.append(
                {
                    "kind": "dispenser",
                    "name": name,
                    "driver": settings.driver,
                    "link": settings.link,
                    "state": view.state.value,
                    "reason": view.reason,
                    "model": ""
                    if identity is None
                    else f"{identity.manufacturer} {identity.product}".strip(),
                    "firmware": "" if identity is None else identity.software,
                    "bays": list(_bays_of(name, self._users)),
                    "level": view.level.value,
                    "details": {key: value for key, value in about.items() if value},
                }
            )
        return rows

    def section(self) -> dict[str, Any]:
        return {name: _document(reconciler.view()) for name, reconciler in self.reconcilers.items()}

    def warnings(self) -> list[dict[str, Any]]:
        """What staff should look at, once for each machine; that it is lost or faulty is said by its bays."""
        warnings: list[dict[str, Any]] = []
        for name, view in ((name, one.view()) for name, one in self.reconcilers.items()):
            if view.level is Level.EMPTY:
                text = f"Dispenser {name} is empty."
                warnings.append(
                    {"code": "dispenser_empty", "since": None, "text": text, "facts": {"dispenser": name}}
                )
            elif view.level is Level.LOW:
                text = f"Dispenser {name} is low{_rest(view)}."
                warnings.append(
                    {
                        "code": "dispenser_low",
                        "since": None,
                        "text": text,
                        "facts": {
                            "dispenser": name,
                            "stock": "?" if view.stock is None else max(0, view.stock),
                        },
                    }
                )
        return warnings


def keep_for_make_safe(
    config: Path, dispensers: Mapping[str, Dispenser], environment: Mapping[str, str], log: Log
) -> None:
    """It must stop them also when nobody can read the configuration any more."""
    place = driven_dispensers.place_of(config, environment)
    if place is None:
        return
    try:
        driven_dispensers.keep(place, config, dispensers)
    except OSError as error:
        log.warning("dispensers_not_kept", file=str(place), reason=error.strerror)


def _bays_of(dispenser: str, users: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(number for number, name in users.items() if name == dispenser)


def _level_rules(settings: Dispenser) -> LevelRules:
    return LevelRules(
        capacity_balls=settings.capacity_balls,
        low_balls=settings.low_balls,
        low_margin_balls=settings.low_margin_balls,
        steady_s=settings.level_steady_s,
    )


def _rest(view: DispenserView) -> str:
    if view.stock is None:
        return ""
    minutes = view.minutes_to_empty
    pace = "" if minutes is None else f", {minutes:.0f} minutes at the pace of the last hour"
    return f": about {max(0, view.stock)} balls{pace}"


def _document(view: DispenserView) -> dict[str, Any]:
    minutes = view.minutes_to_empty
    return {
        "state": view.state.value,
        "reason": view.reason,
        "product": "" if view.identity is None else view.identity.product,
        "level": view.level.value,
        "queue": list(view.queue),
        "stock": view.stock,
        "minutes_to_empty": None if minutes is None else round(minutes),
    }
