"""Which sessions want the same network resource.

A flow is what runs between some ports of a device and some ports of a server. A device may have several
sessions as long as their flows do not overlap (CAMARA QoD, "App-Flow"; 409 CONFLICT on create).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PortRange = tuple[int, int]  # both ends included

_DEVICE_PREFIX = 64  # an IPv6 device owns its /64 (CAMARA `DeviceIpv6Address`)


@dataclass(frozen=True, slots=True)
class Flow:
    """`None` ports: every port."""

    device_keys: frozenset[str]  # each names the device by one of its identifiers
    servers: tuple[Network, ...]
    device_ports: tuple[PortRange, ...] | None = None
    server_ports: tuple[PortRange, ...] | None = None

    def overlaps(self, other: "Flow") -> bool:
        return (
            not self.device_keys.isdisjoint(other.device_keys)
            and any(_overlap(mine, theirs) for mine in self.servers for theirs in other.servers)
            and _share_a_port(self.device_ports, other.device_ports)
            and _share_a_port(self.server_ports, other.server_ports)
        )

    def to_row(self) -> dict[str, Any]:
        """All but the device, as plain JSON values."""
        return {
            "servers": [str(network) for network in self.servers],
            "device_ports": self.device_ports,
            "server_ports": self.server_ports,
        }


def flow_from_row(device_keys: Iterable[str], row: dict[str, Any]) -> Flow:
    return Flow(
        device_keys=frozenset(device_keys),
        servers=tuple(ipaddress.ip_network(text) for text in row["servers"]),
        device_ports=_ports(row["device_ports"]),
        server_ports=_ports(row["server_ports"]),
    )


def phone_key(number: str) -> str:
    """With or without its `+`, the same telephone."""
    return f"tel:{number.removeprefix('+')}"


def access_identifier_key(identifier: str) -> str:
    return f"nai:{identifier.lower()}"


def ipv4_keys(public: str, private: str | None, port: int | None) -> frozenset[str]:
    """A public address alone is shared by many devices: the port or the private address makes it one."""
    keys = set()
    if private is not None:
        keys.add(f"ipv4:{public}/{private}")
    if port is not None:
        keys.add(f"ipv4:{public}:{port}")
    return frozenset(keys)


def ipv6_key(address: str) -> str:
    return f"ipv6:{ipaddress.IPv6Network((address, _DEVICE_PREFIX), strict=False)}"


def _ports(rows: Iterable[Iterable[int]] | None) -> tuple[PortRange, ...] | None:
    if rows is None:
        return None
    return tuple((low, high) for low, high in rows)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _share_a_port(one: tuple[PortRange, ...] | None, other: tuple[PortRange, ...] | None) -> bool:
    if one is None or other is None:
        return True
    return any(low <= high2 and low2 <= high for low, high in one for low2, high2 in other)
