"""What reaches a bay: presses, the server's word, device reports, the passing of time.

A module for each subject, the same as of the events, and a union in each, of which `Input` is made.
"""

from bayd.core.inputs.actors import SYSTEM, Actor, Role
from bayd.core.inputs.bay import (
    BayInput,
    ClearFault,
    DeviceReported,
    Hold,
    ModeSeen,
    Release,
    Restarted,
    ReturnToService,
    SetMode,
    StopService,
    TimeCame,
)
from bayd.core.inputs.dispensing import (
    BallLevelSeen,
    Dispense,
    DispensingInput,
    PayoutEnded,
    PayoutMarkTaken,
    PayoutProgressed,
    PayoutWasInterrupted,
    Refill,
    SettleUnknown,
    TestDispense,
)
from bayd.core.inputs.money import (
    ApproveExtension,
    ArrearsSeen,
    DeclineExtension,
    Extend,
    MoneyInput,
    PricesSeen,
    SettleDue,
    WalkIn,
)
from bayd.core.inputs.pins import PinEntered, PinInput, PinNotChecked, PinWasRight, PinWasWrong, UnlockPad
from bayd.core.inputs.qos import QosInput, QosReported, QosWanted
from bayd.core.inputs.reads import BallHeard, BallInPit, ReadInput
from bayd.core.inputs.server import (
    DropDelivery,
    RetryDelivery,
    ServerContradicted,
    ServerInput,
    ServerMovedAway,
    ServerNumbered,
    ServerSaid,
    SettleConflict,
)
from bayd.core.inputs.sessions import (
    AcknowledgeHelp,
    CallHelp,
    End,
    Move,
    Pause,
    Resume,
    SelectGame,
    SelectPlayer,
    SessionInput,
    StartPlay,
)

# Acts on the session in play: pressed for one, they never touch the next.
SessionAct = (
    Dispense | Extend | ApproveExtension | DeclineExtension | End | Pause | Resume | SelectGame | SelectPlayer
)

Input = ServerInput | PinInput | SessionInput | MoneyInput | DispensingInput | ReadInput | BayInput | QosInput

__all__ = [
    "SYSTEM",
    "AcknowledgeHelp",
    "Actor",
    "ApproveExtension",
    "ArrearsSeen",
    "BallHeard",
    "BallInPit",
    "BallLevelSeen",
    "BayInput",
    "CallHelp",
    "ClearFault",
    "DeclineExtension",
    "DeviceReported",
    "Dispense",
    "DispensingInput",
    "DropDelivery",
    "End",
    "Extend",
    "Hold",
    "Input",
    "ModeSeen",
    "MoneyInput",
    "Move",
    "Pause",
    "PayoutEnded",
    "PayoutMarkTaken",
    "PayoutProgressed",
    "PayoutWasInterrupted",
    "PinEntered",
    "PinInput",
    "PinNotChecked",
    "PinWasRight",
    "PinWasWrong",
    "PricesSeen",
    "QosInput",
    "QosReported",
    "QosWanted",
    "ReadInput",
    "Refill",
    "Release",
    "Restarted",
    "Resume",
    "RetryDelivery",
    "ReturnToService",
    "Role",
    "SelectGame",
    "SelectPlayer",
    "ServerContradicted",
    "ServerInput",
    "ServerMovedAway",
    "ServerNumbered",
    "ServerSaid",
    "SessionAct",
    "SessionInput",
    "SetMode",
    "SettleConflict",
    "SettleDue",
    "SettleUnknown",
    "StartPlay",
    "StopService",
    "TestDispense",
    "TimeCame",
    "UnlockPad",
    "WalkIn",
]
