"""From the `link` of the configuration to an opener."""

from hardware.link.link import LinkOpener
from hardware.link.serial import SerialOpener
from hardware.link.socket import SCHEME, SocketOpener


def opener_for(
    link: str, *, baudrate: int, parity: str = "N", stopbits: int = 1, rs485: bool = False
) -> LinkOpener:
    """An opener for `/dev/…` or `socket://host:port`; what concerns the line is unused for a socket.

    Raises ValueError, with what to write instead.
    """
    if link.startswith(SCHEME):
        return SocketOpener(link)
    if "://" in link:
        raise ValueError(f"link {link!r}: write a path below /dev or socket://host:port")
    return SerialOpener(link, baudrate=baudrate, parity=parity, stopbits=stopbits, rs485=rs485)
