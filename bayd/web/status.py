"""`/status`, `/healthz`, `/readyz`, `/version`: what the daemon says of itself, without anybody's name."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from bayd.core.instant import Instant
from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.web.bays import QodState
from bayd.web.views import bay_view, rfc3339

Section = Callable[[], dict[str, Any]]


class StatusPages:
    """`sections` gives devices, central and qod; `warnings` what is wrong beyond single bays."""

    def __init__(
        self,
        bays: Range,
        *,
        version: str,
        time_scale: float,
        sections: dict[str, Section],
        warnings: Callable[[], list[dict[str, Any]]],
        stalled: Callable[[], str | None],
        qod_state: QodState,
        clock: Clock,
    ) -> None:
        self._bays = bays
        self._version = version
        self._time_scale = time_scale
        self._sections = sections
        self._warnings = warnings
        self._stalled = stalled
        self._qod_state = qod_state
        self._clock = clock
        self._started: Instant = clock.now()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/status", self.status),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/version", self.show_version),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(self.document(), headers={"Cache-Control": "no-cache"})

    def document(self) -> dict[str, Any]:
        now = self._clock.now()
        bays = {}
        warnings = self._warnings()
        for number, task in self._bays.bays.items():
            view = bay_view(task.bay, now, task.rules, self._qod_state(number), names=False)
            bays[number] = view
            warnings += [{**warning, "bay": number} for warning in view["warnings"]]
        return {
            "version": self._version,
            "started_at": rfc3339(self._started.wall_ms),
            "time_scale": self._time_scale,
            "bays": bays,
            **{name: section() for name, section in self._sections.items()},
            "warnings": warnings,
        }

    async def healthz(self, _request: web.Request) -> web.Response:
        """The loop turns, or nobody would answer."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        reason = "starting" if not self._bays.ready.is_set() else self._stalled()
        if reason is None:
            return web.json_response({"status": "ready"})
        return web.json_response(
            {"status": "not ready", "reason": reason}, status=HTTPStatus.SERVICE_UNAVAILABLE
        )

    async def show_version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": self._version})
