"""The mobile operator's Quality-on-Demand API, and the screens in its network."""

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from bayd.settings.tables import IpNetwork, Ipv4Address, Ipv6Address, Seconds, Table, WebAddress


def _sink(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("scheme, host and path only, such as https://bay.example.com/qod")
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError("must be https://: operators send events, and the token that opens it, nowhere else")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class QodWebhook(Table):
    """Where the operator reports changes. Without this table it is not asked to, and bayd only polls."""

    url: Annotated[WebAddress, AfterValidator(_sink)] = Field(
        description="The address as the operator reaches it, https; a TLS proxy in front of `listen`."
    )
    listen: str = Field(
        "127.0.0.1:8471",
        description="`host:port`, to which the proxy passes it on. Beyond loopback: `http.allow_plain_http`.",
    )


class Qod(Table):
    """The mobile operator's Quality-on-Demand API. Without this table no QoS session is ever asked for."""

    dialect: Literal["tmobile-0.10", "camara-1.1"] = Field(
        "tmobile-0.10", description="Which API the operator speaks."
    )
    base_url: WebAddress = Field(
        description="The operator's API, for example `http://127.0.0.1:4010/qod/v0`."
    )
    profile: str = Field(
        "QOS_VC",
        pattern=r"^[a-zA-Z0-9_.-]+$",
        description="The QoS profile as the operator names it; QOS_VC is the one for video calls.",
    )
    application_server: IpNetwork = Field(
        description="The IP address that the screens talk to: only traffic to it is preferred."
    )
    token_url: WebAddress | None = Field(
        None, description="Where tokens are fetched. Default: as the dialect has it, on the operator's host."
    )
    timeout_s: Seconds = Field(10, description="Seconds for one request.")
    min_duration_s: int = Field(60, ge=1, description="The shortest session that the operator grants.")
    max_lease_s: int = Field(
        14_400,
        ge=60,
        le=86_400,
        description="The longest that is asked for at once: so much is paid at most for a session that a "
        "crash leaves behind.",
    )
    max_sessions_per_day: int | None = Field(
        None, ge=0, description="Beyond that bays play without. Default: 100 for each bay with a screen."
    )
    max_minutes_per_day: int | None = Field(
        None, ge=0, description="Beyond that bays play without. Default: 1440 for each bay with a screen."
    )
    webhook: QodWebhook | None = Field(
        None, description="Where the operator reports changes. Default: it is only polled."
    )


IDENTIFIERS = ("phone_number", "ipv4_address", "ipv6_address")


class BayQod(Table):
    """The device of the bay's screen in the mobile network: exactly one identifier. Never shown."""

    enabled: bool = Field(
        True, description="`false`: no QoS session for this bay; one that still runs is ended."
    )
    phone_number: str | None = Field(
        None, pattern=r"^\+?[0-9]{5,15}$", repr=False, description="The SIM's number, digits only."
    )
    ipv4_address: Ipv4Address | None = Field(None, repr=False, description="Its public IPv4 address.")
    ipv6_address: Ipv6Address | None = Field(None, repr=False, description="Its IPv6 address.")
