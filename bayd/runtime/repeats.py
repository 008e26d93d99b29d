"""Keeps the log readable when one thing fails for hours: repeats are counted, and told once a minute."""

from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

# Lines a minute. What goes well is told once each; but who sends rubbish may do so a thousand times a second.
BURST = {"error": 5, "warning": 5, "info": 60}
WINDOW_S = 60.0
_KINDS_LIMIT = 1_000  # the longest unheard is forgotten: a log of ever new texts must not fill the memory
_ABOUT = ("level", "event", "bay", "reader", "dispenser", "port", "setting", "route")


@dataclass(slots=True)
class _Window:
    since_s: float
    told: int = 0
    held_back: int = 0


class RepeatLimit:
    """A structlog processor: of one event about one bay or device, `BURST` lines a minute, then a count."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[tuple[object, ...], _Window] = OrderedDict()

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        burst = BURST.get(str(event.get("level")))
        if burst is None:
            return event
        key = tuple(str(event.get(name, "")) for name in _ABOUT)
        now_s = self._monotonic()
        window = self._windows.get(key)
        if window is None or now_s - window.since_s >= WINDOW_S:
            if window is not None and window.held_back:
                event["repeats_held_back"] = window.held_back
            window = self._windows[key] = _Window(now_s)
        self._windows.move_to_end(key)
        if len(self._windows) > _KINDS_LIMIT:
            self._windows.popitem(last=False)
        if window.told >= burst:
            window.held_back += 1
            raise structlog.DropEvent
        window.told += 1
        return event
