"""From the configuration to a reader's driver."""

from collections.abc import Callable

from bayd.ports import Randomness
from bayd.settings.readers import USUAL_BAUD, Reader, Region
from hardware.link import opener_for
from hardware.rfid import ReaderEvent, RfidReader
from hardware.rfid.r2000_commands import FastSwitchForm
from hardware.rfid.r2000_reader import R2000Reader
from hardware.rfid.r2000_settings import PowerMode, R2000Settings
from hardware.rfid.uhf288_reader import Uhf288Reader
from hardware.rfid.uhf288_settings import Uhf288Settings

# Within each region: where the return loss of an antenna is measured.
R2000_PROBE_INDEX = {Region.ETSI: 3, Region.INDIA: 2, Region.FCC: 33}  # 866.5, 866.0, 915.0 MHz
UHF288_PROBE_KHZ = {Region.ETSI: 866_300, Region.INDIA: 866_300, Region.FCC: 915_000}
_UHF288_OVERRUN_S = 0.075  # part of the grace: a scan may take so much longer than was asked

# What a running driver need not know: a change of these closes no link.
_LIVE = {
    "ports",
    "power",
    "port_power",
    "power_unit",
    "antenna_gain_dbi",
    "cable_loss_db",
    "rssi_floor_dbm",
    "rssi_floor_raw",
    "port_floor",
    "fault_after_s",
}


def make_reader(
    settings: Reader, on_event: Callable[[ReaderEvent], None], randomness: Randomness
) -> RfidReader:
    """Raises ValueError for a link or a line that cannot be."""
    opener = opener_for(
        settings.link, baudrate=settings.baudrate or USUAL_BAUD[settings.driver], rs485=settings.rs485
    )
    if settings.driver == "uhfreader288":
        return Uhf288Reader(opener, on_event, _uhf288(settings), jitter=randomness.jitter)
    return R2000Reader(opener, on_event, _r2000(settings), jitter=randomness.jitter)


def driver_part(settings: Reader) -> tuple[int, Reader]:
    """What the driver is made from: where two are equal it need not be made anew."""
    return settings.antenna_ports, settings.model_copy(update=dict.fromkeys(_LIVE))


def line_errors(driver: RfidReader | None) -> int | None:
    """Frames that came damaged; None: there is no driver, or it does not count them."""
    if not isinstance(driver, R2000Reader | Uhf288Reader):
        return None
    return driver.counters.bad_checksum + driver.counters.bad_length


def _uhf288(settings: Reader) -> Uhf288Settings:
    return Uhf288Settings(
        address=settings.address,
        port_count=settings.antenna_ports,
        scan_time_ms=settings.scan_time_ms,
        reply_timeout_s=settings.reply_timeout_s,
        poll_grace_s=settings.round_grace_s - _UHF288_OVERRUN_S,
        silent_polls=settings.silent_rounds,
        reopen_s=settings.reopen_s,
        probe_interval_s=settings.probe_interval_s,
        probe_frequency_khz=UHF288_PROBE_KHZ[settings.region],
        supervise_interval_s=settings.supervise_interval_s,
    )


def _r2000(settings: Reader) -> R2000Settings:
    return R2000Settings(
        address=settings.address,
        port_count=settings.antenna_ports,
        form=None if settings.request_form is None else FastSwitchForm(settings.request_form),
        power_mode=PowerMode(settings.power_mode),
        reply_timeout_s=settings.reply_timeout_s,
        round_grace_s=settings.round_grace_s,
        silent_rounds=settings.silent_rounds,
        reopen_s=settings.reopen_s,
        deaf_s=settings.deaf_s,
        probe_interval_s=settings.probe_interval_s,
        probe_frequency_index=R2000_PROBE_INDEX[settings.region],
        supervise_interval_s=settings.supervise_interval_s,
    )
