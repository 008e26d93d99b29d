"""PINs at rest: keyed hashes for the hours without a server.

A hash is HMAC-SHA256 under the site key over bay, session and PIN; it lies in a side table and is purged
when the session starts or is over, and when nobody comes for it any more. Without a site key nothing is
kept, and a PIN is checked online only.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field

from bayd.clients.central import Secret
from bayd.core.desired import Desired
from bayd.core.events import Event
from bayd.core.model import Bay
from bayd.journal import Journal, JournalUnavailableError, NotWrittenError
from bayd.ports import Clock, Log
from bayd.reconcile.telling import PATIENCE_S

_LOOK_FOR_EXPIRED_S = 600.0
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Kept:
    digest: bytes = field(repr=False)
    expires_wall_ms: int


class PinVault:
    """The side table. `run` purges what is used, over or expired; a root task."""

    def __init__(
        self, journal: Journal[Event], site_key: bytes | None, horizon_ms: int, clock: Clock, log: Log
    ) -> None:
        self._journal = journal
        self._site_key = site_key
        self._horizon_ms = horizon_ms
        self._clock = clock
        self._log = log
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._over: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    @property
    def offline_possible(self) -> bool:
        return self._site_key is not None

    async def load(self, bays: tuple[str, ...]) -> None:
        for number in bays:
            for pin in await self._journal.find_pins(number):
                self._kept[number, pin.session_id] = _Kept(pin.digest, pin.expires_wall_ms)

    async def learn(self, bay: Bay, session_id: str, pin: Secret, created_wall_ms: int) -> None:
        """Keep the hash of a session's PIN for as long as the session may still start here."""
        if self._site_key is None or bay.find_booking(session_id) is None:
            return
        kept = _Kept(self._digest(bay.number, session_id, pin), created_wall_ms + self._horizon_ms)
        if self._kept.get((bay.number, session_id)) == kept:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._journal.store_pin(bay.number, session_id, kept.digest, kept.expires_wall_ms)
        except (NotWrittenError, JournalUnavailableError, TimeoutError):
            self._log.warning("pin_not_kept", bay=bay.number, session=session_id)
            return
        self._kept[bay.number, session_id] = kept

    def find_session(self, bay: Bay, pin: Secret) -> str | None:
        """The waiting session of this bay that the PIN opens; the oldest of several."""
        found = None
        for booking in bay.bookings:
            kept = self._find(bay.number, booking.session_id)
            if kept is None:
                continue
            # Every hash is compared, so that the time tells nothing.
            if hmac.compare_digest(kept.digest, self._digest(bay.number, booking.session_id, pin)):
                found = found or booking.session_id
        return found

    def knows_any(self, bay: Bay) -> bool:
        """There is a hash that a PIN has a chance at."""
        return any(self._find(bay.number, b.session_id) for b in bay.bookings)

    def knows_all(self, bay: Bay) -> bool:
        """Every waiting session's PIN is here: a PIN that opens none of them is wrong."""
        return bool(bay.bookings) and all(self._find(bay.number, b.session_id) for b in bay.bookings)

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        waiting = {booking.session_id for booking in bay.bookings}
        for number, session_id in list(self._kept):
            if number == bay.number and session_id not in waiting:
                self._forget(number, session_id)

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LOOK_FOR_EXPIRED_S):
                    number, session_id = await self._over.get()
            except TimeoutError:
                self._forget_expired()
                continue
            try:
                await self._journal.purge_pin(number, session_id)
            except (NotWrittenError, JournalUnavailableError):
                self._log.warning("pin_not_purged", bay=number, session=session_id)
                self._over.put_nowait((number, session_id))
                await asyncio.sleep(_RETRY_S)

    def _find(self, number: str, session_id: str) -> _Kept | None:
        kept = self._kept.get((number, session_id))
        if self._site_key is None or kept is None or self._is_expired(kept):
            return None
        return kept

    def _is_expired(self, kept: _Kept) -> bool:
        """A clock that nobody keeps lets nothing expire: it may be years off."""
        now = self._clock.now()
        return now.synchronised and now.wall_ms >= kept.expires_wall_ms

    def _forget_expired(self) -> None:
        for (number, session_id), kept in list(self._kept.items()):
            if self._is_expired(kept):
                self._forget(number, session_id)

    def _forget(self, number: str, session_id: str) -> None:
        del self._kept[number, session_id]
        self._over.put_nowait((number, session_id))

    def _digest(self, number: str, session_id: str, pin: Secret) -> bytes:
        assert self._site_key is not None
        message = f"{number}\0{session_id}\0{pin.reveal()}".encode()
        return hmac.digest(self._site_key, message, hashlib.sha256)
