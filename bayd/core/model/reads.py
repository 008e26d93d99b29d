"""Balls that the antennas saw."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credit:
    """A ball that was counted, and the targets that it has been seen in since."""

    epc: str
    at_ms: int
    session_id: str  # empty: nobody's, of free play
    player_id: int | None
    pits: tuple[str, ...] = ()
    game_id: int | None = None  # that was being played

    def has_hit(self, pit: str) -> bool:
        """Its target has seen the ball already, by any of its antennas."""
        return any(target_of(seen) == target_of(pit) for seen in self.pits)


def target_of(pit: str) -> str:
    """The target of a pit antenna: "S1" of "S1_1" (Pit component: a target has antennas, each a location)."""
    return pit.rpartition("_")[0] or pit
