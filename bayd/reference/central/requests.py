"""What callers may send: bodies, path parts and queries, checked strictly and refused by field.

The spellings are the documents' own (`transcationId`, `newDuration` as a string of digits). Keys that
are not named here are ignored, as the documented server does. No refusal repeats a value: a body
holds PINs, phone numbers and passwords.
"""

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, from_json

from bayd.reference.central.ledger import RefusalError

ID_MAX = 2**31 - 1
AMOUNT_MAX = 1_000_000_000  # far above any price, far below what a sum of 64 bits holds
PER_PAGE_MAX = 500
AUTHORIZATION = "Authorization"
SEQ_MAX = 2**53 - 1  # the largest integer that every JSON reader keeps exactly

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
BayNumber = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,16}$")]
BAY_NUMBER_SCHEMA = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,16}$"}
Pin = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,20}$")]


def _integral(value: object) -> object:
    """In JSON 60.0 is the integer 60, and JavaScript cannot tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_integral)
Minutes = Annotated[int, Field(ge=1, le=1440), _WHOLE]
MINUTES_PATTERN = r"^([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)$"  # the same 1 to 1440 as a string
Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX), _WHOLE]
Id = Annotated[int, Field(ge=1, le=ID_MAX), _WHOLE]


def _digits(value: object) -> object:
    """A whole number in a URL is decimal digits, and nothing else that Python would read as one."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise PydanticCustomError("whole_number", "must be a whole number in decimal digits")
        return int(value)
    return value


_DIGITS = BeforeValidator(_digits)
UrlId = Annotated[int, Field(ge=1, le=ID_MAX), _DIGITS]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class _Params(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


# --- Session component ---


class Person(_Body):
    name: Text
    phone_number: PhoneNumber = Field(alias="phoneNumber")


class PaymentType(_Body):
    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{2,20}$")]


class Discount(_Body):
    password: Text
    type: Literal["fixed", "FIXED"]  # requests write `fixed`, answers `FIXED`
    value: Amount
    reason: Text


class _BookingFields(_Body):
    amount: Amount
    payment_type: PaymentType | None = Field(
        default=None, alias="paymentType", description="Without it the amount is due."
    )
    billing_user: Person = Field(alias="billingUser")
    bay_number: BayNumber = Field(alias="bayNumber")
    duration: Minutes
    session_users: list[Person] = Field(
        default=[],
        alias="sessionUsers",
        max_length=16,
        description="Extension of the reference server: the players, first to play first.",
    )


class _DueFields(_Body):
    amount: Annotated[int, Field(ge=1, le=AMOUNT_MAX), _WHOLE]
    bay_number: BayNumber = Field(alias="bayNumber")
    status: Literal["DUE"]


class PlainBooking(_BookingFields):
    is_discounted: Literal[False] = Field(default=False, alias="isDiscounted")
    discount: JsonValue = Field(default=None, description="Ignored: `isDiscounted` is false.")


class DiscountedBooking(_BookingFields):
    is_discounted: Literal[True] = Field(alias="isDiscounted")
    discount: Discount


class PlainDue(_DueFields):
    is_discounted: Literal[False] = Field(default=False, alias="isDiscounted")
    discount: JsonValue = Field(default=None, description="Ignored: `isDiscounted` is false.")


class DiscountedDue(_DueFields):
    is_discounted: Literal[True] = Field(alias="isDiscounted")
    discount: Discount


_BRANCHES = ("plain", "discounted")


def _branch(value: Any) -> str:
    flag = value.get("isDiscounted") if isinstance(value, dict) else None
    return "discounted" if flag is True else "plain"


Booking = Annotated[
    Annotated[PlainBooking, Tag("plain")] | Annotated[DiscountedBooking, Tag("discounted")],
    Discriminator(_branch),
]
Due = Annotated[
    Annotated[PlainDue, Tag("plain")] | Annotated[DiscountedDue, Tag("discounted")], Discriminator(_branch)
]


class Verification(_Body):
    bay_number: BayNumber = Field(alias="bayNumber")
    pin: Pin = Field(repr=False)


class GameChoice(_Body):
    id: Id
    game_id: Id = Field(alias="gameId")


class ExtraTime(_Body):
    duration: Minutes
    amount: Amount


class SessionId(_Params):
    id: UrlId


class Page(_Params):
    page: Annotated[int, Field(ge=1, le=ID_MAX), _DIGITS] = 1
    per_page: Annotated[int, Field(ge=1, le=PER_PAGE_MAX), _DIGITS] = 10


# --- Bay component ---

StatusName = Literal["Available Bay", "Bay on Hold", "Ongoing Game", "Not Available"]
BayFilterStatus = Literal[StatusName, "Available", "Hold", "Booked", "N/A", "Ask Extension"]


def _empty_is_absent(value: object) -> object:
    return None if value == "" else value


_MaybeEmpty = BeforeValidator(_empty_is_absent)
_EMPTY = {"const": ""}
_Flag = Annotated[
    Literal["true", "false"] | None, _MaybeEmpty, WithJsonSchema({"enum": ["true", "false", ""]})
]


class BayFilter(_Params):
    """Each of the five may stand in the URL without a value: the documents write them so."""

    floor_no: Annotated[
        UrlId | None,
        _MaybeEmpty,
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": ID_MAX}, _EMPTY]}),
    ] = Field(default=None, alias="floorNo")
    status: Annotated[
        BayFilterStatus | None, _MaybeEmpty, WithJsonSchema({"enum": [*get_args(BayFilterStatus), ""]})
    ] = None
    fill_balls: _Flag = Field(default=None, alias="fillBalls")
    bay_number: Annotated[
        BayNumber | None, _MaybeEmpty, WithJsonSchema({"type": "string", "pattern": "^[0-9A-Za-z_-]{0,16}$"})
    ] = Field(default=None, alias="bayNumber")
    bill_generate: _Flag = Field(default=None, alias="billGenerate")


class BayStatus(_Body):
    number: BayNumber
    status: StatusName
    ball_level: Annotated[int, Field(ge=0, le=100), _WHOLE] | None = Field(
        default=None, alias="ballLevel", description="Extension of the reference server."
    )
    booked_till: (
        Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")] | None
    ) = Field(default=None, alias="bookedTill", description="Extension of the reference server.")


class ScreenId(_Params):
    screen_id: Text = Field(alias="screenId")


class ScreenBinding(_Body):
    screen_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")] = Field(alias="screenId")
    number: BayNumber


class BayChange(_Body):
    current_bay: BayNumber = Field(alias="currentBay")
    new_bay: BayNumber = Field(alias="newBay")
    admin_password: Text = Field(alias="adminPassword", repr=False)
    new_duration: Annotated[str, StringConstraints(pattern=MINUTES_PATTERN)] | None = Field(
        default=None, alias="newDuration"
    )


class BayAntenna(_Body):
    bay_number: BayNumber = Field(alias="bayNumber")
    antenna_name: Annotated[
        str, StringConstraints(pattern=r"^[0-9A-Za-z-][0-9A-Za-z_-]{0,63}_[1-9][0-9]?$")
    ] = Field(alias="antennaName")
    power: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")]
    location: BayNumber


class FloorPlan(_Body):
    floor_number: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}$")] = Field(alias="floorNumber")
    bay_object: list[BayAntenna] = Field(alias="bayObject", min_length=1, max_length=128)


