"""From the wire's objects to the values of `model`. Pure.

Sources: the Session component (its numbers 3, 4 and 8 are the three shapes of a session) and its
siblings Bay, Reader, Game, Score, Time Interval, System Variable and Transaction. Each decoder takes what
all shapes have as needed, the rest as optional.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from .model import (
    AntennaPair,
    GenericPrice,
    Listing,
    ServerAntenna,
    ServerBay,
    ServerExtension,
    ServerGame,
    ServerPlayer,
    ServerScore,
    ServerSession,
    ServerTransaction,
    SkippedItem,
    SystemVariable,
    TimeInterval,
)
from .reading import FieldFault, ObjectReader, as_text, as_whole
from .secret import Secret

T = TypeVar("T")

_PIN_DIGITS = 6
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9]):([0-5][0-9])")


def decode_list(value: object, decode: Callable[[ObjectReader], T], notes: list[str]) -> Listing[T]:
    """One bad item costs itself, not the list. Raises FieldFault if there is no list."""
    if not isinstance(value, list):
        raise FieldFault("data")
    items: list[T] = []
    skipped: list[SkippedItem] = []
    for index, item in enumerate(value):
        try:
            items.append(decode(ObjectReader(item, f"data[{index}]", notes)))
        except FieldFault as fault:
            skipped.append(SkippedItem(index, fault.path))
    return Listing(tuple(items), tuple(skipped))


def decode_session(fields: ObjectReader) -> ServerSession:
    """Session component, 3, 4 and 8: needed are id, duration, cancel, active, createdAt and bay.number."""
    released_at_ms = fields.find_instant_ms("releaseTime")
    game = fields.find_decoded(decode_game, "game")
    last_player = fields.find_object("lastActiveSessionUser")
    customer = fields.find_object("billingUser")
    phone = None if customer is None else customer.find_text("phoneNumber")
    return ServerSession(
        id=fields.get_id("id"),
        bay=decode_bay(fields.get_object("bay")),
        duration_min=fields.get_count("duration"),
        cancel=fields.get_flag("cancel"),
        active=fields.get_flag("active"),
        created_at_ms=fields.get_instant_ms("createdAt"),
        pin=_find_pin(fields),
        released_known=_is_known(fields, "releaseTime", released_at_ms),
        released_at_ms=released_at_ms,
        game_known=_is_known(fields, "game", game),
        game=game,
        extended_min=fields.find_whole("extendedTime"),
        extensions=_find_extensions(fields),
        players=fields.find_all(_decode_player, "sessionUsers"),
        last_active_player_id=None if last_player is None else last_player.find_whole("id"),
        customer_name=None if customer is None else customer.find_text("name"),
        customer_phone=None if phone is None else Secret(phone),
    )


def decode_bay(fields: ObjectReader) -> ServerBay:
    """Bay component, 2: the shape inside a session, and floor, status and activeSession."""
    floor = fields.find_object("floor")
    active = fields.raw("activeSession")
    return ServerBay(
        number=fields.get_text("number"),
        id=fields.find_whole("id"),
        screen_id=fields.find_text("screenId"),
        ball_level=fields.find_whole("ballLevel"),
        booked=fields.raw("bookedTill") is not None if fields.has("bookedTill") else None,
        antennas=_find_antennas(fields),
        floor=None if floor is None else floor.find_text("number"),
        status=_find_status(fields),
        active_session_id=as_whole(active.get("id") if isinstance(active, dict) else active),
        price=_find_price(fields),
    )


def _find_price(fields: ObjectReader) -> GenericPrice | None:
    """Bay component, 2: `genericPrice {startTime "17:00:00", endTime, amount}`; one that is odd is none."""
    price = fields.find_object("genericPrice")
    if price is None:
        return None
    start_s, end_s = (_time_of_day_s(price.find_text(name)) for name in ("startTime", "endTime"))
    amount = price.find_whole("amount")
    if start_s is None or end_s is None or amount is None or amount < 0:
        return None
    return GenericPrice(start_s, end_s, amount)


def _time_of_day_s(text: str | None) -> int | None:
    found = _TIME_OF_DAY.fullmatch(text or "")
    if found is None:
        return None
    hour, minute, second = (int(part) for part in found.groups())
    return hour * 3600 + minute * 60 + second


def decode_antenna(fields: ObjectReader) -> ServerAntenna:
    """Reader component, 6: port is a number or a string, power a string without a unit."""
    return ServerAntenna(
        name=fields.get_text("name"),
        port=fields.get_whole("port"),
        id=fields.find_whole("id"),
        active=fields.find_flag("active"),
        power=fields.find_text("power"),
        location=fields.find_text("location"),
    )


def decode_antenna_pair(fields: ObjectReader) -> AntennaPair:
    """Reader component, 6: the reader's id is spelt readerID here and readerId elsewhere."""
    antennas = _find_antennas(fields) or ()
    written = fields.raw("antennas")
    return AntennaPair(
        reader_id=fields.get_text("readerID", "readerId"),
        antennas=antennas,
        id=fields.find_whole("id"),
        normal_id=fields.find_text("normalId"),
        active=fields.find_flag("active"),
        reader_type=fields.find_text("readerType"),
        antenna_count=fields.find_whole("noOfAntennas"),
        unreadable=max(0, len(written) - len(antennas)) if isinstance(written, list) else 0,
    )


