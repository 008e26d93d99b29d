"""`/api/v1/audit`: what staff and technicians did on one day of the site, as JSON or as a table to keep."""

import csv
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from http import HTTPStatus

from aiohttp import web

from bayd.core.inputs import Role
from bayd.journal import AuditRow, JournalUnavailableError
from bayd.web.access import Caller
from bayd.web.documents import AuditDocument, AuditRowView
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import JSON, Answer, Parameter, Route

CSV = "text/csv"
_COLUMNS = ("at", "clock_trusted", "bay", "who", "role", "act", "asked", "reason", "before", "after")
# A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

FindRows = Callable[[int, int], Awaitable[Sequence[AuditRow]]]


def day_bounds_ms(day: date, zone: tzinfo) -> tuple[int, int]:
    """The wall times, in milliseconds, at which the day begins and ends at the site."""
    starts = (
        datetime(each.year, each.month, each.day, tzinfo=zone) for each in (day, day + timedelta(days=1))
    )
    first, last = (round(start.timestamp() * 1000) for start in starts)
    return first, last


def views(rows: Sequence[AuditRow], zone: tzinfo) -> list[AuditRowView]:
    return [
        AuditRowView(
            at=datetime.fromtimestamp(row.wall_ms / 1000, zone).isoformat(timespec="milliseconds"),
            clock_trusted=row.synchronised,
            bay=row.bay,
            who=row.note.who,
            role=row.note.role,
            act=row.note.act,
            asked=dict(row.note.asked),
            reason=row.note.reason,
            before=dict(row.note.before),
            after=dict(row.note.after),
        )
        for row in rows
    ]


def as_csv(rows: Sequence[AuditRowView]) -> str:
    """RFC 4180, one act a line, with a head."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        cells = (getattr(row, name) for name in _COLUMNS)
        writer.writerow(
            [_cell(json.dumps(c, ensure_ascii=False) if isinstance(c, dict) else c) for c in cells]
        )
    return text.getvalue()


class AuditPage:
    """`find` raises JournalUnavailableError. `zone`: whose days these are."""

    def __init__(self, find: FindRows, zone: tzinfo) -> None:
        self._find = find
        self._zone = zone

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/audit",
                self.show,
                "What staff and technicians did on one day",
                {HTTPStatus.OK: Answer("The acts, oldest first", AuditDocument, media_types=(JSON, CSV))},
                roles=frozenset({Role.STAFF}),
                refusals={
                    HTTPStatus.UNPROCESSABLE_ENTITY: "The day is none",
                    HTTPStatus.SERVICE_UNAVAILABLE: "The journal cannot be read now",
                },
                parameters=(
                    Parameter("day", "query", "As 2026-11-22, in the site's time zone", required=True),
                    Parameter("format", "query", "`json` (default) or `csv`", pattern="^(json|csv)$"),
                ),
                tag="daemon",
            )
        ]

    async def show(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        form = request.query.get("format", "json")
        if form not in ("json", "csv"):
            raise _unfit("format", "json or csv")
        try:
            day = date.fromisoformat(request.query.get("day", ""))
            bounds = day_bounds_ms(day, self._zone)
        except (ValueError, OverflowError):
            raise _unfit("day", "a day is written as 2026-11-22") from None
        try:
            rows = views(await self._find(*bounds), self._zone)
        except JournalUnavailableError:
            text = "The journal cannot be read now."
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", text)) from None
        headers = {"Cache-Control": "no-store"}
        if form == "csv":
            headers["Content-Disposition"] = f'attachment; filename="bayd-audit-{day.isoformat()}.csv"'
            return web.Response(text=as_csv(rows), content_type=CSV, charset="utf-8", headers=headers)
        document = AuditDocument(day=day.isoformat(), acts=rows)
        return web.Response(text=document.model_dump_json(), content_type=JSON, headers=headers)


def _unfit(field: str, text: str) -> ProblemError:
    return ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text, field))


def _cell(value: object) -> object:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
