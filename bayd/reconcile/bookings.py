"""Learns from the central server what is booked, changed, cancelled and moved, by polling.

The history carries what decides (cancel, active, release, extensions, PIN); live sessions are read again
by id for the game and the players. What the server says is handed to the bays as it is; what it means is
decided there. An absence, a 404 or an empty list proves nothing and is reported as a contradiction.
"""

import asyncio
from dataclasses import dataclass

from bayd.clients.central import (
    CentralClient,
    CentralError,
    CentralRefused,
    ServerSession,
)
from bayd.clients.central.sweep import Anomaly, PagingFacts, only_settled, sweep
from bayd.core import inputs as i
from bayd.core.model import Game
from bayd.core.rules import Rules
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.pin_vault import PinVault
from bayd.runtime.range import Range

_BACK_OFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class CentralView:
    """What the status shows of the connection."""

    online: bool
    reason: str
    ignored_old: int  # sessions of the past that the list still shows as live


class BookingPoller:
    """`run` is a root task; `poke` makes it look at once."""

    def __init__(
        self,
        client: CentralClient,
        bays: Range,
        vault: PinVault,
        *,
        poll_s: float,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._client = client
        self._bays = bays
        self._vault = vault
        self._poll_s = poll_s
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._facts = PagingFacts()
        self._poked = asyncio.Event()
        self.view = CentralView(online=False, reason="not asked yet", ignored_old=0)

    def poke(self) -> None:
        self._poked.set()

    async def run(self) -> None:
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
            wait_s = min(self._poll_s * 2 ** max(0, failures - 1), max(self._poll_s, _BACK_OFF_MAX_S))
            try:
                async with asyncio.timeout(wait_s * (0.8 + 0.4 * self._randomness.jitter())):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def poll(self) -> int:
        """One look; answers how many old sessions were ignored. Raises CentralError."""
        now_ms = self._clock.now().wall_ms
        result, self._facts = await sweep(
            self._client.history, self._facts, now_ms=now_ms, enough=only_settled(self._is_settled)
        )
        await self._report_anomalies(result.anomalies)
        rows = {str(row.id): row for row in result.sessions if row.bay_number in self._bays.bays}
        ignored = 0
        for session_id, row in rows.items():
            if self._is_settled(row) and session_id not in self._known():
                ignored += not (row.cancel or row.released_at_ms is not None)
                continue
            await self._tell(row)
        for session_id, number in self._known().items():
            if session_id not in rows:
                await self._look_again(session_id, number)
        return ignored

    async def learn(self, session_id: str) -> bool:
        """A session that the server has just confirmed, before a poll shows it. Raises CentralError."""
        if session_id in self._known():
            return True
        row = await self._client.get_session(int(session_id))
        if row.bay_number not in self._bays.bays:
            return False
        await self._bays.submit(row.bay_number, _said(row, row, released=False))
        return True

    async def is_active(self, session_id: str) -> bool:
        """Raises CentralError."""
        return (await self._client.get_session(int(session_id))).active

    def _rules(self, number: str) -> Rules:
        return self._bays.rules(number)

    def _is_settled(self, row: ServerSession) -> bool:
        if row.cancel or row.released_at_ms is not None:
            return True
        if row.bay_number not in self._bays.bays:
            return True
        rules = self._rules(row.bay_number)
        age_ms = self._clock.now().wall_ms - row.created_at_ms
        return age_ms > rules.booking_horizon_minutes * rules.minute_ms

    def _known(self) -> dict[str, str]:
        """Live sessions here -> their bay."""
        known: dict[str, str] = {}
        for task in self._bays.bays.values():
            bay = task.bay
            known |= {booking.session_id: bay.number for booking in bay.bookings}
            if bay.session is not None:
                known[bay.session.session_id] = bay.number
        return known

    async def _tell(self, row: ServerSession) -> None:
        session_id = str(row.id)
        number = row.bay_number
        before = self._known().get(session_id)
        if before is not None and before != number:
            await self._bays.submit(before, i.ServerMovedAway(session_id, number))
        live = not (row.cancel or row.released_at_ms is not None)
        detail = row
        if live and session_id not in self._bays.get(number).ended_ids:
            detail = await self._client.get_session(row.id)
        released = row.released_at_ms is not None if row.released_known else None
        await self._bays.submit(number, _said(row, detail, released))
        if live and row.pin is not None:
            await self._vault.learn(self._bays.get(number), session_id, row.pin, row.created_at_ms)

    async def _look_again(self, session_id: str, number: str) -> None:
        """Live here and not in what was read: only its own page can tell more."""
        try:
            row = await self._client.get_session(int(session_id))
        except CentralRefused:
            text = "The server does not know a session that is live here."
            await self._bays.submit(number, i.ServerContradicted("missing_at_server", session_id, text))
            return
        await self._bays.submit(number, _said(row, row, released=None))

    async def _report_anomalies(self, anomalies: tuple[Anomaly, ...]) -> None:
        for anomaly in anomalies:
            self._log.warning("central_list_odd", anomaly=anomaly.value)
            if anomaly is Anomaly.IDS_BACKWARDS:
                for session_id, number in self._known().items():
                    text = "The server's session numbers run backwards."
                    await self._bays.submit(number, i.ServerContradicted("ids_backwards", session_id, text))

    def _show(self, *, online: bool, reason: str, ignored_old: int) -> None:
        if online != self.view.online or (reason and not self.view.reason):
            log = self._log.info if online else self._log.warning
            log("central_online" if online else "central_unreachable", reason=reason)
        self.view = CentralView(online, reason, ignored_old)


def _said(row: ServerSession, detail: ServerSession, released: bool | None) -> i.ServerSaid:
    """The history's row with the game and the players of the session's own page."""
    game = detail.game
    return i.ServerSaid(
        session_id=str(row.id),
        minutes=row.duration_min,
        extended_minutes=row.extended_min or 0,
        created_wall_ms=row.created_at_ms,
        cancelled=row.cancel or detail.cancel,
        active=detail.active,
        released=released,
        game=None if game is None else Game(game.id, game.name, game.balls_limit or 0),
        player=detail.customer_name,
        player_id=detail.last_active_player_id,
    )
