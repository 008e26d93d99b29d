"""A dispenser that is started by dry-contact pulses on its coin input, as most golf machines are.

Open loop: balls = pulses x balls per pulse, and the machine tells nothing. Therefore each pulse is a payout
with a mark of its own (`max_per_payout` = `step` = balls per pulse), so that a crash leaves at most one pulse
in doubt; its `paid` is then None, for ever, because no question could settle it. A mark belongs to one life
of the driver (`life`).

An infrared beam behind the machine closes the loop: `pay` then counts until no ball has come for a while, and
`paid` is what fell, more or less than a tray. Balls that fall while nobody counts stay unknown.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Protocol

from hardware.dispenser.dispenser import (
    Capabilities,
    DispenserUnavailableError,
    Identity,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
)
from hardware.dispenser.line import ExchangeError, or_unavailable
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus import parse_bits, read_bits
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.relay_boards import NumatoBoard, RelayBoard
from hardware.link import LinkError

# Between two questions. With the answer's own time it must stay below the time that a ball covers the beam,
# and below the gap to the next one: some 20 ms on a line at 19200 baud, enough for a feeder of single balls.
BEAM_POLL_S = 0.002
BEAM_LATE_S = (
    0.05  # a ball covers the beam for about so long: between looks further apart one may have passed
)
REMEMBERED = 64  # payouts whose outcome is kept


class Beam(Protocol):
    """A light barrier that each ball interrupts."""

    async def is_blocked(self) -> bool:
        """Raises ExchangeError, LinkError."""
        ...

    async def aclose(self) -> None:
        """The dispenser is closed; a line that nobody else uses is, too."""
        ...


class ModbusBeam:
    """On a discrete input (FC02)."""

    def __init__(self, bus: ModbusBus, *, unit: int, address: int) -> None:
        self._bus = bus
        self._unit = unit
        self._address = address

    async def is_blocked(self) -> bool:
        data = await self._bus.ask(self._unit, read_bits(self._address, 1, inputs=True))
        return parse_bits(data, 1)[0]

    async def aclose(self) -> None:
        await self._bus.release(self._unit, self)


class NumatoBeam:
    """On a GPIO of the relay board itself."""

    def __init__(self, board: NumatoBoard, *, gpio: int) -> None:
        self._board = board
        self._gpio = gpio

    async def is_blocked(self) -> bool:
        return await self._board.read_input(self._gpio)

    async def aclose(self) -> None:
        """The line is the board's."""


@dataclass(frozen=True, slots=True)
class PulseSettings:
    channel: int = 1
    balls_per_pulse: int = 25  # one tip of the tray
    pulse_s: float = 0.1  # what the machine's coin input wants to see; boards that time it count in 0.1 s
    gap_s: float = 0.5  # contact open between two pulses; less, and the machine sees one
    payout_s: float = 4.0  # from a pulse until the last ball; with a beam: silence that ends the count


