"""The driver of the UHFReader288 family (Chafon, Wyuan, UHFReader18, 86, 288, E310/E710).

The family is polled: one command is one inventory on one port, so this driver is the multiplexer. It goes
from port to port, `stay` polls on each, and a new plan counts from the next port. A reader that was left in
real-time mode ignores polls and pushes tags; it is told to answer when the link opens and whenever pushed
frames turn up, and what it pushed is taken.

There is no reset command: a reader that stays silent is reopened, with growing pauses.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from hardware.link import LinkOpener
from hardware.rfid import uhf288_commands as commands
from hardware.rfid.antennas import Antennas
from hardware.rfid.asides import Seat
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.reader import AntennaPlan, ReaderEvent, ReaderIdentity, RoundEnded
from hardware.rfid.reader_driver import Conversation, ReaderDriver
from hardware.rfid.reconnecting import ReaderSilentError
from hardware.rfid.uhf288_dialogue import Uhf288Dialogue
from hardware.rfid.uhf288_polling import Polling
from hardware.rfid.uhf288_power import PowerControl
from hardware.rfid.uhf288_replies import (
    WITHOUT_ANTENNAS,
    InfoReply,
    Reply,
    ReturnLossReply,
    ThresholdReply,
    type_name,
)
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.rfid.uhfreader288 import Decoder, Frame

FAMILY = "uhfreader288"


class Uhf288Reader(ReaderDriver[Frame]):
    """See `RfidReader`."""

    def __init__(
        self,
        opener: LinkOpener,
        on_event: Callable[[ReaderEvent], None],
        settings: Uhf288Settings | None = None,
        *,
        jitter: Callable[[], float],
    ) -> None:
        """`jitter` gives numbers in [0, 1)."""
        self._settings = settings or Uhf288Settings()
        super().__init__(
            opener,
            on_event,
            Decoder(),
            port_count=self._settings.port_count,
            probe_interval_s=self._settings.probe_interval_s,
            reopen_s=self._settings.reopen_s,
            jitter=jitter,
        )

    @property
    def reads_to_confirm(self) -> int:
        return 1  # a CRC-16; exactly registered EPCs only

    def _start(self, line: FrameLine[Frame]) -> Conversation:
        dialogue = Uhf288Dialogue(line, self._settings, self._deliver)
        power = PowerControl(dialogue, self._settings, self._refused_powers)
        return _Conversation(dialogue, self._settings, self._antennas, power, self._emit)


class _Conversation:
    """See `Conversation`."""

    def __init__(
        self,
        dialogue: Uhf288Dialogue,
        settings: Uhf288Settings,
        antennas: Antennas,
        power: PowerControl,
        emit: Callable[[ReaderEvent], None],
    ) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._antennas = antennas
        self._power = power
        self._emit = emit
        self._polling = Polling(dialogue, settings)
        self._loop = asyncio.get_running_loop()
        self._applied: AntennaPlan | None = None
        self._to_visit: deque[int] = deque()
        self._bad_polls = 0
        self._ask_at = 0.0

    @property
    def works(self) -> bool:
        """The last thing asked of the reader was done."""
        return self._bad_polls == 0

    def seat(self, line: FrameLine[Frame]) -> Seat:
        return Seat(self._dialogue, self._settings, line)

    async def begin(self) -> ReaderIdentity:
        """Raises ReaderSilentError, LinkLostError."""
        await self._dialogue.drain()
        await self._dialogue.make_it_answer()
        reply = await self._info()
        self._antennas.probe_soon(self._loop.time())
        self._ask_at = self._loop.time() + self._settings.supervise_interval_s
        count = self._settings.port_count
        if not isinstance(reply, InfoReply):
            return ReaderIdentity(FAMILY, "unknown", "unknown", count)
        if reply.reader_type in WITHOUT_ANTENNAS:
            self._polling.is_without_antennas()
        firmware, model = f"{reply.major}.{reply.minor}", type_name(reply.reader_type)
        return ReaderIdentity(FAMILY, firmware, model, count, {"type": f"{reply.reader_type:#04x}"})

    async def step(self, plan: AntennaPlan) -> float:
        """Visit the next port; answers how long to wait then. Raises ReaderSilentError, LinkLostError."""
        if plan != self._applied:
            await self._apply(plan)
        await self._antennas.probe_if_due(self._is_connected, plan.ports, self._loop.time())
        port = self._next_port(plan)
        if port is None:
            return await self._supervise()
        for _ in range(max(plan.ports[port].stay, 1)):
            try:
                outcome = await self._polling.poll(port)
            except NoAnswerError as error:
                raise ReaderSilentError(str(error)) from error
            if outcome.antenna_missing:
                detail = "" if self._antennas.is_missing(port) else await self._measured(port)
                self._antennas.absent({port}, self._loop.time(), {port: detail})
                break
            if outcome.problem is not None:
                return self._bad_poll(outcome.problem)
            self._bad_polls = 0
            self._antennas.heard(outcome.listened)
            if ports := outcome.listened & plan.ports.keys():
                self._emit(RoundEnded(frozenset(ports)))
        return 0.0

    async def _apply(self, plan: AntennaPlan) -> None:
        now = self._loop.time()
        able = {port for port in plan.ports if 1 <= port <= self._settings.port_count}
        self._antennas.absent(plan.ports.keys() - able, now)
        await self._power.bring({port: plan.ports[port].power_dbm for port in sorted(able)})
        self._antennas.probe_soon(now)
        self._to_visit.clear()
        self._applied = plan

    def _next_port(self, plan: AntennaPlan) -> int | None:
        readable = self._antennas.readable(plan.ports)
        if not self._to_visit:
            self._to_visit.extend(sorted(readable))
        while self._to_visit:
            port = self._to_visit.popleft()
            if port in readable:
                return port
        return None

    def _bad_poll(self, problem: str) -> float:
        self._bad_polls += 1
        if self._bad_polls >= self._settings.silent_polls:
            raise ReaderSilentError(f"{self._dialogue.name}: {problem}, {self._bad_polls} times in a row")
        return self._settings.error_pause_s

    async def _supervise(self) -> float:
        """Nothing to read: is the reader still there?"""
        if self._loop.time() >= self._ask_at:
            await self._info()
            self._bad_polls = 0
            self._ask_at = self._loop.time() + self._settings.supervise_interval_s
        due_at = min(self._ask_at, self._antennas.probe_at or self._ask_at)
        return max(due_at - self._loop.time(), 0.0)

    async def _info(self) -> Reply:
        try:
            return await self._dialogue.ask(commands.get_info(self._settings.address))
        except NoAnswerError as error:
            raise ReaderSilentError(
                f"{error}: check the reader's power, its wiring and the baud rate (57600 is usual)"
            ) from error

    # Antennas.

    async def _is_connected(self, port: int) -> bool | None:
        loss_db, threshold_db = await self._return_loss(port)
        if loss_db is None:
            return None
        return loss_db >= max(self._settings.connected_return_loss_db, threshold_db or 0)

    async def _measured(self, port: int) -> str:
        """Why the reader says that there is no antenna, for people."""
        loss_db, threshold_db = await self._return_loss(port)
        if loss_db is None or threshold_db is None:
            return ""
        return f"return loss {loss_db} dB, and the reader wants {threshold_db} dB"

    async def _return_loss(self, port: int) -> tuple[int | None, int | None]:
        """What is measured, and what the reader wants, in dB; None where it does not tell."""
        address = self._settings.address
        loss = await self._dialogue.ask_once(
            commands.measure_return_loss(port, self._settings.probe_frequency_khz, address)
        )
        if not isinstance(loss, ReturnLossReply):
            return None, None
        threshold = await self._dialogue.ask_once(commands.get_return_loss_threshold(address))
        return loss.db, threshold.db if isinstance(threshold, ThresholdReply) else None
