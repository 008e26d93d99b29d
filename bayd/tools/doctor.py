"""Looks at everything that a bay PC needs, and says of each fault what to do next.

Each check is a function of its own that changes nothing, needs no running daemon and answers within seconds.
A check that could not be made is a finding, too: silence is no health.
"""

import asyncio
import errno
import grp
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bayd.credentials import Credentials
from bayd.devices.serial_ports import SerialPort
from bayd.ports import HttpTransport, TransportError
from bayd.reconcile.qod_flow import missing_credentials
from bayd.settings import Settings
from bayd.tools.ownership import name_of, strangers

ANSWER_S = 5.0
ENOUGH_BYTES = 500 * 2**20  # months of journal
SLOW_SYNC_S = 1.0
# statfs(2): file systems on which SQLite's locks do not hold, or nothing stays.
_BAD_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "tmpfs", "ramfs", "9p"})
UDEV_FILE = "/etc/udev/rules.d/71-bays.rules"
_USB_ID = re.compile(r"[0-9a-f]{4}")


class Grade(StrEnum):
    GOOD = "good"
    LOOK = "look"  # works, and should not stay so
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """`next_step` is empty where there is nothing to do."""

    subject: str
    grade: Grade
    text: str
    next_step: str = ""


Check = Callable[[], Awaitable[list[Finding]]]


def good(subject: str, text: str) -> list[Finding]:
    return [Finding(subject, Grade.GOOD, text)]


def look(subject: str, text: str, next_step: str) -> list[Finding]:
    return [Finding(subject, Grade.LOOK, text, next_step)]


def bad(subject: str, text: str, next_step: str) -> list[Finding]:
    return [Finding(subject, Grade.BAD, text, next_step)]


def check_credentials(settings: Settings, credentials: Credentials) -> list[Finding]:
    found: list[Finding] = []
    if credentials.site_key is None:
        text = "there is no site_key: no PIN can be checked while the central server is away"
        found += look("credentials", text, "bayd init")
    if not credentials.api_tokens:
        text = "there are no api_tokens: programs cannot press anything; paired screens and named staff can"
        found += look("credentials", text, "bayd init, if a program is to")
    if settings.central.auth == "bearer" and credentials.central_token is None:
        found += bad(
            "credentials",
            'central.auth = "bearer", and there is no central_token',
            "put the server's token into the file central_token of the credentials directory",
        )
    if settings.central.auth == "login" and credentials.central_login_pin is None:
        found += bad(
            "credentials",
            'central.auth = "login", and there is no central_login_pin',
            "put the PIN of the daemon's staff account into the file central_login_pin of the credentials "
            "directory",
        )
    missing = [] if settings.qod is None else missing_credentials(settings.qod, credentials)
    if missing:
        found += bad(
            "credentials",
            f"there is a table [qod], and no {', '.join(missing)}",
            "put what the operator gave out into the credentials directory (docs/security.md)",
        )
    return found or good("credentials", "all that this configuration needs are there")


def check_clock(problem: str | None) -> list[Finding]:
    """`problem`: why it is not trusted. What the daemon sees is among its warnings."""
    if problem is None:
        return good("clock", "kept by a time service")
    return look(
        "clock",
        f"{problem}: play goes on all the same, but times on reports may be wrong and nothing old is removed",
        "timedatectl set-ntp true, or install chrony",
    )


def check_disk(directory: Path, mounts: Path = Path("/proc/self/mounts")) -> list[Finding]:
    """Room, rights, kind of file system, and how long a small durable write takes."""
    place = directory if directory.is_dir() else directory.parent
    if not place.is_dir():
        return bad("disk", f"{directory} does not exist", f"mkdir -p {directory}, owned by the daemon's user")
    found: list[Finding] = []
    kind = _file_system_of(place, mounts)
    if kind in _BAD_FILE_SYSTEMS:
        text = f"{place} is on {kind}: the journal would not be safe there"
        found += bad("disk", text, "set state.dir to a directory on a local disk")
    free = shutil.disk_usage(place).free
    if free < ENOUGH_BYTES:
        text = f"only {free // 2**20} MiB are free at {place}"
        found += look(
            "disk", text, "make room: on a full disk money and play come first, then nothing is recorded"
        )
    try:
        took_s = _durable_write_s(place)
    except OSError as error:
        reason = error.strerror or str(error)
        full = error.errno == errno.ENOSPC
        step = f"make room at {place}; bayd goes on by itself then" if full else "run this as root or as bayd"
        return [*found, *bad("disk", f"{place} cannot be written: {reason}", step)]
    if took_s > SLOW_SYNC_S:
        text = f"a durable write took {took_s:.1f} s at {place}: presses wait for that long"
        found += look("disk", text, "replace the card or disk: it may be about to fail")
    return found or good(
        "disk", f"{free // 2**30} GiB free at {place}, a durable write takes {took_s * 1e3:.1f} ms"
    )


