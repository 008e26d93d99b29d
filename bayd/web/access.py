"""Who may do what: tokens and web sessions by role, and the checks that keep other people's pages out."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from bayd.core.inputs import Actor, Role
from bayd.credentials import ApiToken
from bayd.ports import Clock
from bayd.web.browsers import COOKIE, WebSessions
from bayd.web.limits import Buckets, RateLimits, client_address
from bayd.web.local_socket import Peer, peer_of
from bayd.web.problems import Problem, ProblemError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A URL is kept in histories, logs and proxies: what opens something never stands in one.
_SECRET_PARAMETERS = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "auth",
        "authorization",
        "code",
        "password",
        "pin",
        "secret",
        "token",
    }
)
_SEES_NAMES = frozenset({Role.SCREEN, Role.STAFF})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What browsers and proxies send: neither belongs at the local socket, whose caller it would hide.
_FOREIGN_HEADERS = ("Origin", "Forwarded", "X-Forwarded-For", "Via")
_AUTHORITY = re.compile(r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without an actor: anybody, from this address."""

    address: str
    actor: Actor | None = None
    bay: str | None = None  # the one bay that a screen may touch
    web_session: str | None = None  # the id of the browser's session; None: a token, or anybody

    @property
    def known(self) -> Actor:
        """The actor of a request that needed one."""
        assert self.actor is not None
        return self.actor

    @property
    def name(self) -> str:
        """Tells clients apart, also across restarts and new tokens."""
        if self.actor is None:
            return self.address
        return f"{self.actor.role.value}/{self.bay or self.actor.name}"

    @property
    def kind(self) -> str:
        """For the log, which names nobody."""
        role = "anybody" if self.actor is None else self.actor.role.value
        return role if self.bay is None else f"{role}/{self.bay}"

    @property
    def sees_names(self) -> bool:
        return self.actor is not None and self.actor.role in _SEES_NAMES

    @property
    def sees_bookings(self) -> bool:
        """Who comes next is nothing for the screen at which the present guest stands."""
        return self.actor is not None and self.actor.role is Role.STAFF

    def sees(self, bay: str) -> bool:
        return self.bay is None or self.bay == bay

    def must_see(self, bay: str) -> None:
        """Raises ProblemError for a screen of another bay."""
        if not self.sees(bay):
            raise ProblemError(
                Problem(HTTPStatus.FORBIDDEN, "other_bay", "This token belongs to another bay.")
            )


class Access:
    """The tokens and web sessions, how often each may ask, and the hosts under which we may be addressed."""

    def __init__(
        self,
        tokens: Sequence[ApiToken],
        sessions: WebSessions,
        allowed_hosts: Sequence[str],
        clock: Clock,
        limits: RateLimits | None = None,
    ) -> None:
        self._tokens = tuple(tokens)
        self._sessions = sessions
        self._allowed_hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        limits = limits or RateLimits()
        self._requests = Buckets(limits.requests, clock)
        self._unknown_tokens = Buckets(limits.unknown_tokens, clock)

    def identify(
        self, request: web.Request, roles: frozenset[Role] | None, *, limited: bool = True
    ) -> Caller:
        """Whose request this is; `roles` None: anybody may.

        Raises ProblemError for a token that is not known or of another role, and for too many requests.
        """
        caller = self._find(request, roles)
        if limited:
            self._requests.take(caller.name)
        if roles is None:
            return caller
        if caller.actor is None:
            text = "A bearer token is needed, or a browser that was let in."
            raise ProblemError(Problem(HTTPStatus.UNAUTHORIZED, "token_missing", text))
        if caller.actor.role not in roles:
            text = f"The role {caller.actor.role.value} may not do this."
            raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "role_not_allowed", text))
        return caller

    def _find(self, request: web.Request, roles: frozenset[Role] | None) -> Caller:
        """A token counts before the user who sent it."""
        peer = peer_of(request.transport)
        address = client_address(request.remote) if peer is None else peer.name
        headers = request.headers.getall("Authorization", [])
        if not headers:
            if peer is not None:
                return Caller(address, peer.actor(roles))
            return self._browser(request, address)
        scheme, _, presented = headers[0].partition(" ")
        presented = presented.strip()
        # Every token is compared, so that the time tells nothing about which one is near.
        matching = [token for token in self._tokens if presented.isascii() and token.matches(presented)]
        if scheme.lower() != "bearer" or not matching or len(headers) > 1:
            self._unknown_tokens.take(address)
            raise ProblemError(
                Problem(HTTPStatus.UNAUTHORIZED, "token_unknown", "This token is not known here.")
            )
        return Caller(address, matching[0].actor, matching[0].bay)

    def _browser(self, request: web.Request, address: str) -> Caller:
        """The caller of a web session. An unknown cookie is a session that is over: anybody."""
        session = self._sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            return Caller(address)
        if request.method not in _SAFE_METHODS and "Origin" not in request.headers:
            # A browser says where a change comes from; the cookie alone is no consent.
            text = "A change by a browser's session needs its Origin header."
            raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "origin_missing", text, "Origin"))
        if request.method not in _SAFE_METHODS or request.headers.get("Sec-Fetch-Dest") == "document":
            self._sessions.touch(session.id)  # somebody does something, or turns to another page
        return Caller(address, session.actor, session.bay, session.id)

    @web.middleware
    async def same_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign Host (DNS rebinding) and Origin (another site's page) headers."""
        peer = peer_of(request.transport)
        if peer is not None:
            # No name leads to the socket, so Host says nothing there.
            _check_local(request, peer)
            return await handler(request)
        hosts = request.headers.getall("Host", [])
        host = _authority(hosts[0]) if len(hosts) == 1 else None
        if host is None or host[0] not in self._allowed_hosts:
            text = "This host name is not ours: see http.allowed_hosts in the configuration."
            raise ProblemError(Problem(HTTPStatus.MISDIRECTED_REQUEST, "host_refused", text, "Host"))
        origins = request.headers.getall("Origin", [])
        if origins and (len(origins) > 1 or not self._is_ours(origins[0], host)):
            text = "Requests of other sites are refused."
            raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "origin_refused", text, "Origin"))
        for name in request.query:
            if name.lower() in _SECRET_PARAMETERS:
                text = "Secrets never stand in a URL: send a header or a body."
                raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "secret_in_url", text, name))
        return await handler(request)

    def _is_ours(self, origin: str, host: tuple[str, int | None]) -> bool:
        """Of the very address that was asked, or of one of our names behind a proxy that renames us.

        Another port of this machine is another site: anybody's program may listen there.
        """
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        authority = _authority(parts.netloc)
        default_port = _DEFAULT_PORTS.get(parts.scheme)
        if authority is None or default_port is None or parts.path or parts.query:
            return False
        name, port = authority
        if (name, port or default_port) == (host[0], host[1] or default_port):
            return True
        return port is None and name in self._allowed_hosts and parts.scheme == "https"


def _check_local(request: web.Request, peer: Peer) -> None:
    """Raises ProblemError."""
    if not peer.is_welcome:  # somebody has opened the file's mode to others
        text = "This user is not in the daemon's group."
        raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "user_refused", text))
    for name in _FOREIGN_HEADERS:
        if name in request.headers:
            text = "The local socket is for tools on this machine, not for browsers and proxies."
            raise ProblemError(Problem(HTTPStatus.FORBIDDEN, "origin_refused", text, name))


def _authority(text: str) -> tuple[str, int | None] | None:
    """Host name and port, as a Host header says them (RFC 9110, section 7.2)."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    port = found["port"]
    return found["host"].lower().strip("[]"), None if port is None else int(port)
