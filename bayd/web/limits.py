"""How often somebody may ask: one bucket per client, refilled steadily, of which each request takes one.

A client is a token or, without one, an address. Whoever is turned away hears when to come again.
"""

from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network

from bayd.ports import Clock
from bayd.web.problems import Problem, ProblemError

_CLIENTS_KEPT = 4096  # the ones not seen for longest are forgotten, and would begin with a full bucket
_IPV6_HOST_BITS = 64  # one machine may have all addresses of its network


@dataclass(frozen=True, slots=True)
class Rate:
    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Enough for any screen, desk or script; too little to keep the daemon busy or to guess."""

    requests: Rate = Rate(50, 200)
    unknown_tokens: Rate = Rate(1, 20)
    pins: Rate = Rate(1 / 6, 10)  # at one bay; the lock-out after wrong ones is the core's
    codes: Rate = Rate(1 / 5, 20)  # asked for by screens of one address
    wrong_codes: Rate = Rate(1 / 6, 10)  # entered by one member of staff
    logins: Rate = Rate(1 / 3, 20)  # at the board, from one address


class Buckets:
    """One kind of limit for all clients."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, int]] = OrderedDict()  # what is left, at which boot ms

    def take(self, client: str) -> None:
        """Raises ProblemError."""
        now_ms = self._clock.now().boot_ms
        left, at_ms = self._levels.pop(client, (float(self._rate.burst), now_ms))
        left = min(self._rate.burst, left + (now_ms - at_ms) / 1000 * self._rate.per_s)
        refused = left < 1
        self._levels[client] = (left if refused else left - 1, now_ms)
        if len(self._levels) > _CLIENTS_KEPT:
            self._levels.popitem(last=False)
        if refused:
            retry_after_s = max(1, -(-(1 - left) // self._rate.per_s))
            raise ProblemError(
                Problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "too_many_requests",
                    "Too many requests: wait as long as Retry-After says.",
                    retry_after_s=int(retry_after_s),
                )
            )


def client_address(remote: str | None) -> str:
    """Who asks without a token. A machine with an IPv6 network is one client."""
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_HOST_BITS), strict=False))
