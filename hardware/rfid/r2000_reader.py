"""The driver of the 0xA0 readers (Impinj R2000, E-chip: Invelion, YANZEO, Rodinbell ...).

One task talks to one reader: it opens the link, identifies the reader, brings in the powers, and then runs
round after round over the planned ports that have an antenna. A new plan counts from the next round. Without
ports to read no air time is used, and the reader is asked now and then whether it is there.

Silence climbs a ladder: the round is repeated, after three the reader is reset, then the link is reopened
with growing pauses, and that is when the world is told ReaderLost.
"""

import asyncio
from collections.abc import Callable

from hardware.link import LinkOpener
from hardware.rfid import r2000_commands as commands
from hardware.rfid.antennas import Antennas
from hardware.rfid.asides import Seat
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_a0 import Decoder, Frame
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_power import PowerControl
from hardware.rfid.r2000_replies import GROUP_SIZE, AckReply, IdentifierReply, ReturnLossReply
from hardware.rfid.r2000_rounds import RoundOutcome, Rounds, WorkingForm
from hardware.rfid.r2000_settings import PowerMode, R2000Settings
from hardware.rfid.reader import (
    AntennaPlan,
    ReaderEvent,
    ReaderIdentity,
    RoundEnded,
)
from hardware.rfid.reader_driver import Conversation, ReaderDriver
from hardware.rfid.reconnecting import ReaderSilentError

FAMILY = "r2000_a0"
HIGHEST_STAY = 0xFF


class R2000Reader(ReaderDriver[Frame]):
    """See `RfidReader`."""

    def __init__(
        self,
        opener: LinkOpener,
        on_event: Callable[[ReaderEvent], None],
        settings: R2000Settings | None = None,
        *,
        jitter: Callable[[], float],
    ) -> None:
        """`jitter` gives numbers in [0, 1)."""
        self._settings = settings or R2000Settings()
        self._working_form = WorkingForm(self._settings)
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
        return 2  # an 8-bit checksum takes one junk frame in 256 for good

    def _start(self, line: FrameLine[Frame]) -> Conversation:
        dialogue = R2000Dialogue(line, self._settings, self._deliver)
        power = PowerControl(dialogue, self._settings, self._refused_powers)
        rounds = Rounds(dialogue, self._settings, self._working_form)
        return _Conversation(dialogue, self._settings, self._antennas, power, rounds, self._emit)


