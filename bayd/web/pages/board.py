"""`/`, the staff's board: the bays as they are now, drawn here, then kept up to date by the script.

Whoever is not signed in sees what `/status` says to everybody, without a name, and a form to sign in.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from http import HTTPStatus

from aiohttp import web

from bayd.core.inputs import Role
from bayd.core.model import Mode
from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.settings import Staff
from bayd.web.access import Caller
from bayd.web.documents import (
    BayDocument,
    CallView,
    CentralSection,
    DeviceView,
    ModeView,
    RangeDocument,
    StatusWarning,
)
from bayd.web.pages.files import StaticFiles
from bayd.web.pages.markup import Html, el
from bayd.web.pages.screen import LANGUAGES, to_bay
from bayd.web.pages.shell import Page, page_response
from bayd.web.pages.words import Words
from bayd.web.routes import Answer, Route
from bayd.web.sparing import Sparing
from bayd.web.views import BayViews

_COLUMNS = ("bay", "state", "time", "player", "balls", "devices", "look", "acts")
_PAGES = {"board": "/", "day": "/day", "handover": "/handover", "devices": "/devices"}
PEOPLE = frozenset({Role.STAFF, Role.TECHNICIAN})


class BoardFrame:
    """What all pages of the board share: the head with the ways to the others, language and look."""

    def __init__(
        self,
        files: StaticFiles,
        *,
        site_name: str,
        currency: str,
        timezone: str,
        zone: tzinfo,
        settings: Staff,
    ) -> None:
        """`timezone`: its name, for browsers, which know it themselves; `zone`: for what is drawn here."""
        self.words = Words("board", settings.language)
        self.zone = zone
        self.site_name = site_name
        self.currency = currency
        self._files = files
        self._timezone = timezone
        self._settings = settings

    def page(
        self,
        name: str,
        body: list[Html],
        caller: Caller,
        *,
        module: str | None = "board/head.js",
        data: Mapping[str, str] | None = None,
        styles: tuple[str, ...] = (),
    ) -> web.Response:
        said = self.words
        title = said.say(f"{name}.title")
        who = caller.actor if caller.actor is not None and caller.actor.role in PEOPLE else None
        signed_in = who is not None and caller.web_session is not None
        page = Page(
            f"{self.site_name}: {title}" if self.site_name else title,
            [
                self._head(name, None if who is None else who.name, signs_out=signed_in),
                *self._calls(name),
                *body,
                el("div", id="said", class_="unseen", aria_live="polite"),
            ],
            said.language,
            ("board.css", *styles),
            module,
            {
                "theme": self._settings.theme,
                "language": said.language,
                "timezone": self._timezone,
                "currency": self.currency,
                "role": "" if who is None else who.role.value,
                "catalogues": json.dumps(
                    {code: self._files.url(f"i18n/board.{code}.json") for code in LANGUAGES}
                ),
                **(data or {}),
            },
        )
        return page_response(page, self._files)

    def _calls(self, name: str) -> list[Html]:
        """Filled by the script; the board has its own, drawn from the start."""
        if name == "board":
            return []
        return [el("section", id="calls", class_="calls", aria_label=self.words.say("calls.title"))]

    def _head(self, name: str, who: str | None, *, signs_out: bool) -> Html:
        said = self.words
        ways = [
            el("a", said.say(f"nav.{one}"), href=path, aria_current="page" if one == name else None)
            for one, path in _PAGES.items()
        ]
        return el(
            "header",
            el("p", self.site_name or "bayd", class_="site"),
            el("nav", *(ways if who is not None else ()), aria_label=said.say("nav.label")),
            el(
                "div",
                None if who is None else el("span", said.say("who", name=who)),
                el("button", said.say("sign_out"), type="button", id="sign-out", data_testid="sign-out")
                if signs_out
                else None,
                id="who",
                class_="who",
            ),
            class_="head",
        )

    def time_of_day(self, wall_ms: int) -> str:
        return f"{datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(self.zone):%H:%M}"

    def clock_time(self, text: str) -> str:
        """Of an RFC 3339 time."""
        return f"{datetime.fromisoformat(text).astimezone(self.zone):%H:%M}"

    def moment(self, text: str, now_wall_ms: int) -> str:
        """The time of day of an RFC 3339 time, with the date where that is not today's."""
        then = datetime.fromisoformat(text).astimezone(self.zone)
        today = datetime.fromtimestamp(now_wall_ms / 1000, UTC).astimezone(self.zone).date()
        return f"{then:%H:%M}" if then.date() == today else f"{then:%Y-%m-%d %H:%M}"

    def warning(self, warning: StatusWarning) -> str:
        """What is to be looked at, and where."""
        text = self.words.warning(warning.code, warning.text, warning.facts)
        return text if warning.bay is None else self.words.say("range.at", bay=warning.bay, text=text)

    def central_away(self, central: CentralSection) -> list[str]:
        """Nothing while it answers."""
        return [] if central.online else [self.words.say("range.central_away", count=central.outbox)]

    def price(self, amount: int) -> str:
        return self.words.price(amount, self.currency)


