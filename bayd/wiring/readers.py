"""The readers of one PC, put together: drivers, routes, presence, and what the status says of them."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bayd.clients.central import AntennaPair, ServerScore
from bayd.core.presence import Pit, PresenceEngine, PresenceRules, Route, Tee
from bayd.devices.readers import driver_part, line_errors, make_reader
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.antennas import AntennaReconciler, Bays
from bayd.reconcile.listening import presence_rules
from bayd.reconcile.unread_balls import UnreadBalls
from bayd.settings import Configuration
from bayd.settings.readers import Reader
from bayd.web.views import rfc3339
from bayd.wiring.reader_routes import RouteRefusal, make_routing, why_unusable
from bayd.wiring.reader_status import reader_document, reader_warnings, refusal_warnings
from hardware.rfid import ReaderLost, RfidReader

_AFTER_DEFECT_S = 10.0  # each failure is two events in the journal of its bays


class BaysHere(Bays, Protocol):
    """The range: also which bays it has."""

    @property
    def bays(self) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """What the configuration says of readers and balls."""

    readers: Mapping[str, Reader]
    registered_balls: frozenset[str] | None  # None: no registry
    registry_problem: str | None = None  # why there is none, though one is configured
    recount_after_s: int = 120
    unread_balls: int = 10
    unread_after_s: float = 180

    @classmethod
    def of(cls, configuration: Configuration) -> "ReaderPlan":
        settings = configuration.settings
        return cls(
            settings.readers,
            configuration.registered_balls,
            configuration.registry_problem,
            settings.play.recount_after_s,
            settings.balls.unread_warning_balls,
            settings.balls.unread_warning_s,
        )


class ReaderParts:
    """`antennas` and `run` are root tasks; `antennas` and `unread` want to see the bays.

    A new plan (`reload`) or word of the central server (`server_says`) holds from the next round. A reader
    is let go of and opened anew only where its line or its driver's own settings changed.
    """

    def __init__(
        self, plan: ReaderPlan, bays: BaysHere, *, clock: Clock, randomness: Randomness, log: Log
    ) -> None:
        self._plan = plan
        self._bays = bays
        self._randomness = randomness
        self._log = log
        self._pairs: dict[str, AntennaPair] = {}  # the last usable ones
        self._unusable: tuple[RouteRefusal, ...] = ()
        self._told: list[RouteRefusal] = []  # to the log
        self._routing = make_routing(plan.readers, bays.bays, self._pairs)
        self._presence = PresenceEngine(
            self._presence_routes(), plan.registered_balls or frozenset[str](), self._presence_rules()
        )
        self.antennas = AntennaReconciler(self._routing.routes, self._presence, bays, clock=clock, log=log)
        self.unread = UnreadBalls(
            self._antenna_bays(),
            balls=plan.unread_balls,
            after_ms=round(plan.unread_after_s * 1000),
            clock=clock,
            log=log,
        )
        self.drivers: dict[str, RfidReader] = {}
        self._drivers_changed = asyncio.Event()
        for name in plan.readers:
            self._make_driver(name)

    @property
    def settings(self) -> Mapping[str, Reader]:
        """Of the plan in force."""
        return self._plan.readers

    async def run(self) -> None:
        """Drive every reader, and let go of those that are no longer wanted. Until cancelled."""
        running: dict[RfidReader, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._drivers_changed.clear()
                over = [running.pop(driver) for driver in running.keys() - set(self.drivers.values())]
                for task in over:
                    task.cancel()
                if over:
                    await asyncio.wait(over)  # a port may pass from one reader to another
                for name, driver in self.drivers.items():
                    if driver not in running:
                        running[driver] = tasks.create_task(self._drive(name, driver), name=f"reader-{name}")
                await self._drivers_changed.wait()

    async def _drive(self, name: str, driver: RfidReader) -> None:
        """The one guard of a driver: a defect costs its reader a pause, and no other bay anything."""
        while True:
            try:
                await driver.run()
            except Exception as error:  # noqa: BLE001 # see above
                self._log.error("reader_failed", reader=name, exc_info=error)
                reason = f"a defect of its driver ({type(error).__name__}); the log has more"
                self.antennas.reader_event(name, ReaderLost(reason))
            await asyncio.sleep(_AFTER_DEFECT_S)

    def reload(self, plan: ReaderPlan) -> None:
        """Another configuration."""
        before, self._plan = self._plan, plan
        for name in before.readers.keys() - plan.readers.keys():
            del self.drivers[name]
            self._pairs.pop(name, None)
        self._presence.register(plan.registered_balls or frozenset[str]())
        self._reroute(anew=True)
        for name, settings in plan.readers.items():
            old = before.readers.get(name)
            if old is None or driver_part(old) != driver_part(settings):
                self._make_driver(name)
        self._drivers_changed.set()

    def server_says(self, pairs: Iterable[AntennaPair]) -> None:
        """The central server's readers and antennas; a reader that it does not name keeps what it had."""
        unusable: list[RouteRefusal] = []
        named = {name: pair for pair in pairs for name in (pair.reader_id, pair.normal_id) if name}
        for name in self._plan.readers:
            pair = named.get(name)
            complaint = "the server does not know it" if pair is None else why_unusable(pair)
            if pair is None or complaint is not None:
                unusable.append(RouteRefusal(name, None, f"{complaint}: its antennas stay as they were"))
            else:
                self._pairs[name] = pair
        self._unusable = tuple(unusable)
        self._reroute()

    def has_targets(self) -> bool:
        """Whether any antenna hangs at a target."""
        ports = (route for reader in self._routing.routes.values() for route in reader.ports.values())
        return any(isinstance(route.place, Pit) for route in ports)

    def server_scores(self, scores: Iterable[ServerScore]) -> None:
        """What a ball at each target antenna is worth in each game, by its location."""
        points: dict[str, dict[int, int]] = {}
        for score in scores:
            points.setdefault(score.antenna.location or score.antenna.name, {})[score.game_id] = score.score
        self.antennas.points = points

    def _reroute(self, *, anew: bool = False) -> None:
        """`anew`: also where nothing changed, which ends the trial of a power."""
        old_routes = self._routing.routes
        self._routing = make_routing(self._plan.readers, self._bays.bays, self._pairs)
        known, self._told = self._told, self._refused()
        for refusal in self._told:
            if refusal not in known:
                self._log.warning(
                    "antenna_route_refused", reader=refusal.reader, port=refusal.port, reason=refusal.text
                )
        if self._routing.routes != old_routes:
            self._log.info(
                "antennas_rerouted", ports=sum(len(r.ports) for r in self._routing.routes.values())
            )
        self._presence.reroute(self._presence_routes())
        self._presence.change_rules(self._presence_rules())
        self.unread.watch(
            self._antenna_bays(),
            balls=self._plan.unread_balls,
            after_ms=round(self._plan.unread_after_s * 1000),
        )
        if anew or self._routing.routes != old_routes:
            self.antennas.reroute(self._routing.routes)

    def _refused(self) -> list[RouteRefusal]:
        return [*self._unusable, *self._routing.refused]

    def _make_driver(self, name: str) -> None:
        on_event = partial(self.antennas.reader_event, name)
        driver = make_reader(self._plan.readers[name], on_event, self._randomness)
        self.antennas.attach(name, driver)
        self.drivers[name] = driver

    def _presence_routes(self) -> list[Route]:
        settings = self._plan.readers
        return [
            Route(name, port, route.place, settings[name].floor_dbm(port), settings[name].floor_raw(port))
            for name, reader in self._routing.routes.items()
            for port, route in reader.ports.items()
        ]

    def _presence_rules(self) -> PresenceRules:
        revisits_ms = (reader.revisit_ms for reader in self._routing.routes.values())
        return presence_rules(revisits_ms, self._plan.recount_after_s)

    def _antenna_bays(self) -> frozenset[str]:
        return frozenset(
            route.place.bay
            for reader in self._routing.routes.values()
            for route in reader.ports.values()
            if isinstance(route.place, Tee)
        )

    def devices(self) -> dict[str, Any]:
        """For the status: `readers`, and what presence did with their reads."""
        counters = self._presence.counters
        return {
            "readers": {
                name: {
                    **reader_document(self.antennas.view(name)),
                    "line_errors": line_errors(self.drivers.get(name)),
                }
                for name in self._plan.readers
            },
            "balls": {
                "reads": counters.reads,
                "below_floor": counters.below_floor,
                "credits_waiting": self.antennas.mail.waiting,
                "credits_shed": self.antennas.mail.shed,
                "credits_refused": self.antennas.mail.refused,
                "balls_evicted": counters.balls_evicted,
                "foreign": dict(self.antennas.strangers),
                "shots_of_nobody": self.antennas.unattributed,
            },
        }

    def warnings(self) -> list[dict[str, Any]]:
        """What staff should look at, beyond the state of single bays."""
        warnings: list[dict[str, Any]] = []
        registry_missing = self._plan.registered_balls is None
        if registry_missing and self._plan.readers:
            why = self._plan.registry_problem or "balls.registry names none"
            text = f"No ball registry ({why}): balls that are read are not counted."
            warnings.append({"code": "no_ball_registry", "since": None, "text": text})
        for name, settings in self._plan.readers.items():
            warnings += reader_warnings(name, self.antennas.view(name), settings)
        warnings += refusal_warnings(self._refused())
        if shed := self.antennas.mail.shed:
            text = f"{shed} credits of balls were lost: the journal could not take them in time."
            warnings.append({"code": "credits_shed", "since": None, "text": text, "facts": {"balls": shed}})
        for unread in () if registry_missing else self.unread.found():
            text = (
                f"{unread.balls} balls were paid out and none was read: "
                "look at the antenna, and whether these balls are registered."
            )
            since = rfc3339(unread.since_wall_ms)
            warnings.append(
                {
                    "code": "balls_not_read",
                    "since": since,
                    "text": text,
                    "facts": {"balls": unread.balls},
                    "bay": unread.bay,
                }
            )
        return warnings
