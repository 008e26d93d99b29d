"""Credits after an event: balls that were counted lately, and the targets that they were seen in."""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.evolve.dispensing import count
from bayd.core.model import Bay, Credit


def evolve_reads(bay: Bay, event: e.ReadEvent) -> Bay:
    match event:
        case e.FreeBallRead(epc, at_ms, forget_before_ms):
            kept = _credits_but(bay, epc, forget_before_ms)
            return replace(bay, credits=(*kept, Credit(epc, at_ms, "", None)), free_read=bay.free_read + 1)
        case e.BallRead(epc, session_id, player_id, at_ms, forget_before_ms):
            kept = _credits_but(bay, epc, forget_before_ms)
            counted = count(bay, session_id, read=1)
            credit = Credit(epc, at_ms, session_id, player_id, game_id=_game_of(bay, session_id))
            return replace(counted, credits=(*kept, credit))
        case e.PitReached(epc, pit, session_id, points=points):
            hit = next((c.has_hit(pit) for c in bay.credits if c.epc == epc), True)
            bay = count(bay, session_id, shots=0 if hit else 1, points=points or 0)
            seen = (replace(c, pits=(*c.pits, pit)) if c.epc == epc else c for c in bay.credits)
            return replace(bay, credits=tuple(seen))
        case _:
            assert_never(event)


def _credits_but(bay: Bay, epc: str, forget_before_ms: int) -> tuple[Credit, ...]:
    return tuple(c for c in bay.credits if c.at_ms >= forget_before_ms and c.epc != epc)


def _game_of(bay: Bay, session_id: str) -> int | None:
    """What is being played in this session."""
    session = bay.session
    if session is None or session.session_id != session_id or session.game is None:
        return None
    return session.game.id
