"""A simulated device at the far end of a link in memory."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from hardware.link import LinkLostError, MemoryLink, MemoryOpener


class Device(Protocol):
    send: Callable[[bytes], None]

    def receive(self, data: bytes) -> None: ...


class MemoryWire:
    """Connects each newly opened link with the device; what the device says to nobody is lost."""

    def __init__(self, name: str, device: Device, *, delay_s: Callable[[bytes], float] | None = None) -> None:
        self.opener = MemoryOpener(name, self._on_open)
        self.on_sent: Callable[[bytes], bytes] | None = None  # what the device hears instead
        self.on_said: Callable[[bytes], bytes] | None = None  # what the host hears instead
        self._device = device
        self._delay_s = delay_s
        self._arrives_at = 0.0

    def cut(self) -> None:
        """The host is gone: what it sent goes on, what comes back is lost."""
        self.opener.unplug()
        self.opener.plug()

    def _on_open(self, far: MemoryLink) -> None:
        far.on_bytes = self._to_device

        def send(data: bytes) -> None:
            if self.on_said is not None:
                data = self.on_said(data)
            try:
                far.write(data)
            except LinkLostError:
                pass  # the host is gone; the wire does not care

        self._device.send = send

    def _to_device(self, data: bytes) -> None:
        if self.on_sent is not None:
            data = self.on_sent(data)
        if self._delay_s is None:
            self._device.receive(data)
            return
        loop = asyncio.get_running_loop()
        self._arrives_at = max(self._arrives_at, loop.time() + self._delay_s(data))
        loop.call_at(self._arrives_at, self._device.receive, data)


def nowhere(_: bytes) -> None:
    """The host has not opened the link yet."""
