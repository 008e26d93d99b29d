"""The mobile operator's part of the daemon, put together: client, keepers, and what the status says of them.

Without the table `[qod]`, or without its credentials, it is off: bays play on without, and a warning says
what is missing.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from bayd.clients.transport import AiohttpTransport
from bayd.core.desired import Desired
from bayd.core.instant import Instant
from bayd.core.model import Bay
from bayd.core.qos_words import Trouble
from bayd.credentials import Credentials
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.qod import OFF, BayLine, BayTrouble, QodReconciler, leases_left
from bayd.reconcile.qod_book import Bays
from bayd.reconcile.qod_flow import QodUnusableError, flow_of, make_client, terms_of
from bayd.reconcile.qod_keeper import Tools
from bayd.reconcile.qod_purse import Purse
from bayd.reconcile.qod_sink import EventSink, SinkTokens
from bayd.settings import Configuration, Qod, QodWebhook
from bayd.settings.listening import check_listen
from bayd.web.listener import Listener
from bayd.web.qod_events import make_webhook_app

_SESSIONS_PER_BAY = 100  # a day; several times what a busy bay needs
_MINUTES_PER_BAY = 24 * 60


class RangeOfBays(Bays, Protocol):
    @property
    def ready(self) -> asyncio.Event: ...


class QodParts:
    def __init__(
        self,
        configuration: Configuration,
        credentials: Credentials,
        bays: RangeOfBays,
        *,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._bays = bays
        self._numbers = tuple(configuration.settings.bays)
        self._clock = clock
        self._transport = AiohttpTransport()
        self._unusable = ""
        self._reconciler: QodReconciler | None = None
        self._webhook: _Webhook | None = None
        self._purse: Purse | None = None
        qod = configuration.settings.qod
        self._dialect = "" if qod is None else qod.dialect
        if qod is None:
            return
        try:
            client = make_client(qod, credentials, self._transport, clock=clock, randomness=randomness)
        except QodUnusableError as error:
            self._unusable = str(error)
            log.warning("qod_off", reason=str(error))
            return
        lines = _lines(configuration, qod)
        tokens = None
        if qod.webhook is not None:
            tokens = SinkTokens(qod.webhook.url, _webhook_secret(credentials, randomness))
        webhook = None if tokens is None else tokens.webhook
        self._purse = _purse(configuration, qod, clock)
        tools = Tools(self._purse, clock, randomness, log, webhook)
        self._reconciler = QodReconciler(
            client.session, lambda: client.circuit, lines, bays, tools, bays.ready
        )
        if qod.webhook is not None and tokens is not None:
            sink = EventSink(tokens, self._reconciler.poke, log)
            addresses = webhook_addresses(configuration, qod.webhook)
            self._webhook = _Webhook(sink, addresses, clock, log)

    async def run(self) -> None:
        if self._reconciler is None:
            await asyncio.Event().wait()
            return
        async with asyncio.TaskGroup() as tasks:
            if self._webhook is not None:
                tasks.create_task(self._webhook.run(), name="qod-webhook")
            await self._reconciler.run()

    def reload(self, configuration: Configuration) -> None:
        """The switch of each bay and the day's limits; anything else wants a restart."""
        settings = configuration.settings
        if self._reconciler is None or self._purse is None or settings.qod is None:
            return
        for number, bay in settings.bays.items():
            self._reconciler.switch(number, enabled=bay.qod is not None and bay.qod.enabled)
        self._purse.max_sessions, self._purse.max_seconds = _limits(configuration, settings.qod)

    async def aclose(self) -> None:
        await self._transport.aclose()

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        if self._reconciler is not None:
            self._reconciler.bay_changed(bay, wish)

    def state(self, number: str) -> str:
        """For the bay's view."""
        return OFF if self._reconciler is None else self._reconciler.state(number)

    def section(self) -> dict[str, Any]:
        """For the status."""
        if self._reconciler is None:
            return {"state": OFF, "reason": self._unusable}
        view = self._reconciler.view()
        state, reason = "ok", ""
        if any(trouble.trouble is Trouble.CREDENTIALS for trouble in view.troubles):
            state, reason = "credentials", "the operator does not accept the credentials"
        elif view.circuit != "closed":
            state, reason = "unreachable", "the operator failed too often just now"
        now = self._clock.now()
        return {
            "state": state,
            "reason": reason,
            "dialect": self._dialect,
            "breaker": view.circuit,
            "sessions_today": view.sessions_today,
            "minutes_today": round(view.seconds_today / 60, 1),
            "max_sessions_per_day": view.max_sessions,
            "max_minutes_per_day": None if view.max_seconds is None else view.max_seconds // 60,
            "states": dict(view.states),
            "orphans": [
                {"bay": trouble.bay, "ends_in_s": _left_s(trouble, now)}
                for trouble in view.troubles
                if trouble.trouble is Trouble.ORPHAN
            ],
            "unrecorded": view.unrecorded,
            "webhook": None if self._webhook is None else self._webhook.section(),
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[dict[str, Any]]:
        if self._unusable:
            return [
                _warning("qod_unusable", f"No low latency for any screen: {self._unusable}."),
                *self._left(),
            ]
        if self._reconciler is None:
            return self._left()
        view = self._reconciler.view()
        warnings = [_warning_of(trouble) for trouble in view.troubles]
        for number in view.not_ended:
            text = "its session runs on at the operator, which does not end it."
            warnings.append(_warning("qod_not_ended", text, number))
        if view.circuit != "closed":
            text = "The mobile operator does not answer: screens that begin now get no low latency."
            warnings.append(_warning("qod_operator_away", text))
        if self._webhook is not None and self._webhook.trouble:
            text = f"Events of the mobile operator cannot arrive: {self._webhook.trouble}. It is polled."
            warnings.append(_warning("qod_webhook_off", text))
        return warnings

    def _left(self) -> list[dict[str, Any]]:
        """It was switched off while sessions ran: nobody here can end them."""
        if not self._bays.ready.is_set():
            return []
        left = leases_left({number: self._bays.get(number) for number in self._numbers})
        if not left:
            return []
        text = (
            f"QoS sessions of bays {', '.join(left)} may run on at the operator until they expire; "
            "put [qod] and its credentials back, and they are ended."
        )
        return [_warning("qod_sessions_left", text)]


class _Webhook:
    """The operator's door. Where it cannot be opened, bays have their low latency all the same."""

    def __init__(self, sink: EventSink, addresses: list[tuple[str, int]], clock: Clock, log: Log) -> None:
        self._sink = sink
        self._addresses = addresses
        self._clock = clock
        self._log = log
        self._refused = ""
        self._listener: Listener | None = None

    @property
    def trouble(self) -> str:
        if self._listener is not None and self._listener.absent:
            return f"this machine has no address {self._listener.absent[0]} (qod.webhook.listen)"
        return self._refused

    async def run(self) -> None:
        app = make_webhook_app(self._sink, self._clock, self._log)
        try:
            listener = await Listener.open(app, self._addresses, self._log)
        except OSError as error:
            self._refused = f"qod.webhook.listen cannot be opened ({error.strerror})"
            self._log.warning("qod_webhook_off", reason=self._refused)
            return
        self._listener = listener
        try:
            await listener.run()
        finally:
            await listener.aclose()

    def section(self) -> dict[str, Any]:
        ports = () if self._listener is None else self._listener.ports
        return {"ports": list(ports), **asdict(self._sink.counts)}


def webhook_addresses(configuration: Configuration, webhook: QodWebhook) -> list[tuple[str, int]]:
    """Raises ListenRefusedError."""
    trusted_lan = configuration.settings.http.allow_plain_http == "trusted-lan"
    return check_listen([webhook.listen], trusted_lan=trusted_lan, key="qod.webhook.listen")


def _webhook_secret(credentials: Credentials, randomness: Randomness) -> bytes:
    """Without a site key tokens die with the process: then events of sessions from before it are refused."""
    if credentials.site_key is not None:
        return credentials.site_key
    return hashlib.sha256((randomness.new_id() + randomness.new_id()).encode()).digest()


def _lines(configuration: Configuration, qod: Qod) -> Mapping[str, BayLine]:
    lines = {}
    for number, bay in configuration.settings.bays.items():
        flow = None if bay.qod is None else flow_of(number, qod, bay.qod)
        terms = terms_of(qod, flow, configuration.time_scale)
        lines[number] = BayLine(terms, flow, enabled=bay.qod is not None and bay.qod.enabled)
    return lines


def _purse(configuration: Configuration, qod: Qod, clock: Clock) -> Purse:
    sessions, seconds = _limits(configuration, qod)
    timezone = configuration.settings.site.zone_for_people
    return Purse(clock, timezone, max_sessions=sessions, max_seconds=seconds)


def _limits(configuration: Configuration, qod: Qod) -> tuple[int, int]:
    """Sessions and seconds in a day."""
    bays = configuration.settings.bays.values()
    screens = sum(bay.qod is not None and bay.qod.enabled for bay in bays)
    sessions, minutes = qod.max_sessions_per_day, qod.max_minutes_per_day
    return (
        _SESSIONS_PER_BAY * screens if sessions is None else sessions,
        60 * (_MINUTES_PER_BAY * screens if minutes is None else minutes),
    )


def _left_s(trouble: BayTrouble, now: Instant) -> float:
    return 0.0 if trouble.until_ms is None else max(0, trouble.until_ms - now.boot_ms) / 1000


def _warning_of(trouble: BayTrouble) -> dict[str, Any]:
    bay, text = trouble.bay, trouble.text
    match trouble.trouble:
        case Trouble.ORPHAN:
            return _warning("qod_orphan", text, bay)
        case Trouble.CONFLICT:
            return _warning("qod_conflict", text, bay)
        case Trouble.CREDENTIALS:
            return _warning("qod_credentials", text, bay)
        case Trouble.COST_CAP:
            return _warning("qod_cost_cap", text, bay)
        case Trouble.REFUSED:
            return _warning("qod_refused", text, bay)
        case Trouble.TERMINATED_TOO_OFTEN | Trouble.STUCK_TOO_OFTEN:
            return _warning("qod_unstable", text, bay)


def _warning(code: str, text: str, bay: str = "") -> dict[str, Any]:
    shown = f"Bay {bay}: {text}" if bay else text
    return {"code": code, "since": None, "text": shown, "facts": {"bay": bay, "reason": text}}
