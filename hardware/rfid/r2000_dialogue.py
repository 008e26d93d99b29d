"""The talk with a 0xA0 reader: what all its parts need besides question and answer."""

import asyncio
from collections.abc import Callable

from hardware.rfid import r2000_commands as commands
from hardware.rfid.dialogue import Dialogue, NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_a0 import Frame
from hardware.rfid.r2000_replies import AckReply, FirmwareReply, Reply, TagReply, interpret
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.reader import TagRead
from hardware.rfid.reconnecting import ReaderSilentError


class R2000Dialogue(Dialogue[Frame, Reply]):
    """Knows the antenna group in force, and how to restart the reader."""

    def __init__(
        self, line: FrameLine[Frame], settings: R2000Settings, deliver: Callable[[list[TagRead]], None]
    ) -> None:
        super().__init__(
            line, self._without_tags, reply_timeout_s=settings.reply_timeout_s, attempts=settings.attempts
        )
        self._settings = settings
        self._deliver = deliver
        self._group = 0

    async def select_group(self, group: int) -> None:
        """Before whatever concerns ports: the reader may have forgotten it. Raises NoAnswerError."""
        self._group = group
        if not self._settings.has_groups:
            return
        reply = await self.ask(commands.set_antenna_group(group, self._settings.address))
        if not isinstance(reply, AckReply):
            raise NoAnswerError(f"{self.name}: antenna group {group} was refused ({reply})")

    async def firmware(self) -> FirmwareReply:
        """Is the reader there? Raises NoAnswerError."""
        reply = await self.ask(commands.get_firmware(self._settings.address))
        if isinstance(reply, FirmwareReply):
            return reply
        raise NoAnswerError(f"{self.name}: odd answer to the question for its firmware ({reply})")

    async def reset(self, reason: str) -> FirmwareReply:
        """Restart the reader; `reason` is told when that does not help. Raises ReaderSilentError."""
        self.send(commands.reset(self._settings.address))
        await asyncio.sleep(self._settings.deaf_s)
        await self.drain()
        try:
            return await self.firmware()
        except NoAnswerError as error:
            raise ReaderSilentError(
                f"{reason}; a reset did not help: check the reader's power, its wiring and the baud rate"
            ) from error

    def _without_tags(self, frames: list[Frame]) -> list[tuple[int, Reply]]:
        reads: list[TagRead] = []
        others: list[tuple[int, Reply]] = []
        for frame in frames:
            reply = interpret(frame, self._group)
            if isinstance(reply, TagReply):
                reads.append(TagRead(reply.port, reply.epc, reply.rssi_dbm, reply.rssi_raw))
            else:
                others.append((frame.command, reply))
        if reads:
            self._deliver(reads)
        return others
