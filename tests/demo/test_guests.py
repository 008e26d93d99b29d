"""Guests of the demo: whatever breaks meanwhile, the next ones come."""

from typing import Any

import aiohttp

from bayd.demo.doors import Booked
from bayd.demo.guests import GUEST_BAYS, YOUR_BAY, Guests


class SlowRange:
    """Its daemon learns of a booking when told to."""

    def __init__(self) -> None:
        self.booked: dict[str, list[Booked]] = {bay: [] for bay in (YOUR_BAY, *GUEST_BAYS)}
        self.learned: set[str] = set()
        self.playing: set[str] = set()
        self.away = False
        self.balls = 0

    async def status(self) -> dict[str, Any]:
        if self.away:
            raise aiohttp.ClientConnectionError
        return {
            "bays": {
                bay: {"booked": int(bay in self.learned), "session": {} if bay in self.playing else None}
                for bay in self.booked
            }
        }

    async def book(self, bay: str, minutes: int, amount: int) -> Booked:
        self.booked[bay].append(Booked(len(self.booked[bay]), bay, minutes, amount, "246813"))
        return self.booked[bay][-1]

    async def type_pin(self, bay: str, pin: str) -> tuple[int, dict[str, Any]]:
        if pin != self.booked[bay][-1].pin or bay not in self.learned:
            return 422, {}
        self.learned.discard(bay)
        self.playing.add(bay)
        return 200, {}

    async def dispense(self, bay: str, balls: int) -> tuple[int, dict[str, Any]]:
        self.balls += balls
        if bay == "102":
            raise aiohttp.ServerDisconnectedError
        return 200, {}


async def test_a_booking_that_is_learned_late_is_played_and_followed_by_the_next() -> None:
    hall = SlowRange()
    guests = Guests(hall)
    for _ in range(3):
        await guests.look()
    hall.learned |= {*GUEST_BAYS, YOUR_BAY}
    assert {len(booked) for booked in hall.booked.values()} == {1}
    hall.away = True
    await guests.look()
    hall.away = False
    await guests.look()
    assert (hall.playing, hall.balls) == (set(GUEST_BAYS), 30)
    assert guests.yours is not None
    await guests.look()
    hall.playing.clear()
    await guests.look()
    assert [len(hall.booked[bay]) for bay in GUEST_BAYS] == [2, 2, 2]
