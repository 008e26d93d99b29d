"""Byte links: a serial port, a TCP socket or a pair in memory, all behind one small face.

A driver gets a `LinkOpener` and opens a fresh `Link` whenever it (re)connects; a lost link is never
revived. The path of a serial port is resolved at every opening, so an adapter that comes back under
another ttyUSB number is found again.
"""

from hardware.link.link import Link, LinkError, LinkLostError, LinkOpener, LinkUnavailableError
from hardware.link.memory import MemoryLink, MemoryOpener, memory_pair
from hardware.link.opening import opener_for

__all__ = [
    "Link",
    "LinkError",
    "LinkLostError",
    "LinkOpener",
    "LinkUnavailableError",
    "MemoryLink",
    "MemoryOpener",
    "memory_pair",
    "opener_for",
]
