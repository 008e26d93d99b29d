"""What the tables of the configuration are made of."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Minutes = Annotated[int, Field(ge=0, le=10_080)]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 # raises for a port that is none
    except ValueError:
        good = False
    if not good:
        raise ValueError("is no web address; write http://HOST:PORT or https://HOST")
    return url


WebAddress = Annotated[str, AfterValidator(_web_address)]


def _ip_network(text: str) -> str:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("is no IP address, nor one with a mask width such as 203.0.113.0/24") from None
    return text


IpNetwork = Annotated[str, AfterValidator(_ip_network)]


def _ipv4(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("is no IPv4 address") from None
    return text


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("is no IPv6 address") from None
    return text


Ipv4Address = Annotated[str, AfterValidator(_ipv4)]
Ipv6Address = Annotated[str, AfterValidator(_ipv6)]
