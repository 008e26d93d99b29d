"""How many connections there may be, and whose: descriptors are for readers and dispensers, too.

One machine elsewhere has a part of them. Some are kept for this machine itself, whose screens must get in
however many strangers sit in the hall, and the last of those for the local socket's tools. Who is turned away
stands in the log.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

from bayd.ports import Log
from bayd.settings import is_loopback
from bayd.web.limits import client_address

_SOCKET = "local"
_THIS_MACHINE = "loopback"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """A screen takes up to seven. Behind a proxy on this machine all are this machine's."""

    all: int = 512
    of_one_address: int = 128  # elsewhere
    for_this_machine: int = 64  # of all
    for_the_socket: int = 16  # of these


class Connections:
    """Those that were let in."""

    def __init__(self, limits: ConnectionLimits, log: Log) -> None:
        self._limits = limits
        self._log = log
        self._here: Counter[str] = Counter()

    def enter(self, transport: asyncio.BaseTransport) -> str | None:
        """Whose connection it is, to be given back when it `leave`s; None: it is to be closed."""
        peer = transport.get_extra_info("peername")
        who = _owner(peer)
        if self._here.total() < self._room_for(who) and self._here[who] < self._share_of(who):
            self._here[who] += 1
            return who
        here, own = self._here.total(), self._here[who]
        self._log.warning("connection_turned_away", address=who, connections=here, of_this_address=own)
        return None

    def leave(self, who: str) -> None:
        self._here[who] -= 1
        if self._here[who] == 0:
            del self._here[who]

    def _room_for(self, who: str) -> int:
        limits = self._limits
        kept = {_SOCKET: 0, _THIS_MACHINE: limits.for_the_socket}.get(who, limits.for_this_machine)
        return limits.all - kept

    def _share_of(self, who: str) -> int:
        return self._limits.all if who in (_SOCKET, _THIS_MACHINE) else self._limits.of_one_address


def _owner(peer: object) -> str:
    if not isinstance(peer, tuple):
        return _SOCKET
    host = str(peer[0])
    return _THIS_MACHINE if is_loopback(host) else client_address(host)
