"""Whether the central server works at all: what one item's failures mean depends on it."""

from bayd.ports import Clock

_QUIET_MS = 600_000  # an item fails alone only if others got through within this time


class ServerPulse:
    """Everybody who gets a useful answer beats it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat_ms: int | None = None

    def beat(self) -> None:
        self._beat_ms = self._clock.now().boot_ms

    @property
    def is_alive(self) -> bool:
        return self._beat_ms is not None and self._clock.now().boot_ms - self._beat_ms <= _QUIET_MS


class Solitude:
    """Since when one item fails while others get through."""

    def __init__(self, pulse: ServerPulse, clock: Clock) -> None:
        self._pulse = pulse
        self._clock = clock
        self._since_ms: int | None = None

    def failed(self) -> int:
        """For how many milliseconds it has failed alone. A server that is away for all starts it anew."""
        now_ms = self._clock.now().boot_ms
        if self._since_ms is None or not self._pulse.is_alive:
            self._since_ms = now_ms
        return now_ms - self._since_ms
