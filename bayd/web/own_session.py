"""`/api/v1/session`: as whom the daemon knows the one who asks, and the end of a browser's session."""

from http import HTTPStatus
from typing import Literal

from aiohttp import web

from bayd.core.audit import AuditNote
from bayd.core.inputs import Role
from bayd.journal import JournalError
from bayd.web.access import Caller
from bayd.web.acts import NoBody
from bayd.web.answers import answer
from bayd.web.bodies import read_body
from bayd.web.browsers import COOKIE, WebSessions
from bayd.web.documents import SessionDocument
from bayd.web.problems import Problem, ProblemError, not_recorded
from bayd.web.routes import Answer, Route

_KNOWN = frozenset({Role.SCREEN, Role.STAFF, Role.TECHNICIAN})
_NAMES: dict[Role, Literal["screen", "staff", "technician"]] = {
    Role.SCREEN: "screen",
    Role.STAFF: "staff",
    Role.TECHNICIAN: "technician",
}


class OwnSession:
    def __init__(self, sessions: WebSessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/session",
                self.show,
                "Who you are here",
                {HTTPStatus.OK: Answer("Role, name and bay", SessionDocument)},
                roles=_KNOWN,
                tag="screens",
            ),
            Route(
                "POST",
                "/api/v1/session/end",
                self.end,
                "Sign out: the browser's session is over",
                {HTTPStatus.NO_CONTENT: Answer("It is over", media_types=())},
                body=NoBody,
                roles=frozenset({Role.STAFF, Role.TECHNICIAN}),
                refusals={
                    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time",
                    HTTPStatus.CONFLICT: "A token has no session",
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not plain JSON",
                    HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong",
                    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be recorded now",
                },
                tag="screens",
            ),
        ]

    async def show(self, _request: web.Request, caller: Caller) -> web.StreamResponse:
        document = SessionDocument(role=_NAMES[caller.known.role], name=caller.known.name, bay=caller.bay)
        return answer(document)

    async def end(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        await read_body(request, NoBody)
        session = None if caller.web_session is None else self._sessions.get(caller.web_session)
        if session is None:
            text = "A token has no session: forget it instead."
            raise ProblemError(Problem(HTTPStatus.CONFLICT, "no_session", text))
        try:
            row = AuditNote(session.actor.name, session.actor.role.value, "StaffSignedOut", {}, "", {}, {})
            await self._sessions.end(session, row)
        except JournalError:
            raise not_recorded() from None
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(COOKIE, path="/")
        return response