class PulseRelay:
    """Implements hardware.dispenser.Dispenser."""

    def __init__(
        self,
        board: RelayBoard,
        settings: PulseSettings | None = None,
        *,
        beam: Beam | None = None,
        life: int | None = None,
    ) -> None:
        self._board = board
        self._settings = settings or PulseSettings()
        self._beam = beam
        # Another number in each process, below 2**53 for journals that keep JSON numbers.
        self._life = life if life is not None else time.time_ns() // 1000
        self._marks = 0
        self._outcomes: dict[int, Progress] = {}
        self._beam_blocked = False
        self._cut = asyncio.Event()
        self._ready_at = 0.0  # the machine takes the next pulse
        self._runs_until = 0.0
        board.claim(self._settings.channel, self)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            counted=self._beam is not None,
            level_sensors=False,
            emergency_stop=False,  # the contact opens, but a tray that tips has tipped
            step=self._settings.balls_per_pulse,
            max_per_payout=self._settings.balls_per_pulse,
        )

    async def connect(self) -> Identity:
        self._board.claim(self._settings.channel, self)
        await or_unavailable(self._board.make_safe())
        if self._beam is not None:
            await or_unavailable(self._beam.is_blocked())
        # What was before is not known: a tray may still tip, and its balls are not the next pulse's.
        wait_s = max(self._settings.gap_s, self._settings.payout_s)
        self._ready_at = asyncio.get_running_loop().time() + wait_s
        return Identity(
            driver="pulse_relay",
            manufacturer="",
            product=type(self._board).__name__,
            serial="",
            software="",
            details={
                "link": self._board.name,
                "channel": str(self._settings.channel),
                "balls_per_pulse": str(self._settings.balls_per_pulse),
                "counted": "no" if self._beam is None else "yes",
            },
        )

    async def mark(self) -> Mark:
        if self._is_running():
            raise DispenserUnavailableError(f"{self._who}: still pays; wait")
        # An unreachable board is found out here rather than in the payout.
        await or_unavailable(self._board.release_contact(self._settings.channel))
        self._marks += 1
        return {"life": self._life, "pulse": self._marks}

    async def pay(self, balls: int, mark: Mark) -> None:
        pulse = mark["pulse"]
        if balls != self._settings.balls_per_pulse:
            raise NotStartedError(
                f"{self._who}: one payout is one pulse of {self._settings.balls_per_pulse} balls, not {balls}"
            )
        if mark["life"] != self._life or pulse in self._outcomes:
            raise OutcomeUnknownError(f"{self._who}: this mark was used before; ask for progress")
        self._cut.clear()
        await self._keep_gap()
        # Unknown until the end is reached: a pulse that was cut or cancelled has been seen or not.
        self._remember(pulse, Progress(None, running=False, fault="pulse not confirmed"))
        try:
            outcome = await (self._pulse_blindly(balls) if self._beam is None else self._count(self._beam))
        except NotStartedError:
            del self._outcomes[pulse]
            raise
        self._remember(pulse, outcome)

    async def progress(self, balls: int, mark: Mark) -> Progress:  # noqa: ARG002  one payout is one pulse
        if mark["life"] != self._life:
            return Progress(None, running=False, fault="restarted during an uncounted payout")
        pulse = mark["pulse"]
        not_begun = Progress(0, running=False, fault="beam blocked" if self._beam_blocked else None)
        outcome = self._outcomes.get(pulse, not_begun)
        # A tray tips as a whole: its balls are certain with the pulse, though they still roll.
        return replace(outcome, running=pulse == max(self._outcomes, default=0) and self._is_running())

    async def stop(self) -> None:
        self._cut.set()
        await or_unavailable(self._board.make_safe(urgent=True))

    async def clear_faults(self) -> None:
        """The machine has a button of its own; here only the contacts are opened."""
        await or_unavailable(self._board.make_safe())

    async def level(self) -> Level:
        """Unknown, always; what is asked is whether the board is there, and that the contact is open."""
        await or_unavailable(self._board.release_contact(self._settings.channel))
        return Level.UNKNOWN

    async def aclose(self) -> None:
        self._cut.set()
        try:
            await self._board.make_safe(urgent=True)
        except (ExchangeError, LinkError, MalformedReplyError):
            pass  # gone; the next connect does it
        await self._board.release(self._settings.channel, self)
        if self._beam is not None:
            await self._beam.aclose()

    @property
    def _who(self) -> str:
        return f"{self._board.name}, channel {self._settings.channel}"

    def _is_running(self) -> bool:
        return asyncio.get_running_loop().time() < self._runs_until

    def _remember(self, pulse: int, outcome: Progress) -> None:
        self._outcomes[pulse] = outcome
        while len(self._outcomes) > REMEMBERED:
            del self._outcomes[min(self._outcomes)]

    async def _keep_gap(self) -> None:
        gap_s = self._ready_at - asyncio.get_running_loop().time()
        if gap_s <= 0:
            return
        try:
            async with asyncio.timeout(gap_s):
                await self._cut.wait()
        except TimeoutError:
            return
        raise NotStartedError(f"{self._who}: stopped before the pulse")

    async def _pulse(self) -> None:
        try:
            await self._board.pulse(self._settings.channel, self._settings.pulse_s, self._cut)
        except NotStartedError:
            raise
        except BaseException:
            self._begin_payout()
            raise
        self._begin_payout()
        if self._cut.is_set():
            raise OutcomeUnknownError(f"{self._who}: the pulse was cut short")

    def _begin_payout(self) -> None:
        """The machine has, or may have, seen a pulse."""
        now = asyncio.get_running_loop().time()
        self._ready_at = now + self._settings.gap_s
        if self._beam is None:
            self._runs_until = now + self._settings.payout_s

    async def _pulse_blindly(self, balls: int) -> Progress:
        await self._pulse()
        return Progress(balls, running=False)

    async def _count(self, beam: Beam) -> Progress:
        """Pulse, and count what falls. What fell is certain even when the pulse was not."""
        try:
            self._beam_blocked = await beam.is_blocked()
        except (ExchangeError, LinkError, MalformedReplyError) as error:
            raise NotStartedError(f"no pulse was sent, the counting beam cannot be read: {error}") from error
        if self._beam_blocked:
            raise NotStartedError(f"{self._who}: no pulse was sent, the counting beam is blocked")
        failure: NotStartedError | OutcomeUnknownError | None = None
        pulsed = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(self._count_balls(beam, pulsed), name=f"count balls {self._who}")
            try:
                await self._pulse()
            except NotStartedError as error:
                failure = error
                counting.cancel()
            except OutcomeUnknownError as error:
                failure = error
            pulsed.set()
        if isinstance(failure, NotStartedError):
            raise failure
        outcome = counting.result()
        if failure is not None and outcome.paid is None:
            raise failure
        return outcome

    async def _count_balls(self, beam: Beam, pulsed: asyncio.Event) -> Progress:
        loop = asyncio.get_running_loop()
        balls, blocked, changed_at = 0, False, loop.time()
        looked_at, late = None, False
        while not pulsed.is_set() or loop.time() < changed_at + self._settings.payout_s:
            if not pulsed.is_set():
                changed_at = loop.time()
            try:
                now_blocked = await beam.is_blocked()
            except (ExchangeError, LinkError, MalformedReplyError):
                return Progress(None, running=False, fault="beam not readable")
            # While the contact is closed the line is the board's, and the tray has not tipped yet.
            late = late or (looked_at is not None and loop.time() - looked_at > BEAM_LATE_S)
            looked_at = loop.time() if pulsed.is_set() else None
            if now_blocked != blocked:
                blocked, changed_at = now_blocked, loop.time()
                balls += blocked
            await asyncio.sleep(BEAM_POLL_S)
        if late:
            return Progress(None, running=False, fault="beam read too slowly to count")
        fault = "jam" if blocked else "empty" if balls == 0 else None
        return Progress(balls, running=False, fault=fault)
