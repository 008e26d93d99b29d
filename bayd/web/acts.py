"""The calls that change a bay, as one table: name, body, roles, and the input that it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role
from bayd.core.model import Mode, Payment
from bayd.web.problems import Problem, ProblemError

# One line: what people write here is shown on screens, in terminals and in logs.
_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
OptionalReason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_LINE)]
Reason = Annotated[OptionalReason, StringConstraints(min_length=1)]
_INT64_MAX = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=_INT64_MAX)]
SessionId = Annotated[str, StringConstraints(min_length=1, max_length=100)]
OwnId = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Paid = Annotated[str, StringConstraints(pattern=r"^(cash|card|desk|on_account)$")]


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class NoBody(Body):
    """Nothing needs to be said."""


class ReasonBody(Body):
    reason: Reason


class OfSession(Body):
    """An act on the session in play."""

    session_id: SessionId | None = Field(
        None, description="The session that is meant: no other one is touched. Default: whichever plays."
    )


class StartBody(Body):
    session_id: SessionId | None = Field(
        None,
        description="The booking that is meant, as the bay's `next_session_id` shows it: no other one is "
        "started. Default: whichever is next.",
    )
    reason: Reason


class EndBody(OfSession):
    reason: OptionalReason = ""


class PinBody(Body):
    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class DispenseBody(OfSession):
    balls: int = Field(ge=1, le=10_000)


class TestDispenseBody(Body):
    balls: int = Field(ge=1, le=1_000)
    reason: Reason


class SettleBody(Body):
    payout_id: OwnId
    came_out: int = Field(ge=0, le=10_000, description="Of the unknown balls; the rest is owed.")
    reason: Reason


class RefillBody(Body):
    balls: int | None = Field(None, ge=0, le=1_000_000, description="In the machine now. Default: full.")
    reason: OptionalReason = ""


class ExtendBody(OfSession):
    minutes: int = Field(ge=1, le=1440)
    amount: int | None = Field(None, ge=0, le=_INT64_MAX, description="In the server's unit; staff only.")
    reason: OptionalReason = ""
    payment: Paid | None = Field(None, description="Staff only. Default: the desk settles it.")
    shown_amount: int | None = Field(
        None,
        ge=0,
        le=_INT64_MAX,
        description="The price that the screen showed: from the screen the call is refused when it is "
        "another by now. Default: it showed none. For staff it says nothing: their `amount` counts.",
    )
    shown_at_once: bool = Field(
        False,
        description="The screen said that a press is enough, as the offer's `at_once`. Without it, or "
        "without `shown_amount`, nothing goes on account at once: staff are asked. For staff it says "
        "nothing.",
    )


class OfRequest(OfSession):
    """An answer to a request for more time."""

    request_id: OwnId | None = Field(
        None, description="The request that is meant: no other one is answered. Default: whichever waits."
    )


class DeclineBody(OfRequest):
    reason: Reason


class ApproveBody(OfRequest):
    payment: Paid = Field(description="`cash`, `card`: taken at the bay; `on_account`: a due of this bay.")
    amount: int | None = Field(None, ge=0, le=_INT64_MAX, description="Default: the price of the request.")
    reason: OptionalReason = ""


class DueBody(Body):
    due_id: OwnId
    payment: Annotated[str, StringConstraints(pattern=r"^(cash|card|desk)$")] = Field(
        description="`cash`, `card`: taken at the bay; `desk`: paid there, and entered there."
    )
    reason: Reason


class WalkInBody(Body):
    minutes: int = Field(ge=1, le=1440)
    amount: int = Field(ge=0, le=_INT64_MAX, description="Taken at the bay, in the server's unit.")
    payment: Annotated[str, StringConstraints(pattern=r"^(cash|card)$")] = "cash"
    reason: Reason


class DeliveryBody(Body):
    seq: Id = Field(description="Of the item in the outbox.")
    reason: Reason


class GameBody(OfSession):
    game_id: Id


class PlayerBody(OfSession):
    session_user_id: Id


class MoveBody(OfSession):
    to: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="The number of another bay of this PC, where nobody plays and nobody is booked."
    )
    reason: Reason


class ModeBody(Body):
    mode: Annotated[str, StringConstraints(pattern=r"^(locked|free_play|closed|configured)$")] = Field(
        description="`configured`: as the hours of the site say, again."
    )
    until: Annotated[str, StringConstraints(pattern=r"^(revoked|day_end)$")] = Field(
        "revoked", description="`day_end`: midnight, at the site."
    )
    reason: Reason


class ConflictBody(Body):
    conflict: Annotated[str, StringConstraints(min_length=1, max_length=400)] = Field(
        description="As the warning says."
    )
    reason: Reason


class DeviceBody(Body):
    device: Annotated[str, StringConstraints(pattern=r"^(reader|dispenser|screen)$")]
    reason: OptionalReason = ""


class StopServiceBody(Body):
    reason: Reason
    force: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One call. `make` gets the body, who asks, and a fresh identifier for what has one.

    It raises ProblemError for what the role may not ask for although it may make the call. `settles`: what
    was left open, also at a bay that is configured no more.
    """

    body: type[Body]
    roles: frozenset[Role]
    make: Callable[..., i.Input | i.Move]
    summary: str
    settles: bool = False


