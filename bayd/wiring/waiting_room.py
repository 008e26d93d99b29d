"""What answers while the bays wait for the journal: on a disk that is full, read-only, or hangs.

Without it a bay PC that boots on such a disk would be silent, and be started again for ever. This says what
is waited for, by HTTP and to systemd, refuses every press, and gives way to the daemon proper once the disk
takes writes again. Nothing can have begun meanwhile: no bay knows its state, and no device is driven.
"""

import asyncio
import errno
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

import bayd
from bayd.ports import Clock, Log
from bayd.runtime.sd_notify import notify
from bayd.settings import Settings
from bayd.settings.listening import check_listen
from bayd.settings.local_socket import socket_of
from bayd.web.answers import answer
from bayd.web.app import complete_answer
from bayd.web.documents import (
    CentralSection,
    DevicesSection,
    LivenessDocument,
    QodSection,
    ReadinessDocument,
    StatusDocument,
    StatusWarning,
    VersionDocument,
)
from bayd.web.listener import Listener
from bayd.web.local_socket import LocalSocket
from bayd.web.problems import Problem, problem_response
from bayd.web.views import rfc3339

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO})
PATIENCE_S = 30.0  # most starts are over in one; TimeoutStartSec is 180 s in the unit
_TELL_EVERY_S = 5.0  # WatchdogSec is 30 s in the unit
_RETRY_AFTER_S = 5
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
    "<title>One moment, please</title><h1>One moment, please</h1></html>"
)


class WaitingRoom:
    """`run` is a task, until `leave`. `on_trial`: this release never acted, and must not say READY yet."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_trial: bool,
        time_scale: float,
        clock: Clock,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self._settings = settings
        self._on_trial = on_trial
        self._time_scale = time_scale
        self._clock = clock
        self._environment = environment
        self._log = log
        self._started_wall_ms = clock.now().wall_ms
        self._problem = "the journal has not answered yet"
        self._wanted = asyncio.Event()
        self._tried_ms = clock.now().boot_ms
        self._stalled_since: Callable[[], int | None] = lambda: self._tried_ms
        self._left = False
        self._task: asyncio.Task[None] | None = None

    def say(self, problem: str) -> None:
        """What is waited for; the doors open at once."""
        self._problem = problem
        self._tried_ms = self._clock.now().boot_ms
        self._wanted.set()

    def is_open(self, stalled_since: Callable[[], int | None]) -> None:
        """The journal is; what the outage meant for the bays must still be written to it."""
        self._problem = "what happened while bayd was down cannot be recorded yet"
        self._stalled_since = stalled_since

    async def run(self) -> None:
        self._task = asyncio.current_task()
        if self._left:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._wanted.wait()
        except TimeoutError:
            pass
        local = LocalSocket(
            socket_of(self._settings.http, self._settings.state, self._environment), self._log
        )
        listener = await self._open(local)
        try:
            if not self._on_trial:
                notify("READY=1", self._environment)
            self._log.error("waiting_for_journal", reason=self._problem)
            while True:
                notify("\n".join(self._message()), self._environment)
                await asyncio.sleep(_TELL_EVERY_S)
        finally:
            local.close()
            await listener.aclose()

    async def leave(self) -> None:
        """The doors are closed when it returns."""
        self._left = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _message(self) -> list[str]:
        lines = [f"STATUS=waiting for the journal: {' '.join(self._problem.split())}"]
        since_ms = self._stalled_since()
        stuck_ms = 0 if since_ms is None else self._clock.now().boot_ms - since_ms
        if stuck_ms <= self._settings.state.journal_stall_s * 1000:
            lines.append("WATCHDOG=1")
        return lines

    async def _open(self, local: LocalSocket) -> Listener:
        app = web.Application()
        app.on_response_prepare.append(complete_answer)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._status)
        app.router.add_get("/version", self._version)
        app.router.add_route("*", "/{path:.*}", self._refuse)
        http = self._settings.http
        addresses = check_listen(http.listen, trusted_lan=http.allow_plain_http == "trusted-lan")
        return await Listener.open(app, addresses, self._log, local=local.open())

    async def _healthz(self, _request: web.Request) -> web.Response:
        return answer(LivenessDocument(status="ok"))

    async def _readyz(self, _request: web.Request) -> web.Response:
        document = ReadinessDocument(status="not ready", reason=self._problem)
        return answer(document, HTTPStatus.SERVICE_UNAVAILABLE)

    async def _version(self, _request: web.Request) -> web.Response:
        return answer(VersionDocument(version=bayd.__version__))

    async def _status(self, _request: web.Request) -> web.Response:
        text = f"The bays wait for the journal: {self._problem}. It is tried every second."
        warning: dict[str, Any] = {"code": "waiting_for_journal", "since": None, "text": text}
        return answer(
            StatusDocument(
                version=bayd.__version__,
                started_at=rfc3339(self._started_wall_ms),
                time_scale=self._time_scale,
                bays={},
                devices=DevicesSection(readers={}, dispensers={}),
                central=CentralSection(online=False, outbox=0, oldest_s=None, parked=0),
                qod=QodSection(state="unknown"),
                warnings=[StatusWarning(bay=None, **warning)],
            )
        )

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):  # a page looks again by itself
            return web.Response(text=_PAGE, content_type="text/html", status=HTTPStatus.SERVICE_UNAVAILABLE)
        return problem_response(
            Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "waiting_for_journal",
                f"Nothing was done: {self._problem}.",
                retry_after_s=_RETRY_AFTER_S,
            )
        )


def disk_may_come_back(error: OSError) -> bool:
    """Not what a person must put right first, such as a file in the way or a wrong owner."""
    return error.errno in _OF_THE_DISK
