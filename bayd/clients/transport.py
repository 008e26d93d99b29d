"""HTTP to one upstream through aiohttp.

Whether a request that failed can have reached the server decides if it may be repeated, so every
failure says so. aiohttp's errors do not tell (a time-out looks the same before and after the
connection), its traces do: a request that never had a connection in hand was certainly not sent.

No connection is kept. A server that closes an idle one (Node: after 5 s, just as long as a usual poll
interval) while a POST is on its way into it makes an outcome that nobody knows; a fresh connection costs a
millisecond. One call is one request: aiohttp would repeat a GET or DELETE whose connection broke, unasked
and unseen, and whether to repeat is the caller's to decide.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp

from bayd import __version__
from bayd.ports import HttpResponse, TransportError

BODY_LIMIT_BYTES = 8 * 1024 * 1024  # a list page of a busy site is some 100 KiB; more is a fault
# No answer of an upstream is worth a decompressor; one that compresses unasked is still understood.
_HEADERS = {"User-Agent": f"bayd/{__version__}", "Accept-Encoding": "identity"}


@dataclass(slots=True)
class _Attempt:
    """One request, as far as aiohttp's traces tell."""

    connected: bool = False  # from here on the server may have it


class _BrokenError(aiohttp.ClientError):
    """The connection broke. A class that aiohttp does not know, and so does not answer with a second try."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # never repeated, and `_reason` reads it
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(type(error).__name__) from error


async def _connection_in_hand(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    context.trace_request_ctx.connected = True


def _reason(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "the server's certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "TLS failed"
        case aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case _:
            return os.strerror(error.errno) if error.errno else type(error).__name__


class AiohttpTransport:
    """One `ClientSession` per upstream, made at the first request; nothing goes out after `aclose`."""

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, body_limit_bytes: int = BODY_LIMIT_BYTES
    ) -> None:
        self._ssl_context = ssl_context
        self._body_limit_bytes = body_limit_bytes
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        """See `bayd.ports.HttpTransport`. `timeout_s` covers it all, the last byte of the body included."""
        if self._closed:
            raise TransportError("the transport is closed", sent=False)
        if timeout_s <= 0:  # to aiohttp that would mean: wait for ever
            raise TransportError("no time left for the request", sent=False)
        if self._session is None:
            self._session = self._open()
        attempt = _Attempt()
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                skip_auto_headers=("Content-Type",),  # the caller names it
                trace_request_ctx=attempt,
            ) as response:
                return HttpResponse(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await self._read(response),
                )
        except TimeoutError as error:
            what = "no answer" if attempt.connected else "no connection"
            raise TransportError(f"{what} within {timeout_s:g} s", sent=attempt.connected) from error
        except aiohttp.ClientConnectorError as error:
            raise TransportError(f"no connection: {_reason(error)}", sent=attempt.connected) from error
        except (aiohttp.ClientError, OSError) as error:
            # The text of an aiohttp error may hold the URL; ours never does.
            what = str(error) if isinstance(error, _BrokenError) else type(error).__name__
            raise TransportError(f"the connection broke: {what}", sent=attempt.connected) from error

    async def aclose(self) -> None:
        """Close; requests under way fail as broken. Harmless when done twice."""
        self._closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        traces = aiohttp.TraceConfig()
        traces.on_connection_create_end.append(_connection_in_hand)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                force_close=True,
                ssl=self._ssl_context if self._ssl_context is not None else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trace_configs=[traces],
            middlewares=(_once,),
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._body_limit_bytes:
                response.close()  # the rest stays unread
                raise TransportError("the answer is too large", sent=True)
        return bytes(content)
