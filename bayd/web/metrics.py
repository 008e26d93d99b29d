"""`/metrics` for Prometheus: what the daemon counts, and what it finds when it is asked.

Labels are bays, devices and words of ours, so their number is bounded; nothing here tells who plays. Events
are counted from the journal's feed and begin at zero with the process.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from bayd.core import events as e
from bayd.core.model import PayoutEnd, Phase
from bayd.core.qos_lease import STATE_NAMES
from bayd.journal import Journal, Recorded
from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.web.access import Caller
from bayd.web.documents import CentralSection, DevicesSection
from bayd.web.routes import Answer, Route
from bayd.web.sparing import Sparing

_COMMIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LATE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # an end is late by 1 s at most
_LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FORMATS = ("text/plain", "application/openmetrics-text")
_COMMITS_KEPT = 100
_SECONDS = "seconds"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Metric = GaugeMetricFamily | CounterMetricFamily


class Counts:
    """What is counted as it happens. Implements `BayMeter` and `HttpMeter`; listens to the feed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"bayd_{name}", text, labels, registry=self.registry)

        self._sessions_started = counter(
            "sessions_started", "Sessions of play that started, by how.", "bay", "started_by"
        )
        self._sessions_ended = counter("sessions_ended", "Sessions of play that ended.", "bay", "reason")
        self._pins = counter(
            "pin_attempts", "PINs entered: accepted, refused, or not checked.", "bay", "outcome"
        )
        self._payouts = counter("payouts", "Payouts that were closed.", "bay", "outcome")
        self._balls_paid = counter("balls_paid", "Balls that left the machine.", "bay")
        self._balls_unknown = counter("balls_unknown", "Balls that may have left the machine.", "bay")
        self._balls_read = counter("balls_read", "Balls credited by RFID.", "bay")
        self._conflicts = counter(
            "conflicts", "Contradictions between the bay and the central server.", "bay"
        )
        self._expired = counter("intents_expired", "Acts recorded too late, and not done.", "bay")
        self._shed = counter("requests_shed", "Acts turned away: too many waited, or too long.", "bay")
        self._requests = counter("http_requests", "Requests answered.", "route", "method", "code")

        def histogram(name: str, text: str, buckets_s: tuple[float, ...]) -> Histogram:
            return Histogram(f"bayd_{name}", text, buckets=buckets_s, unit=_SECONDS, registry=self.registry)

        self._commits = histogram(
            "journal_commit_seconds", "From a decision until it is durable.", _COMMIT_BUCKETS_S
        )
        self._timers = histogram(
            "timer_late_seconds",
            "From a bay's deadline (warning, end, lock) until it was acted on.",
            _LATE_BUCKETS_S,
        )
        self._loop_lag = histogram(
            "loop_lag_seconds",
            "How late the daemon's loop turned, looked at four times a second.",
            _LAG_BUCKETS_S,
        )
        self._request_s = histogram(
            "http_request_seconds", "From a request's head until its answer.", _REQUEST_BUCKETS_S
        )
        self.last_commits_s: deque[float] = deque(maxlen=_COMMITS_KEPT)
        self._paid_so_far: dict[str, tuple[str, int]] = {}  # bay -> payout, balls

    def committed(self, _bay: str, took_s: float) -> None:
        self._commits.observe(took_s)
        self.last_commits_s.append(took_s)

    def timer_came(self, _bay: str, late_s: float) -> None:
        self._timers.observe(late_s)

    def loop_turned(self, late_s: float) -> None:
        self._loop_lag.observe(late_s)

    def shed(self, bay: str) -> None:
        self._shed.labels(bay).inc()

    def answered(self, route: str, method: str, status: int, took_s: float | None) -> None:
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        if took_s is not None:
            self._request_s.observe(took_s)

    def happened(self, recorded: Recorded[e.Event]) -> None:
        bay = recorded.bay
        match recorded.event:
            case e.SessionStarted(started_by=started_by):
                self._sessions_started.labels(bay, started_by.value).inc()
            case e.SessionEnded(reason=reason):
                self._sessions_ended.labels(bay, reason.value).inc()
            case e.PinAccepted():
                self._pins.labels(bay, "accepted").inc()
            case e.PinRefused():
                self._pins.labels(bay, "refused").inc()
            case e.PinCheckFailed():
                self._pins.labels(bay, "not_checked").inc()
            case e.BallsPaid(payout_id=payout_id, paid=paid):
                self._paid(bay, payout_id, paid)
            case e.PayoutClosed(payout_id=payout_id, end=end, paid=paid, unknown=unknown):
                self._paid(bay, payout_id, paid)
                self._balls_unknown.labels(bay).inc(unknown)
                self._payouts.labels(bay, end.value).inc()
            case e.BallRead():
                self._balls_read.labels(bay).inc()
            case e.ConflictSeen():
                self._conflicts.labels(bay).inc()
            case e.IntentExpired():
                self._expired.labels(bay).inc()
            case _:
                pass

    def _paid(self, bay: str, payout_id: str, paid: int) -> None:
        """The events say how many of a payout are out in all."""
        before_id, before = self._paid_so_far.get(bay, ("", 0))
        self._balls_paid.labels(bay).inc(max(0, paid - (before if before_id == payout_id else 0)))
        self._paid_so_far[bay] = (payout_id, paid)

    def begin(self, bays: Iterable[str]) -> None:
        """Make the series that matter for alarms, so that the first failure is seen as one."""
        for bay in bays:
            for outcome in ("accepted", "refused", "not_checked"):
                self._pins.labels(bay, outcome)
            for end in PayoutEnd:
                self._payouts.labels(bay, end.value)
            for one in (self._balls_paid, self._balls_read, self._balls_unknown, self._shed, self._expired):
                one.labels(bay)


