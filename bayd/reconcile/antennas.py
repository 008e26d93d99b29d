"""Listens where play is: antennas on for playing bays alone, tags in, credited balls out.

The readers' events arrive in the loop and are turned into presence at once; what the presence rules
confirm goes to its bay through `BayMail`. Returns and pits are read always, whoever plays.

Of its readers a bay knows one fact: lost, as long as any of its ports has no reader or no antenna. Blind time
and what presence must not take for an absence are measured per port by `listening`.

Routes may change at any time (`reroute`): what a port has heard stays with the place that heard it.

Nothing is read before the bays have their state: the balls that were credited before a restart are told to
presence first, or one that still lies on the tee would count again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, cast

from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.model import READER, Bay, DeviceState
from bayd.core.presence import (
    BallRead,
    ForeignTag,
    Outcome,
    PitSighting,
    Place,
    PresenceEngine,
    Sighting,
    Tee,
)
from bayd.ports import Clock, Instant, Log
from bayd.reconcile.antenna_ports import PortView, ReaderRoutes, ReaderView, told
from bayd.reconcile.bay_mail import CREDITS_LIMIT, BayMail
from bayd.reconcile.listening import PortWatch
from bayd.runtime.bay import Outcome as BayOutcome
from hardware.rfid import (
    AntennaMissing,
    AntennaPlan,
    AntennaRestored,
    PortPlan,
    PowerRefused,
    ReaderEvent,
    ReaderIdentity,
    ReaderLost,
    ReaderOnline,
    RfidReader,
    RoundEnded,
    TagBatch,
)

_TICK_S = 0.5  # asyncio's clock stops in suspend: the boot clock is read at least this often


class Bays(Protocol):
    """The part of the range that is needed here."""

    @property
    def ready(self) -> asyncio.Event: ...

    async def submit(self, number: str, request: i.Input) -> BayOutcome: ...

    def get(self, number: str) -> Bay: ...


@dataclass(eq=False, frozen=True, slots=True)
class Watcher:
    """A technician listens at these ports too, whoever plays; what they hear there is nobody's ball."""

    ports: frozenset[int]
    on_event: Callable[[ReaderEvent], None]


@dataclass(slots=True)
class _Reader:
    """One reader as it is known."""

    routes: ReaderRoutes
    watches: dict[int, PortWatch]
    driver: RfidReader | None = None
    confirm: Literal[1, 2] = 2
    state: DeviceState = DeviceState.UNKNOWN
    reason: str = ""
    since: Instant | None = None
    identity: ReaderIdentity | None = None
    # What the driver tells once is kept for ports that are not routed now, too.
    missing: dict[int, str] = field(default_factory=dict)
    refused: dict[int, tuple[int, str]] = field(default_factory=dict)  # dBm, and why
    reads: int = 0
    rounds: int = 0
    watchers: list["Watcher"] = field(default_factory=list)

    @property
    def watched(self) -> frozenset[int]:
        return frozenset(port for watcher in self.watchers for port in watcher.ports)

    def tell_watchers(self, event: ReaderEvent) -> None:
        for watcher in tuple(self.watchers):
            watcher.on_event(event)

    def why_refused(self, port: int) -> str:
        """Of the power that is wanted now."""
        power_dbm, reason = self.refused.get(port, (None, ""))
        return f"{power_dbm} dBm: {reason}" if power_dbm == self.routes.ports[port].power_dbm else ""

    def take(self, routes: ReaderRoutes, now_ms: int) -> None:
        """Other routes."""
        before, self.routes = self.routes.ports, routes
        for port in self.watches.keys() - routes.ports.keys():
            del self.watches[port]
        for port, route in routes.ports.items():
            watch = self.watches.setdefault(port, PortWatch(0, now_ms))
            watch.allow(routes.blind_after_ms)
            if port in before and before[port].place != route.place:
                watch.move(now_ms)


