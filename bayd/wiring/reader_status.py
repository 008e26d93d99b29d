"""What the status says of readers and their antennas."""

from collections.abc import Iterable
from typing import Any

from bayd.core.model import DeviceState
from bayd.core.presence import Tee
from bayd.reconcile.antenna_ports import PortView, ReaderView, told
from bayd.settings.readers import Reader
from bayd.web.views import rfc3339
from bayd.wiring.reader_routes import RouteRefusal


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


def reader_warnings(name: str, view: ReaderView, settings: Reader) -> list[dict[str, Any]]:
    warnings: list[dict[str, Any]] = []
    if view.state is DeviceState.LOST and view.lost_ms >= settings.fault_after_s * 1000:
        since = None if view.since_wall_ms is None else rfc3339(view.since_wall_ms)
        warnings.append(
            {
                "code": "reader_away",
                "since": since,
                "text": f"Reader {name} is away: {view.reason}",
                "facts": {"reader": name, "reason": view.reason},
            }
        )
    for port, shown in view.ports.items():
        where = f"port {port} ({told(shown.place)}) of reader {name}"
        if shown.power_refused:
            text = f"The power of {where} was refused: {shown.power_refused}"
            warnings.append(
                {
                    "code": "power_refused",
                    "since": None,
                    "text": text,
                    "facts": {"reader": name, "port": port, "reason": shown.power_refused},
                }
            )
        if shown.antenna_missing is not None and not isinstance(shown.place, Tee):
            text = f"There is no antenna at {where}."  # that of a bay is a fact of the bay
            warnings.append(
                {
                    "code": "antenna_missing",
                    "since": None,
                    "text": text,
                    "facts": {"reader": name, "port": port, "place": told(shown.place)},
                }
            )
    return warnings


def refusal_warnings(refused: Iterable[RouteRefusal]) -> list[dict[str, Any]]:
    """One for all ports of a reader of which the same is to be said."""
    ports: dict[tuple[str, str], list[str]] = {}
    for refusal in refused:
        alike = ports.setdefault((refusal.reader, refusal.text), [])
        alike += [] if refusal.port is None else [str(refusal.port)]
    warnings: list[dict[str, Any]] = []
    for (reader, said), named in ports.items():
        where = f" port {', '.join(named)}" if named else ""
        text = f"Reader {reader}{where}: {said}."
        warnings.append({"code": "antenna_route_refused", "since": None, "text": text})
    return warnings
