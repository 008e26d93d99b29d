"""A Modbus RTU line with its devices.

An exception is an answer, with a name; some of them leave open whether the request was carried out.
"""

import asyncio

from hardware.dispenser.bus import Bus, BusTurn
from hardware.dispenser.line import CorruptReplyError, NoReplyError, RefusedError, Timing
from hardware.dispenser.modbus import (
    MAX_FRAME,
    Decoder,
    ExceptionCode,
    Frame,
    Request,
    Side,
    exception_name,
)
from hardware.link import Link, LinkOpener

REPLY_WITHIN_S = 0.2  # no standard time-out exists; small PLCs answer after one to three scans of 10 to 50 ms
BITS_PER_BYTE = 11  # with parity or a second stop bit; 8N1 is a little quicker
FRAME_GAP_BYTES = 3.5  # silence before each request (serial line V1.02, 2.5.1.1)
FRAME_GAP_MIN_S = 0.00175  # above 19200 baud

# With these the request was certainly not carried out.
_NOT_DONE = frozenset(
    (
        ExceptionCode.ILLEGAL_FUNCTION,
        ExceptionCode.ILLEGAL_DATA_ADDRESS,
        ExceptionCode.ILLEGAL_DATA_VALUE,
        ExceptionCode.DEVICE_BUSY,
        ExceptionCode.GATEWAY_PATH_UNAVAILABLE,
    )
)
# With these asking again helps.
_PASSING = frozenset((ExceptionCode.DEVICE_BUSY, ExceptionCode.GATEWAY_TARGET_SILENT))

ModbusTurn = BusTurn[Request]


class ModbusExceptionError(RefusedError):
    """The device answered with an exception."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        self.worth_repeating = code in _PASSING

    @property
    def certainly_not_done(self) -> bool:
        return self.code in _NOT_DONE


class ModbusBus(Bus[Request]):
    """One link, several units."""

    def __init__(
        self,
        opener: LinkOpener,
        *,
        baudrate: int = 9600,
        reply_within_s: float = REPLY_WITHIN_S,
        timing: Timing | None = None,
    ) -> None:
        super().__init__(opener, timing)
        self._byte_s = BITS_PER_BYTE / baudrate
        self._frame_gap_s = max(FRAME_GAP_BYTES * self._byte_s, FRAME_GAP_MIN_S)
        self._reply_within_s = reply_within_s
        self._free_at = 0.0  # from then on the line may be used again

    async def _converse(self, link: Link, device: int, request: Request) -> bytes:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._free_at - loop.time(), 0.0))
        try:
            return await self._question(link, device, request)
        finally:
            self._free_at = loop.time() + self._frame_gap_s

    async def _question(self, link: Link, device: int, request: Request) -> bytes:
        loop = asyncio.get_running_loop()
        raw = request.frame(device).encode()
        decoder, heard = Decoder(Side.REPLIES), 0
        link.discard_input()
        link.write(raw)
        deadline = loop.time() + len(raw) * self._byte_s + self._reply_within_s + self.timing.margin_s
        limit = deadline + 2 * MAX_FRAME * self._byte_s
        while True:
            try:
                async with asyncio.timeout_at(min(deadline, limit)):
                    data = await link.read()
            except TimeoutError as error:
                who = self._who(device, request)
                if heard:
                    raise CorruptReplyError(
                        f"{who}: {heard} bytes came, none of them a right answer"
                    ) from error
                raise NoReplyError(
                    f"{who}: no answer; check power, wiring, baud rate, parity and unit number"
                ) from error
            heard += len(data)
            for frame in decoder.feed(data):
                if request.answered_by(device, frame):
                    return self._data(frame, device, request)
            deadline = loop.time() + self.timing.gap_s

    def _who(self, unit: int, request: Request) -> str:
        return f"{self.name}, unit {unit}, {request.name}"

    def _data(self, frame: Frame, unit: int, request: Request) -> bytes:
        if frame.exception is not None:
            name = exception_name(frame.exception)
            raise ModbusExceptionError(f"{self._who(unit, request)}: {name}", frame.exception)
        return frame.data
