"""Which calls the central server carries out at all: what one item's failures mean depends on it.

A server may show everything and write nothing, or have one call broken for everybody. So an item fails alone
only where the very call that it fails at gets through for others, before and after.
"""

from bayd.ports import Clock

_ALONE_MS = 3_600_000


class ServerPulse:
    """Each call that the server carried out beats it. A refusal does not: a server that cannot write still
    refuses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats_ms: dict[str, int] = {}
        self._written_ms: int | None = None
        self.beats = 0  # ever

    def beat(self, operation: str, *, changes: bool) -> None:
        now_ms = self._clock.now().boot_ms
        self.beats += 1
        self._beats_ms[operation] = now_ms
        if changes:
            self._written_ms = now_ms

    def last_ms(self, operation: str | None) -> int | None:
        """When this call got through last; None asks for any that changes something."""
        return self._written_ms if operation is None else self._beats_ms.get(operation)


class Solitude:
    """One item that fails, beside what gets through for others."""

    def __init__(self, pulse: ServerPulse, clock: Clock) -> None:
        self._pulse = pulse
        self._clock = clock
        self._began_ms: int | None = None
        self._alone_since_ms: dict[str | None, int] = {}

    def failed(self, operation: str | None) -> bool:
        """It has failed again, at this call (None: at one that others need not get through). Has it been
        alone for an hour? Others got through after it had begun to fail, and again an hour later."""
        now_ms = self._clock.now().boot_ms
        if self._began_ms is None:
            self._began_ms = now_ms
        beat_ms = self._pulse.last_ms(operation)
        if beat_ms is None or beat_ms < self._began_ms:
            return False
        since_ms = self._alone_since_ms.setdefault(operation, now_ms)
        return beat_ms - since_ms >= _ALONE_MS
