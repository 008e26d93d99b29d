"""A ccTalk line with its hoppers.

An exchange writes one command, takes the echo off (byte for byte: a difference is a collision), and waits for
the reply of that device.
"""

import asyncio

from hardware.dispenser import cctalk
from hardware.dispenser.bus import Bus, BusTurn
from hardware.dispenser.cctalk import Checksum, CollisionError, Command, Decoder, EchoRemover, Frame
from hardware.dispenser.line import (
    BusyError,
    CorruptReplyError,
    ExchangeError,
    NoReplyError,
    RefusedError,
    Timing,
)
from hardware.link import Link, LinkOpener

BAUDRATE = 9600  # ccTalk generic specification: 8N1
BYTE_S = 10 / BAUDRATE
ECHO_HINT = "set echo = false if the adapter takes the echo off itself"
REPLY_LIMIT_S = 0.6  # twice the longest frame: nobody may talk longer than that

CctalkTurn = BusTurn[Command]


class CctalkBus(Bus[Command]):
    """One link, several hoppers."""

    def __init__(
        self,
        opener: LinkOpener,
        *,
        checksum: Checksum = Checksum.SUM8,
        echo: bool = True,
        timing: Timing | None = None,
    ) -> None:
        super().__init__(opener, timing)
        self._checksum = checksum
        self._echo = echo
        self.collisions = 0

    async def _converse(self, link: Link, device: int, request: Command) -> bytes:
        loop = asyncio.get_running_loop()
        raw = request.frame(device, self._checksum).encode()
        echo, decoder, heard = EchoRemover(raw), Decoder(self._checksum), 0
        link.discard_input()
        link.write(raw)
        deadline = loop.time() + len(raw) * BYTE_S + request.reply_within_s + self.timing.margin_s
        limit = deadline + REPLY_LIMIT_S
        while True:
            try:
                async with asyncio.timeout_at(min(deadline, limit)):
                    data = await link.read()
            except TimeoutError as error:
                raise self._silence(device, request, echo, heard) from error
            if self._echo and not echo.complete:
                try:
                    data = echo.feed(data)
                except CollisionError as error:
                    self.collisions += 1
                    who = self._who(device, request)
                    raise CorruptReplyError(f"{who}: collision ({error}); {ECHO_HINT}") from error
            heard += len(data)
            for frame in decoder.feed(data):
                if frame.encode() == raw:
                    heard -= len(raw)  # an echo after all, on a line that was said to have none
                elif self._answers(frame, device, request):
                    return self._data(frame, device, request)
            if heard:
                deadline = loop.time() + self.timing.gap_s

    def _answers(self, frame: Frame, device: int, request: Command) -> bool:
        if frame.dest != cctalk.HOST or frame.source not in (device, None):
            return False
        if frame.header in (cctalk.NAK, cctalk.BUSY):
            return True
        sizes = request.reply_sizes
        return frame.header == cctalk.ACK and (sizes is None or len(frame.data) in sizes)

    def _silence(self, device: int, request: Command, echo: EchoRemover, heard: int) -> ExchangeError:
        who = self._who(device, request)
        if heard:
            return CorruptReplyError(f"{who}: {heard} bytes came, none of them a right answer")
        if self._echo and not echo.complete:
            return NoReplyError(f"{who}: the line gives no echo; check cable and adapter; {ECHO_HINT}")
        return NoReplyError(f"{who}: no answer; check power, cable and address")

    def _who(self, device: int, request: Command) -> str:
        return f"{self.name}, hopper {device}, {request.name}"

    def _data(self, frame: Frame, device: int, request: Command) -> bytes:
        match frame.header:
            case cctalk.NAK:
                raise RefusedError(f"{self._who(device, request)}: refused")
            case cctalk.BUSY:
                raise BusyError(f"{self._who(device, request)}: busy")
            case _:
                return frame.data