_EVERYBODY = frozenset({Role.SCREEN, Role.STAFF})
_STAFF = frozenset({Role.STAFF})
_DEVICES = frozenset({Role.STAFF, Role.TECHNICIAN})


def _dispense(body: DispenseBody, actor: Actor, new_id: str) -> i.Input:
    return i.Dispense(new_id, body.balls, actor, body.session_id)


def _extend(body: ExtendBody, actor: Actor, new_id: str) -> i.Input:
    if body.amount is not None and actor.role is not Role.STAFF:
        raise _staff_only("amount")
    if body.payment is not None and actor.role is not Role.STAFF:
        raise _staff_only("payment")
    _explained(actor, body.reason)
    payment = Payment(body.payment or "desk")
    return i.Extend(
        new_id,
        body.minutes,
        body.amount,
        actor,
        body.reason,
        body.session_id,
        payment,
        body.shown_amount,
        body.shown_at_once,
    )


def _approve(body: ApproveBody, actor: Actor, _new_id: str) -> i.Input:
    return i.ApproveExtension(
        actor, body.reason, Payment(body.payment), body.amount, body.session_id, body.request_id
    )


def _settle_due(body: DueBody, actor: Actor, _new_id: str) -> i.Input:
    return i.SettleDue(body.due_id, Payment(body.payment), actor, body.reason)


def _walk_in(body: WalkInBody, actor: Actor, new_id: str) -> i.Input:
    # Ours until the server has given a number; those are digits alone.
    return i.WalkIn(f"w{new_id}", body.minutes, body.amount, actor, body.reason, Payment(body.payment))


def _stop_service(body: StopServiceBody, actor: Actor, _new_id: str) -> i.Input:
    if body.force and actor.role is not Role.STAFF:
        raise _staff_only("force")
    return i.StopService(actor, body.reason, body.force)


def _set_mode(body: ModeBody, actor: Actor, _new_id: str) -> i.Input:
    mode = None if body.mode == "configured" else Mode(body.mode)
    return i.SetMode(mode, body.until == "day_end", actor, body.reason)


def _pause(body: EndBody, actor: Actor, _new_id: str) -> i.Input:
    _explained(actor, body.reason)
    return i.Pause(actor, body.reason, body.session_id)


def _end(body: EndBody, actor: Actor, _new_id: str) -> i.Input:
    _explained(actor, body.reason)
    return i.End(actor, body.reason, body.session_id)


def _explained(actor: Actor, reason: str) -> None:
    """What staff do to a paid session is on record with its reason; a customer needs none."""
    if actor.role is Role.STAFF and not reason:
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "reason_missing", "Staff give a reason.", "reason")
        )


def _staff_only(field: str) -> ProblemError:
    return ProblemError(Problem(HTTPStatus.FORBIDDEN, "staff_only", f"`{field}` is for staff.", field))