class _Conversation:
    """See `Conversation`."""

    def __init__(
        self,
        dialogue: R2000Dialogue,
        settings: R2000Settings,
        antennas: Antennas,
        power: PowerControl,
        rounds: Rounds,
        emit: Callable[[ReaderEvent], None],
    ) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._antennas = antennas
        self._power = power
        self._rounds = rounds
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._applied: AntennaPlan | None = None
        self._bad_rounds = 0
        self._reset_in_vain = False  # no good round since the last reset
        self._ask_at = 0.0

    @property
    def works(self) -> bool:
        """The last thing asked of the reader was done."""
        return self._bad_rounds == 0 and not self._reset_in_vain

    def seat(self, line: FrameLine[Frame]) -> Seat:
        return Seat(self._dialogue, self._settings, line)

    async def begin(self) -> ReaderIdentity:
        """Raises ReaderSilentError, LinkLostError."""
        await self._dialogue.drain()  # a round of an earlier life may still run
        try:
            firmware = await self._dialogue.firmware()
        except NoAnswerError as error:
            firmware = await self._dialogue.reset(str(error))
        details = {}
        try:
            reply = await self._dialogue.ask(commands.get_identifier(self._settings.address), attempts=1)
            if isinstance(reply, IdentifierReply):
                details["identifier"] = _readable(reply.identifier)
        except NoAnswerError:
            pass  # not every firmware has one
        self._antennas.probe_soon(self._loop.time())
        self._ask_at = self._loop.time() + self._settings.supervise_interval_s
        count = self._settings.port_count
        return ReaderIdentity(
            FAMILY, f"{firmware.major}.{firmware.minor}", f"0xA0 {count}-port", count, details
        )

    async def step(self, plan: AntennaPlan) -> float:
        """Do what is due; answers how long to wait then. Raises ReaderSilentError, LinkLostError."""
        try:
            if plan != self._applied:
                await self._apply(plan)
            await self._antennas.probe_if_due(self._measure, plan.ports, self._loop.time())
            batches = self._batches(plan)
            if not batches:
                return await self._supervise()
            pause_s = 0.0
            for power_dbm, ports in batches:
                if self._settings.power_mode is PowerMode.RAM:
                    await self._power.set_temporary(power_dbm, ports)
                stays = {port: min(max(plan.ports[port].stay, 1), HIGHEST_STAY) for port in sorted(ports)}
                outcome = await self._rounds.run(stays)
                self._antennas.absent(outcome.missing, self._loop.time())
                self._antennas.heard(outcome.listened)
                if outcome.listened:
                    self._emit(RoundEnded(outcome.listened))
                pause_s = max(pause_s, await self._judge(outcome))
            return pause_s
        except NoAnswerError as error:
            await self._reset(str(error))
            return 0.0

    async def _apply(self, plan: AntennaPlan) -> None:
        now = self._loop.time()
        able = {port for port in plan.ports if 1 <= port <= self._settings.port_count}
        self._antennas.absent(plan.ports.keys() - able, now)
        if self._settings.power_mode is PowerMode.FLASH:
            await self._power.save({port: plan.ports[port].power_dbm for port in sorted(able)})
        self._antennas.probe_soon(now)
        self._applied = plan

    def _batches(self, plan: AntennaPlan) -> list[tuple[int, frozenset[int]]]:
        """What one request can hold: ports of one antenna group and, with the power in RAM, of one power."""
        batches: dict[tuple[int, int], set[int]] = {}
        for port in sorted(self._antennas.readable(plan.ports)):
            power_dbm = plan.ports[port].power_dbm if self._settings.power_mode is PowerMode.RAM else 0
            batches.setdefault(((port - 1) // GROUP_SIZE, power_dbm), set()).add(port)
        return [(power_dbm, frozenset(ports)) for (_, power_dbm), ports in batches.items()]

    async def _measure(self, port: int) -> bool | None:
        """Is an antenna at this port? Work antenna (0x74), then its return loss (0x7E)."""
        group, index = divmod(port - 1, GROUP_SIZE)
        address = self._settings.address
        try:
            await self._dialogue.select_group(group)
            if not isinstance(
                await self._dialogue.ask(commands.set_work_antenna(index + 1, address)), AckReply
            ):
                return None
            reply = await self._dialogue.ask(
                commands.measure_return_loss(self._settings.probe_frequency_index, address), attempts=1
            )
        except NoAnswerError:
            return None
        if not isinstance(reply, ReturnLossReply) or reply.db is None:
            return None
        return reply.db >= self._settings.connected_return_loss_db

    async def _judge(self, outcome: RoundOutcome) -> float:
        """How long to rest after this round; resets a reader that does not work."""
        if outcome.problem is None or outcome.alive:
            self._bad_rounds = 0
            self._reset_in_vain = False
            return 0.0
        self._bad_rounds += 1
        if self._bad_rounds >= self._settings.silent_rounds:
            await self._reset(f"{self._dialogue.name}: {outcome.problem} in {self._bad_rounds} rounds")
        return self._settings.error_pause_s

    async def _supervise(self) -> float:
        """Nothing to read: is the reader still there?"""
        now = self._loop.time()
        if now >= self._ask_at:
            await self._dialogue.firmware()
            self._bad_rounds = 0
            self._reset_in_vain = False
            self._ask_at = self._loop.time() + self._settings.supervise_interval_s
        due_at = min(self._ask_at, self._antennas.probe_at or self._ask_at)
        return max(due_at - self._loop.time(), 0.0)

    async def _reset(self, reason: str) -> None:
        if self._reset_in_vain:
            raise ReaderSilentError(f"{reason}, also after a reset: check the reader and its antennas")
        self._reset_in_vain = True
        self._bad_rounds = 0
        await self._dialogue.reset(reason)
        self._applied = None  # what was in RAM is gone


def _readable(identifier: bytes) -> str:
    text = identifier.rstrip(b"\xff\x00")
    return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else identifier.hex()
