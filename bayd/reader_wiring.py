"""The readers of one PC, put together: drivers, routes, presence, and what the status says of them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bayd.core.model import DeviceState
from bayd.core.presence import BallReturn, Pit, Place, PresenceEngine, Route, Tee
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.antennas import (
    AntennaReconciler,
    Bays,
    PortRoute,
    PortView,
    ReaderRoutes,
    ReaderView,
    told,
)
from bayd.reconcile.listening import presence_rules
from bayd.reconcile.unread_balls import UnreadBalls
from bayd.settings.readers import PIT, RETURN, USUAL_BAUD, Reader, Region
from hardware.link import opener_for
from hardware.rfid import ReaderEvent, RfidReader
from hardware.rfid.r2000_commands import FastSwitchForm
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import PowerMode, R2000Settings
from hardware.rfid.uhf288_reader import Uhf288Reader
from hardware.rfid.uhf288_settings import Uhf288Settings

_R2000_INVENTORY_MS = 60  # on one port: 17 to 29 a second are seen, the watchdog grants 60 ms
_READS_TO_CONFIRM = {"r2000_a0": 2, "uhfreader288": 1}
# Within each region: where antennas are measured.
_R2000_PROBE_INDEX = {Region.ETSI: 3, Region.INDIA: 2, Region.FCC: 33}  # 866.5, 866.0, 915.0 MHz
_UHF288_PROBE_KHZ = {Region.ETSI: 866_300, Region.INDIA: 866_300, Region.FCC: 915_000}


def make_reader(
    settings: Reader, on_event: Callable[[ReaderEvent], None], randomness: Randomness
) -> RfidReader:
    """Raises ValueError for a link or a line that cannot be."""
    opener = opener_for(settings.link, baudrate=settings.baudrate or USUAL_BAUD[settings.driver])
    # One with few antennas plugged in is more often an eight-port reader than a four-port one.
    highest = max((int(port) for port in settings.ports), default=1)
    port_count = settings.port_count or (8 if highest <= 8 else 16)
    if settings.driver == "uhfreader288":
        chafon = Uhf288Settings(
            address=settings.address,
            port_count=port_count,
            scan_time_ms=settings.scan_time_ms,
            reply_timeout_s=settings.reply_timeout_s,
            silent_polls=settings.silent_rounds,
            probe_interval_s=settings.probe_interval_s,
            probe_frequency_khz=_UHF288_PROBE_KHZ[settings.region],
            supervise_interval_s=settings.supervise_interval_s,
        )
        return Uhf288Reader(opener, on_event, chafon, jitter=randomness.jitter)
    r2000 = R2000Settings(
        address=settings.address,
        port_count=port_count,
        form=None if settings.request_form is None else FastSwitchForm(settings.request_form),
        power_mode=PowerMode(settings.power_mode),
        reply_timeout_s=settings.reply_timeout_s,
        silent_rounds=settings.silent_rounds,
        deaf_s=settings.deaf_s,
        probe_interval_s=settings.probe_interval_s,
        probe_frequency_index=_R2000_PROBE_INDEX[settings.region],
        supervise_interval_s=settings.supervise_interval_s,
    )
    return R2000Reader(opener, on_event, r2000, jitter=randomness.jitter)


def place_of(reader: str, port: str, written: str) -> Place:
    """What the configuration means by the place of a port."""
    if written == RETURN:
        return BallReturn(f"{reader}_{port}")
    if written.startswith(PIT):
        return Pit(written.removeprefix(PIT))
    return Tee(written)


def make_routes(readers: Mapping[str, Reader]) -> dict[str, ReaderRoutes]:
    routes = {}
    for name, reader in readers.items():
        ports = {
            int(port): PortRoute(place_of(name, port, written), reader.power_dbm(int(port)))
            for port, written in reader.ports.items()
        }
        inventory_ms = reader.scan_time_ms if reader.driver == "uhfreader288" else _R2000_INVENTORY_MS
        routes[name] = ReaderRoutes(ports, _READS_TO_CONFIRM[reader.driver], inventory_ms)
    return routes


class ReaderParts:
    """`antennas` and `drivers` have the root tasks; `observers` want to see the bays."""

    def __init__(
        self,
        settings: Mapping[str, Reader],
        registered_balls: frozenset[str] | None,
        bays: Bays,
        *,
        recount_after_s: int,
        unread_balls: int,
        unread_after_s: float,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._settings = settings
        self._registry_missing = registered_balls is None
        self._clock = clock
        routes = make_routes(settings)
        self._presence = PresenceEngine(
            [
                Route(name, port, route.place, settings[name].floor_dbm, settings[name].rssi_floor_raw)
                for name, reader in routes.items()
                for port, route in reader.ports.items()
            ],
            registered_balls or frozenset[str](),
            presence_rules((reader.revisit_ms for reader in routes.values()), recount_after_s),
        )
        self.antennas = AntennaReconciler(routes, self._presence, bays, clock=clock, log=log)
        self.drivers: dict[str, RfidReader] = {}
        for name, reader in settings.items():
            driver = make_reader(reader, partial(self.antennas.reader_event, name), randomness)
            self.antennas.attach(name, driver)
            self.drivers[name] = driver
        antenna_bays = frozenset(
            route.place.bay
            for reader in routes.values()
            for route in reader.ports.values()
            if isinstance(route.place, Tee)
        )
        self.unread = UnreadBalls(
            antenna_bays, balls=unread_balls, after_ms=round(unread_after_s * 1000), clock=clock, log=log
        )

    def devices(self) -> dict[str, Any]:
        """For the status: `readers`, and what presence did with their reads."""
        counters = self._presence.counters
        return {
            "readers": {name: reader_document(self.antennas.view(name)) for name in self._settings},
            "balls": {
                "reads": counters.reads,
                "below_floor": counters.below_floor,
                "credits_waiting": self.antennas.mail.waiting,
                "credits_shed": self.antennas.mail.shed,
                "credits_refused": self.antennas.mail.refused,
                "balls_evicted": counters.balls_evicted,
            },
        }

    def warnings(self) -> list[dict[str, Any]]:
        """What staff should look at, beyond the state of single bays."""
        warnings: list[dict[str, Any]] = []
        if self._registry_missing and self._settings:
            text = "No ball registry: balls that are read are not counted."
            warnings.append({"code": "no_ball_registry", "since": None, "text": text})
        for name, settings in self._settings.items():
            warnings += _reader_warnings(name, self.antennas.view(name), settings)
        if shed := self.antennas.mail.shed:
            text = f"{shed} credits of balls were lost: the journal could not take them in time."
            warnings.append({"code": "credits_shed", "since": None, "text": text})
        for unread in () if self._registry_missing else self.unread.found():
            text = (
                f"{unread.balls} balls were paid out and none was read for {unread.silent_ms // 1000} s: "
                "look at the antenna, and whether these balls are registered."
            )
            warnings.append({"code": "balls_not_read", "since": None, "text": text, "bay": unread.bay})
        return warnings


def _reader_warnings(name: str, view: ReaderView, settings: Reader) -> list[dict[str, Any]]:
    warnings: list[dict[str, Any]] = []
    if view.state is DeviceState.LOST and view.lost_ms >= settings.fault_after_s * 1000:
        text = f"Reader {name} is away for {view.lost_ms // 1000} s: {view.reason}"
        warnings.append({"code": "reader_away", "since": None, "text": text})
    for port, shown in view.ports.items():
        where = f"port {port} ({told(shown.place)}) of reader {name}"
        if shown.power_refused:
            text = f"The power of {where} was refused: {shown.power_refused}"
            warnings.append({"code": "power_refused", "since": None, "text": text})
        if shown.antenna_missing is not None and not isinstance(shown.place, Tee):
            text = f"There is no antenna at {where}."  # that of a bay is a fact of the bay
            warnings.append({"code": "antenna_missing", "since": None, "text": text})
    return warnings


def reader_document(view: ReaderView) -> dict[str, Any]:
    return {
        "state": view.state.value,
        "reason": view.reason,
        "model": "" if view.identity is None else view.identity.model,
        "firmware": "" if view.identity is None else view.identity.firmware,
        "reads": view.reads,
        "rounds": view.rounds,
        "blind_s": {str(port): shown.blind_ms / 1000 for port, shown in view.ports.items()},
        "ports": {str(port): _port_document(shown) for port, shown in view.ports.items()},
    }


def _port_document(port: PortView) -> dict[str, Any]:
    return {
        "place": told(port.place),
        "listening": port.wanted and not port.blind_now and port.antenna_missing is None,
        "wanted": port.wanted,
        "blind_s": port.blind_ms / 1000,
        "revisit_s": None if port.revisit_ms is None else port.revisit_ms / 1000,
        "antenna_missing": port.antenna_missing is not None,
        "detail": port.power_refused or port.antenna_missing or "",
    }