# `pin` and `game` need the server and are served by handlers of their own.
ACTS: Mapping[str, Act] = {
    "dispense": Act(DispenseBody, _EVERYBODY, _dispense, "Pay balls out"),
    "dispense/test": Act(
        TestDispenseBody,
        _DEVICES,
        lambda b, a, new_id: i.TestDispense(new_id, b.balls, a, b.reason),
        "Try the machine while nobody plays: balls that are nobody's",
    ),
    "balls/settle": Act(
        SettleBody,
        _STAFF,
        lambda b, a, _: i.SettleUnknown(b.payout_id, b.came_out, a, b.reason),
        "Say what became of balls that the machine could not tell of",
        settles=True,
    ),
    "refill": Act(
        RefillBody,
        _DEVICES,
        lambda b, a, new_id: i.Refill(new_id, b.balls, a, b.reason),
        "The machine was filled, for all its bays",
    ),
    "extend": Act(ExtendBody, _EVERYBODY, _extend, "More time: asked for, or given by staff"),
    "extend/approve": Act(ApproveBody, _STAFF, _approve, "Give the time that the customer asks for"),
    "dues/settle": Act(DueBody, _STAFF, _settle_due, "What went on account was paid", settles=True),
    "extend/decline": Act(
        DeclineBody,
        _STAFF,
        lambda b, a, _: i.DeclineExtension(a, b.reason, b.session_id, b.request_id),
        "Decline a request for more time",
    ),
    "end": Act(EndBody, _EVERYBODY, _end, "End the session"),
    "move": Act(
        MoveBody,
        _STAFF,
        lambda b, a, _: i.Move(b.to, a, b.reason, b.session_id),
        "Take the session to another bay",
    ),
    "pause": Act(EndBody, _EVERYBODY, _pause, "Stop the clock: staff, and guests where the site allows it"),
    "resume": Act(OfSession, _EVERYBODY, lambda b, a, _: i.Resume(a, b.session_id), "Let the clock run on"),
    "player": Act(
        PlayerBody,
        _EVERYBODY,
        lambda b, a, _: i.SelectPlayer(b.session_user_id, a, b.session_id),
        "Whose turn it is",
    ),
    "help": Act(NoBody, _EVERYBODY, lambda _b, a, _: i.CallHelp(a), "Call for help"),
    "help/acknowledge": Act(NoBody, _STAFF, lambda _b, a, _: i.AcknowledgeHelp(a), "Help is on its way"),
    "conflicts/settle": Act(
        ConflictBody,
        _STAFF,
        lambda b, a, _: i.SettleConflict(b.conflict, a, b.reason),
        "A warning about the central server was looked into",
        settles=True,
    ),
    "start": Act(
        StartBody, _STAFF, lambda b, a, _: i.StartPlay(a, b.reason, b.session_id), "Start without the PIN"
    ),
    "walk-in": Act(WalkInBody, _STAFF, _walk_in, "Sell time at the bay and start it"),
    "unlock": Act(ReasonBody, _STAFF, lambda b, a, _: i.UnlockPad(a, b.reason), "Unlock the PIN pad"),
    "mode": Act(ModeBody, _STAFF, _set_mode, "What the bay is open for, until it is revoked or for today"),
    "hold": Act(ReasonBody, _STAFF, lambda b, a, _: i.Hold(a, b.reason), "Keep the bay free"),
    "release": Act(NoBody, _STAFF, lambda _b, a, _: i.Release(a), "Give a held bay back"),
    "service/stop": Act(
        StopServiceBody,
        _DEVICES,
        _stop_service,
        "Take the bay out of service; staff alone may end play for it",
    ),
    "delivery/retry": Act(
        DeliveryBody,
        _STAFF,
        lambda b, a, _: i.RetryDelivery(b.seq, a, b.reason),
        "Deliver to the central server what was set aside",
        settles=True,
    ),
    "delivery/drop": Act(
        DeliveryBody,
        _STAFF,
        lambda b, a, _: i.DropDelivery(b.seq, a, b.reason),
        "Never deliver what was set aside: the desk has entered it",
        settles=True,
    ),
    "service/resume": Act(NoBody, _DEVICES, lambda _b, a, _: i.ReturnToService(a), "Back into service"),
    "fault/clear": Act(
        DeviceBody, _DEVICES, lambda b, a, _: i.ClearFault(b.device, a, b.reason), "The device was looked at"
    ),
}
