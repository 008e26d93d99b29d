"""A link over TCP: readers with an Ethernet port and serial device servers carry the same bytes.

R2000 readers listen on port 4001. The connection has TCP keepalive, because a reader whose power was pulled
says nothing; the driver's own watchdog is usually faster.
"""

import asyncio
import os
import socket

from hardware.link.inbox import InboxLink
from hardware.link.link import Link, LinkLostError, LinkUnavailableError

SCHEME = "socket://"
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 0.5  # what was written last may still leave; a dead peer must not hold a stop longer
OUTPUT_LIMIT = 65_536  # bytes that the peer has not taken; more means that it is dead
KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_PROBES = 3


class SocketLink(InboxLink, asyncio.Protocol):
    """An open TCP connection as a link."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._transport: asyncio.Transport | None = None
        self._ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(f"connection lost ({exc})" if exc else "the device closed the connection")
        if not self._ended.done():
            self._ended.set_result(None)

    def write(self, data: bytes) -> None:
        self._inbox.check_open()
        assert self._transport is not None
        if self._transport.is_closing():
            raise LinkLostError(f"{self._name}: the connection is closing")
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > OUTPUT_LIMIT:
            self._inbox.end(f"the device takes no bytes: more than {OUTPUT_LIMIT} wait to be sent")
            self._transport.abort()
            self._inbox.check_open()

    async def aclose(self) -> None:
        self._inbox.end("closed")
        assert self._transport is not None
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.shield(self._ended)
        except TimeoutError:
            pass  # the peer does not take the rest
        finally:
            self._transport.abort()


class SocketOpener:
    """Connects to one host and port."""

    def __init__(self, link: str) -> None:
        self._name = link
        self._host, self._port = parse_address(link)

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> Link:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, link = await loop.create_connection(
                    lambda: SocketLink(self._name), self._host, self._port
                )
        except TimeoutError as error:
            raise LinkUnavailableError(
                f"{self._name}: no answer within {CONNECT_TIMEOUT_S:g} s; is it on, is the address right?"
            ) from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise LinkUnavailableError(
                f"{self._name}: cannot connect: {reason}; is it on, is the address right?"
            ) from error
        keep_alive(transport.get_extra_info("socket"))
        return link

    async def returned(self) -> None:
        await asyncio.Event().wait()  # a network does not say who is back


def parse_address(link: str) -> tuple[str, int]:
    """Host and port of `socket://host:port` (IPv6 in brackets). Raises ValueError."""
    host, colon, port = link.removeprefix(SCHEME).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not (link.startswith(SCHEME) and colon and host and port.isascii() and port.isdigit()):
        raise ValueError(f"link {link!r}: write socket://host:port, for example socket://203.0.113.7:4001")
    if not 0 < int(port) < 65_536:
        raise ValueError(f"link {link!r}: the port must be between 1 and 65535")
    return host, int(port)


def keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
