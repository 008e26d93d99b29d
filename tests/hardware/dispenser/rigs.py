"""Every driver with its device, under one face: what the contract needs to order and to know.

`ejected` is the device's own truth. `restart` is the crash of the host: driver, bus and link are gone, what
was sent goes on.
"""

from abc import ABC, abstractmethod
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hardware.dispenser import Dispenser
from hardware.dispenser.line import Timing
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc
from hardware.dispenser.pulse_relay import Beam, ModbusBeam, NumatoBeam, PulseRelay, PulseSettings
from hardware.dispenser.relay_boards import KmtronicBoard, LcusBoard, NumatoBoard, RelayBoard, WaveshareBoard
from hardware.link import opener_for
from hardware.sim.hopper import Fault, HopperSettings
from hardware.sim.plc import ModbusLine, PlcBehaviour, PlcFault, PlcProgram, PlcSlave
from hardware.sim.ptys import PtyPort
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine, WaveshareSim
from tests.hardware.dispenser.hopper_rig import HopperRig
from tests.hardware.dispenser.wires import MemoryWire, nowhere


class Rig(ABC):
    payout = 12  # balls of an ordinary payout
    acknowledges = True  # False: the device never says whether it heard
    driver: Dispenser

    @property
    @abstractmethod
    def ejected(self) -> int: ...

    @property
    @abstractmethod
    def commanded(self) -> int: ...

    @property
    @abstractmethod
    def running(self) -> bool: ...

    @abstractmethod
    def restart(self) -> None: ...

    @abstractmethod
    def lose_request(self) -> None:
        """The next command that would start a payout does not arrive."""

    @abstractmethod
    def lose_reply(self) -> None:
        """It arrives, its answer does not."""

    @abstractmethod
    def unplug(self) -> None: ...

    @abstractmethod
    def plug(self) -> None: ...

    async def aclose(self) -> None:
        await self.driver.aclose()


class CctalkRig(Rig):
    def __init__(self, settings: HopperSettings) -> None:
        self._rig = HopperRig(settings)
        self.driver = self._rig.driver

    @property
    def ejected(self) -> int:
        return self._rig.sim.ejected

    @property
    def commanded(self) -> int:
        return self._rig.sim.commanded

    @property
    def running(self) -> bool:
        return self._rig.sim.running

    def restart(self) -> None:
        self._rig.restart()
        self.driver = self._rig.driver

    def lose_request(self) -> None:
        self._rig.sim.order(Fault.REQUEST_LOST, header=167)

    def lose_reply(self) -> None:
        self._rig.sim.order(Fault.REPLY_LOST, header=167)

    def unplug(self) -> None:
        self._rig.wire.opener.unplug()

    def plug(self) -> None:
        self._rig.wire.opener.plug()


class PlcRig(Rig):
    """The simulated PLC."""

    def __init__(self) -> None:
        self.program = PlcProgram()
        self.line = ModbusLine(nowhere)
        self.line.attach(1, PlcSlave(self.program))
        self.wire = MemoryWire("/dev/plc", self.line)
        self.driver = self._build()

    @property
    def ejected(self) -> int:
        return self.program.ejected

    @property
    def commanded(self) -> int:
        return self.program.commanded

    @property
    def running(self) -> bool:
        return self.program.running

    def restart(self) -> None:
        self.wire.cut()
        self.driver = self._build()

    def lose_request(self) -> None:
        self.line.order(PlcFault.REQUEST_LOST, function=16)

    def lose_reply(self) -> None:
        self.line.order(PlcFault.REPLY_LOST, function=16)

    def unplug(self) -> None:
        self.wire.opener.unplug()

    def plug(self) -> None:
        self.wire.opener.plug()

    def _build(self) -> ModbusPlc:
        return ModbusPlc(ModbusBus(self.wire.opener, baudrate=19200))


