"""What no single field shows. Works on the raw tables, so that one run names everything."""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bayd.settings.complaints import Complaint
from bayd.settings.configuration import Settings
from bayd.settings.dispensers import line_complaints, size_complaints
from bayd.settings.qod import IDENTIFIERS
from bayd.settings.readers import PIT, RETURN

TIME_SCALE_VARIABLE = "BAYD_TIME_SCALE"


def _tables(raw: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = raw.get(name)
    for key, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield key, table


def cross_checks(raw: Mapping[str, Any]) -> list[Complaint]:
    complaints: list[Complaint] = []
    bays = {number for number, _ in _tables(raw, "bays")}
    links: dict[str, str] = {}
    screens: dict[str, str] = {}
    heard: dict[str, str] = {}
    for name, reader in _tables(raw, "readers"):
        complaints += _readers_port(links, f"readers.{name}.link", reader.get("link"))
        links |= {str(reader.get("link")): f"readers.{name}.link"}
        numbers: dict[int, str] = {}
        ports = reader.get("ports")
        for port, place in ports.items() if isinstance(ports, dict) else ():
            path = f"readers.{name}.ports.{port}"
            if not str(port).isdecimal() or not 1 <= int(port) <= 16:
                complaints.append(Complaint(path, "a port is a number from 1 to 16"))
                continue
            if int(port) in numbers:
                complaints.append(
                    Complaint(path, f"port {int(port)} is used twice (also {numbers[int(port)]})")
                )
            numbers[int(port)] = path
            if not isinstance(place, str):
                continue  # its type is complained of elsewhere
            if place == PIT:
                complaints.append(Complaint(path, "the target has no name; write pit:S1_1 or the like"))
            elif place != RETURN and not place.startswith(PIT) and place not in bays:
                complaints.append(Complaint(path, f"there is no bay {place!r}"))
            heard[place] = path
    dispensers = dict(_tables(raw, "dispensers"))
    for name, dispenser in dispensers.items():
        complaints += _readers_port(links, f"dispensers.{name}.link", dispenser.get("link"))
    complaints += [Complaint(path, text) for path, text in line_complaints(dispensers)]
    play = raw.get("play")
    if isinstance(play, dict):
        complaints += [Complaint(path, text) for path, text in size_complaints(play, dispensers)]
    complaints += _schedule_missing(raw)
    for number, bay in _tables(raw, "bays"):
        wanted = bay.get("dispenser")
        if isinstance(wanted, str) and wanted not in dispensers:
            complaints.append(Complaint(f"bays.{number}.dispenser", f"there is no dispenser {wanted!r}"))
        if number not in heard and bay.get("rfid", True) is not False:
            text = "its antenna does not exist: no reader's `ports` names this bay (or set rfid = false)"
            complaints.append(Complaint(f"bays.{number}", text))
        screen = bay.get("qod")
        if isinstance(screen, dict) and len([key for key in screen if key in IDENTIFIERS]) != 1:
            wanted_keys = ", ".join(IDENTIFIERS)
            complaints.append(
                Complaint(f"bays.{number}.qod", f"exactly one device identifier is wanted, of {wanted_keys}")
            )
        complaints += _shared_screen(screens, number, screen)
    return complaints


def _schedule_missing(raw: Mapping[str, Any]) -> list[Complaint]:
    """A bay on a schedule that has no line would be closed for ever."""
    play = raw.get("play")
    play = play if isinstance(play, dict) else {}
    if play.get("schedule"):
        return []
    asked = {"play.mode": play.get("mode")}
    asked |= {f"bays.{number}.mode": bay.get("mode") for number, bay in _tables(raw, "bays")}
    text = "play.schedule has no line: the bay would never be open"
    return [Complaint(path, text) for path, mode in asked.items() if mode == "schedule"]


def _shared_screen(screens: dict[str, str], number: str, screen: object) -> list[Complaint]:
    """Two bays with one device would take each other's QoS session away."""
    if not isinstance(screen, dict):
        return []
    complaints = []
    for key in IDENTIFIERS:
        device = str(screen.get(key, "")).removeprefix("+").lower()
        if device and device in screens:
            text = f"the device is used twice (also bays.{screens[device]}.qod)"
            complaints.append(Complaint(f"bays.{number}.qod.{key}", text))
        elif device:
            screens[device] = number
    return complaints


def _readers_port(links: Mapping[str, str], path: str, link: object) -> list[Complaint]:
    """A reader has its port alone."""
    other = links.get(link) if isinstance(link, str) else None
    return [] if other is None else [Complaint(path, f"the port is used twice (also {other})")]


def time_scale(environment: Mapping[str, str], settings: Settings | None) -> tuple[float, list[Complaint]]:
    text = environment.get(TIME_SCALE_VARIABLE)
    if text is None:
        return 1.0, []
    try:
        scale = float(text)
    except ValueError:
        return 1.0, [Complaint(TIME_SCALE_VARIABLE, "is not a number")]
    if not 0.1 <= scale <= 60:
        return 1.0, [Complaint(TIME_SCALE_VARIABLE, "must be between 0.1 and 60")]
    if settings is None:
        return scale, []
    refused = [
        Complaint(TIME_SCALE_VARIABLE, f"only with upstreams on loopback, and {path} is elsewhere")
        for path, url in (
            ("central.url", settings.central.url),
            ("qod.base_url", settings.qod and settings.qod.base_url),
        )
        if url and not is_loopback(urlsplit(url).hostname or "")
    ]
    links = [(f"readers.{n}.link", r.link) for n, r in settings.readers.items()]
    links += [(f"dispensers.{n}.link", d.link) for n, d in settings.dispensers.items()]
    refused += [
        Complaint(TIME_SCALE_VARIABLE, f"never with a real device, and {path} may be one")
        for path, link in links
        if not _is_simulated(link)
    ]
    return scale, refused


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_simulated(link: str) -> bool:
    if link.startswith("socket://"):
        return is_loopback(urlsplit(link).hostname or "")
    target = os.path.realpath(link)
    return target.startswith("/dev/pts/") or not target.startswith("/dev/")
