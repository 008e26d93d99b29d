"""The two dialects as data: what a handler may ask instead of asking which dialect it speaks.

`tmobile-0.10` is CAMARA QoD 0.10.1 as one operator offers it: create, get and delete, and a
proof-of-possession token on every call. `camara-1.1` is CAMARA quality-on-demand 1.1.0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    max_duration_s: int = 86_400  # one day: the longest that either specification knows
    active: bool = True  # False: exists, but no new session may use it


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a token must allow for each call (camara 1.1.0, `security` of each operation)."""

    create: str = "quality-on-demand:sessions:create"
    get: str = "quality-on-demand:sessions:read"
    extend: str = "quality-on-demand:sessions:update"
    delete: str = "quality-on-demand:sessions:delete"
    retrieve: str = "quality-on-demand:sessions:retrieve-by-device"

    def of(self, operation: str) -> str:
        scope: str = getattr(self, operation)
        return scope

    def all(self) -> tuple[str, ...]:
        return (self.create, self.get, self.extend, self.delete, self.retrieve)


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    base_path: str
    token_path: str
    profiles: Mapping[str, Profile]
    phone_pattern: re.Pattern[str]
    phone_required: bool  # else any one identifier will do
    default_duration_s: int | None  # None: the request must name one
    duration_code: str  # the error code of a duration that the profile does not allow
    proof_of_possession: bool
    scopes: Scopes | None  # None: a token allows every call
    can_extend: bool
    can_retrieve: bool
    can_notify: bool
    epoch_times: bool  # whole seconds since the epoch, always present; else RFC 3339 when known


def _profiles(*profiles: Profile) -> Mapping[str, Profile]:
    return {profile.name: profile for profile in profiles}


TMOBILE_0_10 = Dialect(
    name="tmobile-0.10",
    base_path="/qod/v0",
    token_path="/oauth2/v2/tokens",  # noqa: S106 - a path
    profiles=_profiles(
        Profile("QOS_VC"),
        Profile("QOS_XR"),
        Profile("QOS_RVM"),
        Profile("QOS_POSALE"),
        Profile("QOS_BROADCAST"),
    ),
    phone_pattern=re.compile(r"\+?[0-9]{5,15}"),
    phone_required=True,
    default_duration_s=86_400,
    duration_code="OUT_OF_RANGE",
    proof_of_possession=True,
    scopes=None,
    can_extend=False,
    can_retrieve=False,
    can_notify=False,  # "callbacks are not implemented yet": poll
    epoch_times=True,
)

CAMARA_1_1 = Dialect(
    name="camara-1.1",
    base_path="/quality-on-demand/v1",
    token_path="/oauth2/token",  # noqa: S106 - a path
    profiles=_profiles(
        Profile("QOS_E"),
        Profile("QOS_S"),
        Profile("QOS_M"),
        Profile("QOS_L", max_duration_s=50_000),  # the limit of the specification's extend example
        Profile("QOS_OLD", active=False),
    ),
    phone_pattern=re.compile(r"\+[1-9][0-9]{4,14}"),
    phone_required=False,
    default_duration_s=None,
    duration_code="QUALITY_ON_DEMAND.DURATION_OUT_OF_RANGE",
    proof_of_possession=False,
    scopes=Scopes(),
    can_extend=True,
    can_retrieve=True,
    can_notify=True,
    epoch_times=False,
)

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (TMOBILE_0_10, CAMARA_1_1)}

# Devices to order, as test card numbers are: the operator has no subscriber register, so two numbers stand
# for "no such device" and "a device that the service is not offered to". Digits only, without a `+`.
UNKNOWN_DEVICE = "1555010404"
UNSERVED_DEVICE = "1555010422"


def get_dialect(name: str) -> Dialect:
    """Raises ValueError."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise ValueError(f"unknown QoD dialect {name!r}: choose one of {', '.join(DIALECTS)}") from None
