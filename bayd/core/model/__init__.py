"""The state of one bay: frozen values, told by events, never by a clock.

A module for each subject, the same as of the events; `Bay` is the whole.
"""

from bayd.core.model.bay import DISPENSER, READER, Bay, DeviceFact, Scheduled, StaffMode, Waiting
from bayd.core.model.dispensing import (
    Asked,
    BallLevel,
    Balls,
    Payout,
    PayoutPart,
    PutBack,
    Reconciled,
    Stock,
    UnknownBalls,
)
from bayd.core.model.money import AskedExtension, Due, Offer, OwnExtension, Tariff
from bayd.core.model.pins import PinAttempt, PinPad
from bayd.core.model.reads import Credit, target_of
from bayd.core.model.server import UNKNOWN_GAME, Booking, Conflict, Game
from bayd.core.model.sessions import EndedSession, MovedSession, PlaySession
from bayd.core.model.words import DeviceState, EndReason, Mode, Payment, PayoutEnd, Phase, StartedBy

__all__ = [
    "DISPENSER",
    "READER",
    "UNKNOWN_GAME",
    "Asked",
    "AskedExtension",
    "BallLevel",
    "Balls",
    "Bay",
    "Booking",
    "Conflict",
    "Credit",
    "DeviceFact",
    "DeviceState",
    "Due",
    "EndReason",
    "EndedSession",
    "Game",
    "Mode",
    "MovedSession",
    "Offer",
    "OwnExtension",
    "Payment",
    "Payout",
    "PayoutEnd",
    "PayoutPart",
    "Phase",
    "PinAttempt",
    "PinPad",
    "PlaySession",
    "PutBack",
    "Reconciled",
    "Scheduled",
    "StaffMode",
    "StartedBy",
    "Stock",
    "Tariff",
    "UnknownBalls",
    "Waiting",
    "target_of",
]