@dataclass(frozen=True, slots=True)
class Sources:
    """What is looked at when Prometheus asks."""

    bays: Range
    journal: Journal[Any]
    clock: Clock
    version: str
    devices: Callable[[], Mapping[str, Any]]  # as in the status
    central: Callable[[], Mapping[str, Any]]
    qod: Callable[[], Mapping[str, Any]]
    warnings: Callable[[], int]
    viewers: Callable[[], tuple[int, int]]  # open streams, streams cut off so far
    sheds: Callable[[], Mapping[str, int]]  # queue -> how many things it shed so far


class Metrics:
    """The page. `counts` are fed by others, `sources` are asked."""

    def __init__(self, counts: Counts, sources: Sources) -> None:
        counts.begin(sources.bays.bays)
        counts.registry.register(_Findings(sources))
        ProcessCollector(registry=counts.registry)
        # Our names are plain: how others would have to be escaped makes no further format.
        self._plain = Sparing(partial(exposition.generate_latest, counts.registry))
        self._open = Sparing(partial(openmetrics.generate_latest, counts.registry))

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/metrics",
                self.show,
                "Figures for Prometheus; nothing personal",
                {HTTPStatus.OK: Answer("Prometheus' format, as asked for", media_types=_FORMATS)},
            )
        ]

    async def show(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        _, wanted = exposition.choose_encoder(",".join(request.headers.getall("Accept", [])))
        is_open = wanted.startswith("application/openmetrics-text")
        made = self._open if is_open else self._plain
        content_type = openmetrics.CONTENT_TYPE_LATEST if is_open else exposition.CONTENT_TYPE_LATEST
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        response = web.Response(body=made.get(), headers=headers)
        response.enable_compression()
        return response


class _Findings(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        yield from self._bays()
        yield from self._devices()
        yield from self._central()
        yield from self._qod()
        yield from self._journal()
        yield from self._service()

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before somebody wants to know."""
        return ()

    def _bays(self) -> Iterable[Metric]:
        phases = _gauge("bay_phase", "1 for the phase that the bay is in.", "bay", "phase")
        devices = _gauge(
            "bay_device_ok", "1 while the bay's device works; 0 lost, failed or unknown.", "bay", "device"
        )
        locked = _gauge("bay_pin_failures", "Wrong PINs in a row at the bay's pad.", "bay")
        for number, task in self._sources.bays.bays.items():
            for phase in Phase:
                phases.add_metric([number, phase.value], float(task.bay.phase is phase))
            for name, fact in sorted(task.bay.devices.items()):
                devices.add_metric([number, name], float(fact.state == "ok"))
            locked.add_metric([number], task.bay.pad.failures)
        yield from (phases, devices, locked)

    def _devices(self) -> Iterable[Metric]:
        section = DevicesSection.model_validate(self._sources.devices())
        up = _gauge("reader_up", "1 while the reader answers.", "reader")
        reads = _counter("reader_reads", "Tags read, before any counting rule.", "reader")
        rounds = _counter("reader_rounds", "Rounds over the antennas.", "reader")
        blind = _counter(
            "reader_blind_seconds", "Time in play without a round at an antenna.", "reader", "port"
        )
        revisit = _gauge(
            "reader_revisit_seconds", "The longest of the last times between two visits.", "reader", "port"
        )
        listening = _gauge("reader_port_listening", "1 while the antenna is listened to.", "reader", "port")
        for name, reader in section.readers.items():
            up.add_metric([name], float(reader.state == "ok"))
            reads.add_metric([name], reader.reads)
            rounds.add_metric([name], reader.rounds)
            for port, blind_s in reader.blind_s.items():
                blind.add_metric([name, port], blind_s)
            for port, shown in reader.ports.items():
                listening.add_metric([name, port], float(shown.listening))
                if shown.revisit_s is not None:
                    revisit.add_metric([name, port], shown.revisit_s)
        machine_up = _gauge("dispenser_up", "1 while the ball dispenser works.", "dispenser")
        queue = _gauge("dispenser_queue", "Bays that wait at the dispenser.", "dispenser")
        for name, machine in section.dispensers.items():
            machine_up.add_metric([name], float(machine.state == "ok"))
            queue.add_metric([name], len(machine.queue))
        yield from (up, reads, rounds, blind, revisit, listening, machine_up, queue)

    def _central(self) -> Iterable[Metric]:
        central = CentralSection.model_validate(self._sources.central())
        yield _one("central_online", "1 while the central server answers.", float(central.online))
        yield _one("outbox_events", "Events that wait for delivery to the central server.", central.outbox)
        yield _one("outbox_oldest_seconds", "How long the oldest of them waits.", central.oldest_s or 0.0)
        yield _one("outbox_parked", "Events set aside after refusals: staff decide.", central.parked)

    def _qod(self) -> Iterable[Metric]:
        """Low latency for the screens; nothing, where it is off."""
        section = self._sources.qod()
        if section["state"] == "off":
            return
        yield _one(
            "qod_up", "1 while the mobile operator answers and knows us.", float(section["state"] == "ok")
        )
        bays = _gauge("qod_bays", "Bays by the state of their QoS session.", "state")
        for state in ("off", *STATE_NAMES):
            bays.add_metric([state], section["states"].get(state, 0))
        yield bays
        yield _one("qod_today_sessions", "QoS sessions asked for today.", section["sessions_today"])
        yield _one("qod_today_seconds", "What they cost today, at most.", section["minutes_today"] * 60)
        yield _one("qod_orphans", "Sessions that may run and whose id is lost.", len(section["orphans"]))

    def _journal(self) -> Iterable[Metric]:
        health = self._sources.journal.health
        since_ms = health.stalled_since_boot_ms
        stalled_s = 0.0 if since_ms is None else (self._sources.clock.now().boot_ms - since_ms) / 1000
        yield _one("journal_stalled_seconds", "How long the oldest call waits for the disk.", stalled_s)
        yield _one("journal_waiting", "Calls that wait for the disk.", health.waiting)
        yield _one("journal_disk_full", "1 while the disk is full.", float(health.disk_full))
        yield _one(
            "journal_last_event", "Number of the newest durable event.", self._sources.journal.last_seq
        )
        recoveries = _counter("journal_recoveries", "Times the database was reopened after an error.")
        recoveries.add_metric([], health.recoveries)
        yield recoveries

    def _service(self) -> Iterable[Metric]:
        open_streams, cut_off = self._sources.viewers()
        yield _one("event_streams", "Open event streams.", open_streams)
        streams = _counter("event_streams_cut_off", "Event streams whose viewer stopped reading.")
        streams.add_metric([], cut_off)
        sheds = _counter("queue_sheds", "Things that a full queue dropped.", "queue")
        for queue, count in sorted(self._sources.sheds().items()):
            sheds.add_metric([queue], count)
        yield from (streams, sheds)
        yield _one("warnings", "Warnings in the status.", self._sources.warnings())
        build = _gauge("build_info", "1; the version is the label.", "version")
        build.add_metric([self._sources.version], 1.0)
        yield build


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"bayd_{name}", text, labels=labels, unit=_unit(name))


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"bayd_{name}", text, labels=labels, unit=_unit(name))


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"bayd_{name}", text, value=value, unit=_unit(name))


def _unit(name: str) -> str:
    return _SECONDS if name.endswith(f"_{_SECONDS}") else ""
