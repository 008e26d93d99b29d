"""Where each antenna port leads: from the configuration and, where it is asked, from the central server.

The server may name place and power of a port (`GET /reader/antennaPairs`). It is taken port by port:

- a place that this PC does not have, a port that the reader does not have, a power that the region does not
  allow or that is no number is refused and shown; the power of the configuration stays then;
- an antenna that is not `active` is not read;
- a port that the server does not name keeps the configuration's place, because an absence proves nothing,
  unless the server has given its bay another port;
- the server knows no ball returns: a port that the configuration calls `return` stays one.

Pure: settings and answers in, routes and complaints out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bayd.clients.central import AntennaPair, ServerAntenna
from bayd.core.presence import BallReturn, Pit, Place, Tee
from bayd.reconcile.antenna_ports import PortRoute, ReaderRoutes
from bayd.settings.readers import PIT, RETURN, Reader

_R2000_INVENTORY_MS = 60  # on one port: 17 to 29 a second are seen, the watchdog grants 60 ms
_READS_TO_CONFIRM = {"r2000_a0": 2, "uhfreader288": 1}


@dataclass(frozen=True, slots=True)
class RouteRefusal:
    """Something that the central server says of a reader and that is not done."""

    reader: str
    port: int | None
    text: str


@dataclass(slots=True)
class Routing:
    """All readers of the PC."""

    routes: dict[str, ReaderRoutes] = field(default_factory=dict)
    refused: list[RouteRefusal] = field(default_factory=list)


def place_of(reader: str, port: int, written: str) -> Place:
    """What the configuration means by the place of a port."""
    if written == RETURN:
        return BallReturn(f"{reader}_{port}")
    if written.startswith(PIT):
        return Pit(written.removeprefix(PIT))
    return Tee(written)


def make_routing(
    readers: Mapping[str, Reader], bays: Collection[str], pairs: Mapping[str, AntennaPair]
) -> Routing:
    """`bays`: those that run here. `pairs`: the last usable word of the server on each reader."""
    routing = Routing()
    told = {name: _as_told(name, readers[name], pair, bays, routing) for name, pair in pairs.items()}
    given = {route.place for ports in told.values() for route in ports.values() if route is not None}
    for name, reader in readers.items():
        ports: dict[int, PortRoute] = {}
        from_server = told.get(name, {})
        for written_port, written in reader.ports.items():
            port = int(written_port)
            place = place_of(name, port, written)
            if isinstance(place, Tee) and place.bay not in bays:
                continue  # a bay that comes with the next start
            if isinstance(place, BallReturn) or (port not in from_server and place not in given):
                ports[port] = PortRoute(place, reader.power_dbm(port))
        for port, route in from_server.items():
            if route is not None:
                ports.setdefault(port, route)
        inventory_ms = reader.scan_time_ms if reader.driver == "uhfreader288" else _R2000_INVENTORY_MS
        routing.routes[name] = ReaderRoutes(
            dict(sorted(ports.items())),
            _READS_TO_CONFIRM[reader.driver],
            inventory_ms,
            round(reader.round_grace_s * 1000),
        )
    return routing


def why_unusable(pair: AntennaPair) -> str | None:
    """An answer that is not whole would take antennas away that nobody took away."""
    if pair.unreadable:
        return f"{pair.unreadable} of its antennas cannot be read in the server's answer"
    return None if pair.antennas else "the server names no antenna of it"


def _as_told(
    name: str, reader: Reader, pair: AntennaPair, bays: Collection[str], routing: Routing
) -> dict[int, PortRoute | None]:
    """Port -> route; None: it is not to be read."""
    ports: dict[int, PortRoute | None] = {}

    def refuse(port: int, text: str) -> None:
        routing.refused.append(RouteRefusal(name, port, text))

    for antenna in pair.antennas:
        port = antenna.port
        if not 1 <= port <= reader.antenna_ports:
            refuse(port, f"the reader has ports 1 to {reader.antenna_ports} (`port_count`)")
        elif port in ports:
            refuse(port, f"the server names it twice; {antenna.location or 'the second'} is left out")
        elif pair.active is False or antenna.active is False:
            ports[port] = None
        elif not antenna.location:
            refuse(port, "the server names no location; the configuration's stays")
        elif pair.reader_type != "pit" and antenna.location not in bays:
            refuse(port, f"its location {antenna.location} is no bay of this PC; it is not read")
            ports[port] = None
        else:
            place = Pit(antenna.location) if pair.reader_type == "pit" else Tee(antenna.location)
            power_dbm, complaint = _power(reader, antenna)
            if complaint is not None:
                refuse(port, f"power {complaint}; it keeps {power_dbm} dBm")
            ports[port] = PortRoute(place, power_dbm)
    return ports


def _power(reader: Reader, antenna: ServerAntenna) -> tuple[int, str | None]:
    """In dBm, and why the server's was not taken. A string without a unit (Session component, 4)."""
    own_dbm = reader.power_dbm(antenna.port)
    if antenna.power is None:
        return own_dbm, None
    try:
        power = int(antenna.power)
    except ValueError:
        return own_dbm, f"{antenna.power[:20]!r} is no whole number"
    complaint = reader.power_complaint(power)
    return (reader.dbm_of(power), None) if complaint is None else (own_dbm, complaint)
