"""Guests who come and go after the evening, and a booking that is always there for whoever looks on."""

import asyncio
import contextlib
from typing import Any, Protocol

import aiohttp

from bayd.demo.doors import Booked, DoorError

YOUR_BAY = "104"
GUEST_BAYS = ("101", "102", "103")
_YOUR_MINUTES = 30
_LOOK_EVERY_S = 2.0


class GuestDoors(Protocol):
    """Of `Doors`, what guests need."""

    async def status(self) -> dict[str, Any]: ...
    async def book(self, bay: str, minutes: int, amount: int) -> Booked: ...
    async def type_pin(self, bay: str, pin: str) -> tuple[int, dict[str, Any]]: ...
    async def dispense(self, bay: str, balls: int) -> tuple[int, dict[str, Any]]: ...


class Guests:
    """Whoever has a slip tries its PIN until it opens the bay: the booking may come to the bay late, the
    daemon may be away, somebody may have broken something meanwhile.
    """

    def __init__(self, doors: GuestDoors) -> None:
        self._doors = doors
        self._slips: dict[
            str, Booked
        ] = {}  # whose booking the bay has not shown yet, or whose PIN has not opened it
        self.yours: Booked | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Once at every bay."""
        with _whatever_breaks():
            bays = (await self._doors.status())["bays"]
            for bay in (YOUR_BAY, *GUEST_BAYS):
                with _whatever_breaks():
                    await self._look_at(bay, bays[bay])

    async def _look_at(self, bay: str, view: dict[str, Any]) -> None:
        free = not view["booked"] and view["session"] is None
        if bay == YOUR_BAY:
            if not free:
                self._slips.pop(bay, None)
            elif bay not in self._slips:
                self.yours = self._slips[bay] = await self._doors.book(bay, _YOUR_MINUTES, 1500)
            return
        slip = self._slips.get(bay)
        if slip is None and free:
            self._slips[bay] = await self._doors.book(bay, 10, 500)
        elif slip is not None and view["session"] is not None:
            del self._slips[bay]
        elif slip is not None:
            status, _ = await self._doors.type_pin(bay, slip.pin)
            if status == 200:
                del self._slips[bay]
                await self._doors.dispense(bay, 10)


def _whatever_breaks() -> contextlib.AbstractContextManager[object]:
    return contextlib.suppress(DoorError, aiohttp.ClientError, TimeoutError, ValueError, KeyError)
