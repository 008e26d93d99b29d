"""HTTP to one upstream through aiohttp.

Whether a request that failed can have reached the server decides if it may be repeated, so every
failure says so: only a connection that was never made counts as "not sent".
"""

import asyncio
from collections.abc import Mapping

import aiohttp

from bayd.ports import HttpResponse, TransportError

_BODY_LIMIT_BYTES = 8 * 1024 * 1024  # a list page of a busy site is some 100 KiB; more is a fault


class AiohttpTransport:
    """One `ClientSession` per upstream, made at the first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        """See `bayd.ports.HttpTransport`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                skip_auto_headers=() if body is not None else ("Content-Type",),
            ) as response:
                content = bytearray()
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > _BODY_LIMIT_BYTES:
                        raise TransportError("the answer is too large", sent=True)
                return HttpResponse(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=bytes(content),
                )
        except aiohttp.ClientConnectorError as error:
            raise TransportError(f"no connection: {error.os_error.strerror}", sent=False) from error
        except TimeoutError as error:
            raise TransportError(f"no answer within {timeout_s:g} s", sent=True) from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError, ConnectionError) as error:
            # The text of an aiohttp error may hold the URL; ours never does.
            raise TransportError(f"the connection broke: {type(error).__name__}", sent=True) from error

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
