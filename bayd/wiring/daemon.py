"""Puts the daemon together, and takes it apart again. The only place that names every concrete class."""

import asyncio
import hashlib
import os
import platform
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import structlog

import bayd
from bayd.clients.transport import AiohttpTransport
from bayd.core import events as e
from bayd.core.deferrable import is_deferrable
from bayd.core.evolve import REDUCER_VERSION
from bayd.core.rules import Rules
from bayd.credentials import Credentials, load_credentials
from bayd.devices import driven_dispensers
from bayd.journal import Journal, JournalUnavailableError, ThreadJournalExecutor, schema
from bayd.journal.disk import JOURNAL
from bayd.journal.event_codec import BayEventCodec
from bayd.ports import Clock, JournalExecutor, Log, Randomness
from bayd.reconcile.modes import BayModes
from bayd.reconcile.once import SINK
from bayd.runtime.bay import BayObserver
from bayd.runtime.chronicle import Chronicle
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
from bayd.settings import Configuration, load
from bayd.settings.listening import check_listen
from bayd.settings.local_socket import socket_of
from bayd.web.access import Access
from bayd.web.app import make_app
from bayd.web.audit import AuditPage
from bayd.web.audit_book import AuditBook
from bayd.web.bays import BayApi
from bayd.web.browsers import WebSessions
from bayd.web.commission import CommissionPages
from bayd.web.commission_book import CommissionBook, changes
from bayd.web.events import EventStreams
from bayd.web.feed import EventFeed
from bayd.web.figures import FiguresPage
from bayd.web.listener import Listener
from bayd.web.local_socket import LocalSocket
from bayd.web.metrics import Counts, Metrics, Sources
from bayd.web.openapi import description_route
from bayd.web.outbox import OutboxPage
from bayd.web.own_session import OwnSession
from bayd.web.pages.board import BoardFrame, BoardPage
from bayd.web.pages.day import DayPage
from bayd.web.pages.devices import DevicesPage
from bayd.web.pages.files import StaticFiles
from bayd.web.pages.handover import HandoverPage
from bayd.web.pages.screen import ScreenPages
from bayd.web.pairing import Pairing
from bayd.web.readers import ReaderPages
from bayd.web.routes import Route
from bayd.web.sign_in_tries import SignInTries
from bayd.web.staff import StaffPages
from bayd.web.staff_accounts import StaffAccounts
from bayd.web.status import StatusPages
from bayd.web.views import BayViews
from bayd.wiring.central import CentralParts
from bayd.wiring.dispensers import DispenserParts
from bayd.wiring.qod import QodParts
from bayd.wiring.reader_tools import ReaderTools
from bayd.wiring.readers import ReaderParts, ReaderPlan
from bayd.wiring.waiting_room import WaitingRoom, disk_may_come_back

_STALL_SHOWN_MS = 2_000
_JOURNAL_RETRY_S = 1.0


class Warner(Protocol):
    """Something that the status may have to warn of."""

    def warnings(self) -> list[dict[str, Any]]: ...


class Served(Protocol):
    """Something that answers calls."""

    def routes(self) -> list[Route]: ...


