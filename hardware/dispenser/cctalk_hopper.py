"""A ccTalk hopper as a dispenser that pays each ball once.

The event counter is what makes this possible: the hopper counts the dispense commands that reach it, so
after a lost reply, a crash or a power cut one looks instead of repeating (SCH2 manual p. 40, 41; how is in
`cctalk_payout`). The dispense command is sent once, and only while the counter stands at the mark.

Numbers that decide about money are believed when read twice alike: the plain checksum has eight bits.
Hoppers that want encrypted dispense commands are refused: the algorithm is under a non-disclosure agreement.
A hopper starts disabled after each power-up; it is enabled just before each payout and disabled by `stop`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, assert_never

from hardware.dispenser import cctalk
from hardware.dispenser.cctalk import Command, HopperFlag, HopperStatus
from hardware.dispenser.cctalk_bus import CctalkBus, CctalkTurn
from hardware.dispenser.cctalk_payout import count_since, judge, name_fault, next_event
from hardware.dispenser.dispenser import (
    Capabilities,
    DispenserUnavailableError,
    Identity,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    UnsupportedDispenserError,
)
from hardware.dispenser.line import (
    BusyError,
    CorruptReplyError,
    ExchangeError,
    NoReplyError,
    RefusedError,
    or_unavailable,
)
from hardware.dispenser.malformed import MalformedReplyError
from hardware.link import LinkError

MAX_PER_PAYOUT = 255  # one byte
RESET_S = 0.25  # deaf for about 130 ms after the ACK (Flow p. 11)
STEADY_READS = 5  # to find two in a row that agree
ZERO_PAYOUTS = 3  # attempts to get clean registers; after that the mark is weaker, not wrong
UNKNOWN_AFTER = 4  # times that a hopper answers a poll but not a command
LEVEL_POLLS = 2  # the same for the level, which decides about no money

T = TypeVar("T")


class DispenseForm(StrEnum):
    """What header 167 carries before the number of balls."""

    SERIAL = "serial"  # the hopper's serial number, 3 bytes (Suzo-Happ "ITA serial", Alberici)
    CODE = "code"  # 8 zero bytes, after asking for a cipher key that is not used (SCH2-NOENCRYPT, p. 59)


@dataclass(frozen=True, slots=True)
class HopperSettings:
    address: int = 3  # 3 to 10, set on the hopper's connector
    form: DispenseForm | None = None  # None: CODE for an SCH2, else SERIAL
    use_dispense_count: bool = True  # False for a hopper whose header 168 lags behind
    # Where there is no header 168, dispense 0 before each payout, so that the registers speak of this payout
    # alone. Only for hoppers whose manual says that 0 is legal.
    zero_payout: bool = False


class CctalkHopper:
    """Implements hardware.dispenser.Dispenser."""

    def __init__(self, bus: CctalkBus, settings: HopperSettings | None = None) -> None:
        self._bus = bus
        self._settings = settings or HopperSettings()
        self._form = self._settings.form
        self._serial: int | None = None
        self._counts: bool | None = None  # does it know header 168? None: not asked yet
        self._level_command: Command | None = None
        self._stops = 0
        self._accepted: Mark | None = None  # of the last payout, if the hopper was heard to accept it
        bus.claim(self._settings.address, self)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            counted=True,
            level_sensors=self._level_command is not None,
            emergency_stop=True,
            max_per_payout=MAX_PER_PAYOUT,
        )

    async def connect(self) -> Identity:
        self._bus.claim(self._settings.address, self)
        return await or_unavailable(self._identify())

    async def mark(self) -> Mark:
        return await or_unavailable(self._mark())

    async def pay(self, balls: int, mark: Mark) -> None:
        if not 1 <= balls <= MAX_PER_PAYOUT:
            raise NotStartedError(f"a hopper pays 1 to {MAX_PER_PAYOUT} balls at a time, not {balls}")
        command, stops, sent = self._dispense(balls), self._stops, False
        self._accepted = None
        try:
            async with self._bus.turn(self._settings.address) as turn:
                # In this order: a reset after the look at the counter disables the hopper, so that the payout
                # is refused instead of being counted from 0 again.
                await turn.ask(cctalk.ENABLE)
                status = cctalk.parse_status(await turn.ask(cctalk.STATUS))
                if status.event != mark["event"]:
                    raise OutcomeUnknownError(
                        f"{self._who}: dispense commands came by since the mark; ask for progress"
                    )
                if status.remaining:
                    raise NotStartedError(f"{self._who}: another payout runs, {status.remaining} balls to go")
                await self._get_key(turn)
                if stops != self._stops:
                    raise NotStartedError(f"{self._who}: stopped before the payout began")
                sent = True
                await self._start(turn, command, mark)
        except (ExchangeError, LinkError, MalformedReplyError) as error:
            if sent:
                raise OutcomeUnknownError(f"ask for progress, do not repeat: {error}") from error
            raise NotStartedError(f"the payout was not begun: {error}") from error

    async def progress(self, balls: int, mark: Mark) -> Progress:
        return await or_unavailable(self._progress(balls, mark))

    async def stop(self) -> None:
        self._stops += 1
        await or_unavailable(self._stop())

    async def level(self) -> Level:
        return await or_unavailable(self._level())

    async def clear_faults(self) -> None:
        """Reset the hopper, once a person has removed a jam; the makers' way to clear its error flags.

        Settle every payout first: afterwards the event counter is 0. Raises DispenserUnavailableError.
        """
        await or_unavailable(self._ask(cctalk.RESET))
        await asyncio.sleep(RESET_S)

    async def aclose(self) -> None:
        await self._bus.release(self._settings.address, self)

    # ---- identity

    async def _identify(self) -> Identity:
        await self._ask(cctalk.SIMPLE_POLL)
        product = await self._steady(lambda: self._text(cctalk.PRODUCT))
        category = await self._steady(lambda: self._text(cctalk.CATEGORY))
        if category and category.lower() != "payout":
            raise UnsupportedDispenserError(
                f"{self._who}: not a hopper, it calls itself {category!r}; check the address"
            )
        # SCH2 manual p. 59: the product code tells the variants apart.
        if _is_sch2(product) and "NOENCRYPT" not in product.upper():
            raise UnsupportedDispenserError(f"{self._who}: unsupported: encrypted (product code {product!r})")
        knows_serial = await self._ask_if_known(cctalk.SERIAL_NUMBER) is not None
        self._serial = await self._steady(self._serial_number) if knows_serial else None
        by_product = DispenseForm.CODE if _is_sch2(product) else DispenseForm.SERIAL
        self._form = self._settings.form or by_product
        if self._form is DispenseForm.SERIAL and self._serial is None:
            raise UnsupportedDispenserError(f"{self._who}: gives no serial number; set the dispense form")
        self._level_command = await self._find_level_command(product)
        self._counts = await self._ask_if_known(cctalk.DISPENSE_COUNT) is not None
        flags = await self._flags()
        return Identity(
            driver="cctalk_hopper",
            manufacturer=await self._text(cctalk.MANUFACTURER),
            product=product,
            serial="" if self._serial is None else str(self._serial),
            software=await self._text(cctalk.SOFTWARE),
            details={
                "link": self._bus.name,
                "address": str(self._settings.address),
                "dispense": self._form.value,
                "dispense_count": "yes" if self._counts else "no",
                "flags": ", ".join(sorted(flags)),
            },
        )

    async def _find_level_command(self, product: str) -> Command | None:
        # By the generic specification 236 is "read opto states", with other bits: never ask an SCH2 for it.
        commands = (cctalk.HIGH_LOW,) if _is_sch2(product) else (cctalk.HIGH_LOW, cctalk.EMPTY_FULL)
        for command in commands:
            if await self._ask_if_known(command, polls=LEVEL_POLLS) is None:
                continue
            # Once more: a late answer to something else must not decide what is asked for ever.
            if await self._ask_if_known(command) is not None:
                return command
        return None

    async def _text(self, command: Command) -> str:
        data = await self._ask_if_known(command)
        return "" if data is None else cctalk.parse_text(data)

    # ---- payouts

    def _dispense(self, balls: int) -> Command:
        match self._form:
            case DispenseForm.CODE:
                return cctalk.dispense_with_code(balls)
            case DispenseForm.SERIAL if self._serial is not None:
                return cctalk.dispense_with_serial(self._serial, balls)
            case DispenseForm.SERIAL | None:
                raise NotStartedError(f"{self._who}: not identified yet; connect first")
            case _:
                assert_never(self._form)

    async def _mark(self) -> Mark:
        status = await self._idle_status()
        if self._counts is None:
            self._counts = await self._ask_if_known(cctalk.DISPENSE_COUNT) is not None
        counts = self._counts and self._settings.use_dispense_count
        if not counts and self._settings.zero_payout:
            for _ in range(ZERO_PAYOUTS):
                if status.event and not status.paid and not status.unpaid:
                    break
                await self._pay_nothing()
                status = await self._idle_status()
        mark = {"event": status.event, "paid": status.paid, "unpaid": status.unpaid}
        if self._serial is not None:
            mark["serial"] = self._serial
        if counts:
            mark["count"] = await self._steady(self._count)
        return mark

    async def _idle_status(self) -> HopperStatus:
        status = await self._steady(self._status)
        if status.remaining:
            raise DispenserUnavailableError(f"{self._who}: still pays {status.remaining} balls; wait or stop")
        return status

    async def _pay_nothing(self) -> None:
        command = self._dispense(0)
        async with self._bus.turn(self._settings.address) as turn:
            await turn.ask(cctalk.ENABLE)
            await self._get_key(turn)
            try:
                await turn.tell(command)
            except ExchangeError:
                pass  # whatever became of it, the registers show it

    async def _get_key(self, turn: CctalkTurn) -> None:
        """SCH2-NOENCRYPT refuses a payout without it, though it does not use it (p. 59)."""
        if self._form is DispenseForm.CODE:
            await turn.ask(cctalk.CIPHER_KEY)

    async def _start(self, turn: CctalkTurn, command: Command, mark: Mark) -> None:
        """Send the dispense command, once; without a clear answer look at the event counter."""
        refused: RefusedError | None = None
        try:
            event = cctalk.parse_event(await turn.tell(command))
            if event == next_event(mark["event"]):
                self._accepted = dict(mark)
                return
        except RefusedError as error:
            refused = error
        except (ExchangeError, MalformedReplyError):
            pass  # lost or damaged: it may have begun
        await turn.hush()
        status = cctalk.parse_status(await turn.ask(cctalk.STATUS))
        again = cctalk.parse_status(await turn.ask(cctalk.STATUS))
        if status.event != again.event or (refused and status.remaining):
            raise OutcomeUnknownError(f"{self._who}: contradicts itself; ask for progress")
        if refused:
            raise NotStartedError(f"{refused}; see its flags, then take a new mark") from refused
        if status.event == mark["event"] != 0 and not status.remaining:
            raise NotStartedError(f"{self._who}: the payout did not reach the hopper")
        if status.event != next_event(mark["event"]):
            raise OutcomeUnknownError(
                f"{self._who}: event counter {status.event} after {mark['event']}; ask for progress"
            )

    async def _stop(self) -> None:
        async with self._bus.turn(self._settings.address, urgent=True) as turn:
            failure: ExchangeError | None = None
            try:
                await turn.ask(cctalk.EMERGENCY_STOP)
            except ExchangeError as error:
                failure = error
            # A dispense command that a network still holds back must find the hopper disabled.
            await turn.ask(cctalk.DISABLE)
            if failure is not None:
                raise failure

    async def _progress(self, balls: int, mark: Mark) -> Progress:
        status = await self._status()
        if not _runs(status, mark):
            status = await self._steady(self._status)
        if _runs(status, mark):
            return Progress(paid=status.paid, running=True)
        if await self._was_replaced(mark):
            return Progress(paid=None, running=False, fault="another hopper answers")
        if status.remaining:
            return Progress(paid=None, running=True, fault="another payout runs")
        count = await self._steady(self._count) if "count" in mark else None
        flags = await self._steady(self._flags) if status.event == 0 else frozenset()
        verdict = judge(
            balls,
            mark,
            status,
            counted=count_since(mark, count),
            flags=flags,
            accepted=self._accepted == mark,
        )
        fault = verdict.fault
        if fault is None and verdict.paid != balls:
            flags = await self._steady(self._flags)
            fault = name_fault(flags, low=await self._is_low(flags))
        return Progress(paid=verdict.paid, running=False, fault=fault)

    async def _was_replaced(self, mark: Mark) -> bool:
        before = mark.get("serial")
        if before is None or await self._serial_number() == before:
            return False
        self._serial = await self._steady(self._serial_number)
        return self._serial != before

    # ---- questions

    @property
    def _who(self) -> str:
        return f"{self._bus.name}, hopper {self._settings.address}"

    async def _ask(self, command: Command) -> bytes:
        return await self._bus.ask(self._settings.address, command)

    async def _ask_if_known(self, command: Command, polls: int = UNKNOWN_AFTER) -> bytes | None:
        """None: the hopper refuses this command or stays silent to it, while it answers to polls."""
        for left in reversed(range(polls)):
            try:
                async with self._bus.turn(self._settings.address) as turn:
                    return await turn.tell(command)
            except (BusyError, CorruptReplyError):
                if not left:
                    raise
            except (NoReplyError, RefusedError):
                await self._ask(cctalk.SIMPLE_POLL)
        return None

    async def _steady(self, question: Callable[[], Awaitable[T]]) -> T:
        """An answer that was given twice in a row."""
        answer = await question()
        for _ in range(STEADY_READS):
            previous, answer = answer, await question()
            if answer == previous:
                return answer
        raise CorruptReplyError(f"{self._who}: answers differ each time; check cable and termination")

    async def _status(self) -> HopperStatus:
        return cctalk.parse_status(await self._ask(cctalk.STATUS))

    async def _serial_number(self) -> int:
        return cctalk.parse_serial(await self._ask(cctalk.SERIAL_NUMBER))

    async def _count(self) -> int:
        return cctalk.parse_count(await self._ask(cctalk.DISPENSE_COUNT))

    async def _flags(self) -> frozenset[HopperFlag]:
        return cctalk.parse_flags(await self._ask(cctalk.TEST))

    async def _level(self) -> Level:
        if self._level_command is None:
            return Level.UNKNOWN
        data = await self._ask(self._level_command)
        if self._level_command is cctalk.HIGH_LOW:
            return cctalk.parse_high_low(data)
        return cctalk.parse_empty_full(data)

    async def _is_low(self, flags: frozenset[HopperFlag]) -> bool | None:
        if HopperFlag.PAYOUT_TIMEOUT not in flags:
            return None
        try:
            level = await self._level()
        except ExchangeError:
            return None  # it only helps to name the fault
        match level:
            case Level.EMPTY | Level.LOW:
                return True
            case Level.OK | Level.FULL:
                return False
            case Level.UNKNOWN:
                return None


def _is_sch2(product: str) -> bool:
    return product.upper().startswith("SCH2")


def _runs(status: HopperStatus, mark: Mark) -> bool:
    return status.remaining > 0 and status.event == next_event(mark["event"])
