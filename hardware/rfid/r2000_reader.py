"""The driver of the 0xA0 readers (Impinj R2000, E-chip: Invelion, YANZEO, Rodinbell ...).

One task talks to one reader: it opens the link, identifies the reader, brings in the powers, and then runs
round after round over the planned ports that have an antenna. A new plan counts from the next round. Without
ports to read no air time is used, and the reader is asked now and then whether it is there.

Silence climbs a ladder: the round is repeated, after three the reader is reset, then the link is reopened
with growing pauses, and that is when the world is told ReaderLost.
"""

import asyncio
from collections.abc import Callable

from hardware.link import Link, LinkOpener
from hardware.rfid import r2000_commands as commands
from hardware.rfid.antennas import Antennas
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_a0 import Decoder
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_power import PowerControl
from hardware.rfid.r2000_replies import GROUP_SIZE, AckReply, IdentifierReply, ReturnLossReply, TagReply
from hardware.rfid.r2000_rounds import RoundOutcome, Rounds, WorkingForm
from hardware.rfid.r2000_settings import PowerMode, R2000Settings
from hardware.rfid.reader import (
    AntennaPlan,
    ReaderEvent,
    ReaderIdentity,
    ReaderLost,
    ReaderOnline,
    RoundEnded,
    TagBatch,
    TagRead,
)
from hardware.rfid.reconnecting import BackOff, ReaderSilentError, keep_connected
from hardware.rfid.refused_powers import RefusedPowers
from hardware.rfid.stream_decoder import Counters

FAMILY = "r2000_a0"
HIGHEST_STAY = 0xFF


class R2000Reader:
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
        self._opener = opener
        self._emit = on_event
        self._settings = settings or R2000Settings()
        self._back_off = BackOff(jitter)
        self._decoder = Decoder()
        self._plan = AntennaPlan()
        self._plan_changed = asyncio.Event()
        self._lost = False
        # What is known of the reader outlives a lost link.
        self._antennas = Antennas(self._settings.port_count, self._settings.probe_interval_s, on_event)
        self._refused_powers = RefusedPowers(on_event)
        self._working_form = WorkingForm(self._settings)

    @property
    def reads_to_confirm(self) -> int:
        return 2  # an 8-bit checksum takes one junk frame in 256 for good

    @property
    def counters(self) -> Counters:
        """What the line did, since the start."""
        return self._decoder.counters

    def set_plan(self, plan: AntennaPlan) -> None:
        self._plan = plan
        self._plan_changed.set()

    async def run(self) -> None:
        await keep_connected(self._opener, self._converse, self._report_loss, self._back_off)

    def _report_loss(self, reason: str) -> None:
        if not self._lost:  # not again with every attempt
            self._lost = True
            self._emit(ReaderLost(reason))

    async def _converse(self, link: Link) -> None:
        """Until the link or the reader is lost."""
        self._decoder.reset()
        line = FrameLine(link, self._decoder)
        dialogue = R2000Dialogue(line, self._settings, self._deliver)
        conversation = _Conversation(
            dialogue, self._settings, self._antennas, self._refused_powers, self._working_form
        )
        identity = await conversation.begin()
        self._lost = False
        self._emit(ReaderOnline(identity))
        while True:
            self._plan_changed.clear()
            pause_s = await conversation.step(self._plan, self._emit)
            if conversation.works:
                self._back_off.worked()
            if pause_s > 0:
                try:
                    async with asyncio.timeout(pause_s):
                        await self._plan_changed.wait()
                except TimeoutError:
                    pass

    def _deliver(self, tags: list[TagReply]) -> None:
        """Reads of ports that nobody asked for are errors of the line, or of a round given up."""
        planned = self._plan.ports
        reads = tuple(
            TagRead(tag.port, tag.epc, tag.rssi_dbm, tag.rssi_raw) for tag in tags if tag.port in planned
        )
        if reads:
            self._emit(TagBatch(reads))


class _Conversation:
    """From one opening of the link to its loss."""

    def __init__(
        self,
        dialogue: R2000Dialogue,
        settings: R2000Settings,
        antennas: Antennas,
        refused_powers: RefusedPowers,
        working_form: WorkingForm,
    ) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._antennas = antennas
        self._power = PowerControl(dialogue, settings, refused_powers)
        self._rounds = Rounds(dialogue, settings, working_form)
        self._loop = asyncio.get_running_loop()
        self._applied: AntennaPlan | None = None
        self._bad_rounds = 0
        self._reset_in_vain = False  # no good round since the last reset
        self._ask_at = 0.0

    @property
    def works(self) -> bool:
        """The last thing asked of the reader was done."""
        return self._bad_rounds == 0 and not self._reset_in_vain

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

    async def step(self, plan: AntennaPlan, emit: Callable[[ReaderEvent], None]) -> float:
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
                    emit(RoundEnded(outcome.listened))
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
