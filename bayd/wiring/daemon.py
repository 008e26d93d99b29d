"""The daemon from its start to its stop; `_put_together` says what builds what."""

import asyncio
import os
import platform
import signal
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

import bayd
from bayd.core import events as e
from bayd.core.evolve import REDUCER_VERSION
from bayd.credentials import Credentials, load_credentials
from bayd.journal import Journal, schema
from bayd.journal.disk import JOURNAL
from bayd.ports import Log, Randomness
from bayd.reconcile.modes import BayModes
from bayd.reconcile.once import SINK
from bayd.runtime.clock import SystemClock
from bayd.runtime.housekeeping import Housekeeping
from bayd.runtime.idle_restart import IdleRestart
from bayd.runtime.log_pipe import LogPipe
from bayd.runtime.logs import set_level
from bayd.runtime.loop_lag import watch_loop
from bayd.runtime.randomness import SystemRandomness
from bayd.runtime.range import Range
from bayd.runtime.reload import Reloader, apply_rules
from bayd.runtime.sd_notify import notify
from bayd.runtime.upgrade import forget_copies, is_on_trial, take_over
from bayd.runtime.watchdog import Watchdog, status_line
from bayd.settings import Configuration, load_for_start
from bayd.web.metrics import Counts
from bayd.wiring.blocking_calls import BlockingCalls
from bayd.wiring.dispensers import keep_for_make_safe
from bayd.wiring.driven import DrivenParts
from bayd.wiring.journal import open_journal
from bayd.wiring.waiting_room import WaitingRoom
from bayd.wiring.warnings import Warner
from bayd.wiring.web import WebParts


class RootTaskEndedError(Exception):
    """A task that must live as long as the daemon has ended."""


@dataclass(frozen=True, slots=True)
class _Parts:
    journal: Journal[e.Event]
    bays: Range
    driven: DrivenParts
    web: WebParts
    counts: Counts
    reloader: Reloader
    restart: IdleRestart


