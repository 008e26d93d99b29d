"""What the server and the bay disagree about, until staff have settled it.

A conflict is known by its code, its session and `key`: what in the session it is about, such as one
extension. All three make its name.
What is about money stays until somebody settles it; of the rest the newest are kept. What nobody can change
any more does not stand, and is in the journal alone.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, Conflict

OF_MONEY = frozenset(
    {
        "payment_not_told",
        "extension_doubtful",
        "extensions_differ",
        "extensions_not_compared",
        "walk_in_doubtful",
        "walk_in_unclaimed",
    }
)
# Over as soon as the server shows the move, or the session ends. One of them at a time for a session.
OF_MOVES = frozenset({"moved_at_server", "move_not_told"})
# Of a session that is over: nobody can change it any more.
FOR_THE_RECORD = frozenset({"ended_elsewhere", "game_differs"})

_OTHERS_KEPT = 20


def contradicted(bay: Bay, said: i.ServerContradicted, now: Instant) -> Verdict:
    if find(bay, said.code, said.session_id, said.key) is not None:
        return ()
    if said.code in OF_MOVES and is_moved_apart(bay, said.session_id):
        return ()
    return (e.ConflictSeen(said.code, said.session_id, said.text, now.wall_ms, said.key),)


def settle(bay: Bay, request: i.SettleConflict) -> Verdict:
    """Staff have looked, and done what there was to do."""
    if all(c.name != request.conflict for c in bay.conflicts):
        return Refusal("no_conflict", "There is no such warning here any more.")
    return (e.ConflictSettled(request.conflict, request.actor.name, request.reason),)


def find(bay: Bay, code: str, session_id: str, key: str = "") -> Conflict | None:
    name = Conflict(code, session_id, "", 0, key).name
    return next((c for c in bay.conflicts if c.name == name), None)


def is_moved_apart(bay: Bay, session_id: str) -> bool:
    """The server shows the session at another bay, and people know."""
    return any(c.session_id == session_id and c.code in OF_MOVES for c in bay.conflicts)


def without_moves(conflicts: tuple[Conflict, ...], session_id: str) -> tuple[Conflict, ...]:
    return tuple(c for c in conflicts if c.session_id != session_id or c.code not in OF_MOVES)


def remember(conflicts: tuple[Conflict, ...], new: Conflict) -> tuple[Conflict, ...]:
    if new.code in FOR_THE_RECORD:
        return conflicts
    others = [c for c in (*conflicts, new) if c.code not in OF_MONEY]
    forgotten = others[:-_OTHERS_KEPT]
    return tuple(c for c in (*conflicts, new) if c not in forgotten)


def of_session(conflicts: tuple[Conflict, ...], session_id: str) -> tuple[Conflict, ...]:
    """What goes along when the session moves."""
    return tuple(c for c in conflicts if c.session_id == session_id and c.code not in OF_MOVES)
