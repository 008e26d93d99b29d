"""Which ports the daemon holds: the tools ask those devices through it, and leave the ports alone."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from bayd.cli.daemon import DaemonRefusedError, DaemonUnreachableError, Door, connected, leave

_DOES_NOT_TELL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)  # not me, or not yet


@dataclass(frozen=True, slots=True)
class Held:
    """What the daemon says of its devices; see `bayd.web.device_documents.HeldDevice`."""

    devices: tuple[dict[str, Any], ...] = ()

    def at(self, link: str) -> dict[str, Any] | None:
        """The device behind this link, under whatever name of its port."""
        return next((device for device in self.devices if _same(device["link"], link)), None)


def find_held(door: Door) -> Held:
    """Nothing, where no daemon answers or it does not tell us: a port that it holds is locked all the same.

    Another refusal ends the process with its text: nothing is known, and a guess would try the port.
    """

    async def ask() -> Sequence[dict[str, Any]]:
        async with connected(door, guess_url=False) as daemon:
            document = await daemon.get("/api/v1/devices")
            devices: list[dict[str, Any]] = document["devices"]
            return devices

    try:
        return Held(tuple(asyncio.run(ask())))
    except DaemonUnreachableError:
        return Held()
    except DaemonRefusedError as error:
        if error.status not in _DOES_NOT_TELL:
            leave(1, str(error))
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
