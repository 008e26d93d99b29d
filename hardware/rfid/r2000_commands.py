"""The commands of the 0xA0 readers that bayd sends. Pure; each answers a Frame.

Two traps: 0x76 writes flash, which wears out, so the driver reads before it writes; and 0x8A comes in three
sizes that only the reader itself tells apart (it refuses the wrong ones with error 0x41).

Source: "UHF RFID reader serial interface protocol" V3.x, section 2. The 8-port short form is a vendor
capture, the long one its documented layout, not seen on a wire.
"""

from collections.abc import Mapping
from enum import Enum

from hardware.rfid.r2000_a0 import (
    FAST_SWITCH_INVENTORY,
    PUBLIC_ADDRESS,
    REALTIME_INVENTORY,
    Frame,
)

LOWEST_TEMPORARY_POWER_DBM = 20  # some firmwares want 22; they then refuse with 0x48
HIGHEST_POWER_DBM = 33


class FastSwitchForm(Enum):
    """The sizes of the 0x8A request, by what they hold."""

    FOUR_PORT = "4-port"  # 10 data bytes
    EIGHT_PORT = "8-port"  # 18
    EIGHT_PORT_LONG = "8-port-long"  # 29: with session, target and phase

    @property
    def ports(self) -> int:
        return 4 if self is FastSwitchForm.FOUR_PORT else 8


# A slot that is off: an antenna id that no reader has.
_FOUR_PORT_OFF = (4, 1)
_EIGHT_PORT_OFF = (0xFF, 0)


def get_firmware(address: int = PUBLIC_ADDRESS) -> Frame:
    return Frame(address, 0x72, b"")


def get_identifier(address: int = PUBLIC_ADDRESS) -> Frame:
    return Frame(address, 0x68, b"")


def get_temperature(address: int = PUBLIC_ADDRESS) -> Frame:
    return Frame(address, 0x7B, b"")


def reset(address: int = PUBLIC_ADDRESS) -> Frame:
    """No answer on success; the reader is deaf for about a second."""
    return Frame(address, 0x70, b"")


def set_work_antenna(port: int, address: int = PUBLIC_ADDRESS) -> Frame:
    """`port` within its group, 1..8."""
    return Frame(address, 0x74, bytes((_port_id(port, 8),)))


def set_antenna_group(group: int, address: int = PUBLIC_ADDRESS) -> Frame:
    """16-port readers: 0 for ports 1-8, 1 for ports 9-16. Host state: no tag frame repeats it."""
    if group not in (0, 1):
        raise ValueError(f"antenna group {group}: there are 0 and 1")
    return Frame(address, 0x6C, bytes((group,)))


def set_power(dbm: tuple[int, ...], address: int = PUBLIC_ADDRESS) -> Frame:
    """Saved to flash. One value for all ports, or one for each of 4 or 8."""
    if len(dbm) not in (1, 4, 8):
        raise ValueError(f"{len(dbm)} power values: give 1, 4 or 8")
    for value in dbm:
        if not 0 <= value <= HIGHEST_POWER_DBM:
            raise ValueError(f"power {value} dBm: must be 0 to {HIGHEST_POWER_DBM}")
    return Frame(address, 0x76, bytes(dbm))


def set_temporary_power(dbm: int, address: int = PUBLIC_ADDRESS) -> Frame:
    """RAM only, one value for all ports."""
    if not LOWEST_TEMPORARY_POWER_DBM <= dbm <= HIGHEST_POWER_DBM:
        raise ValueError(
            f"temporary power {dbm} dBm: must be {LOWEST_TEMPORARY_POWER_DBM} to {HIGHEST_POWER_DBM}"
        )
    return Frame(address, 0x66, bytes((dbm,)))


def get_power(*, eight_port: bool = False, address: int = PUBLIC_ADDRESS) -> Frame:
    return Frame(address, 0x97 if eight_port else 0x77, b"")


def set_detector(threshold_db: int, address: int = PUBLIC_ADDRESS) -> Frame:
    """The return loss below which a port counts as open; 0 turns the detector off."""
    if not 0 <= threshold_db <= 0xFF:
        raise ValueError(f"return loss threshold {threshold_db} dB: must be 0 to 255")
    return Frame(address, 0x62, bytes((threshold_db,)))


def get_detector(address: int = PUBLIC_ADDRESS) -> Frame:
    return Frame(address, 0x63, b"")


def measure_return_loss(frequency_index: int, address: int = PUBLIC_ADDRESS) -> Frame:
    """Of the work antenna. The index counts 500 kHz steps through 865-868 (0-6) and 902-928 MHz (7-59)."""
    if not 0 <= frequency_index <= 59:
        raise ValueError(f"frequency index {frequency_index}: must be 0 to 59")
    return Frame(address, 0x7E, bytes((frequency_index,)))


def realtime_inventory(rounds: int = 1, address: int = PUBLIC_ADDRESS) -> Frame:
    """Read the work antenna; 0xFF rounds means one that is as short as can be (30-50 ms)."""
    return Frame(address, REALTIME_INVENTORY, bytes((_byte("rounds", rounds),)))


def fast_switch_inventory(
    stays: Mapping[int, int],
    form: FastSwitchForm,
    *,
    interval_ms: int = 0,
    repeat: int = 1,
    session: int = 1,
    target: int = 0,
    phase: bool = False,
    address: int = PUBLIC_ADDRESS,
) -> Frame:
    """Read some ports of the group one after another: `stays` has the rounds for each port (1..4 or 1..8).

    `session` (S0-S3), `target` (0 = A, 1 = B) and `phase` go into the long form only.
    """
    if not stays:
        raise ValueError("fast switching needs at least one port")
    off = _FOUR_PORT_OFF if form is FastSwitchForm.FOUR_PORT else _EIGHT_PORT_OFF
    slots = [
        (_port_id(port, form.ports), _byte(f"stay of port {port}", stays[port])) for port in sorted(stays)
    ]
    slots += [off] * (form.ports - len(slots))
    data = bytes(value for slot in slots for value in slot) + bytes((_byte("interval_ms", interval_ms),))
    if form is FastSwitchForm.EIGHT_PORT_LONG:
        if session not in range(4) or target not in range(2):
            raise ValueError(f"session {session}, target {target}: sessions are 0-3, targets 0 and 1")
        data += bytes((0, 0, 0, 0, 0, session, target, 0, 0, 0, phase))
    return Frame(address, FAST_SWITCH_INVENTORY, data + bytes((_byte("repeat", repeat),)))


def _port_id(port: int, ports: int) -> int:
    if not 1 <= port <= ports:
        raise ValueError(f"port {port}: this request has ports 1 to {ports}")
    return port - 1


def _byte(name: str, value: int) -> int:
    if not 0 <= value <= 0xFF:
        raise ValueError(f"{name} {value}: must be 0 to 255")
    return value
