"""Listens where play is: antennas on for playing bays alone, tags in, credited balls out.

The readers' events arrive in the loop and are turned into presence at once; what the presence rules
confirm is queued and recorded bay by bay by the root task. Blind time per port is measured from the
rounds that did not come.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from bayd.core import inputs as i
from bayd.core.desired import Desired
from bayd.core.model import Bay, DeviceState
from bayd.core.presence import BallRead, ForeignTag, Outcome, PresenceEngine, Sighting
from bayd.ports import Clock, Log
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

READER = "reader"
_STAY_IN_PLAY = 2  # inventory rounds per visit: enough for the two reads that confirm a ball
_TICK_S = 0.5
_QUEUE_LIMIT = 4096


class Bays(Protocol):
    """The part of the range that is needed here."""

    async def report(self, number: str, fact: i.Input) -> object: ...

    def get(self, number: str) -> Bay: ...


@dataclass(frozen=True, slots=True)
class ReaderRoutes:
    """Which bay each port of a reader belongs to; `always` ports are read whether anybody plays or not."""

    bays: Mapping[int, str]
    always: frozenset[int]
    power_dbm: int


@dataclass(slots=True)
class _Port:
    """How long a port that should be read was not."""

    wanted_since_ms: int | None = None
    heard_ms: int | None = None  # the last round that covered it
    blind_ms: int = 0


@dataclass(frozen=True, slots=True)
class ReaderView:
    """What the status shows of a reader."""

    state: DeviceState
    reason: str
    identity: ReaderIdentity | None
    blind_ms: Mapping[int, int]
    reads: int
    rounds: int


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
        confirm: Mapping[str, Literal[1, 2]],
    ) -> None:
        self._routes = routes
        self._presence = presence
        self._bays = bays
        self._clock = clock
        self._log = log
        self._confirm = confirm
        self._readers: dict[str, RfidReader] = {}
        self._playing: set[str] = set()
        self._facts: asyncio.Queue[tuple[str, i.Input]] = asyncio.Queue(_QUEUE_LIMIT)
        self._ports = {name: {port: _Port() for port in r.bays} for name, r in routes.items()}
        self._views = {name: ReaderView(DeviceState.UNKNOWN, "", None, {}, 0, 0) for name in routes}
        self._reads = dict.fromkeys(routes, 0)
        self._rounds = dict.fromkeys(routes, 0)
        self.facts_shed = 0

    def attach(self, name: str, reader: RfidReader) -> None:
        self._readers[name] = reader
        self._plan(name)

    def bay_changed(self, bay: Bay, wish: Desired) -> None:
        if (bay.number in self._playing) == wish.antennas_on:
            return
        (self._playing.add if wish.antennas_on else self._playing.discard)(bay.number)
        for name, routes in self._routes.items():
            if bay.number in routes.bays.values():
                self._plan(name)

    def view(self, name: str) -> ReaderView:
        view = self._views[name]
        now_ms = self._clock.now().boot_ms
        blind = {number: self._blind_ms(port, now_ms) for number, port in self._ports[name].items()}
        return ReaderView(
            view.state, view.reason, view.identity, blind, self._reads[name], self._rounds[name]
        )

    def seed(self, bays: Iterable[Bay]) -> None:
        """Balls that were credited before the restart and may still lie there."""
        self._presence.seed((c.epc, bay.number, c.at_ms) for bay in bays for c in bay.credits)

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._until_due_s()):
                    number, fact = await self._facts.get()
            except TimeoutError:
                self._take(self._presence.due(self._clock.now().boot_ms))
                continue
            await self._bays.report(number, fact)

    def reader_event(self, name: str, event: ReaderEvent) -> None:
        """The callback of reader `name`: in the loop, never blocking."""
        match event:
            case TagBatch(reads):
                self._reads[name] += len(reads)
                confirm = self._confirm[name]
                sightings = [
                    Sighting(name, read.port, read.epc, read.rssi_dbm, read.rssi_raw, confirm)
                    for read in reads
                ]
                self._take(self._presence.feed(sightings, self._clock.now().boot_ms))
            case RoundEnded(ports):
                self._rounds[name] += 1
                self._round_ended(name, ports)
            case ReaderOnline(identity):
                self._views[name] = ReaderView(DeviceState.OK, "", identity, {}, 0, 0)
                self._log.info(
                    "reader_online", reader=name, family=identity.family, firmware=identity.firmware
                )
                self._report(name, DeviceState.OK, "")
            case ReaderLost(reason):
                identity_before = self._views[name].identity
                self._views[name] = ReaderView(DeviceState.LOST, reason, identity_before, {}, 0, 0)
                self._log.warning("reader_lost", reader=name, reason=reason)
                self._report(name, DeviceState.LOST, reason)
            case AntennaMissing(port):
                self._log.warning("antenna_missing", reader=name, port=port)
                self._report(name, DeviceState.LOST, f"no antenna at port {port}", {port})
            case AntennaRestored(port):
                self._log.info("antenna_restored", reader=name, port=port)
                self._report(name, DeviceState.OK, "", {port})
            case PowerRefused(port, power_dbm, reason):
                self._log.warning("power_refused", reader=name, port=port, power_dbm=power_dbm, reason=reason)

    def _plan(self, name: str) -> None:
        reader = self._readers.get(name)
        routes = self._routes[name]
        now_ms = self._clock.now().boot_ms
        ports = {port: PortPlan(routes.power_dbm) for port in routes.always}
        for port, bay in routes.bays.items():
            watch = self._ports[name][port]
            if bay in self._playing:
                ports[port] = PortPlan(routes.power_dbm, _STAY_IN_PLAY)
                if watch.wanted_since_ms is None:
                    watch.wanted_since_ms, watch.heard_ms = now_ms, None
            elif watch.wanted_since_ms is not None:
                watch.blind_ms = self._blind_ms(watch, now_ms)
                watch.wanted_since_ms = None
        if reader is not None:
            reader.set_plan(AntennaPlan(ports))

    def _round_ended(self, name: str, ports: frozenset[int]) -> None:
        now_ms = self._clock.now().boot_ms
        for number in ports:
            port = self._ports[name].get(number)
            if port is None or port.wanted_since_ms is None:
                continue
            since_ms = port.wanted_since_ms if port.heard_ms is None else port.heard_ms
            if now_ms - since_ms > _LONGEST_ROUND_MS:
                # Nobody listened meanwhile: a ball that lay there all the time must not count again.
                self._presence.was_deaf({self._routes[name].bays[number]}, since_ms, now_ms)
            port.blind_ms = self._blind_ms(port, now_ms)
            port.heard_ms = now_ms

    @staticmethod
    def _blind_ms(port: _Port, now_ms: int) -> int:
        """Gaps between rounds count as blind beyond what a full round of sixteen ports takes."""
        if port.wanted_since_ms is None:
            return port.blind_ms
        since_ms = port.wanted_since_ms if port.heard_ms is None else port.heard_ms
        gap_ms = now_ms - since_ms
        return port.blind_ms + (gap_ms if gap_ms > _LONGEST_ROUND_MS else 0)

    def _report(self, name: str, state: DeviceState, reason: str, ports: set[int] | None = None) -> None:
        bays = {bay for port, bay in self._routes[name].bays.items() if ports is None or port in ports}
        for bay in sorted(bays):
            self._queue(bay, i.DeviceReported(READER, state, reason))

    def _take(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case BallRead(bay, epc, at_ms):
                    self._queue(bay, i.BallHeard(epc, at_ms))
                case ForeignTag(place, epc):
                    self._log.info("foreign_tag_heard", place=str(place), epc=epc)
                case _:
                    self._log.info("pit_sighting", pit=outcome.pit, epc=outcome.epc, bay=outcome.bay)

    def _queue(self, bay: str, fact: i.Input) -> None:
        if self._facts.full():
            self._facts.get_nowait()
            self.facts_shed += 1
        self._facts.put_nowait((bay, fact))

    def _until_due_s(self) -> float:
        due_ms = self._presence.next_due_ms()
        if due_ms is None:
            return _TICK_S
        return min(_TICK_S, max(0.0, (due_ms - self._clock.now().boot_ms) / 1000))


_LONGEST_ROUND_MS = 1_500
