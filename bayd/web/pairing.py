"""Screens and their bays: a screen without a bay shows a code, staff enter it, the screen is let in.

The code says which of the waiting browsers is meant; it opens nothing. What is opened with is a second
secret, in an HttpOnly cookie of the browser that asked for the code: whoever reads the code off the screen,
or types it again later, has nothing. A code is good for ten minutes and for one bay.

The session of the screen begins when the browser comes for it, and only then does it take the place of
another screen: a browser that was switched off meanwhile has replaced nobody. It takes the place of that
screen alone which staff had before them when they said so, and of one bay only one screen is awaited. The
audit has a row of it then, under the name of whoever entered the code.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from bayd.core.audit import AuditNote
from bayd.core.inputs import Actor, Role
from bayd.journal import JournalError
from bayd.ports import Clock, Log, Randomness
from bayd.web.access import Caller
from bayd.web.acts import Body, NoBody, OptionalReason, Reason
from bayd.web.answers import answer
from bayd.web.bodies import read_body
from bayd.web.browsers import WebSession, WebSessions, let_in, set_cookie
from bayd.web.documents import PairingCodeDocument, PairingDocument, ScreensDocument, ScreenView
from bayd.web.limits import Buckets, RateLimits, client_address
from bayd.web.problems import Problem, ProblemError, not_recorded
from bayd.web.routes import Answer, Route
from bayd.web.views import rfc3339

PAIRING_COOKIE = "bayd_pairing"
# Neither vowels, of which words are made, nor what is mistaken for something else across a room.
CODE_ALPHABET = "CDFGHJKMNPQRTVWXY34679"
CODE_CHARS = 6
CODE_LIFE_S = 600
_WAITING_LIMIT = 1024
_SCREEN = Actor(Role.SCREEN, "screen")


class PairBody(Body):
    code: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, max_length=20)] = Field(
        description="As the screen shows it; spaces and case do not matter."
    )
    bay: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    replace: bool = Field(False, description="Also when the bay has a screen already, which is put out.")
    reason: OptionalReason = Field("", description="Why, for the audit.")


class UnbindBody(Body):
    id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    reason: Reason


@dataclass(slots=True)
class _Waiting:
    code: str
    secret: str
    expires_boot_ms: int
    bay: str | None = None  # given by staff
    by: Actor | None = None
    reason: str = ""
    replaces: WebSession | None = None  # with the consent of staff
    session: WebSession | None = None  # given to the browser


class Pairing:
    """The calls around screens. `bays` are the numbers that exist; `connected`: the sessions that follow."""

    def __init__(
        self,
        sessions: WebSessions,
        bays: Mapping[str, object],
        *,
        connected: Callable[[str], bool],
        clock: Clock,
        randomness: Randomness,
        log: Log,
        limits: RateLimits | None = None,
    ) -> None:
        limits = limits or RateLimits()
        self._sessions = sessions
        self._bays = bays
        self._connected = connected
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._waiting: dict[str, _Waiting] = {}  # by secret
        self._one_at_a_time = asyncio.Lock()  # what staff enter, and who comes for it
        self._asked = Buckets(limits.codes, clock)
        self._wrong = Buckets(limits.wrong_codes, clock)

    def routes(self) -> list[Route]:
        staff = frozenset({Role.STAFF})
        body_refusals = {
            HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not plain JSON",
            HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong",
        }
        unavailable = {HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be recorded or kept now"}
        return [
            Route(
                "GET",
                "/api/v1/screens",
                self.show,
                "The screens that are paired",
                {HTTPStatus.OK: Answer("By bay", ScreensDocument)},
                roles=frozenset({Role.STAFF, Role.TECHNICIAN}),
                tag="screens",
            ),
            Route(
                "POST",
                "/api/v1/screens/code",
                self.give_code,
                "A browser without a bay asks for a code to show",
                {HTTPStatus.OK: Answer("The code; a cookie goes with it", PairingCodeDocument)},
                body=NoBody,
                refusals={**body_refusals, **unavailable},
                tag="screens",
            ),
            Route(
                "POST",
                "/api/v1/screens/claim",
                self.claim,
                "The browser asks whether staff have entered its code",
                {
                    HTTPStatus.OK: Answer(
                        "`bound`: the cookie that came with it is the screen's", PairingDocument
                    )
                },
                body=NoBody,
                refusals={
                    **body_refusals,
                    **unavailable,
                    HTTPStatus.CONFLICT: "No code of this browser is known: ask for one",
                },
                tag="screens",
            ),
            Route(
                "POST",
                "/api/v1/screens/pair",
                self.pair,
                "Enter a screen's code and its bay. Repeating it changes nothing",
                {HTTPStatus.OK: Answer("The screen comes for it within seconds", PairingDocument)},
                roles=staff,
                body=PairBody,
                refusals={
                    **body_refusals,
                    HTTPStatus.NOT_FOUND: "No screen shows this code, or there is no such bay",
                    HTTPStatus.CONFLICT: "The code was used, or the bay has a screen (see `replace`)",
                },
                tag="screens",
            ),
            Route(
                "POST",
                "/api/v1/screens/unbind",
                self.unbind,
                "Put a screen out: it shows a code again",
                {HTTPStatus.OK: Answer("The screens that are left", ScreensDocument)},
                roles=staff,
                body=UnbindBody,
                refusals={**body_refusals, **unavailable, HTTPStatus.NOT_FOUND: "There is no such screen"},
                tag="screens",
            ),
        ]

    async def show(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        return answer(self._document())

    async def give_code(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        await read_body(request, NoBody)
        self._asked.take(client_address(request.remote))
        self._forget_old()
        # A browser that asks again has lost sight of its first code.
        self._waiting.pop(request.cookies.get(PAIRING_COOKIE, ""), None)
        if len(self._waiting) >= _WAITING_LIMIT:
            raise ProblemError(
                Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "too_many_codes",
                    "Too many screens wait.",
                    retry_after_s=60,
                )
            )
        waiting = _Waiting(
            self._fresh_code(),
            self._randomness.new_id() + self._randomness.new_id(),
            self._clock.now().boot_ms + CODE_LIFE_S * 1000,
        )
        self._waiting[waiting.secret] = waiting
        self._log.info("screen_code_given", address=caller.address)
        response = answer(PairingCodeDocument(code=waiting.code, expires_s=CODE_LIFE_S))
        set_cookie(request, response, PAIRING_COOKIE, waiting.secret, CODE_LIFE_S)
        return response

    async def pair(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        body = await read_body(request, PairBody)
        self._forget_old()
        if body.bay not in self._bays:
            raise ProblemError(
                Problem(HTTPStatus.NOT_FOUND, "unknown_bay", "There is no such bay here.", "bay")
            )
        code = "".join(body.code.split())
        waiting = next((w for w in self._waiting.values() if w.code == code), None)
        if waiting is None:
            self._wrong.take(caller.name)
            text = "No screen shows this code now: look again, a code lasts ten minutes."
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_code", text, "code"))
        async with self._one_at_a_time:
            self._enter(waiting, body, caller.known)
        state: Literal["waiting", "bound"] = "waiting" if waiting.session is None else "bound"
        return answer(PairingDocument(state=state, bay=waiting.bay))

    def _enter(self, waiting: _Waiting, body: PairBody, by: Actor) -> None:
        """Raises ProblemError."""
        if waiting.bay not in (None, body.bay):
            text = "This code was used for another bay: the screen will show a new one."
            raise ProblemError(Problem(HTTPStatus.CONFLICT, "code_used", text, "code"))
        present = self._sessions.of_bay(body.bay)
        own = present is not None and present == waiting.session
        rivals = [w for w in self._waiting.values() if w.bay == body.bay and w is not waiting]
        awaited = [rival for rival in rivals if rival.session is None]
        if ((present is not None and not own) or awaited) and not body.replace:
            text = "This bay has a screen, or waits for one: to put that one out, tick Replace (`replace`)."
            raise ProblemError(Problem(HTTPStatus.CONFLICT, "bay_has_screen", text, "bay"))
        for rival in awaited:
            del self._waiting[rival.secret]
        waiting.replaces = None if own else present
        if waiting.bay is None:
            waiting.bay, waiting.by, waiting.reason = body.bay, by, body.reason
            self._log.info("screen_code_entered", bay=body.bay)

    async def claim(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        await read_body(request, NoBody)
        async with self._one_at_a_time:
            self._forget_old()
            waiting = self._waiting.get(request.cookies.get(PAIRING_COOKIE, ""))
            if waiting is None or not self._may_come(waiting):
                text = "No code of this browser is known: ask for one."
                raise ProblemError(Problem(HTTPStatus.CONFLICT, "no_code", text))
            if waiting.bay is None:
                return answer(PairingDocument(state="waiting", bay=None))
            try:
                token = await self._let_in(waiting, waiting.bay)
            except JournalError:
                raise not_recorded() from None
        response = answer(PairingDocument(state="bound", bay=waiting.bay))
        let_in(request, response, token)
        return response

    async def unbind(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        body = await read_body(request, UnbindBody)
        session = self._sessions.get(body.id)
        if session is None or session.bay is None:
            raise ProblemError(
                Problem(HTTPStatus.NOT_FOUND, "unknown_screen", "There is no such screen.", "id")
            )
        try:
            await self._sessions.end(
                session, _note(caller.known, "ScreenUnbound", body.reason, session.id, None)
            )
        except JournalError:
            text = (
                "The screen is out. The disk refuses or hangs: until it has recorded that, which is tried on,"
                " a restart of bayd would let the screen in again."
            )
            problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unbound_not_recorded", text)
            raise ProblemError(problem) from None
        self._log.info("screen_unbound", bay=session.bay)
        return answer(self._document())

    async def _let_in(self, waiting: _Waiting, bay: str) -> str:
        """The token of a new session. An earlier one of this browser, whose cookie got lost, ends with it."""
        former = [s for s in self._sessions.screens if s.bay == bay]
        by, reason = waiting.by, waiting.reason
        assert by is not None
        before = former[-1].id if former else None
        act = "ScreenReplaced" if former and waiting.session not in former else "ScreenPaired"
        waiting.session, token = await self._sessions.begin(
            _SCREEN, bay, former=former, note=lambda new: _note(by, act, reason, before, new.id)
        )
        self._log.info("screen_paired", bay=bay, replaced=len(former))
        return token

    def _may_come(self, waiting: _Waiting) -> bool:
        """Staff may have unbound the screen meanwhile: its old secret gives it nothing more. Nor may it take
        the place of a screen that nobody has spoken of.
        """
        if waiting.bay is None:
            return True
        present = self._sessions.of_bay(waiting.bay)
        if waiting.session is not None:
            return present == waiting.session
        return present is None or present == waiting.replaces

    def _document(self) -> ScreensDocument:
        return ScreensDocument(
            screens=[
                ScreenView(
                    id=session.id,
                    bay=session.bay or "",
                    since=rfc3339(session.since_wall_ms),
                    connected=self._connected(session.id),
                )
                for session in self._sessions.screens
            ]
        )

    def _forget_old(self) -> None:
        now_ms = self._clock.now().boot_ms
        self._waiting = {s: w for s, w in self._waiting.items() if w.expires_boot_ms > now_ms}

    def _fresh_code(self) -> str:
        shown = {waiting.code for waiting in self._waiting.values()}
        while True:
            number = int(self._randomness.new_id(), 16)
            code = ""
            for _ in range(CODE_CHARS):
                number, digit = divmod(number, len(CODE_ALPHABET))
                code += CODE_ALPHABET[digit]
            if code not in shown:
                return code


def _note(by: Actor, act: str, reason: str, before: str | None, after: str | None) -> AuditNote:
    return AuditNote(by.name, by.role.value, act, {}, reason, {"screen": before}, {"screen": after})
