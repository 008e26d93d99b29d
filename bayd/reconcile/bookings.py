"""Learns from the central server what is booked, changed, cancelled and moved, by polling.

The history carries what decides (cancel, active, release, extensions, PIN); live sessions are read again
by id for the game and the players. What the server says is handed to the bays as it is; what it means is
decided there. An absence, a 404 or an empty list proves nothing and is reported as a contradiction.

A session is told to the bay where it plays, wherever the server shows it: a move at the server ends no
play. Where it was moved to another bay of this PC it is followed there, if that bay is free; else the two
contradict each other. One that is over at any bay of this PC is not told to another. A number that comes
again with a later time of creation is another session, as after the server was set up anew: it gets an id
of ours, by which the old one and the new are never taken for each other.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
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
from bayd.reconcile.games import GameCatalogue
from bayd.reconcile.pin_vault import PinVault
from bayd.reconcile.players import Players
from bayd.reconcile.telling import NOT_TAKEN, tell
from bayd.runtime.range import Range

_BACK_OFF_MAX_S = 60.0
_PAGES_UNANSWERED = 2  # of sessions, in one look: more would only cost time, and the list is enough
_LAG_MS = 30_000  # a list may be behind what its server has just answered
_SAME_TIME_MS = 60_000  # pages of a server may round a time differently
_DESK = i.Actor(i.Role.SYSTEM, "central")


@dataclass(frozen=True, slots=True)
class CentralView:
    """What the status shows of the connection."""

    online: bool
    reason: str
    ignored_old: int  # sessions of the past that the list still shows as live


@dataclass(frozen=True, slots=True)
class _Live:
    """A session that is live at a bay of ours."""

    bay: str
    session_id: str  # ours
    plays: bool


class BookingPoller:
    """`run` is a root task; `poke` makes it look at once."""

    def __init__(
        self,
        client: CentralClient,
        bays: Range,
        vault: PinVault,
        games: GameCatalogue,
        *,
        is_walk_in: Callable[[ServerSession], bool],
        is_selling: Callable[[], bool],
        is_moving: Callable[[str], bool],
        poll_s: float,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        """`is_walk_in`: a session that a bay of ours sold. `is_selling`: a sale is under way.
        `is_moving`: a move of this session was not told yet."""
        self._client = client
        self._bays = bays
        self._vault = vault
        self._games = games
        self.players = Players()
        self._is_walk_in = is_walk_in
        self._is_selling = is_selling
        self._is_moving = is_moving
        self._behind_since_ms: dict[str, int] = {}  # sessions that it still shows where they were
        self._poll_s = poll_s
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._facts = PagingFacts()
        self._newest_created_ms: int | None = None  # of the server's newest session
        self._unanswered = 0  # pages of sessions, in this look
        self._poked = asyncio.Event()
        self.view = CentralView(online=False, reason="not asked yet", ignored_old=0)

    def poke(self) -> None:
        self._poked.set()

    async def run(self) -> None:
        await self._bays.ready.wait()
        failures = 0
        while True:
            self._poked.clear()
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
            try:
                async with asyncio.timeout(wait_s * (0.8 + 0.4 * self._randomness.jitter())):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def poll(self) -> int:
        """One look; answers how many old sessions were ignored. Raises CentralError."""
        before = dict(self._all_live())
        playing = {live.session_id for live in before.values() if live.plays}
        self._behind_since_ms = {one: at for one, at in self._behind_since_ms.items() if one in playing}
        self._unanswered = 0
        result, self._facts = await sweep(
            self._client.history,
            self._facts,
            now_ms=self._clock.now().boot_ms,
            enough=only_settled(self._is_settled),
        )
        rows = {str(row.id): row for row in result.sessions}
        if result.sessions:
            self._newest_created_ms = result.sessions[-1].created_at_ms
        await self._report_anomalies(
            before, result.anomalies, max((row.id for row in rows.values()), default=0)
        )
        ignored = 0
        for server_id, row in rows.items():
            if server_id not in before and self._is_settled(row):
                ignored += not _is_over(row) and row.bay_number in self._bays.bays
                continue
            live = self._find_live(server_id)
            if live is not None:
                await self._tell_live(live, row)
            elif not self._is_settled(row):
                await self._tell_new(row)
        for server_id in before.keys() - rows.keys():
            live = self._find_live(server_id)
            if live is not None:
                await self._look_again(server_id, live)
        return ignored

    async def learn(self, number: str, server_id: str) -> str | None:
        """A session that the server has just confirmed at this bay, before a poll shows it.

        Our id of it, or None when it is not live here. Raises CentralError.
        """
        live = self._find_live(server_id)
        if live is None:
            row = await self._client.get_session(int(server_id))
            if row.bay_number == number and not self._is_over_here(row) and not row.cancel:
                # The answer does not say that it was not released; the server has just taken its PIN.
                said = self._said(await self._name(row), row, row, released=False)
                await tell(self._bays, number, said, self._log)
            live = self._find_live(server_id)
        return live.session_id if live is not None and live.bay == number else None

    async def is_active(self, number: str, session_id: str) -> bool:
        """What the server says now of a session of ours. Raises CentralError."""
        server_id = server_id_of(self._bays.get(number).numbers, session_id)
        return server_id is not None and (await self._client.get_session(server_id)).active

    # What is live here

    def _all_live(self) -> Iterator[tuple[str, _Live]]:
        """By the server's id; a walk-in that the server has not numbered yet is not among them."""
        for task in self._bays.bays.values():
            bay = task.bay
            ids = [(booking.session_id, False) for booking in bay.bookings]
            if bay.session is not None:
                ids.append((bay.session.session_id, True))
            for session_id, plays in ids:
                server_id = server_id_of(bay.numbers, session_id)
                if server_id is not None:
                    yield str(server_id), _Live(bay.number, session_id, plays)

    def _find_live(self, server_id: str) -> _Live | None:
        """Where it plays, if it plays."""
        found = [live for known, live in self._all_live() if known == server_id]
        return max(found, key=lambda live: live.plays, default=None)

    def _is_over_here(self, row: ServerSession) -> bool:
        return any(self._is_same_as_ended(row))

    def _is_same_as_ended(self, row: ServerSession) -> Iterator[bool]:
        """For each of our sessions of this number that are over: is this row that one? Of another the time is
        later; one that is earlier is the same time, written otherwise."""
        for task in self._bays.bays.values():
            bay = task.bay
            for session_id in {str(row.id), bay.numbers.get(str(row.id), str(row.id))}:
                if session_id in bay.ended_ids:
                    created_ms = bay.ended_created_ms.get(session_id, row.created_at_ms)
                    yield row.created_at_ms - created_ms <= _SAME_TIME_MS

    async def _name(self, row: ServerSession) -> str:
        """Our id of a session that is new here."""
        number_is_new = not list(self._is_same_as_ended(row))
        if number_is_new:
            return str(row.id)
        session_id = f"{row.id}-{row.created_at_ms // 1000}"
        self._log.warning("central_number_reused", bay=row.bay_number, session=session_id, number=row.id)
        await tell(self._bays, row.bay_number, i.ServerNumbered(session_id, str(row.id)), self._log)
        return session_id

    # What is told

    async def _tell_live(self, live: _Live, row: ServerSession) -> None:
        there = await self._place(live, row)
        if there is None:
            if row.bay_number in self._bays.bays and not self._is_settled(row):
                await self._tell_new(row)
            return
        live = there
        detail = await self._detail(live, row)
        released = row.released_at_ms is not None if row.released_known else None
        await tell(self._bays, live.bay, self._said(live.session_id, row, detail, released), self._log)
        if not live.plays:
            await self._keep_pin(live.bay, live.session_id, row)

    async def _place(self, live: _Live, row: ServerSession) -> _Live | None:
        """Where it is told; None: a booking that was moved away, which its bay has been told."""
        session = self._bays.get(live.bay).session if live.plays else None
        behind = session is not None and row.bay_number in session.server_bays
        if not behind or self._is_moving(live.session_id):
            self._behind_since_ms.pop(live.session_id, None)
        elif row.bay_number != live.bay:
            await self._wait_for_move(live, row.bay_number)
        if row.bay_number == live.bay:
            return live
        if live.plays and await self._follow(live, row.bay_number):
            return _Live(row.bay_number, live.session_id, plays=True)
        fact = i.ServerMovedAway(live.session_id, row.bay_number)
        await tell(self._bays, live.bay, fact, self._log)
        return live if live.plays else None

    async def _wait_for_move(self, live: _Live, shown_at: str) -> None:
        """Told, and still shown where it was: an old picture, or the desk has put it back there. Neither is
        followed, since a guest who was moved here would be moved back by a list that is slow."""
        now_ms = self._clock.now().boot_ms
        if now_ms - self._behind_since_ms.setdefault(live.session_id, now_ms) >= _LAG_MS:
            text = f"The server shows the session that was moved here at bay {shown_at}, again or still."
            fact = i.ServerContradicted("moved_at_server", live.session_id, text)
            await tell(self._bays, live.bay, fact, self._log)

    async def _follow(self, live: _Live, to: str) -> bool:
        """The desk has moved a session that plays here. What was moved at the bay is on its way there."""
        session = self._bays.get(live.bay).session
        if to not in self._bays.bays or session is None or session.server_bays:
            return False
        try:
            move = i.Move(to, _DESK, "moved at the desk", live.session_id)
            outcome = await self._bays.submit(live.bay, move)
        except NOT_TAKEN as error:
            self._log.warning("move_not_followed", bay=live.bay, to=to, reason=str(error))
            return False
        return outcome.decision.refusal is None

    async def _tell_new(self, row: ServerSession) -> None:
        if self._is_over_here(row):
            return
        if self._is_walk_in(row):
            if not self._is_selling():
                text = "The server shows a walk-in that no bay of this PC knows to have sold."
                fact = i.ServerContradicted("walk_in_unclaimed", str(row.id), text)
                await tell(self._bays, row.bay_number, fact, self._log)
            return
        session_id = await self._name(row)
        detail = await self._detail(None, row)
        released = row.released_at_ms is not None if row.released_known else None
        await tell(self._bays, row.bay_number, self._said(session_id, row, detail, released), self._log)
        await self._keep_pin(row.bay_number, session_id, row)

    async def _detail(self, live: _Live | None, row: ServerSession) -> ServerSession:
        """The session's own page, for the game and the players. The history alone has to do without it."""
        page = None if _is_over(row) else await self._page(row.id, live)
        return row if page is None else page

    async def _look_again(self, server_id: str, live: _Live) -> None:
        """Live here and not in what was read: only its own page can tell more."""
        row = await self._page(int(server_id), live)
        there = None if row is None else await self._place(live, row)
        if row is not None and there is not None:  # else its new bay learns it from the list
            said = self._said(there.session_id, row, row, released=None)
            await tell(self._bays, there.bay, said, self._log)

    async def _page(self, server_id: int, live: _Live | None) -> ServerSession | None:
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

    async def _contradict(self, live: _Live) -> None:
        text = "The server does not know a session that is live here."
        fact = i.ServerContradicted("missing_at_server", live.session_id, text)
        await tell(self._bays, live.bay, fact, self._log)

    async def _keep_pin(self, number: str, session_id: str, row: ServerSession) -> None:
        if row.pin is not None and not _is_over(row):
            await self._vault.learn(self._bays.get(number), session_id, row.pin, row.created_at_ms)

    async def _report_anomalies(
        self, live: Mapping[str, _Live], anomalies: tuple[Anomaly, ...], newest_id: int
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

    def _said(
        self, session_id: str, row: ServerSession, detail: ServerSession, released: bool | None
    ) -> i.ServerSaid:
        """The history's row with the game and the players of the session's own page."""
        self.players.learn(session_id, detail.players)
        return i.ServerSaid(
            session_id=session_id,
            minutes=row.duration_min,
            extended_minutes=row.extended_min,
            created_wall_ms=row.created_at_ms,
            cancelled=row.cancel or detail.cancel,
            active=detail.active,
            released=released,
            game=None if detail.game is None else self._games.of(detail.game),
            player=detail.customer_name,
            player_id=detail.last_active_player_id,
            game_known=detail.game_known,
            bay_booked=detail.bay.booked,
            as_of_wall_ms=self._as_of_ms(),
            shown_at=row.bay_number,
        )

    # Age

    def _is_settled(self, row: ServerSession) -> bool:
        """Needs no more care: over, of another PC, or older than anybody comes for."""
        if _is_over(row) or row.bay_number not in self._bays.bays:
            return True
        rules = self._bays.rules(row.bay_number)
        return self._as_of_ms() - row.created_at_ms > rules.booking_horizon_minutes * rules.minute_ms

    def _as_of_ms(self) -> int:
        """How late it is at least. A clock that nobody keeps may be years behind: then the server's answers
        and its newest session tell."""
        now = self._clock.now()
        if now.synchronised:
            return now.wall_ms
        return max(now.wall_ms, self._newest_created_ms or 0, self._client.server_wall_ms or 0)

    def _show(self, *, online: bool, reason: str, ignored_old: int) -> None:
        if online != self.view.online or (reason and not self.view.reason):
            log = self._log.info if online else self._log.warning
            log("central_online" if online else "central_unreachable", reason=reason)
        self.view = CentralView(online, reason, ignored_old)


def server_id_of(numbers: Mapping[str, str], session_id: str) -> int | None:
    """The server's number of a session of ours; None: it has none yet. `numbers` are a bay's walk-ins."""
    for server_id, local_id in numbers.items():
        if local_id == session_id:
            return int(server_id)
    return int(session_id) if session_id.isascii() and session_id.isdecimal() else None


def find_server_id(bays: Range, number: str, session_id: str) -> int | None:
    """As `server_id_of`, also of a session that has been at another bay when it got its number."""
    found = server_id_of(bays.get(number).numbers, session_id)
    if found is not None:
        return found
    others = (server_id_of(task.bay.numbers, session_id) for task in bays.bays.values())
    return next((server_id for server_id in others if server_id is not None), None)


def _is_over(row: ServerSession) -> bool:
    return row.cancel or row.released_at_ms is not None
