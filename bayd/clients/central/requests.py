"""What we ask of the central server: exact paths, spellings and types, and never a null. Pure.

Sources: the Session component, numbers 1 to 8, and its siblings as named at each request. A ValueError
names the argument that is wrong and never repeats its value.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from .model import Discount, NewSession, ServerAntenna, ServerGame
from .secret import Secret

_LONGEST_MIN = 1440  # a whole day; the documented examples are 3, 5, 60 and 120
_ID_LIMIT = 2**53
_PIN = re.compile(r"[0-9]{6}")
_KEY = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready but for the address, the token and the time it may take."""

    operation: str  # names the call in errors and logs
    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    secrets: tuple[Secret, ...] = ()  # what is in the body and must not come back in a message
    signed: bool = False  # with the password of somebody who may do that: a no may be about it

    @property
    def changes(self) -> bool:
        """Asks for more than an answer."""
        return self.method != "GET"


def create_session(new: NewSession, *, idempotency_key: str | None = None) -> Request:
    """Session component, 1. Without a discount there is none in the body."""
    body: dict[str, object] = {
        "billingUser": {
            "name": _text(new.customer_name, "customer_name"),
            "phoneNumber": _text(new.phone_number.reveal(), "phone_number"),
        },
        "bayNumber": _text(new.bay_number, "bay_number"),
        "duration": _whole(new.duration_min, "duration_min", 1, _LONGEST_MIN),
        "amount": _whole(new.amount, "amount", 0),
        "paymentType": {"type": _text(new.payment_type, "payment_type")},
        **_discount(new.discount),
    }
    secrets = (Secret(new.customer_name), new.phone_number, *_passwords(new.discount))
    signed = new.discount is not None
    return _post("create_session", "/session", body, key=idempotency_key, secrets=secrets, signed=signed)


def verify(bay_number: str, pin: Secret) -> Request:
    """Session component, 2."""
    if not _PIN.fullmatch(pin.reveal()):
        raise ValueError("pin: six digits are wanted")
    body = {"bayNumber": _text(bay_number, "bay_number"), "pin": pin.reveal()}
    return _post("verify", "/session/verify", body, secrets=(pin,))


def list_sessions(page: int, per_page: int) -> Request:
    """Session component, 3."""
    return _get("list_sessions", "/session", _paging(page, per_page))


def get_session(session_id: int) -> Request:
    """Session component, 4."""
    return _get("get_session", f"/session/{_id(session_id, 'session_id')}")


def set_game(session_id: int, game_id: int, *, idempotency_key: str | None = None) -> Request:
    """Session component, 5."""
    body = {"id": _id(session_id, "session_id"), "gameId": _id(game_id, "game_id")}
    return _patch("set_game", "/session", body, key=idempotency_key)


def add_session_time(
    session_id: int, duration_min: int, amount: int, *, idempotency_key: str | None = None
) -> Request:
    """Session component, 6."""
    body = {
        "duration": _whole(duration_min, "duration_min", 1, _LONGEST_MIN),
        "amount": _whole(amount, "amount", 0),
    }
    path = f"/session/addSessionTime/{_id(session_id, 'session_id')}"
    return _post("add_session_time", path, body, key=idempotency_key)


def end_session(session_id: int, *, idempotency_key: str | None = None) -> Request:
    """Session component, 7: cancels a session that has not started, ends one that has."""
    return _post("end_session", f"/session/{_id(session_id, 'session_id')}/end", key=idempotency_key)


def history(page: int, per_page: int) -> Request:
    """Session component, 8."""
    return _get("history", "/session/history", _paging(page, per_page))


def bays(
    *,
    floor: str | None = None,
    status: str | None = None,
    fill_balls: bool | None = None,
    bay_number: str | None = None,
    bill_generate: bool | None = None,
) -> Request:
    """Bay component, 2."""
    filters = {
        "floorNo": floor,
        "status": status,
        "fillBalls": fill_balls,
        "bayNumber": bay_number,
        "billGenerate": bill_generate,
    }
    return _get("bays", "/bay", filters)


def set_bay_status(bay_number: str, status: str) -> Request:
    """Bay component, 9: the status by its name."""
    body = {"number": _text(bay_number, "bay_number"), "status": _text(status, "status")}
    return _patch("set_bay_status", "/bay", body)


def bay_of_screen(screen_id: str) -> Request:
    """Bay component, 5."""
    return _get("bay_of_screen", f"/bay/screen/{quote(_text(screen_id, 'screen_id'), safe='')}")


def bind_screen(screen_id: str, bay_number: str) -> Request:
    """Bay component, 10."""
    body = {"screenId": _text(screen_id, "screen_id"), "number": _text(bay_number, "bay_number")}
    return _patch("bind_screen", "/bay/screenId", body)


def session_bay_change(
    current_bay: str,
    new_bay: str,
    admin_password: Secret,
    new_duration_min: int,
    *,
    idempotency_key: str | None = None,
) -> Request:
    """Bay component, 8: minutes are a string here, and only here."""
    body = {
        "currentBay": _text(current_bay, "current_bay"),
        "newBay": _text(new_bay, "new_bay"),
        "adminPassword": _text(admin_password.reveal(), "admin_password"),
        "newDuration": str(_whole(new_duration_min, "new_duration_min", 1, _LONGEST_MIN)),
    }
    return _post(
        "session_bay_change",
        "/bay/sessionBayChange",
        body,
        key=idempotency_key,
        secrets=(admin_password,),
        signed=True,
    )


def games() -> Request:
    """Game component, 2."""
    return _get("games", "/game")


