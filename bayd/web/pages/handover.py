"""`/handover`: what the next shift has to know, made to be printed; it needs no script."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from bayd.core import events as e
from bayd.core.model import Phase
from bayd.journal import JournalUnavailableError, Recorded, UnreadableEventError
from bayd.ports import Clock
from bayd.web.access import Caller
from bayd.web.audit import day_bounds_ms
from bayd.web.documents import BayDocument, StatusDocument, StatusWarning
from bayd.web.outbox import ListItems
from bayd.web.pages.board import BoardFrame, elsewhere
from bayd.web.pages.markup import Html, el
from bayd.web.routes import Answer, Route
from bayd.web.takings import takings_of

_CLOSED = frozenset({Phase.HELD, Phase.OUT_OF_SERVICE, Phase.PAUSED})


FindPayments = Callable[[int, int], Awaitable[Sequence[Recorded[e.Event]]]]


class Status(Protocol):
    """The range as it is now."""

    def document(self, *, names: bool) -> StatusDocument: ...

    def retired(self, *, names: bool) -> list[BayDocument]:
        """The bays that are configured no more."""
        ...


class HandoverPage:
    """`items` and `find_payments` raise JournalUnavailableError, the latter UnreadableEventError too."""

    def __init__(
        self,
        frame: BoardFrame,
        status: Status,
        items: ListItems,
        find_payments: FindPayments,
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._status = status
        self._items = items
        self._find_payments = find_payments
        self._clock = clock

    def routes(self) -> list[Route]:
        answers = {HTTPStatus.OK: Answer("The page", media_types=("text/html",))}
        return [Route("GET", "/handover", self.show, "Shift handover", answers, described=False)]

    async def show(self, _request: web.Request, caller: Caller) -> web.StreamResponse:
        if (other := elsewhere(caller, "handover")) is not None:
            return other
        said = self._frame.words
        status = self._status.document(names=caller.sees_names)
        now = datetime.fromtimestamp(self._clock.now().wall_ms / 1000, self._frame.zone)
        made = said.say(
            "handover.made", site=self._frame.site_name, time=f"{now:%Y-%m-%d %H:%M}", name=caller.known.name
        )
        bays = list(status.bays.values())
        every = [*bays, *self._status.retired(names=caller.sees_names)]
        body = el(
            "main",
            el("h1", said.say("handover.title")),
            el(
                "div",
                el("p", made),
                el("button", said.say("handover.print"), type="button", id="print", class_="print-button"),
                class_="made",
            ),
            self._section("calls", [text for bay in bays for text in self._calls(bay)]),
            self._section("taken", await self._taken(now)),
            self._section("dues", [text for bay in every for text in self._dues(bay)]),
            self._section("unknown", [text for bay in every for text in self._unknown(bay)]),
            self._section("parked", await self._parked()),
            self._section("closed", [self._closed(bay) for bay in bays if bay.phase in _CLOSED]),
            self._section(
                "warnings",
                [*self._frame.central_away(status.central), *self._warnings(status.warnings)],
            ),
            class_="handover",
        )
        return self._frame.page("handover", [body], caller, module="board/handover.js")

    def _section(self, name: str, texts: Sequence[str]) -> Html:
        said = self._frame.words
        listed = el("ul", *(el("li", text) for text in texts))
        return el(
            "section",
            el("h2", f"{said.say(f'handover.{name}')} ({len(texts)})"),
            listed if texts else el("p", said.say("handover.none"), class_="quiet"),
            data_testid=f"handover-{name}",
        )

    def _calls(self, bay: BayDocument) -> list[str]:
        said, texts = self._frame.words, []
        if bay.help_for_s is not None:
            since = self._frame.time_of_day(self._clock.now().wall_ms - round(bay.help_for_s * 1000))
            texts.append(said.say("handover.help", bay=bay.number, time=since))
        if bay.extension.asked is not None:
            texts.append(said.say("handover.asks", bay=bay.number, count=bay.extension.asked.minutes))
        return texts

    async def _taken(self, now: datetime) -> list[str]:
        """Since midnight: who closes the drawer in the evening counts the day."""
        said = self._frame.words
        try:
            happened = await self._find_payments(*day_bounds_ms(now.date(), self._frame.zone))
        except (JournalUnavailableError, UnreadableEventError):
            return [said.say("handover.taken_unread")]
        return [
            said.say(
                "handover.taken_by",
                payment=said.say(f"pay.{payment}"),
                price=self._frame.price(sum(of.values())),
                names=", ".join(f"{name} {self._frame.price(amount)}" for name, amount in of.items()),
            )
            for payment, of in takings_of(one.event for one in happened).items()
        ]

    def _dues(self, bay: BayDocument) -> list[str]:
        said, session = self._frame.words, bay.session
        texts = []
        for due in bay.dues:
            price = self._frame.price(due.amount)
            text = said.say("handover.due", bay=bay.number, price=price, session=due.session_id)
            here = session is not None and session.id == due.session_id
            player = session.player if session is not None and here else None
            texts.append(f"{text}, {player}" if player else text)
        return texts

    def _unknown(self, bay: BayDocument) -> list[str]:
        return [
            self._frame.words.say("handover.balls", bay=bay.number, count=one.balls, session=one.session_id)
            for one in bay.balls.unsettled
        ]

    def _warnings(self, warnings: Sequence[StatusWarning]) -> list[str]:
        """A machine or a reader that several bays share is one thing to see to, since the first of them."""
        said, now_ms = self._frame.words, self._clock.now().wall_ms
        bays: dict[str, list[str]] = {}
        since: dict[str, str] = {}
        for warning in warnings:
            text = said.warning(warning.code, warning.text, warning.facts)
            at = bays.setdefault(text, [])
            at += [] if warning.bay is None else [warning.bay]
            if warning.since is not None:
                since[text] = min(warning.since, since.get(text, warning.since))
        lines = []
        for text, at in bays.items():
            line = text
            if len(at) > 1:
                line = said.say("handover.at", bays=", ".join(at), text=text)
            elif at:
                line = said.say("range.at", bay=at[0], text=text)
            if text in since:
                line += f" ({said.say('bay.since', time=self._frame.moment(since[text], now_ms))})"
            lines.append(line)
        return lines

    def _closed(self, bay: BayDocument) -> str:
        said = self._frame.words
        text = said.say("handover.bay", bay=bay.number, state=said.say(f"phase.{bay.phase.value}"))
        if bay.kept is None:
            return text
        now_ms, since = self._clock.now().wall_ms, bay.kept.since
        when = None if since is None else said.say("bay.since", time=self._frame.moment(since, now_ms))
        return ", ".join(part for part in (text, when, bay.kept.reason) if part)

    async def _parked(self) -> list[str]:
        said = self._frame.words
        try:
            items = await self._items()
        except JournalUnavailableError:
            return [said.say("handover.unread")]
        return [
            said.say(
                "handover.item",
                bay=item.bay,
                kind=said.say(f"sent.{item.kind}") if said.has(f"sent.{item.kind}") else item.kind,
                session=item.session_id,
                reason=item.reason,
            )
            for item in items
            if item.parked
        ]
