"""`GET /api/v1/events`: what happens, as it happens (server-sent events, WHATWG HTML section 9.2).

A stream opens with the event `bays`, all states at once, or, asked with `Last-Event-ID`, goes on behind that
event without a gap. Every message without a name is one event of the journal with its bay's present state:
whoever draws the newest state of each bay is right, however much came at once.

What a bay's document says beside its events (a place in a queue, low latency, players, games, prices), and
what concerns the whole range, belongs to many owners, none of whom has to know of viewers: twice in a second
it is compared with what was told last, and what differs is told: `bays`, of those bays alone, and `range`.

`alive`, at the beginning and every few seconds, says what the clock alone has moved: a viewer's clock stands
still while its machine sleeps, the daemon's does not.

Each viewer has a bounded buffer. One that stops reading is cut off and slows nobody; it comes back with its
last id and misses nothing.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from aiohttp import web

from bayd.core import events as e
from bayd.core.inputs import Role
from bayd.journal import JournalError, Recorded
from bayd.ports import Log
from bayd.runtime.range import Range
from bayd.web.access import Caller
from bayd.web.browsers import WebSession
from bayd.web.documents import (
    AliveDocument,
    BayDocument,
    BaysDocument,
    EventDocument,
    PayoutView,
    RangeNewsDocument,
)
from bayd.web.feed import EventFeed
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Parameter, Route
from bayd.web.views import BayViews, rfc3339

LAST_ID_HEADER = "Last-Event-ID"
_ID_PATTERN = "^[0-9]{1,18}$"
_SEND_BUFFER_BYTES = 64 * 1024  # in the kernel; what a viewer does not read is to show soon
_RETRY_MS = 2_000
_TOLD_AT_ONCE = 25  # of what a viewer has missed: others have their turn in between

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that gathers answers would hold the events back
}


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What viewers may take."""

    buffer: int = 256  # messages of one viewer that wait to be written
    viewers: int = 256
    viewers_per_caller: int = 8
    heartbeat_s: float = 5.0  # a screen that hears nothing for twice as long calls itself stale
    stall_s: float = 30.0  # a write that takes longer has nobody who reads
    look_s: float = 0.5  # between two looks at what no event tells


@dataclass(eq=False, slots=True)
class _Viewer:
    request: web.Request
    caller: Caller
    bays: frozenset[str]
    whole_range: bool = False  # it watches, from its opening on
    buffer: deque[bytes] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    def end(self) -> None:
        self.over = True
        self.changed.set()

    def cut_off(self) -> None:
        """At once: a write may be under way that nobody reads."""
        self.end()
        self.buffer.clear()
        if self.request.transport is not None:
            self.request.transport.abort()


