"""One inventory on one port of a reader of the UHFReader288 family, in the way that this type understands.

The long request names the port. Types that refuse it get the antenna selected by a volatile mask, then the
short request; a UHFReader18 has one antenna and takes no parameters at all.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

from hardware.rfid import uhf288_commands as commands
from hardware.rfid.uhf288_dialogue import Uhf288Dialogue
from hardware.rfid.uhf288_replies import InventoryFailedReply, TagsReply
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.rfid.uhfreader288 import ANTENNA_ERROR, INVENTORY, NO_TAG, Frame

# "Wrong command length", "illegal command", "invalid parameter".
_NOT_UNDERSTOOD = frozenset({0xFD, 0xFE, 0xFF})


class _Request(Enum):
    """The newest way first."""

    ONE_PORT = 1
    SELECTED_ANTENNAS = 2
    WITHOUT_PARAMETERS = 3


@dataclass(frozen=True, slots=True)
class PollOutcome:
    listened: frozenset[int] = frozenset()
    antenna_missing: bool = False
    problem: str | None = None


class Polling:
    """Polls ports over one link."""

    def __init__(self, dialogue: Uhf288Dialogue, settings: Uhf288Settings) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._request = _Request.ONE_PORT
        self._loop = asyncio.get_running_loop()

    def is_without_antennas(self) -> None:
        """The reader told its type: no request needs to be tried."""
        self._request = _Request.WITHOUT_PARAMETERS

    async def poll(self, port: int) -> PollOutcome:
        """Raises NoAnswerError, LinkLostError."""
        while True:
            self._dialogue.polled = port
            self._dialogue.send(await self._prepared(port))
            outcome = await self._listen(port)
            if not isinstance(outcome, InventoryFailedReply):
                return outcome
            if outcome.status == NO_TAG:
                return PollOutcome(listened=frozenset({port}))
            if outcome.status == ANTENNA_ERROR:
                return PollOutcome(antenna_missing=True)
            if outcome.status not in _NOT_UNDERSTOOD or self._request is _Request.WITHOUT_PARAMETERS:
                return PollOutcome(problem=f"the reader answers: {outcome.name}")
            self._request = _Request(self._request.value + 1)

    async def _prepared(self, port: int) -> Frame:
        settings = self._settings
        match self._request:
            case _Request.ONE_PORT:
                return commands.poll(
                    port,
                    scan_time_ms=settings.scan_time_ms,
                    q=settings.q,
                    session=settings.gen2_session,
                    target=settings.target,
                    address=settings.address,
                )
            case _Request.SELECTED_ANTENNAS:
                mask = commands.set_antennas(
                    frozenset({port}), settings.port_count, volatile=True, address=settings.address
                )
                await self._dialogue.ask(mask)
                return commands.poll_all(
                    q=settings.q, session=settings.gen2_session, address=settings.address
                )
            case _Request.WITHOUT_PARAMETERS:
                return commands.poll_reader18(settings.address)

    async def _listen(self, port: int) -> PollOutcome | InventoryFailedReply:
        settings = self._settings
        budget_s = settings.scan_time_ms / 1000 + settings.scan_overrun_s + settings.poll_grace_s
        deadline = self._loop.time() + budget_s
        try:
            while True:
                for command, reply in await self._dialogue.receive(deadline):
                    if command != INVENTORY:
                        continue
                    match reply:
                        case TagsReply(more_follow=True):
                            deadline = self._loop.time() + budget_s
                        case TagsReply(port=heard) if heard in (None, port):
                            return PollOutcome(listened=frozenset({port}))
                        case InventoryFailedReply():
                            return reply
        except TimeoutError:
            # The reply may have been lost to a bad CRC: nothing is sent before the line is idle.
            await self._dialogue.drain()
        pushed = self._dialogue.take_pushed()
        if pushed:
            # It was left in real-time mode, or fell back into it.
            await self._dialogue.make_it_answer()
            return PollOutcome(listened=pushed)
        return PollOutcome(problem="the reader is silent")
