"""All that the documented calls cannot say of a bay: `POST /bay/state`, an extension of the reference server.

The latest value only, with the number of the journal's event that it reflects: a server that has seen a
newer one ignores an older. It holds no name, no PIN and no telephone number.
"""

from datetime import UTC, datetime
from typing import Any

from bayd.clients.central import CentralClient
from bayd.core.instant import Instant
from bayd.core.model import Balls, Bay, EndedSession, PlaySession
from bayd.ports import Clock, Log, Randomness
from bayd.reconcile.latest import LatestValues
from bayd.runtime.range import Range

_REST_S = 1.0  # balls are read several times a second; nobody looks so often


class BayStatePoster(LatestValues):
    """`run` is a root task."""

    def __init__(
        self, client: CentralClient, bays: Range, *, clock: Clock, randomness: Randomness, log: Log
    ) -> None:
        super().__init__(bays, rest_s=_REST_S, randomness=randomness, log=log)
        self._client = client
        self._clock = clock
        self._posted: dict[str, int] = {}

    async def _post(self, number: str) -> None:
        task = self._bays.bays[number]
        seq = task.last_seq
        if self._posted.get(number) == seq:
            return
        await self._client.post_bay_state(number, bay_state(task.bay, self._clock.now()), seq)
        self._posted[number] = seq


def bay_state(bay: Bay, now: Instant) -> dict[str, Any]:
    """Durations in seconds, instants as RFC 3339; `seq` goes beside it."""
    return {
        "phase": bay.phase.value,
        "session": None if bay.session is None else _session(bay, bay.session, now),
        "last_session": None if bay.last is None else _last(bay, bay.last, now),
        "booked": [_number(bay, booking.session_id) for booking in bay.bookings],
        "devices": {
            name: {"state": fact.state.value, "reason": fact.reason} for name, fact in bay.devices.items()
        },
        "ball_level": bay.ball_level.at_server,
        "owed": sum(due.amount for due in bay.dues),
        "help_called": bay.help_since_ms is not None,
        "conflicts": [{"code": c.code, "session": _number(bay, c.session_id)} for c in bay.conflicts],
    }


def _session(bay: Bay, session: PlaySession, now: Instant) -> dict[str, Any]:
    remaining_ms = session.remaining_ms(now.boot_ms)
    return {
        "id": _number(bay, session.session_id),
        "started_by": session.started_by.value,
        "ends_at": _wall(now, now.boot_ms + remaining_ms),
        "remaining_s": remaining_ms / 1000,
        "paused": session.paused_at_ms is not None,
        "minutes": session.minutes,
        "own_minutes": session.own_minutes,
        "extension_asked": None if session.extension_asked is None else session.extension_asked.minutes,
        "game_id": None if session.game is None else session.game.id,
        "session_user_id": session.player_id,
        "balls": _balls(session.balls),
    }


def _last(bay: Bay, last: EndedSession, now: Instant) -> dict[str, Any]:
    return {
        "id": _number(bay, last.session_id),
        "reason": last.reason.value,
        "ended_at": _wall(now, last.ended_at_ms),
        "played_s": last.played_ms / 1000,
        "balls": _balls(last.balls),
    }


def _balls(balls: Balls) -> dict[str, int]:
    return {
        "commanded": balls.commanded,
        "counted": balls.counted,
        "balance": balls.balance,
        "unknown": balls.unknown,
        "read": balls.read,
        "shots": balls.shots,
        "points": balls.points,
    }


def _number(bay: Bay, session_id: str) -> str:
    """As the server knows the session; a walk-in that it has not booked yet is told by our name for it."""
    numbers = (server_id for server_id, local_id in bay.numbers.items() if local_id == session_id)
    return next(numbers, session_id)


def _wall(now: Instant, boot_ms: int) -> str:
    at = datetime.fromtimestamp((now.wall_ms + boot_ms - now.boot_ms) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
