"""The central server's side of one PC, put together, and what the status says of it."""

from collections.abc import Callable, Coroutine
from datetime import UTC, tzinfo
from typing import Any, Protocol

from bayd.clients.central import (
    AntennaPair,
    BearerAuth,
    CentralAuth,
    CentralClient,
    CentralTimeouts,
    NoAuth,
    Secret,
    ServerScore,
    StaffLogin,
)
from bayd.core import events as e
from bayd.credentials import Credentials
from bayd.journal import Journal
from bayd.ports import Clock, HttpTransport, Log, Randomness
from bayd.reconcile.asked_listing import AskedListing
from bayd.reconcile.bay_state import BayStatePoster
from bayd.reconcile.bay_status import BayStatusPoster
from bayd.reconcile.bookings import BookingPoller
from bayd.reconcile.delivery import Deliveries
from bayd.reconcile.games import GameCatalogue
from bayd.reconcile.kept_listing import KeptListing
from bayd.reconcile.least_time import LeastTime
from bayd.reconcile.outbox import CentralOutbox
from bayd.reconcile.pin_vault import PinVault
from bayd.reconcile.pins import PinDesk
from bayd.reconcile.pulse import ServerPulse
from bayd.reconcile.session_news import SessionNews
from bayd.reconcile.shown_moves import ShownMoves
from bayd.reconcile.tariff import TariffWatcher
from bayd.reconcile.walk_ins import WalkInAccount
from bayd.runtime.bay import AnswerMaker, BayObserver
from bayd.runtime.range import Range
from bayd.settings import Central
from bayd.wiring.retired_bays import open_matters

_ANTENNAS_S = 60.0  # between two looks: antennas are moved by people on ladders
_SCORES_S = 300.0

AnswerOf = Callable[[str, str | None], AnswerMaker | None]


class Ears(Protocol):
    """What wants to know which antennas the server has, and what a ball at them is worth."""

    def server_says(self, pairs: tuple[AntennaPair, ...]) -> None: ...

    def has_targets(self) -> bool: ...

    def server_scores(self, scores: tuple[ServerScore, ...]) -> None: ...


def _auth(central: Central, credentials: Credentials) -> CentralAuth:
    """Without its credential nobody: the server says no, and the status says that it did."""
    token, pin = credentials.central_token, credentials.central_login_pin
    if central.auth == "bearer" and token is not None:
        return BearerAuth(Secret(token))
    if central.auth == "login" and pin is not None and central.login_phone_number is not None:
        return StaffLogin(Secret(central.login_phone_number), Secret(pin))
    return NoAuth()


