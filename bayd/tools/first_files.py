"""The files that a new site begins with: a commented configuration and the secrets that bayd makes itself.

Nothing that exists is ever written over: a second run fills in what is missing and leaves the rest alone.
"""

import grp
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bayd.devices.serial_ports import SerialPort

EXAMPLE = "bayd.example.toml"
_PACKAGED = Path("/usr/share/bayd")  # systemd/deb/nfpm.yaml
SITE_KEY_BYTES = 32
TOKEN_BYTES = 24
GROUP = "bayd"  # systemd/bayd.sysusers

_TOKENS = """\
# Who may use the local HTTP service, a line for each: TOKEN ROLE [NAME].
# What each role may do: docs/security.md.
# One more of 16 characters or more: openssl rand -hex 24
{staff} staff desk
{technician} technician workshop
"""


class FirstFilesError(Exception):
    """They could not be written; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one file."""

    path: Path
    what: str
    made: bool  # False: it was there, and was left alone


@dataclass(frozen=True, slots=True)
class FirstSite:
    """What is known of the site before anything is configured."""

    name: str
    timezone: str
    central_url: str
    currency: str = ""  # as shown beside amounts; empty: not known
    ports: Sequence[SerialPort] = ()


def example_file() -> Path:
    """The commented example: in a checkout, of an installed wheel, of the Debian package.

    Raises FirstFilesError.
    """
    root = Path(__file__).resolve().parents[2]
    places = (root / "config", Path(sys.prefix) / "share/bayd/config", _PACKAGED)
    for place in places:
        if (place / EXAMPLE).is_file():
            return place / EXAMPLE
    raise FirstFilesError(
        f"{EXAMPLE} is missing from this installation (looked in {', '.join(map(str, places))})"
    )


def first_configuration(example: str, site: FirstSite) -> str:
    """The example with what is known of the site; its devices and bays are left for people to name."""
    lines = []
    for line in example.splitlines():
        key = line.partition("=")[0].strip()
        if key == "name" and line.startswith("name"):
            lines.append(f"name = {_toml(site.name)}")
        elif key == "timezone":
            lines.append(f"timezone = {_toml(site.timezone)}")
        elif key == "currency":
            lines += _currency_lines(site.currency)
        elif key == "url" and line.startswith("url"):
            lines.append(f"url = {_toml(site.central_url)}")
        elif line.startswith("# A reader, under its id"):
            lines += [*_port_lines(site.ports), line]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def write_first_files(config: Path, credentials: Path, site: FirstSite) -> list[Written]:
    """Raises FirstFilesError."""
    example = example_file()
    try:
        _make_directory(config.parent, 0o755)
        _make_directory(credentials, 0o700)
        staff, technician = (secrets.token_hex(TOKEN_BYTES) for _ in range(2))
        return [
            _write(config, first_configuration(example.read_text(), site), 0o640, "the configuration", GROUP),
            _write(
                credentials / "site_key",
                f"{secrets.token_hex(SITE_KEY_BYTES)}\n",
                0o600,
                "the key of the PIN hashes",
            ),
            _write(
                credentials / "api_tokens",
                _TOKENS.format(staff=staff, technician=technician),
                0o600,
                "a token for the desk and one for the workshop",
            ),
        ]
    except OSError as error:
        raise FirstFilesError(f"{error.filename}: {error.strerror}") from error


def _write(path: Path, text: str, mode: int, what: str, group: str | None = None) -> Written:
    """Whole or not at all, whatever umask, full disk or power cut. An empty file holds nothing to be kept."""
    if path.exists() and path.stat().st_size:
        return Written(path, what, made=False)
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            if group is not None:
                _hand_to(descriptor, group)
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return Written(path, what, made=True)


def _make_directory(path: Path, mode: int) -> None:
    """With this mode whatever the umask; one that is there stays as it is."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(mode)


def _hand_to(descriptor: int, group: str) -> None:
    """The daemon reads the file, and nobody else: it may name devices of screens."""
    try:
        os.fchown(descriptor, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError):
        pass  # not installed as a service, or not by root: the owner runs it


def _currency_lines(currency: str) -> list[str]:
    about = (
        "# Shown beside amounts, which are whole numbers in the central server's own unit; ISO 4217, as INR."
    )
    return [about, f"currency = {_toml(currency)}" if currency else '#currency = ""']


def _port_lines(ports: Sequence[SerialPort]) -> list[str]:
    if not ports:
        return ["# No serial port was found when this file was made; `bayd reader scan` looks again."]
    return ["# The serial ports found when this file was made:", *(f"#   {port.link}" for port in ports)]


def _toml(text: str) -> str:
    """A TOML basic string (TOML 1.0, "String")."""
    named = {'"': '\\"', "\\": "\\\\"}
    plain = (named.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04X}") for c in text)
    return '"' + "".join(plain) + '"'