class Daemon:
    """Everything of one running bayd. `run` until it is cancelled or something essential fails."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        credentials: Credentials,
        log: Log,
        warners: Sequence[Warner],
        log_level: str | None = None,
    ) -> None:
        """`log_level` outranks the configuration's."""
        self.reload_asked = asyncio.Event()
        self._path = path
        self._configuration = configuration
        self._credentials = credentials
        self._log = log
        self._warners = warners
        self._log_level = log_level
        self._set_log_level(configuration)
        self._clock = SystemClock(os.environ.get("BAYD_BOOT_ID"))
        self._clock.now()
        log.info("clock_read", problem=self._clock.problem)
        self._randomness: Randomness = SystemRandomness()

    async def run(self) -> None:
        state = self._configuration.settings.state
        on_trial = await asyncio.to_thread(is_on_trial, state.dir)
        room = WaitingRoom(
            self._configuration.settings,
            on_trial=on_trial,
            time_scale=self._configuration.time_scale,
            clock=self._clock,
            environment=os.environ,
            log=self._log,
        )
        async with asyncio.TaskGroup() as waiting, AsyncExitStack() as stack:
            waiting.create_task(room.run(), name="waiting-room")
            journal = await open_journal(
                stack,
                state.dir,
                self._clock,
                self._log,
                copy_first=not on_trial,  # then there is one
                retry=None if on_trial else room.say,
            )
            room.is_open(lambda: journal.stalled_since)
            parts = self._put_together(journal)
            stack.push_async_callback(parts.driven.aclose)
            await parts.driven.load()
            await parts.web.load()
            for observer in parts.driven.observers:
                parts.bays.observe(observer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_for_ever("range", parts.bays.run()), name="range")
                # Nothing may be reported or pressed before every bay knows what the outage meant.
                await parts.bays.ready.wait()
                await room.leave()
                await self._serve(parts, tasks)

    def _put_together(self, journal: Journal[e.Event]) -> _Parts:
        configuration, clock, randomness, log = self._configuration, self._clock, self._randomness, self._log
        counts = Counts()
        bays = Range(
            {number: configuration.rules(number) for number in configuration.settings.bays},
            journal=journal,
            clock=clock,
            randomness=randomness,
            log=log,
            meter=counts,
        )
        driven = DrivenParts(
            configuration, self._credentials, journal, bays, clock=clock, randomness=randomness, log=log
        )

        def take(new: Configuration) -> None:
            apply_rules(new, bays)
            driven.reload(new)
            self._set_log_level(new)

        reloader = Reloader(self._path, configuration, take, self.reload_asked, os.environ, log)
        restart = IdleRestart(
            bays,
            os.environ,
            find_obstacle=reloader.find_obstacle,
            find_cause=reloader.find_restart_cause,
            log=log,
        )
        web = WebParts(
            configuration,
            self._credentials,
            journal,
            bays,
            driven,
            counts,
            (*self._warners, clock, reloader, restart),
            clock=clock,
            randomness=randomness,
            log=log,
        )
        return _Parts(journal, bays, driven, web, counts, reloader, restart)

    async def _serve(self, parts: _Parts, tasks: asyncio.TaskGroup) -> None:
        settings = self._configuration.settings
        listener = await parts.web.bind()
        try:
            # All that could keep this release from starting lies behind it; from here on it acts.
            if await asyncio.to_thread(take_over, settings.state.dir):
                self._log.info("upgrade_taken_over", version=bayd.__version__)
            keep_for_make_safe(self._path, settings.dispensers, os.environ, self._log)
            for name, root in self._roots(parts).items():
                tasks.create_task(_for_ever(name, root), name=name)
            await listener.serve()
            tasks.create_task(_for_ever("listener", listener.run()), name="listener")
            notify("READY=1")
            self._log.info("bayd_ready", version=bayd.__version__, bays=len(settings.bays))
            await parts.restart.run()
            # As if by SIGTERM: a clean stop, and systemd starts it anew.
            raise asyncio.CancelledError
        finally:
            # First the doors, while the bays still answer what is under way.
            notify("STOPPING=1")
            parts.web.close()
            await listener.aclose()

    def _roots(self, parts: _Parts) -> dict[str, Coroutine[Any, Any, None]]:
        bays, clock, log = parts.bays, self._clock, self._log
        housekeeping = Housekeeping(parts.journal, bays, (SINK,), self._forget_copies, clock=clock, log=log)
        return {
            **parts.driven.roots(parts.web.api.recovered_answer),
            **parts.web.roots(),
            "bay-modes": BayModes(bays, self._configuration.settings.site.zone, clock, log).run(),
            "loop-lag": watch_loop(parts.counts.loop_turned),
            "watchdog": self._watchdog(parts).run(),
            "reload": parts.reloader.run(),
            "housekeeping": housekeeping.run(),
        }

    def _set_log_level(self, configuration: Configuration) -> None:
        set_level(self._log_level or configuration.settings.log.level)

    async def _forget_copies(self, wall_ms: int) -> int:
        directory = self._configuration.settings.state.dir
        return await asyncio.to_thread(forget_copies, directory, JOURNAL, wall_ms)

    def _watchdog(self, parts: _Parts) -> Watchdog:
        def status() -> str:
            bays, restart = parts.bays.bays, parts.restart
            playing = sum(task.bay.session is not None for task in bays.values())
            pending = None if restart.pending is None else f"restart pending: {restart.pending}"
            return status_line(
                len(bays), playing, parts.web.status.warning_count(), pending, parts.reloader.refusal
            )

        return Watchdog(
            stalled_since=lambda: parts.journal.stalled_since,
            status=status,
            journal_stall_s=self._configuration.settings.state.journal_stall_s,
            clock=self._clock,
            environment=os.environ,
            log=self._log,
        )


async def _for_ever(name: str, root: Awaitable[None]) -> None:
    await root
    raise RootTaskEndedError(f"the task {name} has ended")


async def run(config: Path, log_pipe: LogPipe, log_level: str | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises ConfigurationError, JournalError, OSError."""
    configuration = load_for_start(config)
    credentials = load_credentials()
    log = structlog.get_logger("bayd")
    log.info(
        "bayd_starting",
        version=bayd.__version__,
        python=platform.python_version(),
        schema=schema.newest(),
        reducer=REDUCER_VERSION,
        config=str(config),
        time_scale=configuration.time_scale,
    )
    for complaint in credentials.complaints:
        log.error("credential_refused", setting=complaint.path, reason=complaint.text)
    daemon = Daemon(config, configuration, credentials, log, [log_pipe, credentials], log_level)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(BlockingCalls())
    async with asyncio.TaskGroup() as group:
        main = group.create_task(daemon.run(), name="daemon")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, main.cancel)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_asked.set)