def check_owners(directory: Path) -> list[Finding]:
    """As root leaves files that the daemon's user cannot open."""
    try:
        found = strangers(directory)
        owner, group = name_of(directory.stat().st_uid), _group_name(directory.stat().st_gid)
    except OSError:
        return []  # `check_disk` says what is wrong with it
    if not found:
        return []
    names = " ".join(map(str, found))
    text = f"not {owner}'s, who owns {directory}, and closed to the daemon: {names}"
    return bad("journal", text, f"chown -h {owner}:{group} {names}")


def held_links(status: Mapping[str, Any]) -> frozenset[str]:
    """The keys of the devices that a running daemon has open: in order, or with a fault that a person must
    see to. One that it cannot open is lost, whatever fault it had.
    """
    return frozenset(
        f"{kind}.{name}.link"
        for kind, devices in status.get("devices", {}).items()
        if kind in ("readers", "dispensers")
        for name, device in devices.items()
        if device["state"] in ("ok", "fault")
    )


def check_links(
    links: Mapping[str, str],
    *,
    groups: frozenset[str],
    ports: Sequence[SerialPort],
    held: Collection[str] = (),
) -> list[Finding]:
    """`links`: by the key in the configuration. `groups`: those of the daemon's user. `held`: the keys of
    what a running daemon works with at this moment: who may open them is no question.
    """
    found: list[Finding] = []
    for key, link in links.items():
        if key in held:
            found += good(key, f"{link} is at work")
            continue
        if link.startswith("socket://"):
            continue
        path = Path(link)
        if not path.exists():
            others = ", ".join(port.link for port in ports) or "none"
            found += bad(key, f"{link} is not there", f"plug it in, or correct {key}; found here: {others}")
            continue
        stat = path.stat()
        owner = _group_name(stat.st_gid)
        if not (stat.st_mode & 0o006 == 0o006 or (stat.st_mode & 0o060 == 0o060 and owner in groups)):
            if owner == "root" or stat.st_mode & 0o060 != 0o060:  # no group that would help, or none to be in
                text = f"{link} is not open to the user bayd, nor to a group that it could join"
                found += bad(key, text, "a udev rule that gives it to dialout: bayd doctor --udev")
                continue
            text = f"{link} belongs to the group {owner}, and the user bayd is not in it"
            found += bad(key, text, f"usermod -aG {owner} bayd, then systemctl restart bayd")
        elif path.parent == Path("/dev") and path.name.startswith(("ttyUSB", "ttyACM")):
            better = next((p.link for p in ports if p.device == str(path.resolve())), None)
            text = f"{link} may be another device after a reboot"
            found += look(key, text, f"write {better or 'its name below /dev/serial/by-id'} instead")
        else:
            found += good(key, f"{link} is there")
    return found


async def check_socket_links(links: Mapping[str, str]) -> list[Finding]:
    found: list[Finding] = []
    for key, link in links.items():
        if not link.startswith("socket://"):
            continue
        parts = urlsplit(link)
        try:
            async with asyncio.timeout(ANSWER_S):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            found += bad(
                key, f"{link}: {reason}", "its power, its cable, its address; is it set to another port?"
            )
        else:
            writer.close()
            found += good(key, f"{link} answers")
    return found


