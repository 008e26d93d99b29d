"""`/api/v1/login` and `/api/v1/staff`: who signs in at the board, and who may."""

from http import HTTPStatus
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from bayd.core.inputs import Role
from bayd.journal import JournalError
from bayd.ports import Clock, Log
from bayd.web.access import Caller
from bayd.web.acts import Body, NoBody, Reason
from bayd.web.answers import answer
from bayd.web.bodies import read_body
from bayd.web.browsers import WebSessions, let_in
from bayd.web.documents import SessionDocument, StaffDocument, StaffView
from bayd.web.limits import Buckets, RateLimits
from bayd.web.local_socket import peer_of
from bayd.web.problems import Problem, ProblemError, not_recorded
from bayd.web.routes import Answer, Route
from bayd.web.staff_accounts import NAME_PATTERN, PIN_PATTERN, Refused, StaffAccounts, TrivialPinError
from bayd.web.views import rfc3339

_Name = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=NAME_PATTERN)]
_Pin = Annotated[str, StringConstraints(pattern=PIN_PATTERN)]
_PEOPLE = frozenset({Role.STAFF, Role.TECHNICIAN})

_BODY = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not plain JSON",
    HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong",
    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be recorded now",
}


class LoginBody(Body):
    name: _Name
    pin: _Pin = Field(repr=False)


class StaffBody(Body):
    name: _Name
    role: Literal["staff", "technician"] = "staff"
    pin: _Pin = Field(repr=False)
    replace: bool = Field(False, description="Also when the name is known: a new PIN, and locked no more.")


class LockBody(Body):
    name: _Name
    reason: Reason


