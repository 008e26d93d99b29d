"""Falsified books: what a fault of each kind would leave behind. A comparison must notice each."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

JOURNAL = "state/journal.db"
CENTRAL = "central.db"
TRUTH = "truth.db"
OPERATOR = "qod.db"


def _drop_a_dispense_event(directory: Path) -> None:
    """A payout's last report is lost from the journal."""
    db = _open(directory / JOURNAL)
    closed, payout = db.execute(
        "SELECT seq, json_extract(payload, '$.payout_id') FROM events WHERE kind = 'PayoutClosed' LIMIT 1"
    ).fetchone()
    paid = "SELECT max(seq) FROM events WHERE kind = 'BallsPaid' AND json_extract(payload, '$.payout_id') = ?"
    (reported,) = db.execute(paid, (payout,)).fetchone()
    db.execute("DELETE FROM events WHERE seq IN (?, ?)", (closed, reported))
    db.close()


def _double_an_extension(directory: Path) -> None:
    """The server has booked the same minutes twice."""
    db = _open(directory / CENTRAL)
    db.execute(
        "INSERT INTO extensions (session_id, duration_min, amount, created_ms) "
        "SELECT session_id, duration_min, amount, created_ms FROM extensions ORDER BY id LIMIT 1"
    )
    db.close()


def _lose_an_end(directory: Path) -> None:
    """The server never heard of an end."""
    db = _open(directory / CENTRAL)
    db.execute("UPDATE sessions SET release_ms = NULL WHERE id = (SELECT min(id) FROM sessions)")
    db.close()


def _shift_an_end(directory: Path) -> None:
    """bayd believes that a session was three seconds longer than anybody saw."""
    _edit_event(directory, "SessionEnded", lambda event: event.update(played_ms=event["played_ms"] + 3_000))


def _credit_the_stray(directory: Path) -> None:
    """The neighbour's player gets the ball that strayed."""
    db = _open(directory / TRUTH)
    epc, bay = db.execute("SELECT epc, bay FROM oddities WHERE kind = 'stray'").fetchone()
    (session,) = db.execute(
        "SELECT session FROM plays WHERE bay = ? ORDER BY began LIMIT 1", (bay,)
    ).fetchone()
    db.close()
    _edit_event(
        directory,
        "BallRead",
        lambda event: event.update(session_id=session),
        lambda event: event["epc"] == epc,
    )


def _forget_a_deletion(directory: Path) -> None:
    """A QoS session ran on after play until its lease was over."""
    db = _open(directory / OPERATOR)
    db.execute(
        "UPDATE sessions SET ended_at = ended_at + 20, cause = 'DURATION_EXPIRED' "
        "WHERE created_at = (SELECT max(created_at) FROM sessions)"
    )
    db.close()


def _give_an_extension_away(directory: Path) -> None:
    """The money of an extension at the bay is lost before it is written down anywhere."""
    _edit_event(
        directory, "SessionExtended", lambda event: event.update(amount=0), lambda event: bool(event["own"])
    )


def _stretch_every_session(directory: Path) -> None:
    """A clock runs slow: everybody gets a third more, and bayd and its screens agree about it."""
    events = _open(directory / JOURNAL)
    events.execute(
        "UPDATE events SET payload = json_set(payload, '$.played_ms', "
        "json_extract(payload, '$.played_ms') * 4 / 3) WHERE kind = 'SessionEnded'"
    )
    events.close()
    plays = _open(directory / TRUTH)
    plays.execute("UPDATE plays SET ended = began + (ended - began) * 4 / 3")
    plays.close()


SABOTAGES: Mapping[str, Callable[[Path], None]] = {
    "drop-dispense": _drop_a_dispense_event,
    "double-extension": _double_an_extension,
    "lose-end": _lose_an_end,
    "shift-end": _shift_an_end,
    "credit-stray": _credit_the_stray,
    "give-away": _give_an_extension_away,
    "slow-clock": _stretch_every_session,
    "forget-deletion": _forget_a_deletion,
}


def _edit_event(
    directory: Path,
    kind: str,
    edit: Callable[[dict[str, Any]], None],
    fits: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> None:
    db = _open(directory / JOURNAL)
    for seq, payload in db.execute(
        "SELECT seq, payload FROM events WHERE kind = ? ORDER BY seq", (kind,)
    ).fetchall():
        event = json.loads(payload)
        if fits(event):
            edit(event)
            db.execute("UPDATE events SET payload = ? WHERE seq = ?", (json.dumps(event), seq))
            break
    db.close()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)