class PymodbusRig(Rig):
    """pymodbus' own serial server as the PLC, over two ptys, in real time."""

    def __init__(self, directory: Path) -> None:
        self.program = PlcProgram(behaviour=PlcBehaviour(balls_per_s=30.0, spin_up_s=0.05))
        self._drop_from_driver = 0
        self._drop_from_server = 0
        self._near = PtyPort(directory / "driver", self._from_driver)
        self._far = PtyPort(directory / "server", self._from_server)

    async def open(self) -> None:
        """What needs the loop to be set up."""
        self._near.plug()
        self._far.plug()
        size = len(self.program.registers)
        device = SimDevice(1, SimData(0, count=size, datatype=DataType.REGISTERS), action=self._action)
        self._server = ModbusSerialServer(device, port=str(self._far.path), baudrate=19200)
        await self._server.serve_forever(background=True)
        self.driver = self._build()

    @property
    def ejected(self) -> int:
        return self.program.ejected

    @property
    def commanded(self) -> int:
        return self.program.commanded

    @property
    def running(self) -> bool:
        return self.program.running

    def restart(self) -> None:
        self.unplug()
        self.plug()
        self.driver = self._build()

    def lose_request(self) -> None:
        self._drop_from_driver += 1

    def lose_reply(self) -> None:
        self._drop_from_server += 1

    def unplug(self) -> None:
        self._near.unplug()

    def plug(self) -> None:
        self._near.plug()

    async def aclose(self) -> None:
        await self.driver.aclose()
        await self._server.shutdown()  # type: ignore[no-untyped-call]
        self._near.unplug()
        self._far.unplug()

    def _build(self) -> ModbusPlc:
        opener = opener_for(str(self._near.path), baudrate=19200)
        # The test machine is shared: patience instead of speed.
        return ModbusPlc(
            ModbusBus(opener, baudrate=19200, timing=Timing(margin_s=0.3, gap_s=0.1, quiet_s=0.1))
        )

    def _from_driver(self, data: bytes) -> None:
        if self._drop_from_driver and data[1:2] == b"\x10":
            self._drop_from_driver -= 1
            return
        self._far.send(data)

    def _from_server(self, data: bytes) -> None:
        if self._drop_from_server and data[1:2] == b"\x10":
            self._drop_from_server -= 1
            return
        self._near.send(data)

    async def _action(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """The server's hook for the program behind its registers."""
        if values is not None:
            self.program.write(address, [int(value) for value in values])
        for at, value in self.program.registers.items():
            registers[at - start] = value
        return None


class RelayRig(Rig):
    """A tray machine on a relay board, with or without a counting beam."""

    payout = 25

    def __init__(self, kind: BoardKind | None, *, beam: bool = False) -> None:
        """`kind` None: Waveshare."""
        self.machine = TrayMachine(balls_per_pulse=self.payout, balls_per_s=10.0 if beam else 20.0)
        self.machines = [self.machine, TrayMachine()]
        self._kind = kind
        self.acknowledges = kind in (None, BoardKind.KMTRONIC, BoardKind.NUMATO)
        self._has_beam = beam
        if kind is None:
            self.line = ModbusLine(nowhere)
            self.waveshare = WaveshareSim(self.machines)
            self.line.attach(1, self.waveshare)
            self.wire = MemoryWire("/dev/relays", self.line)
        else:
            self.board = SerialBoardSim(kind, self.machines, nowhere)
            self.wire = MemoryWire("/dev/relays", self.board)
        self.driver = self._build()

    @property
    def ejected(self) -> int:
        return self.machine.ejected

    @property
    def commanded(self) -> int:
        return self.machine.commanded

    @property
    def running(self) -> bool:
        return self.machine.running

    def restart(self) -> None:
        self.wire.cut()
        self.driver = self._build()

    def lose_request(self) -> None:
        self.wire.on_sent = self._swallow_once

    def lose_reply(self) -> None:
        self.wire.on_said = self._swallow_all_after_a_pulse

    def unplug(self) -> None:
        self.wire.opener.unplug()

    def plug(self) -> None:
        self.wire.opener.plug()

    def _swallow_once(self, data: bytes) -> bytes:
        if not self._is_on(data):
            return data
        self.wire.on_sent = None
        return b""

    def _swallow_all_after_a_pulse(self, data: bytes) -> bytes:
        if self.machine.closures == 0:
            return data
        self.wire.on_said = None
        return b""

    def _is_on(self, data: bytes) -> bool:
        match self._kind:
            case None:
                return data[1] == 5 and data[2] == 2
            case BoardKind.KMTRONIC:
                return data[2] == 1
            case BoardKind.NUMATO:
                return data.startswith(b"relay on")
            case _:
                return data[2] == 1

    def _build(self) -> PulseRelay:
        board: RelayBoard
        beam: Beam | None = None
        match self._kind:
            case None:
                bus = ModbusBus(self.wire.opener, baudrate=19200)
                board = WaveshareBoard(bus, channels=2)
                beam = ModbusBeam(bus, unit=1, address=0)
            case BoardKind.KMTRONIC:
                board = KmtronicBoard(self.wire.opener, channels=2)
            case BoardKind.NUMATO:
                numato = NumatoBoard(self.wire.opener, channels=2)
                board, beam = numato, NumatoBeam(numato, gpio=0)
            case _:
                board = LcusBoard(self.wire.opener, channels=2)
        self.relays = board
        return PulseRelay(board, PulseSettings(), beam=beam if self._has_beam else None)
