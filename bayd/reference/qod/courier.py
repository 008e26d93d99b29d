"""The operator's own pulse: sessions take their course, and events go out, with nobody calling."""

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from bayd.reference.qod.database import OperatorDatabase
from bayd.reference.qod.events import CONTENT_TYPE, MAX_ATTEMPTS, TIMEOUT_S, PendingEvent
from bayd.reference.qod.store import OperatorStore

_log = structlog.get_logger("bayd.reference.qod")

_GONE = 410


class Courier:
    """One eternal task."""

    def __init__(self, store: OperatorStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may have changed: look now."""
        self._woken.set()

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
            while True:
                self._woken.clear()
                await self._store.run(OperatorDatabase.settle, self._clock())
                for event in await self._store.run(OperatorDatabase.due_events, self._clock()):
                    await self._deliver(http, event)
                due_at = await self._store.run(OperatorDatabase.next_due_at)
                try:
                    async with asyncio.timeout(None if due_at is None else max(0.02, due_at - self._clock())):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    async def _deliver(self, http: aiohttp.ClientSession, event: PendingEvent) -> None:
        now = self._clock()
        if not event.may_be_sent(now):
            await self._give_up(event, "token_over")
            return
        status = await _post(http, event)
        if status == _GONE:
            await self._store.run(OperatorDatabase.sink_gone, event.session_id)
            _log.info("event_sink_gone", session_id=event.session_id)
        elif 200 <= status < 300:
            await self._store.run(OperatorDatabase.event_done, event)
        elif event.attempts + 1 >= MAX_ATTEMPTS:
            await self._give_up(event, "not_accepted")
        else:
            await self._store.run(OperatorDatabase.event_failed, event, event.retry_at(now))

    async def _give_up(self, event: PendingEvent, reason: str) -> None:
        await self._store.run(OperatorDatabase.event_done, event)
        _log.warning("event_given_up", session_id=event.session_id, reason=reason)


async def _post(http: aiohttp.ClientSession, event: PendingEvent) -> int:
    """The receiver's last word; 0 where none came."""
    headers = {"Content-Type": CONTENT_TYPE}
    if event.token is not None:
        headers["Authorization"] = f"Bearer {event.token}"
    status = 0
    try:
        for _ in range(event.copies):
            async with http.post(
                event.url, data=event.body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return 0
    return status
