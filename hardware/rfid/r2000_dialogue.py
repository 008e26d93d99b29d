"""Question and answer with a 0xA0 reader: one command under way, answers told by command and shape.

Tags that turn up among answers are late ones of a round that was given up: they are delivered, not lost. A
question without an answer is asked again on a drained line; then NoAnswerError.
"""

import asyncio
from collections.abc import Callable, Iterable

from hardware.rfid import r2000_commands as commands
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_a0 import Frame
from hardware.rfid.r2000_replies import AckReply, FirmwareReply, Reply, TagReply, interpret
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.reconnecting import ReaderSilentError


class NoAnswerError(Exception):
    """The reader was asked several times and said nothing that fits."""


class R2000Dialogue:
    """The talk over one open link."""

    def __init__(
        self, line: FrameLine[Frame], settings: R2000Settings, deliver: Callable[[list[TagReply]], None]
    ) -> None:
        self._line = line
        self._settings = settings
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._group = 0
        self.frames_heard = 0

    @property
    def name(self) -> str:
        return self._line.name

    def send(self, frame: Frame) -> None:
        self._line.send(frame.encode())

    async def receive(self, deadline: float) -> list[tuple[int, Reply]]:
        """What came, without the tags, each with its command. Raises TimeoutError, LinkLostError."""
        return self._sort(await self._line.receive(deadline))

    async def drain(self) -> list[tuple[int, Reply]]:
        return self._sort(await self._line.drain())

    async def ask(self, frame: Frame, *, attempts: int | None = None) -> Reply:
        """The first answer to this command. Raises NoAnswerError, LinkLostError."""
        for _ in range(attempts or self._settings.attempts):
            self.send(frame)
            deadline = self._loop.time() + self._settings.reply_timeout_s
            try:
                while True:
                    for command, reply in await self.receive(deadline):
                        if command == frame.command:
                            return reply
            except TimeoutError:
                await self.drain()
        raise NoAnswerError(f"{self.name}: no answer to command {frame.command:#04x}")

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

    def _sort(self, frames: Iterable[Frame]) -> list[tuple[int, Reply]]:
        tags: list[TagReply] = []
        others: list[tuple[int, Reply]] = []
        for frame in frames:
            self.frames_heard += 1
            reply = interpret(frame, self._group)
            if isinstance(reply, TagReply):
                tags.append(reply)
            else:
                others.append((frame.command, reply))
        if tags:
            self._deliver(tags)
        return others
