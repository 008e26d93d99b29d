"""All that the status warns of, in the order in which people read it."""

from collections.abc import Sequence
from typing import Any, Protocol

from bayd.journal import Journal
from bayd.ports import Clock, Log
from bayd.web.views import rfc3339

_STALL_SHOWN_MS = 2_000


class Warner(Protocol):
    """Something that the status may have to warn of."""

    def warnings(self) -> list[dict[str, Any]]: ...


class Warnings:
    """Of the parts, and at last of the journal that they all wait for."""

    def __init__(self, warners: Sequence[Warner], journal: Journal[Any], clock: Clock, log: Log) -> None:
        self._warners = list(warners)
        self._journal = journal
        self._clock = clock
        self._log = log

    def add(self, warner: Warner) -> None:
        self._warners.append(warner)

    def all(self) -> list[dict[str, Any]]:
        warnings = [warning for warner in self._warners for warning in self._of(warner)]
        if self._journal.disk_full:
            text = (
                "The disk of the journal is full, or almost: balls read, games and new QoS sessions are not "
                "recorded any more, and soon nothing can be."
            )
            warnings.append({"code": "disk_full", "since": None, "text": text})
        if (waited_ms := self._waited_ms()) is not None:
            since_s = round((self._clock.now().wall_ms - waited_ms) / 1000)
            text = "The journal waits for the disk: nothing can be recorded."
            warnings.append({"code": "journal_stalled", "since": rfc3339(since_s * 1000), "text": text})
        return warnings

    def _of(self, warner: Warner) -> list[dict[str, Any]]:
        try:
            return warner.warnings()
        except Exception as error:  # noqa: BLE001 # root tasks ask: nobody's play ends for a text
            facts = {"of": type(warner).__name__, "error": type(error).__name__}
            self._log.error("warnings_failed", exc_info=True, **facts)
            return []

    def stalled(self) -> str | None:
        """Why nothing can be recorded for longer than the moment that every commit takes."""
        waited_ms = self._waited_ms()
        return None if waited_ms is None else f"the journal waits for the disk since {waited_ms} ms"

    def _waited_ms(self) -> int | None:
        since_ms = self._journal.stalled_since
        if since_ms is None:
            return None
        waited_ms = self._clock.now().boot_ms - since_ms
        return None if waited_ms < _STALL_SHOWN_MS else waited_ms
