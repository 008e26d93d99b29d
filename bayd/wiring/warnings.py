"""All that the status warns of, in the order in which people read it."""

from collections.abc import Sequence
from typing import Any, Protocol

from bayd.core import events as e
from bayd.journal import Journal
from bayd.ports import Clock

_STALL_SHOWN_MS = 2_000


class Warner(Protocol):
    """Something that the status may have to warn of."""

    def warnings(self) -> list[dict[str, Any]]: ...


class Warnings:
    """Of the parts, and at last of the journal that they all wait for."""

    def __init__(self, warners: Sequence[Warner], journal: Journal[e.Event], clock: Clock) -> None:
        self._warners = list(warners)
        self._journal = journal
        self._clock = clock

    def add(self, warner: Warner) -> None:
        self._warners.append(warner)

    def all(self) -> list[dict[str, Any]]:
        warnings = [warning for warner in self._warners for warning in warner.warnings()]
        if self._journal.disk_full:
            text = (
                "The disk of the journal is full, or almost: balls read, games and new QoS sessions are not "
                "recorded any more, and soon nothing can be."
            )
            warnings.append({"code": "disk_full", "since": None, "text": text})
        if (stalled := self.stalled()) is not None:
            text = f"{stalled[:1].upper()}{stalled[1:]}."
            warnings.append({"code": "journal_stalled", "since": None, "text": text})
        return warnings

    def stalled(self) -> str | None:
        """Why nothing can be recorded for longer than the moment that every commit takes."""
        since_ms = self._journal.stalled_since
        if since_ms is None:
            return None
        waited_ms = self._clock.now().boot_ms - since_ms
        return None if waited_ms < _STALL_SHOWN_MS else f"the journal waits for the disk since {waited_ms} ms"