def decode_game(fields: ObjectReader) -> ServerGame:
    """Game component, 2."""
    return ServerGame(
        id=fields.get_whole("id"),
        name=fields.get_text("name"),
        balls_limit=fields.find_whole("ballsLimit"),
        description=fields.find_lines("description"),
        rules=fields.find_lines("rules"),
        image=fields.find_text("image"),
        rules_image=fields.find_text("rulesImage"),
    )


def decode_time_interval(fields: ObjectReader) -> TimeInterval:
    """Time Interval component, 1."""
    return TimeInterval(fields.get_whole("id"), fields.get_whole("interval"), fields.get_flag("enable"))


def decode_system_variable(fields: ObjectReader) -> SystemVariable:
    """System Variable component, 1: the value is in `details.value`."""
    value = fields.get_object("details").raw("value")
    return SystemVariable(
        fields.get_text("name"), value if isinstance(value, (bool, int, float, str)) else None
    )


def decode_score(fields: ObjectReader) -> ServerScore:
    """Score component, 2."""
    return ServerScore(
        id=fields.get_whole("id"),
        score=fields.get_whole("score"),
        game_id=fields.get_object("game").get_whole("id"),
        antenna=decode_antenna(fields.get_object("pitAntenna")),
    )


def decode_transaction(fields: ObjectReader) -> ServerTransaction:
    """Transaction component, 2."""
    payment = fields.find_object("paymentType")
    return ServerTransaction(
        id=fields.get_whole("id"),
        amount=fields.get_whole("amount"),
        status=fields.get_text("status"),
        discounted=fields.find_whole("amountDiscounted"),
        payment_type=None if payment is None else payment.find_text("type"),
        created_at_ms=fields.find_instant_ms("createdAt"),
    )


def find_verified_session_id(value: object, bay_number: str) -> int | None:
    """The id in the answer of verify, which is not documented, unless it is visibly not a session's."""
    if not isinstance(value, dict) or "number" in value or "phoneNumber" in value:
        return None
    bay = value.get("bay")
    if isinstance(bay, dict) and as_text(bay.get("number")) not in (None, bay_number):
        return None
    return as_whole(value.get("id"))


def _decode_player(fields: ObjectReader) -> ServerPlayer:
    user = fields.find_object("user")
    return ServerPlayer(
        id=fields.get_whole("id"),
        user_id=None if user is None else user.find_whole("id"),
        display_name=None if user is None else user.find_text("name"),
    )


def _is_known(fields: ObjectReader, key: str, decoded: object) -> bool:
    """Null is an answer; a value that cannot be read is none, and proves nothing."""
    return decoded is not None or (fields.has(key) and fields.raw(key) is None)


def _find_pin(fields: ObjectReader) -> Secret | None:
    """Six digits; a number has lost its leading zeros on the way."""
    raw = fields.raw("pin")
    if raw is None or raw == "":
        return None
    pin = f"{raw:06d}" if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0 else raw
    if isinstance(pin, str) and len(pin) == _PIN_DIGITS and pin.isascii() and pin.isdigit():
        return Secret(pin)
    fields.note("pin")
    return None


def _find_extensions(fields: ObjectReader) -> tuple[ServerExtension, ...] | None:
    """Session component, 8: spelt extenedSession; its items are not documented, none may get lost."""
    items = fields.find_list("extenedSession", "extendedSession")
    if items is None:
        return None
    extensions: list[ServerExtension] = []
    for item in items:
        known = item if isinstance(item, dict) else {}
        extension = ServerExtension(
            as_whole(known.get("id")), as_whole(known.get("duration")), as_whole(known.get("amount"))
        )
        if extension.id is None:
            fields.note("extenedSession", "extendedSession")
        extensions.append(extension)
    return tuple(extensions)


def _find_antennas(fields: ObjectReader) -> tuple[ServerAntenna, ...] | None:
    """An array (Session component, 4), one object (Bay component, 2), or objects under keys."""
    value = fields.raw("antennas")
    if not isinstance(value, dict):
        return fields.find_all(decode_antenna, "antennas")
    lone = "name" in value or "port" in value
    return fields.decode_each(decode_antenna, [value] if lone else value.values(), "antennas")


def _find_status(fields: ObjectReader) -> str | None:
    """An object with a name (Bay component, 2), or the name itself, as requests write it."""
    value = fields.raw("status")
    if isinstance(value, dict):
        return fields.get_object("status").find_text("name")
    return fields.find_text("status")
