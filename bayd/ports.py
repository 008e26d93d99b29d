"""The seams: everything by which the daemon touches the world, as small ports.

Core and runtime never call a clock, a random source, a thread or the network themselves; `bayd.wiring`
hands them the real ones, simulations and tests hand them their own.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bayd.core.instant import Instant

__all__ = [
    "Clock",
    "HttpResponse",
    "HttpTransport",
    "Instant",
    "JournalExecutor",
    "Log",
    "ProcessExit",
    "Randomness",
    "TransportError",
]

T = TypeVar("T")


class Clock(Protocol):
    @property
    def boot_id(self) -> str:
        """Another value means that `boot_ms` started anew."""
        ...

    def now(self) -> Instant: ...


class Randomness(Protocol):
    def new_id(self) -> str:
        """A fresh identifier: 32 hexadecimal digits, never repeated."""
        ...

    def new_uuid(self) -> str:
        """A random UUID in its usual form."""
        ...

    def jitter(self) -> float:
        """A number in [0, 1)."""
        ...


class JournalExecutor(Protocol):
    """Runs the journal's calls one after another; inline in simulations, else in one thread."""

    def submit(self, call: Callable[[], T]) -> Awaitable[T]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete answer. The body is never cut: a truncated one is a TransportError."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class TransportError(Exception):
    """No complete answer came: refused, reset, timed out or truncated."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent  # False: the request certainly did not reach the server


class HttpTransport(Protocol):
    """One upstream's door. Redirects are not followed; cookies are not kept."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        """Raises TransportError."""
        ...


class ProcessExit(Protocol):
    def __call__(self, code: int) -> None: ...


class Log(Protocol):
    """The part of a structlog logger that is used: event in snake_case, facts as fields."""

    def debug(self, event: str, **facts: Any) -> None: ...
    def info(self, event: str, **facts: Any) -> None: ...
    def warning(self, event: str, **facts: Any) -> None: ...
    def error(self, event: str, **facts: Any) -> None: ...
