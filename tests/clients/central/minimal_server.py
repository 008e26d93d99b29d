"""The eight calls of the Session component and nothing else, in memory: the smallest server that is one.

Written from the documents alone. What they leave open can be turned: the order of the lists, and how many
items a page holds at most. It knows no Idempotency-Key and no sibling route; a route that it does not
have answers as aiohttp does, in plain text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

Json = dict[str, Any]

_START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
GAMES = {1: ("GAME 1", 0), 2: ("GAME 2", 30), 3: ("GAME 3", 20)}
BAYS = ("101", "102", "103", "104")


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Booking:
    id: int
    pin: str
    bay: str
    duration: int
    created: datetime
    payer: Json
    paid: int
    game: int | None = None
    cancel: bool = False
    active: bool = False
    released: datetime | None = None
    added: list[Json] = field(default_factory=list)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


@dataclass
class MinimalServer:
    newest_first: bool = True
    page_cap: int = 1000
    began_s: int = 0  # set up so long after the first time
    bookings: list[Booking] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # "METHOD path?query", as they came

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/session", self._answer(self._create)),
                web.post("/session/verify", self._answer(self._verify)),
                web.get("/session", self._answer(self._list)),
                web.get("/session/history", self._answer(self._history)),
                web.get("/session/{id:[0-9]+}", self._answer(self._one)),
                web.patch("/session", self._answer(self._set_game)),
                web.post("/session/addSessionTime/{id:[0-9]+}", self._answer(self._add_time)),
                web.post("/session/{id:[0-9]+}/end", self._answer(self._end)),
            ]
        )
        return app

    def _answer(self, call: Callable[[web.Request, Json], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            self.requests.append(f"{request.method} {request.path_qs}")
            body = await request.json() if request.can_read_body else {}
            try:
                return web.json_response({"success": True, "data": call(request, body)})
            except RefusedError as refused:
                document = {"success": False, "message": str(refused)}
                return web.json_response(document, status=refused.status)

        return handle

    # 1
    def _create(self, request: web.Request, body: Json) -> Json:
        if body["bayNumber"] not in BAYS:
            raise RefusedError(404, "no such bay")
        number = len(self.bookings) + 1
        booking = Booking(
            id=number,
            pin=f"{(number * 7919 + 4321) % 1_000_000:06d}",
            bay=body["bayNumber"],
            duration=body["duration"],
            created=_START + timedelta(seconds=self.began_s + number),
            payer=body["billingUser"],
            paid=body["amount"],
        )
        self.bookings.append(booking)
        return self._whole(booking)

    # 2
    def _verify(self, request: web.Request, body: Json) -> Json:
        for booking in self.bookings:
            settled = booking.cancel or booking.released is not None
            if (booking.bay, booking.pin) == (body["bayNumber"], body["pin"]) and not settled:
                booking.active = True
                return self._whole(booking)
        raise RefusedError(400, "Invalid pin")

    # 3
    def _list(self, request: web.Request, body: Json) -> list[Json]:
        return [self._item(booking) for booking in self._page(request)]

    # 4
    def _one(self, request: web.Request, body: Json) -> Json:
        return self._whole(self._find(int(request.match_info["id"])))

    # 5
    def _set_game(self, request: web.Request, body: Json) -> Json:
        booking = self._find(body["id"])
        if body["gameId"] not in GAMES:
            raise RefusedError(404, "no such game")
        booking.game = body["gameId"]
        return {"affected": 1}

    # 6
    def _add_time(self, request: web.Request, body: Json) -> Json:
        booking = self._find(int(request.match_info["id"]))
        if booking.cancel or booking.released is not None:
            raise RefusedError(409, "the session is over")
        extra = {"id": 100 + len(booking.added), "duration": body["duration"], "amount": body["amount"]}
        booking.added.append(extra)
        return {"affected": 1}

    # 7
    def _end(self, request: web.Request, body: Json) -> Json:
        booking = self._find(int(request.match_info["id"]))
        if booking.active:
            booking.active, booking.released = False, _START + timedelta(hours=1)
        elif booking.released is None:
            booking.cancel = True
        return {"affected": 1}

    # 8
    def _history(self, request: web.Request, body: Json) -> list[Json]:
        return [
            {
                **{key: value for key, value in self._item(booking).items() if key != "game"},
                "sessionTransaction": [],
                "extenedSession": booking.added,
                "billingUser": self._user(booking),
                "extendedRequestTime": None,
                "releaseTime": None if booking.released is None else _time(booking.released),
                "extendedTime": sum(extra["duration"] for extra in booking.added),
                "paymentPending": sum(extra["amount"] for extra in booking.added),
                "paymentReceived": booking.paid,
            }
            for booking in self._page(request)
        ]

    def _page(self, request: web.Request) -> list[Booking]:
        size = min(int(request.query["per_page"]), self.page_cap)
        first = (int(request.query["page"]) - 1) * size
        ordered = self.bookings[::-1] if self.newest_first else self.bookings
        return ordered[first : first + size]

    def _find(self, number: int) -> Booking:
        if not 1 <= number <= len(self.bookings):
            raise RefusedError(404, "no such session")
        return self.bookings[number - 1]

    def _item(self, booking: Booking) -> Json:
        game = None
        if booking.game is not None:
            name, limit = GAMES[booking.game]
            game = {
                "id": booking.game,
                "name": name,
                "image": None,
                "description": None,
                "rules": None,
                "rulesImage": None,
                "ballsLimit": limit,
                "createdAt": _time(_START),
            }
        return {
            "id": booking.id,
            "pin": booking.pin,
            "duration": booking.duration,
            "cancel": booking.cancel,
            "active": booking.active,
            "isInQueue": False,
            "timerId": None,
            "createdAt": _time(booking.created),
            "game": game,
            "bay": {
                "id": BAYS.index(booking.bay) + 1,
                "number": booking.bay,
                "screenId": None,
                "timerId": None,
                "ballLevel": 2,
                "bookedTill": None,
                "createdAt": _time(_START),
            },
            "sessionUsers": [],
        }

    def _whole(self, booking: Booking) -> Json:
        item = self._item(booking)
        bay = {**item["bay"], "antennas": []}
        return {**item, "bay": bay, "billingUser": self._user(booking), "lastActiveSessionUser": None}

    def _user(self, booking: Booking) -> Json:
        return {
            "id": booking.id,
            "name": booking.payer["name"],
            "phoneNumber": booking.payer["phoneNumber"],
            "email": None,
            "isLocked": False,
            "pin": "",
            "createdAt": _time(booking.created),
        }
