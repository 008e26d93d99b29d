"""Which pages to read, so that no booking is missed and a long history is not read at every poll.

The lists of sessions are paged from 1 and only grow at one end, but neither the order nor a total is
documented, and a server may hold fewer to a page than we ask for. So the sweep learns, and keeps what it
has learned as `PagingFacts` from one sweep to the next:

- the page size: what a page holds that has another page behind it;
- the order, from the ids: newest first or oldest first, or none;
- the last page, to find the newest end again where the oldest come first (from there on by doubling steps,
  then by halving).

It reads from the newest end until a whole page is `enough` (for bookings: holds only settled sessions).
Everything is read once a day, where no order holds, and after an anomaly: at once where a page contradicts
what was learned, with the next sweep where ids run backwards. An anomaly proves nothing but that we know
less than we thought. The end of a list is a page that holds less than a page, or nothing that was not seen
before: a server that ignores `page` must not be read for ever.

The list of sessions says neither when nor whether a session was released: live ones are read again by id.

`SessionSweep` is the plan, without I/O; `sweep` drives it.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import assert_never

from .model import ServerSession, SessionPage, SkippedItem

DAY_MS = 24 * 3600 * 1000
PAGES_LIMIT = 10_000  # a million sessions; a sweep that wants more has lost its way

_TELLING = 4  # fewer ids than this are no contradiction: two neighbours may stand in any order

# (page, whole) → the older ones need not be read. `whole` False: a page at an end of the list.
Enough = Callable[[SessionPage, bool], bool]
PageReader = Callable[[int, int], Awaitable[SessionPage]]


class Order(StrEnum):
    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"
    NONE = "none"


class Anomaly(StrEnum):
    """Each leads to a full sweep."""

    IDS_BACKWARDS = "ids_backwards"  # the newest session is older than one that was seen before
    SHRUNK = "shrunk"  # pages are gone, or hold less than they did
    ORDER = "order"  # a page contradicts the order that was learned
    UNREADABLE = "unreadable"  # not one session of a page could be read: another format, no use going on
    PAGES_LIMIT = "pages_limit"  # cut off: the result is not all


@dataclass(frozen=True, slots=True)
class PagingFacts:
    """What is known of one list of one server. A new one knows nothing and is right."""

    per_page: int = 100  # what we ask for
    page_size: int | None = None  # what a full page holds
    order: Order | None = None
    last_page: int | None = None  # where the newest end was, if the oldest come first
    newest_id: int | None = None
    full_at_ms: int | None = None
    suspect: bool = False  # an anomaly, and no full sweep since

    def wants_full(self, now_ms: int, every_ms: int | None = DAY_MS) -> bool:
        """`every_ms` None: never for its age. The first contact is quick, the sweep after it full."""
        if self.order is None:
            return False
        if self.suspect or self.order is Order.NONE:
            return True
        if every_ms is None:
            return False
        return self.full_at_ms is None or not 0 <= now_ms - self.full_at_ms < every_ms


@dataclass(frozen=True, slots=True)
class SweepResult:
    """By id, oldest first. What is missing here proves nothing (see `full` and `anomalies`)."""

    sessions: tuple[ServerSession, ...]
    skipped: tuple[SkippedItem, ...]
    pages_read: int
    full: bool  # every page there is
    anomalies: tuple[Anomaly, ...]


def only_settled(settled: Callable[[ServerSession], bool]) -> Enough:
    """Bookings: stop at a whole page of sessions that need no more care, none of them unreadable."""

    def enough(page: SessionPage, whole: bool) -> bool:
        return whole and not page.skipped and all(settled(session) for session in page.sessions)

    return enough


def reaches(session_id: int) -> Enough:
    """One session: stop at the page that holds it, or one older than it."""
    return lambda page, _whole: any(session.id <= session_id for session in page.sessions)


class _Phase(StrEnum):
    WALK = "walk"  # from page 1 to the end: the order is not known, or everything is wanted
    DOWN = "down"  # newest first: from page 1 until it is enough
    LOCATE = "locate"  # oldest first: where is the last page?
    UP = "up"  # oldest first: from the last page back until it is enough


class SessionSweep:
    """One sweep: read `next_page`, hand it to `take`, until `next_page` is None."""

    def __init__(
        self,
        facts: PagingFacts,
        *,
        now_ms: int,
        enough: Enough,
        full_every_ms: int | None = DAY_MS,
        pages_limit: int = PAGES_LIMIT,
    ) -> None:
        self.next_page: int | None = 1
        self._before = facts
        self._now_ms = now_ms
        self._enough = enough
        self._pages_limit = pages_limit
        self._full = facts.wants_full(now_ms, full_every_ms)
        self._size = None if self._full else facts.page_size
        self._order = None if self._full else facts.order
        self._pages: dict[int, SessionPage] = {}
        self._sessions: dict[int, ServerSession] = {}
        self._anomalies: list[Anomaly] = []
        self._taken = 0
        self._read_all = False
        self._last: int | None = None  # the page at the newest end where the oldest come first
        self._end_search = _EndSearch()
        match self._order:
            case Order.NEWEST_FIRST:
                self._phase = _Phase.DOWN
            case Order.OLDEST_FIRST:
                self._phase = _Phase.LOCATE
                self.next_page = facts.last_page or 1
            case _:
                self._phase = _Phase.WALK

    def take(self, page: SessionPage) -> None:
        """The page that was asked for."""
        assert page.number == self.next_page, "another page was asked for"
        repeated = bool(page.sessions) and all(session.id in self._sessions for session in page.sessions)
        beyond = repeated or page.item_count == 0
        self._taken += 1
        self._pages[page.number] = page
        self._sessions.update((session.id, session) for session in page.sessions)
        if self._size is None and not beyond:
            self._learn_size(page)
        if not beyond and not page.sessions:
            self._stop(Anomaly.UNREADABLE)
        elif self._contradicts(page):
            self._start_over(Anomaly.ORDER)
        elif self._taken >= self._pages_limit:
            self._stop(Anomaly.PAGES_LIMIT)
        else:
            match self._phase:
                case _Phase.WALK:
                    self._walk(page, beyond)
                case _Phase.DOWN:
                    self._go_down(page, beyond)
                case _Phase.LOCATE:
                    self._locate(page, beyond)
                case _Phase.UP:
                    self._go_up()
                case _:
                    assert_never(self._phase)

    def result(self) -> SweepResult:
        assert self.next_page is None, "the sweep has not ended"
        return SweepResult(
            sessions=tuple(self._sessions[key] for key in sorted(self._sessions)),
            skipped=tuple(item for page in self._pages.values() for item in page.skipped),
            pages_read=self._taken,
            full=self._read_all,
            anomalies=tuple(self._all_anomalies()),
        )

    def facts(self) -> PagingFacts:
        """What to begin the next sweep with."""
        assert self.next_page is None, "the sweep has not ended"
        newest_id = max(self._sessions, default=None if self._read_all else self._before.newest_id)
        return replace(
            self._before,
            page_size=self._size,
            order=self._order or find_order(self._pages.values()) or self._before.order,
            last_page=self._last,
            newest_id=newest_id,
            full_at_ms=self._now_ms if self._read_all else self._before.full_at_ms,
            # After a full sweep we know all there is to know, however odd it was.
            suspect=not self._read_all and (self._before.suspect or bool(self._all_anomalies())),
        )

    def _walk(self, page: SessionPage, beyond: bool) -> None:
        if beyond:
            self._last = page.number - 1
            self._end_of_list()
        elif self._full or not self._is_whole(page):
            self.next_page = page.number + 1
        else:
            self._order = find_order(self._pages.values())
            if self._order is Order.NEWEST_FIRST:
                self._phase = _Phase.DOWN
                self._go_down(page, beyond)
            elif self._order is Order.OLDEST_FIRST:
                self._phase = _Phase.LOCATE
                self._locate(page, beyond)
            else:
                self._full = True
                self.next_page = page.number + 1

    def _go_down(self, page: SessionPage, beyond: bool) -> None:
        if beyond:
            self._end_of_list()
        elif self._is_short(page) and page.number == 1:
            self._start_over(Anomaly.SHRUNK)  # there was more than a page of this size
        elif self._is_short(page):
            self._end_of_list()
        elif self._enough(page, self._is_whole(page)):
            self.next_page = None
        else:
            self.next_page = page.number + 1

    def _locate(self, page: SessionPage, beyond: bool) -> None:
        if beyond and page.number == self._before.last_page:
            self._anomalies.append(Anomaly.SHRUNK)
        self._end_search.saw(page.number, beyond=beyond, short=self._is_short(page))
        self._last = self._end_search.last
        if self._last is None:
            self.next_page = self._end_search.next_page()
        else:
            self._phase = _Phase.UP
            self._go_up()

    def _go_up(self) -> None:
        """Down the page numbers from the last one; some of them were read on the way."""
        assert self._last is not None
        for number in range(self._last, 0, -1):
            page = self._pages.get(number)
            if page is None:
                self.next_page = number
                return
            if _ids(page) == _ids(self._pages[self._last]):
                self._last = number  # a server that answers the last page for all beyond it
            elif self._is_short(page):
                self._start_over(Anomaly.SHRUNK)  # pages hold less than they did: where is the end?
                return
            if self._enough(page, self._is_whole(page)):
                self.next_page = None
                return
        self._end_of_list()

    def _learn_size(self, page: SessionPage) -> None:
        before = self._pages.get(page.number - 1)
        if before is not None and before.item_count:
            self._size = before.item_count  # a page with another behind it is a full one
        elif page.item_count >= page.per_page:
            self._size = page.item_count

    def _contradicts(self, page: SessionPage) -> bool:
        return (
            self._order is not None
            and len(page.sessions) >= _TELLING
            and find_order([page]) is not self._order
        )

    def _is_whole(self, page: SessionPage) -> bool:
        return self._size is not None and page.item_count >= self._size

    def _is_short(self, page: SessionPage) -> bool:
        return self._size is not None and page.item_count < self._size

    def _end_of_list(self) -> None:
        self.next_page = None
        self._read_all = True

    def _start_over(self, anomaly: Anomaly) -> None:
        """What was learned does not hold: read everything, now."""
        self._anomalies.append(anomaly)
        self._phase, self._full, self._order, self._size = _Phase.WALK, True, None, None
        self._pages.clear()
        self._sessions.clear()
        self.next_page = 1

    def _stop(self, anomaly: Anomaly) -> None:
        self.next_page = None
        self._anomalies.append(anomaly)

    def _all_anomalies(self) -> list[Anomaly]:
        before = self._before.newest_id
        if before is None or self._anomalies:
            return self._anomalies
        if not self._sessions:
            return [Anomaly.SHRUNK]
        return [Anomaly.IDS_BACKWARDS] if max(self._sessions) < before else []


class _EndSearch:
    """Which page is the last? By doubling steps until one is beyond it, then by halving."""

    def __init__(self) -> None:
        self.last: int | None = None  # 0: there is no page at all
        self._there = 0
        self._beyond: int | None = None
        self._step = 1

    def saw(self, number: int, *, beyond: bool, short: bool) -> None:
        if beyond:
            self._beyond = number
        elif short:
            self.last = number
        else:
            self._there = number
        if self._beyond == self._there + 1:
            self.last = self._there

    def next_page(self) -> int:
        if self._beyond is not None:
            return (self._there + self._beyond) // 2
        number = self._there + self._step
        self._step *= 2
        return number


def _ids(page: SessionPage) -> list[int]:
    return [session.id for session in page.sessions]


def find_order(pages: Iterable[SessionPage]) -> Order | None:
    """None: too little to tell. A few ids out of place (one in ten) are no other order."""
    ids = list(dict.fromkeys(number for page in pages for number in _ids(page)))
    rises = sum(1 for first, second in pairwise(ids) if first < second)
    falls = len(ids) - 1 - rises
    if len(ids) < 2:
        return None
    if min(rises, falls) * 10 > max(rises, falls):
        return Order.NONE
    return Order.OLDEST_FIRST if rises > falls else Order.NEWEST_FIRST


async def sweep(
    read_page: PageReader,
    facts: PagingFacts,
    *,
    now_ms: int,
    enough: Enough,
    full_every_ms: int | None = DAY_MS,
) -> tuple[SweepResult, PagingFacts]:
    """One sweep of `CentralClient.list_sessions` or `.history`, each with facts of its own.

    `now_ms`: any clock that goes on between sweeps. An error of a page is the sweep's: keep the old facts.
    """
    plan = SessionSweep(facts, now_ms=now_ms, enough=enough, full_every_ms=full_every_ms)
    while plan.next_page is not None:
        plan.take(await read_page(plan.next_page, facts.per_page))
    return plan.result(), plan.facts()


async def find_session(
    read_page: PageReader, facts: PagingFacts, session_id: int, *, now_ms: int
) -> tuple[ServerSession | None, PagingFacts]:
    """One session out of the history, for what `get_session` does not carry (extensions, release)."""
    result, learned = await sweep(
        read_page, facts, now_ms=now_ms, enough=reaches(session_id), full_every_ms=None
    )
    return next((session for session in result.sessions if session.id == session_id), None), learned