def time_intervals() -> Request:
    """Time Interval component, 1."""
    return _get("time_intervals", "/timeIntervals")


def antenna_pairs(reader_id: str | None = None) -> Request:
    """Reader component, 6 and 8."""
    return _get("antenna_pairs", "/reader/antennaPairs", {"readerId": reader_id})


def system_variable(name: str) -> Request:
    """System Variable component, 1."""
    return _get("system_variable", "/systemVariable", {"name": _text(name, "name")})


def scores(game_id: int | None = None) -> Request:
    """Score component, 2."""
    return _get("scores", "/score", {"gameId": game_id})


def post_score(game: ServerGame, antenna: ServerAntenna, score: int) -> Request:
    """Score component, 1: creates or updates one rule; the body is a list of them."""
    rule = {
        "game": _given(id=game.id, name=_text(game.name, "game.name"), ballsLimit=game.balls_limit),
        "pitAntenna": _given(
            name=_text(antenna.name, "antenna.name"),
            port=antenna.port,
            active=antenna.active,
            power=antenna.power,
            location=antenna.location,
        ),
        "score": _whole(score, "score", 0),
    }
    return _post("post_score", "/score", [rule])


def transactions(session_id: int) -> Request:
    """Transaction component, 4."""
    return _get("transactions", f"/transaction/session/{_id(session_id, 'session_id')}")


def pending_dues(bay_number: str) -> Request:
    """Transaction component, 5."""
    path = f"/transaction/pendingDue/bayNumber/{quote(_text(bay_number, 'bay_number'), safe='')}"
    return _get("pending_dues", path)


def post_due(
    bay_number: str, amount: int, discount: Discount | None = None, *, idempotency_key: str | None = None
) -> Request:
    """Transaction component, 1: an amount that the bay owes."""
    body: dict[str, object] = {
        "amount": _whole(amount, "amount", 0),
        "bayNumber": _text(bay_number, "bay_number"),
        "status": "DUE",
        **_discount(discount),
    }
    secrets = _passwords(discount)
    return _post(
        "post_due", "/transaction", body, key=idempotency_key, secrets=secrets, signed=discount is not None
    )


def mark_paid(
    transaction_id: int, admin_password: Secret, reason: str, payment_type: str = "CASH"
) -> Request:
    """Transaction component, 3: the key is spelt transcationId."""
    body = {
        "transcationId": _id(transaction_id, "transaction_id"),
        "status": "PAID",
        "paymentType": {"type": _text(payment_type, "payment_type")},
        "adminPassword": _text(admin_password.reveal(), "admin_password"),
        "reason": _text(reason, "reason"),
    }
    return _patch("mark_paid", "/transaction", body, secrets=(admin_password,), signed=True)


def post_bay_state(bay_number: str, state: Mapping[str, object], seq: int) -> Request:
    """Extension of the reference server: what stands beyond the documented calls, the latest `seq` only."""
    body = {"bay": _text(bay_number, "bay_number"), "state": dict(state), "seq": _whole(seq, "seq", 0)}
    return _post("post_bay_state", "/bay/state", body)


def login(phone_number: Secret, pin: Secret) -> Request:
    """Auth component, 2."""
    body = {"phoneNumber": phone_number.reveal(), "pin": pin.reveal()}
    return _post("login", "/auth/login", body, secrets=(phone_number, pin))


def refresh_token() -> Request:
    """Auth component, 1: the refresh token stands in the Authorization header."""
    return _get("refresh_token", "/auth/refresh-token")


def _get(operation: str, path: str, query: Mapping[str, str | int | bool | None] | None = None) -> Request:
    given = {key: _query_value(value) for key, value in (query or {}).items() if value is not None}
    return Request(operation, "GET", f"{path}?{urlencode(given, quote_via=quote)}" if given else path)


def _post(
    operation: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    secrets: tuple[Secret, ...] = (),
    signed: bool = False,
) -> Request:
    return Request(operation, "POST", path, _encode(body), _key(key), secrets, signed)


def _patch(
    operation: str,
    path: str,
    body: object,
    *,
    key: str | None = None,
    secrets: tuple[Secret, ...] = (),
    signed: bool = False,
) -> Request:
    return Request(operation, "PATCH", path, _encode(body), _key(key), secrets, signed)


def _key(key: str | None) -> str | None:
    if key is not None and not _KEY.fullmatch(key):
        raise ValueError("idempotency_key: 1 to 200 visible ASCII characters are wanted")
    return key


def _encode(body: object) -> bytes | None:
    return None if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _given(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value is not None}


def _query_value(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _paging(page: int, per_page: int) -> dict[str, str | int | bool | None]:
    return {"page": _whole(page, "page", 1), "per_page": _whole(per_page, "per_page", 1)}


def _discount(discount: Discount | None) -> dict[str, object]:
    if discount is None:
        return {"isDiscounted": False}
    return {
        "isDiscounted": True,
        "discount": {
            "password": _text(discount.password.reveal(), "discount.password"),
            "type": _text(discount.type, "discount.type"),
            "value": _whole(discount.value, "discount.value", 0),
            "reason": _text(discount.reason, "discount.reason"),
        },
    }


def _passwords(discount: Discount | None) -> tuple[Secret, ...]:
    return () if discount is None else (discount.password,)


def _whole(value: int, name: str, least: int, most: int = _ID_LIMIT) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: a whole number from {least} to {most} is wanted")
    return value


def _id(value: int, name: str) -> int:
    return _whole(value, name, 1)


def _text(value: str, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name}: a text on one line is wanted")
    return value
