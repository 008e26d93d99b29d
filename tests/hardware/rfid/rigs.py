"""Simulated readers behind memory links and ptys, and a driver's events as they come."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from hardware.link import LinkLostError, LinkOpener, MemoryLink, MemoryOpener, opener_for
from hardware.rfid import AntennaPlan, PortPlan, ReaderEvent, RfidReader, RoundEnded, TagBatch, TagRead
from hardware.sim.ptys import PtyPort

E = TypeVar("E")
PATIENCE_S = 20.0  # for things that take milliseconds


def epc(port: int) -> str:
    """The tag that lies before this port's antenna."""
    return f"E2801170000002{port:02X}00000001"


def one_tag_each(port: int, now: float) -> Sequence[tuple[str, int]]:
    return [(epc(port), -50 - port)]


def plan(*ports: int, power_dbm: int = 20, stay: int = 1) -> AntennaPlan:
    return AntennaPlan({port: PortPlan(power_dbm, stay) for port in ports})


class Device(Protocol):
    def receive(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class MemoryRig:
    """A device on a link in memory."""

    def __init__(self) -> None:
        self.device: Device | None = None
        self.opened_at: list[float] = []
        self._memory = MemoryOpener("memory reader", self._opened)
        self._far: MemoryLink | None = None
        self.opener: LinkOpener = self._memory

    def _opened(self, far: MemoryLink) -> None:
        self.opened_at.append(asyncio.get_running_loop().time())
        self._far = far
        far.on_bytes = self._receive

    def _receive(self, data: bytes) -> None:
        if self.device is not None:
            self.device.receive(data)

    def deliver(self, data: bytes) -> None:
        if self._far is not None:
            try:
                self._far.write(data)
            except LinkLostError:
                pass  # the driver is away

    def unplug(self) -> None:
        self._memory.unplug()

    def plug(self) -> None:
        self._memory.plug()

    def drop(self) -> None:
        """The link is lost though nobody touched the plug."""
        if self._far is not None:
            self._far.unplug()

    def close(self) -> None:
        if self.device is not None:
            self.device.close()


class PtyRig:
    """A device on a pty, opened as a real serial port is."""

    def __init__(self, directory: Path, *, baudrate: int, device_baudrate: int | None = None) -> None:
        self.device: Device | None = None
        self.port = PtyPort(
            directory / "reader", self._receive, expected_baudrate=device_baudrate or baudrate
        )
        self.opener = opener_for(str(self.port.path), baudrate=baudrate)

    def _receive(self, data: bytes) -> None:
        if self.device is not None:
            self.device.receive(data)

    def deliver(self, data: bytes) -> None:
        self.port.send(data)

    def unplug(self) -> None:
        self.port.unplug()

    def plug(self) -> None:
        self.port.plug()

    def close(self) -> None:
        if self.device is not None:
            self.device.close()
        self.port.unplug()


class Events:
    """What the driver reported."""

    def __init__(self) -> None:
        self.all: list[ReaderEvent] = []

    def __call__(self, event: ReaderEvent) -> None:
        self.all.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.all if isinstance(event, kind)]

    @property
    def reads(self) -> list[TagRead]:
        return [read for batch in self.of(TagBatch) for read in batch.reads]

    @property
    def rounds(self) -> Counter[int]:
        """How often each port was listened to."""
        return Counter(port for ended in self.of(RoundEnded) for port in ended.ports)

    def forget(self) -> None:
        self.all.clear()


@asynccontextmanager
async def running(reader: RfidReader) -> AsyncIterator[None]:
    """The driver's one long task, ended with the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reader.run(), name="reader")
        try:
            yield
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """On real time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  the events come by a plain call
            await asyncio.sleep(0.005)
