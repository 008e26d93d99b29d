"""Learns from the central server what is booked, changed, cancelled and moved, by polling.

The history is read from its newest end, the live sessions again by id for the game and the players; one that
the list does not show is looked for on its own page. An absence, a 404 or an empty list proves nothing and is
reported as a contradiction. One that is over at any bay of this PC is not told to another. What a row becomes
is in `session_news`; where one is told that the server shows at another bay, in `shown_moves`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bayd.clients.central import (
    Anomaly,
    CapabilityMissing,
    CentralClient,
    CentralError,
    CentralMalformed,
    CentralRefused,
    CentralUnavailable,
    PagingFacts,
    ServerSession,
    only_settled,
    sweep,
)
from bayd.core import inputs as i
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.least_time import LeastTime
from bayd.reconcile.live_sessions import Live, all_live, find_left, find_live, is_over_here
from bayd.reconcile.session_news import SessionNews, is_over
from bayd.reconcile.shown_moves import ShownMoves
from bayd.reconcile.telling import tell
from bayd.runtime.range import Range

_BACK_OFF_MAX_S = 60.0
_PAGES_UNANSWERED = 2  # of sessions, in one look: more would only cost time, and the list is enough


@dataclass(frozen=True, slots=True)
class CentralView:
    """What the status shows of the connection."""

    online: bool
    reason: str
    ignored_old: int  # sessions of the past that the list still shows as live


class BookingPoller:
    """`run` is a root task; `poke` makes it look at once, `heard` ends a wait for a server that was away."""

    def __init__(
        self,
        client: CentralClient,
        bays: Range,
        news: SessionNews,
        moves: ShownMoves,
        least_time: LeastTime,
        *,
        is_walk_in: Callable[[ServerSession], bool],
        is_selling: Callable[[], bool],
        poll_s: float,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        """`is_walk_in`: a session that a bay of ours sold. `is_selling`: a sale is under way."""
        self._client = client
        self._bays = bays
        self._news = news
        self._moves = moves
        self._least_time = least_time
        self._is_walk_in = is_walk_in
        self._is_selling = is_selling
        self._poll_s = poll_s
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._facts = PagingFacts()
        self._unanswered = 0  # pages of sessions, in this look
        self._poked = asyncio.Event()
        self._heard = asyncio.Event()
        self.view = CentralView(online=False, reason="not asked yet", ignored_old=0)

    def poke(self) -> None:
        self._poked.set()
        self._heard.set()

    def heard(self) -> None:
        """The server carried something out: it is there."""
        self._heard.set()

    async def run(self) -> None:
        await self._bays.ready.wait()
        failures = 0
        while True:
            self._poked.clear()
            self._heard.clear()
            try:
                ignored = await self.poll()
                failures = 0
                self._show(online=True, reason="", ignored_old=ignored)
            except CentralError as error:
                failures += 1
                self._show(online=False, reason=str(error), ignored_old=self.view.ignored_old)
            wait_s = min(
                self._poll_s * 2 ** min(max(0, failures - 1), 10), max(self._poll_s, _BACK_OFF_MAX_S)
            )
            spread = 0.8 + 0.4 * self._randomness.jitter()
            # One whose list alone fails is heard all the time, and still not asked more often than ever.
            if not await _within(self._poll_s * spread, self._poked):
                await _within((wait_s - self._poll_s) * spread, self._heard)

    async def poll(self) -> int:
        """One look; answers how many old sessions were ignored. Raises CentralError."""
        before = dict(all_live(self._bays))
        self._moves.forget_all_but(before.values())
        self._unanswered = 0
        result, self._facts = await sweep(
            self._client.history,
            self._facts,
            now_ms=self._clock.now().boot_ms,
            enough=only_settled(self._news.is_settled),
        )
        rows = {str(row.id): row for row in result.sessions}
        self._least_time.list_ends_with(result.sessions[-1] if result.sessions else None)
        await self._report_anomalies(
            before, result.anomalies, max((row.id for row in rows.values()), default=0)
        )
        ignored = 0
        # What is over first: it stops play at once, and frees bays that others are moved to.
        for server_id, row in sorted(rows.items(), key=lambda one: not is_over(one[1])):
            if server_id not in before and self._news.is_settled(row):
                ignored += not is_over(row) and row.bay_number in self._bays.bays
                continue
            live = find_live(self._bays, server_id)
            if live is not None:
                await self._tell_live(live, row)
            elif not self._news.is_settled(row):
                left = find_left(self._bays, server_id)
                if left is None:
                    await self._tell_new(row)
                else:  # the desk has moved it on from there: it is no booking
                    await self._moves.place(left, row.bay_number)
        for server_id in before.keys() - rows.keys():
            live = find_live(self._bays, server_id)
            if live is not None:
                await self._look_again(server_id, live)
        return ignored

    # What is told

    async def _tell_live(self, live: Live, row: ServerSession) -> None:
        there = await self._moves.place(live, row.bay_number)
        if there is None:
            if row.bay_number in self._bays.bays and not self._news.is_settled(row):
                await self._tell_new(row)
            return
        await self._news.tell(there.bay, there.session_id, row, await self._detail(there, row))
        if not there.plays:
            await self._news.keep_pin(there.bay, there.session_id, row)

    async def _tell_new(self, row: ServerSession) -> None:
        if is_over_here(self._bays, row):
            return
        if self._is_walk_in(row):
            if not self._is_selling():
                text = "The server shows a walk-in that no bay of this PC knows to have sold."
                fact = i.ServerContradicted("walk_in_unclaimed", str(row.id), text)
                await tell(self._bays, row.bay_number, fact, self._log)
            return
        await self._news.tell_new(row, await self._detail(None, row))

    async def _detail(self, live: Live | None, row: ServerSession) -> ServerSession:
        """The session's own page, for the game and the players. The history alone has to do without it."""
        page = None if is_over(row) else await self._page(row.id, live)
        return row if page is None else page

    async def _look_again(self, server_id: str, live: Live) -> None:
        """Live here and not in what was read: only its own page can tell more."""
        row = await self._page(int(server_id), live)
        there = None if row is None else await self._moves.place(live, row.bay_number)
        if row is not None and there is not None:  # else its new bay learns it from the list
            await self._news.tell(there.bay, there.session_id, row, row)

    async def _page(self, server_id: int, live: Live | None) -> ServerSession | None:
        """The page of one session. One that cannot be had costs that session its news, and no other."""
        if self._unanswered >= _PAGES_UNANSWERED:
            return None
        try:
            return await self._client.get_session(server_id)
        except CentralRefused:
            if live is not None:
                await self._contradict(live)
        except CentralUnavailable as error:
            self._unanswered += 1
            self._log.warning("session_page_not_read", session=str(server_id), reason=str(error))
        except (CentralMalformed, CapabilityMissing) as error:
            self._log.debug("session_page_not_read", session=str(server_id), reason=str(error))
        return None

    async def _contradict(self, live: Live) -> None:
        text = "The server does not know a session that is live here."
        fact = i.ServerContradicted("missing_at_server", live.session_id, text)
        await tell(self._bays, live.bay, fact, self._log)

    async def _report_anomalies(
        self, live: Mapping[str, Live], anomalies: tuple[Anomaly, ...], newest_id: int
    ) -> None:
        """To whatever was live before the list was read."""
        for anomaly in anomalies:
            self._log.warning("central_list_odd", anomaly=anomaly.value)
        for server_id, one in live.items():
            # After a restart nobody remembers the newest number but by what is live.
            if Anomaly.IDS_BACKWARDS in anomalies or 0 < newest_id < int(server_id):
                text = "The server's session numbers run backwards."
                fact = i.ServerContradicted("ids_backwards", one.session_id, text)
                await tell(self._bays, one.bay, fact, self._log)
            if Anomaly.SHRUNK in anomalies:
                text = "The server's list of sessions has become shorter, or empty."
                fact = i.ServerContradicted("list_shrunk", one.session_id, text)
                await tell(self._bays, one.bay, fact, self._log)

    def _show(self, *, online: bool, reason: str, ignored_old: int) -> None:
        if online != self.view.online or (reason and not self.view.reason):
            log = self._log.info if online else self._log.warning
            log("central_online" if online else "central_unreachable", reason=reason)
        self.view = CentralView(online, reason, ignored_old)


async def _within(wait_s: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            return await event.wait()
    except TimeoutError:
        return False
