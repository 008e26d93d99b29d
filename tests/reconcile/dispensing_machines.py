"""The machines that the reconciler is tried on: real drivers, simulated devices, trouble by chance.

Each keeps the truth that no fault touches, and says what its driver cannot know.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from hardware.dispenser import Dispenser
from hardware.sim.hopper import Fault, HopperSim
from hardware.sim.plc import PlcFault
from hardware.sim.relay import BoardKind
from tests.hardware.dispenser.hopper_rig import HopperRig
from tests.hardware.dispenser.rigs import PlcRig, RelayRig

# What may meet the commands of a payout, and the questions about it.
_HOPPER_HEADERS = (167, 167, 167, 166, 166, 168, 164, 163, 242, None)
_PLC_FUNCTIONS = (16, 16, 3, 3, 6, None)


class Machine(ABC):
    """One device on its line, and the driver that this process has for it."""

    sizes: tuple[int, ...] = (1, 2, 3, 5, 8)
    counts = True  # False: open loop, a crash leaves a pulse that nobody can tell of

    @property
    @abstractmethod
    def driver(self) -> Dispenser: ...

    @property
    @abstractmethod
    def ejected(self) -> int: ...

    @property
    @abstractmethod
    def running(self) -> bool: ...

    @abstractmethod
    def cut(self) -> None:
        """The process is gone at this moment: what it sent goes on, nothing more comes."""

    @abstractmethod
    def revive(self) -> None:
        """Another process, another driver."""

    @abstractmethod
    def order_trouble(self, chance: random.Random, balls: int) -> None: ...

    @abstractmethod
    def forget_trouble(self) -> None: ...

    @abstractmethod
    def repair(self) -> None:
        """A person's hand, before the fault is cleared."""

    def story(self) -> str:
        return ""


def power_cut(chance: random.Random, off: Callable[[], None], on: Callable[[], None]) -> None:
    """At some moment, for some time: the press is paid when it comes back, or owed."""
    loop = asyncio.get_running_loop()
    off_at = loop.time() + chance.uniform(0, 2)
    loop.call_at(off_at, off)
    loop.call_at(off_at + chance.choice([0.2, 3.0, 40.0]), on)


class HopperMachine(Machine):
    def __init__(self) -> None:
        self._rig = HopperRig()

    @property
    def sim(self) -> HopperSim:
        return self._rig.sim

    @property
    def driver(self) -> Dispenser:
        return self._rig.driver

    @property
    def ejected(self) -> int:
        return self.sim.ejected

    @property
    def running(self) -> bool:
        return self.sim.running

    def cut(self) -> None:
        self._rig.wire.opener.unplug()

    def revive(self) -> None:
        self._rig.restart()

    def order_trouble(self, chance: random.Random, balls: int) -> None:
        for _ in range(chance.choice([1, 1, 2, 4])):
            self.sim.order(chance.choice(list(Fault)), chance.choice(_HOPPER_HEADERS))
        match chance.randrange(8):
            case 0:
                self.sim.reset_after = chance.randint(1, balls)
            case 1:
                self.sim.jam_after = chance.randint(0, balls)
            case 2:
                asyncio.get_running_loop().call_later(chance.uniform(0, 2), self.sim.power_dip)
            case 3:
                self.sim.load = chance.randint(0, balls)
            case 4:
                power_cut(chance, self.sim.power_off, self.sim.power_on)

    def forget_trouble(self) -> None:
        self.sim.forget_faults()
        self.sim.load = None

    def repair(self) -> None:
        self.sim.clear_jam()

    def story(self) -> str:
        sim = self.sim
        return f"event {sim.event} paid {sim.paid} unpaid {sim.unpaid} count {sim.count} flags {sim.flags}"


