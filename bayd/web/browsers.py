"""Browsers that were let in: a web session is a random token in an HttpOnly cookie, kept here as its digest.

A web session gives the same caller as a bearer token: the bay's screen, a member of staff. The token is
never in a URL, in a page or in storage that a script can read. A screen's lasts until it is unbound. A
person's is over when nobody has touched the page for a while, and lives in memory alone: a daemon that starts
anew asks for the PIN again.

A cookie travels by itself, so what it may change is asked for with an `Origin` of ours (see `Access`), and
`SameSite=Strict` keeps it out of other sites' requests altogether.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from bayd.core import events as e
from bayd.core.audit import AuditNote
from bayd.core.inputs import Actor, Role
from bayd.journal import Journal, JournalError, StoredWebSession, Writer
from bayd.ports import Clock, Randomness

COOKIE = "bayd_session"
_AGE_S = 400 * 86_400  # as long as browsers keep any cookie (RFC 6265bis, section 5.5)
_TOKEN_CHARS = 64
_LOOK_EVERY_S = 5.0

Ended = Callable[["WebSession"], None]


@dataclass(frozen=True, slots=True)
class WebSession:
    """`id` names it for people and calls; it is no secret."""

    id: str
    actor: Actor
    bay: str | None  # the one bay that a screen may touch
    since_wall_ms: int
    idle_ms: int | None = None  # without a touch for so long it is over; None: it lasts, also over restarts


class WebSessions:
    """All of them, in memory and in the journal. `load` before anybody is identified."""

    def __init__(self, journal: Journal[e.Event], clock: Clock, randomness: Randomness) -> None:
        self._journal = journal
        self._clock = clock
        self._randomness = randomness
        self._by_digest: dict[bytes, WebSession] = {}
        self._touched_boot_ms: dict[str, int] = {}  # by id, of those that may be over by themselves
        self._ended: list[Ended] = []
        self._unrecorded: list[Callable[[Writer[e.Event]], None]] = []  # ends that the disk did not take

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        for kept in await self._journal.query(lambda reader: reader.web_sessions()):
            self._by_digest[kept.digest] = WebSession(
                kept.id, Actor(Role(kept.role), kept.name), kept.bay, kept.since_wall_ms
            )

    def on_ended(self, callback: Ended) -> None:
        """Call back when a session ends: what it still holds open is to be closed."""
        self._ended.append(callback)

    def find(self, token: str) -> WebSession | None:
        """A look-up by digest: the time it takes tells nothing about a token that is near."""
        if len(token) != _TOKEN_CHARS or not token.isascii():
            return None
        session = self._by_digest.get(_digest(token))
        if session is None or self._is_idle(session):
            return None
        return session

    def touch(self, session_id: str) -> None:
        """Somebody is there: the session lasts from now on."""
        if session_id in self._touched_boot_ms:
            self._touched_boot_ms[session_id] = self._clock.now().boot_ms

    def of_bay(self, bay: str) -> WebSession | None:
        """The screen of this bay."""
        return next((s for s in self._by_digest.values() if s.bay == bay), None)

    def get(self, session_id: str) -> WebSession | None:
        return next((s for s in self._by_digest.values() if s.id == session_id), None)

    @property
    def screens(self) -> tuple[WebSession, ...]:
        found = [s for s in self._by_digest.values() if s.actor.role is Role.SCREEN]
        return tuple(sorted(found, key=lambda session: (session.bay or "", session.since_wall_ms)))

    async def run(self) -> None:
        """End what nobody has touched, with all that it holds open; a root task."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.end_idle()
            await self.record_ends()

    async def record_ends(self) -> None:
        """Of those who are out already, and would come back with a restart."""
        while self._unrecorded:
            try:
                await self._journal.transact(self._unrecorded[0])
            except JournalError:
                return
            del self._unrecorded[0]

    def end_idle(self) -> None:
        for session in list(self._by_digest.values()):
            if self._is_idle(session):
                self._forget(session)

    def begin_until_idle(self, actor: Actor, idle_ms: int) -> tuple[WebSession, str]:
        """A person's session and the token for its cookie."""
        session, token = self._make(actor, None, idle_ms)
        self._touched_boot_ms[session.id] = self._clock.now().boot_ms
        self._by_digest[_digest(token)] = session
        return session, token

    async def begin(
        self,
        actor: Actor,
        bay: str | None = None,
        *,
        former: Sequence[WebSession] = (),
        note: Callable[[WebSession], AuditNote] | None = None,
    ) -> tuple[WebSession, str]:
        """A lasting session and the token for its cookie; durable, in one commit with the end of those
        whose place it takes and with the row that tells of it. Raises JournalError.
        """
        session, token = self._make(actor, bay, None)
        kept = StoredWebSession(
            session.id, _digest(token), actor.role.value, actor.name, bay, session.since_wall_ms
        )
        act_id, at = self._randomness.new_id(), self._clock.now()
        row = None if note is None else note(session)

        def write(writer: Writer[e.Event]) -> None:
            writer.store_web_session(kept)
            for one in former:
                writer.remove_web_session(one.id)
            if row is not None:
                writer.note(act_id, at, row, bay or "")

        await self._journal.transact(write)
        self._by_digest[kept.digest] = session
        for one in former:
            self._forget(one)
        return session, token

    async def end(self, session: WebSession, note: AuditNote | None = None) -> None:
        """At once for whoever asks next, and durably, with the row that tells of it.

        Raises JournalError; what lasts over restarts is tried again until the disk takes it.
        """
        self._forget(session)
        if session.idle_ms is not None and note is None:
            return  # it lives in memory alone
        act_id, at = self._randomness.new_id(), self._clock.now()

        def write(writer: Writer[e.Event]) -> None:
            first = writer.remove_web_session(session.id) or session.idle_ms is not None
            if note is not None and first:
                writer.note(act_id, at, note, session.bay or "")

        try:
            await self._journal.transact(write)
        except JournalError:
            if session.idle_ms is None:
                self._unrecorded.append(write)
            raise

    async def end_of_person(self, name: str) -> None:
        """All sessions of a person, at once. Raises JournalError."""
        for session in list(self._by_digest.values()):
            if session.actor.role is not Role.SCREEN and session.actor.name == name:
                await self.end(session)

    def _make(self, actor: Actor, bay: str | None, idle_ms: int | None) -> tuple[WebSession, str]:
        token = self._randomness.new_id() + self._randomness.new_id()
        identity = self._randomness.new_id()[-12:]
        return WebSession(identity, actor, bay, self._clock.now().wall_ms, idle_ms), token

    def _is_idle(self, session: WebSession) -> bool:
        if session.idle_ms is None:
            return False
        return self._clock.now().boot_ms - self._touched_boot_ms[session.id] >= session.idle_ms

    def _forget(self, session: WebSession) -> None:
        self._by_digest = {d: s for d, s in self._by_digest.items() if s.id != session.id}
        for callback in self._ended:
            callback(session)
        self._touched_boot_ms.pop(session.id, None)


def set_cookie(request: web.Request, response: web.StreamResponse, name: str, value: str, age_s: int) -> None:
    """HttpOnly and same-site; `Secure` wherever the browser came by TLS, also through a proxy."""
    response.set_cookie(
        name,
        value,
        max_age=age_s,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=_is_secure(request),
    )


def let_in(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Give the browser its session."""
    set_cookie(request, response, COOKIE, token, _AGE_S)


def _is_secure(request: web.Request) -> bool:
    # The page's own origin, which the browser says of itself and `Access` has compared with our names.
    return request.secure or request.headers.get("Origin", "").startswith("https://")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