class CentralParts:
    """Bookings, PINs, deliveries, status. `load` before anything runs."""

    def __init__(
        self,
        central: Central,
        credentials: Credentials,
        journal: Journal[e.Event],
        bays: Range,
        *,
        transport: HttpTransport,
        horizon_ms: int,
        ears: Ears | None = None,
        clock: Clock,
        randomness: Randomness,
        log: Log,
        zone: tzinfo | None = UTC,
    ) -> None:
        self._bays = bays
        self._clock = clock
        password = credentials.central_admin_password
        self._pulse = ServerPulse(clock)
        self.client = CentralClient(
            transport,
            central.url,
            log=log,
            auth=_auth(central, credentials),
            timeouts=CentralTimeouts(central.verify_timeout_s, central.timeout_s, central.timeout_s),
            idempotency_keys=central.idempotency_keys,
            on_done=self._done,
        )
        least_time = LeastTime(self.client, clock)
        account = central.walk_in
        self.vault = PinVault(journal, credentials.site_key, horizon_ms, clock, log)
        self.games = GameCatalogue(self.client, log)
        deliveries = Deliveries(
            self.client,
            journal,
            bays,
            walk_in=None if account is None else WalkInAccount(account.name, Secret(account.phone_number)),
            password=None if password is None else Secret(password),
            settle_s=central.settle_s,
            clock=clock,
            log=log,
        )
        self.outbox = CentralOutbox(
            deliveries,
            journal,
            bays,
            least_time,
            pulse=self._pulse,
            clock=clock,
            randomness=randomness,
            log=log,
        )
        self.news = SessionNews(self.client, bays, self.vault, self.games, least_time, log)
        self.poller = BookingPoller(
            self.client,
            bays,
            self.news,
            ShownMoves(bays, self.outbox.is_moving, clock, log),
            least_time,
            is_walk_in=deliveries.is_walk_in,
            is_selling=self.outbox.is_selling,
            poll_s=central.poll_s,
            clock=clock,
            randomness=randomness,
            log=log,
        )
        self.desk = PinDesk(
            self.client,
            self.news,
            self.vault,
            bays,
            pulse=self._pulse,
            look_again=self.poller.poke,
            has_untold_move=self.outbox.has_untold_move,
            answer_s=central.verify_timeout_s,
            randomness=randomness,
            log=log,
        )
        self.status = BayStatusPoster(self.client, journal, bays, clock=clock, randomness=randomness, log=log)
        self.tariff = TariffWatcher(
            self.client,
            bays,
            zone=zone,
            price_minutes=central.price_minutes,
            clock=clock,
            log=log,
        )
        self.state = (
            BayStatePoster(self.client, bays, clock=clock, randomness=randomness, log=log)
            if central.bay_state
            else None
        )
        self._listings: dict[str, AskedListing[Any]] = {}
        if ears is not None:
            self._listings["scores"] = AskedListing(
                self.client.scores,
                ears.server_scores,
                every_s=_SCORES_S,
                kept=KeptListing(journal, "scores", ServerScore),
                wanted=ears.has_targets,
                log=log,
            )
        if ears is not None and central.antenna_pairs:
            self._listings["antenna-pairs"] = AskedListing(
                self.client.antenna_pairs,
                ears.server_says,
                every_s=_ANTENNAS_S,
                kept=KeptListing(journal, "antenna_pairs", AntennaPair),
                log=log,
            )

    def _done(self, operation: str, *, changes: bool) -> None:
        self._pulse.beat(operation, changes=changes)
        if changes:  # not the poller's own looks
            self.poller.heard()

    @property
    def observers(self) -> list[BayObserver]:
        posters: list[BayObserver] = [self.vault, self.outbox, self.status]
        return posters if self.state is None else [*posters, self.state]

    async def load(self) -> None:
        await self.vault.load(tuple(self._bays.bays))
        await self.outbox.load()

    def roots(self, answer_of: AnswerOf) -> dict[str, Coroutine[Any, Any, None]]:
        roots = {
            "pin-vault": self.vault.run(),
            "pin-desk": self.desk.run(answer_of),
            "bookings": self.poller.run(),
            "outbox": self.outbox.run(),
            "games": self.games.run(),
            "bay-status": self.status.run(),
            "tariff": self.tariff.run(),
        }
        if self.state is not None:
            roots["bay-state"] = self.state.run()
        roots |= {name: listing.run() for name, listing in self._listings.items()}
        return roots

    def section(self) -> dict[str, Any]:
        """Of the status document."""
        outbox = self.outbox.view()
        now_ms = self._clock.now().wall_ms
        oldest = outbox.oldest_wall_ms
        return {
            "online": self.poller.view.online,
            "reason": self.poller.view.reason,
            "outbox": outbox.waiting,
            "oldest_s": None if oldest is None else max(0, now_ms - oldest) / 1000,
            "parked": outbox.parked,
            "ignored_old_sessions": self.poller.view.ignored_old,
        }

    def warnings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if not self.vault.offline_possible:
            text = "No site key: while the central server is away no PIN can be checked."
            found.append({"code": "offline_pin_off", "since": None, "text": text})
        outbox = self.outbox.view()
        if outbox.alarm:
            found.append({"code": "central_credentials", "since": None, "text": outbox.alarm})
        if outbox.parked:
            text = f"{outbox.parked} items could not be delivered to the central server."
            found.append(
                {"code": "outbox_parked", "since": None, "text": text, "facts": {"items": outbox.parked}}
            )
        for user in (self.status, self.state, *self._listings.values()):
            if user is not None and user.missing:
                text = f"The central server does not have the call {user.missing}: it is done without."
                found.append(
                    {
                        "code": "central_capability_missing",
                        "since": None,
                        "text": text,
                        "facts": {"call": user.missing},
                    }
                )
        wanted = {name for number in self._bays.bays for name in self._bays.rules(number).games}
        for name in self.games.unknown(wanted):
            text = f"The central server has no game {name!r}: no screen offers it. See play.games."
            found.append({"code": "game_unknown", "since": None, "text": text, "facts": {"game": name}})
        return found + open_matters(self._bays)