def elsewhere(caller: Caller, page: str) -> web.Response | None:
    """Where a browser is sent whose page this is not: a screen to its bay, a stranger to the sign-in, which
    leads back to `page`.
    """
    if caller.bay is not None:
        return to_bay(caller.bay)
    if caller.actor is None or caller.actor.role not in PEOPLE:
        headers = {"Location": f"/#{_PAGES[page]}", "Cache-Control": "no-store"}
        return web.Response(status=HTTPStatus.SEE_OTHER, headers=headers)
    return None


class BoardPage:
    def __init__(
        self,
        frame: BoardFrame,
        bays: Range,
        views: BayViews,
        range_now: Callable[[], RangeDocument],
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._bays = bays
        self._views = views
        self._range_now = range_now
        self._clock = clock
        self._for_strangers = Sparing(partial(self._body, None))

    def routes(self) -> list[Route]:
        answers = {HTTPStatus.OK: Answer("The page", media_types=("text/html",))}
        return [Route("GET", "/", self.show, "The staff's board", answers, described=False)]

    async def show(self, _request: web.Request, caller: Caller) -> web.StreamResponse:
        if caller.bay is not None:
            return to_bay(caller.bay)
        body = self._for_strangers.get() if caller.actor is None else self._body(caller)
        return self._frame.page("board", body, caller, module="board/main.js")

    def _body(self, caller: Caller | None) -> list[Html]:
        """None: for anybody."""
        said = self._frame.words
        names = caller is not None and caller.sees_names
        bookings = caller is not None and caller.sees_bookings
        script = said.say("login.script" if caller is None else "board.script")
        documents = [
            self._views.show(task.bay, names=names, bookings=bookings) for task in self._bays.bays.values()
        ]
        documents.sort(key=lambda bay: (-_urgency(bay), _natural(bay.number)))
        now = self._range_now()
        as_of = self._frame.time_of_day(self._clock.now().wall_ms)
        return [
            el("div", id="band"),
            el(
                "main",
                el("h1", said.say("board.title"), class_="unseen"),
                el("div", id="entry"),
                el("noscript", el("p", script, class_="note")),
                self._calls_part(now.calls),
                self._range_part(now),
                self._table(documents),
                el("p", said.say("stale.page", time=as_of), id="as-of", class_="as-of"),
                id="board",
            ),
        ]

    def _calls_part(self, calls: Sequence[CallView]) -> Html:
        """Who waits; the script draws the same, to be answered."""
        said = self._frame.words
        items = []
        for call in calls:
            help_or_time = said.say("calls.help", bay=call.bay)
            if call.minutes is not None:
                help_or_time = said.say("calls.time", bay=call.bay, count=call.minutes)
            since = said.say("calls.since", time=clock_text(call.since_s))
            text = el("div", el("strong", help_or_time), el("span", since), class_="call-text")
            items.append(el("li", text, class_="call", data_testid=f"call-{call.kind}-{call.bay}"))
        return el(
            "section",
            *((el("h2", said.say("calls.title"), class_="calls-title"), el("ul", *items)) if items else ()),
            id="calls",
            class_="calls",
            aria_label=said.say("calls.title"),
        )

    def _range_part(self, now: RangeDocument) -> Html:
        """What concerns all bays; the script draws the same."""
        said = self._frame.words
        lines: list[tuple[str, str | None]] = [(text, None) for text in self._frame.central_away(now.central)]
        lines += [(self._frame.warning(warning), warning.since) for warning in now.warnings]
        return el(
            "section",
            *(self._look(*line) for line in lines),
            id="range",
            class_="range",
            aria_label=said.say("range.title"),
        )

    def _table(self, documents: list[BayDocument]) -> Html:
        said = self._frame.words
        head = [
            el("th", said.say(f"bays.{name}"), scope="col", class_=f"col-{name}") for name in _COLUMNS[:-1]
        ]
        head.append(el("th", el("span", said.say("bays.acts"), class_="unseen"), scope="col"))
        return el(
            "div",
            el(
                "table",
                el("caption", said.say("bays.title"), class_="unseen"),
                el("thead", el("tr", *head)),
                el("tbody", *(self._row(document) for document in documents), id="bays"),
                class_="bays",
            ),
            class_="table-place",
        )

    def _row(self, bay: BayDocument) -> Html:
        said = self._frame.words
        session, game, phase = bay.session, None, bay.phase.value
        left = ends = player = balls = level = coming = ""
        if session is not None:
            left = clock_text(session.remaining_s)
            ends = (
                "" if session.paused else said.say("bay.ends", time=self._frame.clock_time(session.ends_at))
            )
            player, game = session.player or said.say("bay.guest"), session.game
            balls = said.say("bay.balls", counted=bay.balls.counted, read=bay.balls.read)
        elif bay.next_minutes is not None:
            guest = bay.next_player or said.say("bay.guest")
            coming = said.say("bay.next", player=guest, count=bay.next_minutes)
        if bay.balls.machine and bay.balls.level != "unknown":
            level = said.say("bay.level", level=said.say(f"level.{bay.balls.level}"))
        return el(
            "tr",
            el("th", bay.number, scope="row"),
            el(
                "td",
                el("span", said.say(f"phase.{phase}"), class_="phase", data_phase=phase),
                el("div", *(quiet(text) for text in self._state_texts(bay)), class_="notes"),
                class_="state",
            ),
            el("td", el("span", left, class_="left"), quiet(ends)),
            el(
                "td",
                el("span", player, class_="name", title=player) if player else None,
                quiet("" if game is None else game.name),
                quiet(coming),
            ),
            el("td", balls, quiet(self._payout_text(bay)), quiet(level)),
            el("td", *self._devices(bay), class_="devices"),
            el("td", *self._looks(bay), class_="looks"),
            el("td", class_="open-cell"),
            id=f"bay-{bay.number}",
            data_bay=bay.number,
            data_urgent=_urgency(bay),
        )

    def _payout_text(self, bay: BayDocument) -> str:
        """What the machine does for this bay, or for whom before it; nothing while it stands."""
        balls = bay.balls
        if balls.queue_place is None or not balls.paying or bay.devices.dispenser.state in ("fault", "lost"):
            return ""
        if balls.queue_place > 0:
            return self._frame.words.say("bay.queued", count=balls.queue_place)
        return self._frame.words.say("bay.paying", count=balls.paying)

    def _look(self, text: str, since: str | None) -> Html:
        when = ""
        if since is not None:
            time = self._frame.moment(since, self._clock.now().wall_ms)
            when = f" {self._frame.words.say('bay.since', time=time)}"
        return el("p", el("span", text, quiet(when)), class_="look")

    def _looks(self, bay: BayDocument) -> list[Html]:
        said = self._frame.words
        found = [self._look(said.warning(one.code, one.text, one.facts), one.since) for one in bay.warnings]
        if bay.pin.locked_for_s > 0:
            text = said.say("bay.pad", time=clock_text(bay.pin.locked_for_s))
            found.append(el("p", text, class_="look"))
        if bay.dues:
            due = self._frame.price(sum(due.amount for due in bay.dues))
            found.append(el("p", said.say("bay.due", price=due), class_="due"))
        return found

    def _state_texts(self, bay: BayDocument) -> list[str]:
        """Why and since when it is so; its mode where that is not the usual one."""
        said, now_ms, texts = self._frame.words, self._clock.now().wall_ms, list[str]()
        if bay.booked > 0:
            texts.append(said.say("bay.booked", count=bay.booked))
        if bay.kept is not None:
            if bay.kept.since is not None:
                texts.append(said.say("bay.since", time=self._frame.moment(bay.kept.since, now_ms)))
            texts.append(bay.kept.reason or "")
        if bay.waiting is not None:
            texts.append(said.say("bay.ready", time=self._frame.moment(bay.waiting.since, now_ms)))
        return [*texts, *self._mode_texts(bay.mode, now_ms)]

    def _mode_texts(self, mode: ModeView, now_ms: int) -> list[str]:
        said = self._frame.words
        if not mode.by_staff and mode.name is Mode.LOCKED:
            return []
        name = said.say(f"mode.{mode.name}")
        if mode.by_staff:
            return [
                said.say("bay.mode_today" if mode.today else "bay.mode_staff", mode=name),
                mode.reason or "",
            ]
        if mode.until is None:
            return [said.say("bay.mode", mode=name)]
        return [said.say("bay.mode_until", mode=name, time=self._frame.moment(mode.until, now_ms))]

    def _devices(self, bay: BayDocument) -> list[Html]:
        said = self._frame.words
        devices: dict[str, DeviceView] = {
            "reader": bay.devices.reader, "dispenser": bay.devices.dispenser, "screen": bay.devices.screen
        }  # fmt: skip
        return [
            el(
                "span",
                f"{said.say(f'device.{name}')}: {said.say(f'device_state.{view.state}')}",
                class_="device",
                data_state=str(view.state),
            )
            for name, view in devices.items()
            # Nobody reports of screens but those who pair them: see Screens.
            if name != "screen" or view.state != "unknown"
        ]


def _urgency(bay: BayDocument) -> int:
    """As the script has it: who waits for staff, what is to be looked at, what is owed or locked."""
    if bay.help_called or bay.extension.asked is not None:
        return 3
    if bay.warnings:
        return 2
    return 1 if bay.dues or bay.pin.locked_for_s > 0 else 0


def _natural(number: str) -> list[tuple[int, int, str]]:
    """Bay 9 before bay 10."""
    parts = re.findall(r"\d+|\D+", number)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def quiet(text: str) -> Html | None:
    return el("span", text, class_="quiet") if text else None


def clock_text(seconds: float) -> str:
    """ "4:07", "1:04:07"; a part of a second counts as one, as on the screens."""
    whole = int(-(-seconds // 1))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
