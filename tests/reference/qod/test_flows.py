"""Overlap decides who gets a 409: device, application server and ports, each of them."""

import ipaddress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayd.reference.qod.flows import Flow, PortRange, flow_from_row, ipv4_keys, ipv6_key, phone_key

SERVER = ipaddress.ip_network("203.0.113.10/32")


def flow(
    *,
    devices: tuple[str, ...] = ("tel:1555010001",),
    servers: tuple[str, ...] = ("203.0.113.10/32",),
    device_ports: tuple[PortRange, ...] | None = None,
    server_ports: tuple[PortRange, ...] | None = None,
) -> Flow:
    networks = tuple(ipaddress.ip_network(text) for text in servers)
    return Flow(frozenset(devices), networks, device_ports, server_ports)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(flow(), flow(), True, id="the same flow"),
        pytest.param(flow(), flow(devices=("tel:1555010002",)), False, id="another device"),
        pytest.param(
            flow(devices=("tel:1555010001", "nai:a@example.com")),
            flow(devices=("nai:a@example.com",)),
            True,
            id="one identifier in common",
        ),
        pytest.param(flow(), flow(servers=("203.0.113.11/32",)), False, id="another server"),
        pytest.param(flow(), flow(servers=("203.0.113.0/24",)), True, id="a subnet around the server"),
        pytest.param(flow(), flow(servers=("2001:db8::/64",)), False, id="another address family"),
        pytest.param(
            flow(servers=("198.51.100.1/32", "2001:db8::/64")),
            flow(servers=("2001:db8::1/128",)),
            True,
            id="one of two servers",
        ),
        pytest.param(flow(), flow(server_ports=((443, 443),)), True, id="all ports hold every port"),
        pytest.param(
            flow(server_ports=((443, 443),)), flow(server_ports=((80, 80),)), False, id="other server ports"
        ),
        pytest.param(
            flow(server_ports=((80, 443),)),
            flow(server_ports=((443, 500),)),
            True,
            id="ranges that share one port",
        ),
        pytest.param(
            flow(device_ports=((1, 9),), server_ports=((443, 443),)),
            flow(device_ports=((10, 20),), server_ports=((443, 443),)),
            False,
            id="other device ports",
        ),
    ],
)
def test_flows_overlap_only_in_all_their_parts(one: Flow, other: Flow, expected: bool) -> None:
    assert one.overlaps(other) is expected
    assert other.overlaps(one) is expected


_PORTS = st.none() | st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda pair: (min(pair), max(pair))),
    min_size=1,
    max_size=3,
).map(tuple)
_NETWORKS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(29, 32)).map(
        lambda pair: ipaddress.ip_network((0xCB007100 + pair[0], pair[1]), strict=False)
    ),
    min_size=1,
    max_size=2,
).map(tuple)
_FLOWS = st.builds(Flow, st.frozensets(st.sampled_from("abc"), min_size=1), _NETWORKS, _PORTS, _PORTS)


def _packets(flow: Flow) -> set[tuple[str, int, int, int]]:
    """Every packet of a small world that a flow is made of."""
    addresses = [int(address) for network in flow.servers for address in network]
    ports = [
        range(8) if spans is None else sorted({port for low, high in spans for port in range(low, high + 1)})
        for spans in (flow.device_ports, flow.server_ports)
    ]
    return set(product(flow.device_keys, addresses, ports[0], ports[1]))


@given(_FLOWS, _FLOWS)
def test_flows_overlap_exactly_when_they_share_a_packet(one: Flow, other: Flow) -> None:
    assert one.overlaps(other) is not _packets(one).isdisjoint(_packets(other))


@given(_FLOWS)
def test_a_flow_survives_its_row(flow: Flow) -> None:
    assert flow_from_row(flow.device_keys, flow.to_row()) == flow


def test_device_keys_know_a_device_by_what_names_it() -> None:
    assert phone_key("+1555010001") == phone_key("1555010001")
    assert ipv6_key("2001:db8:1:2::1") == ipv6_key("2001:db8:1:2:ffff::9")
    assert ipv6_key("2001:db8:1:2::1") != ipv6_key("2001:db8:1:3::1")
    # A public address is shared: with another port it is another device.
    assert ipv4_keys("203.0.113.5", None, 4000).isdisjoint(ipv4_keys("203.0.113.5", None, 4001))
    assert ipv4_keys("203.0.113.5", "10.0.0.1", 4000) & ipv4_keys("203.0.113.5", "10.0.0.1", None)
