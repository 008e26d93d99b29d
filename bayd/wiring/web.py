"""All that people and programs see and press, put together: calls, pages, who may, and the listener."""

import hashlib
import os
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import bayd
from bayd.core import events as e
from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.journal import Journal
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.chronicle import Chronicle
from bayd.runtime.range import Range
from bayd.settings import Configuration
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
from bayd.wiring.driven import DrivenParts
from bayd.wiring.reader_tools import ReaderTools
from bayd.wiring.warnings import Warner, Warnings


class Served(Protocol):
    """Something that answers calls."""

    def routes(self) -> list[Route]: ...


class WebParts:
    """`load` before anything runs; `roots` are root tasks; `bind` once the bays know where they are."""

    def __init__(
        self,
        configuration: Configuration,
        credentials: Credentials,
        journal: Journal[e.Event],
        bays: Range,
        driven: DrivenParts,
        counts: Counts,
        warners: Sequence[Warner],
        *,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        """`warners`: what else may have something to warn of."""
        settings = configuration.settings
        self._configuration = configuration
        self._journal = journal
        self._bays = bays
        self._driven = driven
        self._counts = counts
        self._clock = clock
        self._log = log
        self._local_socket = LocalSocket(socket_of(settings.http, settings.state, os.environ), log)
        self._sessions = WebSessions(journal, clock, randomness)
        self._access = Access(credentials.api_tokens, self._sessions, settings.http.allowed_hosts, clock)
        tries = SignInTries(journal, _tries_of(configuration), clock)
        self._accounts = StaffAccounts(journal, credentials.site_key, tries, clock, randomness)
        self._staff = StaffPages(
            self._accounts,
            self._sessions,
            idle_ms=settings.staff.auto_lock_minutes * 60_000,
            clock=clock,
            log=log,
        )
        self._views = BayViews(
            bays,
            clock,
            qod_state=driven.qod.state,
            queue_place=driven.dispensers.queue_place,
            players=driven.central.news.players.of,
            games=driven.central.games.listed,
        )
        self.api = BayApi(
            bays,
            journal,
            enter_pin=driven.central.desk.enter,
            find_game=driven.central.games.find,
            list_outbox=driven.central.outbox.items,
            views=self._views,
            clock=clock,
            randomness=randomness,
            patience_s=settings.state.commit_timeout_s,
        )
        self._warnings = Warnings(
            (
                driven.central, driven.readers, driven.dispensers, driven.qod, self._local_socket,
                self._staff, *warners,
            ),
            journal,
            clock,
            log,
        )  # fmt: skip
        self.status = StatusPages(
            bays,
            version=bayd.__version__,
            time_scale=configuration.time_scale,
            sections={
                "devices": driven.devices,
                "central": driven.central.section,
                "qod": driven.qod.section,
            },
            warnings=self._warnings.all,
            stalled=self._warnings.stalled,
            views=self._views,
            clock=clock,
        )
        self._feed = EventFeed(bays, journal, log)
        self._feed.listen(counts.happened)
        self._feed.listen(Chronicle(log, self._session_of).happened)
        self._streams = EventStreams(
            bays,
            self._feed,
            views=self._views,
            range_news=self.status.range_news,
            log=log,
        )
        self._sessions.on_ended(self._streams.session_ended)
        self._pairing = Pairing(
            self._sessions,
            bays.bays,
            connected=self._streams.follows,
            clock=clock,
            randomness=randomness,
            log=log,
        )
        self._record = AuditBook(journal, clock, randomness).record
        self._reader_pages = ReaderPages(
            ReaderTools(driven.readers, bays.get, log), self._record, log, held=driven.dispensers.held
        )

    async def load(self) -> None:
        await self._sessions.load()
        await self._accounts.load()

    def roots(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "event-feed": self._feed.run(),
            "event-streams": self._streams.run(),
            "web-sessions": self._sessions.run(),
        }

    async def bind(self) -> Listener:
        """The listener of all calls, which answers nobody yet. Raises OSError, ListenRefusedError."""
        http = self._configuration.settings.http
        addresses = check_listen(http.listen, trusted_lan=http.allow_plain_http == "trusted-lan")
        routes = [route for served in (*self._calls(), *self._pages()) for route in served.routes()]
        routes.append(description_route(routes, bayd.__version__))
        app = make_app(
            routes,
            self._access,
            self._log,
            meter=self._counts,
            at_stop=[self._streams.close, self._reader_pages.close],
        )
        local = self._local_socket.open()
        listener = await Listener.open(app, addresses, self._log, local=local, serves=False)
        self._warnings.add(listener)
        return listener

    def close(self) -> None:
        """The door on this machine; the listener has the others."""
        self._local_socket.close()

    def _calls(self) -> tuple[Served, ...]:
        settings = self._configuration.settings
        return (
            self.api,
            self.status,
            self._streams,
            OutboxPage(self._driven.central.outbox.items),
            AuditPage(self._journal.audit, settings.site.zone_for_people),
            self._staff,
            self._reader_pages,
            CommissionPages(
                CommissionBook(settings.state.dir),
                lambda: tuple(self._bays.bays),
                changes,
                version=bayd.__version__,
                configuration=lambda: _digest(self._configuration),
                record=self._record,
                clock=self._clock,
                log=self._log,
            ),
            Metrics(self._counts, self._sources()),
            OwnSession(self._sessions),
            self._pairing,
        )

    def _pages(self) -> tuple[Served, ...]:
        settings = self._configuration.settings
        files = StaticFiles()
        screen = ScreenPages(
            files,
            self._bays.bays,
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
        figures = FiguresPage(
            self._driven.devices,
            self._driven.central.section,
            lambda: tuple(self._counts.last_commits_s),
            lambda: self._journal.health.waiting,
            self._clock,
        )
        return (
            files,
            screen,
            BoardPage(frame, self._bays, self._views, self.status.range_document, self._clock),
            DayPage(frame, self._bays, self._journal.plays, self._journal.audit, self._clock),
            HandoverPage(
                frame,
                self.status,
                self._driven.central.outbox.items,
                self._journal.payments,
                self._clock,
            ),
            figures,
            DevicesPage(frame, files, figures.document),
        )

    def _sources(self) -> Sources:
        return Sources(
            bays=self._bays,
            journal=self._journal,
            clock=self._clock,
            version=bayd.__version__,
            devices=self._driven.devices,
            central=self._driven.central.section,
            qod=self._driven.qod.section,
            warnings=lambda: len(self._warnings.all()),
            viewers=lambda: (self._streams.viewers, self._streams.cut_off),
            sheds=lambda: {"credits": self._driven.readers.antennas.mail.shed},
        )

    def _session_of(self, number: str) -> str | None:
        task = self._bays.bays.get(number)
        return None if task is None or task.bay.session is None else task.bay.session.session_id


def _digest(configuration: Configuration) -> str:
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
