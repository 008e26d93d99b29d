"""The talk with a reader of the UHFReader288 family: polled and pushed tags are taken out and delivered."""

from collections.abc import Callable

from hardware.rfid import uhf288_commands as commands
from hardware.rfid.dialogue import Dialogue, NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.reader import TagRead
from hardware.rfid.uhf288_replies import Reply, TagsReply, interpret
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.rfid.uhfreader288 import Frame


class Uhf288Dialogue(Dialogue[Frame, Reply]):
    """Knows which port was polled last, and which ports a reader in real-time mode pushed tags of."""

    def __init__(
        self, line: FrameLine[Frame], settings: Uhf288Settings, deliver: Callable[[list[TagRead]], None]
    ) -> None:
        super().__init__(
            line, self._deliver_tags, reply_timeout_s=settings.reply_timeout_s, attempts=settings.attempts
        )
        self._settings = settings
        self._deliver = deliver
        self._pushed_by: set[int] = set()
        self.polled = 1  # whose tags those are that name no port

    def take_pushed(self) -> frozenset[int]:
        """The ports that tags were pushed of since the last call."""
        ports = frozenset(self._pushed_by)
        self._pushed_by.clear()
        return ports

    async def make_it_answer(self) -> None:
        """Work mode 0. Older types have one mode only, and may not even say so. Raises LinkLostError."""
        await self.ask_once(commands.set_work_mode(0, self._settings.address))

    async def ask_once(self, frame: Frame) -> Reply | None:
        """For what not every type knows; None: no answer. Raises LinkLostError."""
        try:
            return await self.ask(frame, attempts=1)
        except NoAnswerError:
            return None

    def _deliver_tags(self, frames: list[Frame]) -> list[tuple[int, Reply]]:
        replies: list[tuple[int, Reply]] = []
        reads: list[TagRead] = []
        for frame in frames:
            reply = interpret(frame, self._settings.port_count)
            replies.append((frame.command, reply))
            if isinstance(reply, TagsReply):
                for tag in reply.tags:
                    if tag.port is None and reply.pushed:
                        continue  # of an antenna that this reader does not have: of any bay, or none
                    port = self.polled if tag.port is None else tag.port
                    reads.append(TagRead(port, tag.epc, None, tag.rssi_raw or 0))
                    if reply.pushed:
                        self._pushed_by.add(port)
        if reads:
            self._deliver(reads)
        return replies