async def check_central(transport: HttpTransport, url: str, token: str | None) -> list[Finding]:
    """Reads the list of bays: nothing is changed there."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        answer = await transport.request("GET", f"{url}/bay", headers=headers, timeout_s=ANSWER_S)
    except TransportError as error:
        next_step = "its power, the network, central.url; play goes on offline meanwhile"
        return bad("central server", f"{url}: {error}", next_step)
    if answer.status in (401, 403):
        return bad(
            "central server", f"{url} refuses us (HTTP {answer.status})", "central.auth and its credential"
        )
    if answer.status >= 500:
        return bad("central server", f"{url} fails (HTTP {answer.status})", "its own log")
    if answer.status == 404:
        text = f"{url} answers, and has no list of bays: the eight Session calls are enough"
        return look("central server", text, "check central.url when bookings do not appear")
    return good("central server", f"{url} answers")


async def check_operator(transport: HttpTransport, url: str) -> list[Finding]:
    """Whether anybody answers there: no token is spent, no session asked for."""
    try:
        answer = await transport.request("GET", url, timeout_s=ANSWER_S)
    except TransportError as error:
        return bad("operator", f"{url}: {error}", "the network, qod.base_url; bays play on without meanwhile")
    if answer.status >= 500:
        return bad(
            "operator", f"{url} fails (HTTP {answer.status})", "the operator; bays play on without meanwhile"
        )
    return good("operator", f"{url} answers")  # whatever it says to who shows no token


def udev_page(rules: Sequence[str]) -> str:
    """A whole file, with what to do with it."""
    if not rules:
        return "# no USB serial adapter is plugged in"
    head = (
        f"# Into {UDEV_FILE}: a name of its own, after 60-serial.rules, which finds ID_PATH.",
        "# Then: udevadm control --reload && udevadm trigger --subsystem-match=tty",
    )
    return "\n".join((*head, *rules))


def udev_rules(ports: Sequence[SerialPort], sys_tty: Path = Path("/sys/class/tty")) -> list[str]:
    """A rule for each adapter that is plugged in: a name of its own, and ModemManager kept away."""
    rules = []
    for number, port in enumerate(ports, 1):
        device = sys_tty / Path(port.device).name / "device"
        usb = _usb_parent(device.resolve()) if device.exists() else None
        if usb is None:
            continue
        match = f'ATTRS{{idVendor}}=="{usb.vendor}", ATTRS{{idProduct}}=="{usb.product}"'
        if usb.serial and re.fullmatch(r"[\w.:-]+", usb.serial):
            match += f', ATTRS{{serial}}=="{usb.serial}"'
        elif port.by_path is not None:
            match = f'ENV{{ID_PATH}}=="{_id_path(port.by_path)}"'
        else:
            continue
        rules.append(
            f'SUBSYSTEM=="tty", {match}, ENV{{ID_MM_DEVICE_IGNORE}}="1", GROUP="dialout", MODE="0660", '
            f'SYMLINK+="bayd/port{number}"'
        )
    return rules


@dataclass(frozen=True, slots=True)
class _Usb:
    vendor: str
    product: str
    serial: str


def _usb_parent(device: Path) -> _Usb | None:
    for place in (device, *device.parents):
        vendor, product = place / "idVendor", place / "idProduct"
        if vendor.is_file() and product.is_file():
            ids = vendor.read_text().strip(), product.read_text().strip()
            if not all(_USB_ID.fullmatch(each) for each in ids):
                return None
            serial = place / "serial"
            return _Usb(*ids, serial.read_text().strip() if serial.is_file() else "")
    return None


def _id_path(by_path: str) -> str:
    """udev's ID_PATH as it stands in the link's name: `…-port0` is the port of the adapter."""
    return re.sub(r"-port\d+$", "", Path(by_path).name)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _file_system_of(place: Path, mounts: Path) -> str:
    resolved = place.resolve()
    best, kind = -1, ""
    for line in mounts.read_text().splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        point = Path(words[1].replace("\\040", " "))
        if (point == resolved or point in resolved.parents) and len(point.parts) > best:
            best, kind = len(point.parts), words[2]
    return kind


def _durable_write_s(place: Path) -> float:
    with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as file:
        began_s = time.monotonic()
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
        return time.monotonic() - began_s
