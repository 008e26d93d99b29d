"""The outer half of every driver: one long task, the plan in force, what is known of the reader, its events.

A family adds a `Conversation`: how to begin with a freshly opened link, and what to do next. A lost link or a
silent reader ends the conversation; the next one begins after a pause. What is known of the reader - ports
without an antenna, powers that it refused - outlives the link.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from hardware.link import Link, LinkOpener
from hardware.rfid.antennas import Antennas
from hardware.rfid.asides import Asides, Seat
from hardware.rfid.line import FrameLine
from hardware.rfid.reader import (
    AntennaPlan,
    ReaderEvent,
    ReaderIdentity,
    ReaderLost,
    ReaderOnline,
    TagBatch,
    TagRead,
)
from hardware.rfid.reconnecting import BackOff, keep_connected
from hardware.rfid.saved_powers import RefusedPowers
from hardware.rfid.stream_decoder import Counters, StreamDecoder

F = TypeVar("F")


class Conversation(Protocol):
    """From one opening of the link to its loss."""

    @property
    def works(self) -> bool:
        """The last thing asked of the reader was done."""
        ...

    def seat(self, line: FrameLine[Any]) -> Seat:
        """What somebody else may ask the reader with, between two steps."""
        ...

    async def begin(self) -> ReaderIdentity:
        """Raises ReaderSilentError, LinkLostError."""
        ...

    async def step(self, plan: AntennaPlan) -> float:
        """Do what is due; answers how long to wait then. Raises ReaderSilentError, LinkLostError."""
        ...


class ReaderDriver(ABC, Generic[F]):
    """See `RfidReader`."""

    def __init__(
        self,
        opener: LinkOpener,
        on_event: Callable[[ReaderEvent], None],
        decoder: StreamDecoder[F],
        *,
        port_count: int,
        probe_interval_s: float,
        reopen_s: tuple[float, ...],
        jitter: Callable[[], float],
    ) -> None:
        self._opener = opener
        self._emit = on_event
        self._decoder = decoder
        self._back_off = BackOff(jitter, reopen_s)
        self._plan = AntennaPlan()
        self._plan_changed = asyncio.Event()
        self.asides = Asides(self._plan_changed.set)
        self._lost = False
        self._antennas = Antennas(port_count, probe_interval_s, on_event)
        self._refused_powers = RefusedPowers(on_event)

    @property
    @abstractmethod
    def reads_to_confirm(self) -> int:
        """Identical reads before an EPC may be believed."""

    @property
    def counters(self) -> Counters:
        """What the line did, since the start."""
        return self._decoder.counters

    def set_plan(self, plan: AntennaPlan) -> None:
        """Take over from the next round; also while the reader is away."""
        self._plan = plan
        self._plan_changed.set()

    async def run(self) -> None:
        """Drive the reader until cancelled."""
        try:
            await keep_connected(self._opener, self._converse, self._report_loss, self._back_off)
        finally:
            self.asides.lost("its driver was stopped")

    @abstractmethod
    def _start(self, line: FrameLine[F]) -> Conversation:
        """A conversation over a freshly opened line."""

    def _report_loss(self, reason: str) -> None:
        self.asides.lost(reason)
        if not self._lost:  # not again with every attempt
            self._lost = True
            self._emit(ReaderLost(reason))

    async def _converse(self, link: Link) -> None:
        self._decoder.reset()
        line = FrameLine(link, self._decoder)
        conversation = self._start(line)
        identity = await conversation.begin()
        self._lost = False
        self._emit(ReaderOnline(identity))
        seat = conversation.seat(line)
        self.asides.opened()
        while True:
            self._plan_changed.clear()
            pause_s = await conversation.step(self._plan)
            if conversation.works:
                self._back_off.worked()
            await self.asides.serve(seat)
            if pause_s > 0:
                try:
                    async with asyncio.timeout(pause_s):
                        await self._plan_changed.wait()
                except TimeoutError:
                    pass

    def _deliver(self, reads: Iterable[TagRead]) -> None:
        """Reads of ports that nobody asked for are late ones, pushed ones, or errors of the line."""
        planned = tuple(read for read in reads if read.port in self._plan.ports)
        if planned:
            self._emit(TagBatch(planned))