class RootTaskEndedError(Exception):
    """A task that must live as long as the daemon has ended."""


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
        self._on_trial = False
        self._clock = SystemClock(os.environ.get("BAYD_BOOT_ID"))
        self._clock.now()
        log.info("clock_read", problem=self._clock.problem)
        self._randomness: Randomness = SystemRandomness()

    async def run(self) -> None:
        settings = self._configuration.settings
        self._on_trial = await asyncio.to_thread(is_on_trial, settings.state.dir)
        room = WaitingRoom(
            settings,
            on_trial=self._on_trial,
            time_scale=self._configuration.time_scale,
            clock=self._clock,
            environment=os.environ,
            log=self._log,
        )
        async with asyncio.TaskGroup() as waiting:
            waiting.create_task(room.run(), name="waiting-room")
            await self._run(room, None if self._on_trial else room.say)

    async def _run(self, room: WaitingRoom, retry: Callable[[str], None] | None) -> None:
        settings = self._configuration.settings
        counts = Counts()
        async with AsyncExitStack() as stack:
            journal = await self._open_journal(stack, retry)
            room.is_open(lambda: journal.stalled_since)
            bays = Range(
                {number: self._configuration.rules(number) for number in settings.bays},
                journal=journal,
                clock=self._clock,
                randomness=self._randomness,
                log=self._log,
                meter=counts,
            )

            def take(new: Configuration) -> None:
                apply_rules(new, bays)
                parts.readers.reload(ReaderPlan.of(new))
                parts.qod.reload(new)
                self._set_log_level(new)

            reloader = Reloader(
                self._path, self._configuration, take, self.reload_asked, os.environ, self._log
            )
            restart = IdleRestart(
                bays,
                os.environ,
                find_obstacle=reloader.find_obstacle,
                find_cause=reloader.find_restart_cause,
                log=self._log,
            )
            parts = _Parts(
                self._configuration,
                self._credentials,
                journal,
                bays,
                self._clock,
                self._randomness,
                self._log,
                (*self._warners, self._clock, reloader, restart),
            )
            stack.push_async_callback(parts.aclose)
            await parts.central.load()
            await parts.sessions.load()
            await parts.accounts.load()
            observers: list[BayObserver] = [
                parts.readers.antennas,
                parts.readers.unread,
                *parts.dispensers.reconcilers.values(),
                *parts.central.observers,
                parts.qod,
            ]
            for observer in observers:
                bays.observe(observer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_for_ever("range", bays.run()), name="range")
                # Nothing may be reported or pressed before every bay knows what the outage meant.
                await bays.ready.wait()
                await room.leave()
                listener = await self._listen(parts, counts)
                parts.warn_also(listener)
                try:
                    # All that could keep this release from starting lies behind it; from here on it acts.
                    if await asyncio.to_thread(take_over, settings.state.dir):
                        self._log.info("upgrade_taken_over", version=bayd.__version__)
                    self._keep_dispensers()
                    roots: dict[str, Coroutine[Any, Any, None]] = {
                        "antennas": parts.readers.antennas.run(),
                        **parts.central.roots(parts.api.recovered_answer),
                        "event-feed": parts.feed.run(),
                        "event-streams": parts.streams.run(),
                        "bay-modes": BayModes(bays, settings.site.zone, self._clock, self._log).run(),
                        "qod": parts.qod.run(),
                        "loop-lag": watch_loop(counts.loop_turned),
                        "watchdog": self._watchdog(parts, restart, reloader).run(),
                        "web-sessions": parts.sessions.run(),
                        "reload": reloader.run(),
                        "housekeeping": Housekeeping(
                            journal,
                            bays,
                            (SINK,),
                            self._forget_copies,
                            clock=self._clock,
                            log=self._log,
                        ).run(),
                        "readers": parts.readers.run(),
                        **{f"dispenser-{name}": d.run() for name, d in parts.dispensers.reconcilers.items()},
                    }
                    for name, root in roots.items():
                        tasks.create_task(_for_ever(name, root), name=name)
                    await listener.serve()
                    tasks.create_task(_for_ever("listener", listener.run()), name="listener")
                    notify("READY=1")
                    self._log.info("bayd_ready", version=bayd.__version__, bays=len(settings.bays))
                    await restart.run()
                    # As if by SIGTERM: a clean stop, and systemd starts it anew.
                    raise asyncio.CancelledError
                finally:
                    # First the doors, while the bays still answer what is under way.
                    notify("STOPPING=1")
                    parts.local_socket.close()
                    await listener.aclose()

    def _set_log_level(self, configuration: Configuration) -> None:
        set_level(self._log_level or configuration.settings.log.level)

    async def _forget_copies(self, wall_ms: int) -> int:
        directory = self._configuration.settings.state.dir
        return await asyncio.to_thread(forget_copies, directory, JOURNAL, wall_ms)

    def _keep_dispensers(self) -> None:
        """For make-safe, which must stop them also when nobody can read the configuration any more."""
        place = driven_dispensers.place_of(self._path, os.environ)
        if place is None:
            return
        try:
            driven_dispensers.keep(place, self._path, self._configuration.settings.dispensers)
        except OSError as error:
            self._log.warning("dispensers_not_kept", file=str(place), reason=error.strerror)

    def _watchdog(self, parts: "_Parts", restart: IdleRestart, reloader: Reloader) -> Watchdog:
        journal, bays = parts.journal, parts.bays.bays

        def status() -> str:
            playing = sum(task.bay.session is not None for task in bays.values())
            pending = None if restart.pending is None else f"restart pending: {restart.pending}"
            return status_line(len(bays), playing, parts.status.warning_count(), pending, reloader.refusal)

        return Watchdog(
            stalled_since=lambda: journal.stalled_since,
            status=status,
            journal_stall_s=self._configuration.settings.state.journal_stall_s,
            clock=self._clock,
            environment=os.environ,
            log=self._log,
        )

    async def _open_journal(
        self, stack: AsyncExitStack, retry: Callable[[str], None] | None
    ) -> Journal[e.Event]:
        """`retry` is told why it cannot be opened yet; without it that is an error."""
        writer, side = ThreadJournalExecutor(), ThreadJournalExecutor()
        stack.callback(side.close)
        stack.callback(writer.close)
        while True:
            try:
                journal = await self._try_journal(writer, side)
            except (JournalUnavailableError, OSError) as error:
                if retry is None or (isinstance(error, OSError) and not disk_may_come_back(error)):
                    raise
                retry(str(error))
                await asyncio.sleep(_JOURNAL_RETRY_S)
            else:
                stack.push_async_callback(journal.aclose)
                return journal

    async def _try_journal(self, writer: JournalExecutor, side: JournalExecutor) -> Journal[e.Event]:
        directory = self._configuration.settings.state.dir
        directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and directory.stat().st_uid != 0:
            # Its own user could not open what root leaves there.
            raise PermissionError(
                f"{directory} belongs to another user than root: systemctl start bayd, or be that user"
            )
        return await Journal.open(
            directory / JOURNAL,
            writer,
            BayEventCodec(),
            clock=self._clock,
            side_executor=side,
            is_deferrable=is_deferrable,
            copy_first=not self._on_trial,  # then there is one
        )

    async def _listen(self, parts: "_Parts", counts: Counts) -> Listener:
        http = self._configuration.settings.http
        addresses = check_listen(http.listen, trusted_lan=http.allow_plain_http == "trusted-lan")
        parts.feed.listen(counts.happened)
        parts.feed.listen(Chronicle(self._log, parts.session_of).happened)
        record = AuditBook(parts.journal, self._clock, self._randomness).record
        tools = ReaderPages(parts.reader_tools, record, self._log, held=parts.dispensers.held)
        calls: tuple[Served, ...] = (
            parts.api,
            parts.status,
            parts.streams,
            OutboxPage(parts.central.outbox.items),
            parts.audit,
            parts.staff,
            tools,
            CommissionPages(
                CommissionBook(self._configuration.settings.state.dir),
                lambda: tuple(parts.bays.bays),
                changes,
                version=bayd.__version__,
                configuration=lambda: digest(self._configuration),
                record=record,
                clock=self._clock,
                log=self._log,
            ),
            Metrics(counts, parts.sources()),
            *self._pages(parts, counts),
        )
        routes = [route for served in calls for route in served.routes()]
        routes.append(description_route(routes, bayd.__version__))
        app = make_app(
            routes, parts.access, self._log, meter=counts, at_stop=[parts.streams.close, tools.close]
        )
        return await Listener.bind(app, addresses, self._log, local=parts.local_socket.open())

    def _pages(self, parts: "_Parts", counts: Counts) -> "tuple[Served, ...]":
        settings = self._configuration.settings
        files = StaticFiles()
        screen = ScreenPages(
            files,
            parts.bays.bays,
            site_name=settings.site.name,
            currency=settings.site.currency,
            timezone=settings.site.timezone,
            settings=settings.screens,
        )
        frame = BoardFrame(
            files,
            site_name=settings.site.name,
            currency=settings.site.currency,
            timezone=settings.site.timezone,
            zone=settings.site.zone_for_people,
            settings=settings.staff,
        )
        board = BoardPage(frame, parts.bays, parts.views, parts.status.range_document, self._clock)
        day = DayPage(frame, parts.bays, parts.journal.plays, parts.journal.audit, self._clock)
        handover = HandoverPage(frame, parts.status.document, parts.central.outbox.items, self._clock)
        figures = FiguresPage(
            parts.devices, parts.central.section, lambda: tuple(counts.last_commits_s), self._clock
        )
        devices = DevicesPage(frame, files, figures.document)
        own = OwnSession(parts.sessions)
        return own, parts.pairing, files, screen, board, day, handover, figures, devices


