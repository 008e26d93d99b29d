"""Which ports the daemon holds: the tools ask those devices through it, and leave the ports alone."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bayd.cli.daemon import DaemonRefusedError, DaemonUnreachableError, Door, connected


@dataclass(frozen=True, slots=True)
class Held:
    """What the daemon says of its devices; see `bayd.web.device_documents.HeldDevice`."""

    devices: tuple[dict[str, Any], ...] = ()

    def at(self, link: str) -> dict[str, Any] | None:
        """The device behind this link, under whatever name of its port."""
        return next((device for device in self.devices if _same(device["link"], link)), None)


def find_held(door: Door) -> Held:
    """Nothing, where no daemon answers or it does not tell: a port that it holds is locked all the same."""

    async def ask() -> Sequence[dict[str, Any]]:
        async with connected(door, guess_url=False) as daemon:
            document = await daemon.get("/api/v1/devices")
            devices: list[dict[str, Any]] = document["devices"]
            return devices

    try:
        return Held(tuple(asyncio.run(ask())))
    except (DaemonUnreachableError, DaemonRefusedError):
        return Held()


def in_words(device: dict[str, Any]) -> str:
    about = " ".join(part for part in (device["model"], device["firmware"]) if part) or device["driver"]
    state = device["state"] + (f" ({device['reason']})" if device["reason"] else "")
    bays = f", bays {', '.join(device['bays'])}" if device["bays"] else ""
    return f"held by bayd: {device['kind']} {device['name']}, {about}, {state}{bays}"


def _same(one: str, other: str) -> bool:
    if "://" in one or "://" in other:
        return one == other
    return os.path.realpath(one) == os.path.realpath(other)
