"""Who may do what: bearer tokens by role, and the checks that keep other people's pages out."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from bayd.core.inputs import Role
from bayd.credentials import ApiToken
from bayd.web.problems import Problem, ProblemError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access:
    """The tokens, and the hosts under which this service may be addressed."""

    def __init__(self, tokens: Sequence[ApiToken], allowed_hosts: Sequence[str]) -> None:
        self._tokens = tuple(tokens)
        self._allowed_hosts = frozenset(allowed_hosts)

    def find(self, request: web.Request) -> ApiToken | None:
        """Whose request this is; None: anonymous. Raises ProblemError for a token that is not known."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, presented = header.partition(" ")
        # Every token is compared, so that the time tells nothing about which one is near.
        matching = [token for token in self._tokens if token.matches(presented.strip())]
        if scheme.lower() != "bearer" or not matching:
            raise ProblemError(
                Problem(HTTPStatus.UNAUTHORIZED, "token_unknown", "This token is not known here.")
            )
        return matching[0]

    def require(self, request: web.Request, roles: frozenset[Role], bay: str | None) -> ApiToken:
        """Raises ProblemError unless the token is of one of `roles` and, for a screen, of this bay."""
        token = self.find(request)
        if token is None:
            raise ProblemError(Problem(HTTPStatus.UNAUTHORIZED, "token_missing", "A bearer token is needed."))
        if token.actor.role not in roles:
            text = f"The role {token.actor.role.value} may not do this."
            raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "role_not_allowed", text))
        if token.bay is not None and token.bay != bay:
            raise ProblemError(
                Problem(HTTPStatus.FORBIDDEN, "other_bay", "This token belongs to another bay.")
            )
        return token

    @web.middleware
    async def same_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign Host (DNS rebinding) and Origin (another site's page) headers."""
        host = _hostname(f"//{request.host}")
        if host not in self._allowed_hosts:
            problem = Problem(HTTPStatus.MISDIRECTED_REQUEST, "host_refused", "This host name is not ours.")
            raise ProblemError(problem)
        origin = request.headers.get("Origin")
        if origin is not None and _hostname(origin) not in self._allowed_hosts:
            problem = Problem(HTTPStatus.FORBIDDEN, "origin_refused", "Requests of other sites are refused.")
            raise ProblemError(problem)
        return await handler(request)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
