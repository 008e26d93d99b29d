"""What the two dialects can do, as configured facts: nothing is probed.

`tmobile-0.10` is CAMARA QoD 0.10.1 as T-Mobile offers it: create, get and delete, and callbacks are
accepted but never made. `camara-1.1` is release r3.2 of the standard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from bayd.clients.qod import wire
from bayd.clients.qod.errors import InvalidInputError
from bayd.clients.qod.models import CreateSession


class Operation(Enum):
    """A call: how it may be repeated, and the scope that CAMARA 1.1 asks of its token."""

    CREATE = ("POST", "quality-on-demand:sessions:create")
    GET = ("GET", "quality-on-demand:sessions:read")
    DELETE = ("DELETE", "quality-on-demand:sessions:delete")
    EXTEND = ("POST", "quality-on-demand:sessions:update")
    RETRIEVE = ("POST", "quality-on-demand:sessions:retrieve-by-device")

    def __init__(self, method: str, scope: str) -> None:
        self.method = method
        self.scope = scope

    @property
    def repeated_here(self) -> bool:
        """GET and DELETE: a second one changes nothing. A POST is the caller's to repeat."""
        return self.method != "POST"

    @property
    def doubtful_when_lost(self) -> bool:
        """Without its answer nobody knows whether it happened."""
        return self in (Operation.CREATE, Operation.EXTEND)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One operator's way; for limits of its own, `dataclasses.replace` one of the two below."""

    name: str
    token_path: str  # on the operator's host, unless a token_url is given
    proof_of_possession: bool  # every request is signed; else a bearer token is enough
    can_extend: bool
    can_retrieve: bool  # find sessions by device: how a lost create is found again
    can_notify: bool  # the operator calls the webhook
    min_duration_s: int
    max_duration_s: int
    encode_create: Callable[
        [CreateSession, float], wire.JsonObject
    ]  # request, now in seconds since the epoch

    def create_body(self, request: CreateSession, now_s: float) -> wire.JsonObject:
        """Raises InvalidInputError."""
        duration = request.duration
        if duration is not None and not self.min_duration_s <= duration <= self.max_duration_s:
            raise InvalidInputError(
                "duration", f"must be {self.min_duration_s} to {self.max_duration_s} s in {self.name}"
            )
        return self.encode_create(request, now_s)


TMOBILE_0_10 = Dialect(
    name="tmobile-0.10",
    token_path="/oauth2/v2/tokens",  # noqa: S106 - a path
    proof_of_possession=True,
    can_extend=False,
    can_retrieve=False,
    can_notify=False,
    min_duration_s=60,
    max_duration_s=86_400,
    encode_create=lambda request, _now_s: wire.create_body_0_10(request),
)

CAMARA_1_1 = Dialect(
    name="camara-1.1",
    token_path="/oauth2/token",  # noqa: S106 - a path
    proof_of_possession=False,
    can_extend=True,
    can_retrieve=True,
    can_notify=True,
    min_duration_s=1,
    max_duration_s=86_400,  # 1.1 leaves it to the profile; no operator is known to grant more than a day
    encode_create=wire.create_body_1_1,
)

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (TMOBILE_0_10, CAMARA_1_1)}


def get_dialect(name: str) -> Dialect:
    """Raises InvalidInputError."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise InvalidInputError("dialect", f"one of {', '.join(sorted(DIALECTS))}") from None
