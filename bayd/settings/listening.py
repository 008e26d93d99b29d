"""Where a listener may be: on loopback, or where the site takes the network upon itself."""

from collections.abc import Iterator, Sequence

from bayd.settings.checks import is_loopback
from bayd.settings.complaints import Complaint
from bayd.settings.configuration import Settings

_HIGHEST_PORT = 65_535


class ListenRefusedError(Exception):
    """An address beyond loopback without TLS; the message says what to do."""


def check_listen(
    listen: Sequence[str], *, trusted_lan: bool, key: str = "http.listen"
) -> list[tuple[str, int]]:
    """Host and port of each address. Raises ListenRefusedError."""
    addresses: list[tuple[str, int]] = []
    for text in listen:
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (port.isascii() and port.isdecimal() and host) or int(port) > _HIGHEST_PORT:
            raise ListenRefusedError(f"{key}: {text!r} is not host:port")
        if not is_loopback(host) and not trusted_lan:
            raise ListenRefusedError(
                f"{key}: {text} is beyond loopback and without TLS; put a TLS proxy in front, or set "
                'http.allow_plain_http = "trusted-lan"'
            )
        addresses.append((host, int(port)))
    return addresses


def listen_complaints(settings: Settings) -> Iterator[Complaint]:
    trusted_lan = settings.http.allow_plain_http == "trusted-lan"
    doors = {"http.listen": settings.http.listen}
    if settings.qod is not None and settings.qod.webhook is not None:
        doors["qod.webhook.listen"] = (settings.qod.webhook.listen,)
    for key, listen in doors.items():
        try:
            check_listen(listen, trusted_lan=trusted_lan, key=key)
        except ListenRefusedError as error:
            yield Complaint(key, str(error).removeprefix(f"{key}: "))
