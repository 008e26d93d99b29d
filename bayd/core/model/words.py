"""Words that states and events have in common."""

from enum import StrEnum


class Phase(StrEnum):
    FREE = "free"
    BOOKED = "booked"  # a session is known and waits for its PIN
    PLAYING = "playing"
    PAUSED = "paused"
    GRACE = "grace"  # over; the screen still shows the result
    HELD = "held"  # kept by staff
    OUT_OF_SERVICE = "out_of_service"


class Mode(StrEnum):
    """What a bay is open for while no session plays there."""

    LOCKED = "locked"  # to a PIN, or a start by staff
    FREE_PLAY = "free_play"  # to anybody, and to a PIN; nobody's balls
    CLOSED = "closed"  # to a start by staff alone


class EndReason(StrEnum):
    TIME = "time"
    STAFF = "staff"
    CUSTOMER = "customer"
    CANCELLED = "cancelled"  # at the central server
    RELEASED = "released"  # ended at the central server
    MOVED = "moved"
    NO_SHOW = "no_show"  # nobody came for it while the bay stood ready
    LAPSED = "lapsed"  # a booking that nobody came for within the horizon


class StartedBy(StrEnum):
    PIN_ONLINE = "pin_online"
    PIN_OFFLINE = "pin_offline"
    STAFF = "staff"


class DeviceState(StrEnum):
    UNKNOWN = "unknown"  # not heard of since the start
    OK = "ok"
    LOST = "lost"  # no link; comes back by itself
    FAULT = "fault"  # wants a person


class PayoutEnd(StrEnum):
    DONE = "done"
    FAULT = "fault"  # the machine stopped by itself: jam, empty, lid open
    STOPPED = "stopped"  # by us, at a staff end
    NEVER_STARTED = "never_started"
    UNKNOWN = "unknown"  # the device cannot say how many balls came out


class Payment(StrEnum):
    """Who has the money for time that was given here. The server books each as a due."""

    DESK = "desk"  # the desk settles it: nothing is kept here
    CASH = "cash"  # taken at the bay
    CARD = "card"  # taken at the bay
    ON_ACCOUNT = "on_account"  # nobody yet: a due of this bay
