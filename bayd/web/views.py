"""A bay as the API shows it. Times are RFC 3339 for people, seconds for programs."""

from datetime import UTC, datetime
from typing import Any

from bayd.core.instant import Instant
from bayd.core.model import Balls, Bay, DeviceFact
from bayd.core.pins import locked_for_ms, tries_left
from bayd.core.rules import Rules


def bay_view(bay: Bay, now: Instant, rules: Rules, qod_state: str, *, names: bool) -> dict[str, Any]:
    """`names` False: without anything that tells who plays."""
    session = bay.session
    balls = session.balls if session is not None else bay.last.balls if bay.last is not None else Balls()
    limit = None if session is None or session.game is None else session.game.balls_limit or None
    view: dict[str, Any] = {
        "number": bay.number,
        "phase": bay.phase.value,
        "session": None,
        "booked": len(bay.bookings),
        "next_game": None if not bay.bookings or bay.bookings[0].game is None else bay.bookings[0].game.id,
        "balls": {
            "limit": limit,
            "commanded": balls.commanded,
            "counted": balls.counted,
            "read": balls.read,
            "variance": balls.counted - balls.read,
            "left": None if session is None else session.balls_left,
            "balance": balls.balance,
            "unknown": balls.unknown,
            "paying": 0 if bay.payout is None else bay.payout.left,
        },
        "pin": {
            "tries_left": tries_left(bay, rules),
            "locked_for_s": -(-locked_for_ms(bay, now) // 1000),
        },
        "devices": {name: _device(bay.devices.get(name)) for name in ("reader", "dispenser", "screen")},
        "qod": {"state": qod_state},
        "help_called": bay.help_since_ms is not None,
        "extension_asked": None if session is None else session.extension_asked,
        "warnings": warnings_of(bay),
        "version": bay.version,
    }
    if session is not None:
        remaining_ms = session.remaining_ms(now.boot_ms)
        view["session"] = {
            "id": session.session_id,
            "ends_at": rfc3339(now.wall_ms + remaining_ms),
            "remaining_s": remaining_ms / 1000,
            "duration_s": session.granted_ms / 1000,
            "minutes": session.minutes,
            "paused": session.paused_at_ms is not None,
            "game": None
            if session.game is None
            else {"id": session.game.id, "name": session.game.name, "balls_limit": session.game.balls_limit},
            "player_id": session.player_id,
        }
        if names:
            view["session"]["player"] = session.player
    return view


def warnings_of(bay: Bay) -> list[dict[str, Any]]:
    """What staff should look at."""
    warnings = [
        _warning(f"{name}_{fact.state.value}", fact.since_wall_ms, fact.reason)
        for name, fact in sorted(bay.devices.items())
        if fact.state in ("lost", "fault")
    ]
    warnings += [_warning(c.code, c.wall_ms, c.text) for c in bay.conflicts]
    if bay.payout is None and bay.session is not None and bay.session.balls.unknown:
        text = f"{bay.session.balls.unknown} balls may or may not have been paid out."
        warnings.append(_warning("balls_unknown", bay.session.started_wall_ms, text))
    return warnings


def rfc3339(wall_ms: int) -> str:
    return (
        datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _warning(code: str, wall_ms: int, text: str) -> dict[str, Any]:
    return {"code": code, "since": rfc3339(wall_ms), "text": text}


def _device(fact: DeviceFact | None) -> dict[str, str]:
    fact = fact or DeviceFact()
    return {"state": fact.state.value, "reason": fact.reason}