class PlcMachine(Machine):
    def __init__(self) -> None:
        self._rig = PlcRig()
        self.program = self._rig.program

    @property
    def driver(self) -> Dispenser:
        return self._rig.driver

    @property
    def ejected(self) -> int:
        return self.program.ejected

    @property
    def running(self) -> bool:
        return self.program.running

    def cut(self) -> None:
        self._rig.unplug()

    def revive(self) -> None:
        self._rig.restart()

    def order_trouble(self, chance: random.Random, balls: int) -> None:
        for _ in range(chance.choice([1, 1, 2, 4])):
            self._rig.line.order(chance.choice(list(PlcFault)), chance.choice(_PLC_FUNCTIONS))
        match chance.randrange(8):
            case 0:
                self.program.reset_after = chance.randint(1, balls)
            case 1:
                self.program.jam_after = chance.randint(0, balls)
            case 2:
                asyncio.get_running_loop().call_later(chance.uniform(0, 2), self.program.power_dip)
            case 3:
                self.program.refill(chance.randint(0, balls))
            case 4:
                power_cut(chance, self.program.power_off, self.program.power_on)

    def forget_trouble(self) -> None:
        self._rig.line.forget_faults()
        self.program.forget_faults()
        self.program.refill(None)

    def repair(self) -> None:
        pass  # its program wants no more than the fault cleared

    def story(self) -> str:
        return str(self.program.registers)


class RelayMachine(Machine):
    """Trays of 25 behind a relay board; with a beam they are counted, as long as one process lives."""

    sizes = (25, 25, 50, 75)
    counts = False

    def __init__(self, kind: BoardKind | None, *, beam: bool = False) -> None:
        """`kind` None: Waveshare."""
        self._kind = kind
        self._rig = RelayRig(kind, beam=beam)
        self.beam = beam
        self.trays = self._rig.machine

    @property
    def driver(self) -> Dispenser:
        return self._rig.driver

    @property
    def ejected(self) -> int:
        return self.trays.ejected

    @property
    def running(self) -> bool:
        return self.trays.running or self.trays.closed

    def cut(self) -> None:
        self._rig.unplug()

    def revive(self) -> None:
        self._rig.restart()

    def order_trouble(self, chance: random.Random, balls: int) -> None:
        """An LCUS board never answers: of its line only what the host itself notices can be told."""
        loop, rig = asyncio.get_running_loop(), self._rig
        silent = self._kind in (BoardKind.LCUS, BoardKind.LCUS_ECHO, BoardKind.LCUS_STATUS)
        choice = chance.choice([0, 1] if silent else [0, 1, 2, 3, 4, 5, 6, 7])
        match choice:
            case 0 if self._kind is not None:
                rig.board.cut_after_on = self._pull_the_plug
            case 0 | 1:
                loop.call_later(chance.uniform(0, 3), self._pull_the_plug)
            case 2:
                rig.lose_request()
            case 3:
                rig.lose_reply()
            case 4:
                self._harm(chance, sent=False)
            case 5:
                self._harm(chance, sent=True)
            case 6:
                board = rig.waveshare if self._kind is None else rig.board
                power_cut(chance, board.power_off, board.power_on)
            case _:
                self._answer_after(chance.choice([0.1, 0.5]))
        if self.beam and chance.random() < 0.3:
            # Trays that hold fewer, or more than they should.
            self.trays.load = chance.randint(0, balls)

    def forget_trouble(self) -> None:
        self._rig.wire.on_sent = self._rig.wire.on_said = None
        if self._kind is not None:
            self._rig.board.cut_after_on = None
        self._rig.plug()
        self._answer_after(0.005)
        self.trays.load = None

    def repair(self) -> None:
        pass

    def story(self) -> str:
        trays = self.trays
        return f"pulses {trays.pulses} closures {trays.closures} ejected {trays.ejected}"

    def _answer_after(self, delay_s: float) -> None:
        """0.5 s is more than any patience."""
        if self._kind is None:
            self._rig.line.reply_delay_s = delay_s
        else:
            self._rig.board.reply_delay_s = delay_s

    def _pull_the_plug(self) -> None:
        self._rig.unplug()
        asyncio.get_running_loop().call_later(1.0, self._rig.plug)

    def _harm(self, chance: random.Random, *, sent: bool) -> None:
        """One piece of the talk arrives with a wrong bit, or not at all."""
        wire = self._rig.wire
        countdown = chance.randint(0, 12)
        lost = chance.random() < 0.5

        def pass_on(data: bytes) -> bytes:
            nonlocal countdown
            countdown -= 1
            if countdown >= 0 or not data:
                return data
            if sent:
                wire.on_sent = None
            else:
                wire.on_said = None
            return b"" if lost else bytes((data[0] ^ 0x08,)) + data[1:]

        if sent:
            wire.on_sent = pass_on
        else:
            wire.on_said = pass_on
