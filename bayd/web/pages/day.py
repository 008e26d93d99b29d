"""`/day`: one day as a line for each bay, with what staff did. Drawn here whole; it needs no script."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from http import HTTPStatus

from aiohttp import web

from bayd.core import events as e
from bayd.core.inputs import Role
from bayd.journal import AuditRow, JournalUnavailableError, Recorded, UnreadableEventError
from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.web.access import Caller
from bayd.web.audit import day_bounds_ms
from bayd.web.day import Span, What, shared_outages, spans_of
from bayd.web.pages.board import BoardFrame, clock_text, elsewhere, quiet
from bayd.web.pages.markup import Html, el
from bayd.web.pages.told_acts import ToldActs
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Route

_HOUR_MS = 3_600_000
_HIGH = {What.PLAY: (4, 26), What.PAUSE: (4, 26), What.HELD: (8, 18), What.OUT: (4, 26), What.OUTAGE: (0, 34)}
_NARROWEST = 6.0  # of 1440 for the day: a session of a minute is still seen

FindPlays = Callable[[int, int], Awaitable[Sequence[Recorded[e.Event]]]]
FindActs = Callable[[int, int], Awaitable[Sequence[AuditRow]]]


class DayPage:
    """`find_plays` and `find_acts` raise JournalUnavailableError."""

    def __init__(
        self, frame: BoardFrame, bays: Range, find_plays: FindPlays, find_acts: FindActs, clock: Clock
    ) -> None:
        self._frame = frame
        self._bays = bays
        self._find_plays = find_plays
        self._find_acts = find_acts
        self._clock = clock

    def routes(self) -> list[Route]:
        answers = {HTTPStatus.OK: Answer("The page", media_types=("text/html",))}
        return [Route("GET", "/day", self.show, "A day at the bays", answers, described=False)]

    async def show(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        if (other := elsewhere(caller, "day")) is not None:
            return other
        now_ms = self._clock.now().wall_ms
        today = datetime.fromtimestamp(now_ms / 1000, self._frame.zone).date()
        try:
            day = date.fromisoformat(request.query.get("day", "") or today.isoformat())
            begin_ms, end_ms = day_bounds_ms(day, self._frame.zone)
        except (ValueError, OverflowError):
            text = "A day is written as 2026-11-22."
            problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text, "day")
            raise ProblemError(problem) from None
        try:
            happened = await self._find_plays(begin_ms, end_ms)
            acts = await self._find_acts(begin_ms, end_ms)
        except (JournalUnavailableError, UnreadableEventError):
            text = "The journal cannot be read now."
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", text)) from None
        by_bay: dict[str, list[Recorded[e.Event]]] = defaultdict(list)
        for recorded in happened:
            by_bay[recorded.bay].append(recorded)
        until_ms = min(end_ms, max(begin_ms, now_ms))
        marked_ms = now_ms if day == today else None
        spans = {}
        for number, task in self._bays.bays.items():
            bay = task.bay if day == today else None
            spans[number] = spans_of(by_bay[number], begin_ms, until_ms, bay)
            await asyncio.sleep(0)
        lines = []
        for number, shown in shared_outages(spans).items():
            lines.append(self._line(number, shown, begin_ms, end_ms, marked_ms))
            await asyncio.sleep(0)  # a day of a large range is much to draw: others have their turn
        log = self._log(acts, day) if caller.known.role is Role.STAFF else None
        said = self._frame.words
        body = el(
            "main",
            el("h1", said.say("day.title")),
            el(
                "form",
                el("label", said.say("day.day"), for_="day"),
                el("input", id="day", name="day", type="date", value=day.isoformat(), max=today.isoformat()),
                el("button", said.say("day.show"), type="submit"),
                class_="day-form",
                method="get",
            ),
            self._legend(marked_ms),
            el("div", self._hours(begin_ms, end_ms), *lines, class_="timelines"),
            log,
        )
        return self._frame.page("day", [body], caller)

    def _legend(self, now_ms: int | None) -> Html:
        items = [
            el(
                "li",
                el(
                    "svg",
                    _hatches() if what is What.PLAY else None,
                    el("rect", x=1, y=1, width=32, height=14, class_=f"span-{what}"),
                    viewBox="0 0 34 16",
                    aria_hidden="true",
                ),
                self._frame.words.say(f"day.{what}"),
            )
            for what in What
        ]
        if now_ms is not None:
            mark = el("line", x1=17, x2=17, y1=0, y2=16, class_="now")
            drawing = el("svg", mark, viewBox="0 0 34 16", aria_hidden="true")
            text = self._frame.words.say("day.now", time=self._frame.time_of_day(now_ms))
            items.append(el("li", drawing, text))
        return el("ul", *items, class_="legend")

    def _hours(self, begin_ms: int, end_ms: int) -> Html:
        """Eight marks; a day with another summer time is an hour longer or shorter."""
        step_ms = (end_ms - begin_ms) // 8
        marks = [el("span", self._frame.time_of_day(begin_ms + place * step_ms)) for place in range(8)]
        return el("div", el("span"), *marks, class_="hours", aria_hidden="true")

    def _line(
        self, number: str, spans: Sequence[Span], begin_ms: int, end_ms: int, now_ms: int | None
    ) -> Html:
        said = self._frame.words
        texts = [
            said.say(
                "day.span",
                what=said.say(f"day.{span.what}"),
                **{
                    "from": self._frame.time_of_day(span.from_wall_ms),
                    "to": self._frame.time_of_day(span.to_wall_ms),
                },
            )
            for span in spans
        ]
        long_ms = end_ms - begin_ms

        def place(wall_ms: int) -> float:
            return round(1440 * (wall_ms - begin_ms) / long_ms, 2)

        hours = [
            el("line", x1=str(x), x2=str(x), y1=0, y2=34, class_="hour")
            for x in (place(begin_ms + hour * _HOUR_MS) for hour in range(1, long_ms // _HOUR_MS))
        ]
        rects = []
        for span, text in zip(spans, texts, strict=True):
            top, high = _HIGH[span.what]
            wide = max(_NARROWEST, place(span.to_wall_ms) - place(span.from_wall_ms))
            rects.append(
                el(
                    "rect",
                    el("title", text),
                    x=str(place(span.from_wall_ms)),
                    y=top,
                    width=str(wide),
                    height=high,
                    class_=f"span-{span.what}",
                )
            )
        drawing = el(
            "svg",
            *hours,
            *rects,
            None
            if now_ms is None
            else el("line", x1=str(place(now_ms)), x2=str(place(now_ms)), y1=0, y2=34, class_="now"),
            viewBox="0 0 1440 34",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{number}: {'; '.join(texts) or said.say('day.none')}",
        )
        listed = None
        if texts:
            items = el("ul", *(el("li", text) for text in texts))
            listed = el("details", el("summary", f"{said.say('day.list')} ({len(texts)})"), items)
        return el(
            "section", el("h2", number), drawing, listed, class_="timeline", data_testid=f"day-{number}"
        )

    def _log(self, acts: Sequence[AuditRow], day: date) -> Html:
        said = self._frame.words
        told = ToldActs(said, self._frame.price, clock_text)
        columns = ("when", "bay", "who", "what", "why")
        names = [said.say("bays.bay") if name == "bay" else said.say(f"day.{name}") for name in columns]
        rows = [
            el(
                "tr",
                el("td", self._frame.time_of_day(act.wall_ms)),
                el("td", act.bay),
                el("td", act.note.who),
                el(
                    "td",
                    told.act(act.note),
                    el("div", *(quiet(text) for text in told.details(act.note)), class_="notes"),
                ),
                el("td", act.note.reason),
            )
            for act in acts
        ]
        table = el(
            "table",
            el("thead", el("tr", *(el("th", name, scope="col") for name in names))),
            el("tbody", *rows),
        )
        return el(
            "section",
            el(
                "div",
                el("h2", said.say("day.log")),
                el(
                    "a",
                    said.say("day.log_csv"),
                    href=f"/api/v1/audit?day={day.isoformat()}&format=csv",
                    class_="button",
                ),
                class_="made",
            ),
            el("div", table, class_="plain log", tabindex=0, role="region", aria_label=said.say("day.log"))
            if rows
            else el("p", said.say("day.quiet"), class_="quiet", data_testid="day-quiet"),
        )


def _hatches() -> Html:
    """Patterns, so that nothing is told by colour alone."""

    def pattern(name: str, path: str) -> Html:
        return el(
            "pattern",
            el("rect", width=8, height=8, class_="hatch-ground"),
            el("path", d=path, class_=name),
            id=name,
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )

    lines = pattern("hatch-pause", "M0 8L8 0")
    return el("defs", lines, pattern("hatch-out", "M0 8L8 0M0 0L8 8"))