class EventStreams:
    """All viewers. `close` before the listener stops, or their streams would hold it."""

    def __init__(
        self,
        bays: Range,
        feed: EventFeed,
        *,
        views: BayViews,
        range_news: Callable[[], RangeNewsDocument],
        log: Log,
        limits: StreamLimits | None = None,
    ) -> None:
        """`run` is a root task."""
        self._bays = bays
        self._feed = feed
        self._views = views
        self._range_news = range_news
        self._log = log
        self._limits = limits or StreamLimits()
        self._viewers: set[_Viewer] = set()
        self._closed = False
        self._told: dict[str, tuple[object, ...]] = {}  # of each bay what no event tells
        self._told_seq: dict[str, int] = {}  # since when it is so: behind which event
        self._told_range = ""
        self.cut_off = 0  # viewers that stopped reading
        feed.listen(self._publish)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def follows(self, session_id: str) -> bool:
        """Whether this web session has a stream open."""
        return any(viewer.caller.web_session == session_id for viewer in self._viewers)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/events",
                self.stream,
                "What happens at the bays, as it happens",
                {
                    HTTPStatus.OK: Answer(
                        "Server-sent events. `bays` (data: BaysDocument) opens a stream that continues no"
                        " other, and comes when something is new at bays that is no event; `range`"
                        " (RangeNewsDocument) comes at the beginning and when it changes, to who watches all"
                        " bays; `alive` (AliveDocument) every few seconds, whatever happens. Messages without"
                        " a name have EventDocument as their data.",
                        media_types=("text/event-stream",),
                    )
                },
                roles=frozenset({Role.SCREEN, Role.STAFF, Role.TECHNICIAN}),
                refusals={
                    HTTPStatus.NOT_FOUND: "There is no such bay",
                    HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong",
                    HTTPStatus.SERVICE_UNAVAILABLE: "The daemon is stopping",
                },
                parameters=(
                    Parameter("bay", "query", "Events of this bay alone; a screen has its own only."),
                    Parameter(LAST_ID_HEADER, "header", "Go on behind this event.", _ID_PATTERN),
                ),
                tag="bays",
                is_stream=True,
            )
        ]

    def session_ended(self, session: WebSession) -> None:
        """The streams of a browser that was put out end at once."""
        for viewer in tuple(self._viewers):
            if viewer.caller.web_session == session.id:
                self._viewers.discard(viewer)
                viewer.cut_off()

    def close(self) -> None:
        """Every stream ends behind what it was given; no other begins."""
        self._closed = True
        for viewer in self._viewers:
            viewer.end()

    async def stream(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        bays = self._bays_of(request, caller)
        after = _last_id(request)
        self._admit(caller)
        viewer = _Viewer(request, caller, bays)
        self._viewers.add(viewer)
        begin_seq = self._feed.seq  # what comes later is in the buffer
        response = web.StreamResponse(headers=_HEADERS)
        try:
            _bound(request)
            await response.prepare(request)
            await self._write(viewer, response, f"retry: {_RETRY_MS}\n\n".encode())
            if after is None or not await self._feed.knows(after):
                self._tell_news(bays)  # so that what is told now is what the next look compares with
                await self._write(viewer, response, self._states(bays, begin_seq, viewer))
            else:
                await self._catch_up(viewer, response, after, begin_seq)
            if caller.bay is None and not request.query:
                news = self._tell_range_news()  # to those who watch already
                viewer.whole_range = True
                await self._write(viewer, response, _range_message(news))
            await self._follow(viewer, response)
        except (ConnectionError, JournalError) as error:
            self._log.debug("event_stream_ended", caller=caller.kind, error=type(error).__name__)
        finally:
            self._viewers.discard(viewer)
        return response

    async def _catch_up(self, viewer: _Viewer, response: web.StreamResponse, after: int, until: int) -> None:
        begin = after
        bay = next(iter(viewer.bays)) if len(viewer.bays) == 1 else None
        while page := await self._feed.read(after, until, bay):
            for first in range(0, len(page), _TOLD_AT_ONCE):
                part = page[first : first + _TOLD_AT_ONCE]
                self._tell_news({recorded.bay for recorded in part} & viewer.bays)
                texts = [self._message(recorded, viewer) for recorded in part if recorded.bay in viewer.bays]
                await self._write(viewer, response, b"".join(texts))
                await asyncio.sleep(0)
            after = page[-1].seq
        self._tell_news(viewer.bays)
        if untold := {number for number in viewer.bays if self._told_seq[number] >= begin}:
            await self._write(viewer, response, self._states(untold, until, viewer))

    async def _follow(self, viewer: _Viewer, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        alive_at = loop.time()
        while viewer.buffer or not viewer.over:
            data = b"".join(viewer.buffer)
            viewer.buffer.clear()
            viewer.changed.clear()
            if loop.time() >= alive_at:
                data += self._alive(viewer)
                alive_at = loop.time() + self._limits.heartbeat_s
            if data:
                await self._write(viewer, response, data)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(alive_at):
                    await viewer.changed.wait()

    async def _write(self, viewer: _Viewer, response: web.StreamResponse, data: bytes) -> None:
        """Raises ConnectionError, also when nobody reads."""
        try:
            async with asyncio.timeout(self._limits.stall_s):
                await response.write(data)
        except TimeoutError:
            self._cut_off(viewer)
            raise ConnectionAbortedError("nobody reads") from None

    async def run(self) -> None:
        """What is new without an event is told once for each look, however often it changed between two."""
        for number in self._bays.bays:
            self._is_news(number)
        while True:
            await asyncio.sleep(self._limits.look_s)
            if self._viewers:
                try:
                    await self.look()
                except Exception as error:  # noqa: BLE001 # what is shown late ends nobody's play
                    self._log.error("stream_look_failed", error=type(error).__name__, exc_info=True)

    async def look(self) -> None:
        for number in tuple(self._bays.bays):
            if self._tell_news([number]):
                await asyncio.sleep(0)  # much may be new at once: others have their turn in between
        if any(viewer.whole_range for viewer in self._viewers):
            self._tell_range_news()

    def _tell_news(self, numbers: Iterable[str]) -> bool:
        news = [number for number in numbers if self._is_news(number)]
        for number in news:
            self._tell_bay(number, partial(self._states, [number], self._feed.seq))
        return bool(news)

    def _tell_range_news(self) -> RangeNewsDocument:
        news = self._range_news()
        # What waits for a server that answers is gone in a moment, and shown nowhere.
        quiet = {"oldest_s", "outbox"} if news.central.online else {"oldest_s"}
        still = news.model_dump_json(exclude={"central": quiet})
        if still != self._told_range:
            self._told_range = still
            message = _range_message(news)
            for viewer in [viewer for viewer in self._viewers if viewer.whole_range]:
                self._give(viewer, message)
        return news

    def _is_news(self, number: str) -> bool:
        """Whether something that no event tells is otherwise than it was told."""
        now = self._views.told_by_no_event(self._bays.bays[number].bay)
        if self._told.get(number) == now:
            return False
        self._told[number], self._told_seq[number] = now, self._feed.seq
        return True

    def _publish(self, recorded: Recorded[e.Event]) -> None:
        if recorded.bay not in self._bays.bays:
            return
        self._is_news(recorded.bay)  # it goes with the event
        self._tell_bay(recorded.bay, partial(self._message, recorded))

    def _tell_bay(self, number: str, make: Callable[[_Viewer], bytes]) -> None:
        messages: dict[tuple[bool, bool], bytes] = {}
        for viewer in tuple(self._viewers):
            if number not in viewer.bays:
                continue
            sight = (viewer.caller.sees_names, viewer.caller.sees_bookings)
            if sight not in messages:
                messages[sight] = make(viewer)
            self._give(viewer, messages[sight])

    def _give(self, viewer: _Viewer, message: bytes) -> None:
        if viewer.over:
            return
        if len(viewer.buffer) >= self._limits.buffer:
            self._cut_off(viewer)
            return
        viewer.buffer.append(message)
        viewer.changed.set()

    def _cut_off(self, viewer: _Viewer) -> None:
        self.cut_off += 1
        self._viewers.discard(viewer)
        viewer.cut_off()
        self._log.warning("event_stream_cut_off", caller=viewer.caller.kind)

    def _message(self, recorded: Recorded[e.Event], viewer: _Viewer) -> bytes:
        document = EventDocument(
            seq=recorded.seq,
            bay=recorded.bay,
            kind=type(recorded.event).__name__,
            at=rfc3339(recorded.wall_ms),
            clock_synchronised=recorded.synchronised,
            state=self._state(recorded.bay, viewer),
            payout=_payout(recorded.event),
        )
        return f"id: {recorded.seq}\ndata: {document.model_dump_json()}\n\n".encode()

    def _states(self, numbers: Collection[str], seq: int, viewer: _Viewer) -> bytes:
        bays = {number: self._state(number, viewer) for number in self._bays.bays if number in numbers}
        document = BaysDocument(seq=seq, bays=bays)
        return f"id: {seq}\nevent: bays\ndata: {document.model_dump_json()}\n\n".encode()

    def _alive(self, viewer: _Viewer) -> bytes:
        """A message, as a page is not told of comments: who hears nothing for long is cut off."""
        moving = {number: self._views.moving(self._bays.bays[number].bay) for number in sorted(viewer.bays)}
        document = AliveDocument(now=self._views.now(), bays=moving)
        return f"event: alive\ndata: {document.model_dump_json()}\n\n".encode()

    def _state(self, number: str, viewer: _Viewer) -> BayDocument:
        caller = viewer.caller
        bay = self._bays.bays[number].bay
        return self._views.show(bay, names=caller.sees_names, bookings=caller.sees_bookings)

    def _bays_of(self, request: web.Request, caller: Caller) -> frozenset[str]:
        """Raises ProblemError."""
        for name in request.query:
            if name != "bay":
                text = "The only parameter is `bay`."
                raise ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text, name))
        wanted = request.query.getall("bay", [])
        for number in wanted:
            if number not in self._bays.bays:
                text = "There is no such bay here."
                raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_bay", text, "bay"))
            caller.must_see(number)
        return frozenset(wanted or (number for number in self._bays.bays if caller.sees(number)))

    def _admit(self, caller: Caller) -> None:
        """Raises ProblemError."""
        if self._closed:
            text = "The daemon is stopping: come again."
            raise ProblemError(
                Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", text, retry_after_s=_RETRY_MS // 1000)
            )
        own = sum(viewer.caller.name == caller.name for viewer in self._viewers)
        if own >= self._limits.viewers_per_caller or len(self._viewers) >= self._limits.viewers:
            text = "Too many streams are open: close one."
            raise ProblemError(
                Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_streams", text, retry_after_s=5)
            )


def _last_id(request: web.Request) -> int | None:
    """Raises ProblemError."""
    text = request.headers.get(LAST_ID_HEADER, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "An id of this stream.", LAST_ID_HEADER)
        )
    return int(text)


def _bound(request: web.Request) -> None:
    """A machine that is gone, or reads nothing, is to be noticed in seconds."""
    transport = request.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def _range_message(news: RangeNewsDocument) -> bytes:
    return f"event: range\ndata: {news.model_dump_json()}\n\n".encode()


def _payout(event: e.Event) -> PayoutView | None:
    if not isinstance(event, e.PayoutClosed):
        return None
    return PayoutView(
        payout_id=event.payout_id,
        end=event.end,
        paid=event.paid,
        surplus=event.surplus,
        unknown=event.unknown,
        test=not event.session_id,
    )
