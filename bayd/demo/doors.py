"""The public doors of the evening: the central server's reception and the bays' screens."""

import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp

from bayd.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Booked:
    session: int
    bay: str
    minutes: int
    amount: int
    pin: str  # on the customer's slip


class DoorError(Exception):
    """An answer that the evening did not expect."""


class Doors:
    """What customers, reception and staff do. One HTTP session for all of them."""

    def __init__(self, stage: Stage, http: aiohttp.ClientSession) -> None:
        self._stage = stage
        self._http = http
        self._customers = 0

    async def book(self, bay: str, minutes: int, amount: int) -> Booked:
        """Reception books for a walk-in."""
        self._customers += 1
        body = {
            "billingUser": {
                "name": f"Guest {self._customers}",
                "phoneNumber": f"15550101{self._customers % 100:02d}",
            },
            "bayNumber": bay,
            "duration": minutes,
            "amount": amount,
            "paymentType": {"type": "CASH"},
            "isDiscounted": False,
        }
        data = await self._central("POST", "/session", body)
        return Booked(data["id"], bay, minutes, amount, data["pin"])

    async def choose_game(self, booked: Booked, game_id: int) -> None:
        await self._central("PATCH", "/session", {"id": booked.session, "gameId": game_id})

    async def games(self) -> list[dict[str, Any]]:
        games: list[dict[str, Any]] = await self._central("GET", "/game", None)
        return games

    async def extend_at_the_desk(self, booked: Booked, minutes: int, amount: int) -> None:
        path = f"/session/addSessionTime/{booked.session}"
        await self._central("POST", path, {"duration": minutes, "amount": amount})

    async def type_pin(self, bay: str, pin: str) -> tuple[int, dict[str, Any]]:
        return await self.press(bay, "pin", {"pin": pin})

    async def press(
        self, bay: str, act: str, body: dict[str, Any], *, staff: bool = False, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One press at the bay's screen, or one act of staff. Status and document."""
        token = self._stage.tokens.staff if staff else self._stage.tokens.screens[bay]
        url = f"{self._stage.url('bayd')}/api/v1/bays/{bay}/{act}"
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or uuid.uuid4().hex}
        async with self._http.post(url, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def dispense(self, bay: str, balls: int) -> tuple[int, dict[str, Any]]:
        """Press for balls and wait at the hopper."""
        await self._stage.order("wait_for_balls", bay=bay, balls=balls)
        status, answer = await self.press(bay, "dispense", {"balls": balls})
        if status != 200:
            await self._stage.order("stop_waiting", bay=bay)
        return status, answer

    async def status(self) -> dict[str, Any]:
        async with self._http.get(f"{self._stage.url('bayd')}/status") as response:
            document: dict[str, Any] = await response.json()
            return document

    async def _central(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        async with self._http.request(method, self._stage.url("central") + path, json=body) as response:
            document = await response.json(content_type=None)
            if response.status >= 400 or not document.get("success"):
                raise DoorError(f"{method} {path}: HTTP {response.status}: {document.get('message')}")
            return document["data"]
