"""What a driver may expect of a byte link."""

from typing import Protocol


class LinkError(Exception):
    """A link cannot be used; the message names it."""


class LinkUnavailableError(LinkError):
    """The link cannot be opened now: absent, busy or refused. Try again later."""


class LinkLostError(LinkError):
    """An open link has gone away; what was on its way is lost. Open a new one."""


class Link(Protocol):
    """An open link. Bytes arrive in order, or the link is lost."""

    @property
    def name(self) -> str:
        """The configured address, for messages: `/dev/serial/by-id/…` or `socket://host:port`."""
        ...

    def write(self, data: bytes) -> None:
        """Hand bytes to the link without waiting. Raises LinkLostError once the link is lost."""
        ...

    async def read(self) -> bytes:
        """At least one byte: all that came since the last read. Raises LinkLostError at the end."""
        ...

    def discard_input(self) -> int:
        """Drop what has come and was not read; answers how many bytes that was."""
        ...

    async def aclose(self) -> None:
        """Close; harmless when done twice or after a loss."""
        ...


class LinkOpener(Protocol):
    """Opens links to one address."""

    @property
    def name(self) -> str: ...

    async def open(self) -> Link:
        """A fresh link. Raises LinkUnavailableError."""
        ...

    async def returned(self) -> None:
        """Waits until what `open` last tried is there anew: worth another attempt at once. Where that cannot
        be seen, for ever."""
        ...