class StaffPages:
    """`idle_ms`: how long nobody need touch a board that is signed in."""

    def __init__(
        self,
        accounts: StaffAccounts,
        sessions: WebSessions,
        *,
        idle_ms: int,
        clock: Clock,
        log: Log,
        limits: RateLimits | None = None,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._idle_ms = idle_ms
        self._log = log
        self._logins = Buckets((limits or RateLimits()).logins, clock)

    def routes(self) -> list[Route]:
        staff = frozenset({Role.STAFF})
        listed = {HTTPStatus.OK: Answer("All of them", StaffDocument)}
        return [
            Route(
                "POST",
                "/api/v1/login",
                self.login,
                "Sign in at the board: the cookie that comes is the session",
                {HTTPStatus.OK: Answer("As whom", SessionDocument)},
                body=LoginBody,
                refusals={
                    **_BODY,
                    HTTPStatus.UNAUTHORIZED: "Name or PIN is wrong, with `tries_left`",
                    HTTPStatus.FORBIDDEN: "`staff_locked`: an administrator has locked this name",
                    HTTPStatus.CONFLICT: "`is_screen`: this browser is a bay's screen",
                    HTTPStatus.LOCKED: "Too many wrong PINs; see `retry_after_s`",
                },
                tag="staff",
            ),
            Route(
                "POST",
                "/api/v1/session/stay",
                self.stay,
                "Somebody is at the board: it is not locked yet",
                {HTTPStatus.NO_CONTENT: Answer("It stays", media_types=())},
                body=NoBody,
                roles=_PEOPLE,
                refusals=_BODY,
                tag="staff",
            ),
            Route("GET", "/api/v1/staff", self.show, "Who may sign in", listed, roles=staff, tag="staff"),
            Route(
                "POST",
                "/api/v1/staff/add",
                self.add,
                "Let somebody sign in; by the local socket alone",
                listed,
                body=StaffBody,
                roles=staff,
                refusals={**_BODY, HTTPStatus.CONFLICT: "The name is known: see `replace`"},
                tag="staff",
            ),
            Route(
                "POST",
                "/api/v1/staff/lock",
                self.lock,
                "Lock somebody out, at once; by the local socket alone",
                listed,
                body=LockBody,
                roles=staff,
                refusals={**_BODY, HTTPStatus.NOT_FOUND: "There is nobody of this name"},
                tag="staff",
            ),
        ]

    async def login(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        if caller.bay is not None:
            text = f"This browser is the screen of bay {caller.bay}: sign in on another one."
            raise ProblemError(Problem(HTTPStatus.CONFLICT, "is_screen", text))
        self._logins.take(caller.address)
        body = await read_body(request, LoginBody)
        try:
            found = await self._accounts.sign_in(body.name, body.pin, caller.address)
        except JournalError:
            raise not_recorded() from None
        if isinstance(found, Refused):
            self._log.warning("staff_not_signed_in", reason=found.why, address=caller.address)
            raise ProblemError(_problem(found))
        # Nothing is awaited in between: whoever locks this person then ends this session, too.
        _session, token = self._sessions.begin_until_idle(found, self._idle_ms)
        self._log.info("staff_signed_in", role=found.role.value)
        role: Literal["staff", "technician"] = "staff" if found.role is Role.STAFF else "technician"
        response = answer(SessionDocument(role=role, name=found.name, bay=None))
        let_in(request, response, token)
        return response

    async def stay(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        await read_body(request, NoBody)
        if caller.web_session is not None:
            self._sessions.touch(caller.web_session)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def show(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        return self._list()

    async def add(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        body = await read_body(request, StaffBody)
        _must_be_local(request)
        if not self._accounts.is_on:
            raise ProblemError(_problem(Refused("off")))
        if self._accounts.find(body.name) is not None and not body.replace:
            text = f"{body.name} is known: --replace gives a new PIN."
            raise ProblemError(Problem(HTTPStatus.CONFLICT, "name_taken", text, "name"))
        try:
            await self._accounts.put(body.name, Role(body.role), body.pin, caller.known)
            await self._sessions.end_of_person(body.name)
        except TrivialPinError as error:
            problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "trivial_pin", str(error), "pin")
            raise ProblemError(problem) from None
        except JournalError:
            raise not_recorded() from None
        self._log.info("staff_added", role=body.role)
        return self._list()

    async def lock(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        body = await read_body(request, LockBody)
        _must_be_local(request)
        if self._accounts.find(body.name) is None:
            text = f"There is nobody called {body.name}: see bayd staff list."
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_name", text, "name"))
        try:
            await self._accounts.lock(body.name, caller.known, body.reason)
        except JournalError:
            raise not_recorded() from None
        finally:  # out at once, also when the disk refuses
            await self._sessions.end_of_person(body.name)
        self._log.info("staff_locked")
        return self._list()

    def warnings(self) -> list[dict[str, object]]:
        if self._accounts.is_on:
            return []
        text = "No site key: staff cannot sign in at the board with a name and a PIN."
        return [{"code": "staff_login_off", "since": None, "text": text}]

    def _list(self) -> web.Response:
        people = [
            StaffView(
                name=person.name,
                role="staff" if person.role == Role.STAFF else "technician",
                since=rfc3339(person.since_wall_ms),
                locked=person.locked,
                locked_for_s=self._accounts.locked_for_s(person),
            )
            for person in self._accounts.people()
        ]
        return answer(StaffDocument(staff=people))


def _must_be_local(request: web.Request) -> None:
    """Raises ProblemError. Who may sign in is decided at the machine, not at the board."""
    peer = peer_of(request.transport)
    if peer is None or not peer.is_operator:
        text = "On the bay PC as root: sudo bayd staff."
        raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "local_only", text))


def _problem(refused: Refused) -> Problem:
    match refused.why:
        case "off":
            text = "There is no site key: nobody can sign in with a PIN. See bayd init."
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "staff_login_off", text)
        case "wrong":
            text = "Name or PIN is wrong."
            return Problem(
                HTTPStatus.UNAUTHORIZED, "wrong_login", text, None, refused.tries_left, refused.locked_for_s
            )
        case "locked_out":
            text = "Too many wrong PINs: wait."
            return Problem(HTTPStatus.LOCKED, "locked", text, None, 0, refused.locked_for_s)
        case "locked_by_staff":
            text = "This name is locked: an administrator gives it a new PIN."
            return Problem(HTTPStatus.FORBIDDEN, "staff_locked", text)