class _Parts:
    """The objects of one daemon, made from the configuration."""

    def __init__(
        self,
        configuration: Configuration,
        credentials: Credentials,
        journal: Journal[e.Event],
        bays: Range,
        clock: Clock,
        randomness: Randomness,
        log: Log,
        warners: Sequence["Warner"],
    ) -> None:
        settings = configuration.settings
        self._warners = list(warners)
        self._configuration = configuration
        self.bays = bays
        self.journal = journal
        self._clock = clock
        self._transport = AiohttpTransport()
        self.readers = ReaderParts(
            ReaderPlan.of(configuration), bays, clock=clock, randomness=randomness, log=log
        )
        self.central = CentralParts(
            settings.central,
            credentials,
            journal,
            bays,
            transport=self._transport,
            horizon_ms=settings.play.booking_horizon_minutes * configuration.minute_ms,
            zone=settings.site.zone,
            ears=self.readers,
            clock=clock,
            randomness=randomness,
            log=log,
        )
        self.reader_tools = ReaderTools(self.readers, bays.get, log)
        users = {number: bay.dispenser for number, bay in settings.bays.items() if bay.dispenser is not None}
        self.dispensers = DispenserParts(settings.dispensers, users, bays, log)
        self.local_socket = LocalSocket(socket_of(settings.http, settings.state, os.environ), log)
        self.sessions = WebSessions(journal, clock, randomness)
        self.access = Access(credentials.api_tokens, self.sessions, settings.http.allowed_hosts, clock)
        tries = SignInTries(journal, _tries_of(configuration), clock)
        self.accounts = StaffAccounts(journal, credentials.site_key, tries, clock, randomness)
        self.staff = StaffPages(
            self.accounts,
            self.sessions,
            idle_ms=settings.staff.auto_lock_minutes * 60_000,
            clock=clock,
            log=log,
        )
        self.qod = QodParts(configuration, credentials, bays, clock=clock, randomness=randomness, log=log)
        self.views = BayViews(
            bays,
            clock,
            qod_state=self.qod.state,
            queue_place=self.dispensers.queue_place,
            players=self.central.news.players.of,
            games=self.central.games.listed,
        )
        self.api = BayApi(
            bays,
            journal,
            enter_pin=self.central.desk.enter,
            find_game=self.central.games.find,
            list_outbox=self.central.outbox.items,
            views=self.views,
            clock=clock,
            randomness=randomness,
            patience_s=settings.state.commit_timeout_s,
        )
        self.status = StatusPages(
            bays,
            version=bayd.__version__,
            time_scale=configuration.time_scale,
            sections={"devices": self.devices, "central": self.central.section, "qod": self.qod.section},
            warnings=self._warnings,
            stalled=self._stalled,
            views=self.views,
            clock=clock,
        )
        self.audit = AuditPage(journal.audit, settings.site.zone_for_people)
        self.feed = EventFeed(bays, journal, log)
        self.streams = EventStreams(
            bays,
            self.feed,
            views=self.views,
            range_news=self.status.range_news,
            log=log,
        )
        self.sessions.on_ended(self.streams.session_ended)
        self.pairing = Pairing(
            self.sessions,
            bays.bays,
            connected=self.streams.follows,
            clock=clock,
            randomness=randomness,
            log=log,
        )

    def session_of(self, number: str) -> str | None:
        task = self.bays.bays.get(number)
        return None if task is None or task.bay.session is None else task.bay.session.session_id

    def warn_also(self, warner: "Warner") -> None:
        self._warners.append(warner)

    def sources(self) -> Sources:
        return Sources(
            bays=self.bays,
            journal=self.journal,
            clock=self._clock,
            version=bayd.__version__,
            devices=self.devices,
            central=self.central.section,
            qod=self.qod.section,
            warnings=lambda: len(self._warnings()),
            viewers=lambda: (self.streams.viewers, self.streams.cut_off),
            sheds=lambda: {"credits": self.readers.antennas.mail.shed},
        )

    async def aclose(self) -> None:
        await self.qod.aclose()
        await self._transport.aclose()

    def devices(self) -> dict[str, Any]:
        return {**self.readers.devices(), "dispensers": self.dispensers.section()}

    def _warnings(self) -> list[dict[str, Any]]:
        parts: tuple[Warner, ...] = (
            self.central, self.readers, self.dispensers, self.qod, self.local_socket, self.staff,
            *self._warners,
        )  # fmt: skip
        warnings = [warning for part in parts for warning in part.warnings()]
        wanted = {name for number in self.bays.bays for name in self.bays.rules(number).games}
        for name in self.central.games.unknown(wanted):
            text = f"The central server has no game {name!r}: no screen offers it. See play.games."
            warnings.append({"code": "game_unknown", "since": None, "text": text})
        if self.journal.disk_full:
            text = (
                "The disk of the journal is full, or almost: balls read, games and new QoS sessions are not"
            )
            text = f"{text} recorded any more, and soon nothing can be."
            warnings.append({"code": "disk_full", "since": None, "text": text})
        if (stalled := self._stalled()) is not None:
            warnings.append(
                {"code": "journal_stalled", "since": None, "text": f"{stalled[:1].upper()}{stalled[1:]}."}
            )
        return warnings

    def _stalled(self) -> str | None:
        since_ms = self.journal.stalled_since
        if since_ms is None:
            return None
        waited_ms = self._clock.now().boot_ms - since_ms
        # Every commit waits for a moment.
        return None if waited_ms < _STALL_SHOWN_MS else f"the journal waits for the disk since {waited_ms} ms"


def digest(configuration: Configuration) -> str:
    """Tells whether two reports were made under the same settings."""
    return hashlib.sha256(configuration.settings.model_dump_json().encode()).hexdigest()


def _tries_of(configuration: Configuration) -> Rules:
    """Wrong PINs at the board are counted as at a bay's pad."""
    play = configuration.settings.play
    return Rules(
        minute_ms=configuration.minute_ms,
        pin_tries=play.pin_tries,
        pin_lock_minutes=play.pin_lock_minutes,
        pin_lock_max_minutes=play.pin_lock_max_minutes,
    )


async def _for_ever(name: str, root: Awaitable[None]) -> None:
    await root
    raise RootTaskEndedError(f"the task {name} has ended")


async def run(config: Path, log_pipe: LogPipe, log_level: str | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises ConfigurationError, JournalError, OSError."""
    configuration = load(config)
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
    async with asyncio.TaskGroup() as group:
        main = group.create_task(daemon.run(), name="daemon")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, main.cancel)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_asked.set)
