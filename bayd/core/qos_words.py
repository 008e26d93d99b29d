"""The words in which a bay's QoS session is spoken of."""

from enum import StrEnum


class Status(StrEnum):
    """Words of the operator. Any other word leaves things as they are."""

    REQUESTED = "REQUESTED"
    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


class Cause(StrEnum):
    """Why a QoS session ends, or ended."""

    UNWANTED = "unwanted"  # nobody plays any more, or play is paused for long
    HANDED_OVER = "handed_over"  # it cannot be extended: a new one follows
    OTHER_FLOW = "other_flow"  # the configuration names another device or server
    STUCK = "stuck"  # REQUESTED for too long
    TERMINATED = "terminated"  # by the network
    EXPIRED = "expired"


class Outcome(StrEnum):
    """What is known of a create."""

    PENDING = "pending"
    UNCLEAR = "unclear"  # no answer, or none that can be read: it may have happened
    NOT_THERE = "not_there"  # it was unclear, and the operator shows none
    CONFLICT = "conflict"  # 409
    FOREIGN = "foreign"  # 409, and the operator shows none of ours
    REFUSED = "refused"  # for good
    CREDENTIALS = "credentials"
    LATER = "later"  # certainly not done; may be tried again


class Trouble(StrEnum):
    """Why a bay plays on without QoS."""

    CONFLICT = "conflict"  # somebody else's session holds the flow
    ORPHAN = "orphan"  # a session of ours may exist whose id is lost
    REFUSED = "refused"
    CREDENTIALS = "credentials"
    TERMINATED_TOO_OFTEN = "terminated_too_often"
    STUCK_TOO_OFTEN = "stuck_too_often"
    COST_CAP = "cost_cap"
