"""From the configuration to the dispensers of one PC."""

from collections.abc import Mapping

from bayd.settings.dispensers import (
    NONE,
    CctalkHopper,
    Feedback,
    ModbusRtu,
    PulseRelay,
)
from bayd.settings.dispensers import Dispenser as DispenserSettings
from hardware.dispenser import Dispenser, Level
from hardware.dispenser import cctalk_hopper as hopper
from hardware.dispenser.cctalk import Checksum
from hardware.dispenser.cctalk_bus import CctalkBus
from hardware.dispenser.modbus_bus import ModbusBus
from hardware.dispenser.modbus_rtu import ModbusPlc, PlcSettings, RegisterMap
from hardware.dispenser.pulse_relay import Beam, ModbusBeam, NumatoBeam, PulseSettings
from hardware.dispenser.pulse_relay import PulseRelay as PulseDriver
from hardware.dispenser.relay_boards import (
    KmtronicBoard,
    LcusBoard,
    NumatoBoard,
    RelayBoard,
    SerialRelayBoard,
    WaveshareBoard,
)
from hardware.link import opener_for

_BAUD_8N1 = 9_600  # ccTalk, and relay boards with a port of their own
_BOARDS: Mapping[str, type[SerialRelayBoard]] = {
    "lcus": LcusBoard,
    "kmtronic": KmtronicBoard,
    "numato": NumatoBoard,
}


class Lines:
    """The lines of one PC: machines on the same one share its bus, or its board."""

    def __init__(self) -> None:
        self._cctalk: dict[str, CctalkBus] = {}
        self._modbus: dict[str, ModbusBus] = {}
        self._boards: dict[tuple[str, int], RelayBoard] = {}

    def make(self, settings: DispenserSettings) -> Dispenser:
        """Raises ValueError for what does not go together."""
        match settings:
            case CctalkHopper():
                return self._hopper(settings)
            case ModbusRtu():
                return self._plc(settings)
            case PulseRelay():
                return self._pulses(settings)

    def _hopper(self, settings: CctalkHopper) -> Dispenser:
        bus = self._cctalk.get(settings.link)
        if bus is None:
            opener = opener_for(settings.link, baudrate=_BAUD_8N1)
            bus = CctalkBus(opener, checksum=Checksum(settings.checksum), echo=settings.echo)
            self._cctalk[settings.link] = bus
        form = None if settings.dispense_form is None else hopper.DispenseForm(settings.dispense_form)
        return hopper.CctalkHopper(
            bus,
            hopper.HopperSettings(
                settings.address,
                form,
                use_dispense_count=settings.dispense_count,
                zero_payout=settings.zero_payout,
            ),
        )

    def _plc(self, settings: ModbusRtu) -> Dispenser:
        registers = settings.registers
        bus = self._modbus_bus(
            settings.link, settings.baudrate, parity=settings.parity, stopbits=settings.stopbits
        )
        plc = PlcSettings(
            unit=settings.unit,
            registers=RegisterMap(
                count=registers.request,
                request_id=registers.request + 1,
                stop=_address(registers.stop),
                clear=_address(registers.clear),
                ack_id=registers.ack_id,
                delivered=registers.delivered,
                state=registers.state,
                fault=registers.fault,
                total=_address(registers.total),
                level=_address(registers.level),
                running_states=frozenset(settings.running_states),
                faults=dict(settings.faults),
                levels={value: Level(name) for value, name in settings.levels.items()},
            ),
            max_per_payout=settings.max_per_payout,
        )
        return ModbusPlc(bus, plc)

    def _pulses(self, settings: PulseRelay) -> Dispenser:
        board = self._board(settings)
        beam = None if settings.feedback is None else self._beam(settings, settings.feedback, board)
        pulses = PulseSettings(
            channel=settings.channel,
            balls_per_pulse=settings.balls_per_pulse,
            pulse_s=settings.pulse_s,
            gap_s=settings.gap_s,
            payout_s=settings.payout_s,
        )
        return PulseDriver(board, pulses, beam=beam)

    def _board(self, settings: PulseRelay) -> RelayBoard:
        where = (settings.link, settings.unit)
        if where not in self._boards:
            if settings.board == "waveshare_flash":
                bus = self._modbus_bus(settings.link, settings.baudrate)
                self._boards[where] = WaveshareBoard(bus, unit=settings.unit, channels=settings.channels)
            else:
                opener = opener_for(settings.link, baudrate=_BAUD_8N1)
                self._boards[where] = _BOARDS[settings.board](opener, settings.channels)
        return self._boards[where]

    def _beam(self, settings: PulseRelay, feedback: Feedback, board: RelayBoard) -> Beam:
        if feedback.input == "gpio":
            if not isinstance(board, NumatoBoard):
                raise ValueError("feedback.input: only a numato board has inputs of its own")
            return NumatoBeam(board, gpio=feedback.number)
        own_line = feedback.link is None
        bus = self._modbus_bus(
            settings.link if feedback.link is None else feedback.link,
            settings.baudrate if own_line else feedback.baudrate,
        )
        return ModbusBeam(bus, unit=feedback.unit, address=feedback.number)

    def _modbus_bus(self, link: str, baudrate: int, *, parity: str = "N", stopbits: int = 1) -> ModbusBus:
        if link not in self._modbus:
            opener = opener_for(link, baudrate=baudrate, parity=parity, stopbits=stopbits)
            self._modbus[link] = ModbusBus(opener, baudrate=baudrate)
        return self._modbus[link]


def make_dispensers(settings: Mapping[str, DispenserSettings]) -> dict[str, Dispenser]:
    """Raises ValueError for what does not go together; `check-config` says so before."""
    lines = Lines()
    return {name: lines.make(one) for name, one in settings.items()}


def _address(register: int | str) -> int | None:
    return None if register == NONE else int(register)