class AntennaReconciler:
    """All readers of the PC. `run` is a root task, beside the readers' own."""

    def __init__(
        self,
        routes: Mapping[str, ReaderRoutes],
        presence: PresenceEngine,
        bays: Bays,
        *,
        clock: Clock,
        log: Log,
        credits_limit: int = CREDITS_LIMIT,
    ) -> None:
        """`credits_limit`: how many may wait at one bay for a disk that does not answer."""
        self._presence = presence
        self._bays = bays
        self._clock = clock
        self._log = log
        self._readers: dict[str, _Reader] = {}
        self._at_tee: dict[str, list[tuple[str, int]]] = {}  # bay -> its ports
        self._playing: set[str] = set()
        self._listening = False
        self._due_ms: int | None = None  # when the run task will look at presence
        self._look = asyncio.Event()
        self.points: Mapping[str, Mapping[int, int]] = {}  # target antenna -> game -> points
        self.strangers: Counter[str] = Counter()  # foreign tags by place, each once an hour
        self.unattributed = 0  # balls in targets that no bay had lately
        self.mail = BayMail(bays, log, credits_limit=credits_limit)
        self.reroute(routes)

    def reroute(self, routes: Mapping[str, ReaderRoutes]) -> None:
        """These readers and ports from now on. A port that keeps its place keeps what is known of it."""
        now_ms = self._clock.now().boot_ms
        before = self._at_tee
        for name in self._readers.keys() - routes.keys():
            self._readers.pop(name).tell_watchers(ReaderLost("it is no longer configured"))
        for name, one in routes.items():
            if name in self._readers:
                self._readers[name].take(one, now_ms)
            else:
                watches = {port: PortWatch(one.blind_after_ms, now_ms) for port in one.ports}
                self._readers[name] = _Reader(one, watches)
        self._at_tee = {}
        for name, one in routes.items():
            for port, route in one.ports.items():
                if isinstance(route.place, Tee):
                    self._at_tee.setdefault(route.place.bay, []).append((name, port))
        for name in routes:
            self._plan(name)
        if self._listening:
            self._report(before.keys() | self._at_tee.keys())

    def attach(self, name: str, reader: RfidReader) -> None:
        """What drives reader `name` now; its events come to `reader_event`."""
        one = self._readers[name]
        confirm = cast(Literal[1, 2], reader.reads_to_confirm)
        self._readers[name] = _Reader(
            one.routes,
            one.watches,
            reader,
            confirm,
            reads=one.reads,
            rounds=one.rounds,
            watchers=one.watchers,
        )
        self._plan(name)

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        if (bay.number in self._playing) == wish.antennas_on:
            return
        (self._playing.add if wish.antennas_on else self._playing.discard)(bay.number)
        for name in {name for name, _ in self._at_tee.get(bay.number, ())}:
            self._plan(name)

    def places(self, name: str) -> dict[int, Place]:
        """What the ports of reader `name` hear. Raises KeyError."""
        return {port: route.place for port, route in self._readers[name].routes.ports.items()}

    @contextmanager
    def watched(
        self, name: str, ports: frozenset[int], on_event: Callable[[ReaderEvent], None]
    ) -> Iterator[None]:
        """Also these routed ports are read, and all that the reader tells is told to `on_event`.

        A round over all routed ports is what presence reckons with, so this takes nothing from who plays.
        """
        watcher = Watcher(ports, on_event)
        watchers = self._readers[name].watchers
        watchers.append(watcher)
        self._plan(name)
        try:
            yield
        finally:
            watchers.remove(watcher)
            if name in self._readers:
                self._plan(name)

    def try_power(self, name: str, ports: Iterable[int], power_dbm: int) -> None:
        """Until the routes are made anew: at a restart, a reload, or another word of the central server."""
        reader = self._readers[name]
        tried = {port: replace(reader.routes.ports[port], power_dbm=power_dbm) for port in ports}
        reader.routes = replace(reader.routes, ports={**reader.routes.ports, **tried})
        self._plan(name)

    def view(self, name: str) -> ReaderView:
        reader, now = self._readers[name], self._clock.now()
        since = reader.since
        lost_ms = 0 if since is None or reader.state is not DeviceState.LOST else now.boot_ms - since.boot_ms
        ports = {
            port: PortView(
                place=route.place,
                wanted=reader.watches[port].wanted,
                blind_ms=reader.watches[port].blind_ms(now.boot_ms),
                blind_now=reader.watches[port].is_blind(now.boot_ms),
                revisit_ms=reader.watches[port].revisit_ms,
                antenna_missing=reader.missing.get(port),
                power_refused=reader.why_refused(port),
            )
            for port, route in reader.routes.ports.items()
        }
        return ReaderView(
            reader.state,
            reader.reason,
            None if since is None else since.wall_ms,
            lost_ms,
            reader.identity,
            reader.reads,
            reader.rounds,
            ports,
        )

    async def run(self) -> None:
        await self._bays.ready.wait()
        bays = [self._bays.get(number) for number in self._at_tee]
        self._presence.seed((c.epc, bay.number, c.at_ms) for bay in bays for c in bay.credits)
        self._listening = True
        for name in self._readers:
            self._plan(name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.mail.run(), name="bay-mail")
            while True:
                now_ms = self._clock.now().boot_ms
                self._take(self._presence.due(now_ms))
                self._due_ms = self._presence.next_due_ms()
                self._look.clear()
                wait_s = _TICK_S if self._due_ms is None else (self._due_ms - now_ms) / 1000
                try:
                    async with asyncio.timeout(min(wait_s, _TICK_S)):
                        await self._look.wait()
                except TimeoutError:
                    pass

    def reader_event(self, name: str, event: ReaderEvent) -> None:
        """The callback of reader `name`: in the loop, never blocking."""
        if name not in self._readers:
            return  # let go of, and on its way out
        reader, now = self._readers[name], self._clock.now()
        reader.tell_watchers(event)
        match event:
            case TagBatch(every):
                reads = [read for read in every if self._counts(reader, read.port)]
                reader.reads += len(reads)
                for port in {read.port for read in reads}:
                    self._proved(reader, port, now.boot_ms)
                confirm = reader.confirm
                sightings = [
                    Sighting(name, read.port, read.epc, read.rssi_dbm, read.rssi_raw, confirm)
                    for read in reads
                ]
                self._take(self._presence.feed(sightings, now.boot_ms))
                due_ms = self._presence.next_due_ms()
                if due_ms is not None and (self._due_ms is None or due_ms < self._due_ms):
                    self._look.set()
            case RoundEnded(ports):
                reader.rounds += 1
                for port in (port for port in ports & reader.watches.keys() if self._counts(reader, port)):
                    self._proved(reader, port, now.boot_ms)
                    reader.watches[port].round_ended(now.boot_ms)
            case ReaderOnline(identity):
                if identity != reader.identity:
                    reader.refused.clear()  # another one: what it refuses is still to be seen
                reader.identity = identity
                self._log.info(
                    "reader_online", reader=name, family=identity.family, firmware=identity.firmware
                )
                self._become(name, DeviceState.OK, "", now)
            case ReaderLost(reason):
                self._log.warning("reader_lost", reader=name, reason=reason)
                self._become(name, DeviceState.LOST, reason, now)
            case AntennaMissing(port, detail):
                reader.missing[port] = detail
                self._log.warning("antenna_missing", reader=name, port=port, detail=detail)
                self._report(self._bays_of(name, port))
            case AntennaRestored(port):
                reader.missing.pop(port, None)
                self._log.info("antenna_restored", reader=name, port=port)
                self._report(self._bays_of(name, port))
            case PowerRefused(port, power_dbm, reason):
                reader.refused[port] = (power_dbm, reason)
                self._log.warning("power_refused", reader=name, port=port, power_dbm=power_dbm, reason=reason)

    def _become(self, name: str, state: DeviceState, reason: str, now: Instant) -> None:
        reader = self._readers[name]
        if state is not reader.state:
            reader.since = now
        reader.state, reader.reason = state, reason
        self._report(self._bays_of(name))

    def _bays_of(self, name: str, port: int | None = None) -> list[str]:
        routes = self._readers[name].routes.ports
        places = [route.place for number, route in routes.items() if port is None or number == port]
        return list(dict.fromkeys(place.bay for place in places if isinstance(place, Tee)))

    def _report(self, numbers: Iterable[str]) -> None:
        """What each of these bays is to know of its readers."""
        for number in numbers:
            fact = self._fact_of(number)
            if fact is not None:
                self.mail.report(number, fact)

    def _fact_of(self, number: str) -> i.DeviceReported | None:
        """None: a reader has not been heard of, and nothing worse is known."""
        if number not in self._at_tee:
            return i.DeviceReported(READER, DeviceState.UNKNOWN, "")  # its antenna was routed elsewhere
        wrong: list[str] = []
        unknown = False
        for name, port in self._at_tee[number]:
            reader = self._readers[name]
            if reader.state is DeviceState.LOST:
                wrong.append(f"reader {name}: {reader.reason}")
            elif port in reader.missing:
                detail = f" ({reader.missing[port]})" if reader.missing[port] else ""
                wrong.append(f"reader {name}: no antenna at port {port}{detail}")
            unknown |= reader.state is DeviceState.UNKNOWN
        if wrong:
            return i.DeviceReported(READER, DeviceState.LOST, "; ".join(dict.fromkeys(wrong)))
        return None if unknown else i.DeviceReported(READER, DeviceState.OK, "")

    def _plan(self, name: str) -> None:
        """What the reader is to do now."""
        if not self._listening:
            return
        reader, now_ms = self._readers[name], self._clock.now().boot_ms
        ports: dict[int, PortPlan] = {}
        for port, route in reader.routes.ports.items():
            wanted = not isinstance(route.place, Tee) or route.place.bay in self._playing
            if wanted:
                reader.watches[port].want(now_ms)
            else:
                reader.watches[port].rest(now_ms)
            if wanted or port in reader.watched:
                ports[port] = PortPlan(route.power_dbm, reader.routes.stay)
        if reader.driver is not None:
            reader.driver.set_plan(AntennaPlan(ports))

    def _counts(self, reader: _Reader, port: int) -> bool:
        """Not what is heard for a watcher alone: at a bay where nobody plays."""
        watch = reader.watches.get(port)
        return watch is None or watch.wanted or port not in reader.watched

    def _proved(self, reader: _Reader, port: int, now_ms: int) -> None:
        """Somebody listens at this port. A ball that lay there before, unheard, must not count again."""
        watch = reader.watches.get(port)
        since_ms = None if watch is None else watch.proved(now_ms)
        place = None if since_ms is None else reader.routes.ports[port].place
        if since_ms is not None and isinstance(place, Tee):
            self._presence.was_deaf({place.bay}, since_ms, now_ms)

    def _take(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case BallRead(bay, epc, at_ms):
                    self.mail.credit(bay, i.BallHeard(epc, at_ms))
                case ForeignTag(place, epc):
                    self.strangers[told(place)] += 1
                    self._log.info("foreign_tag_heard", place=told(place), epc=epc)
                case PitSighting(pit, epc, None):
                    self.unattributed += 1
                    self._log.info("pit_sighting_unattributed", pit=pit, epc=epc)
                case PitSighting(pit, epc, bay, at_ms) if bay is not None:
                    self.mail.credit(bay, i.BallInPit(epc, pit, at_ms, self.points.get(pit, {})))
