"""The serial ports of this machine, under names that a reboot does not change.

udev makes them: `by-id` from what the adapter says of itself, `by-path` from where it is plugged in. An
adapter without a serial number (CH340) has the same `by-id` as its twin, so there the path is the better
name.
"""

import re
from dataclasses import dataclass
from pathlib import Path

# "usb-1a86_USB_Serial-if00-port0": maker and product, and no serial number behind them.
_WITHOUT_SERIAL_NUMBER = re.compile(r"^usb-(1a86|QinHeng)[^-]*_(USB[\w.]*_?Serial|CH3\w+)-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SerialPort:
    device: str  # /dev/ttyUSB0: may be another one tomorrow
    by_id: str | None
    by_path: str | None

    @property
    def link(self) -> str:
        """What belongs into the configuration."""
        if self.by_id is not None and not _WITHOUT_SERIAL_NUMBER.match(Path(self.by_id).name):
            return self.by_id
        return self.by_path or self.by_id or self.device


def find_ports(dev: Path = Path("/dev")) -> list[SerialPort]:
    """All that udev has named, by device."""
    names: dict[str, dict[str, str]] = {}
    for kind in ("by-id", "by-path"):
        folder = dev / "serial" / kind
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            # Newer udev names a USB port twice (usb- and usbv2-): the first in the alphabet is enough.
            names.setdefault(str(link.resolve()), {}).setdefault(kind, str(link))
    return [
        SerialPort(device, named.get("by-id"), named.get("by-path"))
        for device, named in sorted(names.items())
    ]
