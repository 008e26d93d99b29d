"""What is not recorded any more once the disk is so full that the journal lives on its reserve.

The reserve is for money, for what begins and ends play, for payouts and for what people did. What is
measured again, read again or merely looked at gives way to it; a batch gives way only when all of it does.
Nothing that the clock alone brings about is among it: the bay would wait for it.
"""

from bayd.core import events as e
from bayd.core import qos_events as q

DEFERRABLE: tuple[type[e.Event], ...] = (
    e.BallRead,
    e.PitReached,
    e.BallLevelChanged,
    e.GameSelected,
    e.GameCleared,
    e.ServerGameSeen,
    e.PlayerSelected,
    e.TariffChanged,
    e.ArrearsChanged,
    e.BookedTillSeen,
    q.QosCreateIntended,
    q.QosExtendIntended,
    q.QosStatusSeen,
)


def is_deferrable(event: e.Event) -> bool:
    return isinstance(event, DEFERRABLE)
