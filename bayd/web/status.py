"""`/status`, `/healthz`, `/readyz`, `/version`: what the daemon says of itself, without anybody's name."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.web.access import Caller
from bayd.web.answers import answer
from bayd.web.documents import (
    BayDocument,
    CentralSection,
    DevicesSection,
    LivenessDocument,
    QodSection,
    RangeDocument,
    RangeNewsDocument,
    ReadinessDocument,
    StatusDocument,
    StatusWarning,
    VersionDocument,
)
from bayd.web.routes import Answer, Handle, Route
from bayd.web.sparing import Sparing
from bayd.web.tags import IF_NONE_MATCH, NOT_MODIFIED, TAG_HEADERS, tagged
from bayd.web.views import BayViews, calls_of, rfc3339, warnings_of

Section = Callable[[], dict[str, Any]]

# What only moves with the clock; the bays have their own list.
_MOVING: Any = {
    "bays": True,
    "central": {"oldest_s"},
    "devices": {"readers": {"__all__": {"blind_s"}}},
}


class StatusPages:
    """`sections` gives devices, central and qod; `warnings` what is wrong beyond single bays."""

    def __init__(
        self,
        bays: Range,
        *,
        version: str,
        time_scale: float,
        sections: Mapping[str, Section],
        warnings: Callable[[], list[dict[str, Any]]],
        stalled: Callable[[], str | None],
        views: BayViews,
        clock: Clock,
    ) -> None:
        self._bays = bays
        self._version = version
        self._time_scale = time_scale
        self._sections = sections
        self._warnings = warnings
        self._stalled = stalled
        self._views = views
        self._clock = clock
        self._started_wall_ms = clock.now().wall_ms
        self._answer = Sparing(self._make_answer)

    def routes(self) -> list[Route]:
        return [
            _tagged("/status", self.status, "Everything at a glance, without names", StatusDocument),
            _tagged(
                "/api/v1/range",
                self.show_range,
                "What concerns the whole range: who waits, the central server, warnings beyond single bays",
                RangeDocument,
            ),
            Route(
                "GET",
                "/healthz",
                self.healthz,
                "Whether the loop turns",
                {HTTPStatus.OK: Answer("It does", LivenessDocument)},
                limited=False,
            ),
            Route(
                "GET",
                "/readyz",
                self.readyz,
                "Whether bays may be used",
                {
                    HTTPStatus.OK: Answer("They may", ReadinessDocument),
                    HTTPStatus.SERVICE_UNAVAILABLE: Answer("Not now, and why", ReadinessDocument),
                },
                limited=False,
            ),
            Route(
                "GET",
                "/version",
                self.show_version,
                "The daemon's version",
                {HTTPStatus.OK: Answer("The version", VersionDocument)},
            ),
        ]

    async def status(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        return tagged(request, *self._answer.get())

    def _make_answer(self) -> tuple[str, str]:
        """The body, and what of it stands still."""
        document = self.document()
        still = [document.model_dump_json(exclude=_MOVING)]
        still += [
            self._views.still_life(task.bay, document.bays[number])
            for number, task in self._bays.bays.items()
        ]
        return document.model_dump_json(), "\n".join(still)

    async def show_range(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        document = self.range_document()
        still = document.model_dump_json(
            exclude={"now": True, "calls": {"__all__": {"since_s"}}, "central": {"oldest_s"}}
        )
        return tagged(request, document.model_dump_json(), still)

    def range_document(self) -> RangeDocument:
        now = self._clock.now()
        calls = [call for task in self._bays.bays.values() for call in calls_of(task.bay, now)]
        news = self.range_news()
        return RangeDocument(
            now=rfc3339(now.wall_ms),
            calls=sorted(calls, key=lambda call: -call.since_s),
            central=news.central,
            warnings=news.warnings,
        )

    def range_news(self) -> RangeNewsDocument:
        return RangeNewsDocument(central=self._central(), warnings=self._range_warnings())

    def _central(self) -> CentralSection:
        return CentralSection.model_validate(self._sections["central"]())

    def _range_warnings(self) -> list[StatusWarning]:
        return [StatusWarning(**warning) for warning in self._warnings()]

    def warning_count(self) -> int:
        """As many as the status lists."""
        return len(self._warnings()) + sum(len(warnings_of(task.bay)) for task in self._bays.bays.values())

    def document(self, *, names: bool = False) -> StatusDocument:
        """`names`: also what tells who plays, and the reasons that staff gave."""
        bays = {}
        warnings = self._range_warnings()
        for number, task in self._bays.bays.items():
            bays[number] = self._views.show(task.bay, names=names)
            warnings += [StatusWarning(bay=number, **dict(warning)) for warning in bays[number].warnings]
        return StatusDocument(
            version=self._version,
            started_at=rfc3339(self._started_wall_ms),
            time_scale=self._time_scale,
            bays=bays,
            devices=DevicesSection.model_validate(self._sections["devices"]()),
            central=self._central(),
            qod=QodSection.model_validate(self._sections["qod"]()),
            warnings=warnings,
        )

    def retired(self, *, names: bool) -> list[BayDocument]:
        """The bays that are configured no more, as `document` shows the others."""
        return [self._views.show(task.bay, names=names) for task in self._bays.retired.values()]

    async def healthz(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        """The loop turns, or nobody would answer."""
        response = answer(LivenessDocument(status="ok"))
        # A kiosk's page on the disk waits for us: it may learn that we answer, though not what.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    async def readyz(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        reason = "starting" if not self._bays.ready.is_set() else self._stalled()
        if reason is None:
            return answer(ReadinessDocument(status="ready"), exclude_none=True)
        return answer(ReadinessDocument(status="not ready", reason=reason), HTTPStatus.SERVICE_UNAVAILABLE)

    async def show_version(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        return answer(VersionDocument(version=self._version))


def _tagged(path: str, handle: Handle, summary: str, document: type[BaseModel]) -> Route:
    answers = {
        HTTPStatus.OK: Answer("As it is now", document, headers=TAG_HEADERS),
        HTTPStatus.NOT_MODIFIED: NOT_MODIFIED,
    }
    return Route("GET", path, handle, summary, answers, parameters=(IF_NONE_MATCH,))
