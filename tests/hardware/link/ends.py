"""The far ends of the three kinds of link, so that one contract can be held against all."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bayd.web.listener import accept_no_more
from hardware.link import LinkOpener, MemoryLink, MemoryOpener, opener_for
from hardware.sim.ptys import PtyPort

PATIENCE_S = 10.0  # for things that take milliseconds


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  the far end is bytes on a wire, it sets no event
            await asyncio.sleep(0.001)


class FarEnd(Protocol):
    """What stands for the device."""

    @property
    def opener(self) -> LinkOpener: ...
    @property
    def received(self) -> bytearray: ...
    def send(self, data: bytes) -> None: ...
    async def start(self) -> None: ...
    async def unplug(self) -> None: ...
    async def plug(self) -> None: ...
    async def stop(self) -> None: ...


class PtyEnd:
    def __init__(self, directory: Path) -> None:
        self.received = bytearray()
        self.port = PtyPort(directory / "reader", self.received.extend)
        self.opener = opener_for(str(self.port.path), baudrate=115200)

    async def start(self) -> None:
        self.port.plug()

    def send(self, data: bytes) -> None:
        self.port.send(data)

    async def plug(self) -> None:
        self.port.plug()

    async def unplug(self) -> None:
        self.port.unplug()

    async def stop(self) -> None:
        self.port.unplug()


class TcpEnd:
    def __init__(self) -> None:
        self.received = bytearray()
        self.opener: LinkOpener = opener_for("socket://127.0.0.1:1", baudrate=115200)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._transport: asyncio.Transport | None = None
        self._unsent = b""  # before the loop has made a connection of the caller that it accepted

    async def start(self) -> None:
        await self.plug()

    async def plug(self) -> None:
        end = self

        class Device(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                end._transport = transport
                transport.write(end._unsent)
                end._unsent = b""

            def data_received(self, data: bytes) -> None:
                end.received.extend(data)

        self._server = await asyncio.get_running_loop().create_server(Device, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.opener = opener_for(f"socket://127.0.0.1:{self._port}", baudrate=115200)

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._unsent += data
        else:
            self._transport.write(data)

    async def unplug(self) -> None:
        if self._server is not None:
            await accept_no_more(self._server)
            self._server.close()
            self._server = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._unsent = b""

    async def stop(self) -> None:
        await self.unplug()
        await asyncio.sleep(0)


class MemoryEnd:
    def __init__(self) -> None:
        self.received = bytearray()
        self._far: MemoryLink | None = None
        self.memory = MemoryOpener("memory", self._opened)
        self.opener: LinkOpener = self.memory

    def _opened(self, far: MemoryLink) -> None:
        self._far = far
        far.on_bytes = self.received.extend

    async def start(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        assert self._far is not None
        self._far.write(data)

    async def plug(self) -> None:
        self.memory.plug()

    async def unplug(self) -> None:
        self.memory.unplug()

    async def stop(self) -> None:
        self.memory.unplug()
