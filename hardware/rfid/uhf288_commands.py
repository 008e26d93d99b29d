"""The commands of the UHFReader288 family that bayd sends. Pure; each answers a Frame.

The family is polled: one inventory is one antenna (0x80 + port - 1), and the host goes from port to port.

Sources: UHFReader288MP manual v1.14; UHF RFID Reader Series manual V2.20, section 8. The request form of
0x6E (return loss threshold) is inferred from its neighbours.
"""

from hardware.rfid.uhfreader288 import BROADCAST, INVENTORY, Frame

BAUD_CODES = {9600: 0, 19200: 1, 38400: 2, 57600: 5, 115200: 6}
SCAN_TIME_STEP_MS = 100
HIGHEST_POWER_DBM = 33
PORT_COUNTS = (1, 4, 8, 12, 16)


def get_info(address: int = BROADCAST) -> Frame:
    return Frame(address, 0x21, b"")


def set_work_mode(mode: int, address: int = BROADCAST) -> Frame:
    """0: the reader answers; 1 and 2: it pushes tags by itself, and ignores polls."""
    if mode not in (0, 1, 2):
        raise ValueError(f"work mode {mode}: there are 0, 1 and 2")
    return Frame(address, 0x76, bytes((mode,)))


def poll(
    port: int,
    *,
    scan_time_ms: int,
    q: int = 4,
    session: int = 0,
    target: int = 0,
    address: int = BROADCAST,
) -> Frame:
    """One inventory on one port; it ends by itself, or after the scan time (0: never)."""
    if not 1 <= port <= 16:
        raise ValueError(f"port {port}: must be 1 to 16")
    if scan_time_ms % SCAN_TIME_STEP_MS or not 0 <= scan_time_ms <= 0xFF * SCAN_TIME_STEP_MS:
        raise ValueError(f"scan time {scan_time_ms} ms: must be a multiple of 100, at most 25500")
    if not 0 <= q <= 15 or not 0 <= session <= 3 or target not in (0, 1):
        raise ValueError(f"Q {q}, session {session}, target {target}: Q is 0-15, session 0-3, target 0 or 1")
    parameters = (q, session, target, 0x80 + port - 1, scan_time_ms // SCAN_TIME_STEP_MS)
    return Frame(address, INVENTORY, bytes(parameters))


def poll_all(*, q: int = 4, session: int = 0, address: int = BROADCAST) -> Frame:
    """One inventory with the antennas that the reader is set to."""
    return Frame(address, INVENTORY, bytes((q, session)))


def poll_reader18(address: int = BROADCAST) -> Frame:
    """One inventory on a UHFReader18, which has one antenna and takes no parameters."""
    return Frame(address, INVENTORY, b"")


def set_power(dbm: tuple[int, ...], address: int = BROADCAST) -> Frame:
    """Saved. One value for all ports, or exactly one for each."""
    if len(dbm) not in PORT_COUNTS:
        raise ValueError(f"{len(dbm)} power values: give one, or one for each of 4, 8, 12 or 16 ports")
    for value in dbm:
        if not 0 <= value <= HIGHEST_POWER_DBM:
            raise ValueError(f"power {value} dBm: must be 0 to {HIGHEST_POWER_DBM}")
    return Frame(address, 0x2F, bytes(dbm))


def get_port_powers(address: int = BROADCAST) -> Frame:
    return Frame(address, 0x94, b"")


def set_antennas(
    ports: frozenset[int], port_count: int, *, volatile: bool = True, address: int = BROADCAST
) -> Frame:
    """Which antennas an inventory without one uses: 1 byte on up to four ports, 3 bytes above."""
    if not ports or not all(1 <= port <= port_count for port in ports):
        raise ValueError(f"antenna ports {sorted(ports)}: give some of 1 to {port_count}")
    mask = sum(1 << port - 1 for port in ports)
    if port_count <= 4:
        return Frame(address, 0x3F, bytes((mask | (0x80 if volatile else 0),)))
    return Frame(address, 0x3F, bytes((int(volatile), mask >> 8, mask & 0xFF)))


def set_baudrate(baudrate: int, address: int = BROADCAST) -> Frame:
    """Takes effect after the answer."""
    if baudrate not in BAUD_CODES:
        raise ValueError(f"baud rate {baudrate}: must be one of {sorted(BAUD_CODES)}")
    return Frame(address, 0x28, bytes((BAUD_CODES[baudrate],)))


def measure_return_loss(port: int, frequency_khz: int, address: int = BROADCAST) -> Frame:
    if not 1 <= port <= 16:
        raise ValueError(f"port {port}: must be 1 to 16")
    return Frame(address, 0x91, frequency_khz.to_bytes(4, "big") + bytes((port - 1,)))


def get_return_loss_threshold(address: int = BROADCAST) -> Frame:
    """Below it the reader answers a poll with F8, antenna error."""
    return Frame(address, 0x6E, b"\x00")