def _bay_text(value: object) -> object:
    number = _integral(value)
    return str(number) if type(number) is int and number >= 0 else value


class BayState(_Body):
    """Extension of the reference server: whatever a bay controller says about a bay, the latest only."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", hide_input_in_errors=True)

    bay: Annotated[
        BayNumber,
        BeforeValidator(_bay_text),
        WithJsonSchema({"anyOf": [BAY_NUMBER_SCHEMA, {"type": "integer", "minimum": 0, "maximum": ID_MAX}]}),
    ]
    state: JsonValue
    seq: Annotated[int, Field(ge=0, le=SEQ_MAX), _WHOLE] | None = None


# --- The other siblings ---


class ReaderFilter(_Params):
    reader_id: Text | None = Field(default=None, alias="readerId")


class AntennaFilter(_Params):
    type: Literal["bay", "pit"] | None = None


class ScoreFilter(_Params):
    game_id: UrlId | None = Field(default=None, alias="gameId")


class Named(_Body):
    name: Text


class ScoreEntry(_Body):
    game: Named
    pit_antenna: Named = Field(alias="pitAntenna")
    score: Annotated[int, Field(ge=0, le=1_000_000), _WHOLE]


Scores = Annotated[list[ScoreEntry], Field(min_length=1, max_length=200)]


class VariableFilter(_Params):
    name: Text | None = None


class BayNumberPart(_Params):
    number: BayNumber


class Payment(_Body):
    transcation_id: Id = Field(alias="transcationId")
    status: Literal["PAID"]
    payment_type: PaymentType = Field(alias="paymentType")
    admin_password: Text = Field(alias="adminPassword", repr=False)
    reason: Text


class Presented(_Params):
    """The bearer token of the request itself, taken from its header."""

    token: str | None = Field(default=None, alias="Authorization", repr=False)


class Login(_Body):
    phone_number: PhoneNumber = Field(alias="phoneNumber")
    pin: Text = Field(repr=False)


def parse_json(raw: bytes) -> Any:
    """Raises RefusalError: not JSON, or a number or text that cannot be written as JSON again."""
    try:
        value = from_json(raw, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
        return value
    except ValueError as error:
        raise RefusalError(400, "the body is not JSON: send one JSON document", "body") from error


def check(adapter: TypeAdapter[Any], value: Any, *, whole: str) -> Any:
    """Raises RefusalError that names the first wrong field, or `whole` when there is no field to name."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        parts = [str(part) for part in first["loc"] if part not in _BRANCHES]
        name = ".".join(parts) or whole
        raise RefusalError(400, f"{name}: {first['msg']}", name) from error
