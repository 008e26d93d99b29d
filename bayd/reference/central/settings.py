"""What the documents of the central server leave open, as settings of the reference server.

Each default is the plainest reading of the documents; a test of a client turns one to see that the
client lives with the other reading as well.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class StaffLogin:
    """Somebody at the desk who may ask for tokens (Auth component, POST login)."""

    name: str
    phone_number: str = field(repr=False)
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CentralSettings:
    extension_raises_duration: bool = False
    """True: addSessionTime raises `duration` as well as `extendedTime`. Not documented; a client has to
    take the larger reading of the two, never their sum."""

    ends_by_itself: bool = True
    """The server's own computed end: `active` turns false when the granted minutes since verify have
    passed. It sets no `releaseTime`: only a call of end does."""

    end_grace_min: float = 1.0
    """Booked minutes between the granted time and the computed end. Below zero the server would end a
    session before the bay does."""

    newest_first: bool = True
    """Order of `GET /session` and `GET /session/history`. Not documented: a client has to learn it."""

    auth: Literal["none", "bearer"] = "none"
    """"bearer": every call but login and the API description wants `Authorization: Bearer …`."""

    bearer_tokens: frozenset[str] = field(default=frozenset(), repr=False)
    """Tokens that are accepted beside those issued by `POST /auth/login`."""

    staff: tuple[StaffLogin, ...] = (StaffLogin("admin", "1555010001", "demo"),)
    """Who may log in. This default and the two below are for a demonstration on loopback."""

    admin_password: str = field(default="demo-admin", repr=False)
    """`adminPassword` of sessionBayChange and of PATCH /transaction."""

    discount_password: str = field(default="demo-discount", repr=False)
    """`discount.password` of a booking and of POST /transaction."""

    password_refusal: Literal[401, 403, 422] = 422
    """The status of the answer to a wrong `adminPassword` or `discount.password`. Not documented: a client
    may take 401 and 403 for a no to its own credentials."""

    keeps_first_name: bool = False
    """True: a customer whose phone number is known keeps the name of the first booking, whatever later ones
    say. Not documented."""

    def __post_init__(self) -> None:
        if self.end_grace_min < 0:
            raise ValueError(f"end_grace_min is {self.end_grace_min:g}: give 0 or more booked minutes")
