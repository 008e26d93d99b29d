"""PINs at rest: keyed hashes for the hours without a server.

A hash is HMAC-SHA256 under the site key over bay, session and PIN; it lies in a side table and is purged
when the session starts or is over. Without a site key nothing is kept, and a PIN is checked online only.
"""

import asyncio
import hashlib
import hmac

from bayd.clients.central.secret import Secret
from bayd.core.desired import Desired
from bayd.core.events import Event
from bayd.core.model import Bay
from bayd.journal import Journal, NotWrittenError
from bayd.ports import Log


class PinVault:
    """The side table. `run` purges what is used or over; a root task."""

    def __init__(self, journal: Journal[Event], site_key: bytes | None, horizon_ms: int, log: Log) -> None:
        self._journal = journal
        self._site_key = site_key
        self._horizon_ms = horizon_ms
        self._log = log
        self._kept: dict[tuple[str, str], bytes] = {}
        self._over: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    @property
    def offline_possible(self) -> bool:
        return self._site_key is not None

    async def load(self, bays: tuple[str, ...]) -> None:
        for number in bays:
            for pin in await self._journal.find_pins(number):
                self._kept[number, pin.session_id] = pin.digest

    async def learn(self, bay: Bay, session_id: str, pin: Secret, created_wall_ms: int) -> None:
        """Keep the hash of a session's PIN for as long as the session may still start here."""
        if self._site_key is None or bay.find_booking(session_id) is None:
            return
        digest = self._digest(bay.number, session_id, pin)
        if self._kept.get((bay.number, session_id)) == digest:
            return
        try:
            await self._journal.store_pin(bay.number, session_id, digest, created_wall_ms + self._horizon_ms)
        except NotWrittenError:
            self._log.warning("pin_not_kept", bay=bay.number, session=session_id)
            return
        self._kept[bay.number, session_id] = digest

    def find_session(self, bay: Bay, pin: Secret) -> str | None:
        """The waiting session of this bay that the PIN opens."""
        found = None
        for booking in bay.bookings:
            digest = self._kept.get((bay.number, booking.session_id))
            if digest is None or self._site_key is None:
                continue
            if hmac.compare_digest(digest, self._digest(bay.number, booking.session_id, pin)):
                found = found or booking.session_id
        return found

    def knows_all(self, bay: Bay) -> bool:
        """Every waiting session's PIN is here: a PIN that opens none of them is wrong."""
        return bool(bay.bookings) and all((bay.number, b.session_id) in self._kept for b in bay.bookings)

    def bay_changed(self, bay: Bay, _wish: Desired) -> None:
        waiting = {booking.session_id for booking in bay.bookings}
        for number, session_id in list(self._kept):
            if number == bay.number and session_id not in waiting:
                del self._kept[number, session_id]
                self._over.put_nowait((number, session_id))

    async def run(self) -> None:
        while True:
            number, session_id = await self._over.get()
            try:
                await self._journal.purge_pin(number, session_id)
            except NotWrittenError:
                self._log.warning("pin_not_purged", bay=number, session=session_id)
                self._over.put_nowait((number, session_id))
                await asyncio.sleep(1.0)

    def _digest(self, number: str, session_id: str, pin: Secret) -> bytes:
        assert self._site_key is not None
        message = f"{number}\0{session_id}\0{pin.reveal()}".encode()
        return hmac.new(self._site_key, message, hashlib.sha256).digest()
