"""The site's central server, and what may be sold while it is away."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from bayd.settings.tables import Seconds, Table, WebAddress


def _on_one_line(name: object) -> object:
    """As a name is read from the server's answers."""
    return " ".join(name.split()) if isinstance(name, str) else name


class WalkIn(Table):
    """The customer under whom walk-ins are booked that staff sell at the bay. Nobody else may book under this
    number or name: by them bayd tells its own bookings from others."""

    name: Annotated[str, BeforeValidator(_on_one_line)] = Field(
        "Walk-in (bay)", min_length=1, max_length=100, description="Shown at the desk."
    )
    phone_number: str = Field(
        pattern=r"^\+?[0-9]{3,20}$",
        repr=False,
        description="A number of the site's own: the central server wants one with each booking.",
    )


class Central(Table):
    """The site's central server: bookings, PINs, money."""

    url: WebAddress = Field("http://127.0.0.1:4000", description="Its address, without a path.")
    poll_s: Seconds = Field(
        5,
        description="Seconds between two looks at the bookings, a fifth more or less by chance: so long may "
        "a new booking stay unseen at the bay.",
    )
    timeout_s: Seconds = Field(10, description="Seconds for one request, except verify.")
    verify_timeout_s: Seconds = Field(
        2, description="A PIN that is not answered by then is checked offline: a customer stands there."
    )
    settle_s: Seconds = Field(
        30,
        description="Seconds to wait after an unclear answer to a money call before reading back what it "
        "did. Longer than `timeout_s` and than the server may go on working on a request that was given "
        "up: else a late commit looks like none, and is sent twice.",
    )
    idempotency_keys: bool = Field(
        False,
        description="The server honours `Idempotency-Key`: then a repeat is safe and nothing is read back. "
        "An extension of the reference server; wrongly set, money is taken twice.",
    )
    bay_state: bool = Field(
        False,
        description="The server takes `POST /bay/state`, an extension of the reference server: the bay's "
        "whole state, the newest alone.",
    )
    antenna_pairs: bool = Field(
        False,
        description="Which antenna belongs to which bay or target, and its power, is asked of the server "
        "(`GET /reader/antennaPairs`, once a minute). What it says goes before `readers.ID.ports` and the "
        "powers there, which hold until the very first answer. Antennas that are wrongly kept at the server "
        "credit balls to the wrong bay.",
    )
    auth: Literal["none", "bearer", "login"] = Field(
        "none",
        description="`bearer` sends the credential `central_token`; `login` gets its tokens from "
        "`POST /auth/login`, with `login_phone_number` and the credential `central_login_pin`. The "
        "documented server wants none.",
    )
    login_phone_number: str | None = Field(
        None,
        pattern=r"^\+?[0-9]{3,20}$",
        repr=False,
        description='With `auth = "login"`: the number of a staff account of the daemon\'s own. One that '
        "people use as well gets locked with them.",
    )
    price_minutes: int | None = Field(
        None,
        ge=1,
        le=1440,
        description="The server's `genericPrice` of a bay is for so many minutes; its documents do not say. "
        "Default: its price is not used, `play.extension_price` is.",
    )
    walk_in: WalkIn | None = Field(
        None, description="Without this table nothing can be sold at the bay while the desk is away."
    )

    @model_validator(mode="after")
    def _settles_after_the_time_out(self) -> "Central":
        if self.settle_s <= self.timeout_s:
            raise ValueError("settle_s must be longer than timeout_s: a late commit would be taken for none")
        return self

    @model_validator(mode="after")
    def _knows_who_logs_in(self) -> "Central":
        if self.auth == "login" and self.login_phone_number is None:
            raise ValueError('auth = "login" wants login_phone_number')
        return self
